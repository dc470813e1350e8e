//! The HTTP engine against small trackers that are honest, lossy, lying or none at all.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Fake, SPAN, TIMEOUT, head, more};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tracker_load::{
    engine::{Engine as _, Offered},
    error::Error,
    figures::{Figures, Wrong},
    http::{Http, Settings, request::Requests},
    net::channel::Path,
    progress::Watch,
    target::{Protocol, Target},
    workload::{Popularity, Workload},
};

/// What a tracker does about a request head and its number.
enum Deed {
    Answer(Vec<u8>),
    /// Answers, then closes.
    AnswerAndClose(Vec<u8>),
    Close,
    Silence,
}

type Judge = dyn Fn(&str, u64) -> Deed;

/// A tracker, and how many requests it has had.
fn start(judge: impl Fn(&str, u64) -> Deed + Send + Sync + 'static) -> (Fake, Arc<AtomicU64>) {
    let requests = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&requests);
    (Fake::start(move |stream| serve(stream, &judge, &counted)), requests)
}

fn serve(mut stream: TcpStream, judge: &Judge, counted: &AtomicU64) {
    let (mut input, mut part) = (Vec::new(), [0; 4096]);
    loop {
        while let Some(head) = head(&mut input) {
            let done = match judge(&head, counted.fetch_add(1, Relaxed)) {
                Deed::Answer(bytes) => stream.write_all(&bytes).is_err(),
                Deed::AnswerAndClose(bytes) => stream.write_all(&bytes).is_ok(),
                Deed::Close => true,
                Deed::Silence => false,
            };
            if done {
                return;
            }
        }
        match stream.read(&mut part) {
            Ok(len) if len > 0 => input.extend(&part[..len]),
            _ => return,
        }
    }
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// What an honest tracker says, byte by byte.
fn honest(head: &str) -> Vec<u8> {
    let query = head.strip_prefix("GET /").unwrap().split(' ').next().unwrap();
    if query.starts_with("scrape?info_hash=") {
        return ok(b"d5:filesdee");
    }
    assert!(query.starts_with("announce?info_hash="), "{query}");
    for part in ["&peer_id=-RL0100-", "&port=", "&left=", "&numwant=30", "&compact=1"] {
        assert!(query.contains(part), "{query}");
    }
    ok(b"d8:completei1e10:incompletei2e8:intervali1800e5:peers6:\x0a\0\0\x01\x1a\xe1e")
}

fn settings(address: SocketAddr) -> Settings {
    let target = Target::parse(&address.to_string(), Protocol::Http, false).unwrap();
    Settings {
        path: Path { target: address, tls: None, sources: vec![] },
        requests: Requests::new(&target, true),
        keep_alive: true,
        connections: 5,
        pipeline: 1,
        scrapes: 0.2,
        wanted: 30,
        scrape_hashes: 3,
        workload: Arc::new(Workload::new(1000, 2000, 0.75, Popularity::Uniform, 1)),
        timeout: TIMEOUT,
        threads: 2,
        seed: 1,
    }
}

fn probe(settings: Settings, offered: Offered) -> Figures {
    Http::open(settings).unwrap().probe(offered, SPAN, &Watch::new(2)).unwrap()
}

fn assert_all_right(figures: &Figures) {
    assert!(figures.sent > 0 && figures.sent <= figures.offered, "{figures:?}");
    assert_eq!(
        (figures.answered, figures.unanswered, figures.wrong_in_all()),
        (figures.sent, 0, 0),
        "{figures:?}"
    );
    assert_eq!(figures.latency.len(), figures.answered);
}

#[test]
fn paced_on_open_connections() {
    let (fake, requests) = start(|head, _| Deed::Answer(honest(head)));
    let figures = probe(settings(fake.address), Offered::Rate(1000.0));
    assert_all_right(&figures);
    assert_eq!(requests.load(Relaxed), figures.sent + 1, "an announce comes before the load");
    assert!(figures.offered <= 500 + 2 * 10, "{}", figures.offered);
    assert!(more(&figures, "connections_opened") <= 5);
}

#[test]
fn as_fast_as_answers_come() {
    let (fake, _) = start(|head, _| Deed::Answer(honest(head)));
    let figures = probe(settings(fake.address), Offered::Closed);
    assert_all_right(&figures);
    assert_eq!(more(&figures, "connections_opened"), 5);
}

#[test]
fn several_requests_at_a_time_on_a_connection() {
    let (fake, _) = start(|head, _| Deed::Answer(honest(head)));
    let figures = probe(Settings { pipeline: 8, connections: 2, ..settings(fake.address) }, Offered::Closed);
    assert_all_right(&figures);
    assert_eq!(more(&figures, "connections_opened"), 2);
}

#[test]
fn a_connection_for_each_request() {
    for closes in [false, true] {
        let (fake, _) = start(move |head, number| {
            assert!(number == 0 || head.contains("\r\nConnection: close\r\n"));
            if closes { Deed::AnswerAndClose(honest(head)) } else { Deed::Answer(honest(head)) }
        });
        let target = Target::parse(&fake.address.to_string(), Protocol::Http, false).unwrap();
        let requests = Requests::new(&target, false);
        let settings = Settings { keep_alive: false, requests, ..settings(fake.address) };
        let figures = probe(settings, Offered::Rate(300.0));
        assert_all_right(&figures);
        assert_eq!(more(&figures, "connections_opened"), figures.sent);
    }
}

#[test]
fn what_breaks_is_unanswered_and_the_load_goes_on() {
    let broken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&broken);
    let (fake, _) = start(move |head, number| {
        if number % 50 == 49 {
            counter.fetch_add(1, Relaxed);
            return Deed::Close;
        }
        Deed::Answer(honest(head))
    });
    let figures = probe(settings(fake.address), Offered::Rate(1000.0));
    let broken = broken.load(Relaxed);
    assert!(broken > 0);
    // A connection that ends without an answer is a response that cannot be read, or a request left alone.
    assert_eq!(figures.sent - figures.answered, broken, "{figures:?}");
    assert!(figures.answered > 100, "{figures:?}");
}

#[test]
fn silence_is_unanswered() {
    let (fake, _) =
        start(|head, number| if number == 0 { Deed::Answer(honest(head)) } else { Deed::Silence });
    let settings = Settings { timeout: Duration::from_millis(300), ..settings(fake.address) };
    let figures = probe(settings, Offered::Closed);
    assert!(figures.sent > 0);
    assert_eq!((figures.answered, figures.unanswered), (0, figures.sent));
}

/// A tracker whose every tenth reply is spoilt: as many wrong replies of this kind must be found.
fn lies(kind: Wrong, lie: &'static [u8]) {
    let lies = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&lies);
    let (fake, _) = start(move |head, number| {
        if number == 0 || number % 10 > 0 {
            return Deed::Answer(honest(head));
        }
        counter.fetch_add(1, Relaxed);
        Deed::Answer(lie.to_vec())
    });
    let figures = probe(Settings { scrapes: 0.0, ..settings(fake.address) }, Offered::Rate(500.0));
    assert!(lies.load(Relaxed) > 0);
    assert_eq!(figures.wrong[kind as usize], lies.load(Relaxed), "{kind:?}: {figures:?}");
    assert_eq!(figures.wrong_in_all(), lies.load(Relaxed), "{kind:?}: {figures:?}");
}

#[test]
fn lies_are_told_apart() {
    lies(Wrong::Status, b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    lies(Wrong::Malformed, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
    lies(Wrong::Malformed, b"no HTTP at all\r\n\r\n");
    lies(Wrong::Refused, b"HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\nd14:failure reason2:noe");
    lies(
        Wrong::Peer,
        b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nd8:intervali9e5:peers6:\x0a\0\0\x01\0\0e",
    );
}

#[test]
fn what_is_no_tracker_is_said_to_be_none() {
    let refused = |address| Http::open(settings(address)).unwrap_err();
    let answers = |bytes: &'static [u8]| {
        let (fake, _) = start(|_, _| Deed::AnswerAndClose(bytes.to_vec()));
        match refused(fake.address) {
            Error::NotATracker { what, .. } => what,
            other => panic!("{other}"),
        }
    };
    assert!(answers(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n").contains("status 404"));
    assert!(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhtml").contains("malformed"));
    assert!(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\nd14:failure reason2:noe").contains("no"));
    assert!(answers(b"SSH-2.0\r\n\r\n").contains("no HTTP response"));
    assert!(answers(b"").contains("closed"));

    let (silent, _) = start(|_, _| Deed::Silence);
    assert!(matches!(refused(silent.address), Error::Silent { .. }));
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = refused(free);
    assert!(
        matches!(&error, Error::Unreachable { reason, .. } if reason.contains("nothing listens")),
        "{error}"
    );
    let greedy = Settings { connections: 100_000_000, ..settings(free) };
    assert!(matches!(Http::open(greedy), Err(Error::Descriptors { .. })));
}
