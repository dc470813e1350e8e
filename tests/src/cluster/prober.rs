//! Somebody who asks nodes all the while, whatever is done to the cluster, and has every answer.

use super::Node;
use crate::{
    rig::Family,
    udp::{Announce, Client, event, id20},
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// So that a prober takes little of the machine.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks one request after the other, and waits for each reply: what is not answered ends the test.
pub struct Prober {
    over: Arc<AtomicBool>,
    rounds: Vec<(Arc<AtomicU64>, JoinHandle<()>)>,
}

impl Prober {
    /// Begins to ask these nodes.
    #[must_use]
    pub fn of<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Self {
        let over = Arc::<AtomicBool>::default();
        let begin = |(number, node): (usize, &Node)| {
            let (over, rounds) = (over.clone(), Arc::<AtomicU64>::default());
            let (place, counts) = (node.udp(Family::V4), Arc::clone(&rounds));
            let thread = thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    ask(number, place);
                    counts.fetch_add(1, Ordering::Release);
                    thread::sleep(PAUSE);
                }
            });
            (rounds, thread)
        };
        let rounds = nodes.into_iter().enumerate().map(begin).collect();
        Self { over, rounds }
    }

    /// Waits until each has been asked anew, and has answered.
    pub fn goes_round(&self) {
        for (rounds, thread) in &self.rounds {
            let wanted = rounds.load(Ordering::Acquire) + 2;
            crate::eventually("answers", || {
                assert!(!thread.is_finished(), "there was no answer");
                (rounds.load(Ordering::Acquire) >= wanted).then_some(())
            });
        }
    }

    /// Ends it. All that was asked has been answered.
    pub fn end(self) {
        self.goes_round();
        self.over.store(true, Ordering::Relaxed);
        self.rounds.into_iter().for_each(|(_, thread)| thread.join().expect("all answers"));
    }
}

fn ask(number: usize, place: SocketAddr) {
    let number = u8::try_from(number).expect("a small number");
    let client = Client::new(Ipv4Addr::new(127, 3, 0, number + 1).into(), place);
    let hash = id20("probe", number.into());
    client.announce(&Announce::leecher(hash, 7).event(event::NONE));
    assert_eq!(client.row(hash).leechers, 1);
}
