//! However many peers strangers invent, the process stays within the memory it was given, and who was there is served.

#![expect(clippy::expect_used, reason = "a failed expectation is how a test fails")]

use std::net::Ipv4Addr;
use tests::{
    cgroup::Cgroup,
    eventually,
    metrics::Metrics,
    process::resident,
    riptide::{Riptide, Start},
    udp::{Announce, Client, Id20, Reply, event, id20},
};

/// What the whole process may use.
const LIMIT: u64 = 256 << 20;
/// Announces between two looks at it.
const ROUND: u32 = 40_000;
/// So many announces fill it several times over.
const MOST_ROUNDS: u32 = 40;
/// Peers that are there before the flood.
const KNOWN: u16 = 100;

fn client(riptide: &Riptide, last: u8) -> Client {
    Client::new(Ipv4Addr::new(127, 0, 0, last).into(), riptide.udp()[0])
}

fn refused(metrics: &Metrics) -> f64 {
    metrics.sum("riptide_peers_refused_total", &[("reason", "memory")])
}

/// The number in the line that says how many peers there is room for.
fn room(riptide: &Riptide) -> f64 {
    let line = riptide.wait_for_line("how many peers there is room for", |line| line.contains("is room for"));
    assert!(line.contains("256 MiB") && line.contains("riptide-test-"), "it names the limit: {line}");
    let (_, rest) = line.split_once("is room for ").expect("a number");
    rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// One address announces from every port, every other time a torrent that nobody else has.
fn flood(client: &Client, connection: [u8; 8], round: u32) {
    for n in round * ROUND..(round + 1) * ROUND {
        let port = u16::try_from(n % 65_535).expect("a port") + 1;
        let hash = if n.is_multiple_of(2) { id20("own", n) } else { id20("shared", n % 16) };
        client.send(&Announce::leecher(hash, port).num_want(0).bytes(connection, n));
        if n.is_multiple_of(64) {
            let _ = client.take_arrived();
        }
    }
}

fn is_served(known: &Client, hash: Id20) {
    // The flood may take the room in the socket's buffer, so that a request is lost.
    let reply = eventually("a reply to a known peer", || {
        known.send(&Announce::seeder(hash, 1).bytes(known.connection(), 7));
        std::thread::sleep(std::time::Duration::from_millis(5));
        known.take_arrived().pop()
    });
    assert!(matches!(known.read(&reply, 7), Reply::Announced(reply) if reply.seeders == u32::from(KNOWN)));
}

#[test]
fn root_a_flood_of_peers_stays_within_a_control_group() {
    let group = Cgroup::new(LIMIT);
    let riptide = Start::new(None).cgroup(&group).arguments("--udp 127.0.0.1:0 --workers 1").ready();
    let room = room(&riptide);
    let hash = id20("known", 0);
    let known = client(&riptide, 2);
    for port in 1..=KNOWN {
        known.announce(&Announce::seeder(hash, port));
    }
    let stranger = client(&riptide, 1);
    let connection = stranger.connect();
    let mut full_for = 0;
    for round in 0..MOST_ROUNDS {
        flood(&stranger, connection, round);
        is_served(&known, hash);
        let metrics = riptide.metrics();
        let peers = metrics.sum("riptide_peers", &[]);
        assert!(peers <= room, "{peers} peers where there is room for {room}");
        let used = resident(&riptide);
        assert!(used < LIMIT, "{} MiB with {peers} peers", used >> 20);
        // It goes on for a while once nobody is taken in any more.
        full_for += u32::from(refused(&metrics) > 0.0);
        if full_for == 4 {
            break;
        }
    }
    let metrics = riptide.metrics();
    assert!(full_for == 4, "{} peers never filled it:\n{}", metrics.sum("riptide_peers", &[]), metrics.text);
    assert!(metrics.sum("riptide_peers", &[]) >= room / 32.0 * 31.0, "{}", metrics.text);
    // Somebody new is told of those that are there, in a torrent that is; and a new torrent is refused.
    let newcomer = client(&riptide, 3);
    assert_eq!(newcomer.announce(&Announce::leecher(hash, 1).num_want(200)).peers.len(), usize::from(KNOWN));
    assert!(matches!(newcomer.try_announce(&Announce::leecher(id20("another", 0), 1)), Reply::Error(_)));
    // Where somebody leaves there is room again.
    let before = refused(&riptide.metrics());
    for port in 1..=10 {
        known.announce(&Announce::seeder(hash, port).event(event::STOPPED));
    }
    assert_eq!(newcomer.row(hash).seeders, u32::from(KNOWN) - 10);
    newcomer.announce(&Announce::leecher(hash, 2));
    assert!(newcomer.row(hash).leechers >= 1 && refused(&riptide.metrics()) == before);
    assert_eq!(group.kills(), 0);
    riptide.stop();
}
