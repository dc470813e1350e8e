//! BEP 15 from the client's side: writes requests, reads and checks replies. Byte by byte, without the tracker's own wire
//! types: who tests the tracker by this must not repeat its mistakes.

use super::mix::Kind;
use crate::{figures::Wrong, peers, workload::Peer};
use tracker_common::address::Family;

/// The most hashes in a scrape.
pub const MOST_HASHES: u16 = 74;
/// Room for the longest request.
pub const REQUEST_LEN: usize = HEAD_LEN + MOST_HASHES as usize * 20;
/// The magic number that opens a connect request.
pub const PROTOCOL_ID: [u8; 8] = [0, 0, 0x04, 0x17, 0x27, 0x10, 0x19, 0x80];
/// What every request begins with: connection ID, action, transaction ID.
const HEAD_LEN: usize = 16;
/// An announce request.
const ANNOUNCE_LEN: usize = 98;
/// A row of a scrape reply.
const ROW_LEN: usize = 12;
/// Counts above this are absurd: no swarm has so many peers.
const MOST_PEERS: u32 = 100_000_000;
/// What a leecher of the workload still wants, bytes.
const LEFT: u64 = 1_000_000_000;

/// An announce request without its connection and transaction IDs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Announce {
    /// The torrent.
    pub info_hash: [u8; 20],
    /// The client.
    pub peer_id: [u8; 20],
    /// Bytes received so far.
    pub downloaded: u64,
    /// Bytes still wanted.
    pub left: u64,
    /// Bytes sent so far.
    pub uploaded: u64,
    /// 0 none, 1 completed, 2 started, 3 stopped; 4 paused (BEP 21).
    pub event: u32,
    /// An address that the client claims.
    pub ip: [u8; 4],
    /// What the client proves by that it is the same one.
    pub key: u32,
    /// Peers wanted; as many as the tracker likes if negative.
    pub num_want: i32,
    /// The port that other peers should use.
    pub port: u16,
}

impl Announce {
    /// The request's bytes.
    #[must_use]
    pub fn bytes(&self, connection: [u8; 8], transaction: u32) -> [u8; ANNOUNCE_LEN] {
        let mut bytes = [0; ANNOUNCE_LEN];
        bytes[..HEAD_LEN].copy_from_slice(&head(connection, 1, transaction));
        bytes[16..36].copy_from_slice(&self.info_hash);
        bytes[36..56].copy_from_slice(&self.peer_id);
        bytes[56..64].copy_from_slice(&self.downloaded.to_be_bytes());
        bytes[64..72].copy_from_slice(&self.left.to_be_bytes());
        bytes[72..80].copy_from_slice(&self.uploaded.to_be_bytes());
        bytes[80..84].copy_from_slice(&self.event.to_be_bytes());
        bytes[84..88].copy_from_slice(&self.ip);
        bytes[88..92].copy_from_slice(&self.key.to_be_bytes());
        bytes[92..96].copy_from_slice(&self.num_want.to_be_bytes());
        bytes[96..].copy_from_slice(&self.port.to_be_bytes());
        bytes
    }
}

/// What a request begins with.
fn head(connection: [u8; 8], action: u32, transaction: u32) -> [u8; HEAD_LEN] {
    let mut head = [0; HEAD_LEN];
    head[..8].copy_from_slice(&connection);
    head[8..12].copy_from_slice(&action.to_be_bytes());
    head[12..].copy_from_slice(&transaction.to_be_bytes());
    head
}

/// Writes a connect request and gives its length.
pub fn connect(buffer: &mut [u8; REQUEST_LEN], transaction: u32) -> usize {
    buffer[..HEAD_LEN].copy_from_slice(&head(PROTOCOL_ID, 0, transaction));
    HEAD_LEN
}

/// Writes the announce request of a peer that announces again and gives its length.
pub fn announce(
    buffer: &mut [u8; REQUEST_LEN],
    connection: u64,
    transaction: u32,
    peer: &Peer,
    wanted: u16,
) -> usize {
    let request = Announce {
        info_hash: peer.info_hash,
        peer_id: peer.peer_id,
        left: if peer.seeder { 0 } else { LEFT },
        key: transaction,
        num_want: wanted.into(),
        port: peer.port,
        ..Announce::default()
    };
    buffer[..ANNOUNCE_LEN].copy_from_slice(&request.bytes(connection.to_be_bytes(), transaction));
    ANNOUNCE_LEN
}

/// Writes a scrape request of up to [`MOST_HASHES`] hashes and gives its length.
pub fn scrape(
    buffer: &mut [u8; REQUEST_LEN],
    connection: u64,
    transaction: u32,
    hashes: impl Iterator<Item = [u8; 20]>,
) -> usize {
    buffer[..HEAD_LEN].copy_from_slice(&head(connection.to_be_bytes(), 2, transaction));
    let mut len = HEAD_LEN;
    for hash in hashes.take(usize::from(MOST_HASHES)) {
        buffer[len..len + 20].copy_from_slice(&hash);
        len += 20;
    }
    len
}

/// A reply whose length fits its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A connection ID.
    Connected([u8; 8]),
    /// A list of peers.
    Announced {
        /// Seconds until the next announce.
        interval: u32,
        /// Leechers in the whole swarm.
        leechers: u32,
        /// Seeders in the whole swarm.
        seeders: u32,
        /// Peers in their compact form, see [`peers`].
        peers: &'a [u8],
    },
    /// A row for each hash.
    Scraped(&'a [[u8; ROW_LEN]]),
    /// A message.
    Error(&'a [u8]),
}

/// Seeders, completed downloads and leechers in a row of a scrape reply.
#[must_use]
pub fn counts(row: &[u8; ROW_LEN]) -> [u32; 3] {
    [0, 4, 8].map(|at| word(row, at).unwrap_or_default())
}

/// The transaction ID of a reply, if it is long enough to have one.
#[must_use]
pub fn transaction(reply: &[u8]) -> Option<u32> {
    word(reply, 4)
}

/// Reads a reply.
///
/// # Errors
/// [`Wrong::Length`] or [`Wrong::Action`].
pub fn read(reply: &[u8]) -> Result<Reply<'_>, Wrong> {
    let rest = reply.get(8..).ok_or(Wrong::Length)?;
    match word(reply, 0) {
        Some(0) => rest.try_into().map(Reply::Connected).map_err(|_| Wrong::Length),
        Some(1) => match (word(rest, 0), word(rest, 4), word(rest, 8)) {
            (Some(interval), Some(leechers), Some(seeders)) => {
                Ok(Reply::Announced { interval, leechers, seeders, peers: &rest[12..] })
            }
            _ => Err(Wrong::Length),
        },
        Some(2) => match rest.as_chunks() {
            (rows, []) => Ok(Reply::Scraped(rows)),
            _ => Err(Wrong::Length),
        },
        Some(3) => Ok(Reply::Error(rest)),
        _ => Err(Wrong::Action),
    }
}

/// Checks the reply to a request of this kind; `amount` is the peers wanted or the hashes asked for. Gives the
/// connection ID of a connect reply.
///
/// # Errors
/// What is wrong with it.
pub fn check(reply: &[u8], kind: Kind, amount: u16, family: Family) -> Result<Option<u64>, Wrong> {
    let asked = match kind {
        Kind::Connect => 0,
        Kind::Announce => 1,
        Kind::Scrape => 2,
    };
    if word(reply, 0).is_some_and(|action| action != asked && action != 3) {
        return Err(Wrong::Action);
    }
    let amount = usize::from(amount);
    match read(reply)? {
        Reply::Error(_) => Err(Wrong::Refused),
        Reply::Connected(id) => Ok(Some(u64::from_be_bytes(id))),
        Reply::Announced { leechers, seeders, peers, .. } => {
            let listed = peers::check(peers, amount, family)?;
            let all = leechers.saturating_add(seeders);
            if all > MOST_PEERS || (all as usize) < listed { Err(Wrong::Counts) } else { Ok(None) }
        }
        Reply::Scraped(rows) if rows.len() == amount => {
            let plausible =
                rows.iter().map(counts).all(|[seeders, _, leechers]| seeders.max(leechers) <= MOST_PEERS);
            if plausible { Ok(None) } else { Err(Wrong::Counts) }
        }
        Reply::Scraped(_) => Err(Wrong::Length),
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn requests_are_what_bep_15_says() {
        let mut buffer = [0xee; REQUEST_LEN];
        let len = connect(&mut buffer, 0x0102_0304);
        assert_eq!(buffer[..len], hex("00000417 27101980 00000000 01020304"));
        let peer = Peer { info_hash: [7; 20], peer_id: [8; 20], port: 0x1234, seeder: false };
        let len = announce(&mut buffer, 0x1122_3344_5566_7788, 0x0a0b_0c0d, &peer, 30);
        let expected = hex(&format!(
            "1122334455667788 00000001 0a0b0c0d {} {} 0000000000000000 000000003b9aca00 0000000000000000 \
             00000000 00000000 0a0b0c0d 0000001e 1234",
            "07".repeat(20),
            "08".repeat(20)
        ));
        assert_eq!(buffer[..len], expected);
        let len = announce(&mut buffer, 1, 2, &Peer { seeder: true, ..peer }, 30);
        assert_eq!((len, &buffer[64..72]), (98, &[0; 8][..]));
        let len = scrape(&mut buffer, 1, 2, [[3; 20], [4; 20]].into_iter());
        let expected =
            hex(&format!("0000000000000001 00000002 00000002 {} {}", "03".repeat(20), "04".repeat(20)));
        assert_eq!(buffer[..len], expected);
        assert_eq!(scrape(&mut buffer, 1, 2, std::iter::repeat_n([3; 20], 99)), 16 + 74 * 20);
    }

    #[test]
    fn every_field_of_an_announce_has_its_place() {
        let request = Announce {
            info_hash: [7; 20],
            peer_id: [8; 20],
            downloaded: 1,
            left: 2,
            uploaded: 3,
            event: 4,
            ip: [10, 0, 0, 5],
            key: 0xdead_beef,
            num_want: -1,
            port: 0x1ae1,
        };
        let expected = hex(&format!(
            "1122334455667788 00000001 0a0b0c0d {} {} 0000000000000001 0000000000000002 0000000000000003 \
             00000004 0a000005 deadbeef ffffffff 1ae1",
            "07".repeat(20),
            "08".repeat(20)
        ));
        assert_eq!(
            request.bytes([0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88], 0x0a0b_0c0d)[..],
            expected
        );
    }

    #[test]
    fn every_field_of_a_reply_is_read_from_its_place() {
        let read = |text: &str| format!("{:?}", read(&hex(text)));
        assert_eq!(
            read("00000001 01020304 00000708 00000001 00000002 0a000001 1ae1"),
            "Ok(Announced { interval: 1800, leechers: 1, seeders: 2, peers: [10, 0, 0, 1, 26, 225] })"
        );
        assert_eq!(read("00000003 01020304 6e6f"), "Ok(Error([110, 111]))");
        assert_eq!(counts(&[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]), [1, 2, 3]);
        assert_eq!(read("00000004 01020304"), "Err(Action)");
    }

    #[test]
    fn connect_replies() {
        let good = hex("00000000 01020304 1122334455667788");
        let check = |reply: &[u8]| check(reply, Kind::Connect, 0, Family::Ipv4);
        assert_eq!(transaction(&good), Some(0x0102_0304));
        assert_eq!(check(&good), Ok(Some(0x1122_3344_5566_7788)));
        assert_eq!(check(&good[..15]), Err(Wrong::Length));
        assert_eq!(check(&[&good[..], &[0]].concat()), Err(Wrong::Length));
        assert_eq!(check(&hex("00000001 01020304 1122334455667788")), Err(Wrong::Action));
        assert_eq!(check(&hex("00000003 01020304 6e6f")), Err(Wrong::Refused));
        assert_eq!(check(&[0, 0]), Err(Wrong::Length));
        assert_eq!(transaction(&[0; 7]), None);
    }

    #[test]
    fn announce_replies() {
        let head = "00000001 01020304 00000708 00000001 00000002";
        let announce = |peers: &str, wanted, family| {
            check(&hex(&format!("{head}{peers}")), Kind::Announce, wanted, family)
        };
        let (one, two) = ("01020304 1ae1", "01020304 1ae2");
        assert_eq!(announce("", 0, Family::Ipv4), Ok(None));
        assert_eq!(announce(&format!("{one}{two}"), 2, Family::Ipv4), Ok(None));
        assert_eq!(announce(&format!("{one}{two}"), 1, Family::Ipv4), Err(Wrong::TooMany));
        assert_eq!(announce(&format!("{one}{two}{one}"), 9, Family::Ipv4), Err(Wrong::Repeated));
        assert_eq!(announce("01020304 1a", 9, Family::Ipv4), Err(Wrong::Length));
        assert_eq!(announce("01020304 0000", 9, Family::Ipv4), Err(Wrong::Peer));
        assert_eq!(announce("00000000 1ae1", 9, Family::Ipv4), Err(Wrong::Peer));
        let many = "01020304 1ae1 01020304 1ae2 01020304 1ae3 01020304 1ae4";
        assert_eq!(announce(many, 9, Family::Ipv4), Err(Wrong::Counts), "four peers of a swarm of three");
        let six = "20010db8000000000000000000000001 1ae1";
        assert_eq!(announce(six, 1, Family::Ipv6), Ok(None));
        assert_eq!(announce(&format!("{six}{six}"), 2, Family::Ipv6), Err(Wrong::Repeated));
        assert_eq!(announce(one, 1, Family::Ipv6), Err(Wrong::Length));
        let check = |reply: &str| check(&hex(reply), Kind::Announce, 5, Family::Ipv4);
        assert_eq!(check("00000001 01020304 00000708 00000001 000000"), Err(Wrong::Length));
        assert_eq!(check("00000001 01020304 00000708 ffffffff 00000001"), Err(Wrong::Counts));
        assert_eq!(check("00000002 01020304 00000708 00000001 00000001"), Err(Wrong::Action));
    }

    #[test]
    fn scrape_replies() {
        let scrape = |rows: &str, hashes| {
            check(&hex(&format!("00000002 01020304 {rows}")), Kind::Scrape, hashes, Family::Ipv4)
        };
        let row = "00000001 00000002 00000003";
        assert_eq!(scrape(row, 1), Ok(None));
        assert_eq!(scrape(row, 2), Err(Wrong::Length));
        assert_eq!(scrape(&format!("{row}00"), 1), Err(Wrong::Length));
        assert_eq!(scrape("ffffffff 00000002 00000003", 1), Err(Wrong::Counts));
        assert_eq!(check(&[0, 0, 0, 2], Kind::Scrape, 0, Family::Ipv4), Err(Wrong::Length));
    }
}
