//! Clients of two nodes that find each other, with XDP on at both.

use crate::{
    nats::NatsServer,
    riptide::{Riptide, Start},
    transfer::{Hosts, NAME, Peer, Program, client, make_torrent, wait},
    udp::{Announce, Client, id20},
    web::tls::Certificate,
};
use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
};
use tempfile::TempDir;

const PORT: u16 = 6969;
/// An address that both hosts of clients have, as one has it whose route changes.
const ANYCAST: Ipv4Addr = Ipv4Addr::new(10, 78, 9, 9);

/// A node on the wire with this number, and the fast path there.
fn node(hosts: &Hosts, server: &NatsServer, wire: u8, interface: &str) -> Riptide {
    let riptide = Start::new(Some(&hosts.tracker))
        .arguments(&format!("--udp 10.78.{wire}.1:{PORT} --interface {interface} --xdp native"))
        .config(&format!(
            "[cluster]\nservers = [\"{}\"]\nnode = \"node-{wire}\"\ndrain_delay = \"0s\"\n",
            server.url()
        ))
        .ready();
    let info = riptide.metrics().sum("riptide_xdp_info", &[("interface", interface), ("mode", "native")]);
    assert!(info > 0.0, "XDP is not on:\n{}", riptide.log_text());
    riptide
}

/// Announces that were answered through AF_XDP, and datagrams that were dropped for their connection ID.
fn answered_and_dropped(riptide: &Riptide) -> [f64; 2] {
    let metrics = riptide.metrics();
    [
        metrics.sum("riptide_udp_responses_total", &[("path", "xsk"), ("action", "announce")]),
        metrics.sum("riptide_udp_dropped_total", &[("reason", "bad_connection_id")]),
    ]
}

/// A client that has its connection ID of one node announces to the other, by whose wire its packets come now.
fn takes_ids_of_others(hosts: &Hosts, other: &Riptide) {
    let place = |wire| (Ipv4Addr::new(10, 78, wire, 1), PORT).into();
    let socket = || UdpSocket::bind((ANYCAST, 0)).expect("the address");
    let before = answered_and_dropped(other);
    let id = Client::with_socket(hosts.seeder.run(socket), place(1)).connect();
    let client = Client::with_socket(hosts.leecher.run(socket), place(2)).with_connection(id);
    client.announce(&Announce::leecher(id20("anycast", 0), 1));
    other.metrics_until("the announce, and no drop", |_| {
        answered_and_dropped(other) == [before[0] + 1.0, before[1]]
    });
}

/// libtorrent seeds with one node, aria2 leeches with the other, and the file arrives. Connection IDs of one node hold in the
/// XDP program of the other.
pub fn transfer_between_nodes() {
    let mut hosts = Hosts::new();
    for host in [&mut hosts.seeder, &mut hosts.leecher] {
        host.ip(&format!("addr add {ANYCAST}/32 dev lo\n"));
    }
    let server = hosts.tracker.run(NatsServer::start);
    let first = node(&hosts, &server, 1, "s0");
    let second = node(&hosts, &server, 2, "l0");
    takes_ids_of_others(&hosts, &second);
    let (directory, certificate) =
        (TempDir::with_prefix("riptide-transfer-").expect("a directory"), Certificate::new());
    let party = |program, host, wire: u8| {
        let [files, torrents] =
            ["files", "torrents"].map(|kind| directory.path().join(format!("{kind}-{wire}")));
        for path in [&files, &torrents] {
            fs::create_dir(path).expect("a directory");
        }
        make_torrent(&torrents, &format!("udp://10.78.{wire}.1:{PORT}/announce"));
        if wire == 1 {
            fs::rename(torrents.join(NAME), files.join(NAME)).expect("the file to seed");
        }
        let torrent = torrents.join(format!("{NAME}.torrent"));
        let command = client(program, host, &torrent, &files, false, wire, &certificate);
        (Peer::start(command, directory.path().join(format!("{wire}.log"))), files)
    };
    let seeders = |riptide: &Riptide| riptide.metrics().sum("riptide_peers", &[("role", "seeder")]);
    let (mut seeder, seeding) = party(Program::Libtorrent, &hosts.seeder, 1);
    wait(&second, &mut [&mut seeder], "the other node to hear of the seeder", || seeders(&second) > 0.0);
    let (mut leecher, leeching) = party(Program::Aria2, &hosts.leecher, 2);
    let original = fs::read(seeding.join(NAME)).expect("the original");
    wait(&second, &mut [&mut seeder, &mut leecher], "the file to arrive", || {
        fs::read(leeching.join(NAME)).is_ok_and(|copy| copy == original)
    });
    wait(&first, &mut [&mut seeder, &mut leecher], "the first node to hear that it has", || {
        seeders(&first) >= 2.0
    });
}
