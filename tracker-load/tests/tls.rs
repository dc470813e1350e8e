//! TLS as a client: against a tracker with a certificate made for the test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};
use tempfile::TempDir;
use tracker_load::{
    engine::{Engine as _, Offered, Span},
    error::Error,
    http::{Http, Settings, request::Requests},
    net::{
        channel::Path,
        tls::{Tls, Trust},
    },
    progress::Watch,
    target::{Protocol, Target},
    workload::{Popularity, Workload},
};

const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\nd8:intervali1800e5:peers0:e\n";

/// A tracker named tracker.test behind TLS, and the file with its certificate.
fn start() -> (SocketAddr, TempDir, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["tracker.test".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    fs::write(&file, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It lives as long as the test process.
    thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            thread::spawn(move || serve(StreamOwned::new(tls, tcp)));
        }
    });
    (address, directory, file)
}

fn serve(mut stream: StreamOwned<ServerConnection, std::net::TcpStream>) {
    let (mut input, mut part) = (Vec::<u8>::new(), [0; 4096]);
    // Ends with the client: a failed handshake or a closed connection is no failure of the tracker.
    while let Ok(len) = stream.read(&mut part)
        && len > 0
    {
        input.extend(&part[..len]);
        while let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") {
            input.drain(..end + 4);
            if stream.write_all(REPLY).is_err() {
                return;
            }
        }
    }
}

fn open(address: SocketAddr, host: &str, trust: &Trust, keep_alive: bool) -> Result<Http, Error> {
    let target = Target::parse(&format!("https://{host}:{}", address.port()), Protocol::Http, false).unwrap();
    assert!(target.tls);
    Http::open(Settings {
        path: Path { target: address, tls: Some(Tls::new(host, trust).unwrap()), sources: vec![] },
        requests: Requests::new(&target, keep_alive),
        keep_alive,
        connections: 3,
        pipeline: 1,
        scrapes: 0.0,
        wanted: 30,
        scrape_hashes: 1,
        workload: Arc::new(Workload::new(10, 20, 0.5, Popularity::Uniform, 1)),
        timeout: Duration::from_secs(5),
        threads: 1,
        seed: 1,
    })
}

#[test]
fn load_goes_through_tls() {
    let (address, _directory, file) = start();
    let span = Span { warmup: Duration::ZERO, duration: Duration::from_millis(400) };
    for trust in
        [Trust { anybody: true, authorities: None }, Trust { anybody: false, authorities: Some(file) }]
    {
        for keep_alive in [true, false] {
            let mut engine = open(address, "tracker.test", &trust, keep_alive).unwrap();
            let figures = engine.probe(Offered::Closed, span, &Watch::new(1)).unwrap();
            assert!(figures.answered > 0, "{figures:?}");
            assert_eq!((figures.sent, figures.wrong_in_all()), (figures.answered, 0), "{figures:?}");
        }
    }
}

#[test]
fn a_stranger_is_not_trusted() {
    let (address, _directory, file) = start();
    let refused = |host, trust| match open(address, host, &trust, true) {
        Err(Error::Tls { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    // Another name than in the certificate, and another certificate than the trusted one.
    let reason = refused("other.test", Trust { anybody: false, authorities: Some(file) });
    assert!(reason.contains("certificate"), "{reason}");
    let (_, _other_directory, other_file) = start();
    let reason = refused("tracker.test", Trust { anybody: false, authorities: Some(other_file) });
    assert!(reason.contains("certificate"), "{reason}");
}
