//! Clients of different nodes: two hubs, and a wire between them.

use super::{
    HASH, ROOM, SCRAPE, Tracker, announce, announced,
    client::{Client, until},
    offers,
};
use crate::ws::{Crossed, Elsewhere, Hub, Lost};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use tokio::io::DuplexStream;
use tracker_core::{
    model::{InfoHash, PeerId, Role},
    nodes::NodeNumber,
    records::{State, WebrtcRecord},
    ws::{Far, FarKind},
};

fn node(number: u16) -> NodeNumber {
    NodeNumber::new(number).unwrap()
}

/// Hands messages to a node at once, as bytes, and keeps what it carried.
struct Wire {
    /// By which number the other end knows this one.
    from: NodeNumber,
    hub: Weak<Hub>,
    carried: Mutex<Vec<(NodeNumber, Vec<u8>)>>,
}

impl Elsewhere for Wire {
    fn relay(&self, node: NodeNumber, message: Far) -> bool {
        let (bytes, hub) = (message.encode(), self.hub.upgrade());
        if let Some(hub) = &hub {
            hub.deliver(self.from, &Far::decode(&bytes).unwrap());
        }
        self.carried.lock().push((node, bytes));
        hub.is_some()
    }
}

/// Node 1 and node 2, each of which knows the other by its number.
struct Nodes {
    nodes: [Tracker; 2],
    wires: [Arc<Wire>; 2],
}

impl Nodes {
    fn new() -> Self {
        let nodes = [(); 2].map(|()| Tracker::new(|_| ()));
        let wire = |from: u16, to: usize| {
            let hub = Arc::downgrade(&nodes[to].hub);
            Arc::new(Wire { from: node(from), hub, carried: Mutex::default() })
        };
        let wires = [wire(1, 1), wire(2, 0)];
        for (tracker, wire) in nodes.iter().zip(&wires) {
            tracker.hub.connect(Arc::clone(wire) as Arc<dyn Elsewhere>);
        }
        Self { nodes, wires }
    }

    /// A node is told of a leecher that the other one holds.
    fn tell(&self, at: usize, peer: char) {
        self.tell_state(at, peer, State::Here { role: Role::Leecher, counted: false });
    }

    fn tell_state(&self, at: usize, peer: char, state: State) {
        let Tracker { engine, hub } = &self.nodes[at];
        let record = WebrtcRecord { peer_id: PeerId([peer as u8; 20]), state, age: 0 };
        let now = crate::clock::seconds(hub.now_ns());
        engine.import_webrtc(&InfoHash([b'a'; 20]), &[record], node(2 - at as u16), now).unwrap();
    }

    fn crossed(&self) -> [[u64; 2]; 2] {
        [0, 1].map(|at| Crossed::ALL.map(|way| self.nodes[at].hub.counters().crossed.of(way)))
    }

    fn lost(&self, at: usize, reason: Lost) -> u64 {
        self.nodes[at].hub.counters().lost.of(reason)
    }

    /// Client `a` of the first node is in the swarm, and known at the second one; `b` is there and sends offers.
    async fn offered(&self) -> [Client<DuplexStream>; 2] {
        let (mut a, mut b) = (self.nodes[0].connect(1, ROOM), self.nodes[1].connect(2, ROOM));
        assert_eq!(a.ask(&announce('a', "")).await, announced(1));
        self.tell(1, 'a');
        assert_eq!(b.ask(&announce('b', &offers("x", 3))).await, announced(2));
        [a, b]
    }
}

/// An answer of `a` to the first offer of `b`.
fn answer() -> String {
    let to = r#","to_peer_id":"bbbbbbbbbbbbbbbbbbbb","offer_id":"00000000000000000000","answer":{"sdp":"y"}"#;
    announce('a', to)
}

fn relayed(peer: char, what: &str) -> String {
    let peer: String = [peer; 20].iter().collect();
    format!(
        r#"{{"action":"announce","info_hash":"{HASH}","peer_id":"{peer}","offer_id":"00000000000000000000",{what}}}"#
    )
}

#[tokio::test]
async fn an_offer_and_its_answer_cross_between_nodes() {
    let nodes = Nodes::new();
    let [mut a, mut b] = nodes.offered().await;
    assert_eq!(a.hear().await, relayed('b', r#""offer":{"sdp":"x"}"#));
    a.say(&answer()).await;
    assert_eq!(b.hear().await, relayed('a', r#""answer":{"sdp":"y"}"#));
    // A second answer to it goes nowhere.
    a.say(&answer()).await;
    assert!(a.ask(SCRAPE).await.contains(r#""incomplete":1"#));
    assert!(b.ask(SCRAPE).await.contains(r#""incomplete":2"#));
    assert_eq!(nodes.crossed(), [[1, 1], [1, 1]]);
    assert_eq!(nodes.lost(0, Lost::Unroutable), 1);
    let carried = nodes.wires[1].carried.lock();
    assert_eq!((carried.len(), carried[0].0), (1, node(1)));
}

#[tokio::test]
async fn an_answer_finds_its_way_back_though_another_node_claims_the_peer() {
    let nodes = Nodes::new();
    let [mut a, mut b] = nodes.offered().await;
    a.hear().await;
    // To the first node `b` is not even known; the second one holds it, whatever others say.
    nodes.tell(1, 'b');
    a.say(&answer()).await;
    assert_eq!(b.hear().await, relayed('a', r#""answer":{"sdp":"y"}"#));
}

#[tokio::test]
async fn who_has_gone_gets_nothing_and_nobody_stumbles() {
    let nodes = Nodes::new();
    let [mut a, b] = nodes.offered().await;
    a.hear().await;
    drop(b);
    until("b to be gone", || nodes.nodes[1].hub.connections() == 0).await;
    a.say(&answer()).await;
    until("its answer to be lost", || nodes.lost(1, Lost::Unroutable) == 1).await;
    // The same the other way: the record is older than the end.
    drop(a);
    until("a to be gone", || nodes.nodes[0].hub.connections() == 0).await;
    let mut c = nodes.nodes[1].connect(3, ROOM);
    c.ask(&announce('c', &offers("z", 1))).await;
    until("its offer to be lost", || nodes.lost(0, Lost::Unroutable) == 1).await;
    nodes.tell_state(1, 'a', State::Gone);
    assert_eq!(c.ask(&announce('c', &offers("z", 1))).await, announced(1));
    assert_eq!(nodes.crossed(), [[2, 1], [1, 2]]);
}

/// One that holds an offer's receiver elsewhere; gives a client of it that has room for long messages.
fn with_far_peer(tracker: &Tracker) -> Client<DuplexStream> {
    let state = State::Here { role: Role::Leecher, counted: false };
    let record = WebrtcRecord { peer_id: PeerId([b'a'; 20]), state, age: 0 };
    let now = crate::clock::seconds(tracker.hub.now_ns());
    tracker.engine.import_webrtc(&InfoHash([b'a'; 20]), &[record], node(1), now).unwrap();
    tracker.connect(1, 1 << 21)
}

#[tokio::test]
async fn what_cannot_be_sent_is_lost_and_counted() {
    let alone = Tracker::new(|_| ());
    let mut client = with_far_peer(&alone);
    assert_eq!(client.ask(&announce('b', &offers("x", 1))).await, announced(2));
    assert_eq!(alone.hub.counters().lost.of(Lost::Node), 1);

    let Nodes { nodes: [gone, other], .. } = Nodes::new();
    drop(gone);
    let mut client = with_far_peer(&other);
    assert_eq!(client.ask(&announce('b', &offers("x", 1))).await, announced(2));
    assert_eq!(other.hub.counters().lost.of(Lost::Node), 1);

    let tracker = Tracker::new(|websocket| websocket.max_message_size = 1 << 20);
    tracker.hub.connect(Arc::new(Anywhere));
    let mut client = with_far_peer(&tracker);
    for (more, lost) in [(0, 0), (1, 1)] {
        let sdp = "x".repeat(Far::MAX_JSON - r#"{"sdp":""}"#.len() + more);
        assert_eq!(client.ask(&announce('b', &offers(&sdp, 1))).await, announced(2));
        assert_eq!(tracker.hub.counters().lost.of(Lost::Node), lost);
    }
    assert_eq!(tracker.hub.counters().crossed.of(Crossed::Out), 1);
}

#[tokio::test]
async fn no_client_takes_up_the_way_to_other_nodes() {
    let tracker = Tracker::new(|websocket| websocket.max_node_relays_per_second = Some(1));
    tracker.hub.connect(Arc::new(Anywhere));
    let mut client = with_far_peer(&tracker);
    let counters = tracker.hub.counters();
    // Ten at once; however slow this is, it does not take a second for each for ever.
    for _ in 0..1000 {
        client.ask(&announce('b', &offers("x", 1))).await;
        if counters.lost.of(Lost::NodeRate) > 0 {
            break;
        }
    }
    let sent = counters.crossed.of(Crossed::Out);
    assert!(sent >= 10 && counters.lost.of(Lost::NodeRate) == 1, "{sent}");
    // Another one is as free as it was.
    let mut other = tracker.connect(2, ROOM);
    other.ask(&announce('c', &offers("x", 3))).await;
    assert_eq!((counters.crossed.of(Crossed::Out), counters.lost.of(Lost::NodeRate)), (sent + 1, 1));
}

/// Takes everything.
struct Anywhere;

impl Elsewhere for Anywhere {
    fn relay(&self, _: NodeNumber, _: Far) -> bool {
        true
    }
}

/// A hostile node can send offers, as any client can, and nothing else.
#[tokio::test]
async fn what_a_node_makes_up_is_bounded_and_goes_nowhere() {
    let tracker = Tracker::new(|websocket| {
        websocket.max_message_size = 4096;
        websocket.queue_messages = 4;
    });
    let mut client = tracker.connect(1, ROOM);
    client.ask(&announce('a', "")).await;
    let far = |kind, to: char, json: &str| Far {
        kind,
        info_hash: InfoHash([b'a'; 20]),
        to: PeerId([to as u8; 20]),
        from: PeerId([b'b'; 20]),
        offer_id: tracker_core::ws::message::OfferId([b'0'; 20]),
        ticket: 7,
        json: json.to_owned(),
    };
    let long = format!(r#"{{"sdp":"{}"}}"#, "x".repeat(5000));
    for made_up in
        [far(FarKind::Answer, 'a', "{}"), far(FarKind::Offer, 'z', "{}"), far(FarKind::Offer, 'a', &long)]
    {
        tracker.hub.deliver(node(9), &made_up);
    }
    let lost = |reason| tracker.hub.counters().lost.of(reason);
    assert_eq!(lost(Lost::Unroutable), 3);
    // Its queue is the client's own bound: nobody reads while these come.
    for _ in 0..10 {
        tracker.hub.deliver(node(9), &far(FarKind::Offer, 'a', r#"{"sdp":"x"}"#));
    }
    assert_eq!(lost(Lost::QueueFull), 6);
    for _ in 0..4 {
        assert_eq!(client.hear().await, relayed('b', r#""offer":{"sdp":"x"}"#));
    }
    assert!(client.ask(SCRAPE).await.contains(r#""incomplete":1"#));
    assert_eq!(tracker.hub.counters().crossed.of(Crossed::In), 13);
}
