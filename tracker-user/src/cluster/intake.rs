//! Messages that have arrived and wait to be taken in: up to so many bytes, of which one sender has a part at the most. One too many is
//! lost, as one that the server drops, and asked for again like any other. Relays have a part of their own, since they are what clients
//! send: however many there are, changes have their room.

use super::wire::is_relay;
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::mpsc;

/// What a message costs beside its bytes.
const EACH: usize = 256;
/// The part of all room that one sender may have: who floods takes nobody else's.
const PART: usize = 4;
/// The part of all room that relays have.
const RELAYS: usize = 8;

/// A message and the subject it came by.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// The subject, whose last token names the sender.
    pub subject: Box<str>,
    /// The message.
    pub bytes: Bytes,
}

impl Arrived {
    fn sender(&self) -> &str {
        self.subject.rsplit('.').next().unwrap_or_default()
    }

    fn size(&self) -> usize {
        self.bytes.len() + EACH
    }
}

/// What is taken up, in all and by each sender that has something waiting.
#[derive(Debug)]
struct Taken {
    all: usize,
    by_sender: HashMap<Box<str>, usize>,
    most: usize,
}

impl Taken {
    fn new(most: usize) -> Mutex<Self> {
        Mutex::new(Self { all: 0, by_sender: HashMap::new(), most })
    }
}

#[derive(Debug)]
struct Room {
    relays: Mutex<Taken>,
    others: Mutex<Taken>,
    lost: AtomicU64,
}

impl Room {
    /// Where messages of that kind have theirs.
    fn of(&self, arrived: &Arrived) -> &Mutex<Taken> {
        if is_relay(&arrived.bytes) { &self.relays } else { &self.others }
    }

    /// Whether a message fits in, which then has its room.
    fn take(&self, arrived: &Arrived) -> bool {
        let mut taken = self.of(arrived).lock();
        let (size, sender) = (arrived.size(), arrived.sender());
        let had = taken.by_sender.get(sender).copied().unwrap_or_default();
        let fits = taken.all + size <= taken.most && had + size <= taken.most / PART;
        if fits {
            taken.all += size;
            taken.by_sender.insert(sender.into(), had + size);
        }
        fits
    }

    fn give(&self, arrived: &Arrived) {
        let mut taken = self.of(arrived).lock();
        let size = arrived.size();
        taken.all = taken.all.saturating_sub(size);
        if let Some(had) = taken.by_sender.get_mut(arrived.sender()) {
            *had = had.saturating_sub(size);
            if *had == 0 {
                taken.by_sender.remove(arrived.sender());
            }
        }
    }
}

/// Where messages arrive.
#[derive(Clone, Debug)]
pub struct Door {
    queue: mpsc::UnboundedSender<Arrived>,
    room: Arc<Room>,
}

/// Where they are taken from.
#[derive(Debug)]
pub struct Intake {
    queue: mpsc::UnboundedReceiver<Arrived>,
    room: Arc<Room>,
}

/// An intake for up to `most` bytes, and its door.
#[must_use]
pub fn intake(most: usize) -> (Door, Intake) {
    let (sender, queue) = mpsc::unbounded_channel();
    let relays = most / RELAYS;
    let (relays, others) = (Taken::new(relays), Taken::new(most - relays));
    let room = Arc::new(Room { relays, others, lost: AtomicU64::new(0) });
    (Door { queue: sender, room: room.clone() }, Intake { queue, room })
}

impl Door {
    /// Takes a message in, if there is room.
    pub fn push(&self, arrived: Arrived) {
        if self.room.take(&arrived) {
            // Whoever took them has ended: so does this.
            let _ = self.queue.send(arrived);
        } else {
            self.room.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Intake {
    /// The next message; `None` once there is no door any more.
    pub async fn next(&mut self) -> Option<Arrived> {
        let arrived = self.queue.recv().await?;
        self.room.give(&arrived);
        Some(arrived)
    }

    /// The next message, if one is there.
    pub fn ready(&mut self) -> Option<Arrived> {
        let arrived = self.queue.try_recv().ok()?;
        self.room.give(&arrived);
        Some(arrived)
    }

    /// A message was lost before it came here.
    pub fn lose(&self) {
        self.room.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Messages that were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.room.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(door: &Door, from: &str) {
        push_bytes(door, from, &[0; 10]);
    }

    fn push_bytes(door: &Door, from: &str, bytes: &'static [u8]) {
        let subject = format!("riptide.changes.{from}").into();
        door.push(Arrived { subject, bytes: Bytes::from_static(bytes) });
    }

    /// An intake for so many messages that are no relays.
    fn intake(messages: usize) -> (Door, Intake) {
        super::intake((messages * (EACH + 10) * RELAYS).div_ceil(RELAYS - 1))
    }

    #[test]
    fn relays_take_nobody_elses_room() {
        let (door, mut intake) = intake(RELAYS * PART);
        for sender in ["a", "b", "c", "d", "e"] {
            (0..100).for_each(|_| push_bytes(&door, sender, &[1, 14, 0, 0, 0, 0, 0, 0, 0, 0]));
        }
        let lost_relays = intake.lost();
        let waiting = 500 - lost_relays as usize;
        assert!((PART..=RELAYS * PART / (RELAYS - 1)).contains(&waiting), "{waiting}");
        for sender in ["a", "b", "c", "d"] {
            (0..RELAYS).for_each(|_| push(&door, sender));
        }
        assert_eq!(intake.lost(), lost_relays, "all others have theirs");
        for _ in 0..waiting + RELAYS * PART {
            intake.ready().unwrap();
        }
        assert!(intake.ready().is_none());
        assert!([&intake.room.relays, &intake.room.others].iter().all(|room| room.lock().all == 0));
    }

    #[test]
    fn what_is_too_much_is_lost_and_counted() {
        let (door, mut intake) = intake(PART * 3);
        (0..5).for_each(|_| push(&door, "loud"));
        assert_eq!(intake.lost(), 2);
        (0..3).for_each(|_| push(&door, "quiet"));
        assert_eq!(intake.lost(), 2, "who floods takes nobody else's room");
        for _ in 0..6 {
            assert_eq!(intake.ready().unwrap().bytes.len(), 10);
        }
        assert!(intake.ready().is_none() && intake.room.others.lock().by_sender.is_empty());
        (0..20).for_each(|sender| push(&door, &sender.to_string()));
        assert_eq!(intake.lost(), 10, "all together have no more than there is");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        drop(door);
        runtime.block_on(async {
            for _ in 0..12 - 2 {
                intake.next().await.unwrap();
            }
        });
        assert_eq!(intake.room.others.lock().all, 2 * (EACH + 10));
    }
}
