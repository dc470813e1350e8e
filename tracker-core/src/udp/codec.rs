//! Bytes to requests, replies to bytes ([BEP 15](https://www.bittorrent.org/beps/bep_0015.html)).

use crate::model::{Counts, Event, InfoHash, PeerId};
use tracker_common::bep15::{
    self, Action, AnnounceRequest, AnnounceResponseHead, REQUEST_HEAD_LEN, RESPONSE_HEAD_LEN,
    SCRAPE_HASH_LEN, SCRAPE_ROW_LEN, ScrapeRow,
};

/// A datagram that is no request: too short, of an unknown action, or a connect without the protocol ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a request of the UDP tracker protocol")]
pub struct Malformed;

/// A request as it was received; nothing is clamped, no ID checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Asks for a connection ID.
    Connect {
        /// To be echoed.
        transaction_id: [u8; 4],
    },
    /// Tells of oneself and asks for peers.
    Announce {
        /// To be checked.
        connection_id: [u8; 8],
        /// To be echoed.
        transaction_id: [u8; 4],
        /// The rest.
        body: AnnounceBody,
        /// What follows; see [`super::options`].
        options: &'a [u8],
    },
    /// Asks for counts.
    Scrape {
        /// To be checked.
        connection_id: [u8; 8],
        /// To be echoed.
        transaction_id: [u8; 4],
        /// At least one, in the order of the request.
        hashes: &'a [InfoHash],
    },
}

/// What an announce says, as far as it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnounceBody {
    /// The torrent.
    pub info_hash: InfoHash,
    /// The client.
    pub peer_id: PeerId,
    /// Bytes still to get.
    pub left: u64,
    /// Why; what is not known is [`Event::None`].
    pub event: Event,
    /// The IPv4 address that is to stand for the sender's, or zeroes.
    pub ip: [u8; 4],
    /// How many peers are wanted; negative for the default.
    pub num_want: i32,
    /// Where the client listens, host byte order.
    pub port: u16,
}

/// Reads a datagram's payload. What follows a request is not looked at: options (BEP 41), padding, half a hash.
///
/// # Errors
/// If it is no request.
pub fn decode(payload: &[u8]) -> Result<Request<'_>, Malformed> {
    let (head, rest) = payload.split_first_chunk::<REQUEST_HEAD_LEN>().ok_or(Malformed)?;
    let [i0, i1, i2, i3, i4, i5, i6, i7, a0, a1, a2, a3, t0, t1, t2, t3] = *head;
    let connection_id = [i0, i1, i2, i3, i4, i5, i6, i7];
    let transaction_id = [t0, t1, t2, t3];
    match u32::from_be_bytes([a0, a1, a2, a3]) {
        0 if u64::from_be_bytes(connection_id) == bep15::PROTOCOL_ID => {
            Ok(Request::Connect { transaction_id })
        }
        1 => {
            let (bytes, options) = payload.split_at_checked(bep15::ANNOUNCE_REQUEST_LEN).ok_or(Malformed)?;
            let body = announce_body(bytemuck::try_from_bytes(bytes).map_err(|_| Malformed)?);
            Ok(Request::Announce { connection_id, transaction_id, body, options })
        }
        2 if rest.len() >= SCRAPE_HASH_LEN => {
            let (hashes, _) = rest.as_chunks::<SCRAPE_HASH_LEN>();
            Ok(Request::Scrape { connection_id, transaction_id, hashes: bytemuck::cast_slice(hashes) })
        }
        _ => Err(Malformed),
    }
}

fn announce_body(request: &AnnounceRequest) -> AnnounceBody {
    AnnounceBody {
        info_hash: InfoHash(request.info_hash),
        peer_id: PeerId(request.peer_id),
        left: u64::from_be_bytes(request.left),
        event: match u32::from_be_bytes(request.event) {
            1 => Event::Completed,
            2 => Event::Started,
            3 => Event::Stopped,
            4 => Event::Paused,
            _ => Event::None,
        },
        ip: request.ip,
        num_want: i32::from_be_bytes(request.num_want),
        port: u16::from_be_bytes(request.port),
    }
}

/// Writes a connect reply and returns its length, or `None` where it does not fit.
#[must_use]
pub fn encode_connect(buffer: &mut [u8], transaction_id: [u8; 4], connection_id: [u8; 8]) -> Option<usize> {
    let reply = buffer.get_mut(..bep15::CONNECT_RESPONSE_LEN)?;
    let head = encode_head(reply, Action::Connect, transaction_id)?;
    reply[head..].copy_from_slice(&connection_id);
    Some(reply.len())
}

/// Writes the head of an announce reply, which the peers follow, and returns its length, or `None` where it does not
/// fit. `interval` is in seconds.
#[must_use]
pub fn encode_announce_head(
    buffer: &mut [u8],
    transaction_id: [u8; 4],
    interval: u32,
    counts: Counts,
) -> Option<usize> {
    let head = AnnounceResponseHead {
        action: Action::Announce.to_wire(),
        transaction_id,
        interval: interval.to_be_bytes(),
        leechers: counts.incomplete.to_be_bytes(),
        seeders: counts.complete.to_be_bytes(),
    };
    buffer.get_mut(..size_of_val(&head))?.copy_from_slice(bytemuck::bytes_of(&head));
    Some(size_of_val(&head))
}

/// Writes the head of a scrape reply, which the rows follow, and returns its length, or `None` where it does not fit.
#[must_use]
pub fn encode_scrape_head(buffer: &mut [u8], transaction_id: [u8; 4]) -> Option<usize> {
    encode_head(buffer, Action::Scrape, transaction_id)
}

/// A row of a scrape reply: seeders, completed, leechers.
#[must_use]
pub fn scrape_row(counts: Counts) -> [u8; SCRAPE_ROW_LEN] {
    bytemuck::cast(ScrapeRow {
        seeders: counts.complete.to_be_bytes(),
        completed: counts.downloaded.to_be_bytes(),
        leechers: counts.incomplete.to_be_bytes(),
    })
}

/// Writes an error reply, cut to the buffer, and returns its length, or `None` where not even its head fits.
/// `message` is plain ASCII without a NUL: it is sent as it is.
#[must_use]
pub fn encode_error(buffer: &mut [u8], transaction_id: [u8; 4], message: &str) -> Option<usize> {
    let head = encode_head(buffer, Action::Error, transaction_id)?;
    let length = message.len().min(buffer.len() - head);
    buffer[head..head + length].copy_from_slice(&message.as_bytes()[..length]);
    Some(head + length)
}

fn encode_head(buffer: &mut [u8], action: Action, transaction_id: [u8; 4]) -> Option<usize> {
    let (head_action, head_id) = buffer.get_mut(..RESPONSE_HEAD_LEN)?.split_at_mut(4);
    head_action.copy_from_slice(&action.to_wire());
    head_id.copy_from_slice(&transaction_id);
    Some(RESPONSE_HEAD_LEN)
}
