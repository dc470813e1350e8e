//! Trackers that do all as they should, but for one thing that a test has them do. What they answer is written out by hand.

mod http;
mod udp;

pub use http::{HttpAnswer, HttpTracker, Request, ok};
pub use udp::{ANNOUNCE, CONNECT, SCRAPE, UdpTracker};

use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

/// Who has announced one torrent.
#[derive(Debug, Default)]
pub(crate) struct Swarm(Vec<Member>);

#[derive(Debug)]
struct Member {
    port: u16,
    left: u64,
}

impl Swarm {
    /// Takes somebody in, or lets somebody go.
    pub(crate) fn announced(&mut self, port: u16, left: u64, stopped: bool) {
        self.0.retain(|member| member.port != port);
        if !stopped {
            self.0.push(Member { port, left });
        }
    }

    /// Seeders and leechers.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let seeders = self.0.iter().filter(|member| member.left == 0).count();
        (seeders, self.0.len() - seeders)
    }

    /// The ports of all but this one's.
    pub(crate) fn others(&self, port: u16) -> impl Iterator<Item = u16> {
        self.0.iter().map(|member| member.port).filter(move |&other| other != port)
    }
}

/// A place on the loopback interface where nobody listens, neither for UDP nor for TCP, and which nobody else gets.
pub struct ClosedPort {
    /// The place.
    pub address: SocketAddr,
    // One that hears from another place alone, and one that does not listen.
    _sockets: (UdpSocket, Socket),
}

impl ClosedPort {
    /// Takes one.
    #[must_use]
    pub fn new() -> Self {
        crate::eventually("a port that is free for both", || {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
            let address = udp.local_addr().expect("its address");
            udp.connect((Ipv4Addr::LOCALHOST, 9)).expect("to connect");
            let tcp = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            tcp.bind(&address.into()).ok()?;
            Some(Self { address, _sockets: (udp, tcp) })
        })
    }
}

impl Default for ClosedPort {
    fn default() -> Self {
        Self::new()
    }
}
