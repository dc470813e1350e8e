//! Swarms as they go from one process to the other: a walk over what there is, and then what changes, in one order. What other
//! nodes counted of downloads goes with the walk; what they tell of that meanwhile the new process hears from them.

use super::messages::Message;
use crate::clock::Clock;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tracker_core::{
    engine::{Change, Cursor, Engine, Listener},
    model::Seconds,
    nodes::SharedNodes,
    records::{RecordWriter, WalkWriter},
};

/// Changes that a shard keeps until they are taken: more than come to it between two times, unless all come for one torrent.
const JOURNAL: usize = 4096;
/// Items that are visited, or changes that are written, for one message.
const PORTION: usize = 8192;
/// The longest time between two looks at what has changed.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Follows an engine, and writes down what there is and what changes. What is written goes to a function, in its order.
#[derive(Debug)]
pub struct Following {
    engine: Arc<Engine>,
    nodes: SharedNodes,
    clock: Clock,
    /// Shards whose changes were more than their journal holds.
    missed: BTreeSet<usize>,
    looked: Instant,
}

impl Following {
    /// Listens to the engine's changes from now on, until this is dropped. No other successor may.
    #[must_use]
    pub fn new(engine: Arc<Engine>, nodes: SharedNodes, clock: Clock) -> Self {
        engine.listen(Listener::Successor, JOURNAL);
        Self { engine, nodes, clock, missed: BTreeSet::new(), looked: Instant::now() }
    }

    /// Writes down all that there is, and what has changed meanwhile.
    ///
    /// # Errors
    /// What `write` says.
    pub fn walk<E>(&mut self, mut write: impl FnMut(Message) -> Result<(), E>) -> Result<(), E> {
        let (mut cursor, mut writer) = (Cursor::default(), WalkWriter::default());
        loop {
            let now = self.clock.now();
            let walked = self.engine.walk(&mut cursor, now, PORTION, &mut writer);
            self.walked(&mut writer, now, &mut write)?;
            if walked.ended {
                return self.changes(write);
            }
            if self.looked.elapsed() >= BETWEEN_LOOKS {
                self.changes(&mut write)?;
            }
        }
    }

    /// Writes down what has changed since the last time. Of a shard that had too many changes, all that there is.
    ///
    /// # Errors
    /// What `write` says.
    pub fn changes<E>(&mut self, mut write: impl FnMut(Message) -> Result<(), E>) -> Result<(), E> {
        self.looked = Instant::now();
        let (mut changes, mut taken, mut writer) =
            (Vec::<Change>::new(), Vec::new(), RecordWriter::default());
        for shard in 0..Engine::SHARDS {
            if self.engine.take_changes(Listener::Successor, shard, &mut taken).overflowed {
                self.missed.insert(shard);
            }
            changes.append(&mut taken);
            if changes.len() >= PORTION || shard + 1 == Engine::SHARDS {
                let now = self.clock.now();
                for portion in changes.chunks(PORTION) {
                    portion.iter().for_each(|change| writer.change(change, now));
                    some(writer.take(), now, &mut write)?;
                }
                changes.clear();
            }
        }
        while let Some(shard) = self.missed.pop_first() {
            self.walk_shard(shard, &mut write)?;
        }
        Ok(())
    }

    fn walk_shard<E>(&self, shard: usize, write: &mut impl FnMut(Message) -> Result<(), E>) -> Result<(), E> {
        let (mut cursor, mut writer) = (Cursor::at_shard(shard), WalkWriter::default());
        while cursor.shard() == shard {
            let now = self.clock.now();
            self.engine.walk(&mut cursor, now, PORTION, &mut writer);
            self.walked(&mut writer, now, write)?;
        }
        Ok(())
    }

    /// Writes down what a part of a walk came by.
    fn walked<E>(
        &self,
        writer: &mut WalkWriter,
        now: Seconds,
        write: &mut impl FnMut(Message) -> Result<(), E>,
    ) -> Result<(), E> {
        some(writer.take(), now, write)?;
        for (node, records) in writer.take_shares() {
            let name = self.nodes.lock().name(node).map(str::to_owned);
            if let Some(node) = name {
                write(Message::Shares { node, records })?;
            }
        }
        Ok(())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.engine.listen(Listener::Successor, 0);
    }
}

fn some<E>(
    records: Vec<u8>,
    now: Seconds,
    write: &mut impl FnMut(Message) -> Result<(), E>,
) -> Result<(), E> {
    if records.is_empty() {
        return Ok(());
    }
    write(Message::Written(now))?;
    write(Message::Swarms(records))
}
