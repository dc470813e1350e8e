//! The files of `packaging/nats/` do what they promise: three servers of them, with certificates by the script beside them, are
//! one, and each node may say what it says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tests::{
    acme::Relay,
    eventually,
    nats::{Client, Login, NatsServer},
    net::workspace,
};

/// The name by which everybody reaches the servers here.
const HOST: &str = "localhost";

fn packaged(name: &str) -> PathBuf {
    workspace().join("packaging/nats").join(name)
}

/// Certificates by the script.
struct Certificates(TempDir);

impl Certificates {
    /// For the servers, and for these nodes.
    fn for_nodes(nodes: &[&str]) -> Self {
        let made = Self(TempDir::with_prefix("riptide-nats-tls-").expect("a directory"));
        made.make("server", HOST).expect("a certificate");
        nodes.iter().for_each(|node| made.make("node", node).expect("a certificate"));
        made
    }

    /// Calls the script.
    fn make(&self, role: &str, name: &str) -> Result<(), String> {
        let output = Command::new(packaged("certificates"))
            .args([role, name])
            .current_dir(self.0.path())
            .output()
            .expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(said) }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A client that trusts this CA alone, and shows the certificate of this name, if one is given.
    fn client(&self, name: Option<&str>) -> Arc<ClientConfig> {
        let read = |path: PathBuf| CertificateDer::from_pem_file(path).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(read(self.at("ca.pem"))).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_root_certificates(roots);
        Arc::new(match name {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::from_pem_file(self.at(&format!("{name}.key"))).expect("a key");
                let chain = vec![read(self.at(&format!("{name}.pem")))];
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        })
    }

    /// Logs in with the certificate of this name, if one is given.
    fn login(&self, name: Option<&str>, to: SocketAddr) -> Result<Client, String> {
        Client::login(to, &Login::default().over(self.client(name), HOST))
    }
}

/// The configuration with other names, files and ports in the same places.
fn configuration(server: &str, certificates: &Path, routes: &[&Relay; 3]) -> String {
    let mut text = fs::read_to_string(packaged("nats-server.conf")).expect("the file");
    let mut put = |old: &str, new: &str| {
        assert!(text.contains(old), "nats-server.conf has no {old}");
        text = text.replace(old, new);
    };
    let directory = certificates.display();
    put("SERVER: \"nats-1\"", &format!("SERVER: {server:?}"));
    put("/etc/nats/nats-1.example.org.", &format!("{directory}/{HOST}."));
    put("/etc/nats/", &format!("{directory}/"));
    put("0.0.0.0:4222", "127.0.0.1:-1");
    put("0.0.0.0:6222", "127.0.0.1:-1");
    put("127.0.0.1:8222", "127.0.0.1:-1");
    for (number, relay) in (1..).zip(routes) {
        put(&format!("nats-{number}.example.org:6222"), &format!("{HOST}:{}", relay.port()));
    }
    text
}

/// Three servers that know each other.
struct Cluster {
    certificates: Certificates,
    servers: Vec<NatsServer>,
}

impl Cluster {
    fn start(nodes: &[&str]) -> Self {
        let certificates = Certificates::for_nodes(nodes);
        // Their ports are known only when they run.
        let relays = [Relay::new(), Relay::new(), Relay::new()];
        let routes = relays.each_ref();
        let start = |name: &str| NatsServer::with(&configuration(name, certificates.0.path(), &routes));
        let servers: Vec<_> = ["nats-1", "nats-2", "nats-3"].map(start).into();
        for (relay, server) in relays.iter().zip(&servers) {
            relay.lead(Some(server.routes()));
        }
        Self { certificates, servers }
    }

    fn login(&self, node: &str, server: usize) -> Client {
        let server = self.servers[server].address();
        self.certificates.login(Some(node), server).unwrap_or_else(|e| panic!("{node}: {e}"))
    }
}

/// Says it until the other one hears it, since servers take a moment to find each other.
fn reaches(from: &mut Client, to: &mut Client, subject: &str) {
    eventually(&format!("{subject} to get across"), || {
        from.publish(subject, b"hello");
        assert_eq!(from.flush(), Vec::<String>::new());
        // It also hears what it has said itself.
        while let Some(heard) = to.message_within(Duration::from_millis(100)) {
            if heard.subject == subject {
                return Some(());
            }
        }
        None
    });
}

#[test]
fn nodes_at_three_servers_hear_each_other_and_speak_in_their_own_names() {
    let cluster = Cluster::start(&["node-a", "node-b", "node-c"]);
    let [mut a, mut b, mut c] = [("node-a", 0), ("node-b", 1), ("node-c", 2)].map(|(node, server)| {
        let mut client = cluster.login(node, server);
        for subject in ["riptide.changes.*", "riptide.alive.*", &format!("riptide.to.{node}.*")] {
            client.subscribe(subject);
        }
        assert_eq!(client.flush(), Vec::<String>::new());
        client
    });
    reaches(&mut a, &mut b, "riptide.changes.node-a");
    reaches(&mut b, &mut c, "riptide.alive.node-b");
    reaches(&mut c, &mut a, "riptide.to.node-a.node-c");

    for subject in [
        "riptide.changes.node-b",
        "riptide.alive.node-b",
        "riptide.to.node-b.node-c",
        "riptide.to.node-b",
        "riptide.changes",
        "other.changes.node-a",
        "anything",
    ] {
        a.publish(subject, b"forged");
        let said = a.flush().concat();
        assert!(said.contains(&format!("Permissions Violation for Publish to \"{subject}\"")), "{said}");
    }
    for subject in [">", "riptide.>", "riptide.to.*.*", "riptide.to.node-b.*", "$SYS.>", "_INBOX.>"] {
        a.subscribe(subject);
        let said = a.flush().concat();
        assert!(said.contains(&format!("Permissions Violation for Subscription to \"{subject}\"")), "{said}");
    }
    // What was refused went nowhere, and the connection holds: what it may say comes behind it.
    a.publish("riptide.alive.node-a", b"last");
    for client in [&mut b, &mut c] {
        let heard = std::iter::from_fn(|| Some(client.message().payload))
            .find(|heard| heard == b"last" || heard == b"forged");
        assert_eq!(heard.as_deref(), Some(&b"last"[..]));
    }
    reaches(&mut a, &mut b, "riptide.to.node-b.node-a");
}

#[test]
fn whoever_has_no_certificate_of_a_node_is_nobody() {
    let cluster = Cluster::start(&["node-a", "node-z"]);
    let Cluster { certificates, servers } = &cluster;
    let address = servers[0].address();
    assert!(certificates.login(Some("node-a"), address).is_ok());
    let refused =
        |name| certificates.login(name, address).err().unwrap_or_else(|| panic!("{name:?} came in"));
    let said = refused(Some("node-z"));
    assert!(said.contains("Authorization Violation"), "{said}");
    let said = refused(Some(HOST));
    assert!(said.contains("Authorization Violation"), "{said}");
    refused(None);
    assert!(Client::login(address, &Login::default()).is_err(), "without TLS");
    // Of another CA.
    let stranger = Certificates::for_nodes(&["node-a"]);
    let login = |tls| Client::login(address, &Login::default().over(tls, HOST));
    assert!(login(stranger.client(Some("node-a"))).is_err());
    // A server of this CA is one to nodes alone that trust it.
    assert!(login(certificates.client(Some("node-a"))).is_ok());
}

/// The CA of nodes and servers is one, and only a server may be a route.
#[test]
fn a_node_is_no_server() {
    let cluster = Cluster::start(&["node-a"]);
    let refused = |name| {
        let over = Login::default().over(cluster.certificates.client(Some(name)), HOST);
        let login = Login { is_tls_first: true, ..over };
        Client::login(cluster.servers[0].routes(), &login).err().expect("a refusal")
    };
    let said = refused("node-a");
    assert!(said.contains("Authorization Violation"), "{said}");
    // Who has a server's certificate comes further, and is found out for a client then.
    let said = refused(HOST);
    assert!(said.contains("attempted to connect to route port"), "{said}");
}

#[test]
fn the_script_refuses_what_is_no_name_and_keeps_keys_for_their_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let certificates = Certificates::for_nodes(&["node-a"]);
    for (role, name) in [("node", ""), ("node", "-a"), ("node", "a b"), ("server", "a/b"), ("client", "a")] {
        let said = certificates.make(role, name).expect_err("a refusal");
        assert!(said.contains("usage: "), "{role} {name}: {said}");
    }
    let mode = |name: &str| fs::metadata(certificates.at(name)).expect("a file").permissions().mode() & 0o777;
    assert_eq!(["ca.key", "localhost.key", "node-a.key"].map(mode), [0o600; 3]);
    assert_eq!(["ca.pem", "localhost.pem", "node-a.pem"].map(mode), [0o644; 3]);
    // Another of the same name takes its place, by the same CA.
    let ca = fs::read(certificates.at("ca.pem")).expect("a file");
    let first = fs::read(certificates.at("node-a.pem")).expect("a file");
    certificates.make("node", "node-a").expect("a certificate");
    assert_ne!(fs::read(certificates.at("node-a.pem")).expect("a file"), first);
    assert_eq!(fs::read(certificates.at("ca.pem")).expect("a file"), ca);
    let _ = certificates.client(Some("node-a"));
}

/// Whoever runs one server alone leaves the table of the cluster out, as README.md says.
#[test]
fn one_server_alone_does() {
    let certificates = Certificates::for_nodes(&["node-a"]);
    let relay = Relay::new();
    let text = configuration("nats-1", certificates.0.path(), &[&relay, &relay, &relay]);
    let (before, rest) = text.split_once("\ncluster {").expect("a table");
    let (_, after) = rest.split_once("\n}\n").expect("its end");
    let server = NatsServer::at(Ipv4Addr::LOCALHOST.into(), &format!("{before}\n{after}"));
    assert!(certificates.login(Some("node-a"), server.address()).is_ok());
}

/// What README.md says for those who want no certificates of nodes.
#[test]
fn nodes_may_log_in_by_password_or_nkey() {
    let readme = fs::read_to_string(packaged("README.md")).expect("a file");
    let nkey = readme.split('`').find(|quoted| quoted.starts_with("nkey: ")).expect("an NKey");
    let certificates = Certificates::for_nodes(&[]);
    let relay = Relay::new();
    let mut text = configuration("nats-1", certificates.0.path(), &[&relay, &relay, &relay]);
    for (old, new) in [
        ("verify_and_map: true", "verify: false"),
        ("user: \"node-a\"", "user: \"node-a\", password: \"secret\""),
        ("user: \"node-b\"", nkey),
        ("user: \"node-c\"", "user: \"node-c\", password: \"other\""),
    ] {
        assert!(text.contains(old), "nats-server.conf has no {old}");
        text = text.replace(old, new);
    }
    // One server does, without routes: this port three times is a mistake.
    let (before, rest) = text.split_once("\ncluster {").expect("a table");
    let (_, after) = rest.split_once("\n}\n").expect("its end");
    let server = NatsServer::with(&format!("{before}\n{after}"));
    let login = |user, password| {
        Client::login(server.address(), &Login::user(user, password).over(certificates.client(None), HOST))
    };
    let mut client = login("node-a", "secret").unwrap_or_else(|e| panic!("{e}"));
    client.publish("riptide.changes.node-a", b"");
    assert_eq!(client.flush(), Vec::<String>::new());
    client.publish("riptide.changes.node-b", b"");
    assert!(client.flush().concat().contains("Permissions Violation"));
    assert!(login("node-c", "secret").err().expect("a refusal").contains("Authorization Violation"));
}
