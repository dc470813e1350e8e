//! Programs that answer connections over the loopback interface of one namespace as fast as they are asked.

use crate::bench::{
    aims::Aim,
    lab::Lab,
    load::{self, Figures},
    peers::missing,
    program::{Program, Ready},
    result::{Report, Row},
    rig::Namespace,
    turns::{self, Contender},
};
use anyhow::Result;
use std::{ffi::OsString, path::Path, time::Duration};

/// A program that listens may still be about to start threads, and some never serve if they are paused meanwhile.
const SETTLING: Duration = Duration::from_secs(1);
/// A load that is late by so much hangs: the last replies, and a slow start, are in it.
const LATE: Duration = Duration::from_secs(60);

/// A program and where it serves.
#[derive(Debug)]
pub(crate) struct Site {
    program: Program,
    url: String,
}

impl AsMut<Program> for Site {
    fn as_mut(&mut self) -> &mut Program {
        &mut self.program
    }
}

impl Site {
    /// One turn of a load: `http` or `ws` of `riptide-load` with options, without the target.
    pub(crate) fn run(
        &self,
        lab: &Lab,
        namespace: &Namespace,
        line: &str,
        duration: Duration,
    ) -> Result<Figures> {
        let mut command = namespace.command(lab.cpus.load, &lab.binary("riptide-load"));
        command.args(line.split(' ')).args(["--target", &self.url, "--warmup", "1s"]);
        command.arg(format!("--duration={}ms", duration.as_millis()));
        command.args(["--watch-cpu", &lab.cpus.tracker.to_string()]);
        load::watch(lab, command, duration + LATE, || Ok(()))
    }
}

/// Sites of one namespace.
#[derive(Debug)]
pub(crate) struct Sites<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) namespace: Namespace,
    /// What stands before and behind their address in URLs.
    pub(crate) url: (&'static str, &'static str),
}

impl Sites<'_> {
    /// Starts a program on the tracker's processor, and waits until it serves at its port.
    pub(crate) fn start(&self, name: &str, path: &Path, arguments: &[OsString], port: u16) -> Result<Site> {
        let mut command = self.namespace.command(self.lab.cpus.tracker, path);
        command.args(arguments);
        let program = Program::start(self.lab, name, command, Ready::Port(port))?;
        self.lab.rest(SETTLING)?;
        Ok(Site { program, url: format!("{}127.0.0.1:{port}{}", self.url.0, self.url.1) })
    }

    /// Riptide, without UDP and metrics, with these tables.
    pub(crate) fn riptide(&self, tables: &str, port: u16) -> Result<Site> {
        let state = self.lab.scratch().join("state");
        let others = "[udp]\nlisten = []\n[metrics]\nlisten = \"off\"\n[control]\nlisten = \"off\"\n";
        let file = self.lab.file(
            "riptide.toml",
            &format!("{tables}{others}[state]\ndirectory = {state:?}\nswarms = false\n"),
        )?;
        self.start(
            "Riptide",
            &self.lab.binary("riptide"),
            &["run".into(), "--config".into(), file.into()],
            port,
        )
    }

    /// Another tracker, one thread for sockets and one for swarms, with these values too, if it takes part.
    pub(crate) fn peer(
        &self,
        peer: &'static str,
        port: u16,
        values: &[(&str, toml::Value)],
    ) -> Result<Contender<Site>> {
        let Some(given) = self.lab.peers(peer).next() else {
            return Ok(Contender::absent(peer, missing(peer)));
        };
        Contender::start(self.lab, &given.name(), || {
            let configuration = given.configuration(&format!("127.0.0.1:{port}"), values)?;
            let file = self.lab.file("aquatic.toml", &configuration)?;
            let site = self.start(peer, &given.path, &["-c".into(), file.into()], port)?;
            Ok((site, "it serves".to_owned()))
        })
    }

    /// Lets all have their turns under a load, and adds what they showed to the report, and the rows of the first against
    /// the others.
    pub(crate) fn compare(
        &self,
        (name, line, duration): (&str, &str, Duration),
        contenders: &mut [Contender<Site>],
        aims: &[Aim],
        report: &mut Report,
    ) -> Result<()> {
        for _ in 0..self.lab.choose(3, 5) {
            for contender in &mut *contenders {
                contender
                    .round(self.lab, name, |site| site.run(self.lab, &self.namespace, line, duration))?;
            }
        }
        report.programs.extend(contenders.iter().filter_map(|contender| contender.shown(name)));
        let [riptide, others @ ..] = &*contenders else { return Ok(()) };
        let rows = aims.iter().zip(others).map(|(aim, other)| -> Row {
            turns::row(aim, name, [riptide, other], |figures| Some(figures.answered_per_second))
        });
        report.ratios.extend(rows);
        Ok(())
    }
}
