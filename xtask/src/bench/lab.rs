//! What every measurement works with: processors, peers, a place for files, and how an interrupt ends it all.

use crate::{
    bench::{aims::Aim, cpus::Cpus, figures::amount, peers::Given, result::Row},
    machine, say,
};
use anyhow::{Context, Result, bail, ensure};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};
use std::{
    cell::{Cell, RefCell},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// What every measurement works with.
#[derive(Debug)]
pub(crate) struct Lab {
    /// Short probes.
    quick: bool,
    /// Who works where.
    pub(crate) cpus: Cpus,
    peers: Vec<Given>,
    /// Since when.
    begun: Instant,
    scratch: TempDir,
    interrupted: Arc<AtomicBool>,
    numbers: Cell<u32>,
    failures: RefCell<Vec<String>>,
}

impl Lab {
    /// How often everything that waits looks whether it was interrupted.
    const LOOK: Duration = Duration::from_millis(20);

    /// Takes care of signals from here on.
    pub(crate) fn open(quick: bool, peers: Vec<Given>, cpus: Cpus) -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register(signal, Arc::clone(&interrupted)).context("cannot take care of signals")?;
        }
        let scratch = tempfile::Builder::new()
            .prefix("riptide-bench-")
            // A tracker that leaves root for another user finds its files.
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .context("cannot make a directory for files")?;
        cpus.stay_with_load()?;
        Ok(Self {
            quick,
            cpus,
            peers,
            begun: Instant::now(),
            scratch,
            interrupted,
            numbers: Cell::new(0),
            failures: RefCell::default(),
        })
    }

    /// That nobody has ended the bench.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            !self.interrupted.load(Relaxed),
            "interrupted: the rig is taken down, nothing is left running"
        );
        Ok(())
    }

    /// Waits so long.
    pub(crate) fn rest(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(Self::LOOK));
        }
    }

    /// Every program of another tracker that was given; the first is the one that rows are against.
    pub(crate) fn peers(&self, peer: &str) -> impl Iterator<Item = &Given> {
        self.peers.iter().filter(move |given| given.peer == peer)
    }

    /// One or the other.
    pub(crate) fn choose<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Does one step of the bench, with a line that says what and what came of it. `None` if it failed, which has been told.
    pub(crate) fn step<T>(
        &self,
        what: &str,
        work: impl FnOnce() -> Result<(T, String)>,
    ) -> Result<Result<T, String>> {
        let seconds = self.begun.elapsed().as_secs();
        say::begin(&format!("{:02}:{:02} {what}", seconds / 60, seconds % 60));
        match work() {
            Ok((value, said)) => {
                say::end(&said);
                Ok(Ok(value))
            }
            Err(error) => {
                say::end("failed");
                self.failed(what, error).map(Err)
            }
        }
    }

    /// Measures the row of an aim in one step: Riptide's figure, the other's, and what else is to be told.
    pub(crate) fn row(
        &self,
        aim: &Aim,
        work: impl FnOnce() -> Result<(Option<f64>, Option<f64>, String)>,
    ) -> Result<Row> {
        let measured = self.step(aim.name, || {
            let (ours, theirs, note) = work()?;
            let row = Row::of(aim).figures(ours, theirs).note(note);
            let said = amount(ours, aim.unit);
            Ok((row, said))
        })?;
        Ok(measured.unwrap_or_else(|why| Row::of(aim).note(why)))
    }

    /// A number that was not given before.
    pub(crate) fn number(&self) -> u32 {
        self.numbers.replace(self.numbers.get() + 1)
    }

    /// A directory for files, gone with the bench.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// A file that lives as long as the bench.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.scratch().join(format!("{}-{name}", self.number()));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// A release build of the product.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        machine::target_dir().join("release").join(name)
    }

    /// One of what does nothing, to compare with.
    pub(crate) fn example(&self, name: &str) -> PathBuf {
        self.binary("examples").join(name)
    }

    /// Tells that something could not be measured, in one line; the bench goes on, and fails at its end. Returns the
    /// reason, for the note of a row. An interruption is no failure of what was measured: it is handed on.
    pub(crate) fn failed(&self, what: &str, error: anyhow::Error) -> Result<String> {
        if self.interrupted.load(Relaxed) {
            return Err(error);
        }
        let reason = format!("{error:#}");
        say::step(&format!("error: {what}: {reason}"));
        self.failures.borrow_mut().push(what.to_owned());
        Ok(reason)
    }

    /// Whether all went well.
    pub(crate) fn verdict(&self) -> Result<()> {
        let failures = self.failures.borrow();
        if !failures.is_empty() {
            bail!("not everything could be measured: {}; the reasons are above", failures.join(", "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_told_and_the_bench_goes_on_until_it_is_interrupted() {
        let lab = Lab {
            quick: false,
            cpus: Cpus { load: 0, tracker: 1 },
            peers: Vec::new(),
            begun: Instant::now(),
            scratch: tempfile::tempdir().unwrap(),
            interrupted: Arc::default(),
            numbers: Cell::default(),
            failures: RefCell::default(),
        };
        assert_eq!(lab.step("one", || Ok((7, "seven".to_owned()))).unwrap(), Ok(7));
        assert!(lab.verdict().is_ok());
        let failed = lab.step::<()>("two", || bail!("its reason")).unwrap();
        assert_eq!(failed, Err("its reason".to_owned()));
        assert!(lab.verdict().unwrap_err().to_string().contains(": two;"));
        lab.interrupted.store(true, Relaxed);
        let interrupted =
            lab.step("three", || lab.rest(Duration::from_secs(3_600)).map(|()| ((), String::new())));
        assert!(interrupted.unwrap_err().to_string().starts_with("interrupted"));
    }
}
