//! Pebble, the ACME server that Let's Encrypt has for tests, with its DNS server, by which every name leads to this host.

use super::{Shown, strict};
use crate::{
    PATIENCE, eventually,
    web::{http::Connection, stream::Stream, tls::handshake},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde_json::json;
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

/// A name that it refuses.
pub const REFUSED: &str = "refused.test";

/// The running servers.
pub struct Pebble {
    pebble: Server,
    _dns: Server,
    shown: Shown,
    directory: SocketAddr,
    roots: RootCertStore,
}

impl Pebble {
    /// Looks for challenges at this port, and gives certificates that are valid for so many seconds.
    #[must_use]
    pub fn start(tls_port: u16, validity: u32) -> Self {
        let shown = Shown::new();
        let dns = Server::start(
            Command::new("pebble-challtestsrv")
                .args(["-dns01", "127.0.0.1:0", "-management", "127.0.0.1:0", "-defaultIPv6", ""])
                .args(["-http01", "", "-https01", "", "-tlsalpn01", ""]),
        );
        let resolver = eventually("the DNS server", || dns.ports("udp").first().copied());
        let config = shown.path().join("pebble.json");
        let settings = json!({ "pebble": {
            "listenAddress": "127.0.0.1:0",
            "managementListenAddress": "127.0.0.1:0",
            "certificate": shown.file(),
            "privateKey": shown.key_file(),
            "httpPort": 1,
            "tlsPort": tls_port,
            "domainBlocklist": [REFUSED],
            "certificateValidityPeriod": validity,
        } });
        fs::write(&config, settings.to_string()).expect("a file");
        let pebble = Server::start(
            Command::new("pebble")
                .args([Path::new("-config"), &config])
                .args(["-dnsserver", &resolver.to_string()])
                // It looks at once, refuses no nonce by chance, and looks each time anew.
                .env("PEBBLE_VA_NOSLEEP", "1")
                .env("PEBBLE_WFE_NONCEREJECT", "0")
                .env("PEBBLE_AUTHZREUSE", "0"),
        );
        let both = eventually("pebble", || <[SocketAddr; 2]>::try_from(pebble.ports("tcp")).ok());
        let client = shown.client();
        let is_directory = |address: &&SocketAddr| get(&client, **address, "/dir").is_some();
        let directory = *both.iter().find(is_directory).expect("a directory");
        let management = *both.iter().find(|address| **address != directory).expect("its management");
        let root = get(&client, management, "/roots/0").expect("the root");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(root.as_bytes()).expect("PEM")).expect("a root");
        Self { pebble, _dns: dns, shown, directory, roots }
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.pebble.stop();
    }

    /// The address of its directory.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.directory)
    }

    /// The file with the certificate that it shows itself.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.shown.file()
    }

    /// A client that trusts what it signs, and nothing else.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        strict(self.roots.clone(), &["http/1.1"])
    }

    /// Orders that it has taken so far.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.pebble.lines().iter().filter(|line| line.contains("Added order")).count()
    }

    /// Certificates that it has given so far.
    #[must_use]
    pub fn issued(&self) -> usize {
        self.pebble.lines().iter().filter(|line| line.contains("Issued certificate")).count()
    }
}

/// What is at a target, if anything is.
fn get(client: &Arc<ClientConfig>, address: SocketAddr, target: &str) -> Option<String> {
    let stream = Stream::wait_for(address, None, None, PATIENCE).expect("a connection");
    let stream = handshake(client.clone(), stream).expect("a handshake");
    let answer = Connection::new(stream, "Connection: close\r\n").get(target);
    (answer.status == 200).then(|| answer.text())
}

/// A process that listens at ports of its own choice.
struct Server {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}; the Debian package pebble has it"));
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let read = lines.clone();
        let reader = std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                read.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { child, lines, reader: Some(reader) }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The IPv4 ports of this protocol at which it listens, as the kernel tells.
    fn ports(&self, protocol: &str) -> Vec<SocketAddr> {
        let process = Path::new("/proc").join(self.child.id().to_string());
        let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        let sockets: Vec<String> = open
            .filter_map(|entry| fs::read_link(entry.path()).ok()?.to_str().map(str::to_owned))
            .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
            .collect();
        let table = fs::read_to_string(process.join("net").join(protocol)).unwrap_or_default();
        let row = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            // Listening, or a UDP socket with no peer (tcp_states.h of the kernel).
            let waits = ["0A", "07"].contains(words.get(3)?);
            if !waits || !sockets.iter().any(|inode| words.get(9) == Some(&inode.as_str())) {
                return None;
            }
            let (address, port) = words.get(1)?.split_once(':')?;
            let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
            Some(SocketAddr::from((Ipv4Addr::from(address), u16::from_str_radix(port, 16).ok()?)))
        };
        table.lines().skip(1).filter_map(row).collect()
    }

    fn stop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- the server said\n{}\n---", self.lines().join("\n"));
        }
    }
}
