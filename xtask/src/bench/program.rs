//! A program under test: started on its processor, watched, paused while others are measured, and ended.

use crate::{bench::lab::Lab, process};
use anyhow::{Context, Result, anyhow, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

/// How long a program may take until it serves: one that reads a list of a million hashes needs a while.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a program is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// After a pause: time for what a program has put off.
const WAKING: Duration = Duration::from_millis(250);

/// When a program serves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ready {
    /// It has bound this port.
    Port(u16),
    /// It has said a line with this word.
    Word(&'static str),
}

/// A running program, ended when dropped.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    child: Child,
    said: PathBuf,
}

impl Program {
    /// Starts a command that [`crate::bench::rig::Namespace::command`] made, and waits until it serves.
    pub(crate) fn start(lab: &Lab, name: &str, command: Command, ready: Ready) -> Result<Self> {
        let mut program = Self::spawn(lab, name, command)?;
        let begun = Instant::now();
        while !program.is_ready(ready) {
            if begun.elapsed() > PATIENCE {
                bail!("{name} did not serve within {} s{}", PATIENCE.as_secs(), program.last_words());
            }
            lab.rest(LOOK)?;
            program.check()?;
        }
        Ok(program)
    }

    /// Starts a command. What it says goes to a file.
    pub(crate) fn spawn(lab: &Lab, name: &str, mut command: Command) -> Result<Self> {
        let said = lab.file("said", "")?;
        let file = File::create(&said).with_context(|| format!("cannot write {}", said.display()))?;
        let other = file.try_clone().context("cannot share a file")?;
        let child =
            command.stdout(other).stderr(file).spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, said })
    }

    /// Waits until it ends by itself; `look` is called every so often meanwhile.
    pub(crate) fn wait(
        &mut self,
        lab: &Lab,
        patience: Duration,
        mut look: impl FnMut() -> Result<()>,
    ) -> Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().context("cannot watch a program")? {
                return Ok(status);
            }
            if begun.elapsed() > patience {
                bail!("{} did not end within {} s", self.name, patience.as_secs());
            }
            look()?;
            lab.rest(LOOK)?;
        }
    }

    fn is_ready(&self, ready: Ready) -> bool {
        let proc = self.proc();
        match ready {
            Ready::Word(word) => self.has_said(word),
            Ready::Port(port) => {
                // Until it has entered its namespace, the tables are this host's.
                let namespace = |proc: &Path| fs::read_link(proc.join("ns/net")).ok();
                let entered = namespace(&proc) != namespace(Path::new("/proc/self"));
                let table = |name| fs::read_to_string(proc.join("net").join(name)).unwrap_or_default();
                entered && ["udp", "udp6", "tcp", "tcp6"].map(table).iter().any(|table| is_bound(table, port))
            }
        }
    }

    fn proc(&self) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string())
    }

    /// All that it said.
    pub(crate) fn said(&self) -> String {
        fs::read(&self.said).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Whether a line that it said has this word.
    pub(crate) fn has_said(&self, word: &str) -> bool {
        self.said().lines().any(|line| line.contains(word))
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<f64> {
        let status = fs::read_to_string(self.proc().join("status")).unwrap_or_default();
        resident(&status).ok_or_else(|| anyhow!("{} has ended{}", self.name, self.last_words()))
    }

    /// How long all its threads have run so far; time that they waited for their processor is not in it.
    pub(crate) fn run_time(&self) -> Duration {
        let threads = fs::read_dir(self.proc().join("task")).into_iter().flatten().flatten();
        threads.map(|thread| run_time(&thread.path())).sum()
    }

    /// Takes its processor away: it runs when nobody else wants to, so that what it does by the clock costs the others
    /// nothing. Stopping it would interrupt its system calls, which some programs take for their end.
    pub(crate) fn pause(&self) {
        self.schedule("--idle");
    }

    /// Gives it back.
    pub(crate) fn resume(&mut self, lab: &Lab) -> Result<()> {
        self.schedule("--other");
        lab.rest(WAKING)?;
        self.check()
    }

    /// Puts all its threads into a class of the scheduler. One that has ended need not be.
    fn schedule(&self, class: &str) {
        let id = self.child.id().to_string();
        process::probe(Command::new("chrt").args([class, "--all-tasks", "--pid", "0", &id]));
    }

    /// That it still runs.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => bail!("{} ended ({status}){}", self.name, self.last_words()),
            Err(error) => bail!("{} cannot be watched: {error}", self.name),
        }
    }

    /// Its last words, to be put behind what became of it.
    pub(crate) fn last_words(&self) -> String {
        match last_line(&self.said()) {
            "" => String::from(" and said nothing"),
            words => format!("; its last words: {words}"),
        }
    }
}

impl AsMut<Self> for Program {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Its group is its own, and has what it started.
        if let Ok(id) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last line that says something, without the trace of a program that panicked.
pub(crate) fn last_line(text: &str) -> &str {
    let text = text.split("\nstack backtrace:").next().unwrap_or(text);
    let said = |line: &&str| !line.is_empty() && !line.starts_with("note: run with `RUST_BACKTRACE");
    text.lines().map(str::trim).rfind(said).unwrap_or_default()
}

/// How long a thread has run, given its directory in `/proc`; one that is gone has not.
pub(crate) fn run_time(thread: &Path) -> Duration {
    let schedstat = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
    Duration::from_nanos(schedstat.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default())
}

/// `VmRSS` of a process's status, in bytes.
fn resident(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

/// Whether a table such as `/proc/net/tcp` has a socket on this port that is connected to nobody.
fn is_bound(table: &str, port: u16) -> bool {
    table.contains(&format!(":{port:04X} 00000000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_found_in_the_kernels_table() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1B39 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20 1
   1: 0100007F:2328 0100007F:1B3A 01 00000000:00000000 00:00000000 00000000     0        0 21 1
";
        assert!(
            is_bound(table, 6969) && !is_bound(table, 9000) && !is_bound(table, 6970) && !is_bound("", 6969)
        );
    }

    #[test]
    fn memory_is_read_from_the_status() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\nRssAnon: 1 kB\n"), Some(2_097_152.0));
        assert_eq!(resident("Name:\tx\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn a_thread_that_runs_has_a_run_time() {
        let thread = Path::new("/proc/thread-self");
        let before = run_time(thread);
        while run_time(thread) == before {}
        assert!(run_time(Path::new("/proc/0")).is_zero());
    }

    #[test]
    fn last_words_are_not_blank() {
        assert_eq!([last_line("one\n two \n\n  \n"), last_line("")], ["two", ""]);
        let panic = "panicked at src/a.rs:1:2:\na port\nnote: run with `RUST_BACKTRACE=1` for\n";
        assert_eq!([last_line(panic), last_line("a port\nstack backtrace:\n  0: main\n")], ["a port"; 2]);
    }
}
