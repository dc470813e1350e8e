//! Tagged frames end to end: answered under the tags they came with, and only where the address lives under them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test fails"
)]

use std::net::{IpAddr, SocketAddr};
use tests::{
    net::Wire,
    riptide::{Riptide, Start},
    udp::{Announce, Client, connect_bytes, id20},
};

/// A wire whose interfaces carry VLAN 10, and VLAN 20 inside the service VLAN 5; clients also have VLAN 30.
fn tagged() -> (Wire, Riptide) {
    let wire = Wire::new();
    for (host, device, last) in [(&wire.tracker, "t0", "1"), (&wire.clients, "c0", "101")] {
        host.ip(&format!(
            "link add link {device} name v10 type vlan protocol 802.1Q id 10\n\
             link add link {device} name s5 type vlan protocol 802.1ad id 5\n\
             link add link s5 name v20 type vlan protocol 802.1Q id 20\n\
             addr add 10.77.10.{last}/24 dev v10\naddr add fd77:10::{last}/64 dev v10 nodad\n\
             addr add 10.77.20.{last}/24 dev v20\naddr add fd77:20::{last}/64 dev v20 nodad\n\
             link set v10 up\nlink set s5 up\nlink set v20 up\n"
        ));
    }
    let riptide = Start::new(Some(&wire.tracker))
        .arguments("--interface t0 --xdp native --udp 0.0.0.0:6969 --udp [::]:6969")
        .ready();
    (wire, riptide)
}

fn client(wire: &Wire, network: &str) -> Client {
    let [source, tracker] =
        ["101", "1"].map(|last| format!("{network}{last}").parse::<IpAddr>().expect("an address"));
    wire.clients.run(|| Client::new(source, SocketAddr::new(tracker, 6969)))
}

fn answered(riptide: &Riptide, path: &str, action: &str) -> f64 {
    riptide.metrics().sum("riptide_udp_responses_total", &[("path", path), ("action", action)])
}

fn serves(networks: [&str; 2]) {
    let (wire, riptide) = tagged();
    for (n, network) in networks.into_iter().enumerate() {
        let client = client(&wire, network);
        let info_hash = id20(network, 0);
        client.connect();
        assert_eq!(client.announce(&Announce::leecher(info_hash, 1)).leechers, 1);
        assert_eq!(client.announce(&Announce::leecher(info_hash, 2)).ports(), [1]);
        assert_eq!(client.row(info_hash).leechers, 2);
        let n = f64::from(u8::try_from(n + 1).expect("small"));
        riptide.metrics_until("tagged requests on the fast paths", |metrics| {
            let count = |path, action| {
                metrics.sum("riptide_udp_responses_total", &[("path", path), ("action", action)])
            };
            count("kernel", "connect") == n
                && count("xsk", "announce") == 2.0 * n
                && count("xsk", "scrape") == n
        });
        assert_eq!(riptide.metrics().sum("riptide_udp_responses_total", &[("path", "socket")]), 0.0);
    }
}

#[test]
fn one_tag_is_served_and_kept() {
    serves(["10.77.10.", "fd77:10::"]);
}

#[test]
fn two_tags_are_served_and_kept() {
    serves(["10.77.20.", "fd77:20::"]);
}

/// The address of one VLAN, asked for under another one's tag, or under none.
#[test]
fn another_vlans_address_is_not_answered_by_the_program() {
    let (wire, riptide) = tagged();
    let right = client(&wire, "10.77.10.");
    right.connect();
    let hardware = tests::frames::mac(&wire.tracker, "t0").map(|byte| format!("{byte:02x}")).join(":");
    wire.clients.ip(&format!(
        "link add link c0 name v30 type vlan protocol 802.1Q id 30\n\
         addr add 10.77.30.101/24 dev v30\nlink set v30 up\n\
         route add 10.77.20.1/32 dev v30\nneigh add 10.77.20.1 lladdr {hardware} dev v30\n"
    ));
    let strays: [IpAddr; 2] =
        ["10.77.30.101", "10.77.0.101"].map(|address| address.parse().expect("an address"));
    for source in strays {
        let stray = wire.clients.run(|| Client::new(source, "10.77.20.1:6969".parse().expect("an address")));
        let before = tests::frames::received_packets(&wire.tracker, "t0");
        stray.send(&connect_bytes(1));
        tests::eventually("the stray frame to arrive", || {
            (tests::frames::received_packets(&wire.tracker, "t0") > before).then_some(())
        });
        right.connect();
        assert_eq!(stray.take_arrived(), Vec::<Vec<u8>>::new());
    }
    assert_eq!(answered(&riptide, "kernel", "connect"), 3.0);
    assert_eq!(riptide.metrics().sum("riptide_udp_dropped_total", &[("path", "kernel")]), 0.0);
}
