//! What a node tells another of decisions: whatever the bytes are, reading ends, what was read is written as it was, and merging
//! it, in one order and the other, once and twice, ends alike.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tracker_user::decisions::{Decisions, Verdict, set::REMEMBERED, wire};

/// A time after most, and before some.
const NOW: u64 = 1_790_000_000_000;
const MANY: usize = wire::MAX_PIECE;

fn again(verdicts: impl IntoIterator<Item = Verdict>) -> Vec<Verdict> {
    let mut read = Vec::new();
    for piece in wire::write(verdicts) {
        assert!(piece.len() <= wire::MAX_PIECE);
        read.extend(wire::read(&piece).expect("what was written is read"));
    }
    read
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(verdicts) = wire::read(bytes) else { return };
    assert_eq!(again(verdicts.clone()), verdicts);
    let mut decisions = Decisions::default();
    let merged = decisions.merge(verdicts.clone(), NOW, MANY);
    assert_eq!(merged.full.count, 0);
    for verdict in &merged.changed {
        assert!(verdict.holds() && decisions.has(&verdict.entry));
    }
    let digest = decisions.digest();
    assert!(!decisions.merge(verdicts.clone(), NOW, MANY).is_new);
    assert_eq!(decisions.digest(), digest);

    // What is forgotten keeps nothing away that comes later.
    let is_lasting = |verdict: &Verdict| verdict.holds() || verdict.stamp.when + REMEMBERED > NOW;
    if !verdicts.iter().all(is_lasting) {
        return;
    }
    let mut other = Decisions::default();
    for verdict in verdicts.into_iter().rev() {
        other.merge([verdict], NOW, MANY);
    }
    other.merge(again(decisions.verdicts()), NOW, MANY);
    assert_eq!(other.digest(), digest);
    assert_eq!(other, decisions);
    let few = 2;
    other.merge(again(decisions.verdicts()), NOW, few);
    other.forget(NOW, few);
    let is_remembered = |verdict: &Verdict| !verdict.holds();
    assert!(other.verdicts().filter(is_remembered).count() <= 3 * few);
});
