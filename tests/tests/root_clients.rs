//! Real clients, found through Riptide alone, with the XDP path attached and its counters as the proof. The hosts
//! reach each other only through the tracker's, so each transfer is also traffic that the program must let by; HTTP is
//! such traffic too.

use tests::transfer::{Program, Scheme, transfer, transfer_between, transfer_during_hand_overs};

#[test]
fn libtorrent_over_ipv4() {
    transfer(Program::Libtorrent, Scheme::Udp, false);
}

#[test]
fn libtorrent_over_ipv6() {
    transfer(Program::Libtorrent, Scheme::Udp, true);
}

#[test]
fn libtorrent_over_http_and_ipv6() {
    transfer(Program::Libtorrent, Scheme::Http, true);
}

#[test]
fn libtorrent_over_https() {
    transfer(Program::Libtorrent, Scheme::Https, false);
}

#[test]
fn aria2_over_ipv4() {
    transfer(Program::Aria2, Scheme::Udp, false);
}

#[test]
fn aria2_over_http() {
    transfer(Program::Aria2, Scheme::Http, false);
}

#[test]
fn aria2_over_https() {
    transfer(Program::Aria2, Scheme::Https, false);
}

#[test]
fn transmission_over_ipv4() {
    transfer(Program::Transmission, Scheme::Udp, false);
}

#[test]
fn libtorrent_over_udp_with_aria2_over_http() {
    transfer_between([(Program::Libtorrent, Scheme::Udp), (Program::Aria2, Scheme::Http)], false);
}

#[test]
fn transmission_over_http_with_libtorrent_over_udp() {
    transfer_between([(Program::Transmission, Scheme::Http), (Program::Libtorrent, Scheme::Udp)], false);
}

#[test]
fn libtorrent_over_https_notices_no_hand_over() {
    transfer_during_hand_overs(Scheme::Https);
}

#[test]
fn libtorrent_over_udp_notices_no_hand_over() {
    transfer_during_hand_overs(Scheme::Udp);
}
