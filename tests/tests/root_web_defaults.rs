//! The default listeners, whose ports are fixed: each test has a host of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation is how a test fails")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tests::{
    net::Namespace,
    riptide::Start,
    udp::{self, id20},
    web::{
        http::{Announce, Announced, Connection},
        stream::{Stream, tcp},
    },
};

fn announce(host: &Namespace, address: IpAddr, port: u16) -> Announced {
    host.run(|| {
        let tracker = SocketAddr::new(address, 6969);
        let mut connection = Connection::new(Stream::Tcp(tcp(address, tracker)), "");
        Announced::read(&connection.get(&Announce::leecher(id20("default", 0), port).target()))
    })
}

#[test]
fn udp_and_http_share_the_port_number() {
    let host = Namespace::new("defaults");
    let riptide = Start::new(Some(&host)).http("").ready();
    let both = ["0.0.0.0:6969", "[::]:6969"].map(|address| address.parse::<SocketAddr>().unwrap());
    assert_eq!((riptide.udp(), riptide.http(), riptide.https()), (&both[..], &both[..], &[][..]));
    let all: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    for (port, address) in (1..).zip(all) {
        let reply = announce(&host, address, port);
        assert_eq!((reply.external_ip, reply.incomplete), (address, i64::from(port) * 2 - 1));
        let client = host.run(|| udp::Client::new(address, SocketAddr::new(address, 6969)));
        client.announce(&udp::Announce::leecher(id20("default", 0), 100 + port));
    }
    riptide.stop();
}

#[test]
fn a_host_without_ipv6_addresses_is_served() {
    let host = Namespace::new("ipv4-only");
    for scope in ["all", "default", "lo"] {
        host.sysctl(&format!("ipv6/conf/{scope}/disable_ipv6"), "1");
    }
    let riptide = Start::new(Some(&host)).http("").ready();
    let address: IpAddr = Ipv4Addr::LOCALHOST.into();
    assert_eq!(announce(&host, address, 1).incomplete, 1);
    // An explicit address that the host lacks is an error.
    let mut explicit = Start::new(Some(&host)).arguments("--udp 127.0.0.1:0 --http [::1]:7000").spawn();
    assert_eq!(explicit.wait().code(), Some(1), "{}", explicit.log_text());
    assert!(explicit.lines().pop().unwrap_or_default().contains("[::1]:7000"), "{}", explicit.log_text());
    riptide.stop();
}
