//! A file that cannot be read as it should is kept for whoever wants to know, under a name with the time.

use crate::{
    state_directory::{ASIDE, is_aside},
    utc,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// So many of each are kept; the oldest go first.
pub const MOST_ASIDE: usize = 3;

/// Gives whatever is in the place of this file another name, with this time (seconds since 1970), and says which.
///
/// # Errors
/// If it cannot be renamed.
pub fn set_aside(directory: &Path, name: &str, wall: u64) -> io::Result<PathBuf> {
    let stem = format!("{name}{ASIDE}{}", utc::compact(wall));
    let is_free = |path: &PathBuf| path.symlink_metadata().is_err();
    let names = (1..).map(|n| if n == 1 { stem.clone() } else { format!("{stem}-{n}") });
    let aside = names.map(|name| directory.join(name)).find(is_free).unwrap_or_default();
    fs::rename(directory.join(name), &aside)?;
    forget_oldest(directory, name);
    Ok(aside)
}

fn forget_oldest(directory: &Path, name: &str) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let is_its = |found: &str| found.starts_with(name) && is_aside(found);
    let names = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_its));
    let mut kept: Vec<PathBuf> = names.map(|entry| entry.path()).collect();
    kept.sort();
    for path in kept.iter().rev().skip(MOST_ASIDE) {
        // What is no file was not put there by us.
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state_directory::{DECISIONS_FILE, SWARMS_FILE};

    #[test]
    fn the_newest_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let other = directory.path().join(format!("{DECISIONS_FILE}{ASIDE}0"));
        fs::write(&other, "").unwrap();
        for second in [0, 0, 1, 2, 3] {
            fs::write(directory.path().join(SWARMS_FILE), [second as u8]).unwrap();
            let aside = set_aside(directory.path(), SWARMS_FILE, second).unwrap();
            assert_eq!(fs::read(aside).unwrap(), [second as u8]);
        }
        let mut names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        assert_eq!(names.remove(0), other, "files of another name are not counted");
        let expected = [1, 2, 3].map(|second| format!("swarms.riptide.bad-19700101T00000{second}Z"));
        let expected = expected.map(|name| directory.path().join(name));
        assert_eq!(names, expected);
        assert!(set_aside(directory.path(), SWARMS_FILE, 5).is_err(), "there is none");
    }
}
