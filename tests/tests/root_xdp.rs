//! What the attached program must survive, and what it must leave alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test fails"
)]

use nix::sys::signal::Signal;
use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    process::Command,
};
use tests::{
    PATIENCE, eventually,
    frames::{self, Link, Sender},
    metrics::Metrics,
    net::{Namespace, Wire},
    rig::{Family, Path, Rig},
    riptide::{Riptide, Start},
    transfer::Hosts,
    udp::{Announce, Client, Row, connect_bytes, id20},
};

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn connects(metrics: &Metrics, path: &str) -> f64 {
    metrics.sum("riptide_udp_responses_total", &[("path", path), ("action", "connect")])
}

fn native(wire: &Wire, listeners: &str) -> Riptide {
    Start::new(Some(&wire.tracker)).arguments("--interface t0 --xdp native").arguments(listeners).ready()
}

fn client(wire: &Wire, tracker: &str) -> Client {
    let tracker = address(tracker);
    let own: IpAddr =
        if tracker.is_ipv4() { "10.77.0.101" } else { "fd77::101" }.parse().expect("an address");
    wire.clients.run(|| Client::new(own, tracker))
}

/// A client whose requests may go unanswered for a while: asks until it has a reply.
fn connect_at_last(wire: &Wire, tracker: &str) {
    let client = client(wire, tracker);
    eventually(&format!("an answer from {tracker}"), || {
        client.send(&connect_bytes(client.transaction()));
        std::thread::sleep(std::time::Duration::from_millis(20));
        client.take_arrived().iter().any(|reply| reply.len() == 16).then_some(())
    });
}

/// Asks until a connect is answered in the kernel.
fn kernel_answers_at_last(wire: &Wire, riptide: &Riptide, tracker: &str) {
    eventually(&format!("the kernel to answer at {tracker}\n{}", riptide.log_text()), || {
        let before = connects(&riptide.metrics(), "kernel");
        connect_at_last(wire, tracker);
        (connects(&riptide.metrics(), "kernel") > before).then_some(())
    });
}

fn assert_alive(riptide: &Riptide) {
    let _ = riptide.metrics();
}

/// Sends back what it gets, once, on a thread of its own.
fn echo_once(socket: UdpSocket) -> std::thread::JoinHandle<()> {
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        let (length, from) = socket.recv_from(&mut buffer).expect("a datagram");
        socket.send_to(&buffer[..length], from).expect("to send it back");
    })
}

/// Sends a datagram to a service and checks that the same comes back.
fn echoes(host: &Namespace, from: &str, service: SocketAddr, bytes: &[u8]) {
    let from: IpAddr = from.parse().expect("an address");
    let socket = host.run(|| UdpSocket::bind((from, 0)).expect("a socket"));
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.send_to(bytes, service).expect("to send");
    let mut buffer = [0; 2048];
    let (length, source) =
        socket.recv_from(&mut buffer).unwrap_or_else(|e| panic!("no echo from {service}: {e}"));
    assert_eq!((source, &buffer[..length]), (service, bytes));
}

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
            assert_eq!(client.announce(&Announce::leecher(id20("thawed", 0), 1)).interval, 1800);
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
fn other_services_work_through_an_attached_interface() {
    let wire = Wire::new();
    // Another tracker's socket, on the same port of another address, before and beside ours.
    let beside = [("10.77.0.2:6969", "10.77.0.101"), ("[fd77::2]:6969", "fd77::101")];
    let riptide = native(&wire, "--udp 10.77.0.1:6969 --udp [fd77::1]:6969");
    let elsewhere = [("10.77.0.1:7000", "10.77.0.101"), ("[fd77::1]:7000", "fd77::101")];
    for (service, from) in beside.into_iter().chain(elsewhere) {
        for bytes in [connect_bytes(1), Announce::leecher([1; 20], 1).bytes([7; 8], 1), b"anything".to_vec()]
        {
            let service = address(service);
            let echo = echo_once(wire.tracker.run(|| UdpSocket::bind(service).expect("a free port")));
            echoes(&wire.clients, from, service, &bytes);
            echo.join().expect("the echo");
        }
    }
    for tracker in ["10.77.0.1:6969", "[fd77::1]:6969"] {
        client(&wire, tracker).connect();
    }
    let metrics = riptide.metrics();
    assert_eq!(connects(&metrics, "kernel"), 2.0);
    assert_eq!(metrics.sum("riptide_udp_requests_total", &[]), 2.0, "only the tracker's own requests count");
    assert_eq!(metrics.sum("riptide_udp_dropped_total", &[]), 0.0);
}

/// Connects and announces to a tracker on the far side of our host are not ours to answer.
#[test]
fn forwarded_traffic_passes() {
    let hosts = Hosts::new();
    let riptide = hosts.start();
    for (service, from) in [("10.78.2.2:6969", "10.78.1.2"), ("[fd78:2::2]:6969", "fd78:1::2")] {
        for bytes in [connect_bytes(1), Announce::leecher([1; 20], 1).bytes([7; 8], 1), b"anything".to_vec()]
        {
            let service = address(service);
            let echo = echo_once(hosts.leecher.run(|| UdpSocket::bind(service).expect("a free port")));
            echoes(&hosts.seeder, from, service, &bytes);
            echo.join().expect("the echo");
        }
    }
    let metrics = riptide.metrics();
    assert_eq!(metrics.sum("riptide_udp_requests_total", &[]), 0.0);
    assert_eq!(metrics.sum("riptide_udp_dropped_total", &[]), 0.0);
}

#[test]
fn an_interface_may_go_down_and_come_back() {
    let wire = Wire::new();
    let riptide = native(&wire, "--udp 0.0.0.0:6969");
    client(&wire, "10.77.0.1:6969").connect();
    wire.tracker.ip("link set t0 down\n");
    assert_alive(&riptide);
    wire.tracker.ip("link set t0 up\n");
    kernel_answers_at_last(&wire, &riptide, "10.77.0.1:6969");
    let client = client(&wire, "10.77.0.1:6969");
    assert_eq!(client.announce(&Announce::leecher(id20("back", 0), 1)).leechers, 1);
    riptide.metrics_until("an announce through AF_XDP", |m| {
        m.sum("riptide_udp_responses_total", &[("path", "xsk"), ("action", "announce")]) == 1.0
    });
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
    let metrics = riptide.metrics();
    assert_eq!(connects(&metrics, "socket"), 1.0);
    riptide.stop();
}

/// A name that comes back, as after a driver was loaded anew, has the fast path again.
#[test]
fn a_deleted_interface_that_comes_back_is_attached_again() {
    let mut wire = Wire::new();
    let riptide = native(&wire, "--udp 0.0.0.0:6969");
    client(&wire, "10.77.0.1:6969").connect();
    wire.tracker.ip("link del t0\n");
    tests::net::join(&wire.tracker, "t0", &wire.clients, "c0");
    wire.tracker.ip("addr add 10.77.0.1/24 dev t0\n");
    wire.clients.ip("addr add 10.77.0.101/24 dev c0\n");
    wire.clients.attach_pass("c0");
    kernel_answers_at_last(&wire, &riptide, "10.77.0.1:6969");
    let client = client(&wire, "10.77.0.1:6969");
    client.announce(&Announce::leecher(id20("again", 0), 1));
    riptide.stop();
}

/// Asked for by name and not to be had: one clear line, exit status 1.
#[test]
fn native_that_cannot_be_had_is_an_error() {
    let wire = Wire::new();
    // A dummy device's driver knows no XDP; a missing one has no driver at all.
    wire.tracker.ip("link add d0 type dummy\naddr add 10.80.0.1/24 dev d0\nlink set d0 up\n");
    for interface in ["d0", "nosuch0"] {
        let mut riptide = Start::new(Some(&wire.tracker))
            .arguments(&format!("--interface {interface} --xdp native --udp 0.0.0.0:6969"))
            .spawn();
        let status = riptide.wait();
        assert_eq!(status.code(), Some(1), "{}", riptide.log_text());
        let last = riptide.lines().pop().unwrap_or_default();
        assert!(last.contains(interface), "the last line names the interface: {}", riptide.log_text());
    }
}

/// Another's program on the hook is left alone and named.
#[test]
fn a_foreign_program_is_named() {
    let mut wire = Wire::new();
    wire.tracker.attach_pass("t0");
    let mut refused =
        Start::new(Some(&wire.tracker)).arguments("--interface t0 --xdp native --udp 0.0.0.0:6969").spawn();
    assert_eq!(refused.wait().code(), Some(1), "{}", refused.log_text());
    let last = refused.lines().pop().unwrap_or_default();
    assert!(last.contains("t0") && last.contains("program"), "{}", refused.log_text());

    let riptide =
        Start::new(Some(&wire.tracker)).arguments("--interface t0 --xdp auto --udp 0.0.0.0:6969").ready();
    let lines: Vec<String> = riptide.lines().into_iter().filter(|line| line.contains("t0")).collect();
    assert!(lines.iter().any(|line| line.contains("program")), "{}", riptide.log_text());
    client(&wire, "10.77.0.1:6969").connect();
    assert_eq!(connects(&riptide.metrics(), "socket"), 1.0);
}

/// Without native XDP, `auto` takes the next best and says so, once.
#[test]
fn auto_falls_back_and_says_so() {
    let wire = Wire::new();
    wire.tracker.ip("link add d0 type dummy\nlink set d0 up\n");
    let riptide = Start::new(Some(&wire.tracker))
        .arguments("--interface d0 --interface t0 --xdp auto --udp 0.0.0.0:6969")
        .ready();
    let metrics = riptide.metrics();
    let info = |interface, mode| metrics.sum("riptide_xdp_info", &[("interface", interface), ("mode", mode)]);
    assert_eq!((info("d0", "generic"), info("t0", "native")), (1.0, 1.0), "{}", riptide.log_text());
    let lines: Vec<String> = riptide.lines().into_iter().filter(|line| line.contains("d0")).collect();
    assert!(lines.iter().any(|line| line.contains("generic")), "{}", riptide.log_text());
    client(&wire, "10.77.0.1:6969").connect();
    riptide.stop();
}

/// `--xdp off` with an interface is sockets only.
#[test]
fn off_is_off() {
    let wire = Wire::new();
    let riptide =
        Start::new(Some(&wire.tracker)).arguments("--interface t0 --xdp off --udp 0.0.0.0:6969").ready();
    client(&wire, "10.77.0.1:6969").connect();
    let metrics = riptide.metrics();
    assert_eq!((connects(&metrics, "socket"), metrics.sum("riptide_xdp_info", &[])), (1.0, 0.0));
}

/// One worker serves every queue and the sockets too.
#[test]
fn one_worker_does_it_all() {
    let wire = Wire::new();
    let riptide = native(&wire, "--udp 0.0.0.0:6969 --udp [::]:6969 --workers 1");
    for n in 1..=20 {
        for tracker in ["10.77.0.1:6969", "[fd77::1]:6969"] {
            let client = client(&wire, tracker);
            client.announce(&Announce::leecher(id20("one worker", 0), n));
            let rows = client.scrape(&[id20("one worker", 0); 74]);
            assert_eq!(rows[73].leechers, rows[0].leechers);
        }
    }
    let metrics = riptide.metrics();
    let count =
        |path, action| metrics.sum("riptide_udp_responses_total", &[("path", path), ("action", action)]);
    assert_eq!((count("xsk", "announce"), count("socket", "scrape")), (40.0, 40.0), "{}", metrics.text);
    riptide.stop();
}

/// Sources that cannot be answered: port 0, loopback, multicast, broadcast.
#[test]
fn impossible_sources_are_dropped_and_counted() {
    for path in [Path::Native, Path::Generic] {
        let rig = Rig::new(path);
        let wire = rig.wire().expect("a wire");
        let link =
            Link { source: frames::mac(&wire.clients, "c0"), destination: frames::mac(&wire.tracker, "t0") };
        let sender = Sender::new(&wire.clients, "c0");
        let cases = [
            (
                "10.77.0.1:6969",
                vec![
                    "10.77.0.101:0",
                    "127.0.0.1:5000",
                    "224.0.0.1:5000",
                    "255.255.255.255:5000",
                    "0.0.0.0:5000",
                ],
            ),
            (
                "[fd77::1]:6969",
                vec![
                    "[fd77::101]:0",
                    "[::1]:5000",
                    "[ff02::1]:5000",
                    "[::]:5000",
                    "[::ffff:10.77.0.101]:5000",
                ],
            ),
        ];
        for (tracker, sources) in cases {
            let client = client(wire, tracker);
            client.connect();
            let before = rig.metrics();
            for source in &sources {
                sender.send(&frames::udp(link, address(source), address(tracker), &connect_bytes(1)));
            }
            client.connect();
            let after = rig.metrics();
            let dropped = |m: &Metrics| m.sum("riptide_udp_dropped_total", &[("path", "kernel")]);
            assert_eq!(connects(&after, "kernel") - connects(&before, "kernel"), 1.0, "{tracker}");
            assert_eq!(
                (dropped(&after) - dropped(&before)).to_string(),
                sources.len().to_string(),
                "{tracker}"
            );
        }
    }
}

/// A short frame is padded on a real wire, and a datagram ends where its own length says.
#[test]
fn padding_is_not_payload() {
    let rig = Rig::new(Path::Native);
    let wire = rig.wire().expect("a wire");
    let link =
        Link { source: frames::mac(&wire.clients, "c0"), destination: frames::mac(&wire.tracker, "t0") };
    let sender = Sender::new(&wire.clients, "c0");
    for tracker in ["10.77.0.1:6969", "[fd77::1]:6969"] {
        let client = client(wire, tracker);
        client.connect();
        let transaction = client.transaction();
        let mut frame = frames::udp(link, client.address(), address(tracker), &connect_bytes(transaction));
        frame.resize(frame.len() + 30, 0xff);
        sender.send(&frame);
        // Read by the host's own UDP stack: lengths and checksums are right.
        let reply = client.read(&client.receive(), transaction);
        assert!(matches!(reply, tests::udp::Reply::Connected(_)));

        // Fewer bytes of datagram than of frame: too short to be a connect.
        let mut short = frames::udp(link, client.address(), address(tracker), &connect_bytes(7)[..15]);
        short.resize(short.len() + 30, 0);
        sender.send(&short);
        let id = client.connection();
        let hash = id20("padding", 0);
        let mut cut = frames::udp(
            link,
            client.address(),
            address(tracker),
            &Announce::leecher(hash, 1).bytes(id, 7)[..97],
        );
        cut.resize(cut.len() + 30, 0);
        sender.send(&cut);
        client.fence();
        assert_eq!(client.row(hash), Row::default());
    }
    let metrics = rig.metrics();
    let dropped = metrics.sum("riptide_udp_dropped_total", &[("path", "kernel"), ("reason", "malformed")]);
    assert_eq!(dropped, 4.0);
}

/// More requests than fit while nobody takes them, then service as usual, and no frame lost from the rings.
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
        // Every frame of every queue is in one of the five places again.
        let metrics = rig.metrics();
        assert!(metrics.samples.iter().any(|s| s.name.starts_with("riptide_xsk_")), "{}", metrics.text);
        let fresh = rig.client(Family::V4, 3);
        for n in 0..5000 {
            fresh.announce(&Announce::leecher(id20("after the flood", 0), 1 + n % 100));
        }
    }
}

/// The operator's tool runs inside the same surroundings.
#[test]
fn doctor_names_the_interface() {
    let wire = Wire::new();
    let program = tests::riptide::binary();
    let mut command: Command = wire.tracker.command(&program.to_string_lossy());
    let output = command.args(["doctor", "--interface", "t0"]).output().expect("riptide doctor");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{text}");
    assert!(text.contains("t0") && text.contains("veth"), "{text}");
}
