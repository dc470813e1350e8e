//! Hand-overs with XDP, native and generic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::IpAddr;
use tests::{
    eventually,
    handover::{Crowd, Taker, goes_on, stays, three_under_load},
    net::{Namespace, Wire},
    rig::{Family, Path, Rig},
    riptide::{Riptide, Start},
    service::{address, client, kernel_answers_at_last},
    transfer::Hosts,
    udp::{Announce, Client, id20},
};

fn crowd(rig: &Rig) -> Crowd {
    let clients = Family::BOTH.iter().flat_map(|family| (1..=2).map(|number| rig.client(*family, number)));
    Crowd::new(clients.collect())
}

#[test]
fn nothing_is_lost_in_three_hand_overs_under_load() {
    for path in [Path::Native, Path::Generic] {
        let mut rig = Rig::new(path);
        let crowd = crowd(&rig);
        let id = rig.client(Family::V4, 3).connect();
        crowd.goes_round();
        for _ in 0..3 {
            let before = rig.metrics();
            rig.hand_over();
            goes_on(&before, &rig.metrics());
            crowd.goes_round();
            let after = rig.metrics();
            goes_on(&before, &after);
            for (path, action) in [("kernel", "connect"), ("xsk", "announce"), ("xsk", "scrape")] {
                let labels = [("path", path), ("action", action)];
                let replies =
                    |metrics: &tests::metrics::Metrics| metrics.sum("riptide_udp_responses_total", &labels);
                assert!(replies(&after) > replies(&before), "{path} {action}\n{}", after.text);
            }
        }
        let _ = crowd.end();
        assert_eq!(rig.settled().stored(), Crowd::size(4));
        // An ID of the first process holds.
        let client = rig.client(Family::V4, 3).with_connection(id);
        client.announce(&Announce::leecher(id20("last", 0), 1));
    }
}

#[test]
fn a_load_misses_nothing_in_three_hand_overs() {
    for path in [Path::Native, Path::Generic] {
        three_under_load(path);
    }
}

/// Whatever step it stops at: frames come through AF_XDP again.
#[test]
fn a_successor_that_stops_at_any_step_changes_nothing() {
    for path in [Path::Native, Path::Generic] {
        let rig = Rig::new(path);
        let crowd = crowd(&rig);
        for step in 0.. {
            let mut taker = Taker::ask(&rig.riptide().control_socket());
            if taker.go_to(step).is_none() {
                break;
            }
            drop(taker);
            stays(rig.riptide(), step + 1);
            crowd.goes_round();
            let labels = [("path", "xsk"), ("action", "announce")];
            let before = rig.metrics().sum("riptide_udp_responses_total", &labels);
            rig.riptide().metrics_until("announces through AF_XDP", |metrics| {
                metrics.sum("riptide_udp_responses_total", &labels) > before
            });
        }
        let _ = crowd.end();
        let _ = rig.settled();
    }
}

#[test]
fn a_predecessor_that_is_killed_in_the_middle_is_followed_by_its_successor() {
    let wire = Wire::new();
    let start =
        || Start::new(Some(&wire.tracker)).arguments("--udp 0.0.0.0:6969 --interface t0 --xdp native");
    let riptide = start().ready();
    let mut next = start().directory(riptide.directory()).arguments("--take-over").spawn();
    next.wait_for_line("that it has the sockets", |line| line.contains("taking over from"));
    riptide.kill();
    next.wait_ready();
    let client = client(&wire, "10.77.0.1:6969");
    client.announce(&Announce::leecher(id20("after", 0), 1));
    kernel_answers_at_last(&wire, &next, "10.77.0.1:6969");
    next.stop();
}

/// The mode cannot change on the link, so the old program has to go first.
#[test]
fn a_successor_may_want_another_mode_or_none() {
    let wire = Wire::new();
    let start = |more: &str| {
        Start::new(Some(&wire.tracker)).arguments("--udp 0.0.0.0:6969 --interface t0").arguments(more)
    };
    let mut riptide = start("--xdp generic").ready();
    for (mode, expected) in [("native", 1.0), ("off", 0.0), ("generic", 1.0)] {
        let next = start(&format!("--take-over --xdp {mode}")).directory(riptide.directory()).ready();
        let mut before = std::mem::replace(&mut riptide, next);
        assert_eq!(before.wait().code(), Some(0), "{}", before.log_text());
        client(&wire, "10.77.0.1:6969").announce(&Announce::leecher(id20("mode", 0), 1));
        riptide.metrics_until(&format!("mode {mode}"), |metrics| {
            let labels = [("interface", "t0"), ("mode", mode)];
            (metrics.sum("riptide_xdp_info", &labels) - expected).abs() < 0.5
        });
    }
    kernel_answers_at_last(&wire, &riptide, "10.77.0.1:6969");
    riptide.stop();
}

/// A client in a host of [`Hosts`], on this address of its.
fn client_in(host: &Namespace, own: &str, tracker: &str) -> Client {
    let own: IpAddr = own.parse().expect("an address");
    host.run(|| Client::new(own, address(tracker)))
}

/// The mode of the fast path on an interface, if there is one.
fn mode(riptide: &Riptide, interface: &str) -> Option<&'static str> {
    let metrics = riptide.metrics();
    let is_on =
        |mode: &&str| metrics.count("riptide_xdp_info", &[("interface", interface), ("mode", mode)]) == 1;
    ["native", "generic"].into_iter().find(is_on)
}

/// Frames of this interface come through AF_XDP.
fn is_fast(riptide: &Riptide, client: &Client) {
    let replies = |path, action| {
        riptide.metrics().count("riptide_udp_responses_total", &[("path", path), ("action", action)])
    };
    eventually(&format!("{} to be served by XDP\n{}", client.address(), riptide.log_text()), || {
        let before = (replies("kernel", "connect"), replies("xsk", "announce"));
        client.connect();
        client.announce(&Announce::leecher(id20("fast", 0), 1));
        (replies("kernel", "connect") > before.0 && replies("xsk", "announce") > before.1).then_some(())
    });
}

#[test]
fn two_interfaces_are_handed_over() {
    for way in ["native", "generic"] {
        let hosts = Hosts::new();
        let sides = || {
            [
                client_in(&hosts.seeder, "10.78.1.2", "10.78.1.1:6969"),
                client_in(&hosts.seeder, "fd78:1::2", "[fd78:1::1]:6969"),
                client_in(&hosts.leecher, "10.78.2.2", "10.78.2.1:6969"),
                client_in(&hosts.leecher, "fd78:2::2", "[fd78:2::1]:6969"),
            ]
        };
        let start = || hosts.tracker_behind(&["s0", "l0"], way);
        let mut riptide = start().ready();
        let crowd = Crowd::new(sides().into());
        crowd.goes_round();
        for _ in 0..3 {
            let before = riptide.metrics();
            let next = start().directory(riptide.directory()).arguments("--take-over").ready();
            let mut left = std::mem::replace(&mut riptide, next);
            assert_eq!(left.wait().code(), Some(0), "{}", left.log_text());
            crowd.goes_round();
            goes_on(&before, &riptide.metrics());
            assert_eq!(["s0", "l0"].map(|name| mode(&riptide, name)), [Some(way); 2]);
            sides().iter().for_each(|client| is_fast(&riptide, client));
        }
        let _ = crowd.end();
        riptide.stop();
    }
}

#[test]
fn interfaces_may_come_and_go() {
    let hosts = Hosts::new();
    let names = ["s0", "l0"];
    let sides = [
        client_in(&hosts.seeder, "10.78.1.2", "10.78.1.1:6969"),
        client_in(&hosts.leecher, "10.78.2.2", "10.78.2.1:6969"),
    ];
    let mut riptide = hosts.tracker_behind(&["s0"], "native").ready();
    for wanted in [&["s0", "l0"][..], &["l0"], &["s0"], &["l0", "s0"]] {
        let next = hosts.tracker_behind(wanted, "native").directory(riptide.directory());
        let next = next.arguments("--take-over").ready();
        let mut left = std::mem::replace(&mut riptide, next);
        assert_eq!(left.wait().code(), Some(0), "{}", left.log_text());
        for (name, client) in names.iter().zip(&sides) {
            client.announce(&Announce::leecher(id20("either", 0), 2));
            let is_wanted = wanted.contains(name);
            assert_eq!(mode(&riptide, name), is_wanted.then_some("native"), "{name}");
            if is_wanted {
                is_fast(&riptide, client);
            }
        }
    }
    riptide.stop();
}
