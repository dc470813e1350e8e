//! Other trackers to measure beside Riptide, as `--peer NAME=PATH` names them.

use crate::process;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// A tracker that bench knows how to configure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// UDP, by mio or `io_uring`.
    AquaticUdp,
    /// HTTP.
    AquaticHttp,
    /// WebTorrent.
    AquaticWs,
    /// UDP.
    Opentracker,
}

impl Peer {
    const ALL: [Self; 4] = [Self::AquaticUdp, Self::AquaticHttp, Self::AquaticWs, Self::Opentracker];

    /// As `--peer` names it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AquaticUdp => "aquatic_udp",
            Self::AquaticHttp => "aquatic_http",
            Self::AquaticWs => "aquatic_ws",
            Self::Opentracker => "opentracker",
        }
    }
}

/// Reads `NAME=PATH`.
///
/// # Errors
/// What is wrong with it, for a person.
pub(crate) fn parse(text: &str) -> Result<(Peer, PathBuf), String> {
    let Some((name, path)) = text.split_once('=') else {
        return Err("a peer is NAME=PATH, as aquatic_udp=/usr/local/bin/aquatic_udp".to_owned());
    };
    let Some(peer) = Peer::ALL.into_iter().find(|peer| peer.name() == name) else {
        let known = Peer::ALL.map(Peer::name).join(", ");
        return Err(format!("{name} is no tracker that bench knows: {known}"));
    };
    let file = fs::metadata(path).map_err(|error| format!("{path}: {error}"))?;
    if !file.is_file() || file.permissions().mode() & 0o111 == 0 {
        return Err(format!("{path} is no program"));
    }
    let path = Path::new(path).canonicalize().map_err(|error| format!("{path}: {error}"))?;
    Ok((peer, path))
}

/// Those that were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers(BTreeMap<Peer, PathBuf>);

impl Peers {
    /// The last path of a name counts.
    pub(crate) fn new(given: &[(Peer, PathBuf)]) -> Self {
        Self(given.iter().cloned().collect())
    }

    /// Where a peer's program is.
    ///
    /// # Errors
    /// It was not given: what to say in its place.
    pub(crate) fn path(&self, peer: Peer) -> Result<&Path, String> {
        let path = self.0.get(&peer).map(PathBuf::as_path);
        path.ok_or_else(|| format!("no --peer {}=PATH", peer.name()))
    }

    /// What a peer's program says of its version.
    pub(crate) fn version(&self, peer: Peer) -> Option<String> {
        let path = self.0.get(&peer).filter(|_| peer != Peer::Opentracker)?;
        let said = process::probe(Command::new(path).arg("--version"))?;
        said.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_known_name_and_a_program() {
        let sh = Path::new("/bin/sh").canonicalize().unwrap();
        assert_eq!(parse("aquatic_udp=/bin/sh"), Ok((Peer::AquaticUdp, sh)));
        for (text, error) in [
            ("aquatic_udp", "a peer is NAME=PATH"),
            ("aquatic=/bin/sh", "aquatic is no tracker that bench knows: aquatic_udp, aquatic_http"),
            ("opentracker=/nonexistent", "/nonexistent: No such file"),
            ("opentracker=/etc", "/etc is no program"),
            ("opentracker=/etc/passwd", "/etc/passwd is no program"),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.starts_with(error), "{text}: {said}");
        }
    }

    #[test]
    fn a_peer_that_was_not_given_is_asked_for() {
        let peers = Peers::new(&[(Peer::Opentracker, "/bin/a".into()), (Peer::Opentracker, "/bin/b".into())]);
        assert_eq!(peers.path(Peer::Opentracker), Ok(Path::new("/bin/b")));
        assert_eq!(peers.path(Peer::AquaticWs), Err("no --peer aquatic_ws=PATH".to_owned()));
    }
}
