//! What `riptide doctor` finds on a host where something stands in the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::UdpSocket;
use tests::{
    net::{Namespace, Wire},
    riptide::binary,
    service::native,
};

/// Its report and exit status.
fn doctor(host: &Namespace, interface: &str) -> (String, Option<i32>) {
    let program = binary();
    let mut command = host.command(&program.to_string_lossy());
    let output = command.args(["doctor", "--interface", interface]).output().expect("riptide doctor");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

/// Whether a line at this level holds these words.
fn finds(report: &str, level: &str, words: &[&str]) -> bool {
    report.lines().any(|line| line.starts_with(level) && words.iter().all(|word| line.contains(word)))
}

#[test]
fn a_veth_pair_is_told_of_its_other_end() {
    let wire = Wire::new();
    let (report, status) = doctor(&wire.tracker, "t0");
    assert_eq!(status, Some(0), "{report}");
    assert!(finds(&report, "OK", &["t0", "veth", "native"]), "{report}");
    assert!(finds(&report, "OK", &["XDP program"]), "{report}");
    assert!(report.contains("other end"), "{report}");
}

#[test]
fn a_missing_interface_is_a_failure() {
    let wire = Wire::new();
    let (report, status) = doctor(&wire.tracker, "nosuch0");
    assert_eq!(status, Some(1), "{report}");
    assert!(finds(&report, "FAIL", &["nosuch0"]), "{report}");
}

#[test]
fn a_foreign_program_is_named_and_our_own_is_not_foreign() {
    let mut wire = Wire::new();
    let riptide = native(&wire, "--udp 0.0.0.0:6969");
    let (report, status) = doctor(&wire.tracker, "t0");
    assert_eq!(status, Some(0), "{report}");
    drop(riptide);
    wire.tracker.attach_pass("t0");
    let (report, _) = doctor(&wire.tracker, "t0");
    assert!(
        finds(&report, "WARN", &["t0", "program"]) || finds(&report, "FAIL", &["t0", "program"]),
        "{report}"
    );
}

#[test]
fn a_socket_that_would_be_shadowed_is_named() {
    let wire = Wire::new();
    let (report, _) = doctor(&wire.tracker, "t0");
    assert!(!report.contains("10.77.0.2:6969"), "{report}");
    let services = wire
        .tracker
        .run(|| ["10.77.0.2:6969", "[fd77::2]:6969"].map(|a| UdpSocket::bind(a).expect("a port")));
    let (report, _) = doctor(&wire.tracker, "t0");
    assert!(finds(&report, "WARN", &["10.77.0.2:6969"]), "{report}");
    assert!(finds(&report, "WARN", &["[fd77::2]:6969"]), "{report}");
    drop(services);
}

#[test]
fn firewall_rules_that_xdp_goes_round_are_counted() {
    let wire = Wire::new();
    let (report, _) = doctor(&wire.tracker, "t0");
    assert!(finds(&report, "OK", &["firewall"]), "{report}");
    for rule in [
        "add table inet filter",
        "add chain inet filter input { type filter hook input priority 0 ; }",
        "add rule inet filter input udp dport 6969 drop",
        "add rule inet filter input udp dport 7000 accept",
    ] {
        let output = wire.tracker.command("nft").args(rule.split(' ')).output().expect("nft");
        assert!(output.status.success(), "{rule}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let (report, _) = doctor(&wire.tracker, "t0");
    assert!(finds(&report, "WARN", &["firewall", "1 "]), "{report}");
}
