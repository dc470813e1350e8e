//! Starting other programs: how cargo is called, and what a failure says.

use crate::machine;
use anyhow::{Context, Result, bail};
use std::{
    env,
    ffi::OsStr,
    process::{Command, Stdio},
};

/// Variables that `cargo run` sets for xtask itself. Handed on, they change the fingerprints of crates whose build
/// scripts read them, and everything is built twice.
const ABOUT_XTASK: &[&str] =
    &["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_", "OUT_DIR"];

/// The cargo that runs xtask, in the root of the checkout.
pub(crate) fn cargo() -> Command {
    program(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Rustup's `cargo`, which understands `+TOOLCHAIN`.
pub(crate) fn cargo_of_rustup() -> Command {
    let mut command = program("cargo");
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN").env_remove("LD_LIBRARY_PATH");
    command
}

/// Any program, in the root of the checkout.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(machine::workspace_root());
    for (variable, _) in env::vars_os() {
        if is_about_xtask(&variable) {
            command.env_remove(variable);
        }
    }
    command
}

fn is_about_xtask(variable: &OsStr) -> bool {
    ABOUT_XTASK.iter().any(|prefix| variable.as_encoded_bytes().starts_with(prefix.as_bytes()))
}

/// Runs a command with this terminal and fails unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = describe(command);
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Runs a command, fails unless it succeeds, and returns its standard output. Its standard error stays visible.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = describe(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({})", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed bytes that are not UTF-8"))
}

/// Whether a command succeeds, and what it prints; everything it says stays unseen.
pub(crate) fn probe(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command line a person can repeat: the program's name without its directory, then the arguments.
pub(crate) fn describe(command: &Command) -> String {
    let program = command.get_program();
    let name = std::path::Path::new(program).file_name().unwrap_or(program);
    let mut line = name.to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&quote(&argument.to_string_lossy()));
    }
    line
}

fn quote(argument: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=./,:+@%".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_described_command_can_be_pasted_into_a_shell() {
        let mut command = Command::new("/opt/rust/bin/cargo");
        command.args(["nextest", "run", "-E", "not test(/(^|::)root_/)", "", "it's"]);
        assert_eq!(describe(&command), r"cargo nextest run -E 'not test(/(^|::)root_/)' '' 'it'\''s'");
    }

    #[test]
    fn only_what_cargo_run_set_is_taken_away() {
        for variable in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"] {
            assert!(is_about_xtask(OsStr::new(variable)), "{variable}");
        }
        for variable in ["CARGO", "CARGO_HOME", "CARGO_TARGET_DIR", "RUSTFLAGS", "PATH", "CARGO_TERM_COLOR"] {
            assert!(!is_about_xtask(OsStr::new(variable)), "{variable}");
        }
    }

    #[test]
    fn failure_names_the_command() {
        let error = run(&mut Command::new("false")).unwrap_err().to_string();
        assert!(error.starts_with("`false` failed (exit status: 1)"), "{error}");
        let error = run(&mut Command::new("/nonexistent/x")).unwrap_err().to_string();
        assert_eq!(error, "cannot start `x`");
        assert_eq!(output(Command::new("echo").arg("hello")).unwrap(), "hello\n");
        assert_eq!(probe(&mut Command::new("false")), None);
    }
}
