//! What a node knows of what is lacking: who was asked for a walk, and when it may ask again.

use super::{tally::Tally, time::ns, tried::Tried};
use std::time::Duration;

/// How long to rest after a walk that came to its end. After one that did not it is longer each time.
const REST_NS: u64 = ns(Duration::from_secs(1));
/// How much longer it is than the walk was, at least.
const REST_EACH: u64 = 3;
/// How often that doubles.
const MAX_DOUBLED: u32 = 3;

/// What is to be learnt by walks, because nobody sends it again.
#[derive(Debug, Default)]
pub struct Mending {
    /// Something may be lacking beside the holes of processes.
    pub(super) lacks: Option<Tried>,
    /// Who was asked and gave no walk to its end: others are asked first.
    pub(super) failed: Vec<Box<str>>,
    /// Walks in a row that did not come to their end.
    pub(super) failures: u32,
    pub(super) rest_until_ns: u64,
}

impl Mending {
    /// Something may be lacking that is in no row of numbers.
    pub(super) fn lacks(&mut self, tally: &mut Tally) {
        tally.gaps += 1;
        self.lacks.get_or_insert_default();
    }

    /// A walk was given, to its end or not, which took so long.
    pub(super) fn was_given(&mut self, by: &str, to_the_end: bool, took_ns: u64, now_ns: u64) {
        self.failed.retain(|failed| **failed != *by);
        if to_the_end {
            self.failures = 0;
        } else {
            self.failed.push(by.into());
            self.failures = (self.failures + 1).min(MAX_DOUBLED);
        }
        // However often something is lacking, walks take a part of the time only.
        self.rest_until_ns = now_ns + (REST_NS << self.failures).max(REST_EACH * took_ns);
    }
}
