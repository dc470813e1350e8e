//! The UDP socket engine against small trackers that are honest, lossy, lying or none at all.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tracker_load::{
    engine::{Engine as _, Offered, Span},
    error::Error,
    figures::{Figures, Wrong},
    progress::Watch,
    run::{self, Load},
    search::{Limit, Search},
    udp::{RENEW, Settings, sockets::Sockets},
    workload::{Popularity, Workload},
};

/// Long enough for any machine: a reply that is not lost must not be late.
const TIMEOUT: Duration = Duration::from_secs(5);
/// So few that all requests of a probe fit into a socket's buffer, should the tracker's thread be held up.
const RATE: f64 = 400.0;
const SPAN: Span = Span { warmup: Duration::ZERO, duration: Duration::from_millis(500) };

/// What a tracker makes of a request and its number: the replies it sends.
type Answer = dyn Fn(&[u8], u64) -> Vec<Vec<u8>> + Send;

struct Fake {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    fn start(answer: Box<Answer>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = socket.local_addr().unwrap();
        let (stop, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&requests));
        let thread = thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stopped.load(Relaxed) {
                let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
                let number = counted.fetch_add(1, Relaxed);
                for reply in answer(&buffer[..len], number) {
                    socket.send_to(&reply, from).unwrap();
                }
            }
        });
        Self { address, stop, requests, thread: Some(thread) }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// What an honest tracker says, byte by byte.
fn honest(request: &[u8]) -> Vec<u8> {
    let (action, transaction) = (request[11], &request[12..16]);
    let mut reply = vec![0, 0, 0, action];
    reply.extend(transaction);
    match action {
        0 => {
            assert_eq!(request[..8], [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80]);
            reply.extend(*b"8bytesID");
        }
        1 => {
            assert_eq!((&request[..8], request.len()), (&b"8bytesID"[..], 98));
            reply.extend([0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2]);
            reply.extend([10, 0, 0, 1, 0x1a, 0xe1, 10, 0, 0, 2, 0x1a, 0xe1]);
        }
        _ => {
            assert_eq!(&request[..8], b"8bytesID");
            let hashes = (request.len() - 16) / 20;
            reply.extend([0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3].repeat(hashes));
        }
    }
    reply
}

fn settings(target: SocketAddr) -> Settings {
    Settings {
        target,
        mix: "2:5:1".parse().unwrap(),
        wanted: 30,
        scrape_hashes: 3,
        workload: Arc::new(Workload::new(1000, 2000, 0.75, Popularity::Zipf(1.0), 1)),
        timeout: TIMEOUT,
        renew: RENEW,
        threads: 2,
        seed: 1,
    }
}

fn probe(fake: &Fake, rate: f64) -> Figures {
    let watch = Watch::new(2);
    let mut engine = Sockets::open(settings(fake.address), &BTreeSet::new(), &watch).unwrap();
    engine.probe(Offered::Rate(rate), SPAN, &watch).unwrap()
}

#[test]
fn an_honest_tracker_is_found_right() {
    let fake = Fake::start(Box::new(|request, _| vec![honest(request)]));
    let figures = probe(&fake, RATE);
    assert!(figures.sent > 0 && figures.sent <= figures.offered, "{figures:?}");
    assert_eq!((figures.answered, figures.unanswered), (figures.sent, 0));
    assert_eq!((figures.wrong_in_all(), figures.late), (0, 0));
    assert_eq!(figures.latency.len(), figures.answered);
    // Two connects and an announce come before the load.
    assert_eq!(fake.requests.load(Relaxed), figures.sent + 3);
    // The pace is kept: never more than the schedule and what a worker may catch up.
    assert!(figures.offered <= 200, "{}", figures.offered);
}

#[test]
fn what_is_dropped_is_unanswered() {
    let dropped = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&dropped);
    let fake = Fake::start(Box::new(move |request, number| {
        if number % 20 == 19 {
            counter.fetch_add(1, Relaxed);
            return vec![];
        }
        vec![honest(request)]
    }));
    let figures = probe(&fake, RATE);
    let dropped = dropped.load(Relaxed);
    assert!(dropped > 0);
    assert_eq!((figures.unanswered, figures.answered), (dropped, figures.sent - dropped));
    assert_eq!(figures.wrong_in_all(), 0);
}

/// A tracker whose every tenth announce reply is spoilt: as many wrong replies of this kind must be found.
fn lies(kind: Wrong, lie: impl Fn(Vec<u8>) -> Vec<Vec<u8>> + Send + 'static) {
    let lies = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&lies);
    let fake = Fake::start(Box::new(move |request, number| {
        let reply = honest(request);
        if number < 10 || number % 10 > 0 || request[11] != 1 {
            return vec![reply];
        }
        counter.fetch_add(1, Relaxed);
        lie(reply)
    }));
    let figures = probe(&fake, RATE);
    assert!(lies.load(Relaxed) > 0);
    assert_eq!(figures.wrong[kind as usize], lies.load(Relaxed), "{kind:?}: {figures:?}");
    assert_eq!(figures.wrong_in_all(), lies.load(Relaxed), "{kind:?}: {figures:?}");
}

#[test]
fn lies_are_told_apart() {
    lies(Wrong::Length, |reply| vec![reply[..reply.len() - 1].to_vec()]);
    lies(Wrong::Repeated, |mut reply| {
        reply.copy_within(20..26, 26);
        vec![reply]
    });
    lies(Wrong::Peer, |mut reply| {
        reply[24..26].fill(0);
        vec![reply]
    });
    lies(Wrong::Counts, |mut reply| {
        reply[12..20].fill(0);
        vec![reply]
    });
    lies(Wrong::Action, |mut reply| {
        reply[3] = 2;
        vec![reply]
    });
    lies(Wrong::Refused, |mut reply| {
        reply[3] = 3;
        vec![reply]
    });
    lies(Wrong::Unasked, |reply| vec![reply.clone(), reply]);
}

#[test]
fn a_foreign_transaction_id_answers_nothing() {
    let fake = Fake::start(Box::new(|request, number| {
        let mut reply = honest(request);
        if number >= 10 && number % 10 == 0 {
            reply[4] ^= 0x80;
        }
        vec![reply]
    }));
    let figures = probe(&fake, RATE);
    assert!(figures.unanswered > 0);
    assert_eq!(figures.wrong[Wrong::Unasked as usize], figures.unanswered);
}

#[test]
fn many_sources_each_use_their_own_connection_id() {
    // The tracker derives the ID from nothing but insists that every source has asked for one.
    let fake = Fake::start(Box::new(|request, _| vec![honest(request)]));
    let sources: BTreeSet<IpAddr> = (1..=5).map(|n| IpAddr::from([127, 0, 5, n])).collect();
    let watch = Watch::new(2);
    let mut engine = Sockets::open(settings(fake.address), &sources, &watch).unwrap();
    assert_eq!(fake.requests.load(Relaxed), 6, "a connect per source, and an announce");
    let figures = engine.probe(Offered::Rate(RATE), SPAN, &watch).unwrap();
    assert_eq!((figures.unanswered, figures.wrong_in_all()), (0, 0));
    assert!(figures.answered > 0);
}

#[test]
fn connection_ids_are_renewed() {
    // Each connect gets another ID, and announces with an ID from before the last but one go unanswered.
    let connects = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&connects);
    let fake = Fake::start(Box::new(move |request, _| {
        if request[11] == 0 {
            return vec![
                [&[0; 4][..], &request[12..16], &counter.fetch_add(1, Relaxed).to_be_bytes()].concat(),
            ];
        }
        let id = u64::from_be_bytes(request[..8].try_into().unwrap());
        if id + 2 < counter.load(Relaxed) {
            return vec![];
        }
        vec![honest(&[b"8bytesID", &request[8..]].concat())]
    }));
    let settings = Settings {
        mix: "0:1:0".parse().unwrap(),
        threads: 1,
        renew: Duration::from_millis(1),
        ..settings(fake.address)
    };
    let watch = Watch::new(1);
    let mut engine = Sockets::open(settings, &BTreeSet::new(), &watch).unwrap();
    let span = Span { warmup: Duration::ZERO, duration: Duration::from_millis(2500) };
    let figures = engine.probe(Offered::Rate(200.0), span, &watch).unwrap();
    assert!(connects.load(Relaxed) >= 2, "asked again while no connect was in the mix");
    assert_eq!((figures.unanswered, figures.wrong_in_all()), (0, 0), "{figures:?}");
}

#[test]
fn a_search_ends_at_its_top_against_a_tracker_that_keeps_up() {
    let fake = Fake::start(Box::new(|request, _| vec![honest(request)]));
    let watch = Watch::new(2);
    let mut engine = Sockets::open(settings(fake.address), &BTreeSet::new(), &watch).unwrap();
    // A machine that stalls for a while may lose a probe; the loss and the shortfall allowed here leave it room.
    let search = Search { from: 100.0, to: 400.0, loss: 0.9, precision: 0.5, ..Search::default() };
    let outcome = run::run(&mut engine, Load::Search(search), SPAN, &watch).unwrap();
    let found = outcome.found.unwrap();
    assert!(found.limit == Limit::Top || found.limit == Limit::Generator, "{outcome:?}");
    assert_eq!(outcome.figures.wrong_in_all(), 0);
}

#[test]
fn a_stop_ends_the_probe_with_the_figures_so_far() {
    let watch = Arc::new(Watch::new(2));
    let stopper = Arc::clone(&watch);
    let fake = Fake::start(Box::new(move |request, number| {
        if number == 50 {
            stopper.stop();
        }
        vec![honest(request)]
    }));
    let mut engine = Sockets::open(settings(fake.address), &BTreeSet::new(), &watch).unwrap();
    let forever = Span { warmup: Duration::ZERO, duration: Duration::from_secs(3600) };
    let figures = engine.probe(Offered::Rate(500.0), forever, &watch).unwrap();
    assert!(figures.answered >= 40 && figures.seconds < 3600.0, "{figures:?}");
}

fn refused(target: SocketAddr) -> Error {
    Sockets::open(settings(target), &BTreeSet::new(), &Watch::new(2)).unwrap_err()
}

#[test]
fn what_is_no_tracker_is_said_to_be_none() {
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = refused(free);
    assert!(
        matches!(&error, Error::Unreachable { reason, .. } if reason.contains("nothing listens")),
        "{error}"
    );

    let silent = Fake::start(Box::new(|_, _| vec![]));
    let error = refused(silent.address);
    assert!(matches!(error, Error::Silent { what: "connect", .. }), "{error}");

    let echo = Fake::start(Box::new(|request, _| vec![request.to_vec()]));
    let error = refused(echo.address);
    assert!(matches!(error, Error::NotATracker { .. }), "{error}");

    let refuses = Fake::start(Box::new(|request, _| {
        let refusal = [&[0, 0, 0, 3][..], &request[12..16], b"go away"].concat();
        vec![if request[11] == 0 { honest(request) } else { refusal }]
    }));
    let error = refused(refuses.address);
    assert!(matches!(&error, Error::NotATracker { what, .. } if what.contains("go away")), "{error}");

    let shy =
        Fake::start(Box::new(|request, _| if request[11] == 0 { vec![honest(request)] } else { vec![] }));
    let error = refused(shy.address);
    assert!(matches!(error, Error::Silent { what: "announce", .. }), "{error}");
}

#[test]
fn without_a_pace_there_is_no_load() {
    let fake = Fake::start(Box::new(|request, _| vec![honest(request)]));
    let watch = Watch::new(2);
    let mut engine = Sockets::open(settings(fake.address), &BTreeSet::new(), &watch).unwrap();
    assert!(matches!(engine.probe(Offered::Closed, SPAN, &watch), Err(Error::Usage(_))));
}
