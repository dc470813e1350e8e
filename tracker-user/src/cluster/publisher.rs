//! What this process's own clients do, on its way to all other nodes.

use super::{
    sent::Sent,
    time::ns,
    wire::{Message, Records},
};
use bytes::Bytes;
use std::{collections::BTreeMap, time::Duration};
use tracker_core::{
    engine::{Change, Cursor, Engine, Listener},
    model::Seconds,
    records::{
        Reader, Record, RecordWriter, WalkWriter, WebrtcItem, WebrtcReader, WebrtcWalkWriter, WebrtcWriter,
    },
};

/// Changes that a shard keeps until they are taken, ten times a second.
pub const JOURNAL: usize = 4096;
/// About how many bytes are sent as one message: NATS takes more of them a second then than of small ones.
const BATCH: usize = 16 << 10;
/// Changes that a shard keeps room for once they are taken: more than most have in a tenth of a second.
const ROOM: usize = 64;
/// Items that are visited for one message, where a journal was too small.
const PORTION: usize = 4096;
/// Shards that are told whole in one go, where their journals were too small.
const WHOLE: usize = 4;
/// How long a shard is not told whole again.
const WHOLE_AGAIN_NS: u64 = ns(Duration::from_secs(10));

/// Takes changes from an engine and makes messages of them.
#[derive(Debug)]
pub struct Publisher {
    boot: u64,
    sent: Sent,
    /// Shards of which more has changed than their journal holds, and when they were told whole last.
    missed: BTreeMap<usize, Missed>,
    changes: Vec<Change>,
}

/// A shard is to be told whole, and when it was last.
type Missed = (bool, u64);

/// What was made of changes.
#[derive(Debug, Default)]
pub struct Published {
    /// To all nodes, in this order.
    pub messages: Vec<Bytes>,
    /// How many changes they tell of, with peers that are told anew because a journal was too small.
    pub changes: u64,
    /// Shards that had more than their journal holds.
    pub overflowed: u64,
}

impl Publisher {
    /// Of a process with this number, which keeps so many bytes of what it has sent.
    #[must_use]
    pub const fn new(boot: u64, most: usize) -> Self {
        Self { boot, sent: Sent::new(most), missed: BTreeMap::new(), changes: Vec::new() }
    }

    /// What was sent.
    #[must_use]
    pub const fn sent(&self) -> &Sent {
        &self.sent
    }

    /// All that has changed since the last time.
    pub fn publish(&mut self, engine: &Engine, now: Seconds, now_ns: u64) -> Published {
        let mut published = Published::default();
        let (mut plain, mut webrtc) = (RecordWriter::default(), WebrtcWriter::default());
        let mut changes = std::mem::take(&mut self.changes);
        for shard in engine.changed(Listener::Cluster) {
            if engine.take_changes(Listener::Cluster, shard, &mut changes).overflowed {
                self.missed.entry(shard).or_default().0 = true;
                published.overflowed += 1;
            }
            published.changes += changes.len() as u64;
            // Those of a torrent together, in their order.
            changes.sort_by_key(|change| change.info_hash);
            for change in changes.drain(..) {
                plain.change(&change, now);
                webrtc.change(&change, now);
                if plain.written() + webrtc.written() >= BATCH {
                    self.push(&plain.take(), &webrtc.take(), now_ns, &mut published);
                }
            }
            // The next shard gets it.
            changes.shrink_to(ROOM);
        }
        self.push(&plain.take(), &webrtc.take(), now_ns, &mut published);
        self.changes = changes;
        self.tell_whole(engine, now, now_ns, &mut published);
        published
    }

    /// Tells of all that is in shards that had more changes than their journal holds: now and then, since that may be much.
    fn tell_whole(&mut self, engine: &Engine, now: Seconds, now_ns: u64, published: &mut Published) {
        let is_due = |missed: &Missed| missed.0 && now_ns.saturating_sub(missed.1) >= WHOLE_AGAIN_NS;
        let due: Vec<_> = self
            .missed
            .iter()
            .filter(|(_, missed)| is_due(missed))
            .map(|(shard, _)| *shard)
            .take(WHOLE)
            .collect();
        for shard in due {
            self.missed.insert(shard, (false, now_ns));
            let (mut plain, mut webrtc) = (WalkWriter::default(), WebrtcWalkWriter::default());
            let mut cursor = Cursor::at_shard(shard);
            while cursor.shard() == shard {
                engine.walk(&mut cursor, now, PORTION, &mut plain);
                let plain = plain.take();
                let is_peer = |record: &Result<Record, _>| matches!(record, Ok(Record::Peer(_)));
                published.changes += Reader::new(&plain).filter(is_peer).count() as u64;
                self.push(&plain, &[], now_ns, published);
            }
            let mut cursor = Cursor::at_shard(shard);
            while cursor.shard() == shard {
                engine.walk(&mut cursor, now, PORTION, &mut webrtc);
                let webrtc = webrtc.records.take();
                let is_peer = |item: &Result<WebrtcItem, _>| matches!(item, Ok(WebrtcItem::Peer(_)));
                published.changes += WebrtcReader::new(&webrtc).filter(is_peer).count() as u64;
                self.push(&[], &webrtc, now_ns, published);
            }
        }
        self.missed.retain(|_, missed| missed.0 || now_ns.saturating_sub(missed.1) < WHOLE_AGAIN_NS);
    }

    fn push(&mut self, plain: &[u8], webrtc: &[u8], now_ns: u64, published: &mut Published) {
        if plain.is_empty() && webrtc.is_empty() {
            return;
        }
        let records = Records { plain, webrtc };
        let sequence = self.sent.next();
        let message: Bytes =
            Message::Changes { boot: self.boot, sequence, written_ns: now_ns, records }.write().into();
        self.sent.push(message.clone());
        published.messages.push(message);
    }
}
