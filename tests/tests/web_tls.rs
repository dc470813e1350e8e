//! TLS: versions, protocols, resumption, and certificates that change while the tracker runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::sys::signal::Signal;
use rustls::{HandshakeKind, ProtocolVersion, version::TLS12, version::TLS13};
use std::{net::Ipv4Addr, sync::Arc};
use tests::{
    eventually,
    rig::Family,
    riptide::{Riptide, Start},
    udp::id20,
    web::{
        bencode::Dictionary,
        house::{Door, House},
        http::{Announce, Connection},
        http2,
        stream::{Stream, tcp},
        tls::{Certificate, handshake},
    },
};

fn start(certificate: &Certificate, keys: &str) -> Riptide {
    let tls = format!("[tls]\nlisten = [\"127.0.0.1:0\"]\n{}{keys}\n", certificate.keys());
    Start::new(None).arguments("--udp 127.0.0.1:0").config(&tls).ready()
}

fn connect(riptide: &Riptide, config: Arc<rustls::ClientConfig>) -> std::io::Result<Stream> {
    handshake(config, tcp(Ipv4Addr::LOCALHOST.into(), riptide.https()[0]))
}

fn is_served(stream: Stream) -> bool {
    Connection::new(stream, "").get("/health").status == 200
}

#[test]
fn the_protocol_is_agreed_on() {
    let house = House::new(Door::Tls);
    let certificate = house.certificate().unwrap();
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let stream = connect(house.riptide(), certificate.client(rustls::ALL_VERSIONS, offered)).unwrap();
        assert_eq!(stream.tls().unwrap().alpn_protocol(), agreed.map(str::as_bytes), "{offered:?}");
        if agreed != Some("h2") {
            assert!(is_served(stream));
        }
    }
    let other = connect(house.riptide(), certificate.client(rustls::ALL_VERSIONS, &["spdy/3"]));
    assert!(other.is_err(), "nothing in common");
}

#[test]
fn http_2_is_spoken() {
    let mut house = House::new(Door::Tls);
    let config = house.certificate().unwrap().client(rustls::ALL_VERSIONS, &["h2"]);
    let stream = connect(house.riptide(), config).unwrap();
    let mut connection = http2::Connection::new(stream);
    let hash = id20("http2", 0);
    for round in 0..10_u16 {
        let targets: Vec<String> =
            (1..=15).map(|n| Announce::leecher(hash, 15 * round + n).target()).collect();
        for answer in connection.get(&targets) {
            assert!(answer.ok);
            let reply = Dictionary::parse(&answer.body);
            assert_eq!(reply.bytes("external ip"), [127, 0, 0, 1]);
        }
    }
    assert_eq!(house.client(Family::V4, 1).row(hash).leechers, 150);
    let answers = connection.get(&["/health".to_owned(), "/no/such/path".to_owned(), "/stats".to_owned()]);
    assert_eq!(answers.iter().map(|answer| answer.ok).collect::<Vec<_>>(), [true, false, true]);
    house.riptide().metrics_until("what was asked", |m| {
        m.sum("riptide_http_requests_total", &[("action", "announce"), ("outcome", "ok")]) == 150.0
    });
    house.riptide().signal(Signal::SIGTERM);
    connection.wait_closed();
    assert_eq!(house.riptide_mut().wait().code(), Some(0));
}

#[test]
fn the_oldest_version_is_the_operators_choice() {
    let certificate = Certificate::new();
    for (keys, old) in [("", true), ("min_version = \"1.2\"", true), ("min_version = \"1.3\"", false)] {
        let riptide = start(&certificate, keys);
        let stream = connect(&riptide, certificate.client(&[&TLS13], &["http/1.1"])).unwrap();
        assert_eq!(stream.tls().unwrap().protocol_version(), Some(ProtocolVersion::TLSv1_3));
        assert!(is_served(stream));
        match connect(&riptide, certificate.client(&[&TLS12], &["http/1.1"])) {
            Ok(stream) => {
                assert!(old, "{keys}");
                assert_eq!(stream.tls().unwrap().protocol_version(), Some(ProtocolVersion::TLSv1_2));
                assert!(is_served(stream));
            }
            Err(e) => assert!(!old, "{keys}: {e}"),
        }
    }
}

#[test]
fn sessions_are_resumed() {
    let certificate = Certificate::new();
    let riptide = start(&certificate, "");
    for version in [&TLS12, &TLS13] {
        let config = certificate.client(&[version], &["http/1.1"]);
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
            let mut stream = connect(&riptide, Arc::clone(&config)).unwrap();
            assert_eq!(stream.tls().unwrap().handshake_kind(), Some(expected), "{:?}", version.version);
            // A ticket of TLS 1.3 comes with the first answer.
            std::io::Write::write_all(&mut stream, b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            let mut byte = [0];
            std::io::Read::read_exact(&mut stream, &mut byte).unwrap();
        }
    }
}

/// Whether new connections get this certificate.
fn presents(riptide: &Riptide, certificate: &Certificate) -> bool {
    match connect(riptide, certificate.any_client()) {
        Ok(stream) => is_served(stream),
        Err(e) => {
            assert!(e.to_string().contains("certificate"), "{e}");
            false
        }
    }
}

#[test]
fn a_renewed_certificate_is_taken_up_at_a_signal() {
    let old = Certificate::new();
    let riptide = start(&old, "reload_interval = \"0s\"");
    let mut kept = Connection::new(connect(&riptide, old.any_client()).unwrap(), "");
    assert_eq!(kept.get("/health").status, 200);
    let new = old.renewed();
    assert!(presents(&riptide, &old) && !presents(&riptide, &new), "not before the signal");
    riptide.signal(Signal::SIGHUP);
    eventually("the new certificate", || presents(&riptide, &new).then_some(()));
    assert!(!presents(&riptide, &old));
    // Whoever was in stays in.
    assert_eq!(kept.get("/health").status, 200);
    riptide.stop();
}

#[test]
fn a_renewed_certificate_is_taken_up_by_itself() {
    let old = Certificate::new();
    let riptide = start(&old, "reload_interval = \"1s\"");
    let new = old.renewed();
    eventually("the new certificate", || presents(&riptide, &new).then_some(()));
    let newer = new.renewed();
    eventually("the newer certificate", || presents(&riptide, &newer).then_some(()));
    assert!(!presents(&riptide, &new));
    riptide.stop();
}

#[test]
fn a_bad_certificate_keeps_the_old_one() {
    let old = Certificate::new();
    let riptide = start(&old, "reload_interval = \"0s\"");
    let (_, certificate, key) = old.prepared();
    let (_, other_certificate, _) = old.prepared();
    let certificate_name = old.certificate_file().display().to_string();
    let key_name = old.key_file().display().to_string();
    let half: String = certificate.chars().take(200).collect();
    for (what, certificate, key, names) in [
        ("another key", &other_certificate, &key, [&certificate_name, &key_name]),
        ("half a certificate", &half, &key, [&certificate_name; 2]),
        ("no certificate", &String::new(), &key, [&certificate_name; 2]),
        ("no key", &certificate, &String::new(), [&key_name; 2]),
        ("a certificate for a key", &certificate, &certificate, [&key_name; 2]),
    ] {
        let before = riptide.lines().len();
        old.install(certificate, key);
        riptide.signal(Signal::SIGHUP);
        let line = eventually(&format!("{what} to be refused\n{}", riptide.log_text()), || {
            let mut lines = riptide.lines().into_iter().skip(before);
            lines.find(|line| names.iter().any(|name| line.contains(*name)))
        });
        assert!(line.contains("ERROR") || line.contains("WARN"), "{what}: {line}");
        assert!(presents(&riptide, &old), "{what}");
    }
    std::fs::remove_file(old.key_file()).unwrap();
    let before = riptide.lines().len();
    riptide.signal(Signal::SIGHUP);
    eventually("the missing file to be named", || {
        riptide.lines().into_iter().skip(before).find(|line| line.contains(&key_name))
    });
    assert!(presents(&riptide, &old));
    let new = old.renewed();
    riptide.signal(Signal::SIGHUP);
    eventually("a good certificate", || presents(&riptide, &new).then_some(()));
    riptide.stop();
}

/// Each time it looks, not each time anew.
#[test]
fn a_bad_certificate_is_told_of_once() {
    let old = Certificate::new();
    let riptide = start(&old, "reload_interval = \"1s\"");
    let (_, certificate, _) = old.prepared();
    let (_, _, key) = old.prepared();
    old.install(&certificate, &key);
    let name = old.certificate_file().display().to_string();
    let told =
        || riptide.lines().iter().filter(|line| line.contains("ERROR") || line.contains("WARN")).count();
    riptide.wait_for_line("that it does not match", |line| line.contains(&name) && !line.contains("INFO"));
    let first = told();
    let new = old.renewed();
    eventually("the good certificate", || presents(&riptide, &new).then_some(()));
    // The two files change one after the other: one more line, if it looks between them.
    assert!(told() <= first + 1, "{}", riptide.log_text());
    riptide.stop();
}

#[test]
fn a_bad_certificate_at_the_start_is_an_error() {
    for (break_it, named) in [("key", "key.pem"), ("certificate", "certificate.pem"), ("missing", "key.pem")]
    {
        let certificate = Certificate::new();
        match break_it {
            "key" => std::fs::write(certificate.key_file(), "no key").unwrap(),
            "certificate" => std::fs::write(certificate.certificate_file(), "no certificate").unwrap(),
            _ => std::fs::remove_file(certificate.key_file()).unwrap(),
        }
        let tls = format!("[tls]\nlisten = [\"127.0.0.1:0\"]\n{}", certificate.keys());
        let mut riptide = Start::new(None).arguments("--udp 127.0.0.1:0").config(&tls).spawn();
        assert_eq!(riptide.wait().code(), Some(2), "{}", riptide.log_text());
        let last = riptide.lines().pop().unwrap_or_default();
        assert!(last.contains(named), "the last line names {named}:\n{}", riptide.log_text());
    }
}
