//! `riptide config from`: files of other trackers become one of Riptide's that does the same.
//!
//! The results in `samples/from` are written by hand, from what the other trackers' sources make of each key.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::Output,
};
use tests::{
    FIRST_INTERVAL,
    riptide::{Start, command},
    udp::{Announce, Client, Reply, hex, id20},
};

fn from(tracker: &str, file: &Path) -> Output {
    command(&["config", "from", tracker, &file.display().to_string()])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/from")
}

/// The samples of a tracker.
fn samples_of(tracker: &str) -> Vec<String> {
    let names =
        std::fs::read_dir(samples()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.into_string().expect("UTF-8"));
    let mut names: Vec<String> =
        names.filter(|name| name.starts_with(tracker) && !name.ends_with(".riptide.toml")).collect();
    names.sort();
    names
}

#[test]
fn samples_become_what_was_written_by_hand() {
    let here = env!("CARGO_MANIFEST_DIR");
    for (tracker, least) in [("opentracker", 3), ("aquatic", 7)] {
        let names = samples_of(tracker);
        assert!(names.len() >= least, "{names:?}");
        for name in names {
            let file = samples().join(&name);
            let expected = file.with_extension("riptide.toml");
            let expected =
                std::fs::read_to_string(&expected).unwrap_or_else(|e| panic!("{}: {e}", expected.display()));
            let output = from(tracker, &file);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{name}: {said}");
            let printed = text(&output.stdout)
                .replace(&format!("{here}/samples/from/{name}"), &format!("samples/from/{name}"));
            let printed = printed.replace(here, "/HERE");
            for (number, (printed, expected)) in (1..).zip(printed.lines().zip(expected.lines())) {
                assert_eq!(
                    printed, expected,
                    "line {number} of {name}: what is printed, what was written by hand"
                );
            }
            assert_eq!(printed.lines().count(), expected.lines().count(), "lines of {name}: {printed}");
        }
    }
}

/// What each sample comes to, by its lines: counted by hand.
#[test]
fn a_line_counts_what_became_of_the_settings() {
    for (tracker, name, counted) in [
        (
            "opentracker",
            "opentracker-minimal.conf",
            "1 setting: 1 taken over, 0 without a counterpart, 0 not understood",
        ),
        (
            "opentracker",
            "opentracker-whitelist.conf",
            "3 settings: 2 taken over, 1 without a counterpart, 0 not understood",
        ),
        (
            "opentracker",
            "opentracker-everything.conf",
            "27 settings: 15 taken over, 8 without a counterpart, 4 not understood",
        ),
        (
            "aquatic",
            "aquatic-udp-0.9.0.toml",
            "8 settings: 5 taken over, 1 without a counterpart, 2 not understood",
        ),
        (
            "aquatic",
            "aquatic-http-proxy.toml",
            "6 settings: 5 taken over, 1 without a counterpart, 0 not understood",
        ),
    ] {
        let said = text(&from(tracker, &samples().join(name)).stderr);
        let last = said.lines().last().unwrap_or_default();
        assert!(
            last.starts_with("riptide: ") && last.ends_with(&format!("{name}: {counted}")),
            "{name}: {said}"
        );
    }
}

#[test]
fn what_is_not_understood_is_named_with_its_line() {
    let file = samples().join("opentracker-everything.conf");
    let said = text(&from("opentracker", &file).stderr);
    for (line, what) in
        [(37, "`listen.tpc`; did you mean listen.tcp?"), (38, "`192.0.2.300`"), (39, "`tracker.maxpeers`")]
    {
        let named = format!("riptide: warning: {}:{line}: ", file.display());
        assert!(said.lines().any(|it| it.starts_with(&named) && it.contains(what)), "{named}{what}: {said}");
    }
}

#[test]
fn other_files_are_wrong_usage() {
    let samples = samples();
    for (tracker, file, told) in [
        ("opentracker", "aquatic-udp-minimal.toml", "no configuration of opentracker"),
        ("aquatic", "opentracker-minimal.conf", ":2: not valid TOML"),
        ("aquatic", "opentracker-minimal.riptide.toml", "no configuration of aquatic"),
        ("aquatic", "nowhere.toml", "cannot be read"),
        ("opentracker", ".", "cannot be read"),
    ] {
        let output = from(tracker, &samples.join(file));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{file}: {said}");
        assert!(said.contains(told) && output.stdout.is_empty(), "{file}: {said}");
    }
}

/// A table of the result, and the rest.
fn without_table(toml: &str, table: &str) -> (String, String) {
    let (mut inside, mut rest, mut is_inside) = (String::new(), String::new(), false);
    for line in toml.lines() {
        if line.starts_with('[') {
            is_inside = line == format!("[{table}]");
        }
        let part = if is_inside { &mut inside } else { &mut rest };
        *part += line;
        part.push('\n');
    }
    (inside.split_once('\n').map(|(_, keys)| keys.to_owned()).unwrap_or_default(), rest)
}

/// A tracker that serves a list alone, moved with its list as it is: checked, started, asked. aquatic's interval is half as
/// long, and the first peer of a torrent is told half of each.
#[test]
fn a_moved_tracker_serves_its_list() {
    let (listed, other) = (id20("listed", 1), id20("other", 1));
    // Both let blank lines pass, and digits of either case.
    let opentracker =
        "listen.tcp_udp 127.0.0.1:0\nlisten.udp.workers 1\naccess.whitelist list\ntracker.rootdir DIR\n"
            .to_owned();
    let aquatic = "socket_workers = 1\n[network]\nuse_ipv6 = false\naddress_ipv4 = \"127.0.0.1:0\"\nuse_io_uring = true\n\
                   [access_list]\nmode = \"allow\"\npath = \"DIR/list\"\n"
        .to_owned();
    for (tracker, given, first_interval) in
        [("opentracker", opentracker, FIRST_INTERVAL), ("aquatic", aquatic, 405..=495)]
    {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().display().to_string();
        let list = format!("\n{}\n{}\n", hex(id20("more", 1)).to_uppercase(), hex(listed));
        std::fs::write(directory.path().join("list"), list).expect("a list");
        let file = directory.path().join("other");
        std::fs::write(&file, given.replace("DIR", &place)).expect("a file");
        let output = from(tracker, &file);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let toml = text(&output.stdout);
        let result = directory.path().join("riptide.toml");
        std::fs::write(&result, &toml).expect("a file");
        let checked = command(&["config", "check", &result.display().to_string()]);
        assert!(checked.status.success(), "{}{toml}", text(&checked.stderr));

        let (http, rest) = without_table(&toml, "http");
        let riptide = Start::new(None).http(&http).config(&rest).ready();
        assert_eq!(riptide.udp().len(), 1, "{toml}");
        assert_eq!(riptide.http().len(), usize::from(tracker == "opentracker"), "{toml}");
        let client = Client::new(IpAddr::V4(Ipv4Addr::LOCALHOST), riptide.udp()[0]);
        let told = client.announce(&Announce::leecher(listed, 6881)).interval;
        assert!(first_interval.contains(&told), "{tracker}: {told}");
        let refused = client.try_announce(&Announce::leecher(other, 6881));
        assert!(matches!(refused, Reply::Error(_)), "{tracker}: {refused:?}");
    }
}
