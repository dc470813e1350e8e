//! Verdicts as nodes tell them to each other: in pieces, each a text as the file is one.

use super::{text, verdict::Verdict};
use std::io;

/// The longest piece, bytes.
pub const MAX_PIECE: usize = 64 << 10;

/// Why a piece is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It is not even looked at.
    #[error("{0} bytes of decisions at once, more than {MAX_PIECE}")]
    TooLong(usize),
    /// It is no text that tells verdicts.
    #[error(transparent)]
    Text(#[from] text::Fault),
}

/// These verdicts in pieces of at most [`MAX_PIECE`] bytes, in no need of each other; none where there is no verdict.
#[must_use]
pub fn write(verdicts: impl IntoIterator<Item = Verdict>) -> Vec<Vec<u8>> {
    let (mut pieces, mut piece, mut count) = (Vec::new(), Vec::new(), 0);
    for verdict in verdicts {
        let mut line = Vec::new();
        // Nothing that is written to memory can fail to be.
        let _ = text::write_line(&mut line, &verdict);
        if count > 0 && piece.len() + line.len() + text::MAX_AROUND > MAX_PIECE {
            pieces.push(whole(&piece, count).unwrap_or_default());
            piece.clear();
            count = 0;
        }
        piece.append(&mut line);
        count += 1;
    }
    if count > 0 {
        pieces.push(whole(&piece, count).unwrap_or_default());
    }
    pieces
}

fn whole(lines: &[u8], count: usize) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(lines.len() + text::MAX_AROUND);
    text::write_head(&mut piece)?;
    piece.extend_from_slice(lines);
    text::write_end(&mut piece, count)?;
    Ok(piece)
}

/// Reads a piece, whatever its bytes are. An entry may be in it more than once.
///
/// # Errors
/// If it is longer than [`MAX_PIECE`], or no such text. No error shows a key.
pub fn read(piece: &[u8]) -> Result<Vec<Verdict>, Fault> {
    if piece.len() > MAX_PIECE {
        return Err(Fault::TooLong(piece.len()));
    }
    let mut verdicts = Vec::new();
    text::read(piece, None, |verdict| verdicts.push(verdict))?;
    Ok(verdicts)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Entry, Kind, Stamp},
        *,
    };
    use crate::node_name::NodeName;

    fn verdicts(count: u32) -> Vec<Verdict> {
        let verdict = |n: u32| {
            let (kind, text) = match n % 3 {
                0 => (Kind::Deny, format!("{n:040x}")),
                1 => (Kind::Ban, format!("2001:db8:0:{n:x}::/64")),
                _ => (Kind::Key, format!("key-{n:060}")),
            };
            let (entry, _) = Entry::parse(kind, &text).unwrap();
            let node = NodeName::parse(&"n".repeat(1 + n as usize % 64)).unwrap();
            Verdict {
                entry,
                stamp: Stamp { when: u64::from(n) << 20, node, taken_back: n.is_multiple_of(5) },
            }
        };
        (0..count).map(verdict).collect()
    }

    #[test]
    fn a_piece_is_a_text() {
        let (entry, _) = Entry::parse(Kind::Ban, "192.0.2.0/24").unwrap();
        let node = NodeName::parse("node-b").unwrap();
        let verdict = Verdict { entry, stamp: Stamp { when: 1_790_000_000_001, node, taken_back: true } };
        let [piece] = &*write([verdict.clone()]) else { panic!("one piece") };
        let text = "riptide decisions 2\nban 192.0.2.0/24 taken-back 1790000000001 node-b\nend 1\n";
        assert_eq!(str::from_utf8(piece).unwrap(), text);
        assert_eq!(read(piece).unwrap(), [verdict]);
    }

    #[test]
    fn what_was_written_is_read_piece_by_piece() {
        for count in [0, 1, 2, 5000] {
            let pieces = write(verdicts(count));
            assert!(pieces.iter().all(|piece| piece.len() <= MAX_PIECE), "{count}");
            let read: Vec<_> = pieces.iter().flat_map(|piece| read(piece).unwrap()).collect();
            assert_eq!(read, verdicts(count));
            // Each is filled, but for the longest line.
            let whole: usize = pieces.iter().map(Vec::len).sum();
            assert!(pieces.len() <= 1 + whole / (MAX_PIECE - 256), "{} pieces", pieces.len());
        }
    }

    #[test]
    fn what_is_too_long_or_cut_is_refused() {
        let [piece] = &*write(verdicts(9)) else { panic!("one piece") };
        for end in 0..piece.len() - 1 {
            assert!(read(&piece[..end]).is_err(), "{end}");
        }
        let mut long = vec![b'\n'; MAX_PIECE];
        long.extend_from_slice(piece);
        assert!(matches!(read(&long), Err(Fault::TooLong(_))));
        assert_eq!(read(&long[piece.len()..]).unwrap(), verdicts(9));
        // Nobody can say who decided what version 1 tells.
        assert!(read(b"riptide decisions 1\nend 0\n").is_err());
        assert!(read(b"riptide decisions 2\nend 0\n").unwrap().is_empty());
    }
}
