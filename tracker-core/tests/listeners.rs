//! Who listens to an engine's changes: a process that takes over hears of all, a cluster of news, and neither minds the other.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed check is what this is for")]

use tracker_common::address::Address;
use tracker_core::{
    engine::{
        Announce, Cause, Change, ConnectionKey, CountedBy, Engine, Known, Listener, Lists, Place, Want,
        WebrtcAnnounce,
    },
    model::{Event, InfoHash, PeerId, Role, Seconds},
    policy::Policy,
    records::{PeerRecord, State, TorrentRecord},
    rng::Rng,
};

/// A third of it is 900 seconds.
const TIMEOUT: Seconds = 2700;
const START: Seconds = 1_700_000_000;
const TORRENT: InfoHash = InfoHash([7; 20]);

fn engine() -> Engine {
    Engine::new(Policy { peer_timeout: TIMEOUT, ..Policy::default() }, [1, 2])
}

fn announce(engine: &Engine, port: u16, event: Event, left: u64, now: Seconds) {
    let address = Address::from_ipv4([192, 0, 2, 1]);
    let announce = Announce { info_hash: TORRENT, address, port, event, left, want: Want::Own(0) };
    engine.announce(&announce, now, &mut Rng::new([1, 1]), &mut Lists::default()).unwrap();
}

fn record(engine: &Engine, port: u16, state: State, age: Seconds, now: Seconds) {
    let torrent = TorrentRecord { info_hash: TORRENT, downloaded: 0, age: 0 };
    let peer = PeerRecord { address: Address::from_ipv4([192, 0, 2, 1]), port, state, age };
    engine.import(&torrent, &[peer], now, CountedBy::Own).unwrap();
}

fn take(engine: &Engine, listener: Listener) -> (Vec<Change>, usize) {
    let mut changes = Vec::new();
    let taken = |shard| engine.take_changes(listener, shard, &mut changes).overflowed;
    let overflowed = (0..Engine::SHARDS).map(taken).filter(|overflowed| *overflowed).count();
    (changes, overflowed)
}

fn ports(changes: &[Change]) -> Vec<u16> {
    let port = |change: &Change| if let Place::At(_, port) = change.peer { port } else { 0 };
    changes.iter().map(port).collect()
}

#[test]
fn the_list_that_is_given_is_where_the_next_changes_go() {
    let engine = engine();
    engine.listen(Listener::Cluster, 10);
    let mut changes = Vec::with_capacity(10);
    let room = changes.as_ptr();
    announce(&engine, 1, Event::Started, 1, START);
    let shard = engine.changed(Listener::Cluster).next().unwrap();
    let take = |changes: &mut Vec<Change>| engine.take_changes(Listener::Cluster, shard, changes).changes;
    assert_eq!((take(&mut changes), ports(&changes)), (1, vec![1]));
    changes.clear();
    announce(&engine, 2, Event::Started, 1, START);
    assert_eq!((take(&mut changes), ports(&changes), changes.as_ptr()), (1, vec![2], room));
    announce(&engine, 3, Event::Started, 1, START);
    assert_eq!((take(&mut changes), ports(&changes)), (1, vec![2, 3]), "what is there stays");
}

#[test]
fn each_listener_has_a_queue_of_its_own() {
    let engine = engine();
    engine.listen(Listener::Cluster, 3);
    engine.listen(Listener::Successor, 10);
    (1..=5).for_each(|port| announce(&engine, port, Event::Started, 1, START));
    let (changes, overflowed) = take(&engine, Listener::Cluster);
    assert_eq!((ports(&changes), overflowed), (vec![1, 2, 3], 1));
    announce(&engine, 6, Event::Started, 1, START);
    assert_eq!(ports(&take(&engine, Listener::Cluster).0), [6]);
    let (changes, overflowed) = take(&engine, Listener::Successor);
    assert_eq!((ports(&changes), overflowed), (vec![1, 2, 3, 4, 5, 6], 0));
}

#[test]
fn who_listens_no_longer_leaves_the_other_alone() {
    for (stays, goes) in [(Listener::Cluster, Listener::Successor), (Listener::Successor, Listener::Cluster)]
    {
        let engine = engine();
        engine.listen(stays, 10);
        engine.listen(goes, 10);
        announce(&engine, 1, Event::Started, 1, START);
        announce(&engine, 1, Event::Stopped, 1, START + 5);
        engine.listen(goes, 0);
        announce(&engine, 2, Event::Started, 1, START + 5);
        assert_eq!(ports(&take(&engine, stays).0), [1, 1, 2]);
        assert_eq!(take(&engine, goes), (Vec::new(), 0));
        // That it went is still known.
        record(&engine, 1, State::Here { role: Role::Seeder, counted: false }, 3, START + 6);
        assert_eq!(engine.scrape(&TORRENT).complete, 0);
        engine.listen(stays, 0);
        announce(&engine, 3, Event::Started, 1, START + 5);
        assert_eq!((take(&engine, stays), take(&engine, goes)), ((Vec::new(), 0), (Vec::new(), 0)));
        record(&engine, 1, State::Here { role: Role::Seeder, counted: false }, 3, START + 6);
        assert_eq!(engine.scrape(&TORRENT).complete, 1, "nobody listens, so nobody has to know");
    }
}

#[test]
fn a_cluster_hears_what_clients_of_this_node_did_and_not_that_they_stay() {
    let engine = engine();
    engine.listen(Listener::Cluster, 100);
    engine.listen(Listener::Successor, 100);
    for (port, event, left, after) in [
        (1, Event::Started, 9, 0),
        (1, Event::None, 9, 0),
        (1, Event::Completed, 0, 0),
        (1, Event::Completed, 0, 0),
        (1, Event::Paused, 9, 0),
        (1, Event::Stopped, 9, 0),
        (1, Event::Stopped, 9, 0),
    ] {
        announce(&engine, port, event, left, START + after);
    }
    let role = |known: Option<Known>| known.map(|known| known.role);
    let (changes, _) = take(&engine, Listener::Cluster);
    let told: Vec<_> = changes.iter().map(|change| (role(change.after), change.downloaded)).collect();
    let (leecher, seeder, partial) = (Some(Role::Leecher), Some(Role::Seeder), Some(Role::PartialSeed));
    assert_eq!(told, [(leecher, 0), (seeder, 1), (partial, 1), (None, 1)]);
    assert_eq!(take(&engine, Listener::Successor).0.len(), 6);

    // What a record says is told to whoever takes over, and to nobody else; and so is expiry.
    record(&engine, 2, State::Here { role: Role::Leecher, counted: false }, 0, START);
    record(&engine, 3, State::Here { role: Role::Leecher, counted: false }, 0, START);
    record(&engine, 3, State::Gone, 0, START + 1);
    while !engine.sweep(START + TIMEOUT, 1000).cycle_ended {}
    assert_eq!(take(&engine, Listener::Cluster).0, []);
    let causes: Vec<_> = take(&engine, Listener::Successor).0.iter().map(|change| change.cause).collect();
    assert_eq!(causes, [Cause::Record, Cause::Record, Cause::Record, Cause::Expiry]);
}

/// Told of once in each third of the timeout, as often as it announces, so that nobody's copy expires.
#[test]
fn a_cluster_hears_now_and_then_that_a_peer_stays() {
    let engine = engine();
    engine.listen(Listener::Cluster, 2000);
    let every = 60;
    for now in (START..START + 10 * TIMEOUT).step_by(every) {
        (1..=50).for_each(|port| announce(&engine, port, Event::None, 1, now));
    }
    let (changes, overflowed) = take(&engine, Listener::Cluster);
    assert_eq!(overflowed, 0);
    let mut at_once = std::collections::BTreeMap::<Seconds, usize>::new();
    for port in 1..=50 {
        let times: Vec<Seconds> = changes
            .iter()
            .filter(|change| change.peer == Place::At(Address::from_ipv4([192, 0, 2, 1]), port))
            .map(|change| change.at)
            .collect();
        assert!((30..=32).contains(&times.len()), "{times:?}");
        assert!(times.windows(2).skip(1).all(|two| (900 - 60..=900 + 60).contains(&(two[1] - two[0]))));
        times.iter().skip(1).for_each(|at| *at_once.entry(*at).or_default() += 1);
    }
    assert!(at_once.values().all(|peers| *peers < 15), "they spread: {at_once:?}");
}

#[test]
fn a_cluster_hears_of_webrtc_peers() {
    let engine = engine();
    engine.listen(Listener::Cluster, 100);
    let tell = |event, left, now| {
        let announce = WebrtcAnnounce {
            info_hash: TORRENT,
            peer_id: PeerId(*b"-WW0001-abcdefghijkl"),
            connection: ConnectionKey(1),
            address: Address::from_ipv4([192, 0, 2, 1]),
            event,
            left,
            partners: 0,
        };
        engine.announce_webrtc(&announce, now, &mut Rng::new([1, 1]), &mut Vec::new()).unwrap();
    };
    for (event, now) in [(Event::Started, 0), (Event::None, 0), (Event::None, 900), (Event::Stopped, 900)] {
        tell(event, 1, START + now);
    }
    let (changes, _) = take(&engine, Listener::Cluster);
    let told: Vec<_> = changes.iter().map(|change| (change.at - START, change.after.is_some())).collect();
    assert_eq!(told, [(0, true), (900, true), (900, false)]);
}
