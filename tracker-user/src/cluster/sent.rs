//! What this process has sent lately, for nodes that missed some of it.

use bytes::Bytes;
use std::collections::VecDeque;

/// Changes that were sent, the newest ones, up to so many bytes.
#[derive(Debug)]
pub struct Sent {
    kept: VecDeque<Bytes>,
    /// The number of the next ones.
    next: u64,
    bytes: usize,
    most: usize,
}

/// What they cost beside their bytes.
const EACH: usize = size_of::<Bytes>();

impl Sent {
    /// Keeps up to `most` bytes.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { kept: VecDeque::new(), next: 1, bytes: 0, most }
    }

    /// The number that the next changes have.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Keeps the message with that number.
    pub fn push(&mut self, message: Bytes) {
        self.next += 1;
        self.bytes += message.len() + EACH;
        self.kept.push_back(message);
        while self.bytes > self.most
            && let Some(oldest) = self.kept.pop_front()
        {
            self.bytes -= oldest.len() + EACH;
        }
    }

    /// The number of the oldest that is kept.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.next - self.kept.len() as u64
    }

    /// A message that is kept.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Bytes> {
        self.kept.get(usize::try_from(number.checked_sub(self.first())?).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept() {
        let mut sent = Sent::new(3 * (10 + EACH));
        assert_eq!((sent.first(), sent.next(), sent.get(0), sent.get(1)), (1, 1, None, None));
        for number in 1..=5_u8 {
            assert_eq!(sent.next(), u64::from(number));
            sent.push(Bytes::from(vec![number; 10]));
        }
        assert_eq!((sent.first(), sent.next()), (3, 6));
        let has = |number: u64| sent.get(number).map(|message| message[0]);
        assert_eq!([2, 3, 5, 6, u64::MAX].map(has), [None, Some(3), Some(5), None, None]);
        sent.push(Bytes::from(vec![0; 1000]));
        assert_eq!((sent.first(), sent.next(), sent.bytes), (7, 7, 0), "one that is larger than all");
    }
}
