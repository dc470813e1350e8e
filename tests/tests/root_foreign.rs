//! What is not the tracker's own is left alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::UdpSocket;
use tests::{
    net::Wire,
    service::{address, client, connects, echo_once, echoes, native},
    transfer::Hosts,
    udp::{Announce, connect_bytes},
};

#[test]
fn other_services_work_through_an_attached_interface() {
    let wire = Wire::new();
    // Another tracker's socket, on the same port of another address, before and beside ours.
    let beside = [("10.77.0.2:6969", "10.77.0.101"), ("[fd77::2]:6969", "fd77::101")];
    let riptide = native(&wire, "--udp 10.77.0.1:6969 --udp [fd77::1]:6969");
    let elsewhere = [("10.77.0.1:7000", "10.77.0.101"), ("[fd77::1]:7000", "fd77::101")];
    for (service, from) in beside.into_iter().chain(elsewhere) {
        for bytes in [connect_bytes(1), Announce::leecher([1; 20], 1).bytes([7; 8], 1), b"anything".to_vec()]
        {
            let service = address(service);
            let echo = echo_once(wire.tracker.run(|| UdpSocket::bind(service).expect("a free port")));
            echoes(&wire.clients, from, service, &bytes);
            echo.join().expect("the echo");
        }
    }
    for tracker in ["10.77.0.1:6969", "[fd77::1]:6969"] {
        client(&wire, tracker).connect();
    }
    let metrics = riptide.metrics();
    assert_eq!(connects(&metrics, "kernel"), 2.0);
    assert_eq!(metrics.sum("riptide_udp_requests_total", &[]), 2.0, "only the tracker's own requests count");
    assert_eq!(metrics.sum("riptide_udp_dropped_total", &[]), 0.0);
}

#[test]
fn forwarded_traffic_passes() {
    let hosts = Hosts::new();
    let riptide = hosts.tracker().ready();
    for (service, from) in [("10.78.2.2:6969", "10.78.1.2"), ("[fd78:2::2]:6969", "fd78:1::2")] {
        for bytes in [connect_bytes(1), Announce::leecher([1; 20], 1).bytes([7; 8], 1), b"anything".to_vec()]
        {
            let service = address(service);
            let echo = echo_once(hosts.leecher.run(|| UdpSocket::bind(service).expect("a free port")));
            echoes(&hosts.seeder, from, service, &bytes);
            echo.join().expect("the echo");
        }
    }
    let metrics = riptide.metrics();
    assert_eq!(metrics.sum("riptide_udp_requests_total", &[]), 0.0);
    assert_eq!(metrics.sum("riptide_udp_dropped_total", &[]), 0.0);
}
