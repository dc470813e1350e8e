//! The rules of swarms, one by one.

use super::{Announce, Announced, CountedBy, Engine, Lists, Membership, Rejected, SHARDS, Want};
use crate::{
    access::{AccessList, Mode},
    model::{Counts, Event, InfoHash, Network, Role},
    policy::Policy,
    records::{PeerRecord, State, TorrentRecord},
    rng::Rng,
};
use std::{net::IpAddr, sync::Barrier, thread};
use tracker_common::address::Address;

const NOW: u32 = 1_700_000_000;

/// Asks for nothing.
fn peer(torrent: u8, ip: &str, port: u16, event: Event, left: u64) -> Announce {
    let address = ip.parse::<IpAddr>().unwrap().into();
    Announce { info_hash: InfoHash([torrent; 20]), address, port, event, left, want: Want::Own(0) }
}

fn engine(policy: Policy) -> Engine {
    Engine::new(policy, [1, 2])
}

fn tell(engine: &Engine, announce: &Announce, now: u32) -> Result<Announced, Rejected> {
    engine.announce(announce, now, &mut Rng::new([3, 4]), &mut Lists::default())
}

fn counts_after(engine: &Engine, announce: &Announce) -> (u32, u32, u32) {
    let Counts { complete, incomplete, downloaded, .. } = tell(engine, announce, NOW).unwrap().counts;
    (complete, incomplete, downloaded)
}

fn sweep_all(engine: &Engine, now: u32) -> usize {
    let mut expired = 0;
    loop {
        let report = engine.sweep(now, 100);
        expired += report.expired;
        if report.cycle_ended {
            return expired;
        }
    }
}

#[test]
fn the_announcer_is_counted_in_what_it_is_told() {
    let engine = engine(Policy::default());
    assert_eq!(counts_after(&engine, &peer(1, "10.0.0.1", 1, Event::Started, 9)), (0, 1, 0));
    assert_eq!(counts_after(&engine, &peer(1, "10.0.0.2", 1, Event::Started, 0)), (1, 1, 0));
    assert_eq!(counts_after(&engine, &peer(1, "2001:db8::1", 1, Event::None, 9)), (1, 2, 0));
}

#[test]
fn downloaded_grows_once_for_a_download() {
    let engine = engine(Policy::default());
    let say = |event, left| counts_after(&engine, &peer(1, "10.0.0.1", 1, event, left)).2;
    assert_eq!(say(Event::Started, 9), 0);
    assert_eq!(say(Event::Completed, 9), 0, "completed with something left is no event");
    assert_eq!(say(Event::Completed, 0), 1);
    assert_eq!(say(Event::Completed, 0), 1, "told again");
    assert_eq!(say(Event::None, 5), 1);
    assert_eq!(say(Event::Completed, 0), 1, "counted before");
    assert_eq!(say(Event::None, 0), 1);
    let other = |event, left| counts_after(&engine, &peer(1, "10.0.0.2", 1, event, left)).2;
    assert_eq!(other(Event::Completed, 0), 2, "first seen");
    let seeder = |event, left| counts_after(&engine, &peer(1, "10.0.0.3", 1, event, left)).2;
    assert_eq!(seeder(Event::Started, 0), 2);
    assert_eq!(seeder(Event::Completed, 0), 2, "was a seeder already");
}

#[test]
fn a_partial_seed_counts_as_incomplete() {
    let engine = engine(Policy::default());
    assert_eq!(counts_after(&engine, &peer(1, "10.0.0.1", 1, Event::Paused, 9)), (0, 1, 0));
    assert_eq!(counts_after(&engine, &peer(1, "10.0.0.1", 1, Event::Paused, 0)), (0, 1, 0));
}

#[test]
fn who_stops_is_gone_and_told_so() {
    let engine = engine(Policy::default());
    let (a, b) = (peer(1, "10.0.0.1", 1, Event::None, 9), peer(1, "10.0.0.2", 1, Event::None, 0));
    tell(&engine, &a, NOW).unwrap();
    tell(&engine, &b, NOW).unwrap();
    let stop = |announce: Announce| {
        let stop = Announce { event: Event::Stopped, want: Want::Own(9), ..announce };
        let (mut room, mut rng) = ([0; 60], Rng::new([1, 1]));
        engine.announce(&stop, NOW, &mut rng, &mut Lists { ipv4: &mut room, ipv6: &mut [] }).unwrap()
    };
    let answer = stop(a);
    assert_eq!((answer.membership, answer.ipv4_peers), (Membership::Removed, 0));
    assert_eq!(answer.counts, Counts { complete: 1, incomplete: 0, downloaders: 0, downloaded: 0 });
    assert_eq!(stop(a).membership, Membership::Absent);
    assert_eq!(stop(b).counts, Counts::default());
    assert_eq!(engine.totals().torrents, 0);
    assert_eq!(stop(b).membership, Membership::Absent);
}

#[test]
fn a_peer_is_its_address_and_port() {
    let engine = engine(Policy::default());
    assert_eq!(counts_after(&engine, &peer(1, "10.0.0.1", 1, Event::None, 9)), (0, 1, 0));
    assert_eq!(counts_after(&engine, &peer(1, "10.0.0.1", 2, Event::None, 9)), (0, 2, 0));
    assert_eq!(counts_after(&engine, &peer(1, "::ffff:10.0.0.1", 2, Event::None, 9)), (0, 2, 0));
    assert_eq!(counts_after(&engine, &peer(2, "10.0.0.1", 1, Event::None, 9)), (0, 1, 0));
    assert_eq!(engine.totals().peers_of(Network::Ipv6, Role::Leecher), 0);
}

#[test]
fn each_family_goes_to_its_own_list() {
    let engine = engine(Policy::default());
    tell(&engine, &peer(1, "10.0.0.1", 258, Event::None, 9), NOW).unwrap();
    tell(&engine, &peer(1, "2001:db8::1", 772, Event::None, 0), NOW).unwrap();
    let asking = Announce { want: Want::Both(5), ..peer(1, "10.0.0.9", 1, Event::None, 1) };
    let (mut four, mut six) = ([0; 30], [0; 90]);
    let mut lists = Lists { ipv4: &mut four, ipv6: &mut six };
    let answer = engine.announce(&asking, NOW, &mut Rng::new([1, 1]), &mut lists).unwrap();
    assert_eq!((answer.ipv4_peers, answer.ipv6_peers), (1, 1));
    assert_eq!(four[..6], [10, 0, 0, 1, 1, 2]);
    assert_eq!(six[..18], [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 4]);
}

#[test]
fn silence_ends_a_peer_and_a_sign_of_life_does_not() {
    let engine = engine(Policy { peer_timeout: 2700, ..Policy::default() });
    tell(&engine, &peer(1, "10.0.0.1", 1, Event::None, 9), NOW).unwrap();
    tell(&engine, &peer(1, "10.0.0.2", 1, Event::None, 9), NOW).unwrap();
    tell(&engine, &peer(2, "2001:db8::1", 1, Event::None, 0), NOW).unwrap();
    tell(&engine, &peer(1, "10.0.0.2", 1, Event::None, 9), NOW + 1800).unwrap();
    assert_eq!(sweep_all(&engine, NOW + 2699), 0);
    assert_eq!(sweep_all(&engine, NOW + 2700), 2);
    assert_eq!(engine.scrape(&InfoHash([1; 20])).incomplete, 1);
    assert_eq!(engine.scrape(&InfoHash([2; 20])), Counts::default());
    assert_eq!(sweep_all(&engine, NOW + 4500), 1);
    assert_eq!(engine.totals().torrents, 0);
}

#[test]
fn peers_are_looked_at_only_where_one_may_have_expired() {
    let engine = engine(Policy { peer_timeout: 2700, ..Policy::default() });
    for port in 1..=30 {
        tell(&engine, &peer(1, "10.0.0.1", port, Event::None, 9), NOW).unwrap();
    }
    let visited = |now| {
        let report = engine.sweep(now, usize::MAX);
        (report.visited - SHARDS, report.expired, engine.swarm_sizes().peers)
    };
    assert_eq!(visited(NOW + 20), (0, 0, 30));
    tell(&engine, &peer(1, "10.0.0.2", 1, Event::None, 9), NOW + 30).unwrap();
    assert_eq!(visited(NOW + 2699), (0, 0, 31));
    // A record may tell of somebody who was heard of long before.
    let address = Address::from_ipv4([10, 0, 0, 3]);
    let state = State::Here { role: Role::Leecher, counted: false };
    let record = PeerRecord { address, port: 1, state, age: 2699 };
    let torrent = TorrentRecord { info_hash: InfoHash([1; 20]), downloaded: 0, age: 0 };
    engine.import(&torrent, &[record], NOW + 2698, CountedBy::Own).unwrap();
    assert_eq!(visited(NOW + 2699), (33, 1, 31));
    assert_eq!(visited(NOW + 2699), (0, 0, 31));
    assert_eq!(visited(NOW + 2700), (32, 30, 1));
    assert_eq!(visited(NOW + 2729), (0, 0, 1));
    assert_eq!(visited(NOW + 2730), (2, 1, 0));
}

#[test]
fn a_slice_of_sweeping_is_bounded_within_a_large_swarm_too() {
    let engine = engine(Policy { peer_timeout: 60, ..Policy::default() });
    for port in 1..=20_000 {
        tell(&engine, &peer(1, "10.0.0.1", port, Event::None, u64::from(port % 3)), NOW).unwrap();
        tell(&engine, &peer(1, "2001:db8::1", port, Event::None, u64::from(port % 2)), NOW).unwrap();
    }
    let (mut slices, mut expired) = (0, 0);
    loop {
        let report = engine.sweep(NOW + 60, 100);
        // A part of a swarm is looked at whole, but no more than a few hundred peers go under one lock.
        assert!(report.visited <= 2300 && report.expired <= 360, "{report:?}");
        expired += report.expired;
        slices += 1;
        if report.cycle_ended {
            break;
        }
    }
    assert_eq!(expired, 40_000);
    assert!(slices >= 130, "{slices}");
    assert_eq!(engine.totals().torrents, 0);
}

#[test]
fn the_downloaded_count_outlives_the_swarm_for_a_while() {
    let engine = engine(Policy { downloaded_retention: 1000, ..Policy::default() });
    let hash = InfoHash([1; 20]);
    tell(&engine, &peer(1, "10.0.0.1", 1, Event::Completed, 0), NOW).unwrap();
    tell(&engine, &peer(1, "10.0.0.1", 1, Event::Stopped, 0), NOW).unwrap();
    let totals = engine.totals();
    assert_eq!((totals.torrents, totals.retained), (0, 1));
    assert_eq!(engine.scrape(&hash), Counts { downloaded: 1, ..Counts::default() });
    // It goes on from there, and back.
    assert_eq!(counts_after(&engine, &peer(1, "10.0.0.2", 1, Event::None, 5)), (0, 1, 1));
    assert_eq!(engine.totals().retained, 0);
    tell(&engine, &peer(1, "10.0.0.2", 1, Event::Stopped, 5), NOW + 10).unwrap();
    sweep_all(&engine, NOW + 1009);
    assert_eq!(engine.scrape(&hash).downloaded, 1);
    sweep_all(&engine, NOW + 1010);
    assert_eq!(engine.scrape(&hash).downloaded, 0);
    assert_eq!(engine.totals().retained, 0);
}

#[test]
fn the_oldest_downloaded_counts_go_first() {
    let engine = engine(Policy { downloaded_entries: 3, ..Policy::default() });
    for torrent in 1..=5 {
        tell(&engine, &peer(torrent, "10.0.0.1", 1, Event::Completed, 0), NOW).unwrap();
        tell(&engine, &peer(torrent, "10.0.0.1", 1, Event::Stopped, 0), NOW).unwrap();
    }
    let kept: Vec<u32> = (1..=5).map(|torrent| engine.scrape(&InfoHash([torrent; 20])).downloaded).collect();
    assert_eq!(kept, [0, 0, 1, 1, 1]);
    assert_eq!(engine.totals().retained, 3);
}

#[test]
fn a_full_tracker_refuses_new_torrents_only() {
    let engine = engine(Policy { max_torrents: 2, ..Policy::default() });
    tell(&engine, &peer(1, "10.0.0.1", 1, Event::None, 1), NOW).unwrap();
    tell(&engine, &peer(2, "10.0.0.1", 1, Event::None, 1), NOW).unwrap();
    let third = peer(3, "10.0.0.1", 1, Event::None, 1);
    assert_eq!(tell(&engine, &third, NOW), Err(Rejected::TooManyTorrents));
    assert!(tell(&engine, &Announce { event: Event::Stopped, ..third }, NOW).is_ok());
    assert!(tell(&engine, &peer(2, "10.0.0.2", 1, Event::None, 1), NOW).is_ok());
    tell(&engine, &peer(1, "10.0.0.1", 1, Event::Stopped, 1), NOW).unwrap();
    assert!(tell(&engine, &third, NOW).is_ok());
}

#[test]
fn a_full_torrent_answers_without_storing() {
    let engine = engine(Policy { max_peers_per_torrent: 2, ..Policy::default() });
    tell(&engine, &peer(1, "10.0.0.1", 1, Event::None, 1), NOW).unwrap();
    tell(&engine, &peer(1, "2001:db8::1", 1, Event::None, 1), NOW).unwrap();
    let third = Announce { want: Want::Own(9), ..peer(1, "10.0.0.3", 1, Event::Completed, 0) };
    let mut room = [0; 60];
    let mut lists = Lists { ipv4: &mut room, ipv6: &mut [] };
    let answer = engine.announce(&third, NOW, &mut Rng::new([1, 1]), &mut lists).unwrap();
    assert_eq!((answer.membership, answer.ipv4_peers), (Membership::TorrentFull, 1));
    assert_eq!(answer.counts, Counts { complete: 0, incomplete: 2, downloaders: 2, downloaded: 0 });
    let known = tell(&engine, &peer(1, "10.0.0.1", 1, Event::Completed, 0), NOW).unwrap();
    assert_eq!((known.membership, known.counts.downloaded), (Membership::Refreshed, 1));
}

#[test]
fn nothing_is_left_of_a_torrent_whose_first_peer_may_not_enter() {
    let engine = engine(Policy { max_peers_per_torrent: 0, ..Policy::default() });
    let answer = tell(&engine, &peer(1, "10.0.0.1", 1, Event::None, 1), NOW).unwrap();
    assert_eq!((answer.membership, answer.counts), (Membership::TorrentFull, Counts::default()));
    assert_eq!(engine.totals().torrents, 0);
}

#[test]
fn peers_of_one_address_can_be_limited() {
    let engine = engine(Policy { peers_per_address: Some(2), ..Policy::default() });
    let enter =
        |torrent, ip, port| tell(&engine, &peer(torrent, ip, port, Event::None, 1), NOW).unwrap().membership;
    assert_eq!(enter(1, "10.0.0.1", 1), Membership::Added);
    assert_eq!(enter(1, "10.0.0.1", 2), Membership::Added);
    assert_eq!(enter(1, "10.0.0.1", 3), Membership::AddressFull);
    assert_eq!(enter(1, "10.0.0.1", 2), Membership::Refreshed);
    assert_eq!(enter(1, "10.0.0.2", 3), Membership::Added);
    assert_eq!(enter(2, "10.0.0.1", 3), Membership::Added);
    engine.set_policy(Policy::default());
    assert_eq!(enter(1, "10.0.0.1", 3), Membership::Added);
}

#[test]
fn a_refused_torrent_is_gone_at_once() {
    let engine = engine(Policy::default());
    for torrent in 1..=100 {
        tell(&engine, &peer(torrent, "10.0.0.1", 1, Event::Completed, 0), NOW).unwrap();
        tell(&engine, &peer(torrent, "2001:db8::1", 1, Event::None, 1), NOW).unwrap();
    }
    tell(&engine, &peer(101, "10.0.0.1", 1, Event::Completed, 0), NOW).unwrap();
    tell(&engine, &peer(101, "10.0.0.1", 1, Event::Stopped, 0), NOW).unwrap();
    let odd = (0..=101).filter(|n| n % 2 == 1).map(|n| InfoHash([n; 20])).collect();
    engine.set_access(AccessList::new(Mode::Deny, odd).unwrap(), NOW);
    let totals = engine.totals();
    assert_eq!(
        (totals.torrents, totals.peers, totals.retained),
        (50, [[0, 0, 50], [50, 0, 0], [0, 0, 0]], 0)
    );
    assert_eq!(engine.scrape(&InfoHash([1; 20])), Counts::default());
    assert_eq!(tell(&engine, &peer(1, "10.0.0.1", 1, Event::None, 1), NOW), Err(Rejected::NotPermitted));
    assert_eq!(tell(&engine, &peer(1, "10.0.0.1", 1, Event::Stopped, 1), NOW), Err(Rejected::NotPermitted));
    engine.set_access(AccessList::off(), NOW);
    assert_eq!(counts_after(&engine, &peer(1, "10.0.0.1", 1, Event::None, 1)), (0, 1, 0));
}

#[test]
fn a_torrent_that_is_denied_alone_is_gone_at_once_with_its_count() {
    let engine = engine(Policy::default());
    let list = AccessList::new(Mode::Off, Vec::new()).unwrap();
    for torrent in 1..=100 {
        tell(&engine, &peer(torrent, "10.0.0.1", 1, Event::Completed, 0), NOW).unwrap();
        if torrent % 2 == 1 {
            tell(&engine, &peer(torrent, "10.0.0.1", 1, Event::Stopped, 0), NOW).unwrap();
        }
    }
    let mut denied = Vec::new();
    for torrent in [1, 2, 99, 100] {
        let info_hash = InfoHash([torrent; 20]);
        denied.push(info_hash);
        engine.set_access_to(&info_hash, list.denying(denied.clone()), NOW);
        assert_eq!(engine.scrape(&info_hash), Counts::default());
        let asked = peer(torrent, "10.0.0.1", 1, Event::None, 1);
        assert_eq!(tell(&engine, &asked, NOW), Err(Rejected::NotPermitted));
    }
    let totals = engine.totals();
    assert_eq!((totals.torrents, totals.retained), (48, 48), "and no other");
    engine.set_access_to(&denied[0], list.denying(denied[1..].to_vec()), NOW);
    assert!(tell(&engine, &peer(1, "10.0.0.1", 1, Event::None, 1), NOW).is_ok());
    assert!(tell(&engine, &peer(2, "10.0.0.1", 1, Event::None, 1), NOW).is_err());
}

/// Announces race with the change of the list: none may slip in behind it.
#[test]
fn no_announce_outruns_the_access_list() {
    let engine = engine(Policy::default());
    for round in 0..20 {
        let barrier = Barrier::new(3);
        thread::scope(|scope| {
            for worker in 0..2 {
                let (engine, barrier) = (&engine, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    for port in 1..=2000 {
                        let torrent = (port % 8) as u8;
                        let _ =
                            tell(engine, &peer(torrent, "10.0.0.1", port * 2 + worker, Event::None, 1), NOW);
                    }
                });
            }
            barrier.wait();
            let refused = (0..8).map(|n| InfoHash([n; 20])).collect();
            engine.set_access(AccessList::new(Mode::Deny, refused).unwrap(), NOW);
            assert_eq!(engine.totals().torrents, 0, "round {round}");
        });
        assert_eq!(engine.totals().torrents, 0, "round {round}");
        engine.set_access(AccessList::off(), NOW);
    }
}

#[test]
fn swarm_sizes_follow_whoever_comes_and_goes() {
    let engine = engine(Policy { peer_timeout: 60, ..Policy::default() });
    for (torrent, peers) in [(1, 1), (2, 2), (3, 3), (4, 5), (5, 6), (6, 100)] {
        for port in 1..=peers {
            tell(&engine, &peer(torrent, "10.0.0.1", port, Event::None, 1), NOW).unwrap();
        }
    }
    let sizes = engine.swarm_sizes();
    assert_eq!(sizes.torrents[..7], [1, 1, 2, 1, 0, 0, 1]);
    assert_eq!((sizes.torrents.iter().sum::<u64>(), sizes.peers), (6, 117));
    tell(&engine, &peer(1, "10.0.0.1", 1, Event::Stopped, 1), NOW).unwrap();
    tell(&engine, &peer(6, "10.0.0.1", 1, Event::None, 1), NOW + 1).unwrap();
    sweep_all(&engine, NOW + 60);
    let sizes = engine.swarm_sizes();
    assert_eq!((sizes.torrents[0], sizes.torrents.iter().sum::<u64>(), sizes.peers), (1, 1, 1));
}

#[test]
fn threads_share_one_engine() {
    let engine = engine(Policy::default());
    thread::scope(|scope| {
        for worker in 0..4_u16 {
            let engine = &engine;
            scope.spawn(move || {
                for i in 0..3000 {
                    let port = 1 + worker * 3000 + i;
                    tell(engine, &peer((i % 40) as u8, "10.0.0.1", port, Event::None, u64::from(i % 2)), NOW)
                        .unwrap();
                    if i % 100 == 0 {
                        engine.sweep(NOW, 300);
                    }
                }
            });
        }
    });
    let totals = engine.totals();
    assert_eq!(totals.torrents, 40);
    assert_eq!(totals.peers, [[6000, 0, 6000], [0, 0, 0], [0, 0, 0]]);
}

#[test]
fn fetching_ahead_changes_nothing_and_tells_large_swarms() {
    let engine = engine(Policy::default());
    let all = |announce: &Announce| {
        let at = engine.locate(&announce.info_hash);
        engine.prefetch_shard(&at);
        engine.prefetch_slot(&at);
        engine.prefetch_torrent(&at);
        let large = engine.prefetch_peers(&at);
        engine.prefetch_peer_slot(&at, announce);
        engine.prefetch_peer(&at, announce);
        large
    };
    for (torrent, peers) in [(1, 1), (2, 20), (3, 100)] {
        for port in 1..=peers {
            tell(&engine, &peer(torrent, "10.0.0.1", port, Event::None, 9), NOW).unwrap();
        }
    }
    let before = engine.totals();
    // Of a peer that is there, one that is not, and one of the other family.
    for (ip, port) in [("10.0.0.1", 1), ("10.0.0.2", 7), ("2001:db8::1", 1)] {
        let large = |torrent| all(&peer(torrent, ip, port, Event::None, 9));
        assert_eq!([9, 1, 2, 3].map(large), [false, false, false, true], "{ip}");
    }
    assert_eq!(engine.totals(), before);
}
