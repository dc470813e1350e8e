//! One node of a cluster, without its network and clock: messages of others and the time go in, messages to others come out.
//!
//! What it does: it tells all others what its own clients do (`publisher`), takes in what they tell (`receive`), asks again for what did not
//! come (`repair`), and gets and gives walks where that is not enough (`joining`, `walks`). Whoever drives it calls [`Node::receive`] for each message,
//! [`Node::tick`] ten times a second, and [`Node::work`] while that says that there is more to do; then sends what [`Node::out`] has, and does
//! what [`Node::effects`] says.

use super::{
    giving::Giving,
    mending::Mending,
    other::Other,
    publisher::{JOURNAL, Publisher},
    taking::{Reason, Taking},
    tally::Tally,
    time::{ns, seconds},
    wire::{Alive, Message, Stage},
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tracker_core::{
    engine::{Cursor, Engine, Listener},
    nodes::{NodeNumber, Nodes},
    rng::Rng,
};

/// How often a node says that it is alive.
const ALIVE_NS: u64 = ns(Duration::from_secs(1));

/// How often it says how far others are known that are silent: as often as it says that it is alive, divided by this.
const SILENT_EACH: u64 = 4;

/// For how long after it is connected a node that succeeds another process takes what others send first for what comes next.
const FRESH_NS: u64 = ns(Duration::from_secs(5));

/// Who a node is and what it puts up with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name.
    pub name: Box<str>,
    /// A random number for this process.
    pub boot: u64,
    /// The version of the program.
    pub release: &'static str,
    /// What is here has been handed over by another process of this node, so that nobody is asked for it.
    pub succeeds: bool,
    /// Other nodes that are listened to.
    pub max_nodes: usize,
    /// Bytes of own changes that are kept.
    pub max_replay: usize,
    /// Records of another node that are taken in, in a second.
    pub max_records_per_second: u64,
    /// Offers and answers of another node that are taken in, in a second.
    pub max_relays_per_second: u64,
}

/// To whom a message goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// Everybody, as changes.
    Changes,
    /// Everybody, as a sign of life.
    Alive,
    /// One node.
    Node(Box<str>),
}

/// What whoever drives a node is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Take this key for connection IDs, which the cluster has had since then.
    Key {
        /// Who has it.
        from: Box<str>,
        /// The key.
        key: [u8; 16],
        /// Since when.
        since: u64,
    },
    /// Send all decisions to this node.
    TellDecisions(Box<str>),
    /// Take in these decisions of that node.
    Decisions(Box<str>, Vec<u8>),
    /// Give this to a WebRTC client here.
    Relay(NodeNumber, Vec<u8>),
    /// Somebody is not as they should be: the operator has to know.
    Warn(String),
    /// Something has changed that the operator may want to know.
    Inform(String),
}

/// What the rest of the tracker has that others are told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The key of connection IDs.
    pub key: [u8; 16],
    /// Its fingerprint.
    pub fingerprint: u64,
    /// Since when it has been a cluster's.
    pub key_since: u64,
    /// The digest of the decisions.
    pub decisions: u64,
}

/// Who was asked for its key of connection IDs.
#[derive(Clone, Debug)]
pub(super) struct AskedKey {
    pub(super) from: Box<str>,
    /// What it said of it: since when it has been a cluster's, and its fingerprint.
    pub(super) told: (u64, u64),
    pub(super) at_ns: u64,
}

/// A node.
pub struct Node {
    pub(super) settings: Settings,
    pub(super) engine: Arc<Engine>,
    pub(super) names: Arc<Mutex<Nodes>>,
    pub(super) rng: Rng,
    pub(super) publisher: Publisher,
    pub(super) others: BTreeMap<Box<str>, Other>,
    pub(super) giving: Vec<Giving>,
    pub(super) taking: Option<Taking>,
    pub(super) wanted: VecDeque<(Reason, Box<str>)>,
    pub(super) mending: Mending,
    pub(super) stage: Stage,
    /// When it was first connected, and whom it heard of since.
    pub(super) connected_ns: Option<u64>,
    /// Nodes that were asked for a walk at the start, in vain.
    pub(super) refused: Vec<Box<str>>,
    pub(super) identity: Identity,
    /// Who was asked for a better key.
    pub(super) asked_key: Option<AskedKey>,
    /// When one was taken.
    pub(super) took_key_ns: Option<u64>,
    /// There were more nodes than may be, which the operator was told.
    pub(super) is_full: bool,
    /// Others are to be told with the next tick that this node is alive.
    pub(super) says_soon: bool,
    /// Whose WebRTC peers are being forgotten, and how far that is.
    pub(super) forgetting: Option<(Vec<NodeNumber>, Cursor)>,
    /// Those that are next.
    pub(super) to_forget: Vec<NodeNumber>,
    /// Questions of other nodes are for this process: while one takes over from another there are two of this name.
    pub(super) answers: bool,
    /// Since when there is another process of this name, and when it was heard of last.
    pub(super) namesake_ns: Option<(u64, u64)>,
    pub(super) tally: Tally,
    /// What is to be sent.
    pub out: Vec<(To, Bytes)>,
    /// What is to be done.
    pub effects: Vec<Effect>,
    looked_ns: u64,
    /// How often it has said by itself that it is alive.
    signs: u64,
}

impl Node {
    /// A node that holds `engine`, whose changes it listens to from now on. `names` are shared with whoever else knows nodes by numbers.
    #[must_use]
    pub fn new(settings: Settings, engine: Arc<Engine>, names: Arc<Mutex<Nodes>>, rng: Rng) -> Self {
        engine.listen(Listener::Cluster, JOURNAL);
        let publisher = Publisher::new(settings.boot, settings.max_replay);
        let succeeds = settings.succeeds;
        Self {
            stage: if settings.succeeds { Stage::Joined } else { Stage::Joining },
            settings,
            engine,
            names,
            rng,
            publisher,
            others: BTreeMap::new(),
            giving: Vec::new(),
            taking: None,
            wanted: VecDeque::new(),
            mending: Mending::default(),
            connected_ns: None,
            refused: Vec::new(),
            identity: Identity::default(),
            asked_key: None,
            took_key_ns: None,
            is_full: false,
            says_soon: false,
            forgetting: None,
            to_forget: Vec::new(),
            answers: !succeeds,
            namesake_ns: None,
            tally: Tally::default(),
            out: Vec::new(),
            effects: Vec::new(),
            looked_ns: 0,
            signs: 0,
        }
    }

    /// Whether it has what others have, or nobody was there to ask.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.stage != Stage::Joining
    }

    /// Whether it has begun just now: what others sent before that a process before it has had.
    pub(super) fn is_fresh(&self, now_ns: u64) -> bool {
        self.connected_ns.is_none_or(|since| now_ns.saturating_sub(since) < FRESH_NS)
    }

    /// Whether there has been a connection to the server, so that others are heard.
    #[must_use]
    pub const fn was_connected(&self) -> bool {
        self.connected_ns.is_some()
    }

    /// The name of a node that has a number.
    #[must_use]
    pub fn name_of(&self, number: NodeNumber) -> Option<Box<str>> {
        self.names.lock().name(number).map(Box::from)
    }

    /// What it has counted.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The other nodes.
    pub fn others(&self) -> impl Iterator<Item = (&str, &Other)> {
        // What former processes of this node did is known by its own name.
        self.others
            .iter()
            .filter(|(name, _)| **name != self.settings.name)
            .map(|(name, other)| (&**name, other))
    }

    /// Whether this process answers what other nodes ask its node, or leaves that to another one of that name.
    pub fn answer(&mut self, answers: bool) {
        self.answers = answers;
    }

    /// What others are told of the rest of the tracker. They are at once, where something is another way than before.
    pub fn identify(&mut self, identity: Identity, now_ns: u64) {
        if identity != self.identity {
            self.identity = identity;
            self.say_alive(now_ns);
        }
    }

    /// There is a connection to the server, perhaps again.
    pub fn connected(&mut self, now_ns: u64) {
        self.connected_ns.get_or_insert(now_ns);
        self.say_alive(now_ns);
    }

    /// It is about to end: others are told, and whatever it still does they hear of.
    pub fn leave(&mut self, now_ns: u64) {
        self.stage = Stage::Leaving;
        self.publish(now_ns);
        self.say_alive(now_ns);
    }

    /// Sends what has changed, asks for what did not come, looks who is there.
    pub fn tick(&mut self, now_ns: u64) {
        self.publish(now_ns);
        if std::mem::take(&mut self.says_soon) {
            self.say_alive(now_ns);
        }
        if now_ns.saturating_sub(self.looked_ns) >= ALIVE_NS {
            self.looked_ns = now_ns;
            self.say_alive(now_ns);
            self.look_around(now_ns);
            self.signs += 1;
            if self.is_joined() && self.signs.is_multiple_of(SILENT_EACH) {
                self.tell_of_silent(now_ns);
            }
        }
        self.repair(now_ns);
        self.join(now_ns);
    }

    fn publish(&mut self, now_ns: u64) {
        let published = self.publisher.publish(&self.engine, seconds(now_ns), now_ns);
        self.tally.changes_out += published.changes;
        self.tally.overflowed += published.overflowed;
        for message in published.messages {
            self.tally.bytes_out += message.len() as u64;
            self.out.push((To::Changes, message));
        }
    }

    pub(super) fn say_alive(&mut self, now_ns: u64) {
        let peers = self.engine.peers();
        let torrents = self.engine.size().saturating_sub(peers);
        let Identity { fingerprint, key_since, decisions, .. } = self.identity;
        let alive = Alive {
            boot: self.settings.boot,
            next: self.publisher.sent().next(),
            now_ns,
            torrents: torrents as u64,
            peers: peers as u64,
            decisions,
            key: fingerprint,
            key_since,
            stage: self.stage,
            release: self.settings.release,
        };
        self.send(To::Alive, &Message::Alive(alive));
    }

    /// Tells decisions: lines as the file of them has them.
    pub fn tell_decisions(&mut self, to: To, lines: &[u8]) {
        self.send(to, &Message::Decisions(lines));
    }

    /// Sends something of WebRTC to a client of the node that has this number.
    pub fn relay(&mut self, to: NodeNumber, message: &[u8]) {
        if let Some(name) = self.name_of(to) {
            self.send(To::Node(name), &Message::Relay(message));
        }
    }

    pub(super) fn send(&mut self, to: To, message: &Message<'_>) {
        self.send_bytes(to, message.write());
    }

    pub(super) fn send_bytes(&mut self, to: To, message: Vec<u8>) {
        self.tally.bytes_out += message.len() as u64;
        self.out.push((to, message.into()));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.engine.listen(Listener::Cluster, 0);
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("settings", &self.settings)
            .field("others", &self.others)
            .finish_non_exhaustive()
    }
}
