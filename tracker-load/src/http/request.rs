//! Announces and scrapes as bytes (BEP 3, BEP 23, BEP 48).

use crate::{target::Target, workload::Peer};
use std::fmt::Write as _;
use tracker_common::hex;

/// What a leecher of the workload still wants, bytes.
const LEFT: u64 = 1_000_000_000;

/// What is the same in every request to one target.
#[derive(Clone, Debug)]
pub struct Requests {
    announce: String,
    scrape: String,
    /// From the end of the query to the end of the request.
    tail: String,
}

impl Requests {
    /// For requests that keep their connection open, or close it.
    #[must_use]
    pub fn new(target: &Target, keep_alive: bool) -> Self {
        let start = |path: &str| {
            let mark = if path.contains('?') { '&' } else { '?' };
            format!("GET {path}{mark}")
        };
        // BEP 48: the last "announce" of the path becomes "scrape".
        let scrape = match target.path.rfind("announce") {
            Some(at) => format!("{}scrape{}", &target.path[..at], &target.path[at + "announce".len()..]),
            None => target.path.clone(),
        };
        let close = if keep_alive { "" } else { "Connection: close\r\n" };
        let tail =
            format!(" HTTP/1.1\r\nHost: {}\r\nUser-Agent: riptide-load\r\n{close}\r\n", target.authority());
        Self { announce: start(&target.path), scrape: start(&scrape), tail }
    }

    /// Appends an announce.
    pub fn announce(&self, to: &mut Vec<u8>, peer: &Peer, wanted: u16) {
        to.extend(self.announce.as_bytes());
        to.extend(b"info_hash=");
        escape(to, &peer.info_hash);
        to.extend(b"&peer_id=");
        escape(to, &peer.peer_id);
        let left = if peer.seeder { 0 } else { LEFT };
        let mut numbers = Text(to);
        // Writing to memory cannot fail.
        let _ = write!(
            numbers,
            "&port={}&uploaded=0&downloaded=0&left={left}&numwant={wanted}&compact=1",
            peer.port
        );
        to.extend(self.tail.as_bytes());
    }

    /// Appends a scrape of these torrents.
    pub fn scrape(&self, to: &mut Vec<u8>, hashes: impl Iterator<Item = [u8; 20]>) {
        to.extend(self.scrape.as_bytes());
        for (number, hash) in hashes.enumerate() {
            to.extend(if number == 0 { &b"info_hash="[..] } else { b"&info_hash=" });
            escape(to, &hash);
        }
        to.extend(self.tail.as_bytes());
    }
}

struct Text<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend(text.as_bytes());
        Ok(())
    }
}

/// Percent-escapes what RFC 3986 does not call unreserved, as clients do.
fn escape(to: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            to.push(byte);
        } else {
            to.push(b'%');
            to.extend(hex::digits(byte).map(|digit| digit.to_ascii_uppercase()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Protocol;

    fn requests(target: &str, keep_alive: bool) -> Requests {
        Requests::new(&Target::parse(target, Protocol::Http, false).unwrap(), keep_alive)
    }

    fn announce(requests: &Requests, seeder: bool) -> String {
        let mut hash = [0xab; 20];
        hash[..4].copy_from_slice(b"a-~ ");
        let peer = Peer { info_hash: hash, peer_id: *b"-RL0100-000000000000", port: 6881, seeder };
        let mut bytes = Vec::new();
        requests.announce(&mut bytes, &peer, 30);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_announce_is_what_clients_send() {
        let expected = format!(
            "GET /announce?info_hash=a-~%20{}&peer_id=-RL0100-000000000000&port=6881&uploaded=0&downloaded=0\
             &left=1000000000&numwant=30&compact=1 HTTP/1.1\r\nHost: 127.0.0.1:6969\r\n\
             User-Agent: riptide-load\r\n\r\n",
            "%AB".repeat(16)
        );
        assert_eq!(announce(&requests("127.0.0.1:6969", true), false), expected);
        let closing = announce(&requests("http://[::1]:80/x/announce?key=1", false), true);
        assert!(closing.starts_with("GET /x/announce?key=1&info_hash="), "{closing}");
        assert!(closing.contains("&left=0&") && closing.contains("\r\nHost: [::1]:80\r\n"), "{closing}");
        assert!(closing.ends_with("\r\nConnection: close\r\n\r\n"), "{closing}");
    }

    #[test]
    fn a_scrape_goes_where_bep_48_says() {
        let mut bytes = Vec::new();
        requests("http://a:1/announce/announce.php", true)
            .scrape(&mut bytes, [[b'x'; 20], [b'y'; 20]].into_iter());
        let text = String::from_utf8(bytes).unwrap();
        let query = format!("info_hash={}&info_hash={} HTTP/1.1\r\n", "x".repeat(20), "y".repeat(20));
        assert!(text.starts_with(&format!("GET /announce/scrape.php?{query}")), "{text}");
    }
}
