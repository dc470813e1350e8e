//! The build for 64-bit ARM, and the tests of what is pure logic, run by an emulator: other alignment, other character
//! signedness, another memory order in what the compiler makes of atomics.

use crate::{
    apt,
    machine::{self, Done},
    pins, process, say,
};
use anyhow::Result;
use std::{path::PathBuf, process::Command};

/// Cases of each property test: the emulator takes ten times as long.
const PROPTEST_CASES: &str = "8";

/// Checks that everything compiles, and runs the tests of `tracker-common` and `tracker-core`. Skipped where the target's
/// standard library is not to be had.
pub(crate) fn run() -> Result<Done> {
    if !ensure_std()? {
        let why = format!("no standard library for {0}: `rustup target add {0}`", pins::AARCH64_TARGET);
        return Ok(Done::Skipped(why));
    }
    apt::ensure(pins::AARCH64_PACKAGES, "a linker and an emulator for 64-bit ARM")?;
    say::step("checking what runs on 64-bit ARM");
    process::run(cargo("check").args(["--package", "tracker-user", "--package", "tracker-load"]))?;
    say::step("running tests on an emulated 64-bit ARM");
    process::run(cargo("test").args([
        "--package",
        "tracker-common",
        "--package",
        "tracker-core",
        "--lib",
        "--tests",
    ]))?;
    Ok(Done::Ran)
}

/// Whether the toolchain has the target's standard library, after asking rustup for it.
fn ensure_std() -> Result<bool> {
    let sysroot = process::output(process::program("rustc").args(["--print", "sysroot"]))?;
    let library =
        PathBuf::from(sysroot.trim_end()).join("lib/rustlib").join(pins::AARCH64_TARGET).join("lib");
    if library.is_dir() {
        return Ok(true);
    }
    if machine::find_program("rustup").is_none() {
        return Ok(false);
    }
    say::step(&format!("adding the target {}", pins::AARCH64_TARGET));
    let added = process::run(process::program("rustup").args(["target", "add", pins::AARCH64_TARGET]));
    Ok(added.is_ok() && library.is_dir())
}

/// A cargo command for the target, with its linker and emulator.
fn cargo(command: &str) -> Command {
    let of_target =
        |name: &str| format!("CARGO_TARGET_{}_{name}", pins::AARCH64_TARGET.replace('-', "_").to_uppercase());
    let mut cargo = process::cargo();
    cargo
        .args([command, "--locked", "--target", pins::AARCH64_TARGET])
        .env(of_target("LINKER"), pins::AARCH64_LINKER)
        .env(of_target("RUNNER"), format!("{} -L {}", pins::AARCH64_EMULATOR, pins::AARCH64_LIBRARIES))
        .env("PROPTEST_CASES", PROPTEST_CASES);
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_gets_the_variables_of_the_target() {
        let cargo = cargo("test");
        let set = |name: &str| cargo.get_envs().any(|(variable, value)| variable == name && value.is_some());
        assert!(set("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER"));
        assert!(set("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER"));
        assert_eq!(cargo.get_args().next().unwrap(), "test");
    }
}
