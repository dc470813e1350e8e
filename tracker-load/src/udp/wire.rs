//! BEP 15 from the client's side: writes requests, checks replies.

use super::mix::Kind;
use crate::{figures::Wrong, workload::Peer};
use tracker_common::{
    address::Family,
    bep15::{
        ANNOUNCE_REQUEST_LEN, ANNOUNCE_RESPONSE_HEAD_LEN, Action, AnnounceRequest, CONNECT_REQUEST_LEN,
        CONNECT_RESPONSE_LEN, PEER_IPV4_LEN, PEER_IPV6_LEN, PROTOCOL_ID, REQUEST_HEAD_LEN, RESPONSE_HEAD_LEN,
        SCRAPE_HASH_LEN, SCRAPE_ROW_LEN,
    },
};

/// The most hashes in a scrape.
pub const MOST_HASHES: u16 = 74;
/// Room for the longest request.
pub const REQUEST_LEN: usize = REQUEST_HEAD_LEN + MOST_HASHES as usize * SCRAPE_HASH_LEN;
/// Counts above this are absurd: no swarm has so many peers.
const MOST_PEERS: u32 = 100_000_000;
/// What a leecher of the workload still wants, bytes.
const LEFT: u64 = 1_000_000_000;
/// BEP 15's number for no event: a peer that announces again.
const NO_EVENT: u32 = 0;

/// Writes a connect request and gives its length.
pub fn connect(buffer: &mut [u8; REQUEST_LEN], transaction: u32) -> usize {
    buffer[..8].copy_from_slice(&PROTOCOL_ID.to_be_bytes());
    buffer[8..12].copy_from_slice(&Action::Connect.to_wire());
    buffer[12..16].copy_from_slice(&transaction.to_be_bytes());
    CONNECT_REQUEST_LEN
}

/// Writes an announce request and gives its length.
pub fn announce(
    buffer: &mut [u8; REQUEST_LEN],
    connection: u64,
    transaction: u32,
    peer: &Peer,
    wanted: u16,
) -> usize {
    let left = if peer.seeder { 0 } else { LEFT };
    let request = AnnounceRequest {
        connection_id: connection.to_be_bytes(),
        action: Action::Announce.to_wire(),
        transaction_id: transaction.to_be_bytes(),
        info_hash: peer.info_hash,
        peer_id: peer.peer_id,
        downloaded: [0; 8],
        left: left.to_be_bytes(),
        uploaded: [0; 8],
        event: NO_EVENT.to_be_bytes(),
        ip: [0; 4],
        key: transaction.to_be_bytes(),
        num_want: u32::from(wanted).to_be_bytes(),
        port: peer.port.to_be_bytes(),
    };
    buffer[..ANNOUNCE_REQUEST_LEN].copy_from_slice(bytemuck::bytes_of(&request));
    ANNOUNCE_REQUEST_LEN
}

/// Writes a scrape request of up to [`MOST_HASHES`] hashes and gives its length.
pub fn scrape(
    buffer: &mut [u8; REQUEST_LEN],
    connection: u64,
    transaction: u32,
    hashes: impl Iterator<Item = [u8; 20]>,
) -> usize {
    buffer[..8].copy_from_slice(&connection.to_be_bytes());
    buffer[8..12].copy_from_slice(&Action::Scrape.to_wire());
    buffer[12..16].copy_from_slice(&transaction.to_be_bytes());
    let mut len = REQUEST_HEAD_LEN;
    for hash in hashes.take(usize::from(MOST_HASHES)) {
        buffer[len..len + SCRAPE_HASH_LEN].copy_from_slice(&hash);
        len += SCRAPE_HASH_LEN;
    }
    len
}

/// The transaction ID of a reply, if it is long enough to have one.
#[must_use]
pub fn transaction(reply: &[u8]) -> Option<u32> {
    word(reply, 4)
}

/// Checks the reply to a request of this kind; `amount` is the peers wanted or the hashes asked for. Gives the
/// connection ID of a connect reply.
///
/// # Errors
/// What is wrong with it.
pub fn check(reply: &[u8], kind: Kind, amount: u16, family: Family) -> Result<Option<u64>, Wrong> {
    let action = word(reply, 0).ok_or(Wrong::Length)?;
    if action == Action::Error as u32 {
        return Err(Wrong::Refused);
    }
    match kind {
        Kind::Connect if action == Action::Connect as u32 => {
            let Ok(id) = <[u8; 8]>::try_from(reply.get(8..).unwrap_or_default()) else {
                return Err(Wrong::Length);
            };
            const { assert!(CONNECT_RESPONSE_LEN == 16) };
            Ok(Some(u64::from_be_bytes(id)))
        }
        Kind::Announce if action == Action::Announce as u32 => {
            check_announce(reply, usize::from(amount), family)?;
            Ok(None)
        }
        Kind::Scrape if action == Action::Scrape as u32 => {
            check_scrape(reply, usize::from(amount))?;
            Ok(None)
        }
        _ => Err(Wrong::Action),
    }
}

fn check_announce(reply: &[u8], wanted: usize, family: Family) -> Result<(), Wrong> {
    let (Some(leechers), Some(seeders)) = (word(reply, 12), word(reply, 16)) else {
        return Err(Wrong::Length);
    };
    let peers = check_peers(&reply[ANNOUNCE_RESPONSE_HEAD_LEN..], wanted, family)?;
    let all = leechers.saturating_add(seeders);
    if all > MOST_PEERS || (all as usize) < peers { Err(Wrong::Counts) } else { Ok(()) }
}

fn check_scrape(reply: &[u8], hashes: usize) -> Result<(), Wrong> {
    let rows = reply.get(RESPONSE_HEAD_LEN..).ok_or(Wrong::Length)?;
    if rows.len() != hashes * SCRAPE_ROW_LEN {
        return Err(Wrong::Length);
    }
    let plausible = rows.chunks_exact(SCRAPE_ROW_LEN).all(|row| {
        let count = |at| word(row, at).unwrap_or(u32::MAX);
        count(0) <= MOST_PEERS && count(8) <= MOST_PEERS
    });
    if plausible { Ok(()) } else { Err(Wrong::Counts) }
}

/// Checks a compact list of peers (BEP 23, BEP 7) and gives how many there are.
///
/// # Errors
/// What is wrong with it.
pub fn check_peers(list: &[u8], wanted: usize, family: Family) -> Result<usize, Wrong> {
    let len = match family {
        Family::Ipv4 => PEER_IPV4_LEN,
        Family::Ipv6 => PEER_IPV6_LEN,
    };
    if !list.len().is_multiple_of(len) {
        return Err(Wrong::Length);
    }
    let count = list.len() / len;
    if count > wanted {
        return Err(Wrong::TooMany);
    }
    // Most lists repeat nothing, and a bit per hashed entry shows it; only where two share a bit are they compared.
    let mut seen = [0_u64; 8];
    for (number, peer) in list.chunks_exact(len).enumerate() {
        let (address, port) = peer.split_at(len - 2);
        if port == [0, 0] || address.iter().all(|&byte| byte == 0) {
            return Err(Wrong::Peer);
        }
        let hash = peer.rchunks(8).fold(0_u64, |hash, part| {
            let word = part.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
            (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        let (place, bit) = ((hash >> 61) as usize, 1 << (hash >> 55 & 63));
        if seen[place] & bit != 0 && list.chunks_exact(len).take(number).any(|other| other == peer) {
            return Err(Wrong::Repeated);
        }
        seen[place] |= bit;
    }
    Ok(count)
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
    fn a_repeat_is_found_wherever_it_is() {
        let peers: Vec<u8> =
            (1..=200_u8).flat_map(|n| [10, 0, n, n.wrapping_mul(3), n, n.wrapping_mul(7) | 1]).collect();
        assert_eq!(check_peers(&peers, 200, Family::Ipv4), Ok(200));
        for original in 0..199 {
            let mut repeated = peers.clone();
            repeated.copy_within(original * 6..original * 6 + 6, 199 * 6);
            assert_eq!(check_peers(&repeated, 200, Family::Ipv4), Err(Wrong::Repeated), "{original}");
        }
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
