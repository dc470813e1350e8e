//! Clients that ask again when no reply comes, as real ones do: whoever is killed has requests with it in its grave.

use crate::{
    rig::{Family, Rig},
    udp::{Announce, connect_bytes, id20},
};
use std::{
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// How long a reply is waited for before the request is sent again.
const AGAIN: Duration = Duration::from_millis(200);
/// How many announces a connection ID is used for.
const ANNOUNCES: u16 = 50;
const CONNECT: u8 = 0;
const ANNOUNCE: u8 = 1;

/// Clients that ask one request after the other until each is answered, whoever may answer it.
pub struct Persistent {
    over: Arc<AtomicBool>,
    answered: Vec<Arc<AtomicU64>>,
    clients: Vec<JoinHandle<()>>,
}

impl Persistent {
    /// Begins to ask a rig's tracker, two clients of each family.
    #[must_use]
    pub fn of(rig: &Rig) -> Self {
        let over = Arc::<AtomicBool>::default();
        let places = Family::BOTH.iter().flat_map(|family| [(*family, 1), (*family, 2)]);
        let (mut answered, mut clients) = (Vec::new(), Vec::new());
        for (number, (family, address)) in (0..).zip(places) {
            let socket = rig.socket(family, address);
            socket.connect(rig.tracker(family)).expect("an address");
            socket.set_read_timeout(Some(AGAIN)).expect("a timeout");
            let own = Arc::<AtomicU64>::default();
            answered.push(own.clone());
            let asker = Asker { socket, over: over.clone(), answered: own, transaction: 0 };
            clients.push(std::thread::spawn(move || asker.run(number)));
        }
        Self { over, answered, clients }
    }

    /// Waits until each client has had a reply to what it asked after this was called.
    pub fn go_on(&self) {
        let had = |answered: &Arc<AtomicU64>| answered.load(Ordering::Relaxed);
        let before: Vec<u64> = self.answered.iter().map(had).collect();
        crate::eventually("replies for every client", || {
            assert!(!self.clients.iter().any(JoinHandle::is_finished), "a client had a wrong reply");
            // The first may be to what was asked before.
            self.answered.iter().zip(&before).all(|(now, before)| had(now) >= before + 2).then_some(())
        });
    }

    /// Ends it, and checks that no reply was wrong.
    pub fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client that had right replies alone");
        }
    }
}

struct Asker {
    socket: UdpSocket,
    over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    transaction: u32,
}

impl Asker {
    fn run(mut self, number: u32) {
        loop {
            let Some(reply) = self.ask(CONNECT, connect_bytes) else { return };
            let id: [u8; 8] = reply[8..16].try_into().expect("a connection ID");
            for port in 1..=ANNOUNCES {
                let announce = Announce::leecher(id20("persistent", number), port).num_want(0);
                let Some(reply) = self.ask(ANNOUNCE, |transaction| announce.bytes(id, transaction)) else {
                    return;
                };
                let leechers = u32::from_be_bytes(reply[12..16].try_into().expect("a count"));
                assert!(leechers <= ANNOUNCES.into(), "{leechers} leechers");
            }
        }
    }

    /// The reply to a request, or nothing once it is over.
    fn ask(&mut self, action: u8, request: impl Fn(u32) -> Vec<u8>) -> Option<Vec<u8>> {
        self.transaction += 1;
        let request = request(self.transaction);
        let mut buffer = [0; 2048];
        while !self.over.load(Ordering::Relaxed) {
            // Nobody may be there for a moment.
            let _ = self.socket.send(&request);
            while let Ok(length) = self.socket.recv(&mut buffer) {
                let reply = &buffer[..length];
                assert!(length >= 16, "a short reply: {reply:02x?}");
                let transaction = u32::from_be_bytes(reply[4..8].try_into().expect("four bytes"));
                assert!(transaction <= self.transaction, "never asked: {reply:02x?}");
                // What was sent twice may be answered twice.
                if transaction == self.transaction {
                    assert_eq!(reply[..4], [0, 0, 0, action], "{reply:02x?}");
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    return Some(reply.to_vec());
                }
            }
        }
        None
    }
}
