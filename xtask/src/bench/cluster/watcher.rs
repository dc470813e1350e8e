//! A client that announces to one node, and asks another one until that knows.

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, setns};
use std::{
    collections::BTreeMap,
    fs::File,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How often a peer announces.
const EVERY: Duration = Duration::from_millis(10);
/// How often the other node is asked.
const ASK: Duration = Duration::from_millis(2);
/// What is not known by then never is.
const PATIENCE: Duration = Duration::from_secs(5);
/// A question whose answer is lost is asked again.
const LOST: Duration = Duration::from_millis(500);
/// Torrents in one question.
const MOST: usize = 70;

const CONNECT: u32 = 0;
const ANNOUNCE: u32 = 1;
const SCRAPE: u32 = 2;
/// What a connect says first (BEP 15).
const MAGIC: u64 = 0x0417_2710_1980;
/// The transaction of a connect; no peer has this number.
const CONNECTING: u32 = u32::MAX;

/// How long it took until peers were known, each from the answer to its announce.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// In their order.
    seconds: Vec<f64>,
    /// Peers that were not known in time.
    pub(super) unseen: usize,
}

impl Seen {
    pub(super) const fn count(&self) -> usize {
        self.seconds.len() + self.unseen
    }

    /// The time within which this share was known; none if it never was.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let due = self.count() as f64 * share;
        self.seconds
            .iter()
            .zip(1_u32..)
            .find(|(_, known)| f64::from(*known) >= due)
            .map(|(seconds, _)| *seconds)
    }
}

/// Watches in a thread of its own.
#[derive(Debug)]
pub(super) struct Watcher(JoinHandle<Result<Seen>>);

impl Watcher {
    /// From within the namespace of this file, for so long.
    pub(super) fn begin(
        namespace: PathBuf,
        announced: SocketAddr,
        asked: SocketAddr,
        time: Duration,
    ) -> Result<Self> {
        let thread = thread::Builder::new().name("watcher".into()).spawn(move || {
            let file = File::open(&namespace).context("cannot open a namespace")?;
            // Of this thread alone.
            setns(file, CloneFlags::CLONE_NEWNET).context("cannot enter a namespace")?;
            watch(announced, asked, time)
        });
        thread.map(Self).context("cannot start a thread")
    }

    /// Waits for its end.
    pub(super) fn end(self) -> Result<Seen> {
        match self.0.join() {
            Ok(seen) => seen,
            Err(_) => bail!("the thread that watched panicked"),
        }
    }
}

/// Where a peer is.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Announced(Instant),
    Answered(Instant),
}

fn watch(announced: SocketAddr, asked: SocketAddr, time: Duration) -> Result<Seen> {
    let (one, other) = (Node::connect(announced)?, Node::connect(asked)?);
    let (mut seen, mut waiting) = (Seen::default(), BTreeMap::new());
    let (begun, mut number, mut question) = (Instant::now(), 0, None::<(Instant, u32, Vec<u32>)>);
    let mut questions = 0;
    loop {
        let now = Instant::now();
        if now - begun < time && now - begun >= EVERY * number {
            one.send(&announce(one.id, number))?;
            waiting.insert(number, Stage::Announced(now));
            number += 1;
        }
        while let Some((action, transaction, _)) = one.answer()? {
            ensure!(action == ANNOUNCE, "a node refuses an announce");
            if let Some(stage @ Stage::Announced(_)) = waiting.get_mut(&transaction) {
                *stage = Stage::Answered(Instant::now());
            }
        }
        while let Some((action, transaction, body)) = other.answer()? {
            let Some((_, _, peers)) = question.take_if(|(_, of, _)| *of == transaction) else { continue };
            ensure!(action == SCRAPE, "a node refuses a scrape");
            for peer in known(&body, &peers) {
                if let Some(Stage::Answered(since)) = waiting.remove(&peer) {
                    seen.seconds.push(since.elapsed().as_secs_f64());
                }
            }
        }
        waiting.retain(|_, stage| match stage {
            // What was lost on the way was told to nobody.
            Stage::Announced(since) => since.elapsed() < PATIENCE,
            Stage::Answered(since) => {
                let is_due = since.elapsed() < PATIENCE;
                seen.unseen += usize::from(!is_due);
                is_due
            }
        });
        if question.as_ref().is_none_or(|(since, ..)| since.elapsed() > LOST) {
            let answered = waiting.iter().filter(|(_, stage)| matches!(stage, Stage::Answered(_)));
            let peers: Vec<u32> = answered.map(|(peer, _)| *peer).take(MOST).collect();
            if !peers.is_empty() {
                questions += 1;
                other.send(&scrape(other.id, questions, &peers))?;
                question = Some((Instant::now(), questions, peers));
            }
        }
        if waiting.is_empty() && begun.elapsed() >= time {
            seen.seconds.sort_by(f64::total_cmp);
            return Ok(seen);
        }
        thread::sleep(ASK);
    }
}

/// A node as a client reaches it.
struct Node {
    socket: UdpSocket,
    id: u64,
}

impl Node {
    fn connect(to: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("cannot open a socket")?;
        socket.connect(to).with_context(|| format!("cannot reach {to}"))?;
        socket.set_nonblocking(true).context("cannot set up a socket")?;
        let mut node = Self { socket, id: MAGIC };
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            node.send(&head(MAGIC, CONNECT, CONNECTING))?;
            thread::sleep(LOST / 10);
            if let Some((CONNECT, CONNECTING, id)) = node.answer()?
                && let Some(id) = id.first_chunk()
            {
                node.id = u64::from_be_bytes(*id);
                return Ok(node);
            }
        }
        bail!("{to} does not answer")
    }

    /// What cannot be sent now is lost, as anything else may be.
    fn send(&self, request: &[u8]) -> Result<()> {
        match self.socket.send(request) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error).context("cannot send"),
            _ => Ok(()),
        }
    }

    /// An answer that is there: action, transaction and the rest.
    fn answer(&self) -> Result<Option<(u32, u32, Vec<u8>)>> {
        let mut room = [0; 2048];
        match self.socket.recv(&mut room) {
            Ok(length) => Ok(split(&room[..length])),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).context("cannot receive"),
        }
    }
}

fn head(id: u64, action: u32, transaction: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &action.to_be_bytes(), &transaction.to_be_bytes()].concat()
}

/// The torrent that a peer alone is in.
fn info_hash(peer: u32) -> [u8; 20] {
    let mut hash = *b"watched by the bench";
    hash[16..].copy_from_slice(&peer.to_be_bytes());
    hash
}

fn announce(id: u64, peer: u32) -> Vec<u8> {
    let mut request = head(id, ANNOUNCE, peer);
    request.extend(info_hash(peer));
    request.extend(b"-RB0100-of the bench");
    // Downloaded, left, uploaded; the event "started"; the address that it comes from.
    request.extend([0; 24]);
    request.extend(2_u32.to_be_bytes());
    request.extend([0; 4]);
    // A key, peers wanted, the port.
    request.extend([0; 8]);
    request.extend(6881_u16.to_be_bytes());
    request
}

fn scrape(id: u64, transaction: u32, peers: &[u32]) -> Vec<u8> {
    let mut request = head(id, SCRAPE, transaction);
    peers.iter().for_each(|peer| request.extend(info_hash(*peer)));
    request
}

fn split(answer: &[u8]) -> Option<(u32, u32, Vec<u8>)> {
    let (action, rest) = answer.split_first_chunk()?;
    let (transaction, rest) = rest.split_first_chunk()?;
    Some((u32::from_be_bytes(*action), u32::from_be_bytes(*transaction), rest.to_vec()))
}

/// Of peers that were asked for, those whose torrents have a seeder.
fn known<'a>(counts: &'a [u8], peers: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
    let (each, _) = counts.as_chunks::<12>();
    each.iter().zip(peers).filter(|(counts, _)| counts[..4] != [0; 4]).map(|(_, peer)| *peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_lengths_and_places_of_bep_15() {
        let announce = announce(0x0102_0304_0506_0708, 9);
        assert_eq!(announce.len(), 98);
        assert_eq!(announce[..16], [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1, 0, 0, 0, 9]);
        assert_eq!((&announce[16..36], &announce[80..84]), (&info_hash(9)[..], &[0, 0, 0, 2][..]));
        assert_eq!(announce[96..], [0x1a, 0xe1]);
        let scrape = scrape(1, 7, &[3, 4]);
        assert_eq!((scrape.len(), &scrape[8..16]), (56, &[0, 0, 0, 2, 0, 0, 0, 7][..]));
        assert_eq!(scrape[36..], info_hash(4));
    }

    #[test]
    fn who_has_a_seeder_is_known() {
        let answer = [&[0, 0, 0, 2, 0, 0, 0, 7][..], &[0; 12], &[0, 0, 0, 1], &[0; 8]].concat();
        let (action, transaction, body) = split(&answer).unwrap();
        assert_eq!((action, transaction), (SCRAPE, 7));
        assert_eq!(known(&body, &[3, 4]).collect::<Vec<_>>(), [4]);
        assert_eq!(split(&answer[..7]), None);
    }

    #[test]
    fn a_share_that_was_never_known_has_no_time() {
        let seen = Seen { seconds: (1..=99).map(f64::from).collect(), unseen: 1 };
        assert_eq!(
            [0.0, 0.5, 0.99, 1.0].map(|share| seen.quantile(share)),
            [Some(1.0), Some(50.0), Some(99.0), None]
        );
        assert_eq!(Seen::default().quantile(0.99), None);
    }
}
