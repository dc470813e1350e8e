//! Who is in a swarm, how many they are counted, and who is told of whom.

use super::{client, hash};
use crate::{
    FIRST_INTERVAL, INTERVAL, eventually,
    rig::{Family, Path, Rig},
    udp::{Announce, Row, event, id20},
};
use std::collections::{BTreeMap, BTreeSet};

/// A lone leecher sees itself counted and nobody to talk to; beside the counts is the tracker's interval.
pub fn the_announcer_is_counted_but_not_listed(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        let info_hash = hash("announcer", family);
        for _ in 0..2 {
            let reply = client.announce(&Announce::leecher(info_hash, 1));
            assert_eq!((reply.seeders, reply.leechers), (0, 1));
            assert!(FIRST_INTERVAL.contains(&reply.interval), "{reply:?}");
            assert_eq!(reply.peers, []);
        }
        let reply = client.announce(&Announce::seeder(info_hash, 2));
        assert_eq!((reply.seeders, reply.leechers, reply.ports()), (1, 1, vec![1]));
        let reply = client.announce(&Announce::leecher(info_hash, 1));
        assert_eq!((reply.seeders, reply.leechers, reply.ports()), (1, 1, vec![2]));
    }
}

/// Between its bounds and not always the same, so that clients that came at once do not come back at once; and less for who is
/// first to download.
pub fn intervals_differ_within_their_bounds(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        for (case, left, bounds) in [("old", 0, INTERVAL), ("begun", 1, FIRST_INTERVAL)] {
            let announce = Announce { left, ..Announce::seeder(hash(case, family), 1) };
            let told: BTreeSet<u32> = (0..60).map(|_| client.announce(&announce).interval).collect();
            assert!(told.iter().all(|interval| bounds.contains(interval)), "{case}: {told:?}");
            assert!(told.len() > 10, "{case}: {told:?}");
        }
    }
}

/// Two seeders have nothing for each other.
pub fn seeders_are_given_leechers_only(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        let info_hash = hash("roles", family);
        for port in 1..=3 {
            client.announce(&Announce::seeder(info_hash, port));
            client.announce(&Announce::leecher(info_hash, 10 + port));
        }
        let reply = client.announce(&Announce::seeder(info_hash, 1));
        assert_eq!((reply.seeders, reply.leechers, reply.ports()), (3, 3, vec![11, 12, 13]));
        let reply = client.announce(&Announce::leecher(info_hash, 11));
        assert_eq!((reply.seeders, reply.leechers, reply.ports()), (3, 3, vec![1, 2, 3, 12, 13]));
        // A seeder that lost a piece is a leecher again.
        let reply = client.announce(&Announce::leecher(info_hash, 1).event(event::NONE));
        assert_eq!((reply.seeders, reply.leechers, reply.ports()), (2, 4, vec![2, 3, 11, 12, 13]));
    }
}

/// A download counts once, whoever repeats it, and only with nothing left.
pub fn completed_is_counted_once(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        let info_hash = hash("completed", family);
        let row = |seeders, completed, leechers| Row { seeders, completed, leechers };
        client.announce(&Announce::leecher(info_hash, 1));
        assert_eq!(client.row(info_hash), row(0, 0, 1));
        // Not complete after all.
        client.announce(&Announce::leecher(info_hash, 1).event(event::COMPLETED));
        assert_eq!(client.row(info_hash), row(0, 0, 1));
        for _ in 0..3 {
            client.announce(&Announce::seeder(info_hash, 1).event(event::COMPLETED));
            assert_eq!(client.row(info_hash), row(1, 1, 0));
        }
        // One that is seen for the first time.
        for _ in 0..2 {
            client.announce(&Announce::seeder(info_hash, 2).event(event::COMPLETED));
            assert_eq!(client.row(info_hash), row(2, 2, 0));
        }
        // A seeder that started as one has downloaded nothing.
        client.announce(&Announce::seeder(info_hash, 3));
        client.announce(&Announce::seeder(info_hash, 3).event(event::COMPLETED));
        assert_eq!(client.row(info_hash), row(3, 2, 0));
        // Without the event nothing is counted either.
        client.announce(&Announce::leecher(info_hash, 4));
        client.announce(&Announce::seeder(info_hash, 4).event(event::NONE));
        assert_eq!(client.row(info_hash), row(4, 2, 0));
    }
}

/// A valid, empty answer; one who was never there leaves no trace.
pub fn stopped_removes_and_is_answered(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        let info_hash = hash("stopped", family);
        for port in 1..=3 {
            client.announce(&Announce::leecher(info_hash, port));
        }
        client.announce(&Announce::seeder(info_hash, 4));
        for _ in 0..2 {
            let reply = client.announce(&Announce::leecher(info_hash, 1).event(event::STOPPED).num_want(50));
            assert_eq!((reply.seeders, reply.leechers, reply.peers.len()), (1, 2, 0));
        }
        let reply = client.announce(&Announce::seeder(info_hash, 4).event(event::STOPPED));
        assert_eq!((reply.seeders, reply.leechers, reply.peers.len()), (0, 2, 0));
        let reply = client.announce(&Announce::leecher(info_hash, 2));
        assert_eq!(reply.ports(), [3]);
        // A torrent that nobody has.
        let unknown = hash("stopped unknown", family);
        let reply = client.announce(&Announce::leecher(unknown, 1).event(event::STOPPED));
        assert_eq!((reply.seeders, reply.leechers, reply.peers.len()), (0, 0, 0));
        assert_eq!(client.row(unknown), Row::default());
    }
}

/// Never dropped: the peer is there all the same.
pub fn unknown_events_count_as_none(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        let info_hash = hash("events", family);
        for (n, event) in (1_u16..).zip([event::NONE, 5, 77, 0x0300_0000, u32::MAX]) {
            let reply = client.announce(&Announce::leecher(info_hash, n).event(event));
            assert_eq!(
                (reply.leechers, reply.peers.len()),
                (u32::from(n), usize::from(n - 1)),
                "event {event}"
            );
        }
    }
}

/// BEP 21: stays, counted as incomplete, and is told to others.
pub fn a_paused_peer_is_a_partial_seed(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        let info_hash = hash("paused", family);
        client.announce(&Announce::leecher(info_hash, 1));
        client.announce(&Announce::leecher(info_hash, 1).event(event::PAUSED));
        assert_eq!(client.row(info_hash), Row { leechers: 1, ..Row::default() });
        assert_eq!(client.announce(&Announce::leecher(info_hash, 2)).ports(), [1]);
    }
}

/// Not its peer ID: two may share one, and nobody evicts another by guessing it.
pub fn a_peer_is_its_address_and_port(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let info_hash = hash("identity", family);
        let same = id20("the same peer ID", 0);
        let first = client(&rig, family);
        for port in [1, 2] {
            first.announce(&Announce { peer_id: same, ..Announce::leecher(info_hash, port) });
        }
        assert_eq!(first.row(info_hash).leechers, 2);
        // The same address and port is the same peer, whatever it calls itself.
        first.announce(&Announce { peer_id: id20("another", 0), ..Announce::leecher(info_hash, 1) });
        assert_eq!(first.row(info_hash).leechers, 2);
        if rig.client_addresses(family) > 1 {
            let second = rig.client(family, 2);
            second.announce(&Announce { peer_id: same, ..Announce::leecher(info_hash, 1) });
            second.announce(
                &Announce { peer_id: same, ..Announce::leecher(info_hash, 2) }.event(event::STOPPED),
            );
            assert_eq!(first.row(info_hash).leechers, 3);
            let mut listed = first.announce(&Announce::leecher(info_hash, 9)).peers;
            listed.sort_unstable();
            let mut expected = [(&first, 1), (&first, 2), (&second, 1)]
                .map(|(client, port)| std::net::SocketAddr::new(client.address().ip(), port));
            expected.sort_unstable();
            assert_eq!(listed, expected);
        }
    }
}

/// One swarm, though each family is told of its own peers only.
pub fn both_families_count_together(path: Path) {
    let rig = Rig::new(path);
    let info_hash = id20("both families", 0);
    let [v4, v6] = Family::BOTH.map(|family| client(&rig, family));
    v4.announce(&Announce::seeder(info_hash, 1));
    v4.announce(&Announce::leecher(info_hash, 2));
    let reply = v6.announce(&Announce::leecher(info_hash, 3));
    assert_eq!((reply.seeders, reply.leechers, reply.peers.len()), (1, 2, 0));
    let reply = v6.announce(&Announce::seeder(info_hash, 4).event(event::COMPLETED));
    assert_eq!((reply.seeders, reply.leechers, reply.ports()), (2, 2, vec![3]));
    let reply = v4.announce(&Announce::leecher(info_hash, 2));
    assert_eq!((reply.seeders, reply.leechers, reply.ports()), (2, 2, vec![1]));
    let row = Row { seeders: 2, completed: 1, leechers: 2 };
    assert_eq!((v4.row(info_hash), v6.row(info_hash)), (row, row));
}

/// The count of downloads stays when everybody has left.
pub fn downloads_outlive_the_peers(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        let info_hash = hash("outlive", family);
        client.announce(&Announce::leecher(info_hash, 1));
        client.announce(&Announce::seeder(info_hash, 1).event(event::COMPLETED));
        client.announce(&Announce::seeder(info_hash, 1).event(event::STOPPED));
        assert_eq!(client.row(info_hash), Row { completed: 1, ..Row::default() });
        client.announce(&Announce::leecher(info_hash, 2));
        assert_eq!(client.row(info_hash), Row { completed: 1, leechers: 1, seeders: 0 });
    }
}

/// Over many announces every peer of a swarm is listed about equally often, and none twice in one list.
pub fn every_peer_is_handed_out_about_equally(path: Path) {
    const PEERS: u16 = 200;
    const ANNOUNCES: u32 = 400;
    const WANTED: i32 = 50;
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        let info_hash = hash("sample", family);
        for port in 1..=PEERS {
            let left = u64::from(port % 2);
            client.announce(&Announce { left, ..Announce::leecher(info_hash, port) }.num_want(0));
        }
        let mut times: BTreeMap<u16, u32> = (1..=PEERS).map(|port| (port, 0)).collect();
        for _ in 0..ANNOUNCES {
            let mut ports = client.announce(&Announce::leecher(info_hash, 1000).num_want(WANTED)).ports();
            assert_eq!(ports.len(), 50);
            ports.dedup();
            assert_eq!(ports.len(), 50, "a peer is listed once");
            for port in ports {
                *times.get_mut(&port).unwrap_or_else(|| panic!("no peer has port {port}")) += 1;
            }
        }
        // 100 expected for each; by chance alone, six standard deviations away is not seen in a lifetime.
        let (least, most) = (times.values().min().copied(), times.values().max().copied());
        assert!(
            least >= Some(48) && most <= Some(152),
            "100 expected, {least:?} to {most:?} seen: {times:?}"
        );
    }
}

/// One peer falls silent, another goes on: only the first is gone, from lists, counts and memory, its download is not.
pub fn a_silent_peer_is_forgotten(path: Path) {
    let config = "[swarm]\ninterval = \"1s\"\npeer_timeout = \"3s\"\nsweep_interval = \"1s\"\n";
    let rig = Rig::with_config(path, config);
    let places = Family::BOTH.map(|family| {
        let client = client(&rig, family);
        let [shared, lonely] = ["expiry", "expiry alone"].map(|name| hash(name, family));
        client.announce(&Announce::seeder(shared, 1).event(event::COMPLETED));
        client.announce(&Announce::leecher(lonely, 1));
        assert_eq!(client.row(lonely).leechers, 1);
        (client, shared, lonely)
    });
    eventually("the silent peers to be forgotten", || {
        let mut all_gone = true;
        for (client, shared, lonely) in &places {
            let reply = client.announce(&Announce::leecher(*shared, 2));
            let listed = u32::try_from(reply.peers.len()).expect("a short list");
            assert_eq!((reply.leechers, reply.seeders), (1, listed), "lists and counts agree");
            assert_eq!(client.row(*shared).completed, 1);
            all_gone &= reply.seeders == 0 && client.row(*lonely) == Row::default();
        }
        all_gone.then_some(())
    });
    for (client, shared, _) in &places {
        client.announce(&Announce::leecher(*shared, 2).event(event::STOPPED));
    }
    rig.riptide().metrics_until("no torrent", |m| {
        m.sum("riptide_torrents", &[]) == 0.0 && m.sum("riptide_peers", &[]) == 0.0
    });
}
