//! Other trackers to measure beside Riptide, as `--peer NAME[@LABEL]=PATH` names them, and how they are configured.

use crate::process;
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};
use toml::{Table, Value};

/// The trackers that bench knows how to configure.
pub(crate) const AQUATIC_UDP: &str = "aquatic_udp";
pub(crate) const AQUATIC_HTTP: &str = "aquatic_http";
pub(crate) const AQUATIC_WS: &str = "aquatic_ws";
const KNOWN: [&str; 3] = [AQUATIC_UDP, AQUATIC_HTTP, AQUATIC_WS];

/// A program that was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    /// Which tracker it is.
    pub(crate) peer: &'static str,
    /// What tells it from others of the same tracker, such as a version; empty for most.
    label: String,
    /// Where it is.
    pub(crate) path: PathBuf,
}

impl Given {
    /// Its name in reports, with what it says of its version.
    pub(crate) fn name(&self) -> String {
        let name = format!("{} {}", self.peer, self.label);
        let said = process::probe(Command::new(&self.path).arg("--version")).unwrap_or_default();
        let version = said.lines().next().unwrap_or_default().trim_start_matches(self.peer).trim();
        let version = if version.is_empty() { String::new() } else { format!(" ({version})") };
        format!("{}{version}", name.trim_end())
    }

    /// Its own default configuration, but one thread for sockets and one for swarms, IPv4 alone at an address, and these
    /// values where one of its tables has such a key: keys come, go and are renamed between versions.
    pub(crate) fn configuration(&self, address: &str, values: &[(&str, Value)]) -> Result<String> {
        let name = self.peer;
        let default = process::probe(Command::new(&self.path).arg("-p"))
            .with_context(|| format!("{name} -p does not print its configuration"))?;
        let mut configuration: Table = toml::from_str(&default)?;
        for workers in ["socket_workers", "swarm_workers"] {
            set(&mut configuration, workers, &1.into());
        }
        let network = configuration.get_mut("network").and_then(Value::as_table_mut);
        let network = network.with_context(|| format!("{name} -p prints no [network]"))?;
        set(network, "use_ipv6", &false.into());
        let addresses = ["address", "address_ipv4"].map(|key| set(network, key, &address.into()));
        ensure!(addresses.contains(&true), "{name} -p prints no address that bench knows");
        for table in configuration.iter_mut().filter_map(|(_, value)| value.as_table_mut()) {
            values.iter().for_each(|(key, value)| _ = set(table, key, value));
        }
        Ok(toml::to_string(&configuration)?)
    }
}

/// Sets a key that a table has, and tells whether it does.
fn set(table: &mut Table, key: &str, value: &Value) -> bool {
    table.get_mut(key).map(|old| *old = value.clone()).is_some()
}

/// Reads `NAME[@LABEL]=PATH`.
pub(crate) fn parse(text: &str) -> Result<Given, String> {
    let Some((name, path)) = text.split_once('=') else {
        return Err("a peer is NAME=PATH, as aquatic_udp=/usr/local/bin/aquatic_udp".to_owned());
    };
    let (name, label) = name.split_once('@').unwrap_or((name, ""));
    let Some(peer) = KNOWN.into_iter().find(|known| *known == name) else {
        return Err(format!("{name} is no tracker that bench knows: {}", KNOWN.join(", ")));
    };
    let file = fs::metadata(path).map_err(|error| format!("{path}: {error}"))?;
    if !file.is_file() || file.permissions().mode() & 0o111 == 0 {
        return Err(format!("{path} is no program"));
    }
    let path = Path::new(path).canonicalize().map_err(|error| format!("{path}: {error}"))?;
    Ok(Given { peer, label: label.to_owned(), path })
}

/// What to say in the place of a tracker that was not given.
pub(crate) fn missing(peer: &str) -> String {
    format!("no --peer {peer}=PATH")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_known_name_and_a_program() {
        let sh = Path::new("/bin/sh").canonicalize().unwrap();
        let given = |label: &str| Given { peer: AQUATIC_UDP, label: label.into(), path: sh.clone() };
        assert_eq!(parse("aquatic_udp=/bin/sh"), Ok(given("")));
        assert_eq!(parse("aquatic_udp@0.9=/bin/sh"), Ok(given("0.9")));
        assert!(given("0.9").name().starts_with("aquatic_udp 0.9"));
        for (text, error) in [
            ("aquatic_udp", "a peer is NAME=PATH"),
            ("aquatic=/bin/sh", "aquatic is no tracker that bench knows: aquatic_udp, aquatic_http"),
            ("aquatic_ws=/nonexistent", "/nonexistent: No such file"),
            ("aquatic_ws=/etc", "/etc is no program"),
            ("aquatic_ws=/etc/passwd", "/etc/passwd is no program"),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.starts_with(error), "{text}: {said}");
        }
    }

    #[test]
    fn a_configuration_gets_what_it_has_keys_for() {
        let directory = tempfile::tempdir().unwrap();
        let configured = |name: &str, default: &str| {
            let path = directory.path().join(name);
            fs::write(&path, format!("#!/bin/sh\nexec cat <<'END'\n{default}END\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            let given = Given { peer: AQUATIC_UDP, label: String::new(), path };
            given.configuration("0.0.0.0:7", &[("max_peer_age", 9.into())])
        };
        let old = "socket_workers = 2\n[network]\naddress = \"x\"\nonly_ipv6 = false\n[cleaning]\nmax_peer_age = 1\n";
        let filled = "socket_workers = 1\n\n[cleaning]\nmax_peer_age = 9\n\n[network]\naddress = \"0.0.0.0:7\"\nonly_ipv6 = false\n";
        assert_eq!(configured("old", old).unwrap(), filled);
        let new = "[network]\nuse_ipv4 = true\nuse_ipv6 = true\naddress_ipv4 = \"x\"\n";
        let filled = "[network]\naddress_ipv4 = \"0.0.0.0:7\"\nuse_ipv4 = true\nuse_ipv6 = false\n";
        assert_eq!(configured("new", new).unwrap(), filled);
        assert!(configured("other", "[network]\nport = 1\n").is_err());
    }
}
