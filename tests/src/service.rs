//! Steps that tests of the attached program share: clients of one wire, and other services beside the tracker.

use crate::{
    PATIENCE, eventually,
    metrics::Metrics,
    net::{Namespace, Wire},
    riptide::{Riptide, Start},
    udp::{Client, connect_bytes},
};
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Reads an address with its port.
#[must_use]
pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Connects answered on a path.
#[must_use]
pub fn connects(metrics: &Metrics, path: &str) -> f64 {
    metrics.sum("riptide_udp_responses_total", &[("path", path), ("action", "connect")])
}

/// A tracker with native XDP on the wire.
#[must_use]
pub fn native(wire: &Wire, listeners: &str) -> Riptide {
    Start::new(Some(&wire.tracker)).arguments("--interface t0 --xdp native").arguments(listeners).ready()
}

/// A client at the first client address of the tracker's family.
#[must_use]
pub fn client(wire: &Wire, tracker: &str) -> Client {
    let tracker = address(tracker);
    let own: IpAddr =
        if tracker.is_ipv4() { "10.77.0.101" } else { "fd77::101" }.parse().expect("an address");
    wire.clients.run(|| Client::new(own, tracker))
}

/// A client whose requests may go unanswered for a while: asks until it has a reply.
pub fn connect_at_last(wire: &Wire, tracker: &str) {
    let client = client(wire, tracker);
    eventually(&format!("an answer from {tracker}"), || {
        client.send(&connect_bytes(client.transaction()));
        std::thread::sleep(std::time::Duration::from_millis(20));
        client.take_arrived().iter().any(|reply| reply.len() == 16).then_some(())
    });
}

/// Asks until a connect is answered in the kernel.
pub fn kernel_answers_at_last(wire: &Wire, riptide: &Riptide, tracker: &str) {
    eventually(&format!("the kernel to answer at {tracker}\n{}", riptide.log_text()), || {
        let before = connects(&riptide.metrics(), "kernel");
        connect_at_last(wire, tracker);
        (connects(&riptide.metrics(), "kernel") > before).then_some(())
    });
}

/// Sends back what it gets, once, on a thread of its own.
#[must_use]
pub fn echo_once(socket: UdpSocket) -> std::thread::JoinHandle<()> {
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        let (length, from) = socket.recv_from(&mut buffer).expect("a datagram");
        socket.send_to(&buffer[..length], from).expect("to send it back");
    })
}

/// Sends a datagram to a service and checks that the same comes back.
pub fn echoes(host: &Namespace, from: &str, service: SocketAddr, bytes: &[u8]) {
    let from: IpAddr = from.parse().expect("an address");
    let socket = host.run(|| UdpSocket::bind((from, 0)).expect("a socket"));
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.send_to(bytes, service).expect("to send");
    let mut buffer = [0; 2048];
    let (length, source) =
        socket.recv_from(&mut buffer).unwrap_or_else(|e| panic!("no echo from {service}: {e}"));
    assert_eq!((source, &buffer[..length]), (service, bytes));
}
