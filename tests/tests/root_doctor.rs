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

/// Its report where no interface is named.
fn doctor_of_sockets(host: &Namespace) -> String {
    let program = binary();
    let output = host.command(&program.to_string_lossy()).arg("doctor").output().expect("riptide doctor");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn nft(host: &Namespace, line: &str) {
    let output = host.command("nft").arg(line).output().expect("nft");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
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
        nft(&wire.tracker, rule);
    }
    let (report, _) = doctor(&wire.tracker, "t0");
    assert!(finds(&report, "WARN", &["firewall", "1 "]), "{report}");
}

#[test]
fn connection_tracking_is_cured_by_the_rules_that_are_told() {
    let host = Namespace::new("tracked");
    let report = doctor_of_sockets(&host);
    assert!(finds(&report, "OK", &["connection tracking"]), "{report}");
    nft(&host, "add table inet filter");
    nft(&host, "add chain inet filter input { type filter hook input priority 0 ; }");
    nft(&host, "add rule inet filter input ct state established accept");
    let report = doctor_of_sockets(&host);
    assert!(finds(&report, "WARN", &["connection tracking", "each UDP client takes one"]), "{report}");
    let (_, advice) = report.split_once("nft '").expect("a command");
    let (rules, _) = advice.split_once('\'').expect("its end");
    nft(&host, rules);
    let report = doctor_of_sockets(&host);
    assert!(finds(&report, "OK", &["connection tracking", "kept out of it"]), "{report}");
}

#[test]
fn a_firewall_that_drops_replies_is_named() {
    let host = Namespace::new("dropping");
    let report = doctor_of_sockets(&host);
    assert!(finds(&report, "OK", &["firewall, replies"]), "{report}");
    nft(&host, "add table inet filter");
    nft(&host, "add chain inet filter leaving { type filter hook output priority 0 ; policy drop ; }");
    let report = doctor_of_sockets(&host);
    assert!(finds(&report, "WARN", &["firewall, replies", "policy of chain leaving"]), "{report}");
    nft(&host, "add rule inet filter leaving udp sport 6969 accept");
    let report = doctor_of_sockets(&host);
    assert!(finds(&report, "OK", &["firewall, replies"]), "{report}");
    nft(&host, "insert rule inet filter leaving udp sport 6000-7000 counter drop");
    let report = doctor_of_sockets(&host);
    assert!(finds(&report, "WARN", &["firewall, replies", "udp sport 6000-7000"]), "{report}");
}

#[test]
fn descriptors_are_held_against_the_connections_that_may_be() {
    let host = Namespace::new("few");
    let doctor = binary();
    let report = |connections: &str| {
        let line = format!("ulimit -n 4096 && exec {} doctor", doctor.display());
        let mut command = host.command("sh");
        if !connections.is_empty() {
            command.env("RIPTIDE_HTTP__MAX_CONNECTIONS", connections);
            command.env("RIPTIDE_WEBSOCKET__MAX_CONNECTIONS", connections);
        }
        let output = command.args(["-c", &line]).output().expect("riptide doctor");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let defaults = report("");
    assert!(finds(&defaults, "WARN", &["descriptors", "only 4096", "may take 82432"]), "{defaults}");
    assert!(defaults.contains("LimitNOFILE=82432"), "{defaults}");
    // Twice as many connections, and 512 for all else.
    let enough = report("1792");
    assert!(finds(&enough, "OK", &["descriptors", "4096"]), "{enough}");
    let too_many = report("1793");
    assert!(finds(&too_many, "WARN", &["descriptors", "may take 4098"]), "{too_many}");
}
