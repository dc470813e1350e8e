//! Real clients, found through Riptide alone, with the XDP path attached and its counters as the proof. The hosts
//! reach each other only through the tracker's, so each transfer is also traffic that the program must let by.

use tests::transfer::{Program, transfer};

#[test]
fn libtorrent_over_ipv4() {
    transfer(Program::Libtorrent, false);
}

#[test]
fn libtorrent_over_ipv6() {
    transfer(Program::Libtorrent, true);
}

#[test]
fn aria2_over_ipv4() {
    transfer(Program::Aria2, false);
}

#[test]
fn transmission_over_ipv4() {
    transfer(Program::Transmission, false);
}
