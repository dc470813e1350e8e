//! `cargo xtask bench`: Riptide and other trackers measured side by side on one rig, as ratios with floors and goals.

mod aims;
mod chart;
mod engine;
mod housekeeping;
mod http;
mod load;
mod origin;
mod page;
mod peers;
mod program;
mod progress;
mod report;
mod rig;
mod stolen;
mod table;
mod tracker;
mod turns;
mod udp;
mod ws;

use crate::{apt, build_ebpf, machine, pins, process, run, say};
use anyhow::{Context, Result, bail};
use housekeeping::Housekeeping;
use peers::{Peer, Peers};
use progress::{Plan, Progress};
use report::Report;
use rig::Cpus;
use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    env,
    ffi::OsString,
    fmt, fs,
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// What `bench` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to measure; without any, everything (with --quick, all but soak)
    #[arg(value_enum, value_name = "SUBJECT")]
    subjects: Vec<Subject>,
    /// Another tracker to measure beside Riptide: aquatic_udp, aquatic_http, aquatic_ws or opentracker, and its program
    #[arg(long = "peer", value_name = "NAME=PATH", value_parser = peers::parse)]
    peers: Vec<(Peer, PathBuf)>,
    /// Short probes and one search a program: for a look, not for the record
    #[arg(long)]
    quick: bool,
    /// How long soak lasts
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_440))]
    minutes: u64,
    /// Write docs/benchmarks.md and its chart as well, from this run and what earlier ones of the same commit add
    #[arg(long, conflicts_with = "quick")]
    write_docs: bool,
    /// All is built, and this is root
    #[arg(long, hide = true)]
    built: bool,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Subject {
    /// UDP, by path, beside other trackers and a do-nothing echo; growth; expiry
    Udp,
    /// HTTP, beside another tracker and a do-nothing route
    Http,
    /// WebTorrent, beside another tracker and a do-nothing echo
    Ws,
    /// The swarm engine by itself
    Engine,
    /// UDP for a long time, with churn and expiry: whether memory, loss and latency stay flat
    Soak,
}

impl Subject {
    const ALL: [Self; 5] = [Self::Udp, Self::Soak, Self::Http, Self::Ws, Self::Engine];

    const fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Http => "http",
            Self::Ws => "ws",
            Self::Engine => "engine",
            Self::Soak => "soak",
        }
    }

    /// Whether it is measured in network namespaces, which takes root.
    fn is_rigged(self) -> bool {
        self != Self::Engine
    }
}

impl Arguments {
    /// What to measure, each once.
    fn subjects(&self) -> Vec<Subject> {
        let asked = |subject: &Subject| match self.subjects.as_slice() {
            [] => *subject != Subject::Soak || !self.quick,
            some => some.contains(subject),
        };
        Subject::ALL.into_iter().filter(asked).collect()
    }

    /// Names the results: the subjects, or `bench` for all. Those of a quick look never replace the others.
    fn name(&self) -> String {
        let labels: Vec<&str> = self.subjects().into_iter().map(Subject::label).collect();
        let name = if self.subjects.is_empty() { "bench".to_owned() } else { labels.join("-") };
        if self.quick { format!("{name}-quick") } else { name }
    }
}

/// Somebody ended the bench before its end.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl Interrupted {
    /// What a shell makes of a command that Ctrl-C ended.
    pub(crate) const EXIT_STATUS: u8 = 130;
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted: the rig is taken down, nothing is left running")
    }
}

impl std::error::Error for Interrupted {}

/// Builds as whoever called, measures as root.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let subjects = arguments.subjects();
    let rigged = subjects.iter().any(|subject| subject.is_rigged());
    let cpus = Cpus::inherited()?;
    if !arguments.built {
        if rigged && !machine::is_root() && machine::find_program("sudo").is_none() {
            bail!(
                "bench needs root for its network namespaces and sudo is not here: run this command as root"
            );
        }
        if rigged {
            apt::ensure(pins::BENCH_PACKAGES, "the network of the bench")?;
        }
        build(&subjects, arguments.quick)?;
        if rigged && !machine::is_root() {
            become_root()?;
        }
    }
    measure(arguments, &subjects, cpus)
}

/// Builds what is measured, and what it is measured with.
fn build(subjects: &[Subject], quick: bool) -> Result<()> {
    build_ebpf::run(&build_ebpf::Arguments::default())?;
    run::build_riptide()?;
    if subjects.iter().any(|subject| subject.is_rigged()) {
        say::step("building what does nothing, to compare with");
        let mut examples = process::cargo();
        examples.args(["build", "--release", "--package", "tracker-user", "--examples"]);
        process::run(examples.arg("--target-dir").arg(machine::target_dir()))?;
    }
    if subjects.contains(&Subject::Engine) {
        engine::prepare(quick)?;
    }
    Ok(())
}

/// Becomes this program again, as root. What cargo told it goes along, and its signals and exit status are its own.
fn become_root() -> Result<Infallible> {
    let program = env::current_exe().context("cannot tell which program this is")?;
    say::step("measuring through sudo: network namespaces need root");
    let mut sudo = Command::new("sudo");
    sudo.arg("env");
    for name in ["CARGO_MANIFEST_DIR", "CARGO_TARGET_DIR"] {
        if let Some(value) = env::var_os(name) {
            let mut variable = OsString::from(name);
            variable.push("=");
            variable.push(value);
            sudo.arg(variable);
        }
    }
    sudo.arg(program).args(env::args_os().skip(1)).arg("--built");
    let error = sudo.exec();
    bail!("cannot start sudo: {error}")
}

/// What was typed, as cargo takes it.
fn command_line(arguments: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = arguments.filter(|word| word != "--built").collect();
    format!("cargo xtask {}", words.join(" "))
}

fn measure(arguments: &Arguments, subjects: &[Subject], cpus: Cpus) -> Result<()> {
    let typed = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    // The machine is described before this process gives up a processor.
    let mut report = Report::new(&arguments.name(), &command_line(typed), arguments.quick);
    let lab = Lab::open(arguments, cpus)?;
    let mut plan = Plan::default();
    for subject in subjects {
        plan += match subject {
            Subject::Udp => udp::plan(&lab),
            Subject::Http => http::plan(&lab),
            Subject::Ws => ws::plan(&lab),
            Subject::Engine => engine::plan(&lab),
            Subject::Soak => udp::plan_soak(&lab),
        };
    }
    lab.progress.announce(plan);
    for subject in subjects {
        let done = match subject {
            Subject::Udp => udp::measure(&lab, &mut report),
            Subject::Http => http::measure(&lab, &mut report),
            Subject::Ws => ws::measure(&lab, &mut report),
            Subject::Engine => engine::measure(&lab, &mut report),
            Subject::Soak => udp::soak(&lab, &mut report),
        };
        if let Err(error) = done {
            let reason = lab.failed(subject.label(), error)?;
            report.complete(&[subject.label()], &reason);
        }
    }
    let labels: Vec<&str> = subjects.iter().map(|subject| subject.label()).collect();
    report.complete(&labels, "was not measured");
    tell(&report)?;
    if arguments.write_docs {
        report.supplement_from_disk();
        let [page, picture] = page::write(&report)?;
        say::step(&format!("written: {} and {}", page.display(), picture.display()));
    }
    lab.verdict()
}

/// Writes the results and prints the table.
fn tell(report: &Report) -> Result<()> {
    let json = report.write()?;
    let svg = json.with_extension("svg");
    report::write_whole(&svg, chart::svg(report).as_bytes())?;
    let mut out = io::stdout().lock();
    match out.write_all(table::text(report).as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(error).context("cannot write the table to standard output");
        }
        _ => {}
    }
    say::step(&format!("written: {} and {}", json.display(), svg.display()));
    Ok(())
}

/// What every measurement works with.
#[derive(Debug)]
pub(crate) struct Lab {
    /// Short probes.
    pub(crate) quick: bool,
    /// Who works where.
    pub(crate) cpus: Cpus,
    /// Other trackers.
    pub(crate) peers: Peers,
    /// Numbered lines.
    pub(crate) progress: Progress,
    /// How long soak lasts.
    pub(crate) soak: Duration,
    _housekeeping: Housekeeping,
    scratch: Scratch,
    interrupted: Arc<AtomicBool>,
    numbers: Cell<u32>,
    failures: RefCell<Vec<String>>,
}

impl Lab {
    /// How often everything that waits looks whether it was interrupted.
    const LOOK: Duration = Duration::from_millis(20);

    /// Clears away what killed benches left, and takes care of signals from here on.
    fn open(arguments: &Arguments, cpus: Cpus) -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
        {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))
                .context("cannot take care of signals")?;
        }
        rig::sweep();
        let scratch = Scratch::new()?;
        cpus.stay_with_load()?;
        Ok(Self {
            quick: arguments.quick,
            cpus,
            peers: Peers::new(&arguments.peers),
            progress: Progress::default(),
            soak: Duration::from_secs(arguments.minutes * 60),
            _housekeeping: Housekeeping::keep_to(cpus.load),
            scratch,
            interrupted,
            numbers: Cell::new(0),
            failures: RefCell::default(),
        })
    }

    /// That nobody has ended the bench.
    ///
    /// # Errors
    /// [`Interrupted`].
    pub(crate) fn check(&self) -> Result<()> {
        if self.interrupted.load(Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
    }

    /// Waits so long.
    ///
    /// # Errors
    /// [`Interrupted`], at once.
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

    /// One or the other.
    pub(crate) fn choose<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// A number that was not given before.
    pub(crate) fn number(&self) -> u32 {
        self.numbers.replace(self.numbers.get() + 1)
    }

    /// A directory for files, gone with the bench.
    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch.0
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
    /// reason, for the note of a row.
    ///
    /// # Errors
    /// [`Interrupted`] is no failure of what was measured: it is handed on.
    pub(crate) fn failed(&self, what: &str, error: anyhow::Error) -> Result<String> {
        if error.is::<Interrupted>() {
            return Err(error);
        }
        let reason = format!("{error:#}");
        say::step(&format!("error: {what}: {reason}"));
        self.failures.borrow_mut().push(what.to_owned());
        Ok(reason)
    }

    /// Whether all went well.
    fn verdict(&self) -> Result<()> {
        let failures = self.failures.borrow();
        if !failures.is_empty() {
            bail!("not everything could be measured: {}; the reasons are above", failures.join(", "));
        }
        Ok(())
    }
}

/// A directory of this process, removed when dropped.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    /// What its name begins with; the owner's process ID follows.
    const PREFIX: &str = "riptide-bench-";

    fn new() -> Result<Self> {
        Self::sweep();
        let path = env::temp_dir().join(format!("{}{}", Self::PREFIX, std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Removes those of processes that are gone.
    fn sweep() {
        let Ok(entries) = fs::read_dir(env::temp_dir()) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = name.strip_prefix(Self::PREFIX).and_then(|pid| pid.parse::<u32>().ok());
            if owner.is_some_and(|owner| !Path::new("/proc").join(owner.to_string()).exists()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: Arguments,
    }

    fn parse(line: &str) -> Arguments {
        Line::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{error}")).bench
    }

    #[test]
    fn without_subjects_everything_is_measured() {
        assert_eq!(parse("bench").subjects(), Subject::ALL);
        let quick = parse("bench --quick").subjects();
        assert!(!quick.contains(&Subject::Soak) && quick.len() == Subject::ALL.len() - 1);
        assert_eq!(parse("bench http udp http").subjects(), [Subject::Udp, Subject::Http]);
        assert_eq!(parse("bench soak --quick").subjects(), [Subject::Soak]);
    }

    #[test]
    fn a_quick_look_has_files_of_its_own() {
        let name = |line| parse(line).name();
        assert_eq!(name("bench"), "bench");
        assert_eq!(name("bench --quick"), "bench-quick");
        assert_eq!(name("bench udp"), "udp");
        assert_eq!(name("bench ws http --quick"), "http-ws-quick");
    }

    #[test]
    fn only_the_engine_needs_no_root() {
        let needs: Vec<_> = Subject::ALL.into_iter().filter(|subject| !subject.is_rigged()).collect();
        assert_eq!(needs, [Subject::Engine]);
    }

    #[test]
    fn the_command_is_told_as_it_was_typed() {
        let words = ["bench", "udp", "--peer", "opentracker=/bin/sh", "--built"].map(String::from);
        assert_eq!(command_line(words.into_iter()), "cargo xtask bench udp --peer opentracker=/bin/sh");
    }

    fn lab() -> Lab {
        Lab {
            quick: false,
            cpus: Cpus { load: 0, tracker: 1 },
            peers: Peers::default(),
            progress: Progress::default(),
            soak: Duration::ZERO,
            _housekeeping: Housekeeping::default(),
            scratch: Scratch(PathBuf::from("/nonexistent/riptide-bench")),
            interrupted: Arc::default(),
            numbers: Cell::default(),
            failures: RefCell::default(),
        }
    }

    #[test]
    fn an_interrupt_ends_waits_and_is_no_failure() {
        let lab = lab();
        assert!(lab.verdict().is_ok());
        assert_eq!(lab.failed("x", anyhow::anyhow!("its reason")).unwrap(), "its reason");
        lab.interrupted.store(true, Relaxed);
        let error = lab.rest(Duration::from_secs(3_600)).unwrap_err();
        assert!(error.is::<Interrupted>());
        assert!(lab.failed("y", error.context("while it ran")).unwrap_err().is::<Interrupted>());
        let verdict = lab.verdict().unwrap_err().to_string();
        assert!(verdict.contains(": x;"), "{verdict}");
    }

    #[test]
    fn numbers_are_given_once() {
        let lab = lab();
        assert_eq!([lab.number(), lab.number(), lab.number()], [0, 1, 2]);
    }

    #[test]
    fn a_scratch_directory_goes_with_its_owner() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.0.clone();
        assert!(path.is_dir());
        Scratch::sweep();
        assert!(path.is_dir(), "its owner lives");
        drop(scratch);
        assert!(!path.exists());
    }
}
