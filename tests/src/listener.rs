//! What the tracker tells of its listeners.

use std::{net::SocketAddr, path::PathBuf};

/// What a line at the start tells to be bound.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    Udp(SocketAddr),
    Http(SocketAddr),
    Https(SocketAddr),
    Unix(PathBuf),
    Metrics(SocketAddr),
}

/// Reads such a line; others tell nothing.
pub(crate) fn listener(line: &str) -> Option<Listener> {
    if let Some((_, rest)) = line.split_once("metrics are served on http://") {
        return rest.split('/').next()?.parse().ok().map(Listener::Metrics);
    }
    let (before, after) = line.split_once(" listens on ")?;
    let what = before.rsplit(|c: char| !c.is_ascii_alphanumeric()).next()?;
    let place = after.split([' ', '"', ',']).next()?;
    match (what, place.strip_prefix("unix:")) {
        ("http", Some(path)) => Some(Listener::Unix(path.into())),
        ("udp", None) => place.parse().ok().map(Listener::Udp),
        ("http", None) => place.parse().ok().map(Listener::Http),
        ("https", None) => place.parse().ok().map(Listener::Https),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_found_in_lines() {
        let address = |text: &str| text.parse().unwrap();
        let lines = [
            ("12:00 INFO riptide: udp listens on 0.0.0.0:6969", Some(Listener::Udp(address("0.0.0.0:6969")))),
            ("INFO riptide: http listens on [::1]:70", Some(Listener::Http(address("[::1]:70")))),
            ("INFO https listens on 1.2.3.4:5", Some(Listener::Https(address("1.2.3.4:5")))),
            (
                "{\"message\":\"http listens on unix:/run/a.sock\"}",
                Some(Listener::Unix("/run/a.sock".into())),
            ),
            (
                "INFO metrics are served on http://[::1]:9000/metrics",
                Some(Listener::Metrics(address("[::1]:9000"))),
            ),
            ("INFO ready: serving udp on 0.0.0.0:6969", None),
            ("INFO nobody listens on 0.0.0.0:6969", None),
        ];
        for (line, expected) in lines {
            assert_eq!(listener(line), expected, "{line}");
        }
    }
}
