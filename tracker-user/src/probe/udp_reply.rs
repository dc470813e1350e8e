//! Requests over UDP, and what replies to them say (BEP 15): bytes in, findings out.
//!
//! Replies are read anew here instead of with the tracker's own codec, of which they would be the mirror image.

use super::{
    finding::Findings,
    party::{Client, Event, Party, WANTED},
    shown::{self, beginning},
    target::Target,
    told::{Row, Told, compact},
};
use std::net::SocketAddr;
use tracker_common::bep15::{Action, AnnounceRequest, PROTOCOL_ID};

/// The most that one option holds (BEP 41).
const OPTION_ROOM: usize = 255;
/// Brings a piece of the path and query (BEP 41).
const URL_DATA: u8 = 2;

/// A request for a connection ID.
pub(super) fn connect(transaction: u32) -> Vec<u8> {
    [&PROTOCOL_ID.to_be_bytes()[..], &Action::Connect.to_wire(), &transaction.to_be_bytes()].concat()
}

/// An announce, with the path of the address behind it if it has one (BEP 41), as libtorrent sends it.
pub(super) fn announce(
    party: &Party,
    client: &Client,
    event: Event,
    (connection, transaction): (u64, u32),
    target: &Target,
) -> Vec<u8> {
    let wanted = if event == Event::Stopped { 0 } else { u32::from(WANTED) };
    let request = AnnounceRequest {
        connection_id: connection.to_be_bytes(),
        action: Action::Announce.to_wire(),
        transaction_id: transaction.to_be_bytes(),
        info_hash: party.info_hash,
        peer_id: client.peer_id,
        downloaded: [0; 8],
        left: client.which.left().to_be_bytes(),
        uploaded: [0; 8],
        event: match event {
            Event::Started => 2_u32,
            Event::Stopped => 3,
        }
        .to_be_bytes(),
        ip: [0; 4],
        key: client.key.to_be_bytes(),
        num_want: wanted.to_be_bytes(),
        port: client.port.to_be_bytes(),
    };
    let mut bytes = bytemuck::bytes_of(&request).to_vec();
    if target.path != "/" {
        for piece in target.path.as_bytes().chunks(OPTION_ROOM) {
            bytes.extend([URL_DATA, u8::try_from(piece.len()).unwrap_or(u8::MAX)]);
            bytes.extend_from_slice(piece);
        }
    }
    bytes
}

/// A scrape of one torrent.
pub(super) fn scrape(info_hash: [u8; 20], connection: u64, transaction: u32) -> Vec<u8> {
    let head =
        [&connection.to_be_bytes()[..], &Action::Scrape.to_wire(), &transaction.to_be_bytes()].concat();
    [&head[..], &info_hash].concat()
}

/// Which request a reply belongs to, if it is long enough to tell.
pub(super) fn transaction(reply: &[u8]) -> Option<u32> {
    word(reply, 1)
}

/// What a reply says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The connection ID.
    Connected(u64),
    /// The answer to an announce.
    Announced(Told),
    /// The row of a torrent.
    Scraped(Row),
    /// The tracker refuses, and says why.
    Refused(String),
}

/// Reads the reply to a request, whose transaction ID has been looked at.
///
/// # Errors
/// What is wrong with it, where no client could read it.
pub(super) fn read(
    reply: &[u8],
    asked: Action,
    is_ipv4: bool,
    findings: &mut Findings,
) -> Result<Reply, String> {
    let action = word(reply, 0).ok_or_else(|| format!("the reply has {} bytes", reply.len()))?;
    let rest = reply.get(8..).unwrap_or_default();
    if action == Action::Error as u32 {
        return Ok(Reply::Refused(message(rest, findings)));
    }
    if action != asked as u32 {
        return Err(format!(
            "the reply is one to action {action}, and action {} ({}) was asked for: clients drop it",
            asked as u32,
            asked.label()
        ));
    }
    let short = |least: usize| {
        format!(
            "the reply to {} {} has {} bytes, and {least} are the least",
            article(asked),
            asked.label(),
            reply.len()
        )
    };
    match asked {
        Action::Announce if reply.len() == 8 => {
            Err("the reply to an announce has nothing behind its head: opentracker \
             answers so where a torrent is none of its list (name one with --info-hash)"
                .to_owned())
        }
        Action::Connect => {
            let id = rest.first_chunk().map(|id| u64::from_be_bytes(*id)).ok_or_else(|| short(16))?;
            if reply.len() > 16 {
                findings.note(format!(
                    "the reply to a connect has {} bytes where 16 are all it needs",
                    reply.len()
                ));
            }
            if id == PROTOCOL_ID || id == 0 {
                findings.note(format!(
                    "the connection ID is 0x{id:x} for everybody: it proves no address to be the asker's"
                ));
            }
            Ok(Reply::Connected(id))
        }
        Action::Announce => {
            let number = |place| word(reply, place).map(|number| i64::from(number.cast_signed()));
            let (Some(interval), Some(leechers), Some(seeders)) = (number(2), number(3), number(4)) else {
                return Err(short(20));
            };
            let peers = peers(&reply[20..], is_ipv4, findings);
            Ok(Reply::Announced(Told {
                interval: Some(interval),
                min_interval: None,
                seeders: Some(seeders),
                leechers: Some(leechers),
                peers,
            }))
        }
        Action::Scrape => {
            let number = |place| word(reply, place).map(|number| i64::from(number.cast_signed()));
            let (Some(seeders), Some(downloads), Some(leechers)) = (number(2), number(3), number(4)) else {
                return Err(short(20));
            };
            if reply.len() > 20 {
                findings.wrong(format!(
                    "the reply to a scrape of one torrent has {} bytes instead of 20",
                    reply.len()
                ));
            }
            Ok(Reply::Scraped(Row { seeders, leechers, downloads: Some(downloads) }))
        }
        // Nobody asks for an error.
        Action::Error => Err(short(8)),
    }
}

const fn article(action: Action) -> &'static str {
    if matches!(action, Action::Announce) { "an" } else { "a" }
}

/// The text of an error.
fn message(bytes: &[u8], findings: &mut Findings) -> String {
    if bytes.is_empty() {
        findings.note("the error has no message: users are not told what is the matter");
    } else if bytes.contains(&0) {
        findings.note("the message of the error has a NUL in it, which some clients show");
    } else if std::str::from_utf8(bytes).is_err() {
        findings.note("the message of the error is not UTF-8");
    }
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    shown::text(&bytes[..end])
}

/// The list of an announce reply.
fn peers(list: &[u8], is_ipv4: bool, findings: &mut Findings) -> Vec<SocketAddr> {
    let (size, family) = if is_ipv4 { (6, "IPv4") } else { (18, "IPv6") };
    let odd = list.len() % size;
    if odd != 0 {
        let other = if !is_ipv4 && list.len().is_multiple_of(6) {
            ": are they IPv4 addresses, over IPv6?"
        } else {
            ""
        };
        findings.wrong(format!(
            "the list of peers has {} bytes, no multiple of {size}, as each takes over {family}{other}; it ends in {}",
            list.len(),
            beginning(&list[list.len() - odd..])
        ));
    }
    compact(list, is_ipv4)
}

/// The 32-bit number at a place, counted from 0 in steps of its size.
fn word(bytes: &[u8], place: usize) -> Option<u32> {
    bytes.get(4 * place..).and_then(|rest| rest.first_chunk()).map(|word| u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests;
