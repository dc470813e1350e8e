//! A private tracker behind every path of UDP, where the key comes as URL data (BEP 41), and with real clients.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use tests::{
    private::{Files, url_data},
    rig::{Family, Path, Rig},
    transfer::{Program, Scheme, private_transfer_between},
    udp::{Announce, Reply, id20},
};

const KEY: &str = "0123456789-key";

/// Whoever brings the key is served by the path that serves all, and nobody else is.
fn keys_in_url_data(path: Path) {
    let files = Files::new(&[KEY], "-ZZ99\n");
    let rig = Rig::with_config(path, &files.access());
    let mut announces = 0;
    for family in Family::BOTH {
        let client = rig.client(family, 1);
        let hash = id20("private", u32::from(family == Family::V6));
        let with = |port, tail: Vec<u8>| Announce { tail, ..Announce::leecher(hash, port) };
        let mut ask = |announce: &Announce| {
            announces += 1;
            client.try_announce(announce)
        };
        let path = format!("/{KEY}/announce");
        for tail in [
            vec![],
            vec![0],
            url_data(&["/announce"]),
            url_data(&["/0123456789-kez/announce"]),
            url_data(&["/", "0123456789-ke"]),
            url_data(&[&"x".repeat(255), &"y".repeat(255), &"z".repeat(200)]),
        ] {
            match ask(&with(1, tail.clone())) {
                Reply::Error(text) => assert!(text.starts_with("this tracker needs a key: "), "{text}"),
                other => panic!("{other:?} to {tail:02x?}"),
            }
        }
        let long = format!("{path}?{}", "x".repeat(255 - path.len() - 1));
        for (port, tail) in (2..).zip([
            url_data(&[&path]),
            url_data(&[&path[..3], &path[3..9], &path[9..]]),
            [&[1, 1][..], &url_data(&[&path]), &[1, 0, 2, 99]].concat(),
            [&[0x40, 3, 1, 2, 3][..], &url_data(&[&path])].concat(),
            // As long as a frame can be.
            url_data(&[&long, &"y".repeat(255), &"z".repeat(255), &"z".repeat(255), &"z".repeat(255)]),
        ]) {
            let Reply::Announced(reply) = ask(&with(port, tail.clone())) else { panic!("{tail:02x?}") };
            assert_eq!(reply.leechers, u32::from(port) - 1, "{tail:02x?}");
        }
        // Cut short it is nothing at all.
        client.send(&with(9, vec![2, 9, b'/']).bytes(client.connection(), client.transaction()));
        // A client that is not wanted, key or not.
        let peer_id = *b"-ZZ9900-abcdefghijkl";
        match ask(&Announce { peer_id, ..with(9, url_data(&[&path])) }) {
            Reply::Error(text) => assert!(text.starts_with("client not allowed"), "{text}"),
            other => panic!("{other:?}"),
        }
        // Who scrapes has no key to show.
        assert_eq!(client.scrape(&[hash, id20("unknown", 1)]), [tests::udp::Row::default(); 2]);
    }
    let metrics = rig.settled();
    let path = rig.request_path();
    let of = |name, action| metrics.sum(name, &[("path", path), ("action", action)]);
    assert_eq!(of("riptide_udp_responses_total", "error"), 14.0);
    assert_eq!(of("riptide_udp_responses_total", "announce"), 10.0);
    assert_eq!(announces, 24);
    let refused = |reason| metrics.sum("riptide_peers_refused_total", &[("reason", reason)]);
    assert_eq!((refused("key"), refused("client")), (12.0, 2.0), "{}", metrics.text);
    let malformed = [("path", path), ("reason", "malformed")];
    assert_eq!(metrics.sum("riptide_udp_dropped_total", &malformed), 2.0, "{}", metrics.text);
    assert_eq!(metrics.sum("riptide_peers", &[]), 10.0);
    assert!(!rig.riptide().log_text().contains(KEY));
}

#[test]
fn keys_by_sockets() {
    keys_in_url_data(Path::Sockets);
}

#[test]
fn keys_by_xdp_in_the_driver() {
    keys_in_url_data(Path::Native);
}

#[test]
fn keys_by_xdp_behind_the_driver() {
    keys_in_url_data(Path::Generic);
}

#[test]
fn libtorrent_with_a_key_over_udp() {
    private_transfer_between([(Program::Libtorrent, Scheme::Udp); 2], false);
}

#[test]
fn libtorrent_with_a_key_over_udp_and_ipv6() {
    private_transfer_between([(Program::Libtorrent, Scheme::Udp); 2], true);
}

#[test]
fn qbittorrent_with_a_key_over_udp() {
    private_transfer_between(
        [(Program::Qbittorrent, Scheme::Udp), (Program::Libtorrent, Scheme::Udp)],
        false,
    );
}

#[test]
fn aria2_with_a_key_over_http() {
    private_transfer_between([(Program::Aria2, Scheme::Http); 2], false);
}

#[test]
fn libtorrent_with_a_key_over_udp_and_aria2_over_https() {
    private_transfer_between([(Program::Libtorrent, Scheme::Udp), (Program::Aria2, Scheme::Https)], false);
}
