//! Real clients that find each other through the tracker alone, and move a file.

use crate::{
    net::{Namespace, join, run, workspace},
    riptide::{Riptide, Start},
    web::tls::Certificate,
};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Bytes moved in a transfer: enough for many pieces, little enough for a loaded machine.
const SIZE: usize = 1_500_000;
pub(crate) const NAME: &str = "payload.bin";

/// Which client moves the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// libtorrent, by its Python binding.
    Libtorrent,
    /// aria2.
    Aria2,
    /// Transmission.
    Transmission,
    /// qBittorrent, without its windows.
    Qbittorrent,
}

impl Program {
    /// What a client shows its user whom a private tracker does not serve.
    const fn shows_need_of_key(self, scheme: Scheme) -> &'static str {
        match (self, scheme) {
            // This release of libtorrent loses the text of an error over UDP.
            (Self::Libtorrent | Self::Qbittorrent, Scheme::Udp) => "tracker sent a failure message",
            _ => "this tracker needs a key: use the announce address that was given to you",
        }
    }
}

/// How a client announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// UDP.
    Udp,
    /// HTTP.
    Http,
    /// HTTP over TLS, with a certificate that the client trusts.
    Https,
}

impl Scheme {
    /// The announce URL of a tracker among [`Hosts`], for whoever has this key.
    fn url(self, ipv6: bool, key: Option<&str>) -> String {
        let tracker = if ipv6 { "[fd78:1::1]" } else { "10.78.1.1" };
        let (scheme, port) = match self {
            Self::Udp => ("udp", PORT),
            Self::Http => ("http", PORT),
            Self::Https => ("https", TLS_PORT),
        };
        let key = key.map(|key| format!("/{key}")).unwrap_or_default();
        format!("{scheme}://{tracker}:{port}{key}/announce")
    }
}

const PORT: u16 = 6969;
const TLS_PORT: u16 = 6970;

/// Three hosts: a seeder's and a leecher's, each on a wire to the tracker's, which forwards between them.
///
/// The seeder is 10.78.1.2 and fd78:1::2 behind the tracker's `s0`, the leecher 10.78.2.2 and fd78:2::2 behind `l0`;
/// the tracker is .1 and ::1 on each.
pub struct Hosts {
    /// The seeder's host, on its `e0`.
    pub seeder: Namespace,
    /// The leecher's host, on its `e0`.
    pub leecher: Namespace,
    /// The tracker's host.
    pub tracker: Namespace,
}

impl Hosts {
    /// Lays the wires.
    #[must_use]
    pub fn new() -> Self {
        let tracker = Namespace::new("tracker");
        tracker.sysctl("ipv4/ip_forward", "1");
        tracker.sysctl("ipv6/conf/all/forwarding", "1");
        let mut hosts =
            Self { seeder: Namespace::new("seeder"), leecher: Namespace::new("leecher"), tracker };
        for (n, host, near) in [(1, &mut hosts.seeder, "s0"), (2, &mut hosts.leecher, "l0")] {
            join(&hosts.tracker, near, host, "e0");
            hosts.tracker.ip(&format!(
                "addr add 10.78.{n}.1/24 dev {near}\naddr add fd78:{n}::1/64 dev {near} nodad\n"
            ));
            host.ip(&format!(
                "addr add 10.78.{n}.2/24 dev e0\naddr add fd78:{n}::2/64 dev e0 nodad\n\
                 route add default via 10.78.{n}.1\nroute add default via fd78:{n}::1\n"
            ));
            host.attach_pass("e0");
        }
        hosts
    }

    /// A tracker on every address of the host, with the fast path on both wires.
    #[must_use]
    pub fn tracker(&self) -> Start<'_> {
        self.tracker_behind(&["s0", "l0"], "native")
    }

    /// The same with the fast path in this mode on the wires of these interfaces.
    #[must_use]
    pub fn tracker_behind(&self, interfaces: &[&str], mode: &str) -> Start<'_> {
        let flags: Vec<String> = interfaces.iter().map(|name| format!("--interface {name}")).collect();
        Start::new(Some(&self.tracker))
            .arguments(&format!("--udp 0.0.0.0:{PORT} --udp [::]:{PORT} --xdp {mode}"))
            .arguments(&flags.join(" "))
    }

    /// The same with HTTP, plain and over TLS.
    pub(crate) fn web(&self, certificate: &Certificate) -> Start<'_> {
        let listeners = [("--http", PORT), ("--https", TLS_PORT)];
        let listeners = listeners.map(|(flag, port)| format!("{flag} 0.0.0.0:{port} {flag} [::]:{port}"));
        let tls = format!("[tls]\n{}", certificate.keys());
        self.tracker().arguments(&listeners.join(" ")).config(&tls)
    }
}

impl Default for Hosts {
    fn default() -> Self {
        Self::new()
    }
}

/// A client that runs until this is dropped.
pub(crate) struct Peer {
    child: Child,
    log: PathBuf,
}

impl Peer {
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Self {
        let output = File::create(&log).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a log file"))
            .stderr(output)
            .spawn()
            .expect("to start a client");
        Self { child, log }
    }

    fn said(&self) -> String {
        said(&self.log)
    }
}

fn said(log: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned()
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client, and where it has its files.
type Party = (Peer, PathBuf);

/// Where clients move a file, and by what they do.
struct Ground {
    hosts: Hosts,
    certificate: Certificate,
    directory: TempDir,
    ipv6: bool,
    /// Of the clients, where the tracker is private.
    key: Option<&'static str>,
}

impl Ground {
    fn new(ipv6: bool) -> Self {
        let directory = TempDir::with_prefix("riptide-transfer-").expect("a directory");
        Self { hosts: Hosts::new(), certificate: Certificate::new(), directory, ipv6, key: None }
    }

    fn tracker(&self) -> Start<'_> {
        let start = self.hosts.web(&self.certificate);
        let Some(key) = self.key else { return start };
        let file = self.directory.path().join("keys");
        std::fs::write(&file, key).expect("the file of keys");
        start.config(&format!("[access]\nkeys = {:?}\n", file.display().to_string()))
    }

    const fn family(&self) -> &'static str {
        if self.ipv6 { "ipv6" } else { "ipv4" }
    }

    /// A client with more arguments, which has the file or wants it.
    fn peer(&self, seeds: bool, kind: (Program, Scheme), more: &[&str]) -> Party {
        self.client(if seeds { "seeder" } else { "leecher" }, seeds, kind, self.key, more)
    }

    /// The same by the address with this key.
    fn client(
        &self,
        name: &str,
        seeds: bool,
        (program, scheme): (Program, Scheme),
        key: Option<&str>,
        more: &[&str],
    ) -> Party {
        let (host, n) = if seeds { (&self.hosts.seeder, 1) } else { (&self.hosts.leecher, 2) };
        let files = self.directory.path().join(name);
        let torrents = self.directory.path().join(format!("{name}-torrent"));
        for path in [&files, &torrents] {
            std::fs::create_dir(path).expect("a directory");
        }
        make_torrent(&torrents, &scheme.url(self.ipv6, key));
        if seeds {
            std::fs::rename(torrents.join(NAME), files.join(NAME)).expect("the file to seed");
        }
        let torrent = torrents.join(format!("{NAME}.torrent"));
        let mut command = client(program, host, &torrent, &files, self.ipv6, n, &self.certificate);
        command.args(more);
        (Peer::start(command, self.directory.path().join(format!("{name}.log"))), files)
    }

    /// A seeder and a leecher, and the file on its way from one to the other.
    fn parties(&self, riptide: &Riptide, kinds: [(Program, Scheme); 2], more: &[&str]) -> [Party; 2] {
        let mut seeder = self.peer(true, kinds[0], more);
        wait(riptide, &mut [&mut seeder.0], "the seeder to announce", || {
            let labels = [("family", self.family()), ("role", "seeder")];
            riptide.metrics().sum("riptide_peers", &labels) > 0.0
        });
        [seeder, self.peer(false, kinds[1], more)]
    }
}

/// Waits until the second has the file that the first one has.
fn moves(riptide: &Riptide, [(seeder, seeding), (leecher, leeching)]: &mut [Party; 2]) {
    let original = std::fs::read(seeding.join(NAME)).expect("the original");
    wait(riptide, &mut [seeder, leecher], "the file to arrive", || {
        std::fs::read(leeching.join(NAME)).is_ok_and(|copy| copy == original)
    });
}

/// Moves a file from the seeder's host to the leecher's, and checks that every byte arrived and that both announced in
/// the way that was wanted: over UDP, connects were answered in the kernel and announces through AF_XDP.
pub fn transfer(program: Program, scheme: Scheme, ipv6: bool) {
    transfer_between([(program, scheme), (program, scheme)], ipv6);
}

/// Moves a file with libtorrent while both peers announce several times a second, and three processes after another take over.
/// Neither is told of an error, or waits for a reply in vain.
pub fn transfer_during_hand_overs(scheme: Scheme) {
    let ground = Ground::new(false);
    let mut riptide = ground.tracker().ready();
    let mut parties = ground.parties(&riptide, [(Program::Libtorrent, scheme); 2], &["0.2"]);
    let logs = parties.each_ref().map(|(peer, _)| peer.log.clone());
    let replies = || logs.each_ref().map(|log| said(log).matches("tracker_reply_alert").count());
    for round in 0..=3 {
        if round > 0 {
            let next = ground.tracker().directory(riptide.directory()).arguments("--take-over").ready();
            let mut before = std::mem::replace(&mut riptide, next);
            assert_eq!(before.wait().code(), Some(0), "{}", before.log_text());
        }
        let before = replies();
        let [(seeder, _), (leecher, _)] = &mut parties;
        wait(&riptide, &mut [seeder, leecher], "more replies for both", || {
            replies().iter().zip(before).all(|(now, before)| *now >= before + 3)
        });
    }
    moves(&riptide, &mut parties);
    for (peer, _) in &parties {
        let said = peer.said();
        assert!(!said.contains("tracker_error") && !said.contains("tracker_warning"), "{said}");
    }
}

/// The same as [`transfer`] between a seeder and a leecher of different kinds.
pub fn transfer_between(kinds: [(Program, Scheme); 2], ipv6: bool) {
    let ground = Ground::new(ipv6);
    transfer_on(&ground, &ground.tracker().ready(), kinds);
}

/// The same by a private tracker, at whose address with a key the clients announce. Before, each of them announces without
/// it, and must show its user that it was in vain, and why.
pub fn private_transfer_between(kinds: [(Program, Scheme); 2], ipv6: bool) {
    let ground = Ground { key: Some("A_key-of-20_letters"), ..Ground::new(ipv6) };
    let riptide = ground.tracker().ready();
    for (n, kind) in (1..).zip(kinds) {
        let (mut stranger, _) = ground.client(&format!("stranger{n}"), true, kind, None, &[]);
        let log = stranger.log.clone();
        wait(&riptide, &mut [&mut stranger], "a client to say that it needs a key", || {
            said(&log).contains(kind.0.shows_need_of_key(kind.1))
        });
    }
    transfer_on(&ground, &riptide, kinds);
}

fn transfer_on(ground: &Ground, riptide: &Riptide, kinds: [(Program, Scheme); 2]) {
    let mut parties = ground.parties(riptide, kinds, &[]);
    moves(riptide, &mut parties);
    let family = ground.family();
    let [(seeder, _), (leecher, _)] = &mut parties;
    let udp: f64 = kinds.iter().map(|(_, scheme)| f64::from(u8::from(*scheme == Scheme::Udp))).sum();
    wait(riptide, &mut [seeder, leecher], "the ways to have been used", || {
        let metrics = riptide.metrics();
        let by_path = |path, action| {
            let labels = [("path", path), ("action", action), ("family", family)];
            metrics.sum("riptide_udp_responses_total", &labels)
        };
        let by_http = [("action", "announce"), ("family", family), ("outcome", "ok")];
        let http = metrics.sum("riptide_http_requests_total", &by_http);
        by_path("kernel", "connect") >= udp
            && by_path("xsk", "announce") >= udp
            && metrics.sum("riptide_udp_responses_total", &[("path", "socket")]) == 0.0
            && http >= 2.0 - udp
            && (udp < 2.0 || http == 0.0)
    });
}

/// Makes the file and its torrent, which every test of a process makes alike, for a tracker at this URL.
pub(crate) fn make_torrent(directory: &Path, url: &str) {
    let script = script("make_torrent.py");
    let seed = std::process::id().to_string();
    let path = directory.display().to_string();
    run("/usr/bin/python3", &[&script, &path, NAME, &SIZE.to_string(), &seed, url]);
}

fn script(name: &str) -> String {
    workspace().join("tests/clients").join(name).display().to_string()
}

pub(crate) fn client(
    program: Program,
    host: &Namespace,
    torrent: &Path,
    files: &Path,
    ipv6: bool,
    n: u8,
    certificate: &Certificate,
) -> Command {
    match program {
        Program::Libtorrent => {
            let listen = if ipv6 { format!("[fd78:{n}::2]:6881") } else { format!("10.78.{n}.2:6881") };
            let mut command = host.command("/usr/bin/python3");
            command.arg(script("libtorrent_peer.py")).arg(torrent).arg(files).arg(listen);
            // OpenSSL's own way to name whom to trust.
            command.env("SSL_CERT_FILE", certificate.certificate_file());
            command
        }
        Program::Aria2 => {
            let mut command = host.command("aria2c");
            command.args([
                // Its UDP tracker client is part of its DHT; there is no node to start from.
                "--enable-dht=true",
                "--enable-dht6=false",
                "--disable-ipv6=true",
                "--enable-peer-exchange=false",
                "--bt-enable-lpd=false",
                "--bt-tracker-connect-timeout=5",
                "--listen-port=6881",
                "--dht-listen-port=6882",
                "--seed-ratio=0.0",
                "--check-integrity=true",
                "--file-allocation=none",
                "--summary-interval=0",
                // What a tracker answers is told at this level.
                "--console-log-level=info",
                "--no-conf=true",
            ]);
            command.arg(format!("--dht-file-path={}", files.join("dht.dat").display()));
            command.arg(format!("--ca-certificate={}", certificate.certificate_file().display()));
            command.arg(format!("--dir={}", files.display())).arg(torrent);
            command
        }
        Program::Qbittorrent => {
            let mut command = host.command("/usr/bin/python3");
            command
                .arg(script("qbittorrent.py"))
                .arg(torrent)
                .arg(files)
                .arg(files.with_extension("profile"));
            command.arg(if ipv6 { format!("fd78:{n}::2") } else { format!("10.78.{n}.2") });
            command
        }
        Program::Transmission => {
            let home = files.with_extension("config");
            std::fs::create_dir_all(&home).expect("a directory");
            let settings = r#"{"dht-enabled": false, "lpd-enabled": false, "pex-enabled": false,
                "port-forwarding-enabled": false, "peer-port": 6881, "utp-enabled": false}"#;
            std::fs::write(home.join("settings.json"), settings).expect("its settings");
            let mut command = host.command("transmission-cli");
            command.arg("--config-dir").arg(&home).arg("--download-dir").arg(files);
            command.args(["--no-portmap", "--port", "6881"]).arg(torrent).env("HOME", &home);
            command
        }
    }
}

/// Clients take their time: they wait between attempts by their own rules.
const CLIENT_PATIENCE: Duration = Duration::from_secs(90);

pub(crate) fn wait(
    riptide: &Riptide,
    peers: &mut [&mut Peer],
    awaited: &str,
    mut done: impl FnMut() -> bool,
) {
    let deadline = Instant::now() + CLIENT_PATIENCE;
    while !done() {
        let ended = peers.iter_mut().find_map(|peer| peer.child.try_wait().expect("to ask after a client"));
        if ended.is_some() || Instant::now() >= deadline {
            let why =
                ended.map_or_else(|| "all clients run".to_owned(), |how| format!("a client ended: {how}"));
            let said: Vec<String> = peers.iter().map(|peer| peer.said()).collect();
            let said = said.join("\n----\n");
            panic!("waited in vain for {awaited}; {why}\n{said}\n{}", riptide.metrics().text);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
