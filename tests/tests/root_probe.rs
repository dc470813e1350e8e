//! `riptide probe` from another host: at Riptide with XDP by a name with both families, and at opentracker and
//! aquatic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    path::{Path, PathBuf},
    process::{Child, Stdio},
};
use tests::{
    net::{Namespace, Wire, workspace},
    probe::probe_from,
    riptide::Start,
    service::connects,
};

/// Names that a host knows, which `ip netns exec` puts in the place of `/etc/hosts`.
struct Hosts(PathBuf);

impl Hosts {
    fn of(host: &Namespace, lines: &str) -> Self {
        let directory = Path::new("/etc/netns").join(host.name());
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("hosts"), lines).unwrap();
        Self(directory)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn both_families_of_a_name_are_asked_through_xdp() {
    let wire = Wire::new();
    let riptide = Start::new(Some(&wire.tracker))
        .arguments("--interface t0 --xdp native --udp 0.0.0.0:6969 --udp [::]:6969")
        .arguments("--http 0.0.0.0:6969 --http [::]:6969")
        .ready();
    let _hosts = Hosts::of(&wire.clients, "10.77.0.1 tracker.test\nfd77::1 tracker.test\n");
    for scheme in ["udp", "http", "ws"] {
        let probed = probe_from(&wire.clients, &format!("{scheme}://tracker.test:6969/announce"));
        probed.is_fine();
        let text = &probed.text;
        assert!(text.contains("\n10.77.0.1:6969\n") && text.contains("\n[fd77::1]:6969\n"), "{text}");
        assert!(text.ends_with("\nok: two clients find each other at all of 2 addresses\n"), "{text}");
    }
    assert_eq!(connects(&riptide.metrics(), "kernel"), 4.0);
    for (flag, absent) in [("-4", "fd77::1"), ("-6", "10.77.0.1")] {
        let probed = probe_from(&wire.clients, &format!("{flag} udp://tracker.test:6969"));
        probed.is_fine();
        assert!(!probed.text.contains(absent), "{}", probed.text);
    }
    assert_eq!(riptide.metrics().sum("riptide_peers", &[]), 0.0);

    // A host with one family alone asks by that, and says so.
    wire.clients.sysctl("ipv6/conf/all/disable_ipv6", "1");
    let probed = probe_from(&wire.clients, "udp://tracker.test:6969");
    probed.notes("connect 1", "this machine has no way to IPv6 addresses");
    let probed = probe_from(&wire.clients, "-6 udp://tracker.test:6969");
    let last = "\nwrong: no address of the tracker can be reached from this machine\n";
    assert!(probed.status == Some(1) && probed.text.ends_with(last), "{}", probed.text);
    riptide.stop();
}

/// A tracker of others, killed when dropped.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn opentracker_is_asked_for_a_torrent_of_its_list() {
    let wire = Wire::new();
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(directory.path(), Some(65_534), None).unwrap();
    let hash = "5a".repeat(20);
    std::fs::write(directory.path().join("list"), format!("{hash}\n")).unwrap();
    let unpacked = workspace().join("target/unpacked");
    let program = unpacked.join("usr/bin/opentracker");
    // Who has it installed needs no other one.
    let program = if program.is_file() { program } else { "opentracker".into() };
    let mut command = wire.tracker.command(&program.to_string_lossy());
    command.env("LD_LIBRARY_PATH", unpacked.join("usr/lib"));
    command.args(["-i", "10.77.0.1", "-p", "6969", "-P", "6969", "-w", "list"]);
    // It makes this its root, and reads the list there.
    command.arg("-d").arg(directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut opentracker = Other(command.spawn().expect("to start it"));
    for scheme in ["udp", "http"] {
        let url = format!("{scheme}://10.77.0.1:6969/announce");
        let probed = tests::eventually(&format!("opentracker at {url}"), || {
            assert!(opentracker.0.try_wait().unwrap().is_none(), "opentracker has ended");
            let probed = probe_from(&wire.clients, &format!("{url} --info-hash {hash}"));
            (!probed.text.contains("refused: ")).then_some(probed)
        });
        assert!(probed.text.contains("\nok: two clients find each other"), "{}", probed.text);
        assert!(probed.finds("ok", "scrape", "1 seeder, 1 leecher"), "{}", probed.text);
        let refused = probe_from(&wire.clients, &url);
        let expected = match scheme {
            "udp" => "nothing behind its head: opentracker answers so",
            _ => "Requested download is not authorized for use with this tracker.",
        };
        refused.is_wrong("announce 1", expected);
    }
}

#[test]
fn aquatic_is_asked() {
    let wire = Wire::new();
    let directory = tempfile::tempdir().unwrap();
    let configuration = directory.path().join("aquatic.toml");
    std::fs::write(&configuration, "[network]\naddress = \"10.77.0.1:6969\"\n").unwrap();
    let mut command = wire.tracker.command("aquatic_udp");
    command.arg("-c").arg(&configuration).stdout(Stdio::null()).stderr(Stdio::null());
    let mut aquatic = Other(command.spawn().expect("to start it"));
    let url = "udp://10.77.0.1:6969/announce";
    let probed = tests::eventually(&format!("aquatic at {url}"), || {
        assert!(aquatic.0.try_wait().unwrap().is_none(), "aquatic_udp has ended");
        let probed = probe_from(&wire.clients, url);
        (!probed.text.contains("refused: ")).then_some(probed)
    });
    assert!(probed.text.contains("\nok: two clients find each other"), "{}", probed.text);
    assert!(probed.finds("ok", "scrape", "1 seeder, 1 leecher"), "{}", probed.text);
    // Its counts leave out whoever asks.
    probed.notes("announce 1", "it does not count the client, a seeder, that has just announced");
    // It has no other door.
    let probed = probe_from(&wire.clients, "http://10.77.0.1:6969/announce");
    assert_eq!(probed.status, Some(1), "{}", probed.text);
}
