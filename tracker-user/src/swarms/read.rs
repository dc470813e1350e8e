//! Reading the file block by block: total, whatever the bytes are, in memory that is bounded.

use super::{
    format::{
        self, BLOCK_HEAD_LEN, BadHeader, BlockHead, Checksum, END_LEN, HEADER_LEN, Kind, Totals, VERSION,
    },
    moment::Moment,
};
use std::io::{self, Read};
use tracker_core::records::split_name;

/// What is wrong with a file. All before it may be used.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be read.
    #[error("it cannot be read beyond byte {at}: {source}")]
    Read {
        /// So much was read.
        at: u64,
        /// Why no more.
        source: io::Error,
    },
    /// It begins otherwise.
    #[error("it is no file of swarms")]
    Foreign,
    /// Its header is not what was written.
    #[error("its header is damaged")]
    Header,
    /// It is of a version that this program does not know.
    #[error("it has version {0}, and this program reads versions 1 to {VERSION}")]
    Version(u32),
    /// It ends before its end.
    #[error("it is torn: it ends at byte {at}")]
    Torn {
        /// Its length.
        at: u64,
    },
    /// A block is not what was written.
    #[error("it is damaged in the block at byte {at}")]
    Block {
        /// Where the block begins.
        at: u64,
    },
    /// The end does not fit to what is before it, or is not the end.
    #[error("its end at byte {at} does not fit to the rest")]
    End {
        /// Where the end begins.
        at: u64,
    },
}

/// A block of records.
#[derive(Debug)]
pub struct Block<'a> {
    /// When the ages in it were true.
    pub at: Moment,
    /// The other node whose counts of downloads the records tell; this node's if there is none.
    pub node: Option<&'a str>,
    /// The records.
    pub records: &'a [u8],
}

/// Reads a file.
#[derive(Debug)]
pub struct FileReader<R> {
    input: R,
    saved: Moment,
    checksum: Checksum,
    /// Bytes that are done.
    at: u64,
    blocks: u64,
    content: Vec<u8>,
    totals: Option<Totals>,
}

impl<R: Read> FileReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// If it is none of a version that this program knows.
    pub fn open(mut input: R) -> Result<Self, Fault> {
        let mut bytes = [0; HEADER_LEN];
        let had = fill(&mut input, &mut bytes).map_err(|source| Fault::Read { at: 0, source })?;
        let begins_right = bytes[..had].iter().zip(format::MAGIC).all(|(is, should)| *is == should);
        if had < HEADER_LEN {
            return Err(if begins_right { Fault::Torn { at: had as u64 } } else { Fault::Foreign });
        }
        let (saved, checksum) = format::read_header(&bytes).map_err(|bad| match bad {
            BadHeader::Foreign => Fault::Foreign,
            BadHeader::Damaged => Fault::Header,
            BadHeader::Version(version) => Fault::Version(version),
        })?;
        let at = HEADER_LEN as u64;
        Ok(Self { input, saved, checksum, at, blocks: 0, content: Vec::new(), totals: None })
    }

    /// When it was saved.
    pub const fn saved(&self) -> Moment {
        self.saved
    }

    /// Bytes read so far.
    pub const fn position(&self) -> u64 {
        self.at
    }

    /// What the end tells, once it was read.
    pub const fn totals(&self) -> Option<Totals> {
        self.totals
    }

    /// The next block; none behind the end.
    ///
    /// # Errors
    /// If it cannot be had as it was written. There is nothing to be had behind that.
    pub fn next_block(&mut self) -> Result<Option<Block<'_>>, Fault> {
        if self.totals.is_some() {
            return Ok(None);
        }
        let at = self.at;
        let mut bytes = [0; BLOCK_HEAD_LEN];
        self.read_whole(&mut bytes)?;
        let head = BlockHead::from_bytes(&bytes).ok_or(Fault::Block { at })?;
        let mut content = std::mem::take(&mut self.content);
        content.resize(head.length as usize, 0);
        let read = self.read_whole(&mut content);
        self.content = content;
        read?;
        self.checksum = BlockHead::check(&bytes, &self.content, self.checksum).ok_or(Fault::Block { at })?;
        let block = |(node, records)| Block { at: self.saved.plus(head.elapsed), node, records };
        match head.kind {
            Kind::Records => {
                self.blocks += 1;
                Ok(Some(block((None, &self.content))))
            }
            Kind::Node => {
                self.blocks += 1;
                let (name, records) = split_name(&self.content).ok_or(Fault::Block { at })?;
                Ok(Some(block((Some(name), records))))
            }
            Kind::End => {
                let totals = self.content.first_chunk::<END_LEN>().map(Totals::from_bytes);
                let is_last = fill(&mut self.input, &mut [0]).is_ok_and(|more| more == 0);
                self.totals = totals.filter(|totals| totals.blocks == self.blocks && is_last);
                if self.totals.is_none() { Err(Fault::End { at }) } else { Ok(None) }
            }
        }
    }

    fn read_whole(&mut self, into: &mut [u8]) -> Result<(), Fault> {
        let read = fill(&mut self.input, into).map_err(|source| Fault::Read { at: self.at, source })?;
        self.at += read as u64;
        if read < into.len() { Err(Fault::Torn { at: self.at }) } else { Ok(()) }
    }
}

/// Reads until the buffer is full or the input ends, and says how much came.
fn fill(input: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut had = 0;
    while let Some(rest) = into.get_mut(had..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(more) => had += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(had)
}
