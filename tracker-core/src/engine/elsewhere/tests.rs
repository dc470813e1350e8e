//! The rules of WebRTC peers of other nodes, one by one.

use super::*;
use crate::{
    access::{AccessList, Mode},
    engine::{
        Change, ConnectionKey, Listener, Membership, Partner, Place, Totals, WebrtcAnnounce, WebrtcAnnounced,
    },
    model::{Event, PeerId, Role},
    policy::Policy,
    records::{WebrtcItem, WebrtcReader, WebrtcWalkWriter, WebrtcWriter},
    rng::Rng,
};
use std::net::IpAddr;

const NOW: Seconds = 1_700_000_000;
const HASH: InfoHash = InfoHash([1; 20]);
const TIMEOUT: Seconds = 600;
const GONE: State = State::Gone;

const fn here(role: Role) -> State {
    State::Here { role, counted: false }
}

fn node(number: u16) -> NodeNumber {
    NodeNumber::new(number).unwrap()
}

fn id(n: u32) -> PeerId {
    let mut bytes = *b"-WW0000-000000000000";
    bytes[16..].copy_from_slice(&n.to_be_bytes());
    PeerId(bytes)
}

fn record(n: u32, state: State, age: Seconds) -> WebrtcRecord {
    WebrtcRecord { peer_id: id(n), state, age }
}

fn leecher(n: u32, age: Seconds) -> WebrtcRecord {
    record(n, here(Role::Leecher), age)
}

/// A leecher of this node that begins, over the connection of its number.
fn peer(n: u32) -> WebrtcAnnounce {
    WebrtcAnnounce {
        info_hash: HASH,
        peer_id: id(n),
        connection: ConnectionKey(n.into()),
        address: "192.0.2.1".parse::<IpAddr>().unwrap().into(),
        event: Event::Started,
        left: 9,
        partners: 50,
    }
}

struct World {
    engine: Engine,
    rng: Rng,
    partners: Vec<Partner>,
}

impl World {
    fn with(policy: Policy) -> Self {
        let engine = Engine::new(policy, [1, 2]);
        engine.listen(Listener::Successor, 1000);
        Self { engine, rng: Rng::new([5, 6]), partners: Vec::new() }
    }

    fn new() -> Self {
        Self::with(Policy { peer_timeout: TIMEOUT, ..Policy::default() })
    }

    /// A node tells this; what became of it, as taken, known and refused.
    fn tell_at(&self, number: u16, records: &[WebrtcRecord], now: Seconds) -> [usize; 3] {
        let Imported { taken, known, refused } =
            self.engine.import_webrtc(&HASH, records, node(number), now).unwrap();
        [taken, known, refused]
    }

    fn tell(&self, number: u16, records: &[WebrtcRecord]) -> [usize; 3] {
        self.tell_at(number, records, NOW)
    }

    fn announce(&mut self, announce: &WebrtcAnnounce, now: Seconds) -> Result<WebrtcAnnounced, Rejected> {
        self.engine.announce_webrtc(announce, now, &mut self.rng, &mut self.partners)
    }

    fn holder(&self, n: u32) -> Option<ConnectionKey> {
        self.engine.find_webrtc(&HASH, &id(n))
    }

    fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        (0..Engine::SHARDS)
            .for_each(|shard| _ = self.engine.take_changes(Listener::Successor, shard, &mut changes));
        changes
    }
}

const TAKEN: [usize; 3] = [1, 0, 0];
const KNOWN: [usize; 3] = [0, 1, 0];
const REFUSED: [usize; 3] = [0, 0, 1];

#[test]
fn a_key_tells_this_node_from_others() {
    assert_eq!(ConnectionKey(7).node(), None);
    assert_eq!(ConnectionKey(u64::MAX >> 1).node(), None);
    for number in [0, 1, 1023] {
        let key = ConnectionKey::of_node(node(number));
        assert_eq!((key.node(), key.0 >> 63), (Some(node(number)), 1));
    }
}

#[test]
fn peers_of_another_node_are_counted_and_given_as_those_of_this_one() {
    let mut world = World::new();
    let records = [leecher(1, 5), record(2, here(Role::Seeder), 0), record(3, here(Role::PartialSeed), 9)];
    assert_eq!(world.tell(4, &records), [3, 0, 0]);
    assert_eq!(world.holder(2), Some(ConnectionKey::of_node(node(4))));
    let counts = world.announce(&peer(9), NOW).unwrap().counts;
    assert_eq!(counts, Counts { complete: 1, incomplete: 3, downloaders: 2, downloaded: 0 });
    assert_eq!(world.engine.scrape(&HASH), counts);
    assert_eq!(world.engine.totals().peers, [[0; 3], [0; 3], [2, 1, 1]]);
    assert_eq!((world.engine.totals().torrents, world.partners.len()), (1, 3));
    world.announce(&peer(8), NOW).unwrap();
    let near: Vec<_> = world.partners.iter().map(|partner| partner.connection.node().is_none()).collect();
    assert_eq!(near, [true, false, false, false]);
    world.announce(&WebrtcAnnounce { partners: 1, ..peer(8) }, NOW).unwrap();
    assert_eq!(world.partners, [Partner { peer_id: id(9), connection: ConnectionKey(9) }]);
}

#[test]
fn of_two_records_the_newer_holds_whoever_told_it() {
    let seeder = |age| record(1, here(Role::Seeder), age);
    for (teller, told, becomes, holder) in [
        (4, leecher(1, 50), KNOWN, Some(4)),
        (4, seeder(50), TAKEN, Some(4)),
        (4, seeder(51), KNOWN, Some(4)),
        (4, leecher(1, 49), TAKEN, Some(4)),
        (5, leecher(1, 50), KNOWN, Some(4)),
        (5, leecher(1, 49), TAKEN, Some(5)),
        (5, leecher(1, 51), KNOWN, Some(4)),
        (5, record(1, GONE, 0), KNOWN, Some(4)),
        (4, record(1, GONE, 51), KNOWN, Some(4)),
        (4, record(1, GONE, 50), TAKEN, None),
        (4, record(1, GONE, 0), TAKEN, None),
        (4, leecher(2, TIMEOUT), REFUSED, Some(4)),
        (4, record(1, GONE, TIMEOUT), KNOWN, Some(4)),
    ] {
        let world = World::new();
        assert_eq!(world.tell(4, &[leecher(1, 50)]), TAKEN);
        assert_eq!(world.tell(teller, &[told]), becomes, "{teller} tells {told:?}");
        assert_eq!(world.holder(1), holder.map(|number| ConnectionKey::of_node(node(number))), "{told:?}");
        assert_eq!(world.tell(teller, &[told])[0], 0, "what comes twice changes nothing: {told:?}");
        assert_eq!(world.engine.totals().torrents, usize::from(holder.is_some()));
    }
}

#[test]
fn a_connection_of_this_node_holds_its_peer_whatever_others_tell() {
    let mut world = World::new();
    world.announce(&peer(1), NOW).unwrap();
    for told in [record(1, here(Role::Seeder), 0), record(1, GONE, 0), leecher(1, 3)] {
        assert_eq!(world.tell_at(4, &[told], NOW + 50), KNOWN);
        assert_eq!(world.holder(1), Some(ConnectionKey(1)));
    }
    assert!(world.engine.leave_webrtc(&HASH, &id(1), ConnectionKey(1), NOW + 60));
    assert_eq!(
        world.tell_at(4, &[leecher(1, 5)], NOW + 61),
        TAKEN,
        "that it left here says nothing of there"
    );
    assert!(!world.engine.leave_webrtc(&HASH, &id(1), ConnectionKey(1), NOW + 62));
}

#[test]
fn who_left_a_node_is_not_brought_back_by_what_it_told_before() {
    let world = World::new();
    assert_eq!(world.tell(4, &[record(1, GONE, 10)]), KNOWN);
    assert_eq!(world.tell(4, &[leecher(1, 10)]), KNOWN);
    assert_eq!(world.engine.totals(), Totals::default());
    assert_eq!(world.tell(5, &[leecher(1, 60)]), TAKEN, "at another node it is as told");
    assert_eq!(world.tell(4, &[leecher(1, 9)]), TAKEN, "and here it came again");
    assert_eq!(world.holder(1), Some(ConnectionKey::of_node(node(4))));
}

/// Peer IDs are no secret: every peer of the swarm sees them.
#[test]
fn a_peer_of_another_node_is_taken_over_only_once_that_has_given_it_up() {
    let events = [Event::None, Event::Started, Event::Completed, Event::Stopped];
    let mut world = World::new();
    world.tell(4, &[leecher(1, 0)]);
    for event in events {
        let announce = WebrtcAnnounce { event, left: 0, ..peer(1) };
        assert_eq!(world.announce(&announce, NOW + TIMEOUT / 2 - 1), Err(Rejected::PeerIdTaken));
    }
    assert!(world.partners.is_empty());
    assert_eq!(world.engine.scrape(&HASH).incomplete, 1);
    assert_eq!(world.tell_at(4, &[record(1, GONE, 0)], NOW + 9), TAKEN);
    assert_eq!(world.announce(&peer(1), NOW + 10).unwrap().membership, Membership::Added);

    // It would have been told of again.
    let overdue = NOW + TIMEOUT / 2;
    for event in events {
        let mut world = World::new();
        world.tell(4, &[record(1, State::Here { role: Role::Leecher, counted: true }, 0)]);
        world.changes();
        let announce = WebrtcAnnounce { event, left: 0, ..peer(1) };
        let announced = world.announce(&announce, overdue).unwrap();
        assert_eq!(announced.displaced, Some(ConnectionKey::of_node(node(4))));
        assert_eq!(announced.counts.downloaded, 0, "its download has been counted");
        let told = world.changes();
        assert_eq!((told[0].cause, told[0].after), (Cause::Record, None));
        if event == Event::Stopped {
            assert_eq!((announced.membership, told.len()), (Membership::Absent, 1));
            assert_eq!(world.engine.totals().torrents, 0);
        } else {
            assert_eq!((announced.membership, told.len()), (Membership::Added, 2));
            assert_eq!((told[1].cause, told[1].before), (Cause::Announce, None), "to others it is new");
            assert!(told[1].after.is_some_and(|known| known.counted));
            assert_eq!(world.holder(1), Some(ConnectionKey(1)));
            assert_eq!(world.tell_at(4, &[record(1, GONE, 0)], overdue + 1), KNOWN);
        }
    }
}

#[test]
fn peers_of_other_nodes_expire_and_those_of_this_one_do_not() {
    let mut world = World::new();
    world.tell(4, &[leecher(1, 0), leecher(2, TIMEOUT - 10)]);
    world.announce(&peer(3), NOW - 5).unwrap();
    for (later, left) in [(9, [true; 3]), (10, [true, false, true]), (TIMEOUT, [false, false, true])] {
        while !world.engine.sweep(NOW + later, 100).cycle_ended {}
        assert_eq!([1, 2, 3].map(|n| world.holder(n).is_some()), left);
    }
    assert!(world.changes().iter().filter(|change| change.after.is_none()).all(|c| c.cause == Cause::Expiry));
}

#[test]
fn a_lost_node_takes_its_peers_along_a_few_at_a_time() {
    let mut world = World::new();
    for number in 0..3 {
        let records: Vec<_> = (0..200).map(|n| leecher(1000 * u32::from(number) + n, 0)).collect();
        world.tell(number, &records);
        let elsewhere = InfoHash([9 + number as u8; 20]);
        world.engine.import_webrtc(&elsewhere, &[leecher(1, 0)], node(number), NOW).unwrap();
    }
    world.announce(&peer(9999), NOW).unwrap();
    let (mut cursor, mut steps, mut removed) = (Cursor::default(), 0, 0);
    loop {
        let walked = world.engine.forget_nodes(&[node(1)], &mut cursor, NOW, 100);
        assert!(walked.removed <= 150);
        (steps, removed) = (steps + 1, removed + walked.removed);
        if walked.ended {
            break;
        }
    }
    assert_eq!((removed, steps > 5), (201, true));
    assert_eq!(world.engine.totals().peers, [[0; 3], [0; 3], [403, 0, 0]]);
    assert_eq!(world.engine.totals().torrents, 3);
    let kept = |n: u32| world.holder(n).is_some();
    assert_eq!([kept(0), kept(1000), kept(1199), kept(2000), kept(9999)], [true, false, false, true, true]);
    // It comes back and is heard again.
    assert_eq!(world.tell(1, &[leecher(1000, 30)]), TAKEN);
}

#[test]
fn limits_and_the_access_list_hold_but_for_the_address_that_is_not_known() {
    let world = World::with(Policy { peers_per_address: Some(2), ..Policy::default() });
    let many: Vec<_> = (0..100).map(|n| leecher(n, 0)).collect();
    assert_eq!(world.tell(4, &many), [100, 0, 0]);

    let policy = Policy { max_peers_per_torrent: 3, max_torrents: 1, ..Policy::default() };
    let world = World::with(policy);
    assert_eq!(world.tell(4, &many[..5]), [3, 0, 2]);
    let other = InfoHash([2; 20]);
    let import = |hash: &InfoHash| world.engine.import_webrtc(hash, &many[..1], node(4), NOW);
    assert_eq!(import(&other), Err(Rejected::TooManyTorrents));
    world.engine.set_access(AccessList::new(Mode::Deny, vec![HASH]).unwrap(), NOW);
    assert_eq!(import(&HASH), Err(Rejected::NotPermitted));
    assert_eq!(world.engine.totals(), Totals::default());

    // Nothing is left of a torrent whose records are all too old.
    let world = World::new();
    assert_eq!(world.tell(4, &[leecher(1, TIMEOUT)]), REFUSED);
    assert_eq!(world.engine.totals(), Totals::default());
}

/// A peer that changes between this node and others is found by its client's network while it is here, and only then.
#[test]
fn the_peers_of_an_address_are_those_of_this_node() {
    let mut world =
        World::with(Policy { peers_per_address: Some(3), peer_timeout: TIMEOUT, ..Policy::default() });
    let many: Vec<_> = (100..400).map(|n| leecher(n, 0)).collect();
    assert_eq!(world.tell(4, &many), [300, 0, 0]);
    let overdue = NOW + TIMEOUT / 2;
    let join = |world: &mut World, n| world.announce(&peer(n), overdue).unwrap().membership;
    assert_eq!([101, 102, 1].map(|n| join(&mut world, n)), [Membership::Added; 3]);
    assert_eq!([103, 2].map(|n| join(&mut world, n)), [Membership::AddressFull; 2]);
    assert!(world.engine.leave_webrtc(&HASH, &id(102), ConnectionKey(102), overdue));
    assert_eq!(world.tell_at(4, &[leecher(102, 0)], overdue), TAKEN);
    assert_eq!([2, 3].map(|n| join(&mut world, n)), [Membership::Added, Membership::AddressFull]);
    for n in 104..400 {
        assert_eq!(world.tell_at(4, &[record(n, GONE, 0)], overdue), TAKEN);
    }
    assert_eq!(join(&mut world, 3), Membership::AddressFull);
    assert!(world.engine.leave_webrtc(&HASH, &id(1), ConnectionKey(1), overdue));
    assert_eq!(join(&mut world, 3), Membership::Added);
}

#[test]
fn a_node_tells_of_its_own_peers_and_of_no_others() {
    let mut world = World::new();
    world.announce(&peer(1), NOW - 20).unwrap();
    world.announce(&peer(2), NOW - 20).unwrap();
    world.tell(4, &[leecher(3, 0), leecher(4, 0)]);
    world.tell(4, &[record(4, GONE, 0)]);
    world.engine.leave_webrtc(&HASH, &id(2), ConnectionKey(2), NOW);
    assert!(world.changes().iter().all(|change| matches!(change.peer, Place::Named(_))));

    let mut walk = WebrtcWalkWriter::default();
    while !world.engine.walk(&mut Cursor::default(), NOW, usize::MAX, &mut walk).ended {}
    let read = |bytes: &[u8]| WebrtcReader::new(bytes).map(Result::unwrap).collect::<Vec<_>>();
    let own = [WebrtcItem::Torrent(HASH), WebrtcItem::Peer(leecher(1, 20))];
    assert_eq!(read(&walk.records.take()), own);

    let mut world = World::new();
    world.tell(4, &[leecher(3, 0)]);
    world.announce(&peer(1), NOW).unwrap();
    let mut writer = WebrtcWriter::default();
    world.changes().iter().for_each(|change| writer.change(change, NOW + 20));
    assert_eq!(read(&writer.take()), own);
}
