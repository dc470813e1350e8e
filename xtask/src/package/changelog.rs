//! The changelog of the Debian package, which tells of the packaging; what has changed in the program stands in CHANGELOG.md.

use super::{job::Job, manifest};
use crate::process;
use anyhow::Result;

/// Its one entry.
pub(super) fn debian(job: &Job) -> Result<String> {
    let date =
        process::output(process::program("date").args(["-u", "-R", "-d", &format!("@{}", job.epoch)]))?;
    let (maintainer, version) = (manifest::maintainer()?, version(&job.version));
    Ok(format!(
        "riptide ({version}) unstable; urgency=medium\n\n  * What is new stands in changelog.gz.\n\n -- {maintainer}  {}\n",
        date.trim()
    ))
}

/// A version as Debian has it: what comes before a release sorts before it, and the packaging has a number of its own.
fn version(version: &str) -> String {
    format!("{}-1", version.replacen('-', "~", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_debians() {
        assert_eq!(version("0.1.0"), "0.1.0-1");
        assert_eq!(version("1.0.0-rc.1"), "1.0.0~rc.1-1");
    }
}
