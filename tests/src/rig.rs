//! A tracker with clients beside it, one kind for each path that a request may take.

use crate::{
    metrics::Metrics,
    net::{CLIENT_ADDRESSES, Wire},
    riptide::{Riptide, Start},
    udp::Client,
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tempfile::TempDir;

/// How requests reach the tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Ordinary sockets on this host's loopback interface; needs no privilege.
    Loopback,
    /// Ordinary sockets behind a wire.
    Sockets,
    /// XDP in the driver: connects in the kernel, the rest through AF_XDP.
    Native,
    /// XDP behind the driver.
    Generic,
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// As metrics name it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}

/// The port of the tracker behind a wire.
pub const PORT: u16 = 6969;
/// A second one.
pub const SECOND_PORT: u16 = 6970;

/// A running tracker and where its clients are.
pub struct Rig {
    // Ends before its network does.
    riptide: Option<Riptide>,
    wire: Option<Wire>,
    path: Path,
    config: String,
    replies: Arc<AtomicU64>,
}

impl Rig {
    /// Starts a tracker with its defaults.
    #[must_use]
    pub fn new(path: Path) -> Self {
        Self::with_config(path, "")
    }

    /// Starts a tracker with these tables in its configuration.
    #[must_use]
    pub fn with_config(path: Path, config: &str) -> Self {
        let wire = (path != Path::Loopback).then(Wire::new);
        let mut rig = Self { riptide: None, wire, path, config: config.to_owned(), replies: Arc::default() };
        rig.riptide = Some(rig.start(None).ready());
        rig.check_mode();
        rig
    }

    fn check_mode(&self) {
        let (rig, path) = (self, self.path);
        if matches!(path, Path::Native | Path::Generic) {
            let mode = if path == Path::Native { "native" } else { "generic" };
            let metrics = rig.metrics();
            let info = metrics.sum("riptide_xdp_info", &[("interface", "t0"), ("mode", mode)]);
            assert!(info > 0.0, "XDP is not on in mode {mode}:\n{}", metrics.text);
        }
    }

    fn start(&self, directory: Option<Arc<TempDir>>) -> Start<'_> {
        let mut start = Start::new(self.wire.as_ref().map(|wire| &wire.tracker)).config(&self.config);
        if let Some(directory) = directory {
            start = start.directory(directory);
        }
        let listeners = if self.path == Path::Loopback {
            "--udp 0.0.0.0:0 --udp [::]:0".to_owned()
        } else {
            format!(
                "--udp 0.0.0.0:{PORT} --udp [::]:{PORT} --udp 0.0.0.0:{SECOND_PORT} --udp [::]:{SECOND_PORT}"
            )
        };
        let xdp = match self.path {
            Path::Loopback | Path::Sockets => "",
            Path::Native => "--interface t0 --xdp native",
            Path::Generic => "--interface t0 --xdp generic",
        };
        start.arguments(&listeners).arguments(xdp)
    }

    /// Stops the tracker and starts it again with the same state.
    pub fn restart(&mut self) {
        self.replies = Arc::default();
        let directory = self.riptide.take().expect("a running tracker").stop();
        self.riptide = Some(self.start(Some(directory)).ready());
    }

    /// How a process is started with the state of the one that runs, or ran.
    #[must_use]
    pub fn next(&self) -> Start<'_> {
        self.start(Some(self.riptide().directory()))
    }

    /// Has another process be the tracker of this rig, and gives the one before. It has to be ready.
    pub fn replace(&mut self, next: Riptide) -> Riptide {
        self.riptide.replace(next).expect("a tracker before")
    }

    /// Has another process take over, and checks that the one before ends well and that XDP is on as before. Returns what the
    /// one before said.
    pub fn hand_over(&mut self) -> String {
        let next = self.next().arguments("--take-over").ready();
        let mut before = self.replace(next);
        let status = before.wait();
        assert_eq!(status.code(), Some(0), "{}", before.log_text());
        self.check_mode();
        before.log_text()
    }

    /// The tracker.
    #[must_use]
    pub fn riptide(&self) -> &Riptide {
        self.riptide.as_ref().expect("a running tracker")
    }

    /// The path of this rig.
    #[must_use]
    pub const fn path(&self) -> Path {
        self.path
    }

    /// The network, if it is not this host's loopback interface.
    #[must_use]
    pub const fn wire(&self) -> Option<&Wire> {
        self.wire.as_ref()
    }

    /// The `path` label of connects in metrics.
    #[must_use]
    pub const fn connect_path(&self) -> &'static str {
        match self.path {
            Path::Loopback | Path::Sockets => "socket",
            Path::Native | Path::Generic => "kernel",
        }
    }

    /// The `path` label of announces and scrapes in metrics.
    #[must_use]
    pub const fn request_path(&self) -> &'static str {
        match self.path {
            Path::Loopback | Path::Sockets => "socket",
            Path::Native | Path::Generic => "xsk",
        }
    }

    /// The tracker's first address of a family.
    #[must_use]
    pub fn tracker(&self, family: Family) -> SocketAddr {
        if self.wire.is_some() {
            return SocketAddr::new(wire_address(family, 1), PORT);
        }
        let address: IpAddr = match family {
            Family::V4 => Ipv4Addr::LOCALHOST.into(),
            Family::V6 => Ipv6Addr::LOCALHOST.into(),
        };
        SocketAddr::new(address, self.riptide().udp_port(family == Family::V6))
    }

    /// Another address of the tracker's host, or `None` where there is but one.
    #[must_use]
    pub fn second_tracker(&self, family: Family) -> Option<SocketAddr> {
        let port = self.tracker(family).port();
        match (self.path, family) {
            (Path::Loopback, Family::V4) => Some(SocketAddr::new(Ipv4Addr::new(127, 0, 0, 77).into(), port)),
            (Path::Loopback, Family::V6) => None,
            _ => Some(SocketAddr::new(wire_address(family, 2), port)),
        }
    }

    /// How many addresses clients can have.
    #[must_use]
    pub const fn client_addresses(&self, family: Family) -> u8 {
        match (self.path, family) {
            (Path::Loopback, Family::V6) => 1,
            _ => CLIENT_ADDRESSES,
        }
    }

    /// A client with a port of its own, on the client address with this number, counted from 1.
    #[must_use]
    pub fn client(&self, family: Family, number: u8) -> Client {
        let client = Client::with_socket(self.socket(family, number), self.tracker(family));
        client.counted_in(Arc::clone(&self.replies))
    }

    /// A socket with a port of its own, on the client address with this number, counted from 1.
    #[must_use]
    pub fn socket(&self, family: Family, number: u8) -> UdpSocket {
        assert!((1..=self.client_addresses(family)).contains(&number), "client address {number}");
        let bind =
            |address: IpAddr| UdpSocket::bind((address, 0)).unwrap_or_else(|e| panic!("{address}: {e}"));
        match (&self.wire, family) {
            (Some(wire), Family::V4) => {
                wire.clients.run(|| bind(wire_address(family, 100 + u16::from(number))))
            }
            (Some(wire), Family::V6) => {
                wire.clients.run(|| bind(wire_address(family, 0x100 + u16::from(number))))
            }
            (None, Family::V4) => bind(Ipv4Addr::new(127, 0, 1, number).into()),
            (None, Family::V6) => bind(Ipv6Addr::LOCALHOST.into()),
        }
    }

    /// The metrics, once they tell of exactly as many replies as the rig's clients have had.
    #[must_use]
    pub fn settled(&self) -> Metrics {
        let replies = self.replies.load(Ordering::Relaxed);
        self.riptide().metrics_until(&format!("{replies} replies"), |metrics| {
            metrics.sum("riptide_udp_responses_total", &[]).to_string() == replies.to_string()
        })
    }

    /// Scrapes the tracker's metrics.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.riptide().metrics()
    }
}

/// An address on the wire.
fn wire_address(family: Family, last: u16) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 77, 0, u8::try_from(last).expect("an address in the network")).into(),
        Family::V6 => Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last).into(),
    }
}
