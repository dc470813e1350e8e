//! `riptide probe` at a tracker of others: that of npm's bittorrent-tracker, by every protocol that it speaks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use tests::{probe::probe, scripts::Server};

#[test]
fn the_tracker_of_the_npm_package() {
    let server = Server::start("npm_tracker.js");
    let at = |scheme: &str, more: &str| {
        probe(&format!("--timeout 20s {scheme}://127.0.0.1:{}/announce {more}", server.said[scheme]))
    };
    for scheme in ["udp", "http", "ws"] {
        let probed = at(scheme, "");
        assert!(probed.text.contains("\nok: two clients find each other"), "{}", probed.text);
        assert!(probed.finds("ok", "stop 1", ""), "{}", probed.text);
        // Of a torrent whose hash is ASCII it tells right by every protocol.
        let probed = at(scheme, &format!("--info-hash {}", "5a".repeat(20)));
        assert!(probed.finds("ok", "scrape", "1 seeder, 1 leecher"), "{}", probed.text);
    }
    // It writes the keys of a scrape over HTTP as UTF-8, and gives a client its own address.
    let probed = at("http", &format!("--info-hash {}", "e1".repeat(20)));
    probed.notes("scrape", "it does not tell of the torrent, though two clients have announced it");
    probed.notes("announce 1", "it lists the client's own address");
}
