//! Reading the announce address.

use hyper::Uri;
use std::{fmt, net::IpAddr};

/// How a tracker is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// BEP 15.
    Udp,
    /// BEP 3.
    Http,
    /// The same over TLS.
    Https,
    /// WebTorrent.
    Ws,
    /// The same over TLS.
    Wss,
}

impl Scheme {
    const ALL: [Self; 5] = [Self::Udp, Self::Http, Self::Https, Self::Ws, Self::Wss];

    /// The word before the colon.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Http => "http",
            Self::Https => "https",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// The port where none is named.
    const fn port(self) -> Option<u16> {
        match self {
            Self::Udp => None,
            Self::Http | Self::Ws => Some(80),
            Self::Https | Self::Wss => Some(443),
        }
    }

    /// Whether it is spoken over TLS.
    pub(super) const fn is_secure(self) -> bool {
        matches!(self, Self::Https | Self::Wss)
    }
}

/// An announce address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) scheme: Scheme,
    /// A name, or an address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The path with its query; `/` where there is none.
    pub(super) path: String,
}

/// Why something is no announce address of a tracker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UrlError {
    #[error("`{0}` is no announce address: write one such as udp://tracker.example:6969/announce")]
    NoUrl(String),
    #[error("`{0}:` cannot be asked: trackers speak udp:, http:, https:, ws: and wss:")]
    Scheme(String),
    #[error("`{0}` names no port, and udp: has no usual one: write udp://HOST:PORT")]
    NoPort(String),
    #[error("`{0}` has a name and a password in it, which no client sends to a tracker: leave them out")]
    UserInfo(String),
}

impl Target {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, UrlError> {
        let none = || UrlError::NoUrl(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| none())?;
        let (word, authority) = (uri.scheme_str().ok_or_else(none)?, uri.authority().ok_or_else(none)?);
        let scheme = Scheme::ALL.into_iter().find(|scheme| scheme.word().eq_ignore_ascii_case(word));
        let scheme = scheme.ok_or_else(|| UrlError::Scheme(word.to_owned()))?;
        if authority.as_str().contains('@') {
            return Err(UrlError::UserInfo(text.to_owned()));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        // What is no number in range counts as no port, and stands behind a colon all the same.
        let named = authority.port_u16().filter(|&port| port != 0);
        if host.is_empty() || named.is_none() && authority.as_str().len() > authority.host().len() {
            return Err(none());
        }
        let port = named.or_else(|| scheme.port()).ok_or_else(|| UrlError::NoPort(text.to_owned()))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { scheme, host, port, path })
    }

    /// Where a redirect from here leads.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn follow(&self, location: &str) -> Result<Self, UrlError> {
        if location.starts_with("//") {
            return Self::parse(&format!("{}:{location}", self.scheme.word()));
        }
        // A colon before any slash ends a scheme.
        if location.split('/').next().is_some_and(|first| first.contains(':')) {
            return Self::parse(location);
        }
        let path = if location.starts_with('/') {
            location.to_owned()
        } else {
            let path = self.path.split('?').next().unwrap_or_default();
            let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
            format!("{folder}{location}")
        };
        Self::parse(&format!("{}://{}{path}", self.scheme.word(), self.authority()))
    }

    /// The address that the host is, if it is no name.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The host, and the port unless it is the usual one: what goes into `Host`.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.scheme.port() {
            Some(usual) if usual == self.port => host,
            _ => format!("{host}:{}", self.port),
        }
    }

    /// The address without its query, which may be a client's own.
    pub(super) fn origin(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{}://{}{path}", self.scheme.word(), self.authority())
    }

    /// The path with a query that ends in these parameters.
    pub(super) fn path_with(&self, parameters: &str) -> String {
        let mark = if self.path.contains('?') { '&' } else { '?' };
        format!("{}{mark}{parameters}", self.path)
    }

    /// Where scrapes go (BEP 48): `announce`, with which the last part of the path begins, becomes `scrape`.
    pub(super) fn scrape(&self) -> Option<Self> {
        let end = self.path.find('?').unwrap_or(self.path.len());
        let last = self.path[..end].rfind('/')? + 1;
        let behind = self.path[last..].strip_prefix("announce")?;
        Some(Self { path: format!("{}scrape{behind}", &self.path[..last]), ..self.clone() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.word(), self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, scheme, host, port, path) in [
            ("udp://tracker.example:6969/announce", Scheme::Udp, "tracker.example", 6969, "/announce"),
            ("udp://192.0.2.1:6969", Scheme::Udp, "192.0.2.1", 6969, "/"),
            ("UDP://[2001:db8::1]:80/KEY/announce", Scheme::Udp, "2001:db8::1", 80, "/KEY/announce"),
            ("http://tracker.example/announce?key=1", Scheme::Http, "tracker.example", 80, "/announce?key=1"),
            ("https://[::1]/announce", Scheme::Https, "::1", 443, "/announce"),
            ("ws://tracker.example:8000", Scheme::Ws, "tracker.example", 8000, "/"),
            ("wss://tracker.example", Scheme::Wss, "tracker.example", 443, "/"),
        ] {
            let expected = Target { scheme, host: host.to_owned(), port, path: path.to_owned() };
            assert_eq!(Target::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_announce_address_is_told() {
        let text = |text: &str| Target::parse(text).unwrap_err().to_string();
        for none in [
            "",
            "tracker.example:6969",
            "/announce",
            "udp:///announce",
            "http://a:99999/",
            "http://a:x/",
            "http://a:0",
        ] {
            assert!(text(none).contains("is no announce address"), "{none}: {}", text(none));
        }
        assert!(text("ftp://tracker.example/").starts_with("`ftp:` cannot be asked"));
        assert!(text("udp://tracker.example/announce").contains("names no port"));
        assert!(text("http://me:secret@tracker.example/announce").contains("leave them out"));
    }

    #[test]
    fn scrapes_go_where_bep_48_says() {
        for (announce, scrape) in [
            ("http://a/announce", Some("http://a/scrape")),
            ("http://a/x/announce", Some("http://a/x/scrape")),
            ("http://a:81/announce.php?k=/announce", Some("http://a:81/scrape.php?k=/announce")),
            ("http://a/a", None),
            ("http://a/announce/x", None),
            ("http://a/x%064announce", None),
            ("http://a", None),
        ] {
            let found = Target::parse(announce).unwrap().scrape().map(|target| target.to_string());
            assert_eq!(found.as_deref(), scrape, "{announce}");
        }
    }

    #[test]
    fn redirects_lead_somewhere() {
        let from = Target::parse("http://a:81/x/announce?k=1").unwrap();
        for (location, to) in [
            ("https://b/announce", "https://b/announce"),
            ("//b/y", "http://b/y"),
            ("/y?z=1", "http://a:81/y?z=1"),
            ("y", "http://a:81/x/y"),
        ] {
            assert_eq!(from.follow(location).unwrap().to_string(), to, "{location}");
        }
        assert!(from.follow("mailto:b").is_err() && from.follow("ftp://b/").is_err());
        assert_eq!(from.path_with("p=2"), "/x/announce?k=1&p=2");
        assert_eq!(Target::parse("http://a/announce").unwrap().path_with("p=2"), "/announce?p=2");
        assert_eq!(Target::parse("http://[::1]:81/").unwrap().authority(), "[::1]:81");
    }
}
