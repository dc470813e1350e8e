//! Peers that not everybody can reach: on the tracker's own host, and in private networks.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation is how a test fails")]

use std::net::{IpAddr, SocketAddr};
use tests::{
    net::{Namespace, join},
    riptide::{Riptide, Start},
    udp::{self, Id20, id20},
    web::{
        http::{Announce, Announced, Connection},
        stream::tcp,
    },
};

const PORT: u16 = 6969;

/// The tracker's host is 198.51.100.1, 10.77.0.1 and 2001:db8::1, the other host .2 and ::2.
struct Hosts {
    // Ends before its network does.
    _riptide: Riptide,
    near: Namespace,
    far: Namespace,
}

impl Hosts {
    fn new(swarm: &str) -> Self {
        let (near, far) = (Namespace::new("near"), Namespace::new("far"));
        join(&near, "t0", &far, "c0");
        for (host, interface, last) in [(&near, "t0", 1), (&far, "c0", 2)] {
            host.ip(&format!(
                "addr add 198.51.100.{last}/24 dev {interface}\naddr add 10.77.0.{last}/24 dev {interface}\n\
                 addr add 2001:db8::{last}/64 dev {interface} nodad\n"
            ));
        }
        let riptide = Start::new(Some(&near)).http("").config(&format!("[swarm]\n{swarm}\n")).ready();
        Self { _riptide: riptide, near, far }
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn all(peers: &[&str]) -> Vec<SocketAddr> {
    let mut all: Vec<SocketAddr> = peers.iter().map(|text| text.parse().unwrap()).collect();
    all.sort_unstable();
    all
}

/// Announces by HTTP from an address of a host to another of the tracker's.
fn by_http(host: &Namespace, from: &str, to: &str, announce: &Announce) -> Announced {
    host.run(|| {
        let stream = tcp(ip(from), SocketAddr::new(ip(to), PORT));
        Announced::read(&Connection::new(stream, "").get(&announce.target()))
    })
}

/// The same by UDP; the peers that it gives.
fn by_udp(host: &Namespace, from: &str, to: &str, announce: &udp::Announce) -> Vec<SocketAddr> {
    host.run(|| {
        let client = udp::Client::new(ip(from), SocketAddr::new(ip(to), PORT));
        let mut peers = client.announce(announce).peers;
        peers.sort_unstable();
        peers
    })
}

/// A seeder there is reached where it says it is, if it is trusted; otherwise only by others there.
#[test]
fn peers_on_the_trackers_own_host_are_given_to_nobody_else() {
    let hosts = Hosts::new(r#"trust_ip_networks = ["127.0.0.0/8", "::1"]"#);
    let hash: Id20 = id20("own host", 0);
    let web = |port| Announce::leecher(hash, port);
    let udp = |port| udp::Announce::leecher(hash, port);
    let [four, six] = ["127.0.0.1", "::1"];
    by_http(&hosts.near, four, four, &web(1));
    by_http(&hosts.near, six, six, &web(2));
    by_udp(&hosts.near, four, four, &udp(3));
    by_udp(&hosts.near, six, six, &udp(4));
    by_http(&hosts.near, four, four, &web(5).with("ip", "198.51.100.1"));
    by_udp(&hosts.near, four, four, &udp::Announce { ip: [198, 51, 100, 1], ..udp(6) });
    by_http(&hosts.near, six, six, &web(7).with("ipv6", "2001:db8::1"));
    by_udp(&hosts.near, six, six, &udp(4));

    let reachable4 = ["198.51.100.1:5", "198.51.100.1:6"];
    let [from4, to4, from6, to6] = ["198.51.100.2", "198.51.100.1", "2001:db8::2", "2001:db8::1"];
    assert_eq!(by_udp(&hosts.far, from4, to4, &udp(9)), all(&reachable4));
    assert_eq!(by_udp(&hosts.far, from6, to6, &udp(9)), all(&["[2001:db8::1]:7"]));
    let reply = by_http(&hosts.far, from4, to4, &web(9));
    let reachable = [&reachable4[..], &["[2001:db8::1]:7", "[2001:db8::2]:9"]].concat();
    assert_eq!(reply.all(), all(&reachable));
    assert_eq!(reply.incomplete, 9, "they count all the same");
    let reply = by_http(&hosts.far, from6, to6, &web(9));
    assert_eq!(reply.all(), all(&[&reachable4[..], &["[2001:db8::1]:7", "198.51.100.2:9"]].concat()));

    let outside = ["198.51.100.1:5", "198.51.100.1:6", "198.51.100.2:9"];
    let inside = [&outside[..], &["127.0.0.1:1"]].concat();
    assert_eq!(by_udp(&hosts.near, four, four, &udp(3)), all(&inside));
    let everywhere =
        [&inside[..], &["127.0.0.1:3", "[::1]:4", "[2001:db8::1]:7", "[2001:db8::2]:9"]].concat();
    assert_eq!(by_http(&hosts.near, six, six, &web(2)).all(), all(&everywhere));
}

/// Off, and then on.
#[test]
fn private_peers_are_hidden_from_public_clients_if_so_told() {
    for (swarm, hidden) in [("", false), ("hide_private_addresses = true", true)] {
        let hosts = Hosts::new(swarm);
        let hash = id20("private", 0);
        let [private, public] = ["10.77.0.2", "198.51.100.2"];
        by_udp(&hosts.far, private, "10.77.0.1", &udp::Announce::leecher(hash, 1));
        by_http(&hosts.far, private, "10.77.0.1", &Announce::leecher(hash, 2));
        by_udp(&hosts.far, public, "198.51.100.1", &udp::Announce::leecher(hash, 3));
        let shown = |others: &[&str]| {
            let private: &[&str] = if hidden { &[] } else { &["10.77.0.2:1", "10.77.0.2:2"] };
            all(&[private, others].concat())
        };
        let given = by_udp(&hosts.far, public, "198.51.100.1", &udp::Announce::leecher(hash, 3));
        assert_eq!(given, shown(&[]), "{swarm}");
        let reply = by_http(&hosts.far, public, "198.51.100.1", &Announce::leecher(hash, 4));
        assert_eq!(reply.all(), shown(&["198.51.100.2:3"]), "{swarm}");
        // Of one private network or another: they see each other, and the public ones.
        let given = by_udp(&hosts.far, private, "10.77.0.1", &udp::Announce::leecher(hash, 1));
        assert_eq!(given, all(&["10.77.0.2:2", "198.51.100.2:3", "198.51.100.2:4"]), "{swarm}");
    }
}
