//! The UDP trackers that are measured, and how each is configured and started on a rig.

use crate::bench::{
    Lab,
    load::{Figures, Pace, Population, Udp},
    peers::Peer,
    program::{Program, Ready},
    rig::{Rig, SOURCES, TRACKER},
};
use anyhow::{Context, Result, anyhow};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// The port of every tracker.
const PORT: u16 = 6969;
/// Where Riptide serves its metrics, inside its namespace.
pub(crate) const METRICS: u16 = 9000;
/// Shorter than every stop between measurements: no peer is forgotten that a figure counts on.
const LIFETIME: Duration = Duration::from_secs(4 * 3600);
/// How long Riptide takes for a round of expiry unless told otherwise.
pub(crate) const SWEEP: Duration = Duration::from_secs(60);

/// A program that serves UDP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tracker {
    /// Riptide, XDP in the driver.
    Native,
    /// Riptide, XDP behind the driver.
    Generic,
    /// Riptide without XDP.
    Sockets,
    /// An `AF_XDP` echo that does nothing but send replies of so many payload bytes.
    Echo(f64),
    /// aquatic_udp by `io_uring`.
    AquaticUring,
    /// aquatic_udp by mio.
    AquaticMio,
    /// opentracker.
    Opentracker,
}

/// What a tracker is started for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Purpose {
    /// Who will announce.
    pub(crate) population: Population,
    /// Worker threads; the second and each further one works on the load's processor.
    pub(crate) workers: usize,
    /// When a peer is forgotten.
    pub(crate) peer_timeout: Duration,
    /// How long a round of expiry takes; Riptide only.
    pub(crate) sweep: Duration,
}

impl Purpose {
    /// One worker that forgets nobody.
    pub(crate) fn of(population: Population) -> Self {
        Self { population, workers: 1, peer_timeout: LIFETIME, sweep: SWEEP }
    }
}

impl Tracker {
    /// Those that are measured with more workers, too.
    pub(crate) const BY_WORKERS: [Self; 2] = [Self::Native, Self::Sockets];

    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "Riptide, XDP native",
            Self::Generic => "Riptide, XDP generic",
            Self::Sockets => "Riptide, sockets",
            Self::Echo(_) => "do-nothing AF_XDP echo",
            Self::AquaticUring => "aquatic_udp io_uring",
            Self::AquaticMio => "aquatic_udp mio",
            Self::Opentracker => "opentracker",
        }
    }

    /// Whether a row of the table is about it. The others are told beside.
    pub(crate) fn has_row(self) -> bool {
        !matches!(self, Self::Generic | Self::AquaticMio | Self::Opentracker)
    }

    /// Whose program it is, if not ours.
    pub(crate) fn peer(self) -> Option<Peer> {
        match self {
            Self::AquaticUring | Self::AquaticMio => Some(Peer::AquaticUdp),
            Self::Opentracker => Some(Peer::Opentracker),
            Self::Native | Self::Generic | Self::Sockets | Self::Echo(_) => None,
        }
    }

    /// Announces a second that it is expected to take while it gets to know its peers. One that takes less is filled
    /// more slowly.
    pub(crate) fn fill(self) -> f64 {
        match self {
            Self::Native | Self::Echo(_) => 350_000.0,
            Self::Generic => 200_000.0,
            Self::Sockets => 110_000.0,
            Self::AquaticUring => 90_000.0,
            Self::AquaticMio => 55_000.0,
            Self::Opentracker => 33_000.0,
        }
    }

    /// Where it is, its configuration written, and how it is called.
    fn call(self, lab: &Lab, rig: &Rig, purpose: &Purpose) -> Result<Call> {
        let peer = |peer| lab.peers.path(peer).map(Path::to_path_buf).map_err(|why| anyhow!("{why}"));
        let directory = lab.scratch().join(format!("tracker-{}", lab.number()));
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let configuration = directory.join("configuration.toml");
        let write = |text: &str| {
            fs::write(&configuration, text)
                .with_context(|| format!("cannot write {}", configuration.display()))
        };
        let xdp = |mode| ["--interface", rig.tracker_interface(), "--xdp", mode].map(OsString::from).to_vec();
        match self {
            Self::Native | Self::Generic | Self::Sockets => {
                write(&riptide(purpose, &directory))?;
                let mut arguments = vec!["run".into(), "--config".into(), configuration.clone().into()];
                arguments.extend(["--workers".into(), purpose.workers.to_string().into()]);
                arguments.extend(["--udp".into(), format!("0.0.0.0:{PORT}").into()]);
                arguments.extend(match self {
                    Self::Native => xdp("native"),
                    Self::Generic => xdp("generic"),
                    _ => xdp("off"),
                });
                Ok(Call { program: lab.binary("riptide"), arguments, ready: Ready::Word("ready") })
            }
            Self::Echo(reply) => {
                let interface = rig.tracker_interface().to_owned();
                let arguments =
                    [interface, PORT.to_string(), format!("{reply:.0}")].map(OsString::from).to_vec();
                Ok(Call { program: lab.example("nothing_xsk"), arguments, ready: Ready::Word("ready") })
            }
            Self::AquaticUring | Self::AquaticMio => {
                let program = peer(Peer::AquaticUdp)?;
                let default = crate::process::probe(Command::new(&program).arg("-p")).unwrap_or_default();
                write(&aquatic(self == Self::AquaticUring, &default, purpose))?;
                let arguments = vec!["-c".into(), configuration.clone().into()];
                Ok(Call { program, arguments, ready: Ready::Udp(PORT) })
            }
            Self::Opentracker => {
                let program = peer(Peer::Opentracker)?;
                let list = directory.join("hashes");
                write_hashes(lab, purpose.population, &list)?;
                let port = PORT.to_string();
                let mut arguments: Vec<OsString> =
                    ["-i", TRACKER, "-p", &port, "-P", &port].map(OsString::from).to_vec();
                // It leaves root for another user and looks for its list in this directory.
                arguments.extend(["-d".into(), directory.clone().into(), "-w".into(), "hashes".into()]);
                Ok(Call { program, arguments, ready: Ready::Udp(PORT) })
            }
        }
    }

    /// Starts it on a rig, on the tracker's processor.
    ///
    /// # Errors
    /// One line: what became of it.
    pub(crate) fn start(self, lab: &Lab, rig: Rig, purpose: &Purpose) -> Result<Running> {
        let call = self.call(lab, &rig, purpose)?;
        let mut cpus = vec![lab.cpus.tracker];
        if purpose.workers > 1 {
            cpus.push(lab.cpus.load);
        }
        let mut command = rig.tracker.command(&cpus, &call.program);
        command.args(&call.arguments);
        let program = Program::start(lab, self.name(), command, call.ready)?;
        rig.pin_receiver(&cpus)?;
        Ok(Running { program, rig, population: purpose.population })
    }
}

/// How a program is called, and when it serves.
struct Call {
    program: PathBuf,
    arguments: Vec<OsString>,
    ready: Ready,
}

/// A tracker that serves on a rig of its own.
#[derive(Debug)]
pub(crate) struct Running {
    // Ends before its network does.
    /// The tracker.
    pub(crate) program: Program,
    /// Its network.
    pub(crate) rig: Rig,
    /// Who announces to it.
    pub(crate) population: Population,
}

impl Running {
    /// The command of a load on it.
    pub(crate) fn load(&self, lab: &Lab, load: &Udp) -> Command {
        let mut command = self.rig.load.command(&[lab.cpus.load], &lab.binary("riptide-load"));
        command.args(["udp", "--engine", "kernel", "--interface", self.rig.load_interface()]);
        command.args(["--target", &format!("{TRACKER}:{PORT}"), "--sources", SOURCES]);
        command.args(["--watch-cpu", &lab.cpus.tracker.to_string()]).args(load.arguments());
        command
    }

    /// Puts a load on it.
    pub(crate) fn run(&mut self, lab: &Lab, load: &Udp) -> Result<Figures> {
        let figures = crate::bench::load::run(lab, self.load(lab, load), load.deadline());
        // What the load says of a tracker that is gone is less than why it went.
        self.program.check()?;
        figures
    }

    /// Has every peer of a population announce, as fast as the tracker takes it, until nearly all have got an answer.
    /// Returns the share that has.
    pub(crate) fn fill(&mut self, lab: &Lab, population: Population, rate: f64) -> Result<f64> {
        let mut fill = Fill { rate, missing: 1.0, passes: 0 };
        while fill.goes_on() {
            let load = Udp {
                mix: "0:1:0",
                pace: Pace::Rate(SLOWEST),
                duration: Duration::from_millis(200),
                warmup: Duration::ZERO,
                fill: Some(fill.rate),
                windows: None,
                population,
            };
            let answered = self.run(lab, &load)?.more.get("filled").copied().unwrap_or_default();
            fill.pass(answered / population.peers as f64);
        }
        Ok(1.0 - fill.missing)
    }
}

/// How far a fill is. Each pass misses others: what the load was too late for, and what was lost on the way.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fill {
    /// Announces a second.
    rate: f64,
    /// The share of peers that have had no answer.
    missing: f64,
    passes: u32,
}

impl Fill {
    /// So few may be missing.
    const FEW: f64 = 0.01;
    /// A pass that loses more is too fast.
    const LOST: f64 = 0.1;
    /// After so many there is no hope.
    const MOST: u32 = 5;

    fn goes_on(self) -> bool {
        self.missing > Self::FEW && self.passes < Self::MOST
    }

    fn pass(&mut self, share: f64) {
        let lost = (1.0 - share).clamp(0.0, 1.0);
        self.missing *= lost;
        self.passes += 1;
        if lost > Self::LOST {
            self.rate *= 0.7;
        }
    }
}

/// The lowest rate that the load can pace.
const SLOWEST: f64 = 1_000.0;

fn riptide(purpose: &Purpose, directory: &Path) -> String {
    format!(
        "[http]\nlisten = []\n[metrics]\nlisten = \"127.0.0.1:{METRICS}\"\n[state]\ndirectory = \"{}\"\n\
         [swarm]\npeer_timeout = \"{}s\"\nsweep_interval = \"{}s\"\n",
        directory.display(),
        purpose.peer_timeout.as_secs(),
        purpose.sweep.as_secs()
    )
}

/// Nobody is forgotten, so there is nothing to look for; a round of cleaning all at once would be paid for by whoever is
/// measured then. Versions before 0.9 hand requests to workers that hold the swarms: `default`, their own configuration, tells.
fn aquatic(uring: bool, default: &str, purpose: &Purpose) -> String {
    let swarm = if default.contains("swarm_workers") { "swarm_workers = 1\n" } else { "" };
    format!(
        "socket_workers = 1\n{swarm}log_level = \"error\"\n[network]\naddress = \"0.0.0.0:{PORT}\"\n\
         use_io_uring = {uring}\n[cleaning]\nmax_peer_age = {0}\ntorrent_cleaning_interval = {0}\n",
        purpose.peer_timeout.as_secs()
    )
}

/// Lists the torrents for a tracker that serves listed ones only.
fn write_hashes(lab: &Lab, population: Population, path: &Path) -> Result<()> {
    let file = fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut hashes = Command::new(lab.binary("riptide-load"));
    hashes.arg("hashes").args(population.arguments()).stdin(Stdio::null()).stdout(file);
    crate::process::run(&mut hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn riptide_keeps_to_itself() {
        let purpose = Purpose { peer_timeout: Duration::from_secs(20), ..Purpose::of(Population::USUAL) };
        let text = riptide(&purpose, Path::new("/tmp/a"));
        for line in
            ["listen = []", "directory = \"/tmp/a\"", "peer_timeout = \"20s\"", "sweep_interval = \"60s\""]
        {
            assert!(text.lines().any(|other| other == line), "{line}: {text}");
        }
    }

    #[test]
    fn a_fill_ends_when_nearly_all_are_in() {
        let mut fill = Fill { rate: 100.0, missing: 1.0, passes: 0 };
        fill.pass(0.95);
        assert!(fill.goes_on() && fill.rate == 100.0, "a few were missed");
        fill.pass(0.5);
        assert!(fill.goes_on() && fill.rate == 70.0, "too fast");
        fill.pass(1.0);
        assert!(!fill.goes_on() && fill.missing == 0.0);
        let mut hopeless = Fill { rate: 100.0, missing: 1.0, passes: 0 };
        while hopeless.goes_on() {
            hopeless.pass(0.0);
        }
        assert_eq!((hopeless.passes, hopeless.missing), (Fill::MOST, 1.0));
    }

    #[test]
    fn aquatic_is_configured_by_its_version() {
        let purpose = Purpose::of(Population::USUAL);
        let new = aquatic(true, "socket_workers = 1\n", &purpose);
        assert!(new.contains("use_io_uring = true") && !new.contains("swarm_workers"), "{new}");
        assert!(new.contains("max_peer_age = 14400"), "{new}");
        let old = aquatic(false, "socket_workers = 1\nswarm_workers = 1\n", &purpose);
        assert!(old.contains("use_io_uring = false") && old.contains("\nswarm_workers = 1\n"), "{old}");
    }
}
