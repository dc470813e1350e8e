//! The rows of WebTorrent: announces with offers beside another tracker and an echo, and the memory of idle peers.

use crate::bench::{
    aims, figures::grouped, lab::Lab, load, peers::AQUATIC_WS, program, result::Report, rig::Namespace,
    site::Sites, turns::Contender,
};
use anyhow::{Context, Result, ensure};
use nix::sys::resource::{Resource, getrlimit};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

/// Where each serves.
const PLAIN: u16 = 7010;
const RIPTIDE: u16 = 7011;
const AQUATIC: u16 = 7012;
const ECHO: u16 = 7013;

const NAME: &str = "WebTorrent announces with offers, TLS";
/// Announces with offers, all of which are answered. With fewer connections trackers that wait for Nagle's algorithm do
/// nothing else, with more some lose so many that their figures mean nothing.
const OFFERS: &str = "ws --insecure --connections 256 --offers 10 --answers 100";

/// As many idle connections as one client address has ports for, with room.
const IDLE: u64 = 15_000;

/// Each end holds a descriptor for each connection; of so many, one is left for everything else.
const DESCRIPTORS: u64 = 4;

/// What opening and closing so many connections takes.
const OPENING: Duration = Duration::from_secs(90);

/// Measures, and adds rows and what programs showed to the report.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> Result<()> {
    let sites = Sites { lab, namespace: Namespace::new(lab, "ws")?, url: ("wss://", "/") };
    announces(&sites, report)?;
    report.ratios.push(lab.row(&aims::MEMORY_WEBSOCKET, || {
        let (bytes, open) = idle(&sites)?;
        Ok((Some(bytes), None, format!("wt-tracker publishes 12 KB; {} connections", grouped(open))))
    })?);
    Ok(())
}

fn announces(sites: &Sites<'_>, report: &mut Report) -> Result<()> {
    let lab = sites.lab;
    let Certificate { certificate, key } = Certificate::make(lab)?;
    let serves = |site| Ok((site, "it serves".to_owned()));
    let riptide = Contender::start(lab, "Riptide", || {
        let tls = format!(
            "[tls]\nlisten = [\"127.0.0.1:{RIPTIDE}\"]\ncertificate = {certificate:?}\nkey = {key:?}\n"
        );
        let tables = "[http]\nlisten = []\nworkers = 1\n[websocket]\nmax_messages_per_second = 0\n";
        serves(sites.riptide(&format!("{tables}{tls}"), RIPTIDE)?)
    })?;
    let path = |path: &PathBuf| toml::Value::from(&*path.to_string_lossy());
    let values = [
        ("enable_tls", true.into()),
        ("tls_certificate_path", path(&certificate)),
        ("tls_private_key_path", path(&key)),
    ];
    let aquatic = sites.peer(AQUATIC_WS, AQUATIC, &values)?;
    let name = "do-nothing WebSocket echo";
    let echo = Contender::start(lab, name, || {
        let arguments = [format!("127.0.0.1:{ECHO}").into(), certificate.into(), key.into()];
        serves(sites.start(name, &lab.example("nothing_ws"), &arguments, ECHO)?)
    })?;
    let load = (NAME, OFFERS, Duration::from_secs(lab.choose(3, 8)));
    sites.compare(load, &mut [riptide, aquatic, echo], &[aims::WS_AQUATIC], report)
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
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "openssl made no certificate: {}", program::last_line(&said));
        Ok(made)
    }
}

/// What idle plain connections add to resident memory, bytes for each, and how many there were.
fn idle(sites: &Sites<'_>) -> Result<(f64, f64)> {
    let lab = sites.lab;
    let (_, limit) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot tell the limit of descriptors")?;
    let connections = (limit - limit / DESCRIPTORS).min(IDLE);
    // Descriptors that HTTP does not want are left to WebSockets.
    let tables = format!("[http]\nlisten = [\"127.0.0.1:{PLAIN}\"]\nworkers = 1\nmax_connections = 1_000\n");
    let mut riptide = sites.riptide(&tables, PLAIN)?;
    let program = riptide.as_mut();
    let before = program.resident()?;
    let time = Duration::from_secs(lab.choose(4, 10));
    let mut command = sites.namespace.command(lab.cpus.load, &lab.binary("riptide-load"));
    command.args(["ws", "--target", &format!("ws://127.0.0.1:{PLAIN}/"), "--idle", &connections.to_string()]);
    command.arg(format!("--duration={}s", time.as_secs()));
    let mut most = before;
    let figures = load::watch(lab, command, time + OPENING, || {
        most = program.resident()?.max(most);
        Ok(())
    })?;
    let open = figures.more.get("connections_open_at_end").copied().unwrap_or(0.0);
    let all = connections as f64;
    ensure!(open >= all, "only {} of {} connections stayed open", grouped(open), grouped(all));
    Ok(((most - before) / open, open))
}
