//! What the attached program and the daemon must survive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use aya::maps::{Map, XskMap};
use nix::sys::signal::Signal;
use std::net::UdpSocket;
use tests::{
    INTERVAL, eventually, maps,
    net::Wire,
    rig::{Family, Path, Rig},
    riptide::Start,
    service::{
        address, client, connect_at_last, connects, echo_once, echoes, kernel_answers_at_last, native,
    },
    udp::{Announce, Client, connect_bytes, id20},
};

#[test]
fn a_frozen_daemon_still_connects() {
    for path in [Path::Native, Path::Generic] {
        let rig = Rig::new(path);
        for family in Family::BOTH {
            // Neighbours are known, so that nothing but the program is needed.
            rig.client(family, 1).connect();
        }
        rig.riptide().signal(Signal::SIGSTOP);
        let ids = Family::BOTH.map(|family| (family, rig.client(family, 1).connect()));
        rig.riptide().signal(Signal::SIGCONT);
        for (family, id) in ids {
            let client = rig.client(family, 1).with_connection(id);
            let reply = client.announce(&Announce::seeder(id20("thawed", 0), 1));
            assert!(INTERVAL.contains(&reply.interval), "{reply:?}");
        }
    }
}

#[test]
fn a_killed_daemon_leaves_nothing_behind() {
    let wire = Wire::new();
    let riptide = native(&wire, "--udp 0.0.0.0:6969");
    client(&wire, "10.77.0.1:6969").connect();
    riptide.kill();
    let links = wire.tracker.command("ip").args(["-d", "link", "show", "t0"]).output().expect("ip").stdout;
    assert!(!String::from_utf8_lossy(&links).contains("xdp"), "{}", String::from_utf8_lossy(&links));
    // Another service on the same port gets what the program would have answered or dropped.
    let service = address("10.77.0.1:6969");
    for bytes in [connect_bytes(1), vec![0; 98], b"plain text".to_vec()] {
        let echo = echo_once(wire.tracker.run(|| UdpSocket::bind(service).expect("the port to be free")));
        echoes(&wire.clients, "10.77.0.101", service, &bytes);
        echo.join().expect("the echo");
    }
}

#[test]
fn an_interface_may_go_down_and_come_back() {
    let wire = Wire::new();
    let riptide = native(&wire, "--udp 0.0.0.0:6969");
    client(&wire, "10.77.0.1:6969").connect();
    wire.tracker.ip("link set t0 down\n");
    let _ = riptide.metrics();
    wire.tracker.ip("link set t0 up\n");
    kernel_answers_at_last(&wire, &riptide, "10.77.0.1:6969");
    let client = client(&wire, "10.77.0.1:6969");
    assert_eq!(client.announce(&Announce::leecher(id20("back", 0), 1)).leechers, 1);
    riptide.metrics_until("an announce through AF_XDP", |m| {
        m.sum("riptide_udp_responses_total", &[("path", "xsk"), ("action", "announce")]) == 1.0
    });
    riptide.stop();
}

/// As bonds and failover scripts do: the program answers frames for the interface's own address only.
#[test]
fn a_new_mac_address_is_followed() {
    let wire = Wire::new();
    let riptide = native(&wire, "--udp 0.0.0.0:6969 --udp [::]:6969");
    for tracker in ["10.77.0.1:6969", "[fd77::1]:6969"] {
        client(&wire, tracker).connect();
    }
    wire.tracker.ip("link set t0 address 02:00:00:00:77:01\n");
    wire.clients.ip("neigh flush dev c0\n");
    for tracker in ["10.77.0.1:6969", "[fd77::1]:6969"] {
        kernel_answers_at_last(&wire, &riptide, tracker);
    }
    riptide.stop();
}

#[test]
fn a_wildcard_listener_follows_addresses() {
    let wire = Wire::new();
    let riptide = native(&wire, "--udp 0.0.0.0:6969 --udp [::]:6969");
    for (new, tracker, service) in [
        ("10.77.0.9/24", "10.77.0.9:6969", "10.77.0.9"),
        ("fd77::9/64", "[fd77::9]:6969", "fd77::9"),
        // An anycast address lives on the loopback device.
        ("10.77.9.9/32", "10.77.9.9:6969", "10.77.9.9"),
    ] {
        let device = if new.ends_with("/32") { "lo" } else { "t0" };
        if device == "lo" {
            wire.clients.ip("route add 10.77.9.9/32 via 10.77.0.1\n");
        }
        let nodad = if new.contains(':') { "nodad" } else { "" };
        wire.tracker.ip(&format!("addr add {new} dev {device} {nodad}\n"));
        kernel_answers_at_last(&wire, &riptide, tracker);
        wire.tracker.ip(&format!("addr del {new} dev {device}\n"));
        // Once the address is gone, the program must not answer for it.
        eventually(&format!("no answer from {service}"), || {
            let before = connects(&riptide.metrics(), "kernel");
            client(&wire, tracker).send(&connect_bytes(1));
            client(&wire, "10.77.0.1:6969").connect();
            (connects(&riptide.metrics(), "kernel") - before == 1.0).then_some(())
        });
        connect_at_last(&wire, "10.77.0.1:6969");
    }
}

#[test]
fn a_deleted_interface_leaves_the_sockets_serving() {
    let wire = Wire::new();
    // A second way to the tracker, which no program is attached to.
    tests::net::join(&wire.tracker, "t1", &wire.clients, "c1");
    wire.tracker.ip("addr add 10.79.0.1/24 dev t1\n");
    wire.clients.ip("addr add 10.79.0.101/24 dev c1\n");
    let riptide = native(&wire, "--udp 0.0.0.0:6969");
    client(&wire, "10.77.0.1:6969").connect();
    wire.tracker.ip("link del t0\n");
    let other = wire
        .clients
        .run(|| Client::new("10.79.0.101".parse().expect("an address"), address("10.79.0.1:6969")));
    other.connect();
    assert_eq!(other.announce(&Announce::leecher(id20("deleted", 0), 1)).leechers, 1);
    riptide.wait_for_line("that t0 is gone", |line| {
        line.contains("t0") && (line.contains("WARN") || line.contains("ERROR"))
    });
    riptide.metrics_until("a connect on a socket", |m| connects(m, "socket") == 1.0);
    riptide.stop();
}

#[test]
fn a_deleted_interface_that_comes_back_is_attached_again() {
    let mut wire = Wire::new();
    let riptide = native(&wire, "--udp 0.0.0.0:6969");
    client(&wire, "10.77.0.1:6969").connect();
    wire.lay_again();
    kernel_answers_at_last(&wire, &riptide, "10.77.0.1:6969");
    let client = client(&wire, "10.77.0.1:6969");
    client.announce(&Announce::leecher(id20("again", 0), 1));
    riptide.stop();
}

/// The kernel's number of the XDP program on `t0`, as `ip` shows it.
fn program_on_t0(wire: &Wire) -> String {
    let output = wire.tracker.command("ip").args(["link", "show", "dev", "t0"]).output().expect("ip");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, after) = text.split_once("prog/xdp id ").unwrap_or_else(|| panic!("no program on t0: {text}"));
    after.split_whitespace().next().expect("a number").to_owned()
}

/// The kernel gives a queue free some time after its socket is closed: sockets must be opened again until they are had.
#[test]
fn a_program_that_a_stranger_detached_comes_back_with_its_sockets() {
    let wire = Wire::new();
    let riptide = native(&wire, "--udp 0.0.0.0:6969");
    for round in 0..3 {
        let script = tests::net::workspace().join("tests/clients/detach_xdp.py");
        let detached = wire
            .tracker
            .command("/usr/bin/python3")
            .arg(script)
            .arg(program_on_t0(&wire))
            .output()
            .expect("python3");
        assert!(detached.status.success(), "{}", String::from_utf8_lossy(&detached.stderr));
        // Sooner or later the manager looks; a change of addresses makes it look now.
        wire.tracker.ip(&format!("addr add 10.77.9.{}/32 dev t0\n", round + 1));
        let lines = |what: &str| riptide.lines().iter().filter(|line| line.contains(what)).count() as u32;
        eventually("sockets after the program was missed", || {
            (lines("was detached") == round + 1 && lines("AF_XDP sockets: 1, copy") == round + 2)
                .then_some(())
        });
        let before = riptide.metrics().sum("riptide_udp_responses_total", &[("path", "xsk")]);
        let client = client(&wire, "10.77.0.1:6969");
        client.connect();
        client.announce(&Announce::leecher(id20("detached", round), 1));
        let after = riptide.metrics().sum("riptide_udp_responses_total", &[("path", "xsk")]);
        assert_eq!(after - before, 1.0, "the announce went through AF_XDP");
    }
    riptide.stop();
}

/// Has an interface use so many receive queues from here on.
fn use_receive_queues(host: &tests::net::Namespace, interface: &str, queues: u32) {
    let mut ethtool = host.command("ethtool");
    let queues = queues.to_string();
    let output = ethtool.args(["-L", interface, "rx", &queues, "tx", "1"]).output().expect("ethtool");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A wire whose tracker's end has one receive queue and may get up to four.
fn wire_with_spare_queues() -> Wire {
    let wire = Wire::with_queues(4);
    // An end with a program needs as many receive queues as the other has transmit queues.
    use_receive_queues(&wire.clients, "c0", 4);
    use_receive_queues(&wire.tracker, "t0", 1);
    wire
}

/// A queue that is added while the tracker runs gets its socket too.
#[test]
fn queues_that_are_added_are_served() {
    let wire = wire_with_spare_queues();
    let sockets = |m: &tests::metrics::Metrics| m.sum("riptide_xsk_umem_frames", &[("interface", "t0")]);
    let riptide = native(&wire, "--udp 0.0.0.0:6969");
    let one = sockets(&riptide.metrics());
    use_receive_queues(&wire.tracker, "t0", 4);
    wire.tracker.ip("addr add 10.77.9.1/32 dev t0\n");
    riptide.metrics_until("four sockets", |m| sockets(m) == 4.0 * one);
    riptide.stop();
}

/// AF_XDP sockets that are open in a namespace.
fn open_xdp_sockets(host: &tests::net::Namespace) -> u32 {
    let protocols = host.command("cat").arg("/proc/net/protocols").output().expect("cat").stdout;
    let text = String::from_utf8_lossy(&protocols).into_owned();
    let row = text.lines().find(|line| line.starts_with("XDP ")).expect("a kernel with AF_XDP");
    row.split_whitespace().nth(2).and_then(|count| count.parse().ok()).expect("a count of sockets")
}

/// A socket that the program cannot be shown serves nobody, so it must not keep its queue from the next one.
#[test]
fn a_socket_that_finds_no_place_in_the_map_gives_its_queue_back() {
    let wire = wire_with_spare_queues();
    let riptide = native(&wire, "--udp 0.0.0.0:6969");
    assert_eq!(open_xdp_sockets(&wire.tracker), 1);
    maps::freeze(&riptide, "SOCKETS");
    use_receive_queues(&wire.tracker, "t0", 4);
    wire.tracker.ip("addr add 10.77.9.1/32 dev t0\n");
    let line = riptide.wait_for_line("what became of the new queues", |line| line.contains("queue 1: "));
    assert!(line.contains("a map of the XDP program"), "{line}");
    eventually("only the socket that serves is open", || {
        (open_xdp_sockets(&wire.tracker) == 1).then_some(())
    });
    riptide.stop();
}

#[test]
fn a_flood_is_survived() {
    for path in [Path::Native, Path::Generic] {
        let rig = Rig::new(path);
        for family in Family::BOTH {
            let client = rig.client(family, 1);
            let id = client.connect();
            let hash = id20("flood", 0);
            for _ in 0..3 {
                rig.riptide().signal(Signal::SIGSTOP);
                for n in 0..10_000 {
                    client.send(&Announce::leecher(hash, 1).bytes(id, n));
                }
                rig.riptide().signal(Signal::SIGCONT);
                let drained = rig.client(family, 2);
                eventually("answers as usual", || {
                    drained.send(&Announce::leecher(hash, 2).bytes(drained.connection(), 0xffff_0000));
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    drained.take_arrived().iter().any(|reply| reply.len() >= 20).then_some(())
                });
            }
        }
        // What the program redirected was served, or is counted as lost; and every frame is in one of its places.
        rig.riptide().metrics_until("every redirected announce accounted for", |m| {
            let xsk = |name: &str| m.sum(&format!("riptide_xsk_{name}"), &[("interface", "t0")]);
            let redirected = m.sum("riptide_xdp_frames_total", &[("verdict", "redirect")]);
            let served = m.sum("riptide_udp_requests_total", &[("path", "xsk")]);
            let lost = xsk("rx_ring_full_total") + xsk("rx_dropped_total");
            redirected >= 1000.0 && redirected == served + lost && xsk("frames") == xsk("umem_frames")
        });
        let fresh = rig.client(Family::V4, 3);
        for n in 0..5000 {
            fresh.announce(&Announce::leecher(id20("after the flood", 0), 1 + n % 100));
        }
    }
}

/// Requests on a queue without its socket pass to the network stack, and the program reports it where it is asked to.
#[test]
fn a_queue_without_a_socket_falls_back_and_is_reported() {
    let wire = Wire::new();
    let riptide = Start::new(Some(&wire.tracker))
        .arguments("--interface t0 --xdp native --udp 0.0.0.0:6969 --udp [::]:6969")
        .config("[xdp]\nlog = true\n")
        .environment("RUST_LOG", "info,tracker_user::xdp=trace")
        .ready();
    let mut sockets =
        XskMap::try_from(Map::XskMap(maps::held_by(&riptide, "SOCKETS"))).expect("a map of sockets");
    for queue in 0..sockets.len() {
        let _ = sockets.unset(queue);
    }
    for (n, tracker) in (1..).zip(["10.77.0.1:6969", "[fd77::1]:6969"]) {
        let client = client(&wire, tracker);
        assert_eq!(client.announce(&Announce::leecher(id20("no socket", 0), 1)).leechers, n);
    }
    riptide.metrics_until("announces on sockets", |m| {
        m.sum("riptide_udp_responses_total", &[("path", "socket"), ("action", "announce")]) == 2.0
    });
    let metrics = riptide.metrics();
    assert_eq!(metrics.sum("riptide_udp_requests_total", &[("path", "xsk")]), 0.0);
    assert_eq!(connects(&metrics, "kernel"), 2.0);
    let line = riptide.wait_for_line("a line from the program", |line| line.contains("no AF_XDP socket"));
    assert!(line.contains("TRACE"), "{line}");
}
