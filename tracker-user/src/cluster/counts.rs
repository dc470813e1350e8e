//! What other nodes counted of downloads, as a walk tells it on: each torrent once, with all who counted some.
//!
//! A number of names (2), then these, each a byte with its length and itself; then torrents: the info hash (20), how many counts (2), and
//! of each which name, from 0 (2), and the count (4). All little-endian.

use super::wire::{Reader, text};
use std::collections::BTreeMap;
use tracker_core::{
    model::InfoHash,
    nodes::{NodeNumber, Nodes},
};

/// Writes counts.
#[derive(Debug, Default)]
pub struct CountsWriter {
    places: BTreeMap<NodeNumber, u16>,
    entries: Vec<u8>,
}

impl CountsWriter {
    /// Adds what was counted of a torrent.
    pub fn add(&mut self, info_hash: &InfoHash, counts: &[(NodeNumber, u32)]) {
        self.entries.extend_from_slice(&info_hash.0);
        self.entries.extend((counts.len() as u16).to_le_bytes());
        for (node, count) in counts {
            let next = self.places.len() as u16;
            let place = *self.places.entry(*node).or_insert(next);
            self.entries.extend(place.to_le_bytes());
            self.entries.extend(count.to_le_bytes());
        }
    }

    /// Bytes of counts since the last time.
    #[must_use]
    pub fn written(&self) -> usize {
        self.entries.len()
    }

    /// Gives all since the last time. `names` has a name for each node, or the counts of those without are nobody's.
    pub fn take(&mut self, names: &Nodes) -> Vec<u8> {
        let mut nodes = vec![""; self.places.len()];
        for (node, place) in &self.places {
            if let Some(name) = nodes.get_mut(usize::from(*place)) {
                *name = names.name(*node).unwrap_or_default();
            }
        }
        let mut out = (nodes.len() as u16).to_le_bytes().to_vec();
        nodes.iter().for_each(|name| text(&mut out, name));
        out.append(&mut self.entries);
        self.places.clear();
        out
    }
}

/// One count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count<'a> {
    /// Of which torrent.
    pub info_hash: InfoHash,
    /// Who counted.
    pub name: &'a str,
    /// How many.
    pub count: u32,
}

/// Reads counts, as far as they can be read, and gives each to a function. Whether all could be read.
pub fn read<'a>(bytes: &'a [u8], mut each: impl FnMut(Count<'a>)) -> bool {
    let mut reader = Reader(bytes);
    let mut all = || -> Option<()> {
        let names = reader.short()?;
        let names = (0..names).map(|_| reader.text()).collect::<Option<Vec<&str>>>()?;
        while !reader.0.is_empty() {
            let info_hash = InfoHash(reader.take()?);
            for _ in 0..reader.short()? {
                let name = names.get(usize::from(reader.short()?))?;
                let count = u32::from_le_bytes(reader.take()?);
                each(Count { info_hash, name, count });
            }
        }
        Some(())
    };
    all().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_the_bytes_that_the_format_says() {
        let mut names = Nodes::default();
        let [a, b] = ["a", "bee"].map(|name| names.number(name).unwrap());
        let mut writer = CountsWriter::default();
        writer.add(&InfoHash([1; 20]), &[(b, 258)]);
        writer.add(&InfoHash([2; 20]), &[(a, 1), (b, 2)]);
        let mut bytes = vec![2, 0, 3, b'b', b'e', b'e', 1, b'a'];
        bytes.extend([1; 20]);
        bytes.extend([1, 0, 0, 0, 2, 1, 0, 0]);
        bytes.extend([2; 20]);
        bytes.extend([2, 0, 1, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!((writer.take(&names), writer.written()), (bytes.clone(), 0));
        let mut counts = Vec::new();
        assert!(read(&bytes, |count| counts.push((count.info_hash.0[0], count.name, count.count))));
        assert_eq!(counts, [(1, "bee", 258), (2, "a", 1), (2, "bee", 2)]);
        // Cut where a torrent ends it is whole, and shorter.
        for length in (0..bytes.len()).filter(|length| ![8, 36].contains(length)) {
            assert!(!read(&bytes[..length], |_| {}), "{length} bytes");
        }
    }
}
