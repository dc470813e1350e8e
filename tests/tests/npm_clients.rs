//! The client class of npm's bittorrent-tracker, and WebTorrent in two browser pages, against Riptide on the loopback
//! interface. Each script also runs against the tracker that comes with the package, which shows that what it expects
//! is not Riptide's alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::sys::signal::Signal;
use tests::{
    handover::Successor,
    private::Files,
    rig::Family,
    scripts::node,
    web::{house::House, tls::Certificate},
};

/// A tracker behind every door.
fn house() -> House {
    House::every("", "")
}

/// Where a protocol is spoken.
fn door(house: &House, scheme: &str, family: Family) -> String {
    let riptide = house.riptide();
    let addresses = match scheme {
        "udp" => riptide.udp(),
        "http" | "ws" => riptide.http(),
        _ => riptide.https(),
    };
    let address = addresses.iter().find(|address| address.is_ipv6() == (family == Family::V6));
    let address = address.unwrap_or_else(|| panic!("no listener for {scheme}:\n{}", riptide.log_text()));
    format!("{scheme}://{address}/announce")
}

/// Runs the scenarios at these doors of one tracker.
fn scenarios(doors: &[(&str, Family)]) {
    let house = house();
    let urls: Vec<String> = doors.iter().map(|(scheme, family)| door(&house, scheme, *family)).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let certificate = house.certificate().map(Certificate::certificate_file);
    let said = node("npm_client.js", &urls, certificate.as_deref());
    assert!(said.lines().filter(|line| line.starts_with("passed: ")).count() >= 2, "{said}");
}

#[test]
fn scenarios_hold_for_the_tracker_of_the_package() {
    for protocol in ["udp", "http", "ws"] {
        node("npm_client.js", &["oracle", protocol], None);
    }
}

#[test]
fn scenarios_over_udp() {
    scenarios(&[("udp", Family::V4)]);
}

#[test]
fn scenarios_over_udp_and_ipv6() {
    scenarios(&[("udp", Family::V6)]);
}

#[test]
fn scenarios_over_http() {
    scenarios(&[("http", Family::V4)]);
}

#[test]
fn scenarios_over_http_and_ipv6() {
    scenarios(&[("http", Family::V6)]);
}

#[test]
fn scenarios_over_https() {
    scenarios(&[("https", Family::V4)]);
}

#[test]
fn scenarios_over_websocket() {
    scenarios(&[("ws", Family::V4)]);
}

#[test]
fn scenarios_over_websocket_and_ipv6() {
    scenarios(&[("ws", Family::V6)]);
}

#[test]
fn scenarios_over_websocket_and_tls() {
    scenarios(&[("wss", Family::V4)]);
}

#[test]
fn doors_of_one_tracker() {
    scenarios(&[("udp", Family::V4), ("http", Family::V4), ("https", Family::V4)]);
}

const KEY: &str = "key-of_a_member";

/// A private tracker behind every door, and the files that make it one.
fn private() -> (Files, House) {
    let files = Files::new(&[KEY], "");
    let house = House::every("", &files.access());
    (files, house)
}

#[test]
fn with_a_key_scenarios_hold_and_without_it_clients_are_told_why() {
    let (_files, house) = private();
    for scheme in ["http", "ws"] {
        let without = door(&house, scheme, Family::V4);
        node("npm_stranger.js", &[&without, "this tracker needs a key: use the announce address"], None);
        let unknown = without.replace("/announce", "/key-of_nobody/announce");
        node("npm_stranger.js", &[&unknown, "this tracker needs a key: the one in your"], None);
        node("npm_client.js", &[&without.replace("/announce", &format!("/{KEY}/announce"))], None);
    }
    // It sends no URL data.
    let udp = door(&house, "udp", Family::V4).replace("/announce", &format!("/{KEY}/announce"));
    node("npm_stranger.js", &[&udp, "this tracker needs a key: use the announce address"], None);
}

#[test]
fn browsers_with_a_key_move_a_file() {
    let (_files, house) = private();
    let at = |scheme| door(&house, scheme, Family::V4);
    let page = at("ws").replace("/announce", &format!("/{KEY}"));
    let scrape = at("http").replace("/announce", &format!("/{KEY}/scrape"));
    node("webtorrent_pages.js", &[&page, &page, &scrape], None);
}

/// Moves a file from a page to another, which come in by these doors.
fn pages(seeder: (&str, Family), leecher: (&str, Family)) {
    let house = house();
    let [seeder, leecher] = [seeder, leecher].map(|(scheme, family)| door(&house, scheme, family));
    let scrape = door(&house, "http", Family::V4).replace("announce", "scrape");
    node("webtorrent_pages.js", &[&seeder, &leecher, &scrape], None);
    house.riptide().metrics_until("no WebSocket and no peer", |metrics| {
        metrics.sum("riptide_ws_connections", &[]) == 0.0 && metrics.sum("riptide_peers", &[]) == 0.0
    });
}

#[test]
fn browsers_move_a_file_with_the_tracker_of_the_package() {
    node("webtorrent_pages.js", &["oracle"], None);
}

#[test]
fn browsers_move_a_file() {
    pages(("ws", Family::V4), ("ws", Family::V6));
}

#[test]
fn browsers_move_a_file_over_tls() {
    pages(("wss", Family::V4), ("wss", Family::V4));
}

#[test]
fn browsers_keep_a_transfer_over_a_hand_over() {
    let mut house = house();
    let [tracker, scrape] = ["ws", "http"].map(|scheme| door(&house, scheme, Family::V4));
    let control = house.riptide().control_socket().display().to_string();
    node("webtorrent_handover.js", &[&tracker, &scrape.replace("announce", "scrape"), &control], None);
    let next = Successor::of(house.riptide());
    // It parts from WebSockets still, unless nobody has one any more.
    house.riptide().signal(Signal::SIGTERM);
    assert_eq!(house.riptide_mut().wait_alone().code(), Some(0), "{}", house.riptide().log_text());
    assert!(!house.riptide().log_text().contains("panicked"), "{}", house.riptide().log_text());
    drop(next);
}
