//! The layout of the file: a header, blocks of records, an end. All numbers are little-endian.
//!
//! Each checksum is the CRC-32 of what it stands behind and of all before it in the file: that of the header is the first,
//! and each block's goes on from the one before. So a block that was lost, moved or taken from another file shows as well as
//! one that was damaged.

use super::moment::Moment;

/// How the file begins, whatever its version.
pub const MAGIC: [u8; 8] = *b"RIPTIDE\0";
/// The version that is written. A program reads all versions up to its own; version 1 had no [`Kind::Node`].
pub const VERSION: u32 = 2;
/// Bytes of a header. Magic, version and checksum are at their places in every version.
pub const HEADER_LEN: usize = 48;
/// Bytes of a block before its records.
pub const BLOCK_HEAD_LEN: usize = 16;
/// Bytes of what an end holds.
pub const END_LEN: usize = 24;
/// The most bytes that a block may hold.
pub const MAX_BLOCK: usize = 4 << 20;

/// The tag of a block of records.
const RECORDS: [u8; 4] = *b"RECS";
/// The tag of a block of another node's counts.
const NODE: [u8; 4] = *b"NODE";
/// The tag of the end.
const END: [u8; 4] = *b"END\0";

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Records, whole ones.
    Records,
    /// A node's name and records of torrents without peers, whose downloads that node counted
    /// ([`tracker_core::records::with_name`]).
    Node,
    /// The end of the file, with [`Totals`].
    End,
}

/// What the end tells of what is before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Blocks of both kinds of records.
    pub blocks: u64,
    /// Torrents with peers.
    pub torrents: u64,
    /// Peers.
    pub peers: u64,
}

impl Totals {
    /// As the end holds it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; END_LEN] {
        let mut bytes = [0; END_LEN];
        for (place, number) in
            bytes.as_chunks_mut().0.iter_mut().zip([self.blocks, self.torrents, self.peers])
        {
            *place = number.to_le_bytes();
        }
        bytes
    }

    /// Reads it.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; END_LEN]) -> Self {
        let mut numbers = bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let mut next = || numbers.next().unwrap_or_default();
        Self { blocks: next(), torrents: next(), peers: next() }
    }
}

/// The running checksum of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum(u32);

impl Checksum {
    /// Goes on over these bytes.
    #[must_use]
    pub fn over(self, bytes: &[u8]) -> Self {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(bytes);
        Self(hasher.finalize())
    }
}

/// A header for what is saved at this moment, and its checksum.
#[must_use]
pub fn header(saved: &Moment) -> ([u8; HEADER_LEN], Checksum) {
    let mut bytes = [0; HEADER_LEN];
    put(&mut bytes, 0, &MAGIC);
    put(&mut bytes, 8, &VERSION.to_le_bytes());
    put(&mut bytes, 12, &saved.wall.to_le_bytes());
    put(&mut bytes, 20, &saved.uptime.to_le_bytes());
    put(&mut bytes, 28, &saved.boot);
    let checksum = Checksum::default().over(&bytes[..HEADER_LEN - 4]);
    put(&mut bytes, HEADER_LEN - 4, &checksum.0.to_le_bytes());
    (bytes, checksum)
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// It is none.
    Foreign,
    /// It is not what was written.
    Damaged,
    /// It is of this version, which this program does not know.
    Version(u32),
}

/// The moment that a header tells, and its checksum.
///
/// # Errors
/// If it is none, or of a version that this program does not know.
pub fn read_header(bytes: &[u8; HEADER_LEN]) -> Result<(Moment, Checksum), BadHeader> {
    if take::<8>(bytes, 0) != MAGIC {
        return Err(BadHeader::Foreign);
    }
    let checksum = Checksum::default().over(&bytes[..HEADER_LEN - 4]);
    if checksum.0 != u32::from_le_bytes(take(bytes, HEADER_LEN - 4)) {
        return Err(BadHeader::Damaged);
    }
    match u32::from_le_bytes(take(bytes, 8)) {
        1..=VERSION => {}
        other => return Err(BadHeader::Version(other)),
    }
    let saved = Moment {
        wall: u64::from_le_bytes(take(bytes, 12)),
        uptime: u64::from_le_bytes(take(bytes, 20)),
        boot: take(bytes, 28),
    };
    Ok((saved, checksum))
}

/// What stands before the content of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHead {
    /// What it is.
    pub kind: Kind,
    /// Bytes of its content.
    pub length: u32,
    /// Seconds after the moment of the header at which its ages were true.
    pub elapsed: u32,
}

impl BlockHead {
    /// The bytes before this content, and the checksum of all so far.
    #[must_use]
    pub fn to_bytes(self, content: &[u8], before: Checksum) -> ([u8; BLOCK_HEAD_LEN], Checksum) {
        let mut bytes = [0; BLOCK_HEAD_LEN];
        let tag = match self.kind {
            Kind::Records => RECORDS,
            Kind::Node => NODE,
            Kind::End => END,
        };
        put(&mut bytes, 0, &tag);
        put(&mut bytes, 4, &self.length.to_le_bytes());
        put(&mut bytes, 8, &self.elapsed.to_le_bytes());
        let checksum = before.over(&bytes[..12]).over(content);
        put(&mut bytes, 12, &checksum.0.to_le_bytes());
        (bytes, checksum)
    }

    /// Reads it, if it can be one. Whether it is right shows only with its content, by [`BlockHead::check`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8; BLOCK_HEAD_LEN]) -> Option<Self> {
        let length = u32::from_le_bytes(take(bytes, 4));
        let (kind, fits) = match take(bytes, 0) {
            RECORDS => (Kind::Records, length as usize <= MAX_BLOCK),
            NODE => (Kind::Node, length as usize <= MAX_BLOCK),
            END => (Kind::End, length as usize == END_LEN),
            _ => return None,
        };
        fits.then(|| Self { kind, length, elapsed: u32::from_le_bytes(take(bytes, 8)) })
    }

    /// The checksum of all so far, if it is the one that the head tells.
    #[must_use]
    pub fn check(bytes: &[u8; BLOCK_HEAD_LEN], content: &[u8], before: Checksum) -> Option<Checksum> {
        let checksum = before.over(&bytes[..12]).over(content);
        (checksum.0 == u32::from_le_bytes(take(bytes, 12))).then_some(checksum)
    }
}

fn put<const N: usize>(into: &mut [u8], at: usize, bytes: &[u8; N]) {
    if let Some(place) = into.get_mut(at..at + N) {
        place.copy_from_slice(bytes);
    }
}

fn take<const N: usize>(from: &[u8], at: usize) -> [u8; N] {
    from.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}
