//! What the other tests lean on: a harness that loses frames or leaves things behind would make them lie.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::Stdio,
    sync::PoisonError,
};
use tests::{
    frames::{self, Link, Sender, Tap},
    net::{Namespace, Wire},
    service::{address, echo_once, echoes},
};

/// Frames arrive as they were sent, tags and all.
#[test]
fn a_tap_sees_what_a_sender_sends() {
    let wire = Wire::new();
    let link = Link::over(&wire);
    let sender = Sender::new(&wire.clients, "c0");
    let tap = Tap::new(&wire.tracker, "t0");
    let plain = frames::udp(link, address("10.77.0.101:1"), address("10.77.0.1:2"), b"payload of a frame");
    for tags in [&[][..], &[0x81, 0, 0, 10], &[0x88, 0xa8, 0x20, 5, 0x81, 0, 0, 20]] {
        let frame = [&plain[..12], tags, &plain[12..]].concat();
        sender.send(&frame);
        tap.wait_for("the frame as it was sent", |arrived| (arrived == frame).then_some(()));
    }
}

/// The independent frame builder and the kernel's own stack agree on checksums.
#[test]
fn a_built_frame_reaches_a_socket() {
    let wire = Wire::new();
    for (host, service) in [("10.77.0.101", "10.77.0.1:7777"), ("fd77::101", "[fd77::1]:7777")] {
        let service = address(service);
        let echo = echo_once(wire.tracker.run(|| std::net::UdpSocket::bind(service).expect("a free port")));
        echoes(&wire.clients, host, service, b"over the wire");
        echo.join().expect("the echo");

        let socket = wire.tracker.run(|| std::net::UdpSocket::bind(service).expect("a free port"));
        socket.set_read_timeout(Some(tests::PATIENCE)).expect("a timeout");
        let link = Link::over(&wire);
        let source = std::net::SocketAddr::new(host.parse().expect("an address"), 4321);
        Sender::new(&wire.clients, "c0").send(&frames::udp(link, source, service, b"by hand"));
        let mut buffer = [0; 64];
        let (length, from) = socket.recv_from(&mut buffer).expect("the datagram");
        assert_eq!((&buffer[..length], from), (&b"by hand"[..], source));
    }
}

/// A namespace goes with its owner, and the processes in it go too, when the test panics as well.
#[test]
fn a_panic_leaves_nothing_behind() {
    let place = std::sync::Mutex::new(None);
    let panicked = std::panic::catch_unwind(|| {
        let namespace = Namespace::new("panics");
        let mut child =
            namespace.command("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a process");
        // An answer means that it runs, inside.
        child.stdin.as_mut().expect("a pipe").write_all(b"!").expect("to write");
        child.stdout.as_mut().expect("a pipe").read_exact(&mut [0]).expect("an answer");
        *place.lock().expect("a lock") = Some((Path::new("/run/netns").join(namespace.name()), child));
        panic!("on purpose");
    });
    assert!(panicked.is_err());
    let (name, mut child) = place.into_inner().unwrap_or_else(PoisonError::into_inner).expect("a process");
    assert!(!name.exists(), "{}", name.display());
    assert_eq!(child.wait().expect("a child").signal(), Some(9));
}

/// What a killed test process left is cleared away by the next one.
#[test]
fn the_leavings_of_dead_processes_are_swept() {
    let mut gone = std::process::Command::new("true").spawn().expect("a process");
    gone.wait().expect("its end");
    let name = format!("riptide-test-{}-0-swept", gone.id());
    tests::net::run("ip", &["netns", "add", &name]);
    let mut left = std::process::Command::new("ip")
        .args(["netns", "exec", &name, "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    left.stdin.as_mut().expect("a pipe").write_all(b"!").expect("to write");
    left.stdout.as_mut().expect("a pipe").read_exact(&mut [0]).expect("an answer");
    let living = Namespace::new("living");
    tests::net::sweep();
    assert_eq!(left.wait().expect("a child").signal(), Some(9));
    assert!(!Path::new("/run/netns").join(&name).exists());
    assert!(Path::new("/run/netns").join(living.name()).exists());
}
