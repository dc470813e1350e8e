//! The UDP trackers that are measured: how each is configured, started on a rig of its own, filled with peers, and loaded.

use crate::bench::{
    lab::Lab,
    load::{self, Figures},
    peers::Given,
    program::{self, Program, Ready},
    rig::{Rig, SOURCES, TRACKER},
};
use anyhow::Result;
use std::{
    ffi::OsString,
    fmt,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

/// Shares of connects, announces and scrapes: the usual mix.
pub(crate) const MIX: &str = "50:50:1";
/// In the place of a pace. What a shared host takes away for milliseconds is no tracker's loss: what lost is offered again.
pub(crate) const SEARCH: &str = "--search --search-tries 2 --search-from";
/// The port of every tracker.
pub(crate) const PORT: u16 = 6969;
/// Its name among other nodes.
const NODE: &str = "measured";
/// Where Riptide serves its metrics, inside its namespace.
pub(crate) const METRICS: u16 = 9000;
/// The lowest rate that the load can pace.
const SLOWEST: f64 = 1_000.0;
/// A load that is late by so much hangs: one fills a slow tracker before its requests count.
pub(crate) const LATE: Duration = Duration::from_secs(330);
/// From the last counted request to the load's end: it waits for late replies, and its end is not noticed at once.
pub(crate) const AFTER: Duration = Duration::from_millis(150);

/// A program that serves UDP.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tracker {
    /// Riptide, XDP in the driver.
    Native,
    /// Riptide without XDP, its interface polled.
    Sockets,
    /// Does nothing but send replies of so many payload bytes by `AF_XDP`.
    EchoXsk(f64),
    /// Does nothing but send replies, announces with so many payload bytes, by `sendmmsg`.
    EchoSockets(f64),
    /// Another tracker.
    Other(Given),
}

/// What a tracker is started for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Purpose {
    /// Who will announce.
    pub(crate) population: Population,
    /// When a peer is forgotten, seconds.
    pub(crate) peer_timeout: u64,
    /// How long Riptide takes for a round of expiry, seconds.
    pub(crate) sweep: u64,
    /// Whether Riptide saves what it has, over and over.
    pub(crate) saves: bool,
    /// Announces and scrapes a second that Riptide lets a client make; 0: as many as it likes.
    pub(crate) limit: u32,
    /// The NATS server by which Riptide is a node of a cluster.
    pub(crate) cluster: Option<&'static str>,
}

impl Purpose {
    /// Nobody is forgotten in four hours: no peer that a figure counts on.
    pub(crate) const USUAL: Self = Self {
        population: Population::USUAL,
        peer_timeout: 4 * 3600,
        sweep: 60,
        saves: false,
        limit: 0,
        cluster: None,
    };
}

/// Who announces what: torrents, peers, and a number in which populations differ that have no torrent in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Population {
    pub(crate) torrents: u64,
    pub(crate) peers: u64,
    pub(crate) seed: u64,
}

impl Population {
    /// A million torrents, two million peers.
    pub(crate) const USUAL: Self = Self { torrents: 1_000_000, peers: 2_000_000, seed: 1 };
}

impl fmt::Display for Population {
    /// As `riptide-load` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { torrents, peers, seed } = self;
        write!(f, "--torrents {torrents} --peers {peers} --seed {seed}")
    }
}

impl Tracker {
    /// Its name in reports.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Native => "Riptide, XDP native".to_owned(),
            Self::Sockets => "Riptide, sockets".to_owned(),
            Self::EchoXsk(_) => "do-nothing AF_XDP echo".to_owned(),
            Self::EchoSockets(_) => "do-nothing recvmmsg/sendmmsg echo".to_owned(),
            Self::Other(given) => given.name(),
        }
    }

    /// Announces a second that it is expected to take while it gets to know its peers. One that takes less is filled
    /// more slowly.
    pub(crate) fn fill(&self) -> f64 {
        match self {
            Self::Native | Self::EchoXsk(_) => 350_000.0,
            Self::Sockets | Self::EchoSockets(_) => 110_000.0,
            Self::Other(_) => 90_000.0,
        }
    }

    /// Where it is, its configuration written, and how it is called.
    fn call(&self, lab: &Lab, rig: &Rig, purpose: &Purpose) -> Result<(PathBuf, Vec<OsString>, Ready)> {
        let interface = &rig.tracker_interface;
        let words = |line: String| line.split(' ').map(OsString::from).collect();
        Ok(match self {
            Self::Native | Self::Sockets => {
                let xdp = if *self == Self::Native { "native" } else { "off" };
                let (state, Purpose { peer_timeout, sweep, saves, limit, cluster, .. }) =
                    (lab.scratch().join("state"), purpose);
                let control = lab.scratch().join(format!("{}-control.sock", lab.number()));
                // What one round leaves is nothing to the next.
                let save = if *saves { "save_interval = \"1s\"" } else { "swarms = false" };
                let cluster = cluster.map_or_else(String::new, |server| {
                    format!("[cluster]\nservers = [{server:?}]\nnode = {NODE:?}\n")
                });
                let text = format!(
                    "[http]\nlisten = []\n[control]\nlisten = {control:?}\n[metrics]\nlisten = \"127.0.0.1:{METRICS}\"\n[state]\ndirectory = {state:?}\n{save}\n\
                     [limits]\nudp_requests_per_second = {limit}\n[swarm]\nmax_interval = \"30m\"\npeer_timeout = \"{peer_timeout}s\"\nsweep_interval = \"{sweep}s\"\n{cluster}"
                );
                let file = lab.file("riptide.toml", &text)?;
                let line = format!(
                    "run --config {} --workers 1 --udp 0.0.0.0:{PORT} --interface {interface} --xdp {xdp}",
                    file.display()
                );
                (lab.binary("riptide"), words(line), Ready::Word("ready"))
            }
            Self::EchoXsk(reply) | Self::EchoSockets(reply) => {
                let name = if matches!(self, Self::EchoXsk(_)) { "nothing_xsk" } else { "nothing_udp" };
                (lab.example(name), words(format!("{interface} {PORT} {reply:.0}")), Ready::Word("ready"))
            }
            Self::Other(given) => {
                // A round of cleaning all at once would be paid for by whoever is measured then.
                let age = i64::try_from(purpose.peer_timeout)?;
                let keys = [("max_peer_age", age.into()), ("torrent_cleaning_interval", age.into())];
                let values = [&keys[..], &[("use_io_uring", true.into())]].concat();
                let text = given.configuration(&format!("0.0.0.0:{PORT}"), &values)?;
                let file = lab.file("aquatic.toml", &text)?;
                (given.path.clone(), vec!["-c".into(), file.into()], Ready::Port(PORT))
            }
        })
    }

    /// Starts it on a rig of its own, on the tracker's processor.
    pub(crate) fn start(&self, lab: &Lab, purpose: &Purpose) -> Result<Running> {
        self.start_on(lab, Rig::lay(lab)?, purpose)
    }

    /// Starts it on this rig.
    pub(crate) fn start_on(&self, lab: &Lab, rig: Rig, purpose: &Purpose) -> Result<Running> {
        let (path, arguments, ready) = self.call(lab, &rig, purpose)?;
        let mut command = rig.tracker.command(lab.cpus.tracker, &path);
        command.args(&arguments);
        let program = Program::start(lab, &self.name(), command, ready)?;
        let receiver = rig.pin_receiver(lab.cpus.tracker)?;
        Ok(Running { program, receiver, rig, fill: self.fill(), found: Vec::new(), call: (path, arguments) })
    }
}

/// A tracker that serves on a rig of its own.
#[derive(Debug)]
pub(crate) struct Running {
    // Ends before its network does.
    /// The tracker.
    pub(crate) program: Program,
    /// The kernel's thread that receives for it, in `/proc`.
    receiver: PathBuf,
    /// Its network.
    pub(crate) rig: Rig,
    /// As [`Tracker::fill`] says.
    pub(crate) fill: f64,
    /// The rates that it served in searches of some mix, and whether it was the load that could not send more.
    pub(crate) found: Vec<(&'static str, f64, bool)>,
    /// Where its program is, and its arguments.
    call: (PathBuf, Vec<OsString>),
}

impl AsMut<Program> for Running {
    fn as_mut(&mut self) -> &mut Program {
        &mut self.program
    }
}

impl Running {
    /// How long the tracker, and the thread that receives for it, have run.
    pub(crate) fn run_time(&self) -> Duration {
        self.program.run_time() + program::run_time(&self.receiver)
    }

    /// Starts another process of it that takes over; it serves once it has said "ready".
    pub(crate) fn succeed(&self, lab: &Lab) -> Result<Program> {
        let (path, arguments) = &self.call;
        let mut command = self.rig.tracker.command(lab.cpus.tracker, path);
        command.args(arguments).arg("--take-over");
        Program::spawn(lab, "the process that takes over", command)
    }

    /// A load on it, by these options of `riptide-load udp`, that counts requests for so long.
    pub(crate) fn load(&self, lab: &Lab, options: &str, duration: Duration) -> Command {
        let mut command = self.rig.load.command(lab.cpus.load, &lab.binary("riptide-load"));
        let (interface, cpu) = (&self.rig.load_interface, lab.cpus.tracker);
        let line = format!(
            "udp --engine kernel --interface {interface} --target {TRACKER}:{PORT} --sources {SOURCES} --watch-cpu {cpu} \
             --duration {}ms {options}",
            duration.as_millis()
        );
        command.args(line.split(' '));
        command
    }

    /// Puts a load on it, by these options of `riptide-load udp`, that counts requests for so long; `look` is called every
    /// so often meanwhile.
    pub(crate) fn watch(
        &mut self,
        lab: &Lab,
        options: &str,
        duration: Duration,
        mut look: impl FnMut(&Self) -> Result<()>,
    ) -> Result<Figures> {
        let command = self.load(lab, options, duration);
        let mut samples = Vec::new();
        let figures = load::watch(lab, command, duration + LATE, || {
            samples.push((Instant::now(), self.run_time()));
            look(self)
        });
        let end = Instant::now();
        // What the load says of a tracker that is gone is less than why it went.
        self.program.check()?;
        let mut figures = figures?;
        figures.cpu_seconds_per_million = share(&samples, end - AFTER, duration)
            .filter(|_| figures.answered_per_second > 0.0)
            .map(|share| share / figures.answered_per_second * 1e6);
        Ok(figures)
    }

    /// The same without looking.
    pub(crate) fn run(&mut self, lab: &Lab, options: &str, duration: Duration) -> Result<Figures> {
        self.watch(lab, options, duration, |_| Ok(()))
    }

    /// Has every peer of a population announce until nearly all have got an answer. Each pass misses others: what the load
    /// was too late for, and what was lost on the way. Returns the share that has.
    pub(crate) fn fill(&mut self, lab: &Lab, population: Population) -> Result<f64> {
        let (mut rate, mut missing) = (self.fill, 1.0);
        for _ in 0..5 {
            let options = format!("--mix 0:1:0 --rate {SLOWEST} --warmup 0s --fill {rate:.0} {population}");
            let figures = self.run(lab, &options, Duration::from_millis(200))?;
            let answered = figures.more.get("filled").copied().unwrap_or_default();
            let lost = (1.0 - answered / population.peers as f64).clamp(0.0, 1.0);
            missing *= lost;
            if missing < 0.01 {
                break;
            }
            if lost > 0.1 {
                rate *= 0.7;
            }
        }
        Ok(1.0 - missing)
    }
}

/// The share of a processor that was run between samples of run time, in the last part of a load that ended then.
fn share(samples: &[(Instant, Duration)], end: Instant, length: Duration) -> Option<f64> {
    let counted = |(at, _): &&(Instant, Duration)| *at <= end && end - *at <= length;
    let (first, last) = (samples.iter().find(counted)?, samples.iter().rfind(counted)?);
    let time = (last.0 - first.0).as_secs_f64();
    (time > 0.0).then(|| (last.1.saturating_sub(first.1)).as_secs_f64() / time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_time_counts_while_requests_do() {
        let begin = Instant::now();
        // Connection IDs and the warm-up cost a tenth of a core, the counted seconds half of it.
        let run = |tenths: u64| Duration::from_millis(tenths * 10 + tenths.saturating_sub(20) * 40);
        let samples: Vec<_> =
            (0..50).map(|tenths| (begin + Duration::from_millis(tenths * 100), run(tenths))).collect();
        let share = share(&samples, begin + Duration::from_secs(4), Duration::from_secs(2)).unwrap();
        assert!((share - 0.5).abs() < 1e-9, "{share}");
        assert_eq!(super::share(&samples[..1], begin, Duration::from_secs(2)), None);
    }
}
