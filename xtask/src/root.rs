//! Becoming root for what network namespaces need, once all is built.

use crate::say;
use anyhow::{Context, Result, bail};
use std::{convert::Infallible, env, os::unix::process::CommandExt, process::Command};

/// Says that all is built, and this is root.
pub(crate) const BUILT: &str = "--built";

/// Becomes this program again, as root. What cargo told it goes along, and its signals and exit status are its own. `doing` is
/// what it is needed for.
pub(crate) fn become_root(doing: &str) -> Result<Infallible> {
    let program = env::current_exe().context("cannot tell which program this is")?;
    say::step(&format!("{doing} through sudo: network namespaces need root"));
    let mut sudo = Command::new("sudo");
    sudo.args(["--preserve-env=CARGO_MANIFEST_DIR,CARGO_TARGET_DIR", "--"]).arg(program);
    let error = sudo.args(env::args_os().skip(1)).arg(BUILT).exec();
    bail!("cannot start sudo: {error}")
}
