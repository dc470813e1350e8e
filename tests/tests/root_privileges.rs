//! After the start the process is nobody, and still does its work.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::sys::signal::Signal;
use std::net::SocketAddr;
use tests::{
    control,
    load::copy_for_all,
    net::Wire,
    riptide::{Riptide, Start, binary},
    service::kernel_answers_at_last,
    udp::{Announce, Client, id20},
};

/// The value of a line in every thread's status.
fn status(riptide: &Riptide, key: &str) -> Vec<String> {
    let mut values = riptide.threads("status", |text| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
    });
    values.sort_unstable();
    values.dedup();
    values
}

fn is_nobody(riptide: &Riptide) {
    for key in ["Uid", "Gid"] {
        for ids in status(riptide, key) {
            assert!(!ids.split(' ').any(|id| id == "0"), "{key}: {ids}");
        }
    }
}

const NOBODY: &str = "[privileges]\nuser = \"nobody\"\n";

/// What following, attaching again and new sockets need: net_raw (13), ipc_lock (14), bpf (39).
const NEEDED: u64 = 1 << 13 | 1 << 14 | 1 << 39;

fn announces(wire: &Wire, tracker: &str, port: u16) {
    let tracker: SocketAddr = tracker.parse().expect("an address");
    let client = wire.clients.run(|| Client::new("10.77.0.101".parse().expect("an address"), tracker));
    client.connect();
    client.announce(&Announce::leecher(id20("nobody", 0), port));
}

#[test]
fn nothing_more_is_kept_than_the_fast_path_needs() {
    let wire = Wire::new();
    let riptide = Start::new(Some(&wire.tracker))
        .arguments("--interface t0 --xdp native --udp 0.0.0.0:6969")
        .config(NOBODY)
        .ready();
    is_nobody(&riptide);
    assert_eq!(status(&riptide, "NoNewPrivs"), ["1"]);
    for key in ["CapEff", "CapPrm"] {
        for set in status(&riptide, key) {
            let set = u64::from_str_radix(&set, 16).expect("a set");
            assert_eq!(set & NEEDED, NEEDED, "{key} {set:x} lacks something");
            assert_eq!(set & !NEEDED, 0, "{key} {set:x} is more than needed");
        }
    }
    for key in ["CapInh", "CapAmb"] {
        assert_eq!(status(&riptide, key), ["0000000000000000"], "{key}");
    }
    announces(&wire, "10.77.0.1:6969", 1);

    // Maps and netlink are still at its command: a new address is served in the kernel.
    wire.tracker.ip("addr add 10.77.0.3/24 dev t0\n");
    tests::eventually("connects to a new address in the kernel", || {
        let before = riptide.metrics();
        announces(&wire, "10.77.0.3:6969", 2);
        let connects = |m: &tests::metrics::Metrics| {
            m.sum("riptide_udp_responses_total", &[("path", "kernel"), ("action", "connect")])
        };
        (connects(&riptide.metrics()) > connects(&before)).then_some(())
    });
    // And it ends well, its state saved.
    let directory = riptide.stop();
    assert!(std::fs::read_dir(directory.path().join("state")).expect("its state").next().is_some());
}

/// Loading and attaching anew is more than what a plain user may do.
#[test]
fn nobody_attaches_again_to_an_interface_that_comes_back() {
    let mut wire = Wire::new();
    let riptide = Start::new(Some(&wire.tracker))
        .arguments("--interface t0 --xdp native --udp 0.0.0.0:6969")
        .config(NOBODY)
        .ready();
    announces(&wire, "10.77.0.1:6969", 1);
    wire.lay_again();
    kernel_answers_at_last(&wire, &riptide, "10.77.0.1:6969");
    announces(&wire, "10.77.0.1:6969", 2);
    riptide.metrics_until("an announce through AF_XDP on the new interface", |m| {
        m.sum("riptide_udp_responses_total", &[("path", "xsk"), ("action", "announce")]) >= 1.0
            && m.sum("riptide_xdp_info", &[("interface", "t0"), ("mode", "native")]) == 1.0
    });
    riptide.stop();
}

#[test]
fn sockets_alone_need_nothing() {
    let wire = Wire::new();
    let riptide = Start::new(Some(&wire.tracker)).arguments("--udp 0.0.0.0:6969").config(NOBODY).ready();
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(status(&riptide, set), ["0000000000000000"], "{set}");
    }
    announces(&wire, "10.77.0.1:6969", 1);
    riptide.stop();
}

/// It says who may start a process that takes over, and that one becomes nobody, too.
#[test]
fn root_starts_who_takes_over_from_nobody() {
    let wire = Wire::new();
    let start = || {
        Start::new(Some(&wire.tracker))
            .arguments("--interface t0 --xdp native --udp 0.0.0.0:6969")
            .config(NOBODY)
    };
    let mut riptide = start().ready();
    for round in 1..=2 {
        announces(&wire, "10.77.0.1:6969", round);
        riptide.signal(Signal::SIGUSR2);
        riptide.wait_for_line("what to do", |line| {
            ["ERROR", "riptide run --take-over", "as root", "privileges.user"]
                .iter()
                .all(|word| line.contains(word))
        });
        let (status, refusal) = control::ask(&riptide, "POST /upgrade");
        let reason = refusal["error"].as_str().unwrap_or_default();
        assert!(
            status == 409 && reason.contains("riptide run --take-over") && reason.contains("as root"),
            "{refusal}"
        );
        assert_eq!(wire.tracker.processes(), [riptide.pid().as_raw()]);

        let next = start().directory(riptide.directory()).arguments("--take-over").ready();
        let mut left = std::mem::replace(&mut riptide, next);
        assert_eq!(left.wait().code(), Some(0), "{}", left.log_text());
        is_nobody(&riptide);
        kernel_answers_at_last(&wire, &riptide, "10.77.0.1:6969");
        riptide.metrics_until("the peers of before, and announces through AF_XDP", |metrics| {
            announces(&wire, "10.77.0.1:6969", 9);
            let fast = [("path", "xsk"), ("action", "announce")];
            metrics.stored() == [1, u64::from(round) + 1]
                && metrics.count("riptide_udp_responses_total", &fast) > u64::from(round)
        });
    }
    riptide.stop();
}

/// Where there is no XDP, that user may start it as well.
#[test]
fn nobody_takes_over_from_nobody_by_sockets() {
    let wire = Wire::new();
    let programs = tempfile::tempdir().expect("a directory");
    let program = copy_for_all(&binary(), programs.path());
    let start =
        || Start::new(Some(&wire.tracker)).program(&program).arguments("--udp 0.0.0.0:6969").config(NOBODY);
    let mut riptide = start().ready();
    announces(&wire, "10.77.0.1:6969", 1);
    let ids = status(&riptide, "Uid")[0].split(' ').next().map(str::to_owned).expect("a user");
    let group = status(&riptide, "Gid")[0].split(' ').next().map(str::to_owned).expect("a group");
    let nobody = ["setpriv", "--reuid", &ids, "--regid", &group, "--clear-groups"];
    let next = start().through(&nobody).directory(riptide.directory()).arguments("--take-over").ready();
    assert_eq!(riptide.wait().code(), Some(0), "{}", riptide.log_text());
    announces(&wire, "10.77.0.1:6969", 2);
    assert_eq!(next.metrics().stored(), [1, 2]);
    next.stop();
}

/// The key is for nobody else to read, whoever the process becomes.
#[test]
fn the_state_is_its_own() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let wire = Wire::new();
    let riptide = Start::new(Some(&wire.tracker)).arguments("--udp 0.0.0.0:6969").config(NOBODY).ready();
    let uid: u32 =
        status(&riptide, "Uid")[0].split(' ').next().and_then(|id| id.parse().ok()).expect("a number");
    let directory = riptide.stop();
    let files: Vec<_> =
        std::fs::read_dir(directory.path().join("state")).expect("its state").flatten().collect();
    assert!(!files.is_empty());
    for file in files {
        let metadata = file.metadata().expect("a file");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{:?}", file.path());
        assert_eq!(metadata.uid(), uid, "{:?}", file.path());
    }
}
