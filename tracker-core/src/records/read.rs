//! Reading records: total, whatever the bytes are.

use super::{PeerRecord, State, TorrentRecord};
use crate::model::{InfoHash, Seconds};
use tracker_common::address::{Address, Family};

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// A torrent; its peers come next.
    Torrent(TorrentRecord),
    /// A peer of the torrent that came last.
    Peer(PeerRecord),
}

/// The bytes are no records. What came before may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no record at byte {at}")]
pub struct Malformed {
    /// Where the record begins that cannot be read.
    pub at: usize,
}

/// Reads records one by one, and ends after the last or at the first that is none.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    rest: &'a [u8],
    /// Peers that the torrent still has to come.
    ipv4: u64,
    ipv6: u64,
}

impl<'a> Reader<'a> {
    /// Reads from the beginning.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, rest: bytes, ipv4: 0, ipv6: 0 }
    }

    fn read(&mut self) -> Option<Record> {
        if self.ipv4 > 0 {
            let (address, port) = self.place::<4>()?;
            self.ipv4 -= 1;
            return self.peer(Address::from_ipv4(address), port);
        }
        if self.ipv6 > 0 {
            let (address, port) = self.place::<16>()?;
            self.ipv6 -= 1;
            let address = Address::from_octets(address);
            // An IPv4 address has one form only.
            return if address.family() == Family::Ipv6 { self.peer(address, port) } else { None };
        }
        let info_hash = InfoHash(self.take()?);
        let downloaded = u32::try_from(self.varint()?).ok()?;
        let age = u32::try_from(self.varint()?).ok()?;
        (self.ipv4, self.ipv6) = (self.varint()?, self.varint()?);
        Some(Record::Torrent(TorrentRecord { info_hash, downloaded, age }))
    }

    fn place<const N: usize>(&mut self) -> Option<([u8; N], u16)> {
        Some((self.take()?, u16::from_be_bytes(self.take()?)))
    }

    fn peer(&mut self, address: Address, port: u16) -> Option<Record> {
        let (state, age) = state(self.varint()?)?;
        Some(Record::Peer(PeerRecord { address, port, state, age }))
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        take(&mut self.rest)
    }

    fn varint(&mut self) -> Option<u64> {
        varint(&mut self.rest)
    }
}

pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*taken)
}

/// At most 35 bits: five bytes.
pub(super) fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let [byte] = take(rest)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            // A last byte of zero says nothing: the number has a shorter form.
            return (byte != 0 || shift == 0).then_some(value);
        }
    }
    None
}

/// A state and an age, of their one number.
pub(super) fn state(word: u64) -> Option<(State, Seconds)> {
    Some((State::of_kind(word & 7)?, u32::try_from(word >> 3).ok()?))
}

impl Iterator for Reader<'_> {
    type Item = Result<Record, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() && self.ipv4 == 0 && self.ipv6 == 0 {
            return None;
        }
        let at = self.bytes.len() - self.rest.len();
        let record = self.read();
        if record.is_none() {
            (self.rest, self.ipv4, self.ipv6) = (&[], 0, 0);
        }
        Some(record.ok_or(Malformed { at }))
    }
}
