//! The swarms outlive the process: as an operator sees it, without privileges.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::sys::signal::Signal;
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    sync::Arc,
};
use tempfile::TempDir;
use tests::{
    net::workspace,
    riptide::{Riptide, Start},
    udp::{Announce, Client, Row, event, id20},
};

fn start(directory: Option<&Arc<TempDir>>) -> Start<'static> {
    let start = Start::new(None).arguments("--udp 127.0.0.1:0 --udp [::1]:0");
    match directory {
        Some(directory) => start.directory(directory.clone()),
        None => start,
    }
}

/// A client of each family.
fn clients(riptide: &Riptide) -> [Client; 2] {
    let of = |address: IpAddr| {
        let tracker = riptide.udp().iter().find(|udp| udp.is_ipv4() == address.is_ipv4());
        Client::new(address, *tracker.expect("a listener"))
    };
    [of(Ipv4Addr::LOCALHOST.into()), of(Ipv6Addr::LOCALHOST.into())]
}

fn file(directory: &TempDir) -> PathBuf {
    directory.path().join("state/swarms.riptide")
}

/// Names in the state directory that were set aside.
fn aside(directory: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.path().join("state")).expect("its state").flatten();
    let is_aside = |path: &PathBuf| path.to_string_lossy().contains("swarms.riptide.bad-");
    entries.map(|entry| entry.path()).filter(is_aside).collect()
}

fn row(seeders: u32, completed: u32, leechers: u32) -> Row {
    Row { seeders, completed, leechers }
}

/// Two torrents with peers, and one that has only its count of downloads.
fn fill(riptide: &Riptide) {
    let [four, six] = clients(riptide);
    four.announce(&Announce::seeder(id20("state", 0), 1).event(event::COMPLETED));
    six.announce(&Announce::leecher(id20("state", 0), 2));
    six.announce(&Announce::leecher(id20("state", 1), 3));
    four.announce(&Announce::seeder(id20("state", 2), 4).event(event::COMPLETED));
    four.announce(&Announce::seeder(id20("state", 2), 4).event(event::STOPPED));
}

fn check(riptide: &Riptide) {
    let [four, six] = clients(riptide);
    let rows = [0, 1, 2].map(|n| four.row(id20("state", n)));
    assert_eq!(rows, [row(1, 1, 1), row(0, 0, 1), row(0, 1, 0)], "{}", riptide.log_text());
    // The peers themselves, asked for by somebody else.
    let asks = |client: &Client| {
        let ports = client.announce(&Announce::leecher(id20("state", 0), 9)).ports();
        client.announce(&Announce::leecher(id20("state", 0), 9).event(event::STOPPED));
        ports
    };
    assert_eq!([asks(&four), asks(&six)], [[1], [2]]);
}

#[test]
fn a_stop_saves_and_a_start_restores() {
    let riptide = start(None).ready();
    fill(&riptide);
    let directory = riptide.stop();
    let riptide = start(Some(&directory)).ready();
    check(&riptide);
    let metrics = riptide.metrics();
    assert_eq!(metrics.sum("riptide_state_restored_peers", &[]), 3.0);
    let size = fs::metadata(file(&directory)).expect("the file").len();
    assert_eq!(metrics.sum("riptide_state_size_bytes", &[]), size as f64);
    assert!(metrics.sum("riptide_state_last_save_timestamp_seconds", &[]) > 1.7e9);
    assert!(aside(&directory).is_empty());
    let told = riptide.lines().into_iter().filter(|line| line.contains("restored 3 peers in 2 torrents"));
    assert_eq!(told.count(), 1, "{}", riptide.log_text());
    riptide.stop();
}

#[test]
fn it_saves_every_so_often() {
    let riptide = start(None).environment("RIPTIDE_STATE__SAVE_INTERVAL", "1s").ready();
    fill(&riptide);
    let saves = |m: &tests::metrics::Metrics| m.sum("riptide_state_saves_total", &[("outcome", "ok")]);
    let before = saves(&riptide.metrics());
    // One may have been on its way; the one after it has everything.
    riptide.metrics_until("two more saves", |m| saves(m) >= before + 2.0);
    let directory = riptide.directory();
    riptide.kill();
    check(&start(Some(&directory)).ready());
}

#[test]
fn where_it_is_turned_off_nothing_is_saved_or_restored() {
    let riptide = start(None).ready();
    fill(&riptide);
    let directory = riptide.stop();
    let off = || start(Some(&directory)).environment("RIPTIDE_STATE__SWARMS", "false");
    let before = fs::read(file(&directory)).expect("the file");
    let riptide = off().ready();
    assert_eq!(clients(&riptide)[0].row(id20("state", 0)), row(0, 0, 0));
    riptide.stop();
    assert_eq!(fs::read(file(&directory)).expect("the file"), before);
}

/// Files of all versions from the repository, which tell that they were saved in the year 2200: no time has passed.
#[test]
fn the_samples_of_all_versions_are_served() {
    for (sample, peers, torrents, kept) in
        [("swarms-1.riptide", 210.0, 40.0, 5.0), ("swarms-2.riptide", 135.0, 30.0, 11.0)]
    {
        let directory = start(None).ready().stop();
        fs::copy(workspace().join("tests/samples").join(sample), file(&directory)).expect("a copy");
        let riptide = start(Some(&directory)).ready();
        let metrics = riptide.metrics();
        assert_eq!(metrics.sum("riptide_state_restored_peers", &[]), peers, "{}", riptide.log_text());
        assert_eq!(metrics.sum("riptide_torrents", &[]), torrents);
        assert_eq!(metrics.sum("riptide_retained_torrents", &[]), kept);
        riptide.stop();
    }
}

/// What other nodes of a cluster counted is served without a cluster too, and saved again.
#[test]
fn counts_of_other_nodes_are_kept_where_there_is_no_cluster() {
    let directory = start(None).ready().stop();
    fs::copy(workspace().join("tests/samples/swarms-2.riptide"), file(&directory)).expect("a copy");
    let downloads = |riptide: &Riptide| {
        // The first was counted by all nodes, the second by two, the last by another one alone.
        [20, 22, 41].map(|torrent| clients(riptide)[0].row([torrent; 20]).completed)
    };
    for _ in 0..2 {
        let riptide = start(Some(&directory)).ready();
        assert_eq!(downloads(&riptide), [1200, 1154, 9], "{}", riptide.log_text());
        riptide.stop();
    }
    let saved = fs::read(file(&directory)).expect("the file");
    let blocks = |name: &[u8]| saved.windows(name.len()).filter(|window| *window == name).count();
    assert_eq!([blocks(b"NODE"), blocks(b"\x05ams-1"), blocks(b"\x05fra-1")], [2, 1, 1]);
}

/// What is wrong with the file, what was had of it, and where it went: one line, and the start goes on.
#[test]
fn a_bad_file_is_one_line_and_no_refused_start() {
    let riptide = start(None).ready();
    fill(&riptide);
    let mut directory = riptide.stop();
    for what in ["torn", "damaged", "foreign"] {
        let mut bytes = fs::read(file(&directory)).expect("the file");
        match what {
            "torn" => bytes.truncate(bytes.len() - 1),
            // In the end, so that all before is had.
            "damaged" => *bytes.last_mut().expect("bytes") ^= 1,
            _ => bytes = b"a file of somebody else's".to_vec(),
        }
        fs::write(file(&directory), bytes).expect("a file");
        let before = aside(&directory).len();
        let riptide = start(Some(&directory)).ready();
        let told = riptide.lines().into_iter().filter(|line| line.contains("WARN")).collect::<Vec<_>>();
        let [line] = told.as_slice() else { panic!("one warning:\n{}", riptide.log_text()) };
        assert!(line.contains("set the file aside as") && line.contains("swarms.riptide.bad-"), "{line}");
        assert_eq!(aside(&directory).len(), before + 1);
        if what == "foreign" {
            assert!(line.contains("restored 0 peers"), "{line}");
        } else {
            check(&riptide);
        }
        directory = riptide.stop();
    }
}

#[test]
fn what_a_kill_leaves_is_removed_at_the_start() {
    let directory = start(None).ready().stop();
    let left = ["swarms.riptide.new.4711", "connection-id.key.new.4711"]
        .map(|name| directory.path().join("state").join(name));
    for path in &left {
        fs::write(path, "half").expect("a file");
    }
    let riptide = start(Some(&directory)).ready();
    assert!(left.iter().all(|path| !path.exists()));
    riptide.stop();
}

/// A limit on the size of files is as good as a full disk, and can be raised.
#[test]
fn what_cannot_be_written_is_one_line_and_answers_go_on() {
    let riptide = start(None)
        .through(&["prlimit", "--fsize=4096:unlimited"])
        .environment("RIPTIDE_STATE__SAVE_INTERVAL", "1s")
        .ready();
    let [four, _] = clients(&riptide);
    for port in 1..1000 {
        four.announce(&Announce::leecher(id20("large", 0), port));
    }
    let failed = |m: &tests::metrics::Metrics| m.sum("riptide_state_saves_total", &[("outcome", "error")]);
    riptide.metrics_until("two saves that failed", |m| failed(m) >= 2.0);
    assert_eq!(four.row(id20("large", 0)).leechers, 999);
    let lines = |words: &str| riptide.lines().into_iter().filter(|line| line.contains(words)).count();
    assert_eq!(lines("swarms are not saved until this works again"), 1, "{}", riptide.log_text());
    let raised = std::process::Command::new("prlimit")
        .args(["--fsize=unlimited:unlimited", "--pid", &riptide.pid().to_string()])
        .status();
    assert!(raised.expect("prlimit").success());
    riptide.wait_for_line("that it can be written again", |line| line.contains("can be written again"));
    let directory = riptide.stop();
    let riptide = start(Some(&directory)).ready();
    assert_eq!(clients(&riptide)[0].row(id20("large", 0)).leechers, 999);
}

/// A second signal ends it without saving; what was saved before is there.
#[test]
fn a_second_signal_saves_nothing_and_harms_nothing() {
    let riptide = start(None).ready();
    fill(&riptide);
    let directory = riptide.stop();
    let mut riptide = start(Some(&directory)).ready();
    check(&riptide);
    riptide.signal(Signal::SIGSTOP);
    riptide.signal(Signal::SIGTERM);
    riptide.signal(Signal::SIGINT);
    riptide.signal(Signal::SIGCONT);
    riptide.wait();
    drop(riptide);
    let riptide = start(Some(&directory)).ready();
    assert_eq!(clients(&riptide)[0].row(id20("state", 1)), row(0, 0, 1));
}
