//! The thread that drives a node: its messages, its time, and what it wants done.

use super::{
    ClusterMaterial,
    intake::{Arrived, Intake, intake},
    nats::{Error, Link, News, sender},
    node::{Effect, Identity, Node, Settings, To},
    status::{Status, Watched},
};
use crate::{clock::Clock, config, farewell::Farewell, random::seed, threads::yield_to_answers};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, mpsc as sync_mpsc},
    thread,
    time::{Duration, Instant},
};
use tokio::{
    runtime::Builder,
    sync::{mpsc, watch},
    task::yield_now,
    time::{MissedTickBehavior, interval, timeout},
};
use tracker_core::{
    engine::Engine,
    nodes::{NodeNumber, Nodes},
    rng::Rng,
};

/// The thread.
const THREAD: &str = "riptide-cluster";
/// How often changes are sent and gaps looked for.
const TICK: Duration = Duration::from_millis(100);
/// Messages that are taken in before the clock is looked at again.
const AT_ONCE: usize = 64;
/// What has arrived is taken in if so many looks at the connection one after the other found nothing more.
const LOOKS: u32 = 8;
/// Commands of the tracker that may wait to be obeyed.
const WAITING: usize = 4096;
/// As many of them as may be relays, which are what clients send: all others have the rest.
const WAITING_RELAYS: usize = WAITING / 2;
/// How long the end waits until what was to be sent is.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often decisions of others are taken in.
const MERGE: Duration = Duration::from_millis(500);
/// How long a trouble with the connection is not told of again.
const QUIET: Duration = Duration::from_secs(60);

/// The rest of the tracker, as a node needs it.
pub trait Host: Send {
    /// What others are told of.
    fn identity(&self) -> Identity;
    /// Takes a key for connection IDs, which the cluster has had since then.
    fn take_key(&mut self, from: &str, key: [u8; 16], since: u64);
    /// All decisions, in pieces that are a message each.
    fn decisions(&self) -> Vec<Vec<u8>>;
    /// Another node has decided: pieces as [`Host::decisions`] has them.
    fn decided(&mut self, by: &str, pieces: &[Vec<u8>]);
    /// A client of another node has something for one here.
    fn relay(&mut self, from: NodeNumber, message: &[u8]);
}

enum Command {
    /// Begin to do what the node wants done.
    Serve(Box<dyn Host>),
    /// Tell all nodes what was decided here.
    Tell(Vec<u8>),
    /// Send something of WebRTC to a node.
    Relay(NodeNumber, Vec<u8>),
    /// Answer what other nodes ask, or leave that to another process of this node.
    Answer(bool),
    /// Drop this once what has arrived by now is taken in.
    CatchUp(sync_mpsc::Sender<()>),
}

/// Whether the node goes for good, which others are told.
type Leaves = bool;

/// A running node.
#[derive(Debug)]
pub struct Cluster {
    commands: mpsc::Sender<Command>,
    /// Say goodbye, if the node goes, send what is to be sent, and end.
    ends: watch::Sender<Option<Leaves>>,
    watched: Arc<Watched>,
    joined: watch::Receiver<bool>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

/// What a node begins with.
#[derive(Debug)]
pub struct Beginning {
    /// What it holds.
    pub engine: Arc<Engine>,
    /// Its time.
    pub clock: Clock,
    /// Names and numbers of nodes.
    pub names: Arc<Mutex<Nodes>>,
    /// What others are told of until there is a [`Host`].
    pub identity: Identity,
    /// Another process of this node hands over what it has.
    pub succeeds: bool,
}

/// Why a node does not begin.
#[derive(Debug, thiserror::Error)]
pub enum NotBegun {
    /// Threads or random bytes are short.
    #[error("the system refused a thread or random bytes: {0}")]
    System(#[from] io::Error),
    /// There can be no connection.
    #[error(transparent)]
    Nats(#[from] Error),
}

impl Cluster {
    /// Starts a node in a thread of its own. It connects by itself, whenever that is possible.
    ///
    /// # Errors
    /// If there is no thread for it, or its credentials are none.
    pub fn start(
        config: &config::Cluster,
        material: &ClusterMaterial,
        beginning: Beginning,
        farewell: Farewell,
    ) -> Result<Arc<Self>, NotBegun> {
        let Beginning { engine, clock, names, identity, succeeds } = beginning;
        let mut rng = Rng::new(seed()?);
        let settings = Settings {
            name: material.node.as_str().into(),
            boot: rng.next_u64(),
            release: env!("CARGO_PKG_VERSION"),
            succeeds,
            max_nodes: config.max_nodes,
            max_replay: config.max_replay,
            max_records_per_second: config.max_records_per_second.map_or(u64::MAX, u64::from),
            max_relays_per_second: config.max_relays_per_second.map_or(u64::MAX, u64::from),
        };
        let mut node = Node::new(settings, engine, names, rng);
        node.identify(identity, clock.now_ns());
        let (commands, ordered) = mpsc::channel(WAITING);
        let (joins, joined) = watch::channel(false);
        let (ends, end) = watch::channel(None);
        let watched = Arc::<Watched>::default();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (door, messages) = intake(config.max_pending);
        let (tells, news) = mpsc::channel(64);
        let link = runtime.block_on(async {
            let link = Link::begin(config, material, tells).await?;
            link.listen(&door).await.map(|()| link)
        })?;
        let drive = Drive {
            node,
            clock,
            link,
            messages,
            news,
            ordered,
            end,
            joins,
            watched: watched.clone(),
            host: None,
            catching_up: Vec::new(),
            effects: Vec::new(),
            asking: BTreeSet::new(),
            decided: BTreeMap::new(),
            decided_at: None,
            name: config.name.as_str().into(),
            quiet_until: None,
        };
        let thread = thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
            let _farewell = farewell;
            // Where nothing is answered yet, others wait for what this one takes in.
            if succeeds {
                yield_to_answers();
            }
            runtime.block_on(drive.run());
        })?;
        Ok(Arc::new(Self { commands, ends, watched, joined, thread: Mutex::new(Some(thread)) }))
    }

    /// Waits until the node has what others have and hears of what becomes of it, for so long at most. Whether it has.
    pub fn wait_until_joined(&self, patience: Duration) -> bool {
        let mut joined = self.joined.clone();
        let Ok(runtime) = Builder::new_current_thread().enable_time().build() else { return false };
        runtime.block_on(async {
            matches!(timeout(patience, joined.wait_for(|joined| *joined)).await, Ok(Ok(_)))
        })
    }

    /// From now on what the node wants done is.
    pub fn serve(&self, host: Box<dyn Host>) {
        self.order(Command::Serve(host));
    }

    /// Other nodes' questions are for another process of this node from now on, or are for this one again.
    pub fn lend(&self, is_lent: bool) {
        self.order(Command::Answer(!is_lent));
    }

    /// Waits until all that has arrived by now is taken in, for so long at most. Whether it is, or never will be.
    pub fn catch_up(&self, patience: Duration) -> bool {
        let (waits, done) = sync_mpsc::channel();
        self.order(Command::CatchUp(waits));
        // Nothing is ever sent: the other end is dropped, also where nobody obeys.
        done.recv_timeout(patience) == Err(sync_mpsc::RecvTimeoutError::Disconnected)
    }

    /// Tells all nodes what was decided here: lines as the file of decisions has them.
    pub fn tell(&self, lines: Vec<u8>) {
        self.order(Command::Tell(lines));
    }

    /// Sends something of WebRTC to a node. Whether it is on its way.
    #[must_use]
    pub fn relay(&self, to: NodeNumber, message: Vec<u8>) -> bool {
        // Many threads may see the same last place: they are fewer than there are for others.
        self.commands.capacity() > WAITING - WAITING_RELAYS
            && self.commands.try_send(Command::Relay(to, message)).is_ok()
    }

    /// What there is to be told of it.
    #[must_use]
    pub fn status(&self) -> Status {
        self.watched.status()
    }

    /// Ends the thread; with `leaves` other nodes are told that this one goes.
    pub fn end(&self, leaves: bool) {
        self.ends.send_replace(Some(leaves));
        if let Some(thread) = self.thread.lock().take() {
            // A panic has told of itself.
            let _ = thread.join();
        }
    }

    fn order(&self, command: Command) {
        // Nobody takes it if the thread has ended; where it is too busy, what was to be told is asked for later.
        let _ = self.commands.try_send(command);
    }
}

struct Drive {
    node: Node,
    clock: Clock,
    link: Link,
    messages: Intake,
    news: mpsc::Receiver<News>,
    ordered: mpsc::Receiver<Command>,
    end: watch::Receiver<Option<Leaves>>,
    joins: watch::Sender<bool>,
    watched: Arc<Watched>,
    host: Option<Box<dyn Host>>,
    /// Who waits until what has arrived is taken in, and for how many looks yet.
    catching_up: Vec<(u32, sync_mpsc::Sender<()>)>,
    effects: Vec<Effect>,
    /// Who asks for all decisions.
    asking: BTreeSet<Box<str>>,
    /// What others have decided, by their names, and when such was taken in last.
    decided: BTreeMap<Box<str>, Vec<Vec<u8>>>,
    decided_at: Option<Instant>,
    /// The cluster's name.
    name: Box<str>,
    quiet_until: Option<Instant>,
}

impl Drive {
    async fn run(mut self) {
        let mut end = self.end.clone();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let more = self.node.work(self.clock.now_ns());
            tokio::select! {
                biased;
                leaves = asked_to_end(&mut end) => return self.end(leaves).await,
                _ = ticks.tick() => self.tick(),
                Some(command) = self.ordered.recv() => {
                    self.obey(command);
                    // However much clients send to other nodes, these are heard.
                    if let Some(arrived) = self.messages.ready() {
                        self.take_in(arrived);
                    }
                }
                Some(news) = self.news.recv() => self.hear(news),
                Some(arrived) = self.messages.next() => self.take_in(arrived),
                // Only where nothing of the above was there.
                () = yield_now(), if more || !self.catching_up.is_empty() => self.catching_up.retain_mut(|(looks, _)| {
                    *looks -= 1;
                    *looks > 0
                }),
            }
            self.send().await;
            self.act();
            // A walk is long, and whoever serves on this processor comes first.
            if more && self.host.is_some() {
                thread::yield_now();
            }
        }
    }

    fn take_in(&mut self, first: Arrived) {
        let now_ns = self.clock.now_ns();
        let mut arrived = Some(first);
        for left in (0..AT_ONCE).rev() {
            let Some(Arrived { subject, bytes }) = arrived else { return };
            if let Some((from, channel)) = sender(&self.name, &subject) {
                self.node.receive(from, channel, &bytes, now_ns);
            }
            arrived = if left > 0 { self.messages.ready() } else { None };
        }
    }

    fn tick(&mut self) {
        let now_ns = self.clock.now_ns();
        if let Some(host) = &self.host {
            self.node.identify(host.identity(), now_ns);
        }
        self.node.tick(now_ns);
        let is_joined = self.node.is_joined() && self.node.was_connected();
        self.joins.send_if_modified(|joined| std::mem::replace(joined, is_joined) != is_joined);
        self.watched.look(&self.node, &self.link, self.messages.lost(), now_ns);
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Serve(host) => {
                yield_to_answers();
                self.host = Some(host);
                self.node.answer(true);
            }
            Command::Answer(answers) => self.node.answer(answers),
            Command::CatchUp(waits) => self.catching_up.push((LOOKS, waits)),
            Command::Tell(lines) => self.node.tell_decisions(To::Changes, &lines),
            Command::Relay(to, message) => self.node.relay(to, &message),
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Connected => {
                let (version, warning) = self.link.server();
                tracing::info!("cluster: connected to a NATS server, version {version}");
                if let Some(warning) = warning {
                    tracing::warn!("cluster: {warning}");
                }
                self.node.connected(self.clock.now_ns());
            }
            News::Disconnected => {
                tracing::warn!("cluster: no connection to NATS: this node serves on alone, and tries again");
            }
            News::Slow => self.messages.lose(),
            News::Trouble(what) => {
                let now = Instant::now();
                if self.quiet_until.is_none_or(|until| now >= until) {
                    self.quiet_until = Some(now + QUIET);
                    tracing::warn!("cluster: NATS: {what}");
                }
            }
        }
    }

    async fn send(&mut self) {
        let mut out = std::mem::take(&mut self.node.out).into_iter();
        while let Some((to, message)) = out.next() {
            if !self.link.send(&to, message).await {
                // The others would wait as long: nodes ask for what they miss.
                self.link.lose(out.len());
                return;
            }
        }
    }

    /// Does what the node wants done, as far as there is somebody to do it.
    fn act(&mut self) {
        self.effects.append(&mut self.node.effects);
        for effect in std::mem::take(&mut self.effects) {
            match (effect, &mut self.host) {
                (Effect::Warn(line), _) => tracing::warn!("cluster: {line}"),
                (Effect::Inform(line), _) => tracing::info!("{line}"),
                (Effect::Key { from, key, since }, Some(host)) => host.take_key(&from, key, since),
                (Effect::TellDecisions(to), Some(_)) => drop(self.asking.insert(to)),
                (Effect::Decisions(by, lines), Some(_)) => self.decided.entry(by).or_default().push(lines),
                (Effect::Relay(from, message), Some(host)) => host.relay(from, &message),
                // What is not done now is asked for again.
                (_, None) => {}
            }
        }
        let Some(host) = &mut self.host else { return };
        // All of a node's at once, and not often: each time they are written to disk.
        if !self.decided.is_empty() && self.decided_at.is_none_or(|at| at.elapsed() >= MERGE) {
            self.decided_at = Some(Instant::now());
            std::mem::take(&mut self.decided).iter().for_each(|(by, pieces)| host.decided(by, pieces));
        }
        // To one node at a time, since it may be much.
        if let Some(to) = self.asking.pop_first() {
            for piece in host.decisions() {
                self.node.tell_decisions(To::Node(to.clone()), &piece);
            }
        }
    }

    async fn end(mut self, leaves: bool) {
        let now_ns = self.clock.now_ns();
        if leaves {
            self.node.leave(now_ns);
        } else {
            self.node.tick(now_ns);
        }
        let last = async {
            self.send().await;
            self.link.flush().await;
        };
        let _ = timeout(LAST_WORDS, last).await;
    }
}

/// Waits until the node is to end. That the tracker is gone is the same.
async fn asked_to_end(end: &mut watch::Receiver<Option<Leaves>>) -> Leaves {
    end.wait_for(Option::is_some).await.map_or(None, |leaves| *leaves).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_leave_room_for_what_else_is_to_be_done() {
        let (commands, mut ordered) = mpsc::channel(WAITING);
        let cluster = Cluster {
            commands,
            ends: watch::channel(None).0,
            watched: Arc::default(),
            joined: watch::channel(false).1,
            thread: Mutex::default(),
        };
        let Some(node) = NodeNumber::new(1) else { panic!("a number") };
        let taken = (0..2 * WAITING).filter(|_| cluster.relay(node, Vec::new())).count();
        assert_eq!(taken, WAITING_RELAYS);
        cluster.tell(vec![7]);
        cluster.lend(true);
        let commands: Vec<_> = std::iter::from_fn(|| ordered.try_recv().ok()).skip(taken).collect();
        assert!(matches!(&*commands, [Command::Tell(_), Command::Answer(false)]));
    }
}
