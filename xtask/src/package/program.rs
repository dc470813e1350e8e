//! The program that is handed out: the release, without symbols, which go into a file beside it.
//!
//! It uses the C library of the system. With glibc inside, a look-up of a user, group or name loads the system's modules for that
//! (`nsswitch.conf`), which end such a program where they are made for another glibc, and `systemd`'s even where not.

use super::job::Job;
use crate::{build_ebpf, process, run, say};
use anyhow::{Context, Result};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The program without symbols.
pub(super) struct Program {
    pub(super) path: PathBuf,
    debug: String,
}

/// Builds the release of `riptide`, as `cargo xtask run` does, and returns its path.
pub(super) fn build() -> Result<PathBuf> {
    build_ebpf::run(&build_ebpf::Arguments::default())?;
    run::build_riptide()
}

impl Program {
    /// Puts what is needed to run into the work directory, and what is needed to debug into the output.
    pub(super) fn strip(job: &Job, built: &Path) -> Result<Self> {
        let debug = format!("{}.debug", job.name());
        let (path, symbols) = (job.work.join("riptide"), job.output.join(&debug));
        let mut keep = process::program("objcopy");
        keep.args(["--only-keep-debug", "--compress-debug-sections=zlib"]).arg(built).arg(&symbols);
        process::run(&mut keep)?;
        fs::set_permissions(&symbols, fs::Permissions::from_mode(0o644))
            .with_context(|| format!("cannot make {} a file for reading", symbols.display()))?;
        let mut strip = process::program("strip");
        strip.args(["--strip-unneeded", "--remove-section=.comment", "-o"]).arg(&path).arg(built);
        process::run(&mut strip)?;
        let mut link = process::program("objcopy");
        link.arg(format!("--add-gnu-debuglink={}", symbols.display())).arg(&path);
        process::run(&mut link)?;
        let symbols = process::output(process::program("objdump").arg("-T").arg(&path))?;
        if let Some((major, minor)) = oldest_glibc(&symbols) {
            say::step(&format!("the program needs glibc {major}.{minor} or newer"));
        }
        Ok(Self { path, debug })
    }

    /// The name of the file with its symbols, in the output.
    pub(super) fn debug_name(&self) -> &str {
        &self.debug
    }
}

/// The newest version of glibc whose symbols are in what `objdump -T` prints.
fn oldest_glibc(symbols: &str) -> Option<(u32, u32)> {
    let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| {
        let version = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        let mut numbers = version.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_glibc_is_the_newest_that_a_symbol_names() {
        let symbols = "0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.2.5) read\n\
                       0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.34) dlsym\n\
                       0000000000000000      DF *UND*  0000000000000000 (GCC_3.0)    _Unwind_Resume\n\
                       0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.9)  pipe2\n";
        assert_eq!(oldest_glibc(symbols), Some((2, 34)));
        assert_eq!(oldest_glibc("no symbols"), None);
    }
}
