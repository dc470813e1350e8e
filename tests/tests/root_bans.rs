//! Bans and denied torrents on every path of UDP: by the XDP program, native and generic, and by the sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use tempfile::TempDir;
use tests::{
    control::printed,
    rig::{Family, Path, Rig},
    udp::{Announce, Client, Reply, connect_bytes, hex, id20},
};

const PATHS: [Path; 3] = [Path::Native, Path::Generic, Path::Sockets];

/// What a client sends is dropped, on this path, and it hears nothing: a connect, and an announce with an ID that holds.
fn gets_nothing(rig: &Rig, client: &Client, id: [u8; 8]) {
    let path = [("reason", "banned"), ("path", rig.connect_path())];
    let before = rig.metrics().sum("riptide_udp_dropped_total", &path);
    client.send(&connect_bytes(client.transaction()));
    client.send(&Announce::leecher(id20("banned", 0), 1).bytes(id, client.transaction()));
    let metrics = rig.riptide().metrics_until("two drops", |metrics| {
        metrics.sum("riptide_udp_dropped_total", &path) >= before + 2.0
    });
    let all = metrics.sum("riptide_udp_dropped_total", &[("reason", "banned")]);
    assert_eq!(all, metrics.sum("riptide_udp_dropped_total", &path), "on no other path");
    assert!(client.take_arrived().is_empty(), "it was answered");
}

#[test]
fn a_ban_holds_at_once_on_every_path_and_for_good() {
    for path in PATHS {
        let mut rig = Rig::new(path);
        let address = |family| rig.client(family, 2).address().ip();
        let networks = Family::BOTH.map(address).map(|ip| ip.to_string());
        let ids = Family::BOTH.map(|family| rig.client(family, 2).connect());
        let control = |rig: &Rig, verb: &str| {
            for network in &networks {
                let _ = printed(&rig.riptide().control(&format!("ban {verb} {network}")));
            }
        };
        let check = |rig: &Rig| {
            for (family, id) in Family::BOTH.into_iter().zip(ids) {
                gets_nothing(rig, &rig.client(family, 2), id);
                rig.client(family, 1).announce(&Announce::leecher(id20("other", 0), 1));
            }
        };
        control(&rig, "add");
        check(&rig);
        rig.restart();
        check(&rig);
        for _ in 0..2 {
            rig.hand_over();
            check(&rig);
        }
        control(&rig, "remove");
        for (family, id) in Family::BOTH.into_iter().zip(ids) {
            let client = rig.client(family, 2);
            client.connect();
            client.with_connection(id).announce(&Announce::leecher(id20("banned", 0), 1));
        }
        // One family alone.
        let _ = printed(&rig.riptide().control(&format!("ban add {}", networks[1])));
        gets_nothing(&rig, &rig.client(Family::V6, 2), ids[1]);
        rig.client(Family::V4, 2).connect();
    }
}

#[test]
fn a_list_is_taken_up_by_a_reload_on_every_path() {
    for path in PATHS {
        let lists = TempDir::new().expect("a directory");
        let file = lists.path().join("networks");
        fs::write(&file, "10.77.0.102\n").expect("a list");
        let config = format!("[access]\ndenied_networks = {:?}\n", file.display().to_string());
        let rig = Rig::with_config(path, &config);
        let id = rig.client(Family::V4, 3).connect();
        let clients = [2, 3].map(|number| rig.client(Family::V4, number));
        gets_nothing(&rig, &clients[0], id);
        fs::write(&file, "10.77.0.103\nfd77::/120\n").expect("a list");
        let _ = printed(&rig.riptide().control("reload"));
        // A long list may take the program a moment, so this one waits for a decision, which comes after it.
        let _ = printed(&rig.riptide().control("ban add 192.0.2.1"));
        clients[0].connect();
        gets_nothing(&rig, &clients[1], id);
        fs::write(&file, "# nobody\n").expect("a list");
        let _ = printed(&rig.riptide().control("reload"));
        let _ = printed(&rig.riptide().control("ban remove 192.0.2.1"));
        for client in &clients {
            client.connect();
        }
    }
}

#[test]
fn a_denied_torrent_is_refused_on_every_path_and_after_a_hand_over() {
    for path in PATHS {
        let mut rig = Rig::new(path);
        let hash = id20("denied", 0);
        let refused = |client: &Client| match client.try_announce(&Announce::leecher(hash, 1)) {
            Reply::Error(reason) => assert!(reason.contains("not allowed"), "{reason}"),
            other => panic!("{other:?}"),
        };
        let client = rig.client(Family::V4, 1);
        client.announce(&Announce::leecher(hash, 1));
        let _ = printed(&rig.riptide().control(&format!("deny add {}", hex(hash))));
        refused(&client);
        rig.hand_over();
        refused(&client);
        let _ = printed(&rig.riptide().control(&format!("deny remove {}", hex(hash))));
        assert!(client.announce(&Announce::leecher(hash, 1)).ports().is_empty(), "its peers were forgotten");
    }
}
