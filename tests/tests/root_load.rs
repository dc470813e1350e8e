//! `riptide-load`'s kernel engine against the tracker: what one counts the other counts, and what cannot be is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use tests::{
    load::{Ended, Field, SOURCES, TARGET, copy_for_all, load_binary, run},
    metrics::Metrics,
    riptide::Riptide,
};

const PEERS: u64 = 2000;
const TORRENTS: u64 = 500;

fn responses(metrics: &Metrics, path: &str, action: &str) -> u64 {
    metrics.count("riptide_udp_responses_total", &[("path", path), ("action", action)])
}

/// Waits until the counters of the answers to announces and scrapes stand still.
fn at_rest(riptide: &Riptide) -> Metrics {
    let mut before = 0;
    riptide.metrics_until("counters that stand still", |metrics| {
        let now = responses(metrics, "xsk", "announce") + responses(metrics, "xsk", "scrape");
        std::mem::replace(&mut before, now) == now
    })
}

#[test]
fn load_and_tracker_count_alike() {
    let field = Field::new();
    let riptide = field.riptide("");
    let workload = format!("--torrents {TORRENTS} --peers {PEERS} --rate 5k --warmup 0s --duration 3s");
    let ended = run(field.command(&format!("{workload} --windows 1s --watch-cpu 0")));
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(ended.out.contains("processor busy"), "{ended:?}");
    let figures = field.figures();
    assert_eq!(figures.count("wrong_in_all"), 0, "{:#}", figures.0);
    for kind in ["connects", "announces", "scrapes", "peers"] {
        assert!(figures.count(kind) > 0, "{kind}: {:#}", figures.0);
    }
    let [sent, answered, unanswered] = ["sent", "answered", "unanswered"].map(|name| figures.count(name));
    assert!(answered > 0 && sent == answered + unanswered, "{:#}", figures.0);
    assert_eq!(figures.0["setup"]["engine"], "kernel");
    assert!(figures.0["cpu_seconds"].as_f64().is_some_and(|seconds| seconds >= 0.0), "{:#}", figures.0);
    let windows = figures.0["windows"].as_array().expect("windows");
    assert_eq!(windows.len(), 3, "{:#}", figures.0);
    let of_windows: u64 = windows.iter().filter_map(|window| window["sent"].as_u64()).sum();
    assert_eq!(of_windows, sent, "{:#}", figures.0);

    let metrics = at_rest(&riptide);
    // A loaded machine may lose a reply on its way: then the tracker has counted it, and the client misses it.
    let count = |action| responses(&metrics, "xsk", action);
    let theirs = count("announce") + count("scrape");
    let ours = figures.count("announces") + figures.count("scrapes");
    assert!(ours <= theirs && theirs - ours <= unanswered, "{ours} {theirs}\n{}", metrics.text);
    // Every source had learned its connection ID before.
    let connects = responses(&metrics, "kernel", "connect");
    assert!(connects >= figures.count("connects") + 254, "{connects}\n{}", metrics.text);
    for nothing in [("path", "socket"), ("action", "error")] {
        assert_eq!(metrics.count("riptide_udp_responses_total", &[nothing]), 0, "{}", metrics.text);
    }
    let [torrents, peers] = metrics.stored();
    assert!(0 < peers && peers <= PEERS && 0 < torrents && torrents <= TORRENTS, "{}", metrics.text);

    // Once every peer has announced, all are there. The last of them may have gone round twice by then.
    let ended = run(field.command(&format!("{workload} --fill 5k")));
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let figures = field.figures();
    let [_, now] = riptide.metrics().stored();
    let lost = figures.count("filled") < PEERS || figures.count("unanswered") > 0;
    assert!(lost || now == PEERS, "{now} peers: {:#}", figures.0);
    assert!(!field.is_attached(), "its program is gone with it");
    riptide.stop();
}

#[test]
fn a_flood_of_forged_announces_is_dropped_and_requests_are_answered() {
    let field = Field::new();
    let riptide = field.riptide("");
    let workload = format!("--torrents {TORRENTS} --peers {PEERS} --rate 2k --warmup 0s --duration 2s");
    let ended = run(field.command(&format!("{workload} --flood 9")));
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let figures = field.figures();
    let [forged, sent, answered] = ["flood", "sent", "answered"].map(|name| figures.count(name));
    assert!(8 * sent < forged && forged < 10 * sent && answered > 0, "{:#}", figures.0);
    let metrics = at_rest(&riptide);
    let dropped = metrics.count("riptide_udp_dropped_total", &[("reason", "bad_connection_id")]);
    // The wire of a loaded machine may lose some.
    assert!(0 < dropped && dropped <= forged, "{dropped} of {forged}\n{}", metrics.text);
    riptide.stop();
}

#[test]
fn a_loud_client_is_answered_as_often_as_its_limit_says() {
    const LIMIT: u64 = 50;
    const SECONDS: u64 = 2;
    let field = Field::new();
    let riptide = field.riptide(&format!("[limits]\nudp_requests_per_second = {LIMIT}\n"));
    let workload =
        format!("--torrents {TORRENTS} --peers {PEERS} --rate 1k --warmup 0s --duration {SECONDS}s");
    let ended = run(field.command(&format!("{workload} --mix 1:0:0 --loud 5")));
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let figures = field.figures();
    let [flood, replies, sent] = ["flood", "loud_replies", "sent"].map(|name| figures.count(name));
    // How long the load really ran is not exact.
    assert!(4 * sent < flood && flood < 6 * sent, "{:#}", figures.0);
    assert!(0 < replies && replies <= LIMIT * (2 * SECONDS + 1), "{:#}", figures.0);
    let dropped = at_rest(&riptide).count("riptide_udp_dropped_total", &[("reason", "rate_limited")]);
    assert!(0 < dropped && dropped + replies <= flood, "{dropped} of {flood}");
    riptide.stop();
}

#[test]
fn the_listed_torrents_are_those_that_are_asked_for() {
    let directory = TempDir::with_prefix("riptide-test-").expect("a temporary directory");
    let list = directory.path().join("hashes");
    let workload = format!("--torrents {TORRENTS} --peers {PEERS} --seed 3");
    let hashes = run(list_command(&workload));
    assert_eq!((hashes.status, hashes.out.lines().count() as u64), (Some(0), TORRENTS), "{hashes:?}");
    std::fs::write(&list, &hashes.out).expect("to write the list");

    let field = Field::new();
    let access = format!("[access]\nmode = \"allow\"\ninfo_hashes = \"{}\"\n", list.display());
    let riptide = field.riptide(&access);
    let pace = "--mix 0:1:0 --rate 5k --warmup 0s --duration 1s";
    let ended = run(field.command(&format!("{workload} {pace}")));
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(field.figures().count("announces") > 0, "{ended:?}");
    // Those of another seed are none of them.
    let ended = run(field.command(&format!("--torrents {TORRENTS} --peers {PEERS} --seed 4 {pace}")));
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let figures = field.figures();
    let refused = figures.0["wrong"]["refused"].as_u64();
    assert!(refused > Some(0) && figures.count("announces") == 0, "{:#}", figures.0);
    riptide.stop();
}

fn list_command(workload: &str) -> Command {
    let mut command = Command::new(load_binary());
    command.arg("hashes").args(workload.split(' ')).stdin(Stdio::null());
    command
}

#[test]
fn ctrl_c_ends_with_figures() {
    let field = Field::new();
    let riptide = field.riptide("");
    let child = field.command("--rate 5k --warmup 0s --duration 1h").spawn().expect("to start the load");
    riptide.metrics_until("some announces", |metrics| responses(metrics, "xsk", "announce") > 500);
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a process ID")), Signal::SIGINT).expect("a process");
    let ended: Ended = child.wait_with_output().expect("an end").into();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(ended.out.contains("stopped") && ended.out.contains("answered"), "{ended:?}");
    let figures = field.figures();
    assert!(figures.0["stopped"] == true && figures.count("answered") > 0, "{:#}", figures.0);
    assert!(!field.is_attached(), "its program is gone with it");
    riptide.stop();
}

/// That it ended so, with one line that has these words.
fn fails(ended: &Ended, status: i32, words: &[&str]) {
    assert_eq!((ended.status, ended.out.as_str()), (Some(status), ""), "{ended:?}");
    assert!(ended.err.starts_with("riptide-load: ") && ended.err.lines().count() == 1, "{ended:?}");
    for word in words {
        assert!(ended.err.contains(word), "{word} is not in {ended:?}");
    }
}

#[test]
fn what_cannot_be_is_one_line() {
    let mut field = Field::new();
    // Another host's address, where nobody is.
    let with = |target: &str, interface: &str| {
        let mut command = field.load.command(&load_binary().to_string_lossy());
        command.args(["udp", "--engine", "kernel", "--rate", "5k", "--sources", SOURCES]);
        command.args(["--target", target, "--interface", interface]);
        run(command)
    };
    fails(&with(TARGET, "nosuch0"), 2, &["--interface nosuch0", "no such interface"]);
    fails(&with("10.77.0.9:6969", "c0"), 1, &["10.77.0.9:6969 is unreachable", "ARP"]);
    // The target is behind another interface than the one named.
    fails(&with(TARGET, "lo"), 1, &[TARGET, "lo"]);
    fails(&with(TARGET, "c0"), 1, &[TARGET, "did not answer", "connects"]);
    assert!(!field.is_attached(), "its program is gone with it");

    field.load.ip("link add d0 type bridge\naddr add 10.80.0.1/24 dev d0\nlink set d0 up\n\
                   neigh add 10.80.0.2 lladdr 02:00:00:00:00:02 dev d0 nud permanent\n");
    fails(&with("10.80.0.2:6969", "d0"), 1, &["no native XDP", "--engine sockets"]);

    let directory = TempDir::with_prefix("riptide-test-").expect("a temporary directory");
    let copy = copy_for_all(&load_binary(), directory.path());
    let mut nobody = field.load.command("setpriv");
    nobody.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(copy);
    nobody.args(["udp", "--engine", "kernel", "--rate", "5k", "--sources", SOURCES]);
    nobody.args(["--target", TARGET, "--interface", "c0"]).stdin(Stdio::null());
    fails(&run(nobody), 1, &["needs root", "--engine sockets"]);

    field.load.attach_pass("c0");
    let ended = run(field.command("--rate 5k"));
    fails(&ended, 1, &["another XDP program"]);
}

#[test]
fn it_says_no_to_what_it_cannot_do_before_it_starts() {
    let wrong = |arguments: &str| {
        let mut command = Command::new(load_binary());
        command.args(["udp", "--engine", "kernel", "--interface", "lo", "--rate", "5k"]);
        run({
            command.args(arguments.split_whitespace());
            command
        })
    };
    fails(&wrong("--target [::1]:6969 --sources 10.99.0.0/24"), 2, &["IPv4 only"]);
    fails(&wrong("--target 127.0.0.1:6969 --sources 10.99.0.0/24 --zipf 1.0"), 2, &["--zipf"]);
    fails(&wrong("--target 127.0.0.1:6969 --sources 4"), 2, &["--sources"]);
}
