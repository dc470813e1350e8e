//! `cargo xtask run`: from a checkout to a running tracker.

use crate::{build_ebpf, machine, process, say};
use anyhow::{Result, bail};
use std::{
    borrow::Cow,
    env,
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::Command,
};

/// What `run` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Arguments of `riptide run`
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<OsString>,
}

/// Flags of `riptide run` that take an address, whose port may be one that only root can bind.
const LISTENERS: &[&str] = &["--udp", "--http", "--https", "--metrics"];

/// Builds everything and becomes `riptide run`, so that signals and the exit status are the tracker's own.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    build_ebpf::run(&build_ebpf::Arguments::default())?;
    let riptide = build_riptide()?;
    let mut command = command(&riptide, &arguments.arguments)?;
    let error = command.exec();
    bail!("cannot start {}: {error}", command.get_program().display())
}

/// Builds the release binary and returns its path.
pub(crate) fn build_riptide() -> Result<PathBuf> {
    say::step("building riptide");
    let target_dir = machine::target_dir();
    // The operator's own command, so that what it leaves is found again by whoever runs it next.
    let mut build = process::cargo();
    process::run(build.args(["build", "--release"]).arg("--target-dir").arg(&target_dir))?;
    Ok(target_dir.join("release/riptide"))
}

fn command(riptide: &PathBuf, arguments: &[OsString]) -> Result<Command> {
    let mut command = match privilege(arguments) {
        Some(why) if !machine::is_root() => {
            if machine::find_program("sudo").is_none() {
                bail!("riptide needs root {why} and sudo is not here: run this command as root");
            }
            say::step(&format!("starting riptide through sudo: it needs root {why}"));
            let mut sudo = Command::new("sudo");
            sudo.args(preserve(env::vars_os().map(|(name, _)| name))).arg("--").arg(riptide);
            sudo
        }
        _ => {
            say::step("starting riptide");
            Command::new(riptide)
        }
    };
    command.arg("run").args(arguments);
    Ok(command)
}

/// Why these arguments need root, if they do. Without an interface and with high ports nothing does.
fn privilege(arguments: &[OsString]) -> Option<&'static str> {
    let mut arguments = arguments.iter().map(|argument| argument.to_string_lossy());
    while let Some(argument) = arguments.next() {
        let (flag, value) = match argument.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (argument.into_owned(), None),
        };
        if flag == "--interface" {
            return Some("to attach the XDP program");
        }
        if LISTENERS.contains(&flag.as_str()) {
            let address = value.or_else(|| arguments.next().map(Cow::into_owned));
            if address.is_some_and(|address| has_low_port(&address)) {
                return Some("to bind a port below 1024");
            }
        }
    }
    None
}

fn has_low_port(address: &str) -> bool {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    port.is_some_and(|port| (1..1024).contains(&port))
}

/// Sudo empties the environment; what configures riptide has to stay.
fn preserve(names: impl Iterator<Item = OsString>) -> Option<String> {
    let ours = |name: &OsStr| name == "RUST_LOG" || name.as_encoded_bytes().starts_with(b"RIPTIDE_");
    let names = names.filter(|name| ours(name)).filter_map(|name| name.into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort();
    (!names.is_empty()).then(|| format!("--preserve-env={}", names.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn needs_root(line: &str) -> bool {
        privilege(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>()).is_some()
    }

    #[test]
    fn only_interfaces_and_low_ports_need_root() {
        for line in [
            "",
            "--config a.toml",
            "--udp 0.0.0.0:6969",
            "--udp=[::1]:1024",
            "--udp 127.0.0.1:0",
            "--workers 80",
        ] {
            assert!(!needs_root(line), "{line}");
        }
        for line in [
            "--interface eth0",
            "--workers 1 --interface=eth0",
            "--https 0.0.0.0:443",
            "--udp=[::]:80",
            "--http [::]:1023",
        ] {
            assert!(needs_root(line), "{line}");
        }
    }

    #[test]
    fn sudo_keeps_what_configures_riptide() {
        let names = |list: &[&str]| list.iter().map(OsString::from).collect::<Vec<_>>().into_iter();
        assert_eq!(preserve(names(&["PATH", "HOME", "XRIPTIDE_"])), None);
        let kept = preserve(names(&["RUST_LOG", "PATH", "RIPTIDE_SWARM__PEER_TIMEOUT"]));
        assert_eq!(kept.unwrap(), "--preserve-env=RIPTIDE_SWARM__PEER_TIMEOUT,RUST_LOG");
    }

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        run: Arguments,
    }

    #[test]
    fn everything_after_the_dashes_goes_to_riptide() {
        let line = Line::try_parse_from(["run", "--", "--interface", "eth0", "--", "-x"]).unwrap();
        assert_eq!(line.run.arguments, ["--interface", "eth0", "--", "-x"]);
        assert!(Line::try_parse_from(["run"]).unwrap().run.arguments.is_empty());
        assert!(Line::try_parse_from(["run", "--interface", "eth0"]).is_err(), "the dashes are needed");
    }
}
