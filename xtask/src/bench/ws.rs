//! The rows of WebTorrent: announces with offers beside another tracker and an echo, and the memory of idle peers.

use crate::bench::{
    Lab, aims, load,
    peers::Peer,
    program::{Program, Ready},
    progress::Plan,
    report::{Detail, Report},
    rig::Namespace,
    table,
    turns::{self, Contender, Load},
};
use anyhow::{Context, Result, bail};
use nix::sys::resource::{Resource, getrlimit};
use serde_json::json;
use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Where each serves.
const RIPTIDE_PLAIN: u16 = 7010;
const RIPTIDE: u16 = 7011;
const AQUATIC: u16 = 7012;
const ECHO: u16 = 7013;

/// Announces with offers, all of which are answered. With fewer connections trackers that wait for Nagle's algorithm do
/// nothing else, with more some lose so many that their figures mean nothing.
const OFFERS: &str = "ws --insecure --connections 256 --offers 10 --answers 100";

/// As many idle connections as one client address has ports for, with room.
const IDLE: u64 = 15_000;

/// Each end holds a descriptor for each connection; of so many, one is left for everything else.
const DESCRIPTORS: u64 = 4;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What opening and closing so many connections takes.
const OPENING: Duration = Duration::from_secs(90);

fn offers(lab: &Lab) -> Load {
    Load {
        name: "WebTorrent announces with offers, TLS".to_owned(),
        arguments: OFFERS.split(' ').map(str::to_owned).collect(),
        warmup: Duration::from_secs(1),
        duration: Duration::from_secs(lab.choose(3, 10)),
        rounds: lab.choose(3, 5),
    }
}

/// How long idle connections stay.
fn idle_time(lab: &Lab) -> Duration {
    Duration::from_secs(lab.choose(4, 20))
}

/// How long peers come and go, twice.
fn churn_time() -> Duration {
    Duration::from_secs(60)
}

/// What is ahead.
pub(crate) fn plan(lab: &Lab) -> Plan {
    let load = offers(lab);
    let churn = lab.choose(Plan::default(), Plan::steps(2, churn_time().as_secs()));
    Plan::steps(3 * load.rounds, load.seconds()) + Plan::steps(1, idle_time(lab).as_secs() + 20) + churn
}

/// Measures, and adds rows and details to the report.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> Result<()> {
    announces(lab, report)?;
    let namespace = Namespace::new(lab, "ws")?;
    let row = aims::MEMORY_WEBSOCKET.row().note("wt-tracker publishes 12 KB");
    report.rows.push(match idle(lab, &namespace) {
        Ok((bytes, connections)) => {
            let mut row = row.note(format!("{} connections", table::grouped(connections)));
            row.ours = Some(bytes);
            row
        }
        Err(error) => aims::MEMORY_WEBSOCKET.row().note(lab.failed("idle WebSocket peers", error)?),
    });
    if !lab.quick {
        match churn(lab, &namespace) {
            Ok(detail) => report.details.push(detail),
            Err(error) => {
                lab.failed("WebSocket peers that come and go", error)?;
            }
        }
    }
    Ok(())
}

fn announces(lab: &Lab, report: &mut Report) -> Result<()> {
    let load = offers(lab);
    let namespace = Namespace::new(lab, "ws")?;
    let certificate = Certificate::make(lab)?;
    let mut riptide = Contender::started(
        lab,
        "Riptide",
        &url("wss", RIPTIDE),
        riptide(lab, &namespace, Some(&certificate)),
    )?;
    let mut aquatic = aquatic(lab, &namespace, &certificate)?;
    let mut echo = Contender::started(
        lab,
        "do-nothing WebSocket echo",
        &url("wss", ECHO),
        echo(lab, &namespace, &certificate),
    )?;
    turns::take(lab, &namespace, &load, &mut [&mut riptide, &mut aquatic, &mut echo])?;
    let row = turns::row(&aims::WS_AQUATIC, &riptide, &aquatic);
    report.rows.push(match turns::ratio(&riptide, &echo) {
        Some(ratio) => row.note(format!("{} of the do-nothing echo's rate", table::times(ratio))),
        None => row,
    });
    report.details.extend(turns::details(&load, &[&riptide, &aquatic, &echo])?);
    Ok(())
}

fn url(scheme: &str, port: u16) -> String {
    format!("{scheme}://127.0.0.1:{port}/")
}

/// A certificate for nothing but this bench, with its key: files in PEM.
struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificate {
    /// P-256: what is used most.
    fn make(lab: &Lab) -> Result<Self> {
        let made =
            Self { certificate: lab.scratch().join("certificate.pem"), key: lab.scratch().join("key.pem") };
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        openssl.args(["-days", "7", "-subj", "/CN=riptide bench", "-addext", "subjectAltName=IP:127.0.0.1"]);
        openssl.arg("-keyout").arg(&made.key).arg("-out").arg(&made.certificate);
        let output =
            openssl.stdin(Stdio::null()).output().context("cannot start openssl for a certificate")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            bail!("openssl made no certificate: {}", crate::bench::program::last_line(&said));
        }
        Ok(made)
    }
}

/// With TLS, or without.
fn riptide(lab: &Lab, namespace: &Namespace, tls: Option<&Certificate>) -> Result<Program> {
    let listeners = match tls {
        Some(Certificate { certificate, key }) => format!(
            "[http]\nlisten = []\nworkers = 1\n\
             [tls]\nlisten = [\"127.0.0.1:{RIPTIDE}\"]\ncertificate = {certificate:?}\nkey = {key:?}\n"
        ),
        // Descriptors that HTTP does not want are left to WebSockets.
        None => format!(
            "[http]\nlisten = [\"127.0.0.1:{RIPTIDE_PLAIN}\"]\nworkers = 1\nmax_connections = 1_000\n"
        ),
    };
    let configuration = format!(
        "{listeners}[udp]\nlisten = []\n[metrics]\nlisten = \"off\"\n[websocket]\nmax_messages_per_second = 0\n\
         [state]\ndirectory = {:?}\n",
        lab.scratch().join("state")
    );
    let file = turns::file(lab, "riptide.toml", &configuration)?;
    let mut command = namespace.command(&[lab.cpus.tracker], &lab.binary("riptide"));
    command.args(["run", "--config"]).arg(file);
    Program::start(lab, "Riptide", command, Ready::Word("ready"))
}

fn aquatic(lab: &Lab, namespace: &Namespace, tls: &Certificate) -> Result<Contender> {
    let name = Peer::AquaticWs.name();
    let path = match lab.peers.path(Peer::AquaticWs) {
        Ok(path) => path,
        Err(why) => return Ok(Contender::absent(name, why)),
    };
    let configuration = format!(
        "socket_workers = 1\nswarm_workers = 1\nlog_level = \"error\"\n[network]\naddress = \"127.0.0.1:{AQUATIC}\"\n\
         enable_tls = true\ntls_certificate_path = {:?}\ntls_private_key_path = {:?}\n\
         [metrics]\nrun_prometheus_endpoint = false\n",
        tls.certificate, tls.key
    );
    let file = turns::file(lab, "aquatic_ws.toml", &configuration)?;
    let mut command = namespace.command(&[lab.cpus.tracker], path);
    command.arg("-c").arg(file);
    let program = Program::start(lab, name, command, Ready::Tcp(AQUATIC));
    let contender = Contender::started(lab, name, &url("wss", AQUATIC), program)?;
    Ok(contender.with_version(lab.peers.version(Peer::AquaticWs)))
}

fn echo(lab: &Lab, namespace: &Namespace, tls: &Certificate) -> Result<Program> {
    let mut command = namespace.command(&[lab.cpus.tracker], &lab.example("nothing_ws"));
    command.arg(format!("127.0.0.1:{ECHO}")).args([&tls.certificate, &tls.key]);
    Program::start(lab, "do-nothing WebSocket echo", command, Ready::Tcp(ECHO))
}

/// What idle plain connections add to resident memory, bytes for each, and how many there were.
fn idle(lab: &Lab, namespace: &Namespace) -> Result<(f64, f64)> {
    let (_, limit) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot tell the limit of descriptors")?;
    let connections = (limit - limit / DESCRIPTORS).min(IDLE);
    let step =
        lab.progress.begin(&format!("memory of {} idle WebSocket peers", table::grouped(connections as f64)));
    let program = riptide(lab, namespace, None)?;
    let before = program.resident()?;
    let time = idle_time(lab);
    let mut command = namespace.command(&[lab.cpus.load], &lab.binary("riptide-load"));
    command.args(["ws", "--target", &url("ws", RIPTIDE_PLAIN), "--idle", &connections.to_string()]);
    command.args(["--duration", &turns::seconds(time)]);
    let mut samples: Vec<(Instant, f64)> = Vec::new();
    let figures = load::watch(lab, command, time + OPENING, LOOK, || {
        samples.push((Instant::now(), program.resident()?));
        Ok(())
    })?;
    let open = figures.more.get("connections_open_at_end").copied().unwrap_or(0.0);
    if open < connections as f64 {
        bail!(
            "only {} of {} connections stayed open",
            table::grouped(open),
            table::grouped(connections as f64)
        );
    }
    let settled = settled(&samples, Instant::now(), time).context("memory was never looked at")?;
    let bytes = (settled - before) / open;
    step.end(&table::amount(Some(bytes), "bytes"));
    Ok((bytes, open))
}

/// The highest of the samples that were taken when all connections were there: they stay for `time`, and are closed
/// in the last moment before `end`.
fn settled(samples: &[(Instant, f64)], end: Instant, time: Duration) -> Option<f64> {
    const CLOSING: Duration = Duration::from_secs(1);
    let there = |at: Instant| {
        let before = end.saturating_duration_since(at);
        before >= CLOSING && before <= time
    };
    samples.iter().filter(|(at, _)| there(*at)).map(|(_, bytes)| *bytes).max_by(f64::total_cmp)
}

/// Whether memory grows while peers connect, announce and leave.
fn churn(lab: &Lab, namespace: &Namespace) -> Result<Detail> {
    let program = riptide(lab, namespace, None)?;
    let mut cycles = 0.0;
    let mut resident = [0.0; 2];
    for (round, resident) in ["first", "then"].into_iter().zip(&mut resident) {
        let step = lab.progress.begin(&format!("memory while WebSocket peers come and go, {round}"));
        let mut command = namespace.command(&[lab.cpus.load], &lab.binary("riptide-load"));
        command.args(["ws", "--target", &url("ws", RIPTIDE_PLAIN), "--churn", "--connections", "64"]);
        command.args(["--duration", &turns::seconds(churn_time())]);
        let figures = load::run(lab, command, churn_time() + OPENING)?;
        cycles = figures.more.get("cycles").copied().unwrap_or(0.0);
        *resident = program.resident()?;
        step.end(&table::amount(Some(*resident), "bytes"));
    }
    let [first, then] = resident.map(|bytes| table::amount(Some(bytes), "bytes"));
    Ok(Detail {
        program: "Riptide".to_owned(),
        figure: "WebSocket peers that connect, announce and leave".to_owned(),
        values: json!({"in_the_second_minute": cycles, "resident_before_it": first, "resident_after_it": then}),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_counts_while_all_connections_are_there() {
        let begin = Instant::now();
        let at = |seconds: u64, bytes| (begin + Duration::from_secs(seconds), bytes);
        // All were there from second 6 to 10.
        let samples = [at(1, 10.0), at(5, 90.0), at(7, 50.0), at(8, 60.0), at(10, 70.0)];
        let end = begin + Duration::from_secs(10);
        assert_eq!(settled(&samples, end, Duration::from_secs(4)), Some(60.0));
        assert_eq!(settled(&samples[..2], end, Duration::from_secs(4)), None);
    }
}
