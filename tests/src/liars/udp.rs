//! A tracker over UDP (BEP 15).

use super::Swarm;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    thread::JoinHandle,
};

/// Asks for a connection ID.
pub const CONNECT: u8 = 0;
/// Announces.
pub const ANNOUNCE: u8 = 1;
/// Asks for counts.
pub const SCRAPE: u8 = 2;

/// Ends with its owner.
pub struct UdpTracker {
    address: SocketAddr,
    worker: Option<JoinHandle<()>>,
}

impl UdpTracker {
    /// Answers as it should, but what it would answer to a request of an action goes through `bend`, which gives the
    /// datagrams that are sent instead.
    #[must_use]
    pub fn new(bend: impl FnMut(u8, &[u8], Vec<u8>) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        Self::with(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket"), bend)
    }

    /// The same at a socket that is there.
    #[must_use]
    pub fn with(
        socket: UdpSocket,
        mut bend: impl FnMut(u8, &[u8], Vec<u8>) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Self {
        let address = socket.local_addr().expect("its address");
        let worker = std::thread::spawn(move || {
            let (mut swarm, mut buffer) = (Swarm::default(), [0; 2048]);
            loop {
                let (length, from) = socket.recv_from(&mut buffer).expect("a datagram");
                let request = &buffer[..length];
                // From its owner.
                if request.is_empty() {
                    return;
                }
                let reply = answer(request, from.ip(), &mut swarm);
                for datagram in bend(request[11], request, reply) {
                    socket.send_to(&datagram, from).expect("to answer");
                }
            }
        });
        Self { address, worker: Some(worker) }
    }

    /// Its announce address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("udp://{}/announce", self.address)
    }
}

impl Drop for UdpTracker {
    fn drop(&mut self) {
        let bell = UdpSocket::bind((self.address.ip(), 0)).expect("a socket");
        bell.send_to(&[], self.address).expect("to ring");
        let ended = self.worker.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()) || std::thread::panicking(), "the tracker panicked");
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn answer(request: &[u8], from: IpAddr, swarm: &mut Swarm) -> Vec<u8> {
    let (action, transaction) = (&request[8..12], &request[12..16]);
    let word = |number: usize| u32::try_from(number).expect("a small number").to_be_bytes().to_vec();
    let head = [action, transaction].concat();
    match request[11] {
        CONNECT => {
            assert_eq!(request[..8], [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80]);
            [&head[..], b"connects"].concat()
        }
        ANNOUNCE => {
            assert_eq!(&request[..8], b"connects");
            let port = u16::try_from(number(&request[96..98])).expect("a port");
            let stopped = number(&request[80..84]) == 3;
            swarm.announced(port, number(&request[64..72]), stopped);
            let (seeders, leechers) = swarm.counts();
            let mut reply = [head, word(1800), word(leechers), word(seeders)].concat();
            for other in swarm.others(port).filter(|_| !stopped) {
                match from {
                    IpAddr::V4(ip) => reply.extend(ip.octets()),
                    IpAddr::V6(ip) => reply.extend(ip.octets()),
                }
                reply.extend(other.to_be_bytes());
            }
            reply
        }
        SCRAPE => {
            assert_eq!((&request[..8], request.len()), (&b"connects"[..], 36));
            let (seeders, leechers) = swarm.counts();
            [head, word(seeders), word(0), word(leechers)].concat()
        }
        other => panic!("a request with action {other}"),
    }
}
