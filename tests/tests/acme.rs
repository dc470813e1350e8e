//! Certificates that the tracker gets for itself: from Pebble, which looks whether names lead to it, and from a server of the
//! tests' own, which does what Pebble does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::sys::signal::Signal;
use rustls::ClientConfig;
use serde_json::Value;
use std::{
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tests::{
    acme::{
        Relay, Shown, connect,
        fake::{ARI_IDENTIFIER, Fake, Mood},
        is_served, leaf, orders,
        pebble::{Pebble, REFUSED},
        tables, wait_for_orders,
    },
    eventually,
    riptide::{Riptide, Start},
    udp::id20,
    web::http::{Announce, Connection},
};

const NAMES: [&str; 2] = ["tracker.test", "also.tracker.test"];
/// A day, seconds.
const DAY: u32 = 86_400;

fn start(tables: &str) -> Start<'static> {
    Start::new(None).arguments("--udp 127.0.0.1:0").config(tables)
}

/// Pebble, and a tracker that is to have certificates from it.
fn with_pebble(validity: u32) -> (Pebble, Relay, Riptide) {
    let relay = Relay::new();
    let pebble = Pebble::start(relay.port(), validity);
    let riptide = start(&tables(&pebble.directory(), &pebble.ca(), &NAMES)).ready();
    (pebble, relay, riptide)
}

/// A file of its state directory.
fn state(riptide: &Riptide, name: &str) -> PathBuf {
    riptide.directory().path().join("state").join(name)
}

fn expiry(riptide: &Riptide, source: &str) -> u64 {
    riptide.metrics().count("riptide_tls_certificate_expiry_timestamp_seconds", &[("source", source)])
}

fn warnings(riptide: &Riptide, with: &str) -> usize {
    riptide.lines().iter().filter(|line| line.contains("WARN") && line.contains(with)).count()
}

fn reload(riptide: &Riptide) {
    let output = riptide.control("reload");
    assert!(output.status.success(), "{output:?}\n{}", riptide.log_text());
}

#[test]
fn a_certificate_is_had_shown_to_strict_clients_and_kept() {
    let (pebble, relay, riptide) = with_pebble(90 * DAY);
    // Its names lead nowhere yet: the server says so, and nobody is shown anything.
    wait_for_orders(&riptide, "challenge", 1);
    riptide.wait_for_line("what is wrong", |line| {
        line.contains("WARN")
            && NAMES.iter().all(|name| line.contains(name))
            && line.contains("port 443 of every name")
    });
    let refused = connect(&riptide, &pebble.client(), NAMES[0]).map(drop).unwrap_err();
    assert!(refused.to_string().contains("AccessDenied"), "{refused}");
    assert_eq!((expiry(&riptide, "acme"), pebble.orders(), pebble.issued()), (0, 1, 0));
    riptide.wait_for_line("why handshakes are refused", |line| line.contains("there is no certificate for"));

    // The operator has mended it.
    relay.lead(Some(riptide.https()[0]));
    reload(&riptide);
    wait_for_orders(&riptide, "ok", 1);
    for name in NAMES {
        assert!(is_served(&riptide, &pebble.client(), name).unwrap(), "{name}");
    }
    let other = connect(&riptide, &pebble.client(), "other.test").map(drop).unwrap_err();
    assert!(other.to_string().contains("certificate"), "{other}");
    riptide.wait_for_line("whom it is for, and until when", |line| {
        line.contains("INFO") && line.contains("is served, from https://") && line.contains("it expires at")
    });
    assert_eq!((pebble.orders(), pebble.issued()), (2, 1));
    let status: Value = serde_json::from_slice(&riptide.control("--json status").stdout).unwrap();
    assert_eq!(status["tls"]["source"], "acme");
    let mut names: Vec<&str> =
        status["tls"]["names"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["also.tracker.test", "tracker.test"]);
    let left = status["tls"]["expires_in_seconds"].as_u64().unwrap();
    assert!((89 * u64::from(DAY)..=90 * u64::from(DAY)).contains(&left), "{left}");
    for name in ["acme-certificate.pem", "acme-account.json", "acme-orders.json"] {
        let mode = state(&riptide, name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }

    // Another process serves what is kept, and asks nobody.
    let shown = leaf(&riptide, &pebble.client(), NAMES[0]);
    let directory = riptide.directory();
    riptide.stop();
    let again = start(&tables(&pebble.directory(), &pebble.ca(), &NAMES)).directory(directory).ready();
    assert_eq!(leaf(&again, &pebble.client(), NAMES[0]), shown);
    assert_eq!((pebble.orders(), pebble.issued()), (2, 1));
    again.stop();
}

/// Clients that announce over new connections, one after the other, and trust nothing but the ACME server's CA. Whoever is
/// not served panics.
struct Load {
    over: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn of(riptide: &Arc<Riptide>, client: &Arc<ClientConfig>) -> Self {
        let (over, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let clients = (1..=2_u16).map(|port| {
            let (riptide, client, over, served) =
                (riptide.clone(), client.clone(), over.clone(), served.clone());
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let stream =
                        connect(&riptide, &client, NAMES[usize::from(port) % 2]).expect("a handshake");
                    let target = Announce::leecher(id20("acme", 0), port).target();
                    let answer = Connection::new(stream, "").try_get(&target).expect("an answer");
                    assert!(answer.dictionary().integer("interval") > 0);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let clients = clients.collect();
        Self { over, served, clients }
    }

    /// Announces so far.
    fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    fn end(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().expect("a client that was always served"));
        self.served.load(Ordering::Relaxed)
    }
}

/// Of fifteen seconds ten are over before it is renewed: whoever waits for that cannot be quicker.
#[test]
fn a_certificate_is_renewed_under_load() {
    let (pebble, relay, riptide) = with_pebble(15);
    relay.lead(Some(riptide.https()[0]));
    reload(&riptide);
    wait_for_orders(&riptide, "ok", 1);
    let riptide = Arc::new(riptide);
    let first = leaf(&riptide, &pebble.client(), NAMES[0]);
    // A connection that is there before goes on.
    let mut kept = Connection::new(connect(&riptide, &pebble.client(), NAMES[1]).unwrap(), "");
    assert_eq!(kept.get("/health").status, 200);
    let load = Load::of(&riptide, &pebble.client());
    wait_for_orders(&riptide, "ok", 2);
    assert_ne!(leaf(&riptide, &pebble.client(), NAMES[0]), first);
    let before = load.served();
    eventually("announces with the new certificate", || (load.served() > before + 10).then_some(()));
    assert!(load.end() > before);
    assert_eq!(kept.get("/health").status, 200);
    assert_eq!(
        warnings(&riptide, "acme: "),
        orders(&riptide, "challenge") as usize,
        "{}",
        riptide.log_text()
    );
}

#[test]
fn the_old_certificate_is_served_on_when_the_server_says_no_or_nothing() {
    let (mut pebble, relay, riptide) = with_pebble(90 * DAY);
    relay.lead(Some(riptide.https()[0]));
    reload(&riptide);
    wait_for_orders(&riptide, "ok", 1);
    let (client, first) = (pebble.client(), leaf(&riptide, &pebble.client(), NAMES[0]));
    let configure = |domains: &[&str]| {
        let file = riptide.directory().path().join("riptide.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.lines().map(|line| match line.strip_prefix("domains = ") {
            Some(_) => format!("domains = {domains:?}"),
            None => line.to_owned(),
        });
        std::fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
        riptide.signal(Signal::SIGHUP);
    };
    let is_kept = || {
        assert_eq!(leaf(&riptide, &client, NAMES[0]), first);
        assert!(is_served(&riptide, &client, NAMES[1]).unwrap());
    };

    configure(&[NAMES[0], REFUSED]);
    wait_for_orders(&riptide, "refused", 1);
    riptide.wait_for_line("what the server says", |line| {
        line.contains("WARN") && line.contains("the ACME server refused") && line.contains("is served on")
    });
    is_kept();

    pebble.stop();
    configure(&[NAMES[0]]);
    wait_for_orders(&riptide, "unreachable", 1);
    riptide.wait_for_line("that nobody is there", |line| {
        line.contains("WARN") && line.contains("cannot be reached") && line.contains("tried again in")
    });
    is_kept();
    riptide.stop();
}

/// The tables by which certificates of a [`Fake`] are had.
fn tables_of(fake: &Fake) -> String {
    tables(&fake.directory(), &fake.ca(), &NAMES)
}

#[test]
fn the_servers_limits_are_kept_to() {
    let fake = Fake::start(Mood::Limits("3600".to_owned()), Shown::new());
    let riptide = start(&tables_of(&fake)).ready();
    riptide.wait_for_line("how long it waits", |line| {
        line.contains("WARN") && line.contains("too many certificates") && line.contains("in 60 min")
    });
    assert_eq!(orders(&riptide, "rate_limited"), 1);
    // Neither whoever asks is a reason to try before, nor a restart.
    reload(&riptide);
    riptide.signal(Signal::SIGHUP);
    let directory = riptide.directory();
    riptide.stop();
    let again = start(&tables_of(&fake)).directory(directory).ready();
    again.wait_for_line("that it waits", |line| line.contains("came to no good end; the next is in"));
    assert_eq!(fake.orders(), 1);
    again.stop();
}

#[test]
fn a_crash_loop_orders_once() {
    let fake = Fake::start(Mood::IsSilent, Shown::new());
    let mut riptide = start(&tables_of(&fake)).ready();
    eventually("an order", || (fake.orders() == 1).then_some(()));
    for _ in 0..4 {
        let directory = riptide.directory();
        riptide.signal(Signal::SIGKILL);
        let _ = riptide.wait();
        riptide = start(&tables_of(&fake)).directory(directory).ready();
        riptide.wait_for_line("that it waits", |line| line.contains("came to no good end; the next is in"));
    }
    assert_eq!(fake.orders(), 1);
    // An operator may ask, and is heard.
    reload(&riptide);
    eventually("another order", || (fake.orders() == 2).then_some(()));
    assert_eq!(fake.asked("/new-account").len(), 1, "the account was kept");
    riptide.stop();
}

#[test]
fn a_server_that_is_none_is_told_of_and_stops_nothing() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let shown = Shown::new();
    let past = Fake::start(
        Mood::Signs,
        Shown::with(|parameters| {
            parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }),
    );
    let stranger = Fake::start(Mood::Signs, Shown::new());
    let lost = Fake::start(Mood::Signs, Shown::new());
    let astray = lost.directory().replace("/directory", "/nowhere");
    for (directory, ca, outcome, words) in [
        (format!("https://{closed}/directory"), shown.file(), "unreachable", "Connection refused"),
        (past.directory(), past.ca(), "clock", "set the clock"),
        (stranger.directory(), shown.file(), "unreachable", "tls.acme.directory_ca"),
        (astray, lost.ca(), "unreachable", "not as an ACME server"),
    ] {
        let riptide = start(&tables(&directory, &ca, &NAMES)).http("listen = [\"127.0.0.1:0\"]").ready();
        wait_for_orders(&riptide, outcome, 1);
        riptide.wait_for_line(words, |line| line.contains("WARN") && line.contains(words));
        let stream = tests::web::stream::tcp([127, 0, 0, 1].into(), riptide.http()[0]);
        assert_eq!(Connection::new(stream, "").get("/health").status, 200);
        riptide.stop();
    }
}

#[test]
fn the_server_says_when_to_renew() {
    let fake = Fake::start(Mood::Signs, Shown::new());
    let riptide = start(&tables_of(&fake)).ready();
    wait_for_orders(&riptide, "ok", 1);
    assert!(is_served(&riptide, &fake.client(), NAMES[0]).unwrap());
    assert!(fake.asked("/new-order")[0].payload["replaces"].is_null());
    let first = leaf(&riptide, &fake.client(), NAMES[0]);
    let orders_file = state(&riptide, "acme-orders.json");
    let directory = riptide.directory();
    riptide.stop();
    // Of one that came just now it would not be believed that it is to be renewed: nobody knows any more when it came.
    std::fs::remove_file(orders_file).unwrap();
    fake.suggest_renewal();
    let again = start(&tables_of(&fake)).directory(directory).ready();
    wait_for_orders(&again, "ok", 1);
    assert_eq!(fake.asked("/renewal/")[0].path, format!("/renewal/{ARI_IDENTIFIER}"));
    assert_eq!(fake.asked("/new-order")[1].payload["replaces"], ARI_IDENTIFIER);
    assert_ne!(leaf(&again, &fake.client(), NAMES[0]), first);
    // The server says the same of the new one, which is too young.
    eventually("that it was asked of the new one", || (fake.asked("/renewal/").len() == 2).then_some(()));
    assert_eq!(fake.orders(), 2);
    again.stop();
}

#[test]
fn a_successor_serves_what_was_had() {
    let fake = Fake::start(Mood::Signs, Shown::new());
    let riptide = start(&tables_of(&fake)).ready();
    wait_for_orders(&riptide, "ok", 1);
    let shown = leaf(&riptide, &fake.client(), NAMES[0]);
    let next = start(&tables_of(&fake)).directory(riptide.directory()).arguments("--take-over").ready();
    assert_eq!(next.https(), riptide.https());
    let mut before = riptide;
    assert_eq!(before.wait().code(), Some(0));
    assert_eq!(leaf(&next, &fake.client(), NAMES[0]), shown);
    next.wait_for_line("what it serves", |line| line.contains("acme: the certificate for"));
    assert_eq!(fake.orders(), 1);
    assert_eq!(orders(&next, "ok"), 1, "counters go on");
    next.stop();
}

#[test]
fn a_certificate_in_files_is_told_of_before_it_expires() {
    let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / u64::from(DAY);
    let at = |day: u64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(day * u64::from(DAY));
    let files = Shown::with(|parameters| {
        (parameters.not_before, parameters.not_after) = (at(today - 80), at(today + 10));
    });
    let tables = format!(
        "[tls]\nlisten = [\"127.0.0.1:0\"]\ncertificate = {:?}\nkey = {:?}\n",
        files.file().display().to_string(),
        files.key_file().display().to_string()
    );
    let riptide = start(&tables).ready();
    riptide.wait_for_line("when it expires", |line| {
        line.contains("WARN")
            && line.contains("the certificate for localhost, 127.0.0.1 expires at")
            && line.contains("days; renew it")
    });
    assert_eq!(expiry(&riptide, "file"), (today + 10) * u64::from(DAY));
    assert!(!riptide.metrics().text.contains("riptide_tls_acme_orders_total"));
    let status = String::from_utf8(riptide.control("status").stdout).unwrap();
    assert!(status.contains("tls:\n  source: file\n"), "{status}");
    riptide.stop();
}
