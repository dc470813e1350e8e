//! Offers and answers between clients of different nodes.

use super::{super::message::OfferId, *};
use crate::{
    model::{PeerId, Role, Seconds},
    records::{State, WebrtcRecord},
};

fn node(number: usize) -> NodeNumber {
    NodeNumber::new(number as u16).unwrap()
}

fn id(name: &str) -> PeerId {
    PeerId(format!("{name:p>20}").as_bytes().try_into().unwrap())
}

const TORRENT: InfoHash = InfoHash([b'a'; 20]);

/// Nodes 0, 1, 2, …, each with clients 0, 1, 2, …, and a secret of its own. All know each other by these numbers.
struct Cluster(Vec<World>);

impl Cluster {
    fn new(nodes: usize, clients: usize) -> Self {
        Self((0..nodes).map(|at| World::with_key(clients, [at as u64, 8])).collect())
    }

    /// A client of a node joins as a leecher of this name, and all other nodes hear of it.
    fn join(&mut self, at: usize, client: usize, name: &str) {
        let got = self.0[at].send(client, &announce(HASH, name, ""));
        assert_eq!(got.received.outcome, Outcome::Done, "{}", got.reply);
        self.tell(at, name, State::Here { role: Role::Leecher, counted: false }, 0);
    }

    /// A node tells all others of a peer of its own.
    fn tell(&self, teller: usize, name: &str, state: State, age: Seconds) {
        for (_, world) in self.0.iter().enumerate().filter(|(at, _)| *at != teller) {
            let record = WebrtcRecord { peer_id: id(name), state, age };
            world.engine.import_webrtc(&TORRENT, &[record], node(teller), world.now).unwrap();
        }
    }

    /// Takes a message from one node to another, as bytes; gives the client that is to have it.
    fn carry(&self, from: usize, (to, far): &(NodeNumber, Far)) -> Option<(usize, Relay)> {
        let (to, hash_key) = (usize::from(to.get()), [u64::from(to.get()), 8]);
        let far = Far::decode(&far.encode()).unwrap();
        let arrived = far.arrive(node(from), &self.0[to].engine, &Tickets::new(hash_key));
        arrived.map(|(key, relay)| (key.0 as usize, relay))
    }

    fn counts(&self) -> Vec<(u32, u32, u32)> {
        self.0.iter().map(|world| world.counts(HASH)).collect()
    }

    /// An offer of `b`, client 1 of the second node, has been delivered to `a`, client 0 of the first.
    fn offered(nodes: usize) -> Self {
        let mut cluster = Self::new(nodes, 2);
        cluster.join(0, 0, "a");
        cluster.join(1, 1, "b");
        let got = cluster.0[1].send(1, &announce(HASH, "b", &offers(&["1"])));
        assert_eq!((got.relays.len(), got.far.len()), (0, 1));
        assert_eq!(got.far[0].0, node(0));
        let (client, relay) = cluster.carry(1, &got.far[0]).unwrap();
        assert_eq!(client, 0);
        let text = cluster.0[0].deliver(0, relay);
        let expected = announce(
            HASH,
            "b",
            &format!(r#","offer_id":"{:o>20}","offer":{{"type":"offer","sdp":"of 1"}}"#, 1),
        );
        assert_eq!(text, expected);
        cluster
    }

    fn answers(&mut self) -> Got {
        self.0[0].send(0, &answer(HASH, "a", "b", "1"))
    }
}

#[test]
fn an_offer_goes_to_a_peer_of_another_node_and_its_answer_comes_back() {
    let mut cluster = Cluster::offered(2);
    assert_eq!(cluster.counts(), [(0, 2, 0); 2]);
    let mut got = cluster.answers();
    assert_eq!((got.received.outcome, got.relays.len(), got.far.len()), (Outcome::Done, 0, 1));
    let (client, relay) = cluster.carry(0, &got.far[0]).unwrap();
    let text = cluster.0[1].deliver(client, relay);
    let json = r#","offer_id":"ooooooooooooooooooo1","answer":{"type":"answer","sdp":"v=0\r\n"}"#;
    assert_eq!((client, text), (1, announce(HASH, "a", json)));
    // Once.
    let (to, far) = got.far.remove(0);
    assert_eq!(cluster.answers().received.outcome, Outcome::Unroutable);
    assert_eq!(cluster.0[0].out.far, []);
    // Nothing is sent on: who is not here is nowhere.
    assert_eq!(cluster.carry(1, &(node(0), Far { to: id("b"), ..far.clone() })), None);
    assert_eq!(cluster.carry(0, &(to, Far { kind: FarKind::Offer, to: id("c"), ..far })), None);
}

#[test]
fn partners_of_the_same_node_come_first() {
    let mut cluster = Cluster::new(3, 3);
    for (at, client, name) in [(0, 0, "a"), (0, 1, "b"), (1, 0, "c"), (2, 0, "d"), (2, 1, "e")] {
        cluster.join(at, client, name);
    }
    assert_eq!(cluster.counts(), [(0, 5, 0); 3]);
    let got = cluster.0[0].send(2, &announce(HASH, "f", &offers(&["1", "2"])));
    let mut near: Vec<_> = got.relays.iter().map(|(to, _)| *to).collect();
    near.sort_unstable();
    assert_eq!((near, got.far), (vec![0, 1], vec![]));
    let ids: Vec<String> = (1..=9).map(|id| id.to_string()).collect();
    let got = cluster.0[0]
        .send(2, &announce(HASH, "f", &offers(&ids.iter().map(String::as_str).collect::<Vec<_>>())));
    let mut far: Vec<_> = got.far.iter().map(|(to, far)| (to.get(), far.to)).collect();
    far.sort_unstable();
    assert_eq!((got.relays.len(), far), (2, vec![(1, id("c")), (2, id("d")), (2, id("e"))]));
    // Each offer goes to one.
    let offers: Vec<_> = got.relays.iter().map(|(_, relay)| relay.text().to_owned()).collect();
    assert!(got.far.iter().all(|(_, far)| !offers.iter().any(|text| text.contains(&far.json))));
}

/// What other nodes claim of a peer does not turn aside the answers to its offers.
#[test]
fn an_answer_goes_to_the_node_that_the_offer_came_from() {
    let mut cluster = Cluster::offered(3);
    cluster.0[0].now += 5;
    cluster.tell(2, "b", State::Here { role: Role::Leecher, counted: false }, 0);
    assert_eq!(cluster.0[0].engine.find_webrtc(&TORRENT, &id("b")), Some(ConnectionKey::of_node(node(2))));
    let got = cluster.answers();
    assert_eq!(got.far[0].0, node(1));
    assert_eq!(cluster.carry(0, &got.far[0]).unwrap().0, 1);
}

#[test]
fn an_answer_to_what_was_not_offered_to_that_node_goes_nowhere() {
    let mut cluster = Cluster::offered(3);
    cluster.join(2, 0, "c");
    let (to, real) = cluster.answers().far.remove(0);
    for made_up in [
        Far { ticket: real.ticket ^ 1, ..real.clone() },
        Far { from: id("c"), ..real.clone() },
        Far { to: id("c"), ..real.clone() },
        Far { info_hash: InfoHash([b'b'; 20]), ..real.clone() },
        Far { offer_id: OfferId([b'o'; 20]), ..real.clone() },
    ] {
        assert_eq!(cluster.carry(0, &(to, made_up.clone())), None, "{made_up:?}");
    }
    assert_eq!(cluster.carry(2, &(to, real.clone())), None, "from a node that it was not sent to");
    assert!(cluster.carry(0, &(to, real)).is_some());
}

#[test]
fn a_far_offer_can_be_answered_until_it_expires_or_either_side_goes() {
    let mut cluster = Cluster::offered(2);
    cluster.0[0].now += 119;
    assert_eq!(cluster.answers().received.outcome, Outcome::Done);
    let mut cluster = Cluster::offered(2);
    cluster.0[0].now += 120;
    assert_eq!(cluster.answers().received.outcome, Outcome::Unroutable);

    // Its sender has gone, and its node says so, or not yet.
    for told in [false, true] {
        let mut cluster = Cluster::offered(2);
        let World { clients, engine, now, .. } = &mut cluster.0[1];
        clients[1].close(engine, *now);
        if told {
            cluster.tell(1, "b", State::Gone, 0);
            assert_eq!(cluster.counts(), [(0, 1, 0); 2]);
        }
        let got = cluster.answers();
        assert_eq!(cluster.carry(0, &got.far[0]), None, "{told}");
    }

    // An offer to a peer that is gone, or whose node is lost.
    let mut cluster = Cluster::offered(2);
    let World { clients, engine, now, .. } = &mut cluster.0[0];
    clients[0].close(engine, *now);
    let got = cluster.0[1].send(1, &announce(HASH, "b", &offers(&["2"])));
    assert_eq!(cluster.carry(1, &got.far[0]), None);
    let World { engine, now, .. } = &mut cluster.0[1];
    while !engine.forget_nodes(&[node(0)], &mut crate::engine::Cursor::default(), *now, usize::MAX).ended {}
    let got = cluster.0[1].send(1, &announce(HASH, "b", &offers(&["3"])));
    assert_eq!((got.far.len(), cluster.0[1].counts(HASH)), (0, (0, 1, 0)));
    assert_eq!(cluster.answers().received.outcome, Outcome::Unroutable);
}

/// Both nodes took the peer before either had heard of the other: each delivers to its own.
#[test]
fn a_peer_id_held_by_two_nodes_is_one_peer_at_each() {
    let mut cluster = Cluster::new(3, 2);
    for at in [0, 1] {
        cluster.0[at].send(0, &announce(HASH, "a", ""));
    }
    let here = State::Here { role: Role::Leecher, counted: false };
    cluster.tell(0, "a", here, 9);
    cluster.tell(1, "a", here, 5);
    assert_eq!(cluster.counts(), [(0, 1, 0); 3]);
    let holders: Vec<_> =
        cluster.0.iter().map(|world| world.engine.find_webrtc(&TORRENT, &id("a"))).collect();
    let expected = [ConnectionKey(0), ConnectionKey(0), ConnectionKey::of_node(node(1))];
    assert_eq!(holders, expected.map(Some));
    // The older one goes, which is news to nobody else.
    let World { clients, engine, now, .. } = &mut cluster.0[0];
    clients[0].close(engine, *now);
    cluster.tell(0, "a", State::Gone, 0);
    assert_eq!(cluster.counts(), [(0, 0, 0), (0, 1, 0), (0, 1, 0)]);
    cluster.tell(1, "a", here, 0);
    assert_eq!(cluster.counts(), [(0, 1, 0); 3]);
}

#[test]
fn far_offers_crowd_out_no_near_ones() {
    let mut cluster = Cluster::new(2, 3);
    cluster.0[0].settings.max_pending_offers = 2;
    cluster.join(0, 0, "a");
    let got = cluster.0[0].send(1, &announce(HASH, "c", &offers(&["9"])));
    cluster.0[0].deliver(0, got.relays[0].1.clone());
    cluster.0[0].send(1, &announce(HASH, "c", r#","event":"stopped""#));
    cluster.0[0].send(1, &announce(HASH, "c", ""));
    cluster.join(1, 1, "b");
    for offer in ["1", "2", "3"] {
        let got = cluster.0[1].send(1, &announce(HASH, "b", &offers(&[offer])));
        let (client, relay) = cluster.carry(1, &got.far[0]).unwrap();
        cluster.0[0].deliver(client, relay);
    }
    assert_eq!(cluster.answers().received.outcome, Outcome::Unroutable, "the oldest is forgotten");
    for (to, offer) in [("b", "2"), ("b", "3"), ("c", "9")] {
        let got = cluster.0[0].send(0, &answer(HASH, "a", to, offer));
        assert_eq!(got.received.outcome, Outcome::Done, "{to} {offer}");
        assert_eq!((got.relays.len(), got.far.len()), if to == "c" { (1, 0) } else { (0, 1) });
    }
}

/// Written by hand.
fn sample() -> (Far, Vec<u8>) {
    let far = Far {
        kind: FarKind::Answer,
        info_hash: InfoHash([1; 20]),
        to: PeerId([2; 20]),
        from: PeerId([3; 20]),
        offer_id: OfferId([4; 20]),
        ticket: 0x0102_0304_0506_0708,
        json: r#"{"sdp":"é"}"#.to_owned(),
    };
    let bytes = [
        &[2][..],
        &[1; 20],
        &[2; 20],
        &[3; 20],
        &[4; 20],
        &[8, 7, 6, 5, 4, 3, 2, 1],
        b"{\"sdp\":\"\xc3\xa9\"}",
    ];
    (far, bytes.concat())
}

#[test]
fn a_far_message_is_the_bytes_that_its_description_says() {
    let (far, bytes) = sample();
    assert_eq!((far.encode(), Far::HEAD), (bytes.clone(), 89));
    assert_eq!(Far::decode(&bytes), Ok(far.clone()));
    let offer = Far { kind: FarKind::Offer, ..far };
    assert_eq!(offer.encode()[0], 1);
    assert_eq!(Far::decode(&offer.encode()), Ok(offer));
}

#[test]
fn what_is_no_far_message_is_told_from_one() {
    let (_, bytes) = sample();
    for length in 0..bytes.len() {
        let expected = if length < Far::HEAD { NotFar::Short(length) } else { NotFar::NotRelayable };
        assert_eq!(Far::decode(&bytes[..length]), Err(expected));
    }
    for kind in [0, 3, 255] {
        assert_eq!(Far::decode(&[&[kind], &bytes[1..]].concat()), Err(NotFar::Kind(kind)));
    }
    let nested = |depth: usize| format!("{}{{}}{}", r#"{"a":"#.repeat(depth - 1), "}".repeat(depth - 1));
    let with = |json: &[u8]| Far::decode(&[&bytes[..Far::HEAD], json].concat());
    // Whatever would not be JSON, or would not be read by every client, inside what a client gets.
    for json in [
        &b""[..],
        b"[]",
        b"1",
        b"null",
        b"{",
        b"{}{}",
        b"{} ",
        b" {}",
        br#"{},"x":{}"#,
        br#"{"a":"\ud800"}"#,
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\n\"}",
        nested(17).as_bytes(),
    ] {
        assert_eq!(with(json), Err(NotFar::NotRelayable), "{}", String::from_utf8_lossy(json));
    }
    assert!(with(nested(16).as_bytes()).is_ok());
    let sized = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8)).into_bytes();
    assert!(with(&sized(Far::MAX_JSON)).is_ok());
    assert_eq!(with(&sized(Far::MAX_JSON + 1)), Err(NotFar::Long(Far::MAX_JSON + 1)));
    assert_eq!(NotFar::Short(3).to_string(), "3 bytes, of which a relay has at least 89");
}
