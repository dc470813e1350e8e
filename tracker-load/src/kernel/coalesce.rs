//! Receiving in strides, as network cards do by interrupt coalescing.
//!
//! A virtual interface wakes its receiver for each frame that meets an empty queue, and the sender pays for that: on a
//! virtual machine, the interrupt that tells this program of a reply can be a third of what the reply costs its tracker.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What is set while a load runs: after a poll the next one follows after this time, nanoseconds, and only after so many
/// polls in vain does a frame wake the receiver again.
const SETTINGS: [(&str, &str); 2] = [("gro_flush_timeout", "50000"), ("napi_defer_hard_irqs", "2")];

/// An interface that receives in strides, until this is dropped: then its settings are what they were.
#[derive(Debug)]
pub struct Coalesced(Vec<(PathBuf, String)>);

impl Coalesced {
    /// Sets it up. The second value says what could not be done, for a person.
    #[must_use]
    pub fn set(interface: &str) -> (Self, Option<String>) {
        Self::set_in(&Path::new("/sys/class/net").join(interface))
    }

    fn set_in(folder: &Path) -> (Self, Option<String>) {
        let mut coalesced = Self(Vec::new());
        for (name, value) in SETTINGS {
            let path = folder.join(name);
            if let Err(error) = coalesced.write(&path, value) {
                let undone = format!(
                    "{} cannot be set: {error}; the tracker may pay for each frame that is received here",
                    path.display()
                );
                return (coalesced, Some(undone));
            }
        }
        (coalesced, None)
    }

    fn write(&mut self, path: &Path, value: &str) -> io::Result<()> {
        let before = fs::read_to_string(path)?;
        fs::write(path, value)?;
        self.0.push((path.to_owned(), before.trim().to_owned()));
        Ok(())
    }
}

impl Drop for Coalesced {
    fn drop(&mut self) {
        for (path, before) in self.0.drain(..).rev() {
            // The interface may be gone.
            let _ = fs::write(path, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        fs::write(folder.path().join("gro_flush_timeout"), "7\n").unwrap();
        fs::write(folder.path().join("napi_defer_hard_irqs"), "0\n").unwrap();
        let (coalesced, undone) = Coalesced::set_in(folder.path());
        assert_eq!(undone, None);
        assert_eq!((read("gro_flush_timeout"), read("napi_defer_hard_irqs")), ("50000".into(), "2".into()));
        drop(coalesced);
        assert_eq!((read("gro_flush_timeout"), read("napi_defer_hard_irqs")), ("7".into(), "0".into()));
    }

    #[test]
    fn what_cannot_be_set_is_told() {
        let (coalesced, undone) = Coalesced::set_in(Path::new("/sys/class/net/none-such"));
        assert!(undone.unwrap().starts_with("/sys/class/net/none-such/gro_flush_timeout cannot be set: "));
        assert!(coalesced.0.is_empty());
    }
}
