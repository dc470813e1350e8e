//! Swaps the master key of connection IDs on every path: workers, programs, the state directory, and what a process gets that
//! takes over.

use crate::{
    clock::monotonic_ns,
    shared_key::SharedKey,
    state::{self, ConnectionIdState, StateWarning},
    xdp::manager::Lending,
};
use parking_lot::Mutex;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tracker_common::siphash::Key;

/// The way to swap the master key of connection IDs, from any thread.
#[derive(Clone, Debug)]
pub struct Rekey(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    key: SharedKey,
    xdp: Option<Lending>,
    directory: PathBuf,
    /// Another process has it all, or is about to.
    is_lent: bool,
    /// What was asked for meanwhile.
    waiting: Option<Key>,
}

impl Rekey {
    /// For the workers that follow `key`, the programs behind `xdp`, and this state directory.
    pub(super) fn new(key: SharedKey, xdp: Option<Lending>, directory: &Path) -> Self {
        let directory = directory.to_owned();
        Self(Arc::new(Mutex::new(Inner { key, xdp, directory, is_lent: false, waiting: None })))
    }

    /// Has connection IDs issued and checked by this master key: by workers from their next batch on, by XDP programs some ten
    /// milliseconds later. IDs of the key before hold no more, so that clients connect anew. It is saved when this returns, if
    /// the state directory can be written; that takes the time of a disk. The same key again changes nothing.
    ///
    /// Once another process is left everything, nothing is swapped here; if it fails to serve, that is made up for.
    pub fn swap(&self, master: Key) {
        let mut inner = self.0.lock();
        if inner.is_lent {
            inner.waiting = Some(master);
        } else {
            inner.swap(master);
        }
    }

    /// What connection IDs are made of now.
    pub(super) fn state(&self) -> ConnectionIdState {
        self.0.lock().key.state()
    }

    /// Saves it with the present time, so that the next boot goes on from there.
    ///
    /// # Errors
    /// [`StateWarning::NotKept`] if the directory cannot be written.
    pub(super) fn save(&self) -> Result<(), StateWarning> {
        self.0.lock().save()
    }

    /// Nothing is swapped or saved here from now on: another process takes over.
    pub(super) fn lend(&self) {
        self.0.lock().is_lent = true;
    }

    /// It does not.
    pub(super) fn reclaim(&self) {
        let mut inner = self.0.lock();
        inner.is_lent = false;
        if let Some(master) = inner.waiting.take() {
            inner.swap(master);
        }
    }
}

impl Inner {
    fn swap(&self, master: Key) {
        if !self.key.swap(master) {
            return;
        }
        if let Some(xdp) = &self.xdp {
            xdp.rekey(master);
        }
        tracing::info!("connection IDs have another key: clients connect anew");
        if let Err(warning) = self.save() {
            tracing::warn!("{warning}");
        }
    }

    fn save(&self) -> Result<(), StateWarning> {
        self.key.state().save(&self.directory, monotonic_ns(), &state::boot_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Key = Key { k0: 1, k1: 2 };
    const SECOND: Key = Key { k0: 3, k1: 4 };

    fn rekey(directory: &Path) -> Rekey {
        let state = ConnectionIdState { master: FIRST, clock_base_ns: 1_700_000_000_000_000_000 };
        Rekey::new(SharedKey::new(state), None, directory)
    }

    fn is_kept(rekey: &Rekey, directory: &Path) -> bool {
        rekey.state().is_kept(directory, &state::boot_id())
    }

    #[test]
    fn what_was_swapped_is_saved_and_handed_over() {
        let directory = tempfile::tempdir().unwrap();
        let rekey = rekey(directory.path());
        rekey.swap(FIRST);
        assert!(!is_kept(&rekey, directory.path()), "the same key");
        rekey.clone().swap(SECOND);
        assert_eq!(rekey.state().master, SECOND);
        assert_eq!(rekey.state().clock_base_ns, 1_700_000_000_000_000_000);
        assert!(is_kept(&rekey, directory.path()));
    }

    #[test]
    fn while_another_process_takes_over_the_key_stays() {
        let directory = tempfile::tempdir().unwrap();
        let rekey = rekey(directory.path());
        rekey.lend();
        rekey.swap(Key { k0: 5, k1: 6 });
        rekey.swap(SECOND);
        assert_eq!(rekey.state().master, FIRST);
        assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none());
        rekey.reclaim();
        assert_eq!(rekey.state().master, SECOND);
        assert!(is_kept(&rekey, directory.path()));
        // What has been made up for is not made up for again.
        rekey.swap(FIRST);
        rekey.lend();
        rekey.reclaim();
        assert_eq!(rekey.state().master, FIRST);
    }

    #[test]
    fn a_key_that_cannot_be_saved_holds() {
        // A file where the directory should be: not even root can write there.
        let file = tempfile::NamedTempFile::new().unwrap();
        let rekey = rekey(file.path());
        rekey.swap(SECOND);
        assert_eq!(rekey.state().master, SECOND);
        assert!(rekey.save().is_err());
    }
}
