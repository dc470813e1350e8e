//! The rules of WebRTC peers, one by one.

use super::*;
use crate::{
    access::{AccessList, Mode},
    engine::{Announce, Lists, Membership, Totals, Want},
    model::{Counts, Network},
    policy::Policy,
};
use std::{collections::HashSet, net::IpAddr};
use tracker_common::address::Address;

const NOW: Seconds = 1_700_000_000;
const HASH: InfoHash = InfoHash([1; 20]);

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

fn id(n: u32) -> PeerId {
    let mut bytes = *b"-WW0000-000000000000";
    bytes[16..].copy_from_slice(&n.to_be_bytes());
    PeerId(bytes)
}

/// A leecher that begins and asks for nobody, over the connection of its number.
fn peer(n: u32) -> WebrtcAnnounce {
    let connection = ConnectionKey(n.into());
    let address = address("192.0.2.1");
    let event = Event::Started;
    WebrtcAnnounce { info_hash: HASH, peer_id: id(n), connection, address, event, left: 9, partners: 0 }
}

fn direct(ip: &str) -> Announce {
    let (event, want) = (Event::None, Want::Both(50));
    Announce { info_hash: HASH, address: address(ip), port: 7, event, left: 9, want }
}

fn tell_direct(engine: &Engine, announce: &Announce) -> Membership {
    let mut rng = Rng::new([1, 1]);
    engine.announce(announce, NOW, &mut rng, &mut Lists::default()).unwrap().membership
}

struct World {
    engine: Engine,
    rng: Rng,
    partners: Vec<Partner>,
}

impl World {
    fn new(policy: Policy) -> Self {
        Self { engine: Engine::new(policy, [1, 2]), rng: Rng::new([5, 6]), partners: Vec::new() }
    }

    fn tell(&mut self, announce: &WebrtcAnnounce) -> Result<WebrtcAnnounced, Rejected> {
        self.engine.announce_webrtc(announce, NOW, &mut self.rng, &mut self.partners)
    }

    fn membership(&mut self, announce: &WebrtcAnnounce) -> Membership {
        self.tell(announce).unwrap().membership
    }

    fn holder(&self, n: u32) -> Option<u64> {
        self.engine.find_webrtc(&HASH, &id(n)).map(|key| key.0)
    }

    fn leave(&self, n: u32, connection: u64) -> bool {
        self.engine.leave_webrtc(&HASH, &id(n), ConnectionKey(connection), NOW)
    }

    fn given(&self) -> Vec<u64> {
        let mut given: Vec<_> = self.partners.iter().map(|partner| partner.connection.0).collect();
        given.sort_unstable();
        given
    }
}

#[test]
fn another_connection_from_the_same_address_takes_a_peer_over() {
    let mut world = World::new(Policy::default());
    assert_eq!(world.tell(&peer(1)).unwrap().displaced, None);
    let again = world.tell(&peer(1)).unwrap();
    assert_eq!((again.membership, again.displaced), (Membership::Refreshed, None));
    let newer = WebrtcAnnounce { connection: ConnectionKey(50), ..peer(1) };
    let taken = world.tell(&newer).unwrap();
    assert_eq!((taken.membership, taken.displaced), (Membership::Refreshed, Some(ConnectionKey(1))));
    assert_eq!(taken.counts, Counts { complete: 0, incomplete: 1, downloaders: 1, downloaded: 0 });
    assert_eq!(world.holder(1), Some(50));
    assert!(!world.leave(1, 1), "the old connection holds nothing any more");
    assert_eq!(world.holder(1), Some(50));
    assert!(world.leave(1, 50));
    assert_eq!(world.holder(1), None);
    assert!(!world.leave(1, 50));
}

#[test]
fn a_stranger_neither_takes_nor_stops_a_peer() {
    let mut world = World::new(Policy::default());
    world.tell(&peer(1)).unwrap();
    world.partners.push(Partner { peer_id: id(9), connection: ConnectionKey(9) });
    let stranger = WebrtcAnnounce { connection: ConnectionKey(2), address: address("192.0.2.2"), ..peer(1) };
    for event in [Event::None, Event::Started, Event::Completed, Event::Paused, Event::Stopped] {
        assert_eq!(world.tell(&WebrtcAnnounce { event, ..stranger }), Err(Rejected::PeerIdTaken));
    }
    assert!(world.partners.is_empty());
    assert_eq!(world.holder(1), Some(1));
    assert!(Rejected::PeerIdTaken.message().is_ascii());
    // In another torrent the peer ID is free.
    let elsewhere = WebrtcAnnounce { info_hash: InfoHash([2; 20]), ..stranger };
    assert_eq!(world.membership(&elsewhere), Membership::Added);
}

#[test]
fn the_owner_may_stop_over_another_connection() {
    let mut world = World::new(Policy::default());
    world.tell(&peer(1)).unwrap();
    let stop = WebrtcAnnounce { event: Event::Stopped, connection: ConnectionKey(2), partners: 5, ..peer(1) };
    let stopped = world.tell(&stop).unwrap();
    assert_eq!((stopped.membership, stopped.displaced), (Membership::Removed, Some(ConnectionKey(1))));
    assert_eq!(world.membership(&stop), Membership::Absent);
    assert_eq!(world.engine.totals(), Totals::default());
}

#[test]
fn networks_share_counts_and_nothing_else() {
    let mut world = World::new(Policy::default());
    for ip in ["10.0.0.1", "2001:db8::1"] {
        tell_direct(&world.engine, &direct(ip));
    }
    let seeder = WebrtcAnnounce { left: 0, event: Event::Completed, partners: 50, ..peer(1) };
    let counts = world.tell(&seeder).unwrap().counts;
    assert_eq!(counts, Counts { complete: 1, incomplete: 2, downloaders: 2, downloaded: 1 });
    assert!(world.given().is_empty());
    let (mut ipv4, mut ipv6) = ([0; 60], [0; 180]);
    let mut lists = Lists { ipv4: &mut ipv4, ipv6: &mut ipv6 };
    let answer = world.engine.announce(&direct("10.0.0.2"), NOW, &mut world.rng, &mut lists).unwrap();
    assert_eq!((answer.ipv4_peers, answer.ipv6_peers), (1, 1));
    assert_eq!(answer.counts, Counts { complete: 1, incomplete: 3, downloaders: 3, downloaded: 1 });
    assert_eq!(world.engine.scrape(&HASH), answer.counts);
    let totals = world.engine.totals();
    assert_eq!((totals.torrents, totals.peers), (1, [[2, 0, 0], [1, 0, 0], [0, 0, 1]]));
    assert_eq!(totals.peers_of(Network::Webrtc, Role::Seeder), 1);
}

#[test]
fn partners_follow_the_rule_of_all_lists() {
    let mut world = World::new(Policy::default());
    for n in 1..=6 {
        world.tell(&WebrtcAnnounce { left: u64::from(n % 2), ..peer(n) }).unwrap();
    }
    world.tell(&WebrtcAnnounce { left: 0, partners: 50, ..peer(2) }).unwrap();
    assert_eq!(world.given(), [1, 3, 5], "a seeder is given leechers");
    world.tell(&WebrtcAnnounce { partners: 50, ..peer(1) }).unwrap();
    assert_eq!(world.given(), [2, 3, 4, 5, 6]);
    world.tell(&WebrtcAnnounce { partners: 2, ..peer(1) }).unwrap();
    assert_eq!(world.given().len(), 2);
    world.tell(&peer(1)).unwrap();
    assert!(world.given().is_empty());
    world.tell(&WebrtcAnnounce { partners: 50, event: Event::Stopped, ..peer(1) }).unwrap();
    assert!(world.given().is_empty());
}

#[test]
fn every_partner_has_the_same_chance() {
    let mut world = World::new(Policy::default());
    let (all, seeders, want, rounds) = (60, 20, 7, 6000);
    for n in 0..all {
        world.tell(&WebrtcAnnounce { left: u64::from(n >= seeders), ..peer(n) }).unwrap();
    }
    let mut seen = vec![0_u32; all as usize];
    for _ in 0..rounds {
        world.tell(&WebrtcAnnounce { partners: want, ..peer(30) }).unwrap();
        let given = world.given();
        assert_eq!(given.iter().collect::<HashSet<_>>().len(), want);
        given.iter().for_each(|&n| seen[n as usize] += 1);
    }
    let p = want as f64 / f64::from(all - 1);
    let (mean, deviation) = (f64::from(rounds) * p, (f64::from(rounds) * p * (1.0 - p)).sqrt());
    for (n, &count) in seen.iter().enumerate() {
        if n == 30 {
            assert_eq!(count, 0);
        } else {
            assert!((f64::from(count) - mean).abs() <= 5.0 * deviation, "{n} came {count}, not {mean}");
        }
    }
}

#[test]
fn silence_does_not_end_a_webrtc_peer() {
    let mut world = World::new(Policy { peer_timeout: 60, ..Policy::default() });
    world.tell(&peer(1)).unwrap();
    world.tell(&WebrtcAnnounce { info_hash: InfoHash([2; 20]), ..peer(2) }).unwrap();
    tell_direct(&world.engine, &direct("10.0.0.1"));
    for later in (0..100_000).step_by(10_000) {
        while !world.engine.sweep(NOW + 60 + later, 100).cycle_ended {}
    }
    assert_eq!(world.engine.totals().peers, [[0, 0, 0], [0, 0, 0], [2, 0, 0]]);
    let sizes = world.engine.swarm_sizes();
    assert_eq!((sizes.torrents[0], sizes.peers), (2, 2));
    assert!(world.leave(1, 1));
    assert_eq!(world.engine.totals().torrents, 1);
}

#[test]
fn limits_hold_for_all_networks_together() {
    let mut world = World::new(Policy { max_peers_per_torrent: 2, max_torrents: 1, ..Policy::default() });
    assert_eq!(tell_direct(&world.engine, &direct("10.0.0.1")), Membership::Added);
    assert_eq!(world.membership(&peer(1)), Membership::Added);
    let third = WebrtcAnnounce { partners: 9, ..peer(2) };
    assert_eq!(world.membership(&third), Membership::TorrentFull);
    assert_eq!(world.given(), [1]);
    assert_eq!(world.holder(2), None);
    assert_eq!(tell_direct(&world.engine, &direct("2001:db8::1")), Membership::TorrentFull);
    let elsewhere = WebrtcAnnounce { info_hash: InfoHash([2; 20]), ..third };
    assert_eq!(world.tell(&elsewhere), Err(Rejected::TooManyTorrents));
    assert!(world.given().is_empty());

    let mut world = World::new(Policy { peers_per_address: Some(2), ..Policy::default() });
    for ip in ["10.0.0.1", "2001:db8::1"] {
        let here = |n| WebrtcAnnounce { address: address(ip), ..peer(n) };
        let n = ip.len() as u32 * 10;
        assert_eq!(tell_direct(&world.engine, &direct(ip)), Membership::Added);
        assert_eq!(world.membership(&here(n)), Membership::Added);
        assert_eq!(world.membership(&here(n + 1)), Membership::AddressFull);
        assert_eq!(world.membership(&here(n)), Membership::Refreshed);
        assert_eq!(tell_direct(&world.engine, &Announce { port: 8, ..direct(ip) }), Membership::AddressFull);
    }
    assert_eq!(world.membership(&peer(1)), Membership::Added);
}

#[test]
fn nothing_is_left_of_a_torrent_whose_first_peer_may_not_enter() {
    let mut world = World::new(Policy { max_peers_per_torrent: 0, ..Policy::default() });
    assert_eq!(world.membership(&peer(1)), Membership::TorrentFull);
    assert_eq!(world.engine.totals(), Totals::default());
}

#[test]
fn a_refused_torrent_takes_its_webrtc_peers_along() {
    let mut world = World::new(Policy::default());
    tell_direct(&world.engine, &direct("10.0.0.1"));
    for n in 0..50 {
        world.tell(&WebrtcAnnounce { left: u64::from(n % 2), ..peer(n) }).unwrap();
    }
    world.tell(&WebrtcAnnounce { info_hash: InfoHash([2; 20]), ..peer(1) }).unwrap();
    world.engine.set_access(AccessList::new(Mode::Deny, vec![HASH]).unwrap(), NOW);
    let totals = world.engine.totals();
    assert_eq!((totals.torrents, totals.peers), (1, [[0, 0, 0], [0, 0, 0], [1, 0, 0]]));
    assert_eq!(world.tell(&peer(1)), Err(Rejected::NotPermitted));
    assert_eq!(world.holder(1), None);
    assert!(!world.leave(1, 1));
}

#[test]
fn a_download_counts_once_and_is_kept_when_the_connection_closes() {
    let mut world = World::new(Policy::default());
    world.tell(&peer(1)).unwrap();
    let whole = WebrtcAnnounce { event: Event::Completed, left: 0, ..peer(1) };
    assert_eq!(world.tell(&whole).unwrap().counts.downloaded, 1);
    world.tell(&peer(1)).unwrap();
    let newer = WebrtcAnnounce { connection: ConnectionKey(2), ..whole };
    assert_eq!(world.tell(&newer).unwrap().counts.downloaded, 1, "told again over another connection");
    assert!(world.leave(1, 2));
    let totals = world.engine.totals();
    assert_eq!((totals.torrents, totals.retained), (0, 1));
    assert_eq!(world.engine.scrape(&HASH).downloaded, 1);
    let stop = WebrtcAnnounce { event: Event::Stopped, ..peer(7) };
    assert_eq!(world.tell(&stop).unwrap().counts.downloaded, 1);
    assert_eq!(
        world.tell(&peer(7)).unwrap().counts,
        Counts { complete: 0, incomplete: 1, downloaders: 1, downloaded: 1 }
    );
    assert_eq!(world.engine.totals().retained, 0);
}

/// Through the sizes at which an index comes and goes, with every peer taken over on the way.
#[test]
fn peers_are_found_in_swarms_of_any_size() {
    let mut world = World::new(Policy::default());
    tell_direct(&world.engine, &direct("10.0.0.1"));
    for n in 0..300 {
        assert_eq!(world.membership(&peer(n)), Membership::Added);
    }
    for n in 0..300 {
        let newer = WebrtcAnnounce { connection: ConnectionKey(1000 + u64::from(n)), left: 0, ..peer(n) };
        assert_eq!(world.tell(&newer).unwrap().displaced, Some(ConnectionKey(n.into())));
    }
    for n in 0..300 {
        assert!(!world.leave(n, n.into()));
        assert!(world.leave(n, 1000 + u64::from(n)));
        assert!((0..300).all(|m| world.holder(m).is_some() == (m > n)));
    }
    assert_eq!(world.engine.totals().peers, [[1, 0, 0], [0, 0, 0], [0, 0, 0]]);
}
