//! The announce URLs, from what listens and how clients reach it.

use crate::{
    config::ListenAddress,
    host::{Host, Proxy, PublicHost},
};
use std::net::{IpAddr, SocketAddr};

/// What stands where nobody has said how clients reach the tracker.
pub(super) const UNKNOWN_HOST: &str = "HOST";
/// What stands where a member's own key goes.
pub(super) const KEY: &str = "KEY";

/// What listens for clients.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    /// UDP.
    pub udp: Vec<SocketAddr>,
    /// HTTP without TLS.
    pub http: Vec<ListenAddress>,
    /// HTTP with TLS.
    pub https: Vec<ListenAddress>,
    /// Whether HTTP listeners take WebSockets.
    pub websocket: bool,
}

impl Listeners {
    /// Addresses that HTTP is reached at, if each has one.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let tcp = tcp(&self.https).into_iter().chain(tcp(&self.http));
        tcp.map(|listener| listener.ip()).filter(|address| !address.is_unspecified())
    }
}

/// A URL to announce to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// What people call the protocol.
    pub(super) protocol: &'static str,
    /// Nothing in it is markup.
    pub(super) text: String,
}

/// Every URL: those of UDP first, then encrypted ones. `asked` is how whoever looks has called this host.
pub(super) fn urls(
    listeners: &Listeners,
    public: Option<&PublicHost>,
    asked: Option<&Host>,
    private: bool,
) -> Vec<Url> {
    let host = public.map(|public| &public.host).or(asked);
    let shown = host.map_or_else(|| UNKNOWN_HOST.to_owned(), Host::to_string);
    let path = if private { format!("/{KEY}/announce") } else { "/announce".to_owned() };
    let websocket_path = if private { format!("/{KEY}") } else { String::new() };
    let mut urls = Vec::new();
    for port in ports(&listeners.udp, host) {
        urls.push(Url { protocol: "UDP", text: format!("udp://{shown}:{port}{path}") });
    }
    let [http, https] = match public.and_then(|public| public.proxy) {
        Some(Proxy { tls: false, port }) => [vec![port.unwrap_or(HTTP)], Vec::new()],
        Some(Proxy { tls: true, port }) => [Vec::new(), vec![port.unwrap_or(HTTPS)]],
        None => [&listeners.http, &listeners.https].map(|all| ports(&tcp(all), host)),
    };
    let websocket = listeners.websocket && !(listeners.http.is_empty() && listeners.https.is_empty());
    for (protocol, scheme, own, ports, path) in [
        ("HTTPS", "https", HTTPS, &https, &path),
        ("HTTP", "http", HTTP, &http, &path),
        ("WebTorrent", "wss", HTTPS, &https, &websocket_path),
        ("WebTorrent", "ws", HTTP, &http, &websocket_path),
    ] {
        for port in ports.iter().filter(|_| websocket || !scheme.starts_with("ws")) {
            let port = if *port == own { String::new() } else { format!(":{port}") };
            urls.push(Url { protocol, text: format!("{scheme}://{shown}{port}{path}") });
        }
    }
    urls
}

/// The ports that the protocols have by themselves.
const HTTP: u16 = 80;
const HTTPS: u16 = 443;

/// Those that are reached by TCP: a Unix socket is for a proxy.
fn tcp(listeners: &[ListenAddress]) -> Vec<SocketAddr> {
    let tcp = |listener: &ListenAddress| match listener {
        ListenAddress::Tcp(address) => Some(*address),
        ListenAddress::Unix(_) => None,
    };
    listeners.iter().filter_map(tcp).collect()
}

/// Ports of the listeners that are reached by this host, each once.
fn ports(listeners: &[SocketAddr], host: Option<&Host>) -> Vec<u16> {
    let mut ports = Vec::new();
    for listener in listeners.iter().filter(|listener| reaches(host, **listener)) {
        if !ports.contains(&listener.port()) {
            ports.push(listener.port());
        }
    }
    ports
}

/// Whether who goes to this host may come to this listener.
fn reaches(host: Option<&Host>, listener: SocketAddr) -> bool {
    let here = listener.ip();
    match host {
        Some(Host::Address(address)) => {
            *address == here || (here.is_unspecified() && address.is_ipv4() == here.is_ipv4())
        }
        Some(name) if name.is_loopback() => here.is_loopback() || here.is_unspecified(),
        // A name leads to any address but to those that only this host has.
        _ => !here.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listeners(udp: &[&str], http: &[&str], https: &[&str]) -> Listeners {
        let all =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let streams = |texts: &[&str]| -> Vec<ListenAddress> {
            let stream = |text: &&str| match text.strip_prefix("unix:") {
                Some(path) => ListenAddress::Unix(path.into()),
                None => ListenAddress::Tcp(text.parse().unwrap()),
            };
            texts.iter().map(stream).collect()
        };
        Listeners { udp: all(udp), http: streams(http), https: streams(https), websocket: true }
    }

    fn texts(listeners: &Listeners, public: &str, asked: &str, private: bool) -> Vec<String> {
        let (public, asked) = (PublicHost::parse(public), Host::parse(asked));
        urls(listeners, public.as_ref(), asked.as_ref(), private).into_iter().map(|url| url.text).collect()
    }

    const BOTH: [&str; 2] = ["0.0.0.0:6969", "[::]:6969"];

    #[test]
    fn listeners_make_urls() {
        let usual = listeners(&BOTH, &BOTH, &[]);
        let web = listeners(&BOTH, &["0.0.0.0:80", "[::]:80"], &["0.0.0.0:443", "[::]:443"]);
        let loopback = listeners(&["127.0.0.1:6969"], &["127.0.0.1:6969", "unix:/a"], &[]);
        let own = listeners(&["192.0.2.1:6969", "[2001:db8::1]:7000"], &["192.0.2.1:8080"], &["[::]:8443"]);
        let split = listeners(&["0.0.0.0:1", "[::]:2"], &[], &[]);
        let unix = listeners(&BOTH, &["unix:/a"], &[]);
        let cases: [(&Listeners, &str, &str, &[&str]); 16] = [
            (
                &usual,
                "",
                "a.example",
                &["udp://a.example:6969", "http://a.example:6969", "ws://a.example:6969"],
            ),
            (
                &usual,
                "b.example",
                "a.example",
                &["udp://b.example:6969", "http://b.example:6969", "ws://b.example:6969"],
            ),
            (
                &usual,
                "",
                "192.0.2.1",
                &["udp://192.0.2.1:6969", "http://192.0.2.1:6969", "ws://192.0.2.1:6969"],
            ),
            (
                &usual,
                "",
                "[2001:db8::1]",
                &["udp://[2001:db8::1]:6969", "http://[2001:db8::1]:6969", "ws://[2001:db8::1]:6969"],
            ),
            (
                &usual,
                "",
                "localhost",
                &["udp://localhost:6969", "http://localhost:6969", "ws://localhost:6969"],
            ),
            (&usual, "", "", &["udp://HOST:6969", "http://HOST:6969", "ws://HOST:6969"]),
            (
                &web,
                "a.example",
                "",
                &[
                    "udp://a.example:6969",
                    "https://a.example",
                    "http://a.example",
                    "wss://a.example",
                    "ws://a.example",
                ],
            ),
            (
                &loopback,
                "",
                "127.0.0.1",
                &["udp://127.0.0.1:6969", "http://127.0.0.1:6969", "ws://127.0.0.1:6969"],
            ),
            (
                &loopback,
                "",
                "localhost",
                &["udp://localhost:6969", "http://localhost:6969", "ws://localhost:6969"],
            ),
            (&loopback, "", "a.example", &[]),
            (
                &own,
                "",
                "192.0.2.1",
                &["udp://192.0.2.1:6969", "http://192.0.2.1:8080", "ws://192.0.2.1:8080"],
            ),
            (
                &own,
                "",
                "[2001:db8::1]",
                &["udp://[2001:db8::1]:7000", "https://[2001:db8::1]:8443", "wss://[2001:db8::1]:8443"],
            ),
            (&split, "", "a.example", &["udp://a.example:1", "udp://a.example:2"]),
            (
                &unix,
                "https://a.example",
                "",
                &["udp://a.example:6969", "https://a.example", "wss://a.example"],
            ),
            (&loopback, "http://a.example:8080", "", &["http://a.example:8080", "ws://a.example:8080"]),
            (&unix, "a.example", "", &["udp://a.example:6969"]),
        ];
        for (listeners, public, asked, expected) in cases {
            let with_path = |url: &&str| {
                if url.starts_with("ws") { (*url).to_owned() } else { format!("{url}/announce") }
            };
            let expected: Vec<String> = expected.iter().map(with_path).collect();
            assert_eq!(
                texts(listeners, public, asked, false),
                expected,
                "{public:?} {asked:?} {listeners:?}"
            );
        }
    }

    #[test]
    fn a_private_tracker_has_a_place_for_the_key() {
        let listeners = listeners(&BOTH, &BOTH, &["[::]:443"]);
        assert_eq!(
            texts(&listeners, "a.example", "", true),
            [
                "udp://a.example:6969/KEY/announce",
                "https://a.example/KEY/announce",
                "http://a.example:6969/KEY/announce",
                "wss://a.example/KEY",
                "ws://a.example:6969/KEY",
            ]
        );
    }

    #[test]
    fn without_websocket_there_is_no_url_of_it() {
        let mut listeners = listeners(&BOTH, &BOTH, &[]);
        listeners.websocket = false;
        let urls = texts(&listeners, "https://a.example", "", false);
        assert_eq!(urls, ["udp://a.example:6969/announce", "https://a.example/announce"]);
    }
}
