//! One swarm seen from all doors at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::json;
use std::{
    collections::BTreeMap,
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};
use tests::{
    rig::Family,
    udp::{Announce as UdpAnnounce, Reply, Row, event, hex, id20},
    web::{
        house::{Door, House},
        http::{Announce, Announced, Connection},
        proxy,
        stream::tcp,
        websocket::{self, answer, counts, latin, offering, with},
    },
};

const DOORS: [Door; 4] = [Door::Plain, Door::Tls, Door::Header, Door::Unix];

#[test]
fn totals_are_equal_at_every_door() {
    let house = House::every("", "");
    let hash = id20("one swarm", 0);
    let mut expected = Row::default();
    let mut ports = 1..;
    let mut next = || u16::try_from(ports.next().unwrap()).unwrap();
    let mut families = BTreeMap::new();
    let mut first = BTreeMap::new();
    let mut sockets = Vec::new();
    for family in Family::BOTH {
        let peers: &mut u32 = families.entry(family.label()).or_default();
        let udp = house.udp(family, 1);
        first.insert(family.label(), next());
        udp.announce(&UdpAnnounce::leecher(hash, first[family.label()]));
        udp.announce(&UdpAnnounce::seeder(hash, next()).event(event::COMPLETED));
        *peers += 2;
        for door in DOORS {
            let client = house.client_by(door, family, 1);
            client.announce(&Announce::leecher(hash, next()));
            client.announce(&Announce::seeder(hash, next()).event("completed"));
            *peers += 2;
        }
    }
    for (n, door) in (0..).zip(DOORS) {
        let mut socket = house.client_by(door, Family::V4, 2).websocket();
        let left = json!({"left": u32::from(n != 0), "event": "completed"});
        let _ = socket.ask(&with(websocket::announce(hash, id20("webrtc", n)), &left));
        sockets.push(socket);
    }
    expected.leechers = 2 * 5 + 3;
    expected.seeders = 2 * 5 + 1;
    expected.completed = expected.seeders;

    for family in Family::BOTH {
        assert_eq!(house.udp(family, 1).row(hash), expected, "UDP {family:?}");
        let again = UdpAnnounce::leecher(hash, first[family.label()]);
        let reply = house.udp(family, 1).announce(&again);
        assert_eq!((reply.seeders, reply.leechers), (expected.seeders, expected.leechers));
        for door in DOORS {
            let client = house.client_by(door, family, 1);
            assert_eq!(client.row(hash), expected, "{door:?} {family:?}");
        }
    }
    for socket in &mut sockets {
        let reply = socket.ask(&json!({"action": "scrape", "info_hash": latin(&hash)}));
        let row = json!({
            "complete": expected.seeders, "incomplete": expected.leechers, "downloaded": expected.completed,
        });
        assert_eq!(reply["files"][latin(&hash)], row, "{reply}");
    }
    let metrics = house.metrics();
    assert_eq!(metrics.sum("riptide_torrents", &[]), 1.0);
    families.insert("webrtc", 4);
    for (family, peers) in families {
        let found = metrics.sum("riptide_peers", &[("family", family)]);
        assert_eq!(found, f64::from(peers), "{family}:\n{}", metrics.text);
    }
    assert_eq!(metrics.sum("riptide_peers", &[("role", "seeder")]), f64::from(expected.seeders));
    assert_eq!(metrics.sum("riptide_peers", &[("role", "leecher")]), f64::from(expected.leechers));
}

#[test]
fn each_is_handed_to_the_others() {
    let house = House::every("", "");
    for family in Family::BOTH {
        let hash = id20("handed", u32::from(family == Family::V6));
        let udp = house.udp(family, 9);
        udp.announce(&UdpAnnounce::leecher(hash, 1));
        let udp_peer = SocketAddr::new(udp.address().ip(), 1);
        let mut all = vec![udp_peer];
        for (port, door) in (2..).zip(DOORS) {
            let client = house.client_by(door, family, 1);
            let reply = client.announce(&Announce::leecher(hash, port));
            all.sort_unstable();
            // Who is on the tracker's own host is of no use to others.
            let near = client.address().is_loopback();
            let expected: Vec<_> =
                all.iter().copied().filter(|peer| near || !peer.ip().is_loopback()).collect();
            assert_eq!(reply.all(), expected, "{door:?}");
            all.push(client.at(port));
        }
        let reply = udp.announce(&UdpAnnounce::leecher(hash, 1));
        let mut others: Vec<SocketAddr> = all.iter().copied().filter(|peer| *peer != udp_peer).collect();
        let mut given = reply.peers.clone();
        others.sort_unstable();
        given.sort_unstable();
        assert_eq!(given, others);
        // The same address and port is the same peer, whichever way it comes.
        let same = house.client_by(Door::Header, family, 1);
        let by_http = same.at(4);
        assert!(others.contains(&by_http));
        let plain = house.client_by(Door::Plain, family, 1);
        let before = plain.row(hash);
        plain.announce(&Announce::leecher(hash, 2));
        house.udp(family, 1).announce(&UdpAnnounce::leecher(hash, 2));
        assert_eq!(plain.row(hash), before);
    }
}

#[test]
fn mapped_addresses_are_ipv4() {
    let house = House::every("", "");
    let hash = id20("mapped", 0);
    let mapped = "X-Forwarded-For: ::ffff:198.51.100.7\r\n";
    let stream = || tcp(Ipv4Addr::LOCALHOST.into(), house.address(Family::V4));
    let reply = Announced::read(&Connection::new(stream(), mapped).get(&Announce::leecher(hash, 1).target()));
    assert_eq!(reply.external_ip, IpAddr::from([198, 51, 100, 7]));
    let udp = house.udp(Family::V4, 1).announce(&UdpAnnounce::leecher(hash, 2));
    assert_eq!(udp.peers, ["198.51.100.7:1".parse().unwrap()]);
    // The same peer by its plain address.
    let plain = "X-Forwarded-For: 198.51.100.7\r\n";
    let reply = Announced::read(&Connection::new(stream(), plain).get(&Announce::leecher(hash, 1).target()));
    assert_eq!(
        (reply.incomplete, reply.peers.len(), reply.peers6),
        (2, 0, Some(vec![])),
        "the other one is at a loopback address"
    );
    assert_eq!(house.metrics().sum("riptide_peers", &[("family", "ipv6")]), 0.0);
    house.riptide().metrics_until("three IPv4 requests", |m| {
        m.sum("riptide_http_requests_total", &[("action", "announce"), ("family", "ipv4")]) == 2.0
    });

    let house = House::new(Door::ProxyV2);
    for header in [proxy::v1, proxy::v2] {
        let mut tcp = tcp(Ipv4Addr::LOCALHOST.into(), house.address(Family::V4));
        tcp.write_all(&header("[::ffff:198.51.100.8]:5000".parse().unwrap())).unwrap();
        let target = Announce::leecher(hash, 1).target();
        let reply = Announced::read(&Connection::new(tcp, "").get(&target));
        assert_eq!((reply.external_ip, reply.incomplete), (IpAddr::from([198, 51, 100, 8]), 1));
    }
}

#[test]
fn webrtc_peers_are_handed_to_nobody_as_addresses() {
    let house = House::every("", "");
    let hash = id20("webrtc only", 0);
    let client = house.client_by(Door::Tls, Family::V4, 1);
    let mut socket = client.websocket();
    let reply = socket.ask(&offering(hash, id20("webrtc", 0), 1, 5));
    assert_eq!(counts(&reply, hash), (0, 1));
    for family in Family::BOTH {
        let udp = house.udp(family, 1).announce(&UdpAnnounce::leecher(hash, 1).event(event::NONE));
        assert_eq!((udp.leechers, udp.peers), (2, vec![]));
        house.udp(family, 1).announce(&UdpAnnounce::leecher(hash, 1).event(event::STOPPED));
        for door in DOORS {
            let client = house.client_by(door, family, 1);
            for compact in [0, 1] {
                let reply = client.announce(&Announce::leecher(hash, 1).with("compact", compact));
                assert_eq!((reply.incomplete, reply.all()), (2, vec![]));
            }
            client.announce(&Announce::leecher(hash, 1).event("stopped"));
        }
    }
    // Nor does an offer find a peer that has none to give back.
    house.client(Family::V4, 1).announce(&Announce::leecher(hash, 1));
    let mut other = client.websocket();
    let _ = other.ask(&websocket::announce(hash, id20("webrtc", 1)));
    assert_eq!(counts(&socket.ask(&offering(hash, id20("webrtc", 0), 2, 5)), hash), (0, 3));
    assert_eq!(other.json()["peer_id"], latin(&id20("webrtc", 0)));
    other.fence();
    assert_eq!(other.take_early(), Vec::<serde_json::Value>::new(), "one offer each");
    // By plain TCP and by TLS, they are of one swarm.
    let mut plain = house.client_by(Door::Plain, Family::V6, 1).websocket();
    let _ = plain.ask(&offering(hash, id20("webrtc", 2), 3, 2));
    for (n, socket) in [(0, &mut socket), (1, &mut other)] {
        let offer = socket.json();
        let mut reply = answer(hash, id20("webrtc", n), id20("webrtc", 2), [0; 20]);
        reply["offer_id"] = offer["offer_id"].clone();
        socket.send(&reply);
        assert_eq!(plain.json()["offer_id"], offer["offer_id"]);
    }
}

/// Over many announces each peer comes as often as any other of its family.
#[test]
fn every_peer_is_handed_out_about_equally() {
    const PEERS: u16 = 60;
    const ROUNDS: u32 = 400;
    let house = House::new(Door::Plain);
    let hash = id20("equal", 0);
    let [v4, v6] = Family::BOTH.map(|family| house.client(family, 1));
    for port in 1..=PEERS {
        v4.announce(&Announce::leecher(hash, port));
        v6.announce(&Announce::leecher(hash, port));
    }
    let asker = house.client(Family::V4, 2);
    let mut given: BTreeMap<SocketAddr, u32> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let reply = asker.announce(&Announce::seeder(hash, 1000).with("numwant", 20));
        let all = reply.all();
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!((all.len(), distinct.len(), reply.peers.len()), (20, 20, 15));
        all.into_iter().for_each(|peer| *given.entry(peer).or_default() += 1);
    }
    assert_eq!(given.len(), usize::from(PEERS) * 2);
    for (peer, times) in given {
        // 15 and 5 of 60 in 400 rounds; seven standard deviations to either side.
        let (least, most) = if peer.is_ipv4() { (39, 161) } else { (1, 73) };
        assert!((least..=most).contains(&times), "{peer} was given {times} times");
    }
}

#[test]
fn silent_peers_are_forgotten_and_webrtc_ones_live_as_long_as_their_connection() {
    let house = House::every("", "[swarm]\ninterval = \"1s\"\npeer_timeout = \"2s\"\n");
    let hash = id20("silent", 0);
    let client = house.client(Family::V4, 1);
    let mut socket = client.websocket();
    let _ = socket.ask(&websocket::announce(hash, id20("webrtc", 0)));
    for (port, door) in (1..).zip(DOORS) {
        let reply = house.client_by(door, Family::V6, 1).announce(&Announce::leecher(hash, port));
        assert_eq!(reply.interval, 1);
    }
    house.riptide().metrics_until("no peer but one", |m| m.sum("riptide_peers", &[]) == 1.0);
    assert_eq!(client.row(hash).leechers, 1);
    assert_eq!(counts(&socket.ask(&websocket::announce(hash, id20("webrtc", 0))), hash), (0, 1));
    socket.close();
    house.riptide().metrics_until("no torrent", |m| m.sum("riptide_torrents", &[]) == 0.0);
}

#[test]
fn limits_and_lists_hold_at_every_door() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("denied");
    let denied = id20("denied", 0);
    std::fs::write(&file, hex(denied)).unwrap();
    let tables = format!(
        "[access]\nmode = \"deny\"\ninfo_hashes = {:?}\n[limits]\npeers_per_address = 2\n",
        file.display().to_string()
    );
    let house = House::every("", &tables);
    let hash = id20("limited", 0);
    for (n, door) in (1..).zip(DOORS) {
        let client = house.client_by(door, Family::V4, n);
        let _ = client.get(&Announce::leecher(denied, 1).target()).failure();
        let mut socket = client.websocket();
        let reply = socket.ask(&websocket::announce(denied, id20("webrtc", 0)));
        let _ = websocket::failure(&reply);
        assert_eq!(reply["info_hash"], latin(&denied));
        assert_eq!(client.row(denied), Row::default());
        // Two from an address, and each address for itself: in Header and Unix the proxy's does not count.
        let before = client.row(hash).leechers;
        for port in 1..=3 {
            let _ = client.get(&Announce::leecher(hash, port).target());
        }
        assert_eq!(client.row(hash).leechers, before + 2, "{door:?}");
        let reply = socket.ask(&websocket::announce(hash, id20("webrtc", u32::from(n))));
        assert_eq!(client.row(hash).leechers, before + 2, "{door:?}: {reply}");
        socket.close();
    }
    let refused = house.udp(Family::V4, 1).try_announce(&UdpAnnounce::leecher(denied, 1));
    assert!(matches!(refused, Reply::Error(_)), "{refused:?}");
}
