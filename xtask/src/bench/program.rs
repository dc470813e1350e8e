//! A program under test: started on its processors, watched, paused while others are measured, and ended.

use crate::{bench::Lab, process};
use anyhow::{Context, Result, anyhow, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

/// How long a program may take until it serves: one that reads a list of a million hashes needs a while.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a program that starts is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// After a pause: time for what a program has put off.
const WAKING: Duration = Duration::from_millis(300);

/// When a program serves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ready {
    /// It has bound this UDP port.
    Udp(u16),
    /// It listens on this TCP port.
    Tcp(u16),
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
    /// Starts a command that [`crate::bench::rig::Namespace::command`] made, and waits until it serves. What it says
    /// goes to a file.
    ///
    /// # Errors
    /// It ended or never served: one line with its last words.
    pub(crate) fn start(lab: &Lab, name: &str, command: Command, ready: Ready) -> Result<Self> {
        let mut program = Self::spawn(lab, name, command)?;
        let begun = Instant::now();
        loop {
            lab.rest(LOOK)?;
            program.check()?;
            if program.is_ready(ready) {
                return Ok(program);
            }
            if begun.elapsed() > PATIENCE {
                bail!("{name} did not serve within {} s{}", PATIENCE.as_secs(), program.last_words());
            }
        }
    }

    fn spawn(lab: &Lab, name: &str, mut command: Command) -> Result<Self> {
        let said = lab.scratch().join(format!("said-{}", lab.number()));
        let file = File::create(&said).with_context(|| format!("cannot write {}", said.display()))?;
        let other = file.try_clone().context("cannot share a file")?;
        let child =
            command.stdout(other).stderr(file).spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, said })
    }

    fn is_ready(&self, ready: Ready) -> bool {
        let proc = self.proc();
        let sockets = |table: &str| {
            // Until it has entered its namespace, the table is this host's.
            let namespace = |proc: &Path| fs::read_link(proc.join("ns/net")).ok();
            if namespace(&proc) == namespace(Path::new("/proc/self")) {
                return String::new();
            }
            fs::read_to_string(proc.join("net").join(table)).unwrap_or_default()
        };
        match ready {
            Ready::Udp(port) => ["udp", "udp6"].iter().any(|table| is_bound(&sockets(table), port)),
            Ready::Tcp(port) => ["tcp", "tcp6"].iter().any(|table| is_listening(&sockets(table), port)),
            Ready::Word(word) => self.said().lines().any(|line| line.contains(word)),
        }
    }

    /// Its name in reports.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn proc(&self) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string())
    }

    /// All that it said.
    pub(crate) fn said(&self) -> String {
        fs::read(&self.said).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<f64> {
        let status = fs::read_to_string(self.proc().join("status"))
            .with_context(|| format!("cannot read the memory of {}", self.name))?;
        resident(&status).ok_or_else(|| anyhow!("{} has ended{}", self.name, self.last_words()))
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
    fn last_words(&self) -> String {
        match last_words(&self.said()).as_str() {
            "" => String::from(" and said nothing"),
            words => format!("; its last words: {words}"),
        }
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

/// Runs a command that [`crate::bench::rig::Namespace::command`] made to its end, and returns what it printed.
///
/// # Errors
/// It failed, or did not end in time: one line with its last words.
pub(crate) fn output(lab: &Lab, name: &str, command: Command, patience: Duration) -> Result<String> {
    let mut program = Program::spawn(lab, name, command)?;
    let begun = Instant::now();
    loop {
        lab.rest(LOOK)?;
        match program.child.try_wait() {
            Ok(None) if begun.elapsed() < patience => {}
            Ok(Some(status)) if status.success() => return Ok(program.said()),
            Ok(None) => bail!("{name} did not end within {} s", patience.as_secs()),
            _ => {
                program.check()?;
                bail!("{name} cannot be watched");
            }
        }
    }
}

/// The last line, or of a program that panicked, where and why it did instead of the trace behind that.
fn last_words(text: &str) -> String {
    let mut lines = text.lines();
    match lines.by_ref().filter(|line| line.contains(" panicked at ")).last() {
        Some(place) => {
            let why = text
                .rsplit(place)
                .next()
                .and_then(|rest| rest.lines().map(str::trim).find(|line| !line.is_empty()));
            format!("{} {}", place.trim(), why.unwrap_or_default())
        }
        None => last_line(text).to_owned(),
    }
}

/// The last line that says something.
pub(crate) fn last_line(text: &str) -> &str {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

/// `VmRSS` of a process's status, in bytes.
fn resident(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

/// Whether a table such as `/proc/net/udp` has a socket on this port.
fn is_bound(table: &str, port: u16) -> bool {
    sockets(table).any(|(local, _)| local == port)
}

/// Whether a table such as `/proc/net/tcp` has a listener on this port.
fn is_listening(table: &str, port: u16) -> bool {
    const LISTEN: &str = "0A";
    sockets(table).any(|(local, state)| local == port && state == LISTEN)
}

/// Local ports and states.
fn sockets(table: &str) -> impl Iterator<Item = (u16, &str)> {
    table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (_, port) = fields.next()?.rsplit_once(':')?;
        Some((u16::from_str_radix(port, 16).ok()?, fields.nth(1)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1B39 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20 1
   1: 0100007F:2328 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 21 1
";

    #[test]
    fn sockets_are_found_in_the_kernels_table() {
        assert!(is_bound(TABLE, 6969) && is_bound(TABLE, 9000) && !is_bound(TABLE, 80));
        assert!(is_listening(TABLE, 6969) && !is_listening(TABLE, 9000));
        assert!(!is_bound("", 6969));
    }

    #[test]
    fn memory_is_read_from_the_status() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\nRssAnon: 1 kB\n"), Some(2_097_152.0));
        assert_eq!(resident("Name:\tx\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn last_words_are_not_blank() {
        assert_eq!(last_line("one\n two \n\n  \n"), "two");
        assert_eq!(last_line(""), "");
        assert_eq!(last_words("one\ntwo\n"), "two");
        let panic = "hello\nthread 'main' (7) panicked at src/a.rs:1:2:\na port\nstack backtrace:\n  0: main\nnote: more\n";
        assert_eq!(last_words(panic), "thread 'main' (7) panicked at src/a.rs:1:2: a port");
    }
}
