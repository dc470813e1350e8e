//! Whoever decides: one at a time, bounded, kept on disk, and not here while another process takes over.

use super::{
    entry::{Entry, Kind},
    file,
    merged::Merged,
    set::Decisions,
    verdict::Verdict,
};
use crate::{node_name::NodeName, state_directory::DECISIONS_FILE, utc};
use parking_lot::Mutex;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// What a merge leaves out is told no more often: another node may say the same each second.
const TOLD_AGAIN: Duration = Duration::from_secs(600);

/// Why something is not decided, or not for good.
#[derive(Debug, thiserror::Error)]
pub enum NotDecided {
    /// There are as many as there may be.
    #[error(
        "{most} decisions of this kind hold, as many as may (control.max_decisions): take some back, or write them into a \
         file of [access]"
    )]
    Full {
        /// How many.
        most: usize,
    },
    /// Another process is about to have them.
    #[error("another process takes over at this moment: ask again")]
    Elsewhere,
    /// It holds, but only as long as this process.
    #[error(
        "it holds from now on, but not over a restart: {path} cannot be written: {source}. See that this user may write there, \
         then ask again", path = .path.display()
    )]
    NotKept {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// It holds by the operator's own file, whatever is decided here.
    #[error("{entry} stands in {path} ({key}), which the tracker never writes: take it out there and reload", path = .path.display())]
    InFile {
        /// What was to hold no more.
        entry: Entry,
        /// The file.
        path: PathBuf,
        /// The key that names it.
        key: &'static str,
    },
}

/// The decisions that hold, and where they are kept.
#[derive(Clone, Debug)]
pub struct Keeper(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    inner: Mutex<Inner>,
    /// That of the decisions, for whoever cannot wait.
    digest: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    decisions: Decisions,
    directory: PathBuf,
    most: usize,
    node: NodeName,
    is_kept: bool,
    /// Another process has them, or is about to.
    is_lent: bool,
    /// When it was told last that a merge left something out.
    told: Option<Instant>,
}

impl Inner {
    fn keep(&mut self) -> Result<(), NotDecided> {
        let written = file::write(&self.directory, &self.decisions);
        self.is_kept = written.is_ok();
        written.map_err(|source| NotDecided::NotKept { path: self.directory.join(DECISIONS_FILE), source })
    }
}

impl Keeper {
    /// Of decisions that are kept in this directory, at most so many of a kind; those that are made here are this node's.
    #[must_use]
    pub fn new(mut decisions: Decisions, directory: &Path, most: usize, node: NodeName) -> Self {
        decisions.forget(utc::wall_ms(), most);
        let digest = AtomicU64::new(decisions.digest());
        let directory = directory.to_owned();
        let inner = Inner { decisions, directory, most, node, is_kept: true, is_lent: false, told: None };
        Self(Arc::new(Kept { inner: Mutex::new(inner), digest }))
    }

    /// Makes a decision hold, or no longer, from now on, whatever was known of it: `effect` is told of all that hold then, if
    /// that is another way than before, and then they are kept. Whether it is another way.
    ///
    /// # Errors
    /// If it cannot be decided, or not be kept; then it holds all the same.
    pub fn decide(
        &self,
        entry: Entry,
        holds: bool,
        effect: impl FnOnce(&Decisions),
    ) -> Result<bool, NotDecided> {
        let mut inner = self.0.inner.lock();
        if inner.is_lent {
            return Err(NotDecided::Elsewhere);
        }
        let Inner { decisions, most, node, .. } = &mut *inner;
        if holds && !decisions.has(&entry) && decisions.len_of(entry.kind()) >= *most {
            return Err(NotDecided::Full { most: *most });
        }
        let now = utc::wall_ms();
        let is_another = decisions.decide(entry, holds, now, node.clone());
        decisions.forget(now, *most);
        self.0.digest.store(decisions.digest(), Ordering::Relaxed);
        if is_another {
            // At once; a disk may take its time.
            effect(decisions);
        }
        inner.keep()?;
        Ok(is_another)
    }

    /// Takes in what others have decided and is newer than what is known. `effect` is told of all that hold then and of what
    /// has changed, if anything has, and then they are kept, once. What came of it, and whether they are kept.
    ///
    /// # Errors
    /// The second is [`NotDecided::Elsewhere`] where nothing is taken in, or [`NotDecided::NotKept`] where it holds all the
    /// same.
    pub fn merge(
        &self,
        verdicts: impl IntoIterator<Item = Verdict>,
        effect: impl FnOnce(&Decisions, &[Entry]),
    ) -> (Merged, Result<(), NotDecided>) {
        let mut inner = self.0.inner.lock();
        if inner.is_lent {
            return (Merged::default(), Err(NotDecided::Elsewhere));
        }
        let Inner { decisions, most, told, .. } = &mut *inner;
        let mut merged = decisions.merge(verdicts, utc::wall_ms(), *most);
        self.0.digest.store(decisions.digest(), Ordering::Relaxed);
        if !merged.changed.is_empty() {
            effect(decisions, &merged.entries());
        }
        if merged.has_left_out() && told.is_none_or(|told| told.elapsed() >= TOLD_AGAIN) {
            *told = Some(Instant::now());
            merged.is_to_be_told = true;
        }
        let kept = if merged.is_new { inner.keep() } else { Ok(()) };
        (merged, kept)
    }

    /// That of [`Decisions::digest`], of all that is known here. It waits for nobody: whoever decides may wait for a disk.
    #[must_use]
    pub fn digest(&self) -> u64 {
        if let Some(mut inner) = self.0.inner.try_lock() {
            let Inner { decisions, most, .. } = &mut *inner;
            decisions.forget(utc::wall_ms(), *most);
            self.0.digest.store(decisions.digest(), Ordering::Relaxed);
        }
        self.0.digest.load(Ordering::Relaxed)
    }

    /// All that is known, also what was taken back. It waits while somebody decides.
    #[must_use]
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.look(|decisions| decisions.verdicts().collect())
    }

    /// Looks at those that hold.
    pub fn look<T>(&self, look: impl FnOnce(&Decisions) -> T) -> T {
        look(&self.0.inner.lock().decisions)
    }

    /// Those of a kind that hold, with who decided each and when.
    #[must_use]
    pub fn list(&self, kind: Kind) -> Vec<Verdict> {
        self.look(|decisions| decisions.verdicts_of(kind).collect())
    }

    /// Nothing is decided here from now on, and what was is kept: another process reads it.
    pub fn lend(&self) {
        self.0.inner.lock().is_lent = true;
    }

    /// Decisions are made here again.
    pub fn reclaim(&self) {
        self.0.inner.lock().is_lent = false;
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::verdict::{MOST_AHEAD, Stamp},
        *,
    };
    use std::fs;
    use tracker_core::rng::Rng;

    fn ban(n: u8) -> Entry {
        Entry::parse(Kind::Ban, &format!("10.{n}.0.0/16")).unwrap().0
    }

    fn node(name: &str) -> NodeName {
        NodeName::parse(name).unwrap()
    }

    fn keeper(directory: &Path) -> Keeper {
        Keeper::new(Decisions::default(), directory, 3, node("here"))
    }

    fn kept(directory: &Path) -> Decisions {
        file::read(directory, &node("another")).unwrap()
    }

    fn elsewhere(n: u8, when: u64, taken_back: bool) -> Verdict {
        Verdict { entry: ban(n), stamp: Stamp { when, node: node("there"), taken_back } }
    }

    #[test]
    fn a_decision_takes_effect_once_and_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let keeper = keeper(directory.path());
        let mut effects = Vec::new();
        for (entry, holds, is_new) in [
            (ban(1), true, true),
            (ban(1), true, false),
            (ban(2), true, true),
            (ban(1), false, true),
            (ban(1), false, false),
        ] {
            let effect = |decisions: &Decisions| effects.push(decisions.len_of(Kind::Ban));
            assert_eq!(keeper.decide(entry, holds, effect).unwrap(), is_new, "{entry}");
            let kept = kept(directory.path());
            assert!(keeper.look(|decisions| *decisions == kept));
            assert_eq!((keeper.digest(), keeper.verdicts()), (kept.digest(), kept.verdicts().collect()));
        }
        assert_eq!(effects, [1, 2, 1]);
        let [listed] = &*keeper.list(Kind::Ban) else { panic!("{keeper:?}") };
        assert_eq!((listed.entry, &listed.stamp.node), (ban(2), &node("here")));
        assert!(listed.stamp.when > 1_700_000_000_000 && keeper.list(Kind::Deny).is_empty());
    }

    #[test]
    fn there_are_no_more_of_a_kind_than_may_be() {
        let directory = tempfile::tempdir().unwrap();
        let keeper = keeper(directory.path());
        for n in 0..3 {
            assert!(keeper.decide(ban(n), true, |_| {}).unwrap());
        }
        let full = keeper.decide(ban(3), true, |_| panic!("no effect"));
        assert!(matches!(full, Err(NotDecided::Full { most: 3 })), "{full:?}");
        assert!(!keeper.decide(ban(2), true, |_| {}).unwrap(), "it holds already");
        let other = Entry::parse(Kind::Deny, &"a".repeat(40)).unwrap().0;
        assert!(keeper.decide(other, true, |_| {}).unwrap(), "another kind");
        assert!(
            keeper.decide(ban(0), false, |_| {}).unwrap() && keeper.decide(ban(3), true, |_| {}).unwrap()
        );
    }

    #[test]
    fn while_another_process_takes_over_nothing_is_decided() {
        let directory = tempfile::tempdir().unwrap();
        let keeper = keeper(directory.path());
        keeper.clone().lend();
        let lent = keeper.decide(ban(1), true, |_| panic!("no effect"));
        assert!(matches!(lent, Err(NotDecided::Elsewhere)), "{lent:?}");
        let (merged, lent) = keeper.merge([elsewhere(1, 1, false)], |_, _| panic!("no effect"));
        assert!(matches!(lent, Err(NotDecided::Elsewhere)) && merged == Merged::default(), "{lent:?}");
        assert!(fs::read_dir(directory.path()).unwrap().next().is_none());
        keeper.reclaim();
        assert!(keeper.decide(ban(1), true, |_| {}).unwrap());
    }

    #[test]
    fn what_cannot_be_kept_holds_and_is_kept_when_asked_again() {
        let parent = tempfile::tempdir().unwrap();
        // A file where the directory should be: not even root can write there.
        let directory = parent.path().join("state");
        fs::write(&directory, "").unwrap();
        let keeper = keeper(&directory);
        let mut effects = 0;
        let refused = keeper.decide(ban(1), true, |_| effects += 1);
        assert!(matches!(refused, Err(NotDecided::NotKept { .. })), "{refused:?}");
        assert_eq!((effects, keeper.list(Kind::Ban).len()), (1, 1));
        fs::remove_file(&directory).unwrap();
        assert!(!keeper.decide(ban(1), true, |_| panic!("it holds already")).unwrap());
        assert_eq!(kept(&directory).len_of(Kind::Ban), 1);
    }

    #[test]
    fn a_merge_takes_effect_once_for_all_and_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let keeper = keeper(directory.path());
        assert!(keeper.decide(ban(1), true, |_| {}).unwrap());
        let soon = utc::wall_ms() + MOST_AHEAD / 2;
        let told = [elsewhere(1, soon, true), elsewhere(2, soon, false), elsewhere(3, soon, true)];
        let mut effects = Vec::new();
        let effect =
            |all: &Decisions, changed: &[Entry]| effects.push((all.len_of(Kind::Ban), changed.to_vec()));
        let (merged, outcome) = keeper.merge(told.clone(), effect);
        outcome.unwrap();
        assert_eq!(merged.changed, told[..2]);
        assert_eq!(effects, [(1, vec![ban(1), ban(2)])]);
        let first = kept(directory.path());
        assert_eq!((keeper.verdicts(), keeper.digest()), (told.to_vec(), first.digest()));
        // What is known has no effect and is not written again.
        fs::remove_file(directory.path().join(DECISIONS_FILE)).unwrap();
        let (merged, outcome) = keeper.merge(told, |_, _| panic!("no effect"));
        assert!(outcome.is_ok() && merged == Merged::default(), "{merged:?}");
        assert!(fs::read_dir(directory.path()).unwrap().next().is_none());
        // Whoever decides here is the last to have decided, whatever the clocks say.
        assert!(keeper.decide(ban(1), true, |_| {}).unwrap());
        let (merged, _) = keeper.merge([elsewhere(1, soon, true)], |_, _| panic!("no effect"));
        assert!(!merged.is_new);
        let [one, two] = &*keeper.list(Kind::Ban) else { panic!("{keeper:?}") };
        assert_eq!((one.stamp.when, two.stamp.when), (soon + 1, soon));
    }

    #[test]
    fn keepers_that_merge_each_others_end_alike() {
        let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let names = ["a", "b", "c"].map(node);
        let keepers: Vec<_> = directories
            .iter()
            .zip(&names)
            .map(|(at, name)| Keeper::new(Decisions::default(), at.path(), 9, name.clone()))
            .collect();
        let mut rng = Rng::new([20, 27]);
        for _ in 0..40 {
            let (one, other) = (&keepers[rng.below(3)], &keepers[rng.below(3)]);
            match rng.below(2) {
                0 => drop(one.decide(ban(rng.below(4) as u8), rng.below(2) == 0, |_| {}).unwrap()),
                _ => one.merge(other.verdicts(), |_, _| {}).1.unwrap(),
            }
        }
        for (one, other) in [(0, 1), (1, 2), (2, 0), (0, 1)] {
            keepers[other].merge(keepers[one].verdicts(), |_, _| {}).1.unwrap();
        }
        for (keeper, directory) in keepers.iter().zip(&directories) {
            assert_eq!(keeper.verdicts(), keepers[0].verdicts());
            assert_eq!(keeper.digest(), keepers[0].digest());
            assert_eq!(kept(directory.path()).digest(), keeper.digest());
        }
    }

    #[test]
    fn what_a_merge_leaves_out_is_told_once_in_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let keeper = keeper(directory.path());
        let told: Vec<_> = (0..5).map(|n| elsewhere(n, 7, false)).collect();
        for is_first in [true, false] {
            let (merged, _) = keeper.merge(told.clone(), |_, _| {});
            assert_eq!((merged.full.count, merged.is_new, merged.is_to_be_told), (2, is_first, is_first));
        }
    }

    #[test]
    fn what_cannot_be_kept_is_merged_all_the_same() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("state");
        fs::write(&directory, "").unwrap();
        let keeper = keeper(&directory);
        let (merged, outcome) = keeper.merge([elsewhere(1, 7, false)], |_, _| {});
        assert!(matches!(outcome, Err(NotDecided::NotKept { .. })), "{outcome:?}");
        assert_eq!((merged.changed.len(), keeper.list(Kind::Ban).len()), (1, 1));
    }
}
