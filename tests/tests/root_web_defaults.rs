//! The default listeners, whose ports are fixed, and what needs privileges: each test has a host of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use tests::{
    net::Namespace,
    riptide::Start,
    udp::{self, id20},
    web::{
        http::{Announce, Announced, Connection},
        stream::{tcp, unix},
        tls::{Certificate, handshake},
    },
};

fn announce(host: &Namespace, address: IpAddr, port: u16) -> Announced {
    host.run(|| {
        let tracker = SocketAddr::new(address, 6969);
        let mut connection = Connection::new(tcp(address, tracker), "");
        Announced::read(&connection.get(&Announce::leecher(id20("default", 0), port).target()))
    })
}

#[test]
fn udp_and_http_share_the_port_number() {
    let host = Namespace::new("defaults");
    let riptide = Start::new(Some(&host)).http("").ready();
    let both = ["0.0.0.0:6969", "[::]:6969"].map(|address| address.parse::<SocketAddr>().unwrap());
    assert_eq!((riptide.udp(), riptide.http(), riptide.https()), (&both[..], &both[..], &[][..]));
    let all: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    for (port, address) in (1..).zip(all) {
        let reply = announce(&host, address, port);
        assert_eq!((reply.external_ip, reply.incomplete), (address, i64::from(port) * 2 - 1));
        let client = host.run(|| udp::Client::new(address, SocketAddr::new(address, 6969)));
        client.announce(&udp::Announce::leecher(id20("default", 0), 100 + port));
    }
    riptide.stop();
}

#[test]
fn a_host_without_ipv6_addresses_is_served() {
    let host = Namespace::new("ipv4-only");
    for scope in ["all", "default", "lo"] {
        host.sysctl(&format!("ipv6/conf/{scope}/disable_ipv6"), "1");
    }
    let riptide = Start::new(Some(&host)).http("").ready();
    let address: IpAddr = Ipv4Addr::LOCALHOST.into();
    assert_eq!(announce(&host, address, 1).incomplete, 1);
    // An explicit address that the host lacks is an error.
    let mut explicit = Start::new(Some(&host)).arguments("--udp 127.0.0.1:0 --http [::1]:7000").spawn();
    assert_eq!(explicit.wait().code(), Some(1), "{}", explicit.log_text());
    assert!(explicit.lines().pop().unwrap_or_default().contains("[::1]:7000"), "{}", explicit.log_text());
    riptide.stop();
}

const NOBODY: &str = "[privileges]\nuser = \"nobody\"\n";

#[test]
fn ports_and_files_of_root_are_taken_before_privileges_go() {
    let host = Namespace::new("low-ports");
    let certificate = Certificate::new();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("http.sock");
    let tls = format!("{NOBODY}[tls]\nlisten = [\"127.0.0.1:443\"]\n{}", certificate.keys());
    let http = format!("listen = [\"127.0.0.1:80\", \"unix:{}\"]", socket.display());
    let start = || Start::new(Some(&host)).arguments("--udp 127.0.0.1:0").http(&http).config(&tls);
    // Twice, since the first may leave a socket in a directory that it must not write to any more.
    for _ in 0..2 {
        let riptide = start().ready();
        host.run(|| {
            for port in [80, 443] {
                let stream = tcp(Ipv4Addr::LOCALHOST.into(), SocketAddr::from(([127, 0, 0, 1], port)));
                let stream = match port {
                    80 => stream,
                    _ => handshake(certificate.any_client(), stream).unwrap(),
                };
                assert_eq!(Connection::new(stream, "").get("/health").status, 200);
            }
            assert_eq!(Connection::new(unix(&socket), "").get("/health").status, 200);
        });
        riptide.stop();
    }
}

/// Files that only root can read serve until they change: then the old certificate stays, and the log says why.
#[test]
fn a_certificate_of_root_alone_cannot_be_renewed_by_nobody() {
    let host = Namespace::new("unreadable");
    let certificate = Certificate::new();
    for file in [certificate.key_file(), certificate.certificate_file()] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    }
    let tls = format!("{NOBODY}[tls]\nlisten = [\"127.0.0.1:443\"]\n{}", certificate.keys());
    let riptide = Start::new(Some(&host)).arguments("--udp 127.0.0.1:0").config(&tls).ready();
    let before = riptide.lines().len();
    riptide.signal(nix::sys::signal::Signal::SIGHUP);
    tests::eventually("the file to be named", || {
        let directory = certificate.key_file().parent().unwrap().display().to_string();
        riptide.lines().into_iter().skip(before).find(|line| line.contains(&directory))
    });
    host.run(|| {
        let stream = tcp(Ipv4Addr::LOCALHOST.into(), SocketAddr::from(([127, 0, 0, 1], 443)));
        assert!(handshake(certificate.any_client(), stream).is_ok());
    });
    riptide.stop();
}
