//! The configuration of opentracker: a setting a line, a key and its value with space between them.
//!
//! What a setting means is read from `parse_configfile` of its `opentracker.c`, of 2026 and of the years before. Whether
//! some of them count at all is decided when opentracker is built, which a file does not tell: all of them are taken for
//! meant.

mod address;

use super::{
    error::FromError,
    paths::{below, plain},
    sheet::{Sheet, Value, shown},
};
use crate::config::{
    layers::nearest,
    readers::{account, network},
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// So much of a line opentracker reads at once, in bytes; what is behind it would be a line of its own.
const MAX_LINE: usize = 511;

/// The most threads that `udp.workers` takes.
const MAX_WORKERS: u64 = 1024;

/// Half of the interval that is built into opentracker, which is Riptide's default.
const MIN_INTERVAL: &str = "15m";

/// Where opentracker shows its statistics if nothing says another path.
const STATS_PATH: &str = "stats";

/// Why a value is none.
type Problem = String;

/// All keys, and why some have no counterpart.
static KEYS: [(&str, Option<&str>); 17] = [
    ("listen.tcp_udp", None),
    ("listen.tcp", None),
    ("listen.udp", None),
    ("listen.udp.workers", None),
    ("access.whitelist", None),
    ("access.blacklist", None),
    ("access.fifo_add", Some(FIFO)),
    ("access.fifo_delete", Some(FIFO)),
    ("access.stats", None),
    ("access.stats_path", None),
    ("access.proxy", None),
    ("tracker.rootdir", Some(ROOT)),
    ("tracker.user", None),
    ("tracker.redirect_url", Some("a reverse proxy in front of the HTTP addresses can redirect `/`")),
    ("livesync.cluster.listen", Some(LIVESYNC)),
    ("livesync.cluster.node_ip", Some(LIVESYNC)),
    ("batchsync.cluster.admin_ip", Some("not needed: opentracker does not know it itself")),
];

const FIFO: &str = "not needed: `riptide control deny add|remove HASH` refuses torrents at once, and a changed list is \
                    taken up by `riptide control reload`";
const ROOT: &str = "Riptide does not chroot: riptide.service shuts it off from the file system instead";
const LIVESYNC: &str = "Riptide does not speak opentracker's live sync";

/// What the file says.
#[derive(Default)]
struct Found {
    tcp: Listeners,
    udp: Listeners,
    /// Threads of each UDP socket that is opened from here on.
    workers: u64,
    /// Those of the sockets so far.
    threads: u64,
    names_workers: bool,
    whitelist: Option<String>,
    blacklist: Option<String>,
    /// Whether a list is named in a line that was not understood.
    is_list_lost: bool,
    stats: Vec<&'static str>,
    proxies: Vec<String>,
    root: Option<String>,
    user: Option<String>,
}

/// Where it listens by one protocol.
#[derive(Default)]
struct Listeners {
    addresses: Vec<String>,
    keys: Vec<&'static str>,
}

impl Listeners {
    fn add(&mut self, key: &'static str, address: SocketAddr) {
        // opentracker's sockets of IPv6 take IPv4 as well.
        if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            self.push(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())));
        }
        self.push(address);
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
    }

    fn push(&mut self, address: SocketAddr) {
        let address = address.to_string();
        if !self.addresses.contains(&address) {
            self.addresses.push(address);
        }
    }
}

/// Gathers what a file of opentracker says. `directory` is where the file is.
///
/// # Errors
/// If no line of it is a setting of opentracker, and some line is anything else.
pub(super) fn convert(path: &Path, text: &str, directory: &Path, sheet: &mut Sheet) -> Result<(), FromError> {
    let mut found = Found::default();
    let mut first_unknown = None;
    let mut is_any_known = false;
    for (line, setting) in (1..).zip(text.strip_prefix('\u{feff}').unwrap_or(text).lines()) {
        let setting = setting.trim();
        if setting.is_empty() || setting.starts_with('#') {
            continue;
        }
        sheet.count();
        let (key, value) = setting.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((setting, ""));
        let Some((name, why)) = KEYS.iter().find(|(name, _)| *name == key) else {
            first_unknown.get_or_insert_with(|| (line, shown(setting)));
            sheet.misread(line, || unknown(key));
            continue;
        };
        is_any_known = true;
        let problem = if setting.len() > MAX_LINE {
            Some(format!("the line is longer than the {MAX_LINE} bytes that opentracker reads of one"))
        } else if value.is_empty() {
            Some("it has no value".to_owned())
        } else if value.contains(char::REPLACEMENT_CHARACTER) {
            Some("its value is not UTF-8".to_owned())
        } else {
            found.take(name, value.trim()).err()
        };
        match (problem, why) {
            (Some(problem), _) => {
                found.is_list_lost |= matches!(*name, "access.whitelist" | "access.blacklist");
                sheet.misread(line, || format!("{name}: {problem}"));
            }
            (None, Some(why)) => sheet.leave_out(*name, *why),
            (None, None) => {}
        }
    }
    if let (false, Some((line, setting))) = (is_any_known, first_unknown) {
        let reason = format!("no line is one of its settings; line {line} is {setting}");
        return Err(FromError::Foreign { path: path.to_owned(), program: "opentracker", reason });
    }
    found.write(directory, sheet);
    Ok(())
}

/// The names of all keys.
#[cfg(test)]
pub(super) fn keys() -> Vec<&'static str> {
    KEYS.iter().map(|(name, _)| *name).collect()
}

fn unknown(key: &str) -> Problem {
    let hint = nearest(key, KEYS.iter().map(|(name, _)| *name));
    let hint = hint.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
    format!("opentracker has no key {}{hint}", shown(key))
}

impl Found {
    fn take(&mut self, key: &'static str, value: &str) -> Result<(), Problem> {
        let first = value.split_ascii_whitespace().next().unwrap_or_default();
        match key {
            "listen.tcp_udp" => {
                let address = address::read(first)?;
                self.tcp.add(key, address);
                self.add_udp(key, address);
            }
            "listen.tcp" => self.tcp.add(key, address::read(first)?),
            "listen.udp" => self.add_udp(key, address::read(first)?),
            "listen.udp.workers" => {
                let number = first.parse::<u32>();
                self.workers =
                    number.map_err(|_| format!("{} is not a number of threads", shown(first)))?.into();
                self.names_workers = true;
            }
            "access.whitelist" => self.whitelist = Some(value.to_owned()),
            "access.blacklist" => self.blacklist = Some(value.to_owned()),
            "access.stats" => {
                network(first)?;
                self.hide_stats(key);
            }
            "access.stats_path" if value == STATS_PATH => {}
            "access.stats_path" => self.hide_stats(key),
            "access.proxy" => {
                let network = network(first)?.to_string();
                if !self.proxies.contains(&network) {
                    self.proxies.push(network);
                }
            }
            "tracker.rootdir" => self.root = Some(value.to_owned()),
            "tracker.user" => self.user = Some(account(value)?),
            // Those without a counterpart.
            _ => {}
        }
        Ok(())
    }

    fn hide_stats(&mut self, key: &'static str) {
        if !self.stats.contains(&key) {
            self.stats.push(key);
        }
    }

    fn add_udp(&mut self, key: &'static str, address: SocketAddr) {
        self.udp.add(key, address);
        self.threads = self.threads.saturating_add(self.workers);
    }

    fn write(mut self, directory: &Path, sheet: &mut Sheet) {
        // Without any listener opentracker has those that Riptide has by default.
        let listens = !(self.tcp.addresses.is_empty() && self.udp.addresses.is_empty());
        if listens {
            let Listeners { addresses, keys } = &self.udp;
            sheet.set(
                "udp",
                "listen",
                Value::List(addresses.clone()),
                source(keys, "no listen.udp, no listen.tcp_udp"),
            );
            let Listeners { addresses, keys } = &self.tcp;
            sheet.set(
                "http",
                "listen",
                Value::List(addresses.clone()),
                source(keys, "no listen.tcp, no listen.tcp_udp"),
            );
        } else {
            self.threads = self.workers;
        }
        if self.threads > 0 {
            let threads = self.threads.min(MAX_WORKERS);
            let entry = sheet.set("udp", "workers", Value::Number(threads), "listen.udp.workers");
            if threads != self.workers {
                entry.note(format!("those of all UDP sockets together, up to {MAX_WORKERS}"));
            }
        } else if self.names_workers && self.workers > 0 {
            sheet.leave_out(
                "listen.udp.workers",
                "not in force: it is about the listeners below it, and there are none",
            );
        }
        self.write_access(directory, sheet);
        self.write_http(sheet);
        match &self.user {
            Some(user) => {
                sheet
                    .set("privileges", "user", Value::Text(user.clone()), "tracker.user")
                    .note("for a start as root. riptide.service never is root: leave it out there");
            }
            None => sheet.difference(
                "Started as root, opentracker becomes nobody; Riptide stays root, unless `[privileges] user` names a user. \
                 riptide.service never is root",
            ),
        }
        sheet.difference(
            "Metrics are at 127.0.0.1:9000, for this host alone; `[metrics] listen = \"off\"` turns them off",
        );
        if !listens {
            sheet.difference("IPv6 is always served; not every build of opentracker knows it");
        }
        if !listens || !self.tcp.addresses.is_empty() {
            sheet
                .set("swarm", "min_interval", Value::Text(MIN_INTERVAL.to_owned()), "no setting")
                .note("opentracker tells clients of HTTP half of the interval");
            sheet.difference(
                "WebTorrent is served at the addresses of HTTP; `[websocket] enabled = false` turns it off",
            );
        }
    }

    fn write_access(&self, directory: &Path, sheet: &mut Sheet) {
        let (mode, key, list) = match (&self.whitelist, &self.blacklist) {
            (Some(list), _) => ("allow", "access.whitelist", list),
            (None, Some(list)) => ("deny", "access.blacklist", list),
            (None, None) => {
                if self.is_list_lost {
                    // No slip opens a closed tracker: the reader refuses a mode without a list.
                    sheet.set("access", "mode", Value::Text("allow".to_owned()), "access.whitelist");
                }
                return;
            }
        };
        let entry = sheet.set("access", "mode", Value::Text(mode.to_owned()), key);
        if self.whitelist.is_some() && self.blacklist.is_some() {
            entry.caution(
                "opentracker obeys a whitelist or a blacklist, as it was built; this is the whitelist",
            );
            sheet.leave_out("access.blacklist", "not in force together with access.whitelist");
        }
        let (path, caution) = self.find(Path::new(list), directory);
        let entry = sheet.set("access", "info_hashes", Value::Text(path.display().to_string()), key);
        entry.note("40 hexadecimal digits a line; what else stands in a line has to come after a `#`");
        if let Some(caution) = caution {
            entry.caution(caution);
        }
    }

    /// Where a list is, and what is doubtful about that. opentracker opens it after its chroot if it was started as root,
    /// else after having gone to that directory.
    fn find(&self, list: &Path, directory: &Path) -> (PathBuf, Option<String>) {
        let Some(root) = &self.root else {
            let doubt =
                format!("opentracker takes {} from where it is started, or from / as root", list.display());
            return match list.is_absolute() {
                true => (plain(list), None),
                false => (plain(&directory.join(list)), Some(doubt)),
            };
        };
        let root = plain(&directory.join(root));
        if list.is_absolute() && list.starts_with(&root) {
            return (plain(list), None);
        }
        let doubt =
            format!("below tracker.rootdir if opentracker is started as root, else it is {}", list.display());
        (below(&root, list), list.is_absolute().then_some(doubt))
    }

    fn write_http(&self, sheet: &mut Sheet) {
        if !self.stats.is_empty() {
            sheet.set("http", "stats", Value::Switch(false), source(&self.stats, "")).note(
                "opentracker shows statistics to some alone; Riptide has metrics at 127.0.0.1:9000 for that",
            );
        }
        if !self.proxies.is_empty() {
            sheet.set("http", "trusted_proxies", Value::List(self.proxies.clone()), "access.proxy").note(
                "of X-Forwarded-For the right-most address counts that is no trusted proxy's, not the left-most",
            );
        }
    }
}

/// The keys that something comes from, or that there is none.
fn source(keys: &[&str], none: &str) -> String {
    if keys.is_empty() { none.to_owned() } else { keys.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_where_opentracker_looks_for_them() {
        let directory = Path::new("/etc/opentracker");
        let find = |root: Option<&str>, list: &str| {
            let found = Found { root: root.map(str::to_owned), ..Found::default() };
            let (path, doubt) = found.find(Path::new(list), directory);
            (path.display().to_string(), doubt.is_some())
        };
        for (root, list, path, is_doubtful) in [
            (None, "/var/lib/list", "/var/lib/list", false),
            (None, "./list", "/etc/opentracker/list", true),
            (Some("/var/lib/ot"), "list", "/var/lib/ot/list", false),
            (Some("/var/lib/ot"), "./list", "/var/lib/ot/list", false),
            // As Debian has it, where opentracker is not started as root.
            (Some("/var/lib/ot"), "/var/lib/ot/list", "/var/lib/ot/list", false),
            (Some("/var/lib/ot/"), "/list", "/var/lib/ot/list", true),
            (Some("/"), "/list", "/list", false),
            (Some("."), "list", "/etc/opentracker/list", false),
        ] {
            assert_eq!(find(root, list), (path.to_owned(), is_doubtful), "{root:?} {list}");
        }
    }
}
