//! `export`: every torrent that the tracker knows of, written out while the engine is walked.
//!
//! Nothing is held but one piece of the text and the info hashes of the shard that is being walked. The walk goes on when
//! its reader has room for the next piece, and ends when the reader is gone.

use crate::{clock::Clock, http::Stage, orders::Stopping};
use axum::body::Bytes;
use futures_util::{Stream, stream::try_unfold};
use std::{collections::HashSet, io::Write as _, sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};
use tracker_core::{
    engine::{Cursor, Engine, Seen, Verdict, Visitor},
    model::{Counts, InfoHash, Seconds},
};

/// Items walked at a time: whoever serves on the same processor waits meanwhile, some tens of microseconds.
const SLICE: usize = 1024;
/// Between two slices: whoever serves has the processor to itself most of the time, and a million torrents still take no more
/// than a few seconds.
const REST: Duration = Duration::from_millis(1);
/// Bytes that are handed on together, at least, but for the last ones.
const PIECE: usize = 32 << 10;

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A line for each torrent: hash, seeders, leechers, downloads, with a space between.
    Text,
    /// A line for each torrent, a JSON object.
    Jsonl,
    /// As trackers answer a scrape for everything (BEP 48): a dictionary of `files`, by raw info hash. The hashes are in no
    /// order, as with other trackers, since sorting takes all of them; the keys of each torrent are sorted.
    Bencode,
}

impl Format {
    /// By its name.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "text" => Some(Self::Text),
            "jsonl" => Some(Self::Jsonl),
            "bencode" => Some(Self::Bencode),
            _ => None,
        }
    }

    /// As HTTP names it.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain",
            Self::Jsonl => "application/jsonl",
            Self::Bencode => "application/octet-stream",
        }
    }

    const fn begin(self) -> &'static [u8] {
        match self {
            Self::Text | Self::Jsonl => b"",
            Self::Bencode => b"d5:filesd",
        }
    }

    const fn end(self) -> &'static [u8] {
        match self {
            Self::Text | Self::Jsonl => b"",
            Self::Bencode => b"ee",
        }
    }

    fn write(self, row: &Row, into: &mut Vec<u8>) {
        let Row { info_hash, seeders, leechers, downloaded } = row;
        // Memory takes whatever is written.
        let _ = match self {
            Self::Text => writeln!(into, "{info_hash} {seeders} {leechers} {downloaded}"),
            Self::Jsonl => writeln!(
                into,
                "{{\"info_hash\":\"{info_hash}\",\"seeders\":{seeders},\"leechers\":{leechers},\
                 \"downloaded\":{downloaded}}}"
            ),
            Self::Bencode => {
                into.extend_from_slice(b"20:");
                into.extend_from_slice(&info_hash.0);
                write!(into, "d8:completei{seeders}e10:downloadedi{downloaded}e10:incompletei{leechers}ee")
            }
        };
    }
}

/// A torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    info_hash: InfoHash,
    seeders: u32,
    leechers: u32,
    downloaded: u32,
}

/// Notes what it is shown; it is written once no lock is held.
#[derive(Debug, Default)]
struct Rows(Vec<Row>);

impl Visitor for Rows {
    fn torrent(&mut self, info_hash: &InfoHash, counts: &Counts, _: bool) -> Verdict {
        let Counts { complete, incomplete, downloaded, .. } = *counts;
        self.0.push(Row { info_hash: *info_hash, seeders: complete, leechers: incomplete, downloaded });
        // The counts are those of the whole swarm, however large.
        Verdict::Enough
    }

    fn peer(&mut self, _: &Seen<'_>) -> Verdict {
        Verdict::Keep
    }

    fn retained(&mut self, info_hash: &InfoHash, downloaded: u32, _: Seconds) -> Verdict {
        self.0.push(Row { info_hash: *info_hash, seeders: 0, leechers: 0, downloaded });
        Verdict::Keep
    }
}

/// An export under way.
#[derive(Debug)]
struct Export {
    engine: Arc<Engine>,
    clock: Clock,
    stage: watch::Receiver<Stage>,
    format: Format,
    cursor: Cursor,
    rows: Rows,
    told: Told,
    text: Vec<u8>,
    ended: bool,
}

/// Which torrents of the shard that is walked were told: the walk may come by one twice, as it moves while others go, or
/// loses its last peer.
#[derive(Debug, Default)]
struct Told {
    shard: usize,
    hashes: HashSet<InfoHash>,
}

impl Told {
    /// Whether it is the first time, for a torrent of this shard.
    fn is_new(&mut self, info_hash: InfoHash, shard: usize) -> bool {
        if shard != self.shard {
            *self = Self { shard, hashes: HashSet::new() };
        }
        self.hashes.insert(info_hash)
    }
}

/// The export of everything, piece by piece. It ends with [`Stopping`] where the tracker ends before it does.
pub(super) fn pieces(
    engine: Arc<Engine>,
    clock: Clock,
    stage: watch::Receiver<Stage>,
    format: Format,
) -> impl Stream<Item = Result<Bytes, Stopping>> {
    let export = Export {
        engine,
        clock,
        stage,
        format,
        cursor: Cursor::default(),
        rows: Rows::default(),
        told: Told::default(),
        text: format.begin().to_vec(),
        ended: false,
    };
    try_unfold(export, |mut export| async move {
        let piece = export.piece().await?;
        Ok(piece.map(|piece| (piece, export)))
    })
}

impl Export {
    /// The next piece; none after the last.
    async fn piece(&mut self) -> Result<Option<Bytes>, Stopping> {
        while !self.ended && self.text.len() < PIECE {
            if *self.stage.borrow() == Stage::Draining {
                return Err(Stopping);
            }
            self.slice();
            sleep(REST).await;
        }
        let piece = std::mem::take(&mut self.text);
        Ok((!piece.is_empty()).then(|| piece.into()))
    }

    fn slice(&mut self) {
        self.ended = self.engine.walk(&mut self.cursor, self.clock.now(), SLICE, &mut self.rows).ended;
        for row in self.rows.0.drain(..) {
            let shard = self.engine.locate(&row.info_hash).shard();
            if self.told.is_new(row.info_hash, shard) {
                self.format.write(&row, &mut self.text);
            }
        }
        if self.ended {
            self.text.extend_from_slice(self.format.end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::TryStreamExt as _;
    use std::{collections::BTreeMap, pin::pin};
    use tracker_core::{
        engine::{Announce, Lists, Want},
        model::Event,
        policy::Policy,
        rng::Rng,
    };

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    fn hash(number: u32) -> InfoHash {
        let mut bytes = [0x61; 20];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        InfoHash(bytes)
    }

    fn announce(engine: &Engine, torrent: u32, port: u16, event: Event, left: u64) {
        let address = std::net::IpAddr::from([192, 0, 2, 1]).into();
        let announce = Announce { info_hash: hash(torrent), address, port, event, left, want: Want::Own(0) };
        engine.announce(&announce, 9, &mut Rng::new([1, 2]), &mut Lists::default()).unwrap();
    }

    fn engine() -> Arc<Engine> {
        Arc::new(Engine::new(Policy { downloaded_entries: 1_000_000, ..Policy::default() }, [1, 2]))
    }

    fn all(engine: &Arc<Engine>, format: Format) -> Vec<u8> {
        let (_sender, stage) = watch::channel(Stage::Serving);
        run(pieces(engine.clone(), Clock::new(0), stage, format).try_fold(
            Vec::new(),
            |mut all, piece| async move {
                all.extend_from_slice(&piece);
                Ok(all)
            },
        ))
        .unwrap()
    }

    #[test]
    fn the_three_formats_are_as_written_by_hand() {
        let engine = engine();
        assert_eq!(all(&engine, Format::Text), b"");
        assert_eq!(all(&engine, Format::Bencode), b"d5:filesdee");
        announce(&engine, 1, 1, Event::Started, 9);
        announce(&engine, 1, 1, Event::Completed, 0);
        announce(&engine, 1, 2, Event::Started, 9);
        announce(&engine, 1, 3, Event::Paused, 9);
        let digits = format!("00000001{}", "61".repeat(16));
        assert_eq!(all(&engine, Format::Text), format!("{digits} 1 2 1\n").as_bytes());
        let json = format!("{{\"info_hash\":\"{digits}\",\"seeders\":1,\"leechers\":2,\"downloaded\":1}}\n");
        assert_eq!(all(&engine, Format::Jsonl), json.as_bytes());
        assert_eq!(
            all(&engine, Format::Bencode),
            b"d5:filesd20:\0\0\0\x01aaaaaaaaaaaaaaaad8:completei1e10:downloadedi1e10:incompletei2eeee"
        );
    }

    /// While torrents go, others take their places, and the walk comes by some of them again; others lose their last peer
    /// and are met once more among the kept counts.
    #[test]
    fn a_torrent_is_told_once_whatever_moves_meanwhile() {
        let engine = engine();
        let many = 40_000;
        for torrent in 0..many {
            announce(&engine, torrent, 1, Event::Started, 9);
            announce(&engine, torrent, 1, Event::Completed, 0);
        }
        let (_sender, stage) = watch::channel(Stage::Serving);
        let mut told: BTreeMap<String, usize> = BTreeMap::new();
        run(async {
            let mut pieces = pin!(pieces(engine.clone(), Clock::new(0), stage, Format::Text));
            let mut going = 0;
            while let Some(piece) = pieces.try_next().await.unwrap() {
                for line in String::from_utf8(piece.to_vec()).unwrap().lines() {
                    *told.entry(line[..40].to_owned()).or_default() += 1;
                }
                for torrent in (going..many).step_by(3).take(2_000) {
                    announce(&engine, torrent, 1, Event::Stopped, 0);
                }
                going += 6_000;
            }
        });
        assert!(told.values().all(|times| *times == 1), "{:?}", told.iter().find(|told| *told.1 > 1));
        // Those that stayed are all there.
        for torrent in (0..many).filter(|torrent| torrent % 3 != 0) {
            assert!(told.contains_key(&hash(torrent).to_string()), "{torrent}");
        }
    }

    #[test]
    fn the_end_of_the_tracker_ends_it_in_the_middle() {
        let engine = engine();
        (0..20_000).for_each(|torrent| announce(&engine, torrent, 1, Event::Started, 9));
        let (sender, stage) = watch::channel(Stage::Serving);
        run(async {
            let mut pieces = pin!(pieces(engine, Clock::new(0), stage, Format::Bencode));
            let first = pieces.try_next().await.unwrap().unwrap();
            assert!((PIECE..PIECE + SLICE * 100).contains(&first.len()), "{}", first.len());
            sender.send_replace(Stage::Draining);
            assert_eq!(pieces.try_next().await, Err(Stopping));
        });
    }
}
