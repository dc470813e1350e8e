//! A file that cannot be read as it should is kept for whoever wants to know, under a name with the time.

use crate::state_directory::{ASIDE, is_aside};
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
    let stem = format!("{name}{ASIDE}{}", compact_time(wall));
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

/// A time in UTC such as `20261130T070102Z`, which sorts as the time does.
fn compact_time(wall: u64) -> String {
    // Days since the first of March of the year 0, as Howard Hinnant's `civil_from_days` counts; the year ends in February.
    let days = wall / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let second = wall % 86_400;
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{:02}Z", second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state_directory::{DECISIONS_FILE, SWARMS_FILE};

    /// As `date -u -d @SECONDS` tells.
    #[test]
    fn times_are_told_in_utc() {
        for (wall, expected) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_800, "20000301T000000Z"),
            (1_796_022_062, "20261130T070102Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(compact_time(wall), expected, "{wall}");
        }
    }

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
