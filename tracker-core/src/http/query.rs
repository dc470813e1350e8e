//! The query of a request, as real clients write it ([BEP 3](https://www.bittorrent.org/beps/bep_0003.html)).
//!
//! Percent-escapes are read in either case, a `%` without two digits behind it is a `%`, and a `+` is a plus: info
//! hashes come in every mix of escapes and plain characters. Names may be escaped too. Of a repeated parameter the
//! first counts, and unknown ones are ignored.

use crate::{
    admission::Claim,
    model::{Event, InfoHash, PeerId},
};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use tracker_common::{address::Family, hex, labelled};

/// What an announce says, as far as it is used; nothing is clamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnounceQuery<'a> {
    /// The torrent.
    pub info_hash: InfoHash,
    /// The client, still escaped, and not empty; see [`AnnounceQuery::read_peer_id`].
    pub peer_id: &'a [u8],
    /// Where the client listens, host byte order; not zero.
    pub port: u16,
    /// Why; what is not known is [`Event::None`].
    pub event: Event,
    /// Bytes still to get. A magnet link does not tell: `u64::MAX`, as for whatever is no number.
    pub left: u64,
    /// How many peers are wanted; negative, or nothing said, for the default.
    pub num_want: Option<i64>,
    /// Peers as byte strings (BEP 23): so unless the client says `compact=0`.
    pub compact: bool,
    /// Where it says that it is: `ip` (BEP 3).
    pub ip: Option<Claim>,
    /// The same for IPv4: `ipv4` (BEP 7), an address or an address with a port.
    pub ipv4: Option<Claim>,
    /// The same for IPv6: `ipv6` (BEP 7).
    pub ipv6: Option<Claim>,
}

impl AnnounceQuery<'_> {
    /// The client's peer ID, as far as there is room: some have another length than they should.
    #[must_use]
    pub fn read_peer_id<'r>(&self, room: &'r mut [u8; PeerId::LEN]) -> &'r [u8] {
        let mut length = 0;
        for (place, byte) in room.iter_mut().zip(decode(self.peer_id)) {
            *place = byte;
            length += 1;
        }
        &room[..length]
    }

    /// Where a client says that it is that is connected over this family: `ip` goes before the one of BEP 7 for the
    /// family; that for the other one would be a second peer, which it becomes by announcing over that family.
    #[must_use]
    pub fn claim(&self, family: Family) -> Option<Claim> {
        self.ip.or(match family {
            Family::Ipv4 => self.ipv4,
            Family::Ipv6 => self.ipv6,
        })
    }
}

labelled! {
    /// What is wrong with a query.
    #[derive(thiserror::Error)]
    pub enum QueryError {
        /// There is no info hash.
        #[error("info_hash is missing")]
        InfoHashMissing = "info_hash_missing",
        /// An info hash has another length.
        #[error("info_hash must be 20 bytes")]
        InfoHashLength = "info_hash_length",
        /// There is no peer ID. Only something that is no client leaves it out.
        #[error("peer_id is missing")]
        PeerIdMissing = "peer_id_missing",
        /// There is no port.
        #[error("port is missing")]
        PortMissing = "port_missing",
        /// The port is zero, too large, or no number.
        #[error("port must be a number from 1 to 65535")]
        PortInvalid = "port_invalid",
    }
}

impl QueryError {
    /// What the client is told: plain ASCII that names the parameter.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::InfoHashMissing => "info_hash is missing",
            Self::InfoHashLength => "info_hash must be 20 bytes",
            Self::PeerIdMissing => "peer_id is missing",
            Self::PortMissing => "port is missing",
            Self::PortInvalid => "port must be a number from 1 to 65535",
        }
    }
}

/// Reads the query of an announce: what stands behind the `?`, without it.
///
/// # Errors
/// If a parameter is missing or bad that there is no announce without.
pub fn announce(query: &[u8]) -> Result<AnnounceQuery<'_>, QueryError> {
    let mut first: [Option<&[u8]>; Parameter::COUNT] = [None; Parameter::COUNT];
    for (parameter, value) in parameters(query) {
        first[parameter as usize].get_or_insert(value);
    }
    let value = |parameter: Parameter| first[parameter as usize];
    let info_hash = info_hash(value(Parameter::InfoHash).ok_or(QueryError::InfoHashMissing)?)?;
    let peer_id = value(Parameter::PeerId).filter(|id| !id.is_empty()).ok_or(QueryError::PeerIdMissing)?;
    let port = number(value(Parameter::Port).ok_or(QueryError::PortMissing)?)
        .and_then(|port| u16::try_from(port).ok())
        .filter(|&port| port != 0)
        .ok_or(QueryError::PortInvalid)?;
    Ok(AnnounceQuery {
        info_hash,
        peer_id,
        port,
        event: value(Parameter::Event).map_or(Event::None, event),
        left: value(Parameter::Left).and_then(number).unwrap_or(u64::MAX),
        num_want: value(Parameter::NumWant).and_then(signed_number),
        compact: value(Parameter::Compact).and_then(number) != Some(0),
        ip: value(Parameter::Ip).and_then(place),
        ipv4: value(Parameter::Ipv4).and_then(place).filter(|claim| claim.address.family() == Family::Ipv4),
        ipv6: value(Parameter::Ipv6).and_then(place).filter(|claim| claim.address.family() == Family::Ipv6),
    })
}

/// Reads the query of a scrape: clears `hashes` and fills it with the distinct hashes asked for, sorted. Only the first
/// `most` of the query are looked at.
///
/// # Errors
/// If there is no hash, or one is not 20 bytes.
pub fn scrape(query: &[u8], most: usize, hashes: &mut Vec<InfoHash>) -> Result<(), QueryError> {
    hashes.clear();
    let asked = parameters(query).filter(|(parameter, _)| *parameter == Parameter::InfoHash);
    for (_, value) in asked.take(most) {
        hashes.push(info_hash(value)?);
    }
    if hashes.is_empty() {
        return Err(QueryError::InfoHashMissing);
    }
    hashes.sort_unstable();
    hashes.dedup();
    Ok(())
}

/// The parameters that count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parameter {
    InfoHash,
    PeerId,
    Port,
    Event,
    Left,
    NumWant,
    Compact,
    Ip,
    Ipv4,
    Ipv6,
}

impl Parameter {
    const COUNT: usize = 10;
    /// Bytes of the longest name.
    const MAX_NAME: usize = 9;

    fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"info_hash" => Some(Self::InfoHash),
            b"peer_id" => Some(Self::PeerId),
            b"port" => Some(Self::Port),
            b"event" => Some(Self::Event),
            b"left" => Some(Self::Left),
            b"numwant" => Some(Self::NumWant),
            b"compact" => Some(Self::Compact),
            b"ip" => Some(Self::Ip),
            b"ipv4" => Some(Self::Ipv4),
            b"ipv6" => Some(Self::Ipv6),
            _ => None,
        }
    }
}

/// The parameters of a query that count, in its order, their values still escaped. One without `=` has an empty value.
fn parameters(query: &[u8]) -> impl Iterator<Item = (Parameter, &[u8])> {
    query.split(|&byte| byte == b'&').filter_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(equals);
        let mut buffer = [0; Parameter::MAX_NAME];
        let name = if name.contains(&b'%') { decode_into(name, &mut buffer)? } else { name };
        Some((Parameter::from_name(name)?, value.get(1..).unwrap_or_default()))
    })
}

/// The bytes that an escaped text stands for.
fn decode(escaped: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = escaped;
    std::iter::from_fn(move || {
        if let [b'%', high, low, behind @ ..] = rest
            && let Some(byte) = hex::byte(*high, *low)
        {
            rest = behind;
            return Some(byte);
        }
        let (first, behind) = rest.split_first()?;
        rest = behind;
        Some(*first)
    })
}

/// Decodes into `buffer` and gives the part of it that was filled, or `None` where it is too small.
fn decode_into<'a>(escaped: &[u8], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut length = 0;
    for byte in decode(escaped) {
        *buffer.get_mut(length)? = byte;
        length += 1;
    }
    Some(&buffer[..length])
}

fn info_hash(escaped: &[u8]) -> Result<InfoHash, QueryError> {
    let mut bytes = [0; InfoHash::LEN];
    match decode_into(escaped, &mut bytes).map(<[u8]>::len) {
        Some(InfoHash::LEN) => Ok(InfoHash(bytes)),
        _ => Err(QueryError::InfoHashLength),
    }
}

fn event(escaped: &[u8]) -> Event {
    let mut buffer = [0; b"completed".len()];
    match decode_into(escaped, &mut buffer) {
        Some(b"started") => Event::Started,
        Some(b"completed") => Event::Completed,
        Some(b"stopped") => Event::Stopped,
        Some(b"paused") => Event::Paused,
        _ => Event::None,
    }
}

/// Bytes of the longest address with a port: eight groups of four digits with colons between, brackets, five digits.
const MAX_PLACE: usize = 39 + 2 + 1 + 5;

/// An address, alone or with a port; IPv6 with a port has brackets, and may have them without. A host name is nothing.
fn place(escaped: &[u8]) -> Option<Claim> {
    let mut buffer = [0; MAX_PLACE];
    let text = str::from_utf8(decode_into(escaped, &mut buffer)?).ok()?;
    if let Ok(endpoint) = text.parse::<SocketAddr>() {
        return (endpoint.port() != 0)
            .then(|| Claim { address: endpoint.ip().into(), port: Some(endpoint.port()) });
    }
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bracketed {
        Some(ipv6) => ipv6.parse::<Ipv6Addr>().ok()?.into(),
        None => text.parse::<IpAddr>().ok()?,
    };
    Some(Claim { address: address.into(), port: None })
}

/// A decimal number; one beyond 64 bits counts as the largest.
fn number(escaped: &[u8]) -> Option<u64> {
    magnitude(decode(escaped))
}

/// A decimal number, perhaps negative; one beyond 64 bits counts as the smallest or largest.
fn signed_number(escaped: &[u8]) -> Option<i64> {
    let mut characters = decode(escaped).peekable();
    let negative = characters.next_if_eq(&b'-').is_some();
    let magnitude = i64::try_from(magnitude(characters)?).unwrap_or(i64::MAX);
    Some(if negative { -magnitude } else { magnitude })
}

fn magnitude(characters: impl Iterator<Item = u8>) -> Option<u64> {
    let mut number = None;
    for character in characters {
        let digit = character.checked_sub(b'0').filter(|&digit| digit < 10)?;
        number = Some(number.unwrap_or(0_u64).saturating_mul(10).saturating_add(digit.into()));
    }
    number
}

#[cfg(test)]
mod tests;
