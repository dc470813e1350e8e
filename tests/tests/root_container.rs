//! What `packaging/container` grants the tracker is enough, and what it keeps is no more than the fast path needs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{fs, os::unix::fs::chown, sync::Arc};
use tempfile::TempDir;
use tests::{
    net::{Wire, workspace},
    riptide::{Riptide, Start},
    service::{client, kernel_answers_at_last},
    udp::{Announce, id20},
};

/// The image's user.
const USER: u32 = 65532;

/// The state and the place of the control socket belong to the image's user.
fn directory() -> Arc<TempDir> {
    let directory = TempDir::with_prefix("riptide-test-").unwrap();
    fs::create_dir(directory.path().join("state")).unwrap();
    for place in [directory.path().to_owned(), directory.path().join("state")] {
        chown(place, Some(USER), Some(USER)).unwrap();
    }
    Arc::new(directory)
}

/// The capabilities that are added for the fast path.
fn added() -> Vec<String> {
    let text = fs::read_to_string(workspace().join("packaging/container/compose.xdp.yml")).unwrap();
    let (_, list) = text.split_once("cap_add:\n").expect("a list");
    let lines = list.lines().map_while(|line| line.trim().strip_prefix("- "));
    lines.map(|line| line.split(' ').next().unwrap().to_lowercase()).collect()
}

/// The set of capabilities in a thread's status.
fn capabilities(riptide: &Riptide, set: &str) -> Vec<u64> {
    riptide.threads("status", |text| {
        let line = text.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(':'))?;
        u64::from_str_radix(line.trim(), 16).ok()
    })
}

#[test]
fn the_fast_path_starts_with_what_is_added_and_keeps_what_it_needs() {
    let wire = Wire::new();
    let added: String = added().iter().map(|name| format!(",+{name}")).collect();
    assert!(added.contains("net_admin"), "{added}");
    let (bounding, inherited) = (format!("--bounding-set=-all{added}"), "--inh-caps=-all");
    let riptide = Start::new(Some(&wire.tracker))
        .through(&["setpriv", &bounding, inherited, "--no-new-privs"])
        .directory(directory())
        .arguments("--udp 0.0.0.0:6969 --interface t0 --xdp native")
        .environment("RIPTIDE_PRIVILEGES__USER", &USER.to_string())
        .environment("RIPTIDE_PRIVILEGES__GROUP", &USER.to_string())
        .ready();
    kernel_answers_at_last(&wire, &riptide, "10.77.0.1:6969");
    client(&wire, "10.77.0.1:6969").announce(&Announce::leecher(id20("container", 0), 1));
    riptide.metrics_until("the announce through AF_XDP", |metrics| {
        metrics.count("riptide_udp_responses_total", &[("path", "xsk"), ("action", "announce")]) == 1
    });
    // net_admin (12), net_raw (13), ipc_lock (14), bpf (39).
    let may_be_kept: u64 = 1 << 12 | 1 << 13 | 1 << 14 | 1 << 39;
    for kept in capabilities(&riptide, "CapPrm") {
        assert_eq!(kept & !may_be_kept, 0, "{kept:x}");
    }
    let state = riptide.stop();
    assert!(state.path().join("state/swarms.riptide").exists());
}

#[test]
fn sockets_need_no_capability() {
    let wire = Wire::new();
    let (user, group) = (format!("--reuid={USER}"), format!("--regid={USER}"));
    let nobody =
        [&user, &group, "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];
    let through: Vec<&str> = ["setpriv"].into_iter().chain(nobody).collect();
    let programs = TempDir::with_prefix("riptide-test-").unwrap();
    let program = tests::load::copy_for_all(&tests::riptide::binary(), programs.path());
    let riptide = Start::new(Some(&wire.tracker))
        .program(&program)
        .through(&through)
        .directory(directory())
        .arguments("--udp 0.0.0.0:6969")
        .http("")
        .ready();
    client(&wire, "10.77.0.1:6969").announce(&Announce::leecher(id20("container", 0), 1));
    assert!(capabilities(&riptide, "CapPrm").iter().all(|kept| *kept == 0));
    assert!(riptide.control("status").status.success());
    riptide.stop();
}
