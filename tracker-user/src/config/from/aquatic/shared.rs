//! What all programs of aquatic have: lists, users, certificates, metrics, the log.

use super::given::{Found, Keys};
use crate::config::{
    from::{
        paths::{below, plain},
        sheet::{Value, shown},
    },
    readers::{account, socket_address},
};
use std::path::{Path, PathBuf};

/// The most threads that `udp.workers` and `http.workers` take.
const MAX_WORKERS: u64 = 1024;

/// The threads that serve, where the file says how many.
pub(super) fn workers(keys: &mut Keys<'_>, table: &'static str) {
    if let Some(value) = keys.given_number("socket_workers") {
        let number = Found { value, source: "socket_workers".to_owned() };
        let entry = keys.set_number(table, "workers", number, 0..=MAX_WORKERS);
        entry.note("\"auto\" is one for each CPU");
    }
}

/// How much is logged, where the file says so.
pub(super) fn log(keys: &mut Keys<'_>) {
    let Some(level) = keys.given_text("log_level") else { return };
    match level.as_str() {
        "off" | "error" | "warn" => {
            keys.sheet
                .set("log", "level", Value::Text(level), "log_level")
                .note("the lines that tell where it listens and that it is ready are of level info");
        }
        "info" | "debug" | "trace" => {
            keys.sheet.set("log", "level", Value::Text(level), "log_level");
        }
        other => keys.wrong("log_level", &format!("{} is no level of aquatic", shown(other))),
    }
}

/// The list of info hashes. Riptide reads every list that aquatic reads.
pub(super) fn access(keys: &mut Keys<'_>) {
    const MODE: &str = "access_list.mode";
    let mode = match keys.has(MODE) {
        true => keys.given_text(MODE).unwrap_or_default(),
        false => "off".to_owned(),
    };
    match mode.as_str() {
        "off" => keys.idle(&["access_list.path"], "access_list.mode is \"off\""),
        "allow" | "deny" => {
            let chroot = match keys.switch("privileges.drop_privileges", false) {
                true => keys.text("privileges.chroot_path", ".").value,
                false => String::new(),
            };
            keys.sheet.set("access", "mode", Value::Text(mode), MODE);
            let list = keys.text("access_list.path", "./access-list.txt");
            set_path(keys, "access", "info_hashes", list, Path::new(&chroot));
        }
        // No slip opens a closed tracker: the reader refuses this one.
        _ => {
            keys.sheet.set("access", "mode", Value::Text(mode), MODE);
        }
    }
}

/// Sets a key of Riptide to a path, which aquatic opens when it starts, from the directory where it is started, and some
/// again from its new root.
fn set_path(keys: &mut Keys<'_>, table: &'static str, key: &'static str, path: Found<String>, chroot: &Path) {
    let given = Path::new(&path.value);
    let whole: PathBuf = match (given.is_absolute(), chroot.is_absolute()) {
        (true, _) => plain(given),
        (false, true) => below(chroot, given),
        (false, false) => plain(&keys.directory.join(given)),
    };
    let entry = keys.sheet.set(table, key, Value::Text(whole.display().to_string()), path.source);
    if !given.is_absolute() {
        entry.caution(format!("aquatic takes {} from where it is started", path.value));
    }
}

/// Who to become.
pub(super) fn privileges(keys: &mut Keys<'_>) {
    if !keys.switch("privileges.drop_privileges", false) {
        keys.idle(&["privileges.user", "privileges.group"], "privileges.drop_privileges is false");
        return;
    }
    for (name, key, default) in
        [("privileges.user", "user", "nobody"), ("privileges.group", "group", "nogroup")]
    {
        let found = keys.text(name, default);
        match account(&found.value) {
            Ok(account) => {
                let entry = keys.sheet.set("privileges", key, Value::Text(account), found.source);
                if key == "user" {
                    entry.note("for a start as root. riptide.service never is root: leave both out there");
                }
            }
            Err(problem) => keys.wrong(name, &problem),
        }
    }
}

/// The certificate, if TLS is on, which is told.
pub(super) fn tls(keys: &mut Keys<'_>) -> bool {
    const FILES: [(&str, &str); 2] =
        [("network.tls_certificate_path", "certificate"), ("network.tls_private_key_path", "key")];
    if !keys.switch("network.enable_tls", false) {
        keys.idle(&FILES.map(|(name, _)| name), "network.enable_tls is false");
        return false;
    }
    for (name, key) in FILES {
        let file = keys.text(name, "");
        if !file.value.is_empty() {
            set_path(keys, "tls", key, file, Path::new(""));
        }
    }
    true
}

/// The metrics, of which the programs have `is_on` and the address in this table.
pub(super) fn metrics(keys: &mut Keys<'_>, is_on: &'static str, address: &'static str) {
    if !keys.switch(is_on, false) {
        keys.idle(&[address], &format!("{is_on} is false"));
        let local =
            "Metrics are at 127.0.0.1:9000, for this host alone; `[metrics] listen = \"off\"` turns them off";
        keys.sheet.difference(local);
        return;
    }
    let found = keys.text(address, "0.0.0.0:9000");
    match socket_address(&found.value) {
        Ok(at) => {
            let source = keys.source(&[is_on, address], address);
            keys.sheet.set("metrics", "listen", Value::Text(at.to_string()), source);
        }
        Err(problem) => keys.wrong(address, &problem),
    }
}
