//! A tracker with something to show: XDP in the driver at one end of a wire, and peers of every kind behind the other end.

use crate::{
    bench::{
        lab::Lab,
        program::{Program, Ready},
        rig::{Namespace, Rig, SOURCES, TRACKER},
    },
    machine, npm, process,
};
use anyhow::{Context, Result, ensure};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What `tests/clients/pictures.js` writes.
const PICTURES: [&str; 4] = ["index.png", "stats.png", "stats-dark.png", "stats-phone.png"];
/// How the pages call the tracker.
const NAME: &str = "tracker.example.org";
/// Ports of the tracker, in its own namespace.
const PORT: u16 = 6969;
const METRICS: u16 = 9000;
/// The wire's addresses in IPv6.
const TRACKER_IPV6: &str = "fd88::1";
const CROWD_IPV6: &str = "fd88::2";
/// Source addresses of the crowd, which has each of them, before the last number.
const CROWD: &str = "10.99.8.";
const CROWD_SIZE: u32 = 32;
/// Requests a second of the load, from one stretch to the next: demand comes and goes.
const RATES: [u32; 8] = [1_200, 1_500, 2_100, 2_600, 2_900, 2_400, 1_800, 1_400];
const STRETCH: Duration = Duration::from_secs(20);
/// A load or a browser that is late by so much hangs.
const LATE: Duration = Duration::from_secs(60);

/// A running tracker, the wire it is on, and who comes to it. All of it ends when dropped, the network last.
#[derive(Debug)]
pub(crate) struct Stage {
    crowd: Program,
    tracker: Program,
    rig: Rig,
}

impl Stage {
    /// Lays the wire, starts the tracker, and lets the crowd in.
    pub(crate) fn set(lab: &Lab) -> Result<Self> {
        let rig = Rig::lay(lab)?;
        rig.tracker.bash(&format!("ip addr add {TRACKER_IPV6}/64 dev {} nodad", rig.tracker_interface))?;
        rig.load.bash(&format!(
            "ip addr add {CROWD_IPV6}/64 dev {} nodad\n\
             for i in $(seq {CROWD_SIZE}); do ip addr add {CROWD}$i/32 dev lo; done",
            rig.load_interface
        ))?;
        let file = lab.file("riptide.toml", &configuration(lab)?)?;
        let mut command = rig.tracker.command(lab.cpus.tracker, &lab.binary("riptide"));
        command.args(["run", "--workers", "1", "--xdp", "native"]);
        command.args(["--interface", &rig.tracker_interface]).arg("--config").arg(file);
        let tracker = Program::start(lab, "riptide", command, Ready::Word("ready"))?;
        rig.pin_receiver(lab.cpus.tracker)?;
        let mut crowd = script(lab, &rig, "crowd.js")?;
        crowd.args([TRACKER, TRACKER_IPV6, &PORT.to_string(), CROWD, &CROWD_SIZE.to_string(), CROWD_IPV6]);
        let crowd = Program::spawn(lab, "crowd.js", crowd)?;
        Ok(Self { crowd, tracker, rig })
    }

    /// Where the tracker's metrics are: in which namespace, and under which URL there.
    pub(crate) fn metrics(&self) -> (&Namespace, String) {
        (&self.rig.tracker, format!("http://127.0.0.1:{METRICS}/metrics"))
    }

    /// Lets requests come for so long.
    pub(crate) fn play(&mut self, lab: &Lab, time: Duration) -> Result<()> {
        let begun = Instant::now();
        for rate in RATES.iter().cycle() {
            let left = time.saturating_sub(begun.elapsed());
            if left < Duration::from_secs(1) {
                break;
            }
            let mut load = self.load(lab, *rate, STRETCH.min(left))?;
            load.wait(lab, STRETCH + LATE, || self.check())?;
        }
        Ok(())
    }

    /// Takes the pictures into the scratch directory, while requests come, and does what else is to be done then; gives their
    /// names.
    pub(crate) fn pictures(
        &mut self,
        lab: &Lab,
        meanwhile: impl FnOnce() -> Result<()>,
    ) -> Result<[&'static str; 4]> {
        let _load = self.load(lab, RATES[2], LATE * 2)?;
        let mut pictures = script(lab, &self.rig, "pictures.js")?;
        pictures.arg(lab.scratch()).arg(format!("http://{TRACKER}:{PORT}/"));
        let mut pictures = Program::spawn(lab, "pictures.js", pictures)?;
        let status = pictures.wait(lab, LATE, || self.check())?;
        ensure!(status.success(), "there are no pictures ({status}); pictures.js said:\n{}", pictures.said());
        meanwhile()?;
        Ok(PICTURES)
    }

    /// Connects, announces and scrapes from many addresses, as `riptide-load` makes them in the kernel.
    fn load(&self, lab: &Lab, rate: u32, time: Duration) -> Result<Program> {
        let mut load = self.rig.load.command(lab.cpus.load, &lab.binary("riptide-load"));
        let (interface, seconds) = (&self.rig.load_interface, time.as_secs());
        let line = format!(
            "udp --engine kernel --interface {interface} --target {TRACKER}:{PORT} --sources {SOURCES} --rate {rate} \
             --mix 60:12:4 --torrents 3000 --peers 12000 --warmup 0s --duration {seconds}s"
        );
        load.args(line.split(' '));
        Program::spawn(lab, "riptide-load", load)
    }

    /// That all still run.
    fn check(&mut self) -> Result<()> {
        self.tracker.check()?;
        self.crowd.check()
    }
}

/// A script of `tests/clients` behind the far end of the wire.
fn script(lab: &Lab, rig: &Rig, name: &str) -> Result<Command> {
    let node = machine::find_program("node").context("node is not on PATH")?;
    let mut command = rig.load.command(lab.cpus.load, &node);
    command.arg(machine::workspace_root().join("tests/clients").join(name));
    // A browser's profile and whatever else it writes.
    command.env("NODE_PATH", npm::modules()).env("HOME", lab.scratch()).env("TMPDIR", lab.scratch());
    Ok(command)
}

/// A public tracker of both families, with a certificate.
fn configuration(lab: &Lab) -> Result<String> {
    let [certificate, key] = certificate(lab.scratch())?;
    let (state, control) = (lab.scratch().join("state"), lab.scratch().join("control.sock"));
    Ok(format!(
        "[udp]\nlisten = [\"0.0.0.0:{PORT}\", \"[::]:{PORT}\"]\n\
         [http]\nlisten = [\"0.0.0.0:{PORT}\", \"[::]:{PORT}\"]\nworkers = 1\npublic_host = \"{NAME}\"\n\
         [tls]\nlisten = [\"0.0.0.0:443\", \"[::]:443\"]\ncertificate = {certificate:?}\nkey = {key:?}\n\
         [metrics]\nlisten = \"127.0.0.1:{METRICS}\"\n\
         [state]\ndirectory = {state:?}\nswarms = false\n\
         [control]\nlisten = {control:?}\n"
    ))
}

/// A certificate for nothing but this, and its key.
fn certificate(directory: &Path) -> Result<[PathBuf; 2]> {
    let made = ["certificate.pem", "key.pem"].map(|name| directory.join(name));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    openssl
        .args(["-days", "7", "-subj", &format!("/CN={NAME}"), "-out"])
        .arg(&made[0])
        .arg("-keyout")
        .arg(&made[1]);
    process::run(openssl.stdin(Stdio::null()).stderr(Stdio::null()))?;
    Ok(made)
}
