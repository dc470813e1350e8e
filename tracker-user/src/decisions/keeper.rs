//! Whoever decides: one at a time, bounded, kept on disk, and not here while another process takes over.

use super::{Decisions, Entry, Kind, file};
use crate::state_directory::DECISIONS_FILE;
use parking_lot::Mutex;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

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
pub struct Keeper(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    decisions: Decisions,
    directory: PathBuf,
    most: usize,
    is_kept: bool,
    /// Another process has them, or is about to.
    is_lent: bool,
}

impl Keeper {
    /// Of decisions that are kept in this directory, at most so many of a kind.
    #[must_use]
    pub fn new(decisions: Decisions, directory: &Path, most: usize) -> Self {
        let directory = directory.to_owned();
        Self(Arc::new(Mutex::new(Inner { decisions, directory, most, is_kept: true, is_lent: false })))
    }

    /// Makes a decision hold, or no longer: `effect` is told of all that hold then, if it is new, and then they are kept.
    /// Whether it was new.
    ///
    /// # Errors
    /// If it cannot be decided, or not be kept; then it holds all the same.
    pub fn decide(
        &self,
        entry: Entry,
        holds: bool,
        effect: impl FnOnce(&Decisions),
    ) -> Result<bool, NotDecided> {
        let mut inner = self.0.lock();
        let Inner { decisions, directory, most, is_kept, is_lent } = &mut *inner;
        if *is_lent {
            return Err(NotDecided::Elsewhere);
        }
        if holds && !decisions.has(&entry) && decisions.len_of(entry.kind()) >= *most {
            return Err(NotDecided::Full { most: *most });
        }
        let is_new = decisions.set(entry, holds);
        if is_new {
            // At once; a disk may take its time.
            effect(decisions);
        }
        if is_new || !*is_kept {
            let written = file::write(directory, decisions);
            *is_kept = written.is_ok();
            let path = || directory.join(DECISIONS_FILE);
            written.map_err(|source| NotDecided::NotKept { path: path(), source })?;
        }
        Ok(is_new)
    }

    /// Looks at those that hold.
    pub fn look<T>(&self, look: impl FnOnce(&Decisions) -> T) -> T {
        look(&self.0.lock().decisions)
    }

    /// Those of a kind, as texts.
    #[must_use]
    pub fn list(&self, kind: Kind) -> Vec<String> {
        self.look(|decisions| decisions.of(kind).map(|entry| entry.to_string()).collect())
    }

    /// Nothing is decided here from now on, and what was is kept: another process reads it.
    pub fn lend(&self) {
        self.0.lock().is_lent = true;
    }

    /// Decisions are made here again.
    pub fn reclaim(&self) {
        self.0.lock().is_lent = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn ban(n: u8) -> Entry {
        Entry::parse(Kind::Ban, &format!("10.{n}.0.0/16")).unwrap().0
    }

    fn keeper(directory: &Path) -> Keeper {
        Keeper::new(Decisions::default(), directory, 3)
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
            let kept = file::read(directory.path()).unwrap();
            assert!(keeper.look(|decisions| *decisions == kept));
        }
        assert_eq!(effects, [1, 2, 1]);
        assert_eq!(
            (keeper.list(Kind::Ban), keeper.list(Kind::Deny)),
            (vec!["10.2.0.0/16".to_owned()], vec![])
        );
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
        assert_eq!(file::read(&directory).unwrap().len_of(Kind::Ban), 1);
    }
}
