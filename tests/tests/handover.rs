//! A new process takes over from a running one, and nobody notices.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::sys::signal::Signal;
use std::{
    fs,
    net::UdpSocket,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    sync::Arc,
};
use tempfile::TempDir;
use tests::{
    control,
    handover::{Crowd, Kind, Successor, Taker, goes_on, loopback_clients, stays, three_under_load},
    rig::Path,
    riptide::{Riptide, Start, binary},
    udp::{Announce, id20},
};

const UDP: &str = "--udp 127.0.0.1:0 --udp [::1]:0";

/// A process that takes over from the one that uses this directory.
fn successor(directory: &Arc<TempDir>, arguments: &str) -> Start<'static> {
    Start::new(None).directory(Arc::clone(directory)).arguments("--take-over").arguments(arguments)
}

fn ended_well(mut riptide: Riptide) {
    let status = riptide.wait();
    assert_eq!(status.code(), Some(0), "{}", riptide.log_text());
}

fn crowd(riptide: &Riptide) -> Crowd {
    Crowd::new(riptide.udp().iter().flat_map(|place| loopback_clients(*place, 3)).collect())
}

/// What a crowd of six has told is there, and no more.
fn has_the_crowd(riptide: &Riptide) {
    assert_eq!(riptide.metrics().stored(), Crowd::size(6));
}

#[test]
fn nothing_is_lost_in_three_hand_overs_under_load() {
    for workers in [1, 3] {
        let arguments = format!("{UDP} --workers {workers}");
        let mut riptide = Start::new(None).arguments(&arguments).ready();
        let places = riptide.udp().to_vec();
        let crowd = crowd(&riptide);
        let id = loopback_clients(places[0], 1)[0].connect();
        crowd.goes_round();
        for _ in 0..3 {
            let before = riptide.metrics();
            let next = successor(&riptide.directory(), &arguments).ready();
            assert_eq!(next.udp(), places);
            assert_eq!(next.metrics_address(), riptide.metrics_address());
            goes_on(&before, &next.metrics());
            ended_well(std::mem::replace(&mut riptide, next));
            crowd.goes_round();
            goes_on(&before, &riptide.metrics());
        }
        let answered = crowd.end();
        riptide.metrics_until("all replies", |metrics| {
            metrics.count("riptide_udp_responses_total", &[]) == answered.all() + 1
        });
        has_the_crowd(&riptide);
        // An ID of the first process holds.
        let client = loopback_clients(places[0], 1).remove(0).with_connection(id);
        client.announce(&Announce::leecher(id20("last", 0), 1));
        riptide.stop();
    }
}

#[test]
fn a_load_misses_nothing_in_three_hand_overs() {
    three_under_load(Path::Loopback);
}

#[test]
fn the_number_of_workers_may_change() {
    let mut riptide = Start::new(None).arguments(&format!("{UDP} --workers 3")).ready();
    let crowd = crowd(&riptide);
    for workers in [1, 2, 5] {
        let next = successor(&riptide.directory(), &format!("{UDP} --workers {workers}")).ready();
        ended_well(std::mem::replace(&mut riptide, next));
        crowd.goes_round();
    }
    let _ = crowd.end();
    has_the_crowd(&riptide);
    riptide.stop();
}

#[test]
fn listeners_may_come_and_go() {
    let riptide = Start::new(None)
        .arguments("--udp 127.0.0.1:0 --udp 127.0.0.1:0")
        .http("listen = [\"127.0.0.1:0\"]")
        .ready();
    let (kept, given_up) = (riptide.udp()[0], riptide.udp()[1]);
    let crowd = Crowd::new(loopback_clients(kept, 3));
    let next = successor(&riptide.directory(), &format!("--udp {kept} --udp [::1]:0"))
        .http("listen = [\"127.0.0.2:0\"]")
        .ready();
    let (old_http, new_http) = (riptide.http()[0], next.http()[0]);
    assert_ne!(old_http, new_http);
    ended_well(riptide);
    crowd.goes_round();
    let _ = crowd.end();
    assert_eq!(next.udp()[0], kept);
    loopback_clients(next.udp()[1], 1)[0].connect();
    // What nobody wants any more is free for others.
    drop(UdpSocket::bind(given_up).expect("the port to be free"));
    drop(std::net::TcpListener::bind(old_http).expect("the port to be free"));
    next.stop();
}

/// A copy of the binary under test that can be replaced.
fn install(directory: &std::path::Path) -> std::path::PathBuf {
    let path = directory.join("riptide");
    fs::copy(binary(), directory.join("new")).expect("a copy");
    fs::rename(directory.join("new"), &path).expect("to replace it");
    path
}

#[test]
fn a_signal_starts_the_program_that_is_installed_now() {
    let programs = tempfile::tempdir().unwrap();
    let program = install(programs.path());
    let mut riptide = Start::new(None).program(&program).arguments(UDP).ready();
    let crowd = crowd(&riptide);
    crowd.goes_round();
    install(programs.path());
    riptide.signal(Signal::SIGUSR2);
    let next = Successor::of(&riptide);
    assert_eq!(riptide.wait_alone().code(), Some(0), "{}", riptide.log_text());
    let runs = fs::read_link(format!("/proc/{}/exe", next.pid())).unwrap();
    assert_eq!(runs, program);
    crowd.goes_round();
    let _ = crowd.end();
    has_the_crowd(&riptide);
    next.signal(Signal::SIGTERM);
    riptide.wait_for_line("its end", |line| line.contains("stopping"));
}

#[test]
fn an_upgrade_by_control_tells_what_comes_of_it() {
    let programs = tempfile::tempdir().unwrap();
    let program = install(programs.path());
    let mut riptide = Start::new(None).program(&program).arguments(UDP).ready();
    let crowd = crowd(&riptide);
    for (script, expected) in
        [("#!/bin/sh\nexit 7\n", "ended with status 7"), ("#!/bin/sh\nkill -9 $$\n", "signal: 9")]
    {
        fs::remove_file(&program).unwrap();
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let (status, refusal) = control::ask(&riptide, "POST /upgrade");
        assert_eq!(status, 409, "{refusal}");
        assert!(refusal["error"].as_str().is_some_and(|error| error.contains(expected)), "{refusal}");
        crowd.goes_round();
    }
    fs::remove_file(&program).unwrap();
    let (status, refusal) = control::ask(&riptide, "POST /upgrade");
    assert_eq!(status, 409, "{refusal}");
    assert!(refusal["error"].as_str().is_some_and(|error| error.contains("No such file")), "{refusal}");
    crowd.goes_round();
    install(programs.path());
    let (status, upgraded) = control::ask(&riptide, "POST /upgrade");
    assert_eq!(status, 200, "{upgraded}");
    let next = Successor::of(&riptide);
    assert_eq!(upgraded["pid"].to_string(), next.pid().to_string());
    assert_eq!(riptide.wait_alone().code(), Some(0), "{}", riptide.log_text());
    crowd.goes_round();
    let _ = crowd.end();
    has_the_crowd(&riptide);
}

#[test]
fn systemd_is_told_who_serves_now() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(tests::PATIENCE)).unwrap();
    let told = || {
        let mut buffer = [0; 512];
        let len = systemd.recv(&mut buffer).expect("a notification");
        String::from_utf8_lossy(&buffer[..len]).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut riptide =
        Start::new(None).arguments(UDP).environment("NOTIFY_SOCKET", &path.display().to_string()).ready();
    assert_eq!(told(), ["READY=1"]);
    riptide.signal(Signal::SIGUSR2);
    let next = Successor::of(&riptide);
    assert_eq!(told(), [format!("MAINPID={}", next.pid()), "READY=1".to_owned()]);
    assert_eq!(riptide.wait_alone().code(), Some(0), "{}", riptide.log_text());
}

#[test]
fn a_successor_that_cannot_start_changes_nothing() {
    let riptide = Start::new(None).arguments(UDP).ready();
    let crowd = crowd(&riptide);
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (arguments, status, says) in
        [("--workers none".to_owned(), 2, "udp.workers"), (format!("{UDP} --udp {taken}"), 1, taken.as_str())]
    {
        let mut next = successor(&riptide.directory(), &arguments).spawn();
        assert_eq!(next.wait().code(), Some(status), "{}", next.log_text());
        assert!(next.log_text().contains(says), "{}", next.log_text());
        if status == 1 {
            riptide.wait_for_line("why", |line| line.contains("serves on") && line.contains(says));
        }
        crowd.goes_round();
    }
    let _ = crowd.end();
    has_the_crowd(&riptide);
    riptide.stop();
}

#[test]
fn without_a_tracker_nothing_can_be_taken_over() {
    let mut alone = Start::new(None).arguments(UDP).arguments("--take-over").spawn();
    assert_eq!(alone.wait().code(), Some(1), "{}", alone.log_text());
    assert!(alone.log_text().contains("no tracker answers at"), "{}", alone.log_text());
}

#[test]
fn a_successor_that_stops_at_any_step_changes_nothing() {
    let riptide = Start::new(None).arguments(UDP).ready();
    let crowd = crowd(&riptide);
    let mut failures = 0;
    for step in 0.. {
        let mut taker = Taker::ask(&riptide.control_socket());
        if taker.go_to(step).is_none() {
            break;
        }
        drop(taker);
        failures += 1;
        stays(&riptide, failures);
        crowd.goes_round();
        // Metrics and control are its own again, too.
        let _ = (riptide.metrics(), control::status(&riptide));
    }
    assert_eq!(failures, 7);
    let _ = crowd.end();
    has_the_crowd(&riptide);
    let next = successor(&riptide.directory(), UDP).ready();
    ended_well(riptide);
    has_the_crowd(&next);
    next.stop();
}

#[test]
fn another_version_is_refused_with_a_reason() {
    let riptide = Start::new(None).arguments(UDP).ready();
    for version in [[0, 1], [2, 0]] {
        let mut taker = Taker::ask(&riptide.control_socket());
        taker.greet(version);
        let refusal = taker.refusal();
        assert!(refusal.contains("riptide 9.9.9") && refusal.contains("version 1"), "{refusal}");
        riptide.wait_for_line("that it serves on", |line| {
            line.contains("serves on") && line.contains(&format!("speaks version {}", version[0]))
        });
    }
    // A later minor version may say more.
    let mut taker = Taker::ask(&riptide.control_socket());
    taker.send_raw(b'?', b"something new");
    taker.greet([1, 7]);
    let _ = taker.until(Kind::Inventory);
    // There is one at a time.
    let mut second = Taker::ask(&riptide.control_socket());
    assert!(second.refusal().contains("another process is taking over"));
    drop(taker);
    riptide.wait_for_line("that it serves on", |line| line.contains("serves on") && line.contains("is gone"));
    riptide.stop();
}

#[test]
fn what_is_no_message_ends_the_hand_over_alone() {
    let riptide = Start::new(None).arguments(UDP).ready();
    let mut failures = 0;
    for bytes in [
        &[b'h', 1, 0, 0, 1, 0, 0, 0, b'{'][..],
        &[b'h', 0, 0, 0, 255, 255, 255, 255],
        &[b'h', 0, 0, 0, 2, 0, 0, 0, b'{', b'}'],
    ] {
        let mut taker = Taker::ask(&riptide.control_socket());
        taker.send_bytes(bytes);
        let refusal = taker.refusal();
        assert!(refusal.contains("no message of a hand-over"), "{refusal}");
        failures += 1;
        stays(&riptide, failures);
        loopback_clients(riptide.udp()[0], 1)[0].connect();
    }
    riptide.stop();
}

#[test]
fn a_predecessor_that_is_killed_in_the_middle_is_followed_by_its_successor() {
    let riptide = Start::new(None).arguments(UDP).ready();
    let places = riptide.udp().to_vec();
    let mut next = successor(&riptide.directory(), UDP).spawn();
    next.wait_for_line("that it has the sockets", |line| line.contains("taking over from"));
    riptide.kill();
    next.wait_ready();
    assert_eq!(next.udp(), places);
    for place in places {
        loopback_clients(place, 1)[0].announce(&Announce::leecher(id20("after", 0), 1));
    }
    let _ = (next.metrics(), control::status(&next));
    next.stop();
}

#[test]
fn a_stop_in_the_middle_stops_both() {
    let riptide = Start::new(None).arguments(UDP).ready();
    let mut taker = Taker::ask(&riptide.control_socket());
    taker.go_to(4);
    riptide.signal(Signal::SIGTERM);
    assert!(taker.refusal().contains("was told to stop"));
    ended_well(riptide);
}
