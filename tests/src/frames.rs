//! Frames as they are on the wire, for what no UDP socket will send.

use etherparse::PacketBuilder;
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, bind, send, socket};
use std::{
    io::{BufRead, BufReader},
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    process::{Child, Stdio},
    sync::mpsc::{self, Receiver},
    time::Instant,
};

use crate::{
    PATIENCE,
    net::{Namespace, Wire, workspace},
};

/// The MAC address of an interface of a namespace.
#[must_use]
pub fn mac(namespace: &Namespace, interface: &str) -> [u8; 6] {
    namespace.run(|| link(interface).addr()).expect("an Ethernet interface")
}

fn link(interface: &str) -> LinkAddr {
    let mut all = nix::ifaddrs::getifaddrs().expect("the interfaces");
    let found = all.find_map(|entry| {
        let named = entry.interface_name == interface;
        entry.address.filter(|_| named)?.as_link_addr().copied()
    });
    found.unwrap_or_else(|| panic!("no interface {interface}"))
}

/// Sends raw frames out of one interface.
pub struct Sender {
    socket: OwnedFd,
}

impl Sender {
    /// Opens a packet socket on an interface of a namespace.
    #[must_use]
    pub fn new(namespace: &Namespace, interface: &str) -> Self {
        namespace.run(|| {
            let socket =
                socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
                    .expect("a packet socket");
            bind(socket.as_raw_fd(), &link(interface)).expect("to bind to the interface");
            Self { socket }
        })
    }

    /// Sends a frame as it is.
    pub fn send(&self, frame: &[u8]) {
        let sent = send(self.socket.as_raw_fd(), frame, nix::sys::socket::MsgFlags::empty());
        assert_eq!(sent, Ok(frame.len()), "to send a frame");
    }
}

/// The Ethernet side of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The sender's MAC address.
    pub source: [u8; 6],
    /// The receiver's.
    pub destination: [u8; 6],
}

impl Link {
    /// From the clients' host to the tracker's.
    #[must_use]
    pub fn over(wire: &Wire) -> Self {
        Self { source: mac(&wire.clients, "c0"), destination: mac(&wire.tracker, "t0") }
    }
}

/// A UDP datagram in a frame, with right lengths and checksums.
#[must_use]
pub fn udp(link: Link, source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(link.source, link.destination);
    let builder = match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => builder.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => builder.ipv6(from.octets(), to.octets(), 64),
        _ => panic!("{source} and {destination} are of different families"),
    };
    let builder = builder.udp(source.port(), destination.port());
    let mut frame = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut frame, payload).expect("a frame in memory");
    frame
}

/// The same with four bytes of IPv4 options, or an IPv6 destination options header, that ask for nothing.
#[must_use]
pub fn udp_with_options(link: Link, source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let plain = udp(link, source, destination, payload);
    let (ethernet, packet) = plain.split_at(14);
    let mut packet = packet.to_vec();
    let at = if source.is_ipv4() { 20 } else { 40 };
    let (options, length_at) = if source.is_ipv4() {
        // No operation, four times; the header is six words long.
        packet[0] = 0x46;
        (vec![1; 4], 2)
    } else {
        // The next header moves into the options header, which holds six bytes of padding.
        packet[6] = 60;
        (vec![17, 0, 1, 4, 0, 0, 0, 0], 4)
    };
    let length = u16::from_be_bytes([packet[length_at], packet[length_at + 1]]);
    let longer = length + u16::try_from(options.len()).expect("a few bytes");
    packet[length_at..length_at + 2].copy_from_slice(&longer.to_be_bytes());
    packet.splice(at..at, options);
    if source.is_ipv4() {
        packet[10..12].fill(0);
        let words =
            packet[..24].chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        let sum: u32 = words.sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        let folded = (folded & 0xffff) + (folded >> 16);
        packet[10..12].copy_from_slice(&(!folded).to_be_bytes()[2..]);
    }
    [ethernet, &packet].concat()
}

/// The packets that an interface of a namespace has received so far.
#[must_use]
pub fn received_packets(namespace: &Namespace, interface: &str) -> u64 {
    let path = Path::new("/proc/thread-self/net/dev");
    let text = namespace.run(|| std::fs::read_to_string(path)).expect("the interfaces' counters");
    let line = text.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'));
    let count = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    count.unwrap_or_else(|| panic!("no interface {interface}"))
}

/// Sees every frame that an interface receives, with its VLAN tags.
pub struct Tap {
    child: Child,
    frames: Receiver<Vec<u8>>,
}

impl Tap {
    /// Starts to watch an interface of a namespace.
    #[must_use]
    pub fn new(namespace: &Namespace, interface: &str) -> Self {
        let script = workspace().join("tests/clients/tap.py");
        let mut child = namespace
            .command("/usr/bin/python3")
            .arg(script)
            .arg(interface)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("to start Python");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        assert_eq!(lines.next().as_deref(), Some("listening"), "the tap on {interface}");
        let (sender, frames) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines {
                if sender.send(bytes(&line)).is_err() {
                    break;
                }
            }
        });
        Self { child, frames }
    }

    /// Waits for a frame that `wanted` takes, and passes over all others.
    pub fn wait_for<T>(&self, awaited: &str, mut wanted: impl FnMut(&[u8]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(frame) = self.frames.recv_timeout(left) else {
                panic!("no frame came: {awaited}; others: {others:02x?}");
            };
            if let Some(found) = wanted(&frame) {
                return found;
            }
            others.push(frame);
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes().chunks(2);
    digits.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
