//! HTTP clients that announce all the while something is done to the tracker, at every door.

use crate::{
    rig::Family,
    udp::id20,
    web::{
        house::{Client, Door, House},
        http::{Announce, Announced, Connection},
        stream::is_closed,
    },
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

/// The doors that they come in by.
const DOORS: [Door; 3] = [Door::Plain, Door::Tls, Door::Unix];
/// Peers of each.
const PORTS: u16 = 20;

/// Clients that announce one peer after the other: at each door one that opens a connection for each, and one that keeps its
/// connection as long as it may.
pub struct Visitors {
    over: Arc<AtomicBool>,
    answered: Vec<Arc<AtomicU64>>,
    clients: Vec<JoinHandle<()>>,
}

impl Visitors {
    /// Begins to ask. The house has every door.
    #[must_use]
    pub fn of(house: &House) -> Self {
        let over = Arc::<AtomicBool>::default();
        let (mut answered, mut clients) = (Vec::new(), Vec::new());
        for (number, door) in (1..).zip(DOORS) {
            for keeps in [false, true] {
                let client = house.client_by(door, Family::V4, number);
                let hash = id20("visitor", u32::from(number) * 2 + u32::from(keeps));
                let (over, own) = (Arc::clone(&over), Arc::<AtomicU64>::default());
                answered.push(Arc::clone(&own));
                clients.push(std::thread::spawn(move || {
                    let mut kept = None;
                    for port in (1..=PORTS).cycle() {
                        if over.load(Ordering::Relaxed) {
                            return;
                        }
                        let target = Announce::leecher(hash, port).target();
                        let reply =
                            if keeps { again(&client, &mut kept, &target) } else { once(&client, &target) };
                        assert!((1..=PORTS.into()).contains(&reply.incomplete), "{door:?}: {reply:?}");
                        own.fetch_add(1, Ordering::Relaxed);
                    }
                }));
            }
        }
        Self { over, answered, clients }
    }

    /// Torrents and peers of all.
    pub const SIZE: [u64; 2] = [2 * DOORS.len() as u64, 2 * DOORS.len() as u64 * PORTS as u64];

    /// Waits until each has announced all its peers once more.
    pub fn go_round(&self) {
        let had = |answered: &Arc<AtomicU64>| answered.load(Ordering::Relaxed);
        let before: Vec<u64> = self.answered.iter().map(had).collect();
        crate::eventually("the visitors to go round", || {
            assert!(!self.clients.iter().any(JoinHandle::is_finished), "a visitor had no right reply");
            let round = |(now, before): (_, &u64)| had(now) > before + u64::from(PORTS);
            self.answered.iter().zip(&before).all(round).then_some(())
        });
    }

    /// Ends it, and checks that all replies were right.
    pub fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a visitor that had right replies alone");
        }
    }
}

fn once(client: &Client, target: &str) -> Announced {
    Announced::read(&client.connect().get(target))
}

/// Asks on the kept connection, if there is one. It may have been closed meanwhile, but never in the middle of a reply.
fn again(client: &Client, kept: &mut Option<Connection>, target: &str) -> Announced {
    let mut connection = kept.take().unwrap_or_else(|| client.connect());
    let answer = match connection.try_get(target) {
        Ok(answer) => answer,
        Err(e) if is_closed(&e) && !e.to_string().contains("in the middle") => return once(client, target),
        Err(e) => panic!("a response: {e}"),
    };
    if answer.header("connection") != Some("close") {
        *kept = Some(connection);
    }
    Announced::read(&answer)
}
