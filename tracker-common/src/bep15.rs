//! The UDP tracker protocol on the wire (BEP 15, with the options of BEP 41 left unread). All integers big-endian.

use crate::address::join;
use bytemuck::{Pod, Zeroable};

/// `protocol_id` of a connect request: the fixed connection ID with which a conversation begins.
pub const PROTOCOL_ID: u64 = 0x0417_2710_1980;
/// The shortest connect request.
pub const CONNECT_REQUEST_LEN: usize = 16;
/// A connect reply, exactly.
pub const CONNECT_RESPONSE_LEN: usize = 16;
/// The shortest announce request; BEP 41 options may follow.
pub const ANNOUNCE_REQUEST_LEN: usize = 98;
/// The head of an announce reply, before the peers.
pub const ANNOUNCE_RESPONSE_HEAD_LEN: usize = 20;
/// What every request but connect begins with: connection ID, action, transaction ID.
pub const REQUEST_HEAD_LEN: usize = 16;
/// The head of scrape and error replies: action, transaction ID.
pub const RESPONSE_HEAD_LEN: usize = 8;
/// An info hash in a scrape request.
pub const SCRAPE_HASH_LEN: usize = 20;
/// A row of a scrape reply.
pub const SCRAPE_ROW_LEN: usize = 12;
/// A peer in an announce reply over IPv4: address, port.
pub const PEER_IPV4_LEN: usize = 6;
/// A peer in an announce reply over IPv6: address, port.
pub const PEER_IPV6_LEN: usize = 18;

labelled! {
    /// The `action` field.
    #[repr(u32)]
    pub enum Action {
        /// Asks for a connection ID.
        Connect = "connect",
        /// Tells of oneself and asks for peers.
        Announce = "announce",
        /// Asks for counts.
        Scrape = "scrape",
        /// Replies only: the rest is a message.
        Error = "error",
    }
}

// The numbers of BEP 15.
const _: () = assert!(Action::Connect as u32 == 0 && Action::Error as u32 == 3);

impl Action {
    /// The field as it is sent.
    #[inline(always)]
    #[must_use]
    pub const fn to_wire(self) -> [u8; 4] {
        (self as u32).to_be_bytes()
    }
}

/// An announce request, without options.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct AnnounceRequest {
    /// From the connect reply.
    pub connection_id: [u8; 8],
    /// 1.
    pub action: [u8; 4],
    /// Echoed in the reply.
    pub transaction_id: [u8; 4],
    /// The torrent.
    pub info_hash: [u8; 20],
    /// The client's own name for itself.
    pub peer_id: [u8; 20],
    /// Bytes, unsigned 64 bits.
    pub downloaded: [u8; 8],
    /// Bytes still to get, unsigned 64 bits; zero makes a seeder.
    pub left: [u8; 8],
    /// Bytes, unsigned 64 bits.
    pub uploaded: [u8; 8],
    /// 0 none, 1 completed, 2 started, 3 stopped, 4 paused (BEP 21).
    pub event: [u8; 4],
    /// An IPv4 address to be announced instead of the sender's, or zero.
    pub ip: [u8; 4],
    /// The client's random key.
    pub key: [u8; 4],
    /// How many peers are wanted, signed; negative for the default.
    pub num_want: [u8; 4],
    /// Where the client listens.
    pub port: [u8; 2],
}

/// The head of an announce reply.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct AnnounceResponseHead {
    /// 1.
    pub action: [u8; 4],
    /// As in the request.
    pub transaction_id: [u8; 4],
    /// Seconds until the next announce.
    pub interval: [u8; 4],
    /// Peers without the whole torrent.
    pub leechers: [u8; 4],
    /// Peers with the whole torrent.
    pub seeders: [u8; 4],
}

/// One torrent of a scrape reply.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct ScrapeRow {
    /// Peers with the whole torrent.
    pub seeders: [u8; 4],
    /// How often the torrent was downloaded whole.
    pub completed: [u8; 4],
    /// Peers without the whole torrent.
    pub leechers: [u8; 4],
}

const _: () = assert!(size_of::<AnnounceRequest>() == ANNOUNCE_REQUEST_LEN);
const _: () = assert!(size_of::<AnnounceResponseHead>() == ANNOUNCE_RESPONSE_HEAD_LEN);
const _: () = assert!(size_of::<ScrapeRow>() == SCRAPE_ROW_LEN);

/// A connect reply, as words in memory order like its arguments.
#[inline(always)]
#[must_use]
pub const fn connect_response(transaction_id: u32, connection_id: u64) -> [u64; CONNECT_RESPONSE_LEN / 8] {
    [join((Action::Connect as u32).to_be(), transaction_id), connection_id]
}
