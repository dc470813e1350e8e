//! Who is in a swarm, how many they are counted, and who is told of whom, over HTTP.

use super::{client, hash};
use crate::{
    FIRST_INTERVAL, INTERVAL,
    rig::Family,
    udp::{Row, id20},
    web::{
        house::{Door, House},
        http::{Announce, Announced},
        websocket::{self, with},
    },
};
use serde_json::json;
use std::{collections::BTreeSet, net::SocketAddr};

const fn row(seeders: u32, completed: u32, leechers: u32) -> Row {
    Row { seeders, completed, leechers }
}

/// Also where there is nothing to tell, and of the client itself nothing but its own address.
pub fn a_reply_has_every_key(door: Door) {
    let house = House::new(door);
    for family in Family::BOTH {
        let client = client(&house, family);
        let info_hash = hash("keys", family);
        for _ in 0..2 {
            let reply = client.announce(&Announce::leecher(info_hash, 1));
            let expected = Announced {
                complete: 0,
                incomplete: 1,
                downloaded: 0,
                interval: reply.interval,
                min_interval: reply.min_interval,
                external_ip: client.address(),
                peers: vec![],
                peers6: Some(vec![]),
            };
            assert_eq!(reply, expected);
            assert!(FIRST_INTERVAL.contains(&u32::try_from(reply.interval).expect("seconds")), "{reply:?}");
            assert!((1..=reply.interval).contains(&reply.min_interval), "{reply:?}");
        }
        let reply = client.announce(&Announce::seeder(info_hash, 2));
        assert_eq!((reply.counts(), reply.all()), ((1, 0, 1), vec![client.at(1)]));
        let reply = client.announce(&Announce::leecher(info_hash, 1));
        assert_eq!((reply.counts(), reply.all()), ((1, 0, 1), vec![client.at(2)]));
        // A magnet link's size is not known yet.
        let reply = client.announce(&Announce { left: None, ..Announce::leecher(info_hash, 3) });
        assert_eq!((reply.counts(), reply.ports()), ((1, 0, 2), vec![1, 2]));
    }
}

/// Over HTTP and WebSocket alike: between their bounds and not always the same.
pub fn intervals_differ_within_their_bounds(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    let mut socket = client.websocket();
    let (old, begun) = (hash("old", Family::V4), hash("begun", Family::V4));
    let mut ask = |info_hash, left: u64| {
        let announce = Announce { left: Some(left), ..Announce::seeder(info_hash, 1) };
        let http = client.announce(&announce).interval;
        let message = with(websocket::announce(info_hash, id20("webrtc", 0)), &json!({ "left": left }));
        let webtorrent = socket.ask(&message)["interval"].as_i64().expect("an interval");
        [http, webtorrent].map(|interval| u32::try_from(interval).expect("seconds"))
    };
    let told: Vec<_> = (0..60).map(|_| (ask(old, 0), ask(begun, 1))).collect();
    // The first of the second torrent and whoever is its second: half, and a tenth of that more.
    for (name, told, least, most) in [
        (
            "http",
            told.iter().map(|(old, _)| old[0]).collect::<BTreeSet<_>>(),
            *INTERVAL.start(),
            *INTERVAL.end(),
        ),
        ("webtorrent", told.iter().map(|(old, _)| old[1]).collect(), 108, 132),
        ("http, begun", told.iter().map(|(_, begun)| begun[0]).collect(), *FIRST_INTERVAL.start(), 1089),
        ("webtorrent, begun", told.iter().map(|(_, begun)| begun[1]).collect(), 54, 73),
    ] {
        assert!(told.iter().all(|interval| (least..=most).contains(interval)), "{name}: {told:?}");
        assert!(told.len() > 5, "{name}: {told:?}");
    }
}

/// Two seeders have nothing for each other.
pub fn seeders_are_given_leechers_only(door: Door) {
    let house = House::new(door);
    for family in Family::BOTH {
        let client = client(&house, family);
        let info_hash = hash("roles", family);
        for port in 1..=3 {
            client.announce(&Announce::seeder(info_hash, port));
            client.announce(&Announce::leecher(info_hash, 10 + port));
        }
        let reply = client.announce(&Announce::seeder(info_hash, 1));
        assert_eq!((reply.counts(), reply.ports()), ((3, 0, 3), vec![11, 12, 13]));
        let reply = client.announce(&Announce::leecher(info_hash, 11));
        assert_eq!((reply.counts(), reply.ports()), ((3, 0, 3), vec![1, 2, 3, 12, 13]));
        // A partial seed has what it wants, and not everything.
        client.announce(&Announce::leecher(info_hash, 12).event("paused"));
        assert_eq!(client.row(info_hash), row(3, 0, 3));
    }
}

/// A download counts once, whoever repeats it, and only with nothing left.
pub fn completed_is_counted_once(door: Door) {
    let house = House::new(door);
    for family in Family::BOTH {
        let client = client(&house, family);
        let info_hash = hash("completed", family);
        client.announce(&Announce::leecher(info_hash, 1).event("started"));
        client.announce(&Announce::leecher(info_hash, 1).event("completed"));
        assert_eq!(client.row(info_hash), row(0, 0, 1));
        for _ in 0..3 {
            client.announce(&Announce::seeder(info_hash, 1).event("completed"));
            assert_eq!(client.row(info_hash), row(1, 1, 0));
        }
        for _ in 0..2 {
            let reply = client.announce(&Announce::seeder(info_hash, 2).event("completed"));
            assert_eq!(reply.counts(), (2, 2, 0));
        }
        // A seeder that started as one has downloaded nothing.
        client.announce(&Announce::seeder(info_hash, 3).event("started"));
        client.announce(&Announce::seeder(info_hash, 3).event("completed"));
        assert_eq!(client.row(info_hash), row(3, 2, 0));
    }
}

/// Gone from counts and lists; the answer is a valid one, for one that was never there too.
pub fn stopped_removes_and_is_answered(door: Door) {
    let house = House::new(door);
    for family in Family::BOTH {
        let client = client(&house, family);
        let info_hash = hash("stopped", family);
        let reply = client.announce(&Announce::leecher(info_hash, 9).event("stopped"));
        assert_eq!((reply.counts(), reply.all()), ((0, 0, 0), vec![]));
        for port in 1..=3 {
            client.announce(&Announce::leecher(info_hash, port));
        }
        let reply = client.announce(&Announce::leecher(info_hash, 1).event("stopped"));
        assert_eq!((reply.counts(), reply.all()), ((0, 0, 2), vec![]));
        let reply = client.announce(&Announce::leecher(info_hash, 2));
        assert_eq!((reply.counts(), reply.ports()), ((0, 0, 2), vec![3]));
    }
}

/// Never an error.
pub fn unknown_events_count_as_none(door: Door) {
    let house = House::new(door);
    for family in Family::BOTH {
        let client = client(&house, family);
        let info_hash = hash("events", family);
        for (port, event) in (1..).zip(["", "empty", "STARTED", "none", "%00%ff", "stopped%20"]) {
            let reply = client.announce(&Announce::leecher(info_hash, port).event(event));
            assert_eq!(reply.incomplete, i64::from(port), "{event:?}");
        }
    }
}

/// Nobody evicts another by its peer ID, and two clients that share one both stay.
pub fn a_peer_is_its_address_and_port(door: Door) {
    let house = House::new(door);
    let info_hash = hash("identity", Family::V4);
    let [one, two] = [1, 2].map(|number| house.client(Family::V4, number));
    let shared = Announce { peer_id: id20("shared", 0), ..Announce::leecher(info_hash, 1) };
    one.announce(&shared);
    let reply = two.announce(&shared);
    assert_eq!((reply.counts(), reply.all()), ((0, 0, 2), vec![one.at(1)]));
    one.announce(&Announce { port: 2, ..shared.clone() });
    assert_eq!(two.row(info_hash), row(0, 0, 3));
    // Nor by stopping under its ID, or at its port from elsewhere.
    two.announce(&Announce { port: 2, ..shared.clone() }.event("stopped"));
    assert_eq!(two.row(info_hash), row(0, 0, 3));
    // Another peer ID at the same address and port is the same peer.
    let reply = one.announce(&Announce { peer_id: id20("renewed", 0), ..shared });
    assert_eq!(reply.counts(), (0, 0, 3));
}

/// One list for each family, both for every client, and one count.
pub fn both_families_are_given_to_each(door: Door) {
    let house = House::new(door);
    let info_hash = hash("families", Family::V4);
    let [v4, v6] = Family::BOTH.map(|family| client(&house, family));
    for port in 1..=2 {
        v4.announce(&Announce::leecher(info_hash, port));
        v6.announce(&Announce::leecher(info_hash, 10 + port));
    }
    for (client, port, others, others6) in [(&v4, 1, vec![2], vec![11, 12]), (&v6, 11, vec![1, 2], vec![12])]
    {
        let reply = client.announce(&Announce::leecher(info_hash, port));
        let at = |client: &crate::web::house::Client, ports: &[u16]| {
            ports.iter().map(|port| client.at(*port)).collect::<Vec<SocketAddr>>()
        };
        let sorted = |mut list: Vec<SocketAddr>| {
            list.sort_unstable();
            list
        };
        assert_eq!(sorted(reply.peers), at(&v4, &others));
        assert_eq!(sorted(reply.peers6.expect("a list")), at(&v6, &others6));
        assert_eq!((reply.complete, reply.incomplete), (0, 4));
    }
}

/// Its own family first, but at least a quarter of the slots, rounded up, for the other where it has peers.
pub fn a_quarter_is_for_the_other_family(door: Door) {
    let house = House::new(door);
    let info_hash = hash("quarter", Family::V4);
    let [v4, v6] = Family::BOTH.map(|family| client(&house, family));
    for port in 1..=20 {
        v4.announce(&Announce::leecher(info_hash, port));
    }
    v6.announce(&Announce::leecher(info_hash, 100));
    // Where the other has fewer, its own family fills the rest, and the other way round.
    let reply = v4.announce(&Announce::leecher(info_hash, 1).with("numwant", 10));
    assert_eq!((reply.peers.len(), reply.peers6.expect("a list").len()), (9, 1));
    let reply = v6.announce(&Announce::leecher(info_hash, 100).with("numwant", 10));
    assert_eq!((reply.peers.len(), reply.peers6.expect("a list").len()), (10, 0));
    for port in 101..=119 {
        v6.announce(&Announce::leecher(info_hash, port));
    }
    for (wanted, own, other) in [(12, 9, 3), (10, 7, 3), (4, 3, 1), (39, 19, 20)] {
        let reply = v4.announce(&Announce::leecher(info_hash, 1).with("numwant", wanted));
        assert_eq!(
            (reply.peers.len(), reply.peers6.expect("a list").len()),
            (own, other),
            "{wanted} to IPv4"
        );
        let reply = v6.announce(&Announce::leecher(info_hash, 100).with("numwant", wanted));
        assert_eq!(
            (reply.peers6.expect("a list").len(), reply.peers.len()),
            (own, other),
            "{wanted} to IPv6"
        );
    }
}

/// With both families in one list.
pub fn peers_come_as_dictionaries_if_asked(door: Door) {
    let house = House::new(door);
    let info_hash = hash("dictionaries", Family::V4);
    let [v4, v6] = Family::BOTH.map(|family| client(&house, family));
    let asked = |port| Announce::leecher(info_hash, port).with("compact", 0);
    let reply = v4.announce(&asked(1));
    assert_eq!((reply.peers, reply.peers6), (vec![], None));
    v4.announce(&Announce::leecher(info_hash, 65_535));
    v6.announce(&Announce::leecher(info_hash, 2));
    for (client, port, mut expected) in
        [(&v4, 1, vec![v4.at(65_535), v6.at(2)]), (&v6, 2, vec![v4.at(1), v4.at(65_535)])]
    {
        let reply = client.announce(&asked(port));
        expected.sort_unstable();
        assert_eq!((reply.all(), reply.peers6), (expected, None));
    }
    let reply = v4.announce(&asked(1).event("stopped"));
    assert_eq!((reply.peers, reply.peers6), (vec![], None));
    let reply = v4.announce(&Announce::leecher(info_hash, 3).with("compact", 1));
    assert!(reply.peers6.is_some());
}

/// None, a negative one, zero, and more than is ever given.
pub fn every_number_of_peers_is_understood(door: Door) {
    let house = House::with(door, "", "[swarm]\ndefault_num_want = 5\nmax_num_want = 8\n");
    for family in Family::BOTH {
        let client = client(&house, family);
        let info_hash = hash("wanted", family);
        for port in 1..=12 {
            client.announce(&Announce::leecher(info_hash, port));
        }
        let given = |announce: Announce| client.announce(&announce).all().len();
        assert_eq!(given(Announce::leecher(info_hash, 1)), 5);
        let huge = "999999999999999999999999999999";
        let all = [("-1", 5), ("-9223372036854775808", 5), ("0", 0), ("1", 1), ("8", 8), ("9", 8), (huge, 8)];
        for (wanted, expected) in all {
            let announce = Announce::leecher(info_hash, 1).with("numwant", wanted);
            assert_eq!(given(announce), expected, "numwant={wanted}");
        }
    }
}

/// A known way to aim traffic at a victim.
pub fn claimed_addresses_are_ignored(door: Door) {
    let house = House::new(door);
    for family in Family::BOTH {
        let client = client(&house, family);
        let info_hash = hash("claimed", family);
        let claims = Announce::leecher(info_hash, 1)
            .with("ip", "203.0.113.9")
            .with("ipv4", "203.0.113.9:80")
            .with("ipv6", "2001:db8:9::9");
        assert_eq!(client.announce(&claims).external_ip, client.address());
        let reply = client.announce(&Announce::leecher(info_hash, 2));
        assert_eq!((reply.counts(), reply.all()), ((0, 0, 2), vec![client.at(1)]));
    }
}

/// `ip` before `ipv4` and `ipv6`, each with or without a port, from the networks that are named, and only where it can
/// be a peer's address.
pub fn claimed_addresses_of_trusted_networks_count(door: Door) {
    let trusted = r#"["127.0.1.1", "::1", "198.51.100.1", "2001:db8::1"]"#;
    let house = House::with(door, "", &format!("[swarm]\ntrust_ip_networks = {trusted}\n"));
    for family in Family::BOTH {
        let client = client(&house, family);
        let own = |port| client.at(port);
        let at = |text: &str| -> SocketAddr { text.parse().expect("an address with a port") };
        let of_bep7: [SocketAddr; 2] = match family {
            Family::V4 => [at("203.0.113.9:1"), at("203.0.113.9:80")],
            Family::V6 => [at("[2001:db8:9::9]:1"), at("[2001:db8:9::9]:81")],
        };
        let cases: &[(&[(&str, &str)], SocketAddr)] = &[
            (&[("ip", "203.0.113.7")], at("203.0.113.7:1")),
            (&[("ip", "2001%3Adb8%3A9%3A%3A7")], at("[2001:db8:9::7]:1")),
            (
                &[("ip", "::ffff:203.0.113.8"), ("ipv4", "203.0.113.9"), ("ipv6", "2001:db8:9::9")],
                at("203.0.113.8:1"),
            ),
            (&[("ipv6", "2001:db8:9::9"), ("ipv4", "203.0.113.9")], of_bep7[0]),
            (&[("ipv4", "203.0.113.9:80"), ("ipv6", "%5B2001:db8:9::9%5d:81")], of_bep7[1]),
            (&[("ip", "seed.example.org"), ("ipv4", "203.0.113.9"), ("ipv6", "2001:db8:9::9")], of_bep7[0]),
            // Of the wrong family, of no peer, or no address.
            (&[("ipv4", "2001:db8:9::9"), ("ipv6", "203.0.113.9")], own(1)),
            (&[("ip", "224.0.0.1")], own(1)),
            (&[("ip", "255.255.255.255")], own(1)),
            (&[("ip", "0.0.0.0")], own(1)),
            (&[("ip", "ff02::1")], own(1)),
            (&[("ip", "seed.example.org")], own(1)),
            (&[("ip", "203.0.113.7:0")], own(1)),
            (&[("ip", "")], own(1)),
        ];
        for (number, (claims, expected)) in (0..).zip(cases) {
            let info_hash = id20("believed", number + 100 * u32::from(family == Family::V6));
            let claiming = claims
                .iter()
                .fold(Announce::leecher(info_hash, 1), |announce, (name, value)| announce.with(name, value));
            assert_eq!(client.announce(&claiming).external_ip, client.address(), "{claims:?}");
            let reply = client.announce(&Announce::leecher(info_hash, 2));
            assert_eq!((reply.incomplete, reply.all()), (2, vec![*expected]), "{claims:?}");
            // It leaves as it came.
            client.announce(&claiming.event("stopped"));
            assert_eq!(client.row(info_hash).leechers, 1, "{claims:?}");
        }
        if family == Family::V4 {
            let info_hash = hash("not believed", family);
            let stranger = house.client(family, 2);
            stranger.announce(&Announce::leecher(info_hash, 1).with("ip", "203.0.113.7"));
            let reply = client.announce(&Announce::leecher(info_hash, 2));
            assert_eq!(reply.all(), [stranger.at(1)]);
        }
    }
}

/// Each distinct hash once, of unknown torrents too; no hash is a failure, and too many are cut.
pub fn a_scrape_has_a_row_for_each_hash(door: Door) {
    let house = House::with(door, "max_scrape_hashes = 10", "");
    for family in Family::BOTH {
        let client = client(&house, family);
        let [known, unknown] = ["known", "unknown"].map(|name| hash(name, family));
        client.announce(&Announce::seeder(known, 1));
        client.announce(&Announce::leecher(known, 2));
        let rows = client.scrape(&[unknown, known, unknown, known]);
        assert_eq!(rows, [(known, row(1, 0, 1)), (unknown, Row::default())].into());
        assert!(client.get("/scrape").failure().contains("info_hash"));
        assert!(client.get("/scrape?").failure().contains("info_hash"));
        assert!(client.get("/scrape?info_hash=short").failure().contains("info_hash"));
        let many: Vec<_> = (0..30).map(|n| id20("scraped", n)).collect();
        assert_eq!(client.scrape(&many).len(), 10);
        assert_eq!(client.scrape(&many[..10]).len(), 10);
    }
}
