//! `cargo xtask screenshot`: the pictures of the README, from a tracker that serves real peers through XDP.

mod stage;
mod top;

use crate::{
    apt,
    bench::{cpus::Cpus, lab::Lab, rig},
    build_ebpf, machine, npm, pins, root, run, say,
};
use anyhow::{Context, Result, bail};
use stage::Stage;
use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    time::Duration,
};

/// What `screenshot` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long peers announce before the pictures are taken: the page's charts go by the minute
    #[arg(long, default_value_t = 15, value_name = "N")]
    minutes: u64,
    /// All is built, and this is root
    #[arg(long, hide = true)]
    built: bool,
}

/// Builds as whoever called, then as root lets peers come to a tracker and writes the pictures into `docs`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if !arguments.built {
        if !machine::is_root() && machine::find_program("sudo").is_none() {
            bail!("network namespaces need root and sudo is not here: run this command as root");
        }
        apt::ensure(pins::BROWSER_PACKAGES, "a browser to take pictures with")?;
        apt::ensure(pins::BENCH_PACKAGES, "the network that the tracker is shown on")?;
        apt::ensure(pins::TERMINAL_PACKAGES, "a terminal to take pictures of")?;
        npm::ensure()?;
        build_ebpf::run(&build_ebpf::Arguments::default())?;
        run::build_riptide()?;
        if !machine::is_root() {
            root::become_root("taking pictures")?;
        }
    }
    rig::sweep();
    let lab = Lab::open(false, Vec::new(), Cpus::inherited()?)?;
    let mut stage = Stage::set(&lab)?;
    let (namespace, metrics) = stage.metrics();
    let inside = ["ip", "netns", "exec", namespace.name()];
    let top = top::Screen::open(&inside, &lab.binary("riptide"), &metrics)?;
    let minutes = arguments.minutes;
    say::step(&format!(
        "peers announce for {minutes} minutes; to look meanwhile: ip netns exec {} curl {metrics}",
        namespace.name()
    ));
    stage.play(&lab, Duration::from_secs(arguments.minutes * 60))?;
    let written = stage.pictures(&lab, || top.take(lab.scratch()))?;
    keep(&lab, &[&written[..], &top::PICTURES].concat())
}

/// Puts pictures into `docs`, and has them belong to whom that belongs.
fn keep(lab: &Lab, pictures: &[&str]) -> Result<()> {
    let docs = machine::workspace_root().join("docs");
    let owner = fs::metadata(&docs).with_context(|| format!("cannot look at {}", docs.display()))?;
    for picture in pictures {
        let place = docs.join(picture);
        let failed = || format!("cannot write {}", place.display());
        fs::copy(lab.scratch().join(picture), &place).with_context(failed)?;
        chown(&place, Some(owner.uid()), Some(owner.gid())).with_context(failed)?;
        say::step(&format!("written: docs/{picture}"));
    }
    Ok(())
}
