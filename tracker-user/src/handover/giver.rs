//! The side of the running process: gives everything away, and serves on for as long as the other one does not.

use super::{
    channel::{Channel, Error},
    descriptors::Open,
    messages::{Hello, Message},
    swarms::Following,
};
use crate::{clock::Clock, metrics::before::Counted, threads};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tracker_core::{engine::Engine, nodes::SharedNodes};

/// The thread that writes down the swarms.
const THREAD: &str = "riptide-walk";
/// How long the other process may take to say who it is, and to take what is sent.
const TALK: Duration = Duration::from_secs(10);
/// How long it may take to bind what it wants besides and to load the XDP program.
const FETCH: Duration = Duration::from_secs(60);
/// How long it may take from the end of the walk until it is prepared.
const PREPARE: Duration = Duration::from_secs(60);
/// How long it may take to serve once all is its. Datagrams wait in the sockets until it reads them.
const SERVE: Duration = Duration::from_secs(15);
/// How long it may take to hear that it is not to go on.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long this process may take to take in what other machines told.
const CATCH_UP: Duration = Duration::from_secs(2);
/// The same once clients wait.
const CATCH_UP_LAST: Duration = Duration::from_millis(100);
/// From one look at what has changed to the next while it is waited for.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// From one telling of what was counted to the next while the last clients end.
const BETWEEN_COUNTS: Duration = Duration::from_millis(200);

/// What a hand-over did not come to its end for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Somebody else asks.
    #[error("user {0} may not take over: only root and the user of the tracker may")]
    Stranger(u32),
    /// They do not understand each other.
    #[error(
        "riptide {release} speaks version {theirs} of the hand-over, this riptide version {ours}: stop this one and start \
         that one, which takes a moment in which nobody is answered"
    )]
    Version {
        /// Of the other one.
        release: String,
        /// Its version.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
    /// It did not get so far.
    #[error("{step}: {source}")]
    Talk {
        /// What was to be done.
        step: &'static str,
        /// What happened.
        source: Error,
    },
    /// What is to be given could not be had.
    #[error("what is to be handed over: {0}")]
    Own(#[from] io::Error),
    /// Something here did not stop in time.
    #[error("{0} did not let go in time")]
    Stuck(&'static str),
    /// The tracker was told to stop.
    #[error("the tracker was told to stop")]
    Stopping,
}

/// The process that gives: what it has and how it lets go of it.
pub trait House {
    /// Everything that is open, by further descriptors.
    ///
    /// # Errors
    /// When descriptors are short.
    fn open(&self) -> io::Result<Open>;

    /// The swarms, the nodes that counted their downloads, and the time.
    fn swarms(&self) -> (Arc<Engine>, SharedNodes, Clock);

    /// What was counted.
    fn counted(&self) -> Counted;

    /// Has what other machines have told by now in the swarms, for so long at most: the other process hears what comes next
    /// itself, and what it is given here must not be older than that.
    fn catch_up(&self, patience: Duration);

    /// Accepts and reads nothing more; all that was read is answered.
    ///
    /// # Errors
    /// Names what did not stop in time. [`House::take_back`] comes next then.
    fn let_go(&mut self) -> Result<(), &'static str>;

    /// Accepts and reads again.
    fn take_back(&mut self);

    /// What was handed over is the other process's for good.
    fn left(&mut self);
}

/// Ends a hand-over from another thread.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// The hand-over is to end. Whoever waits for the other process has to be woken by its connection.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), Failure> {
        if self.0.load(Ordering::Relaxed) { Err(Failure::Stopping) } else { Ok(()) }
    }
}

/// One hand-over.
#[derive(Debug)]
pub struct Giver<H> {
    channel: Channel,
    house: H,
    cancel: Cancel,
    counted: Counted,
    following: Option<Following>,
}

impl<H: House + Send> Giver<H> {
    /// Over this connection, to whoever asks for it.
    pub fn new(channel: Channel, house: H, cancel: Cancel) -> Self {
        Self { channel, house, cancel, counted: Counted::default(), following: None }
    }

    /// Gives everything away and says to whom. When this returns it is the other one that serves, and
    /// [`Giver::follow`] is to come.
    ///
    /// # Errors
    /// What went wrong; all is as it was, and the other process has been told.
    pub fn give(&mut self) -> Result<Hello, Failure> {
        let (engine, nodes, clock) = self.house.swarms();
        let given = self.greet().and_then(|other| {
            self.open()?;
            let mut following = Following::new(engine, nodes, clock);
            threads::aside(THREAD, || self.walk(&mut following))??;
            // Whatever fails from here on, what was let go of is taken back.
            let switched = self.switch(&mut following);
            if switched.is_err() {
                self.house.take_back();
            }
            switched?;
            self.house.left();
            // A process that is gone by now is missed by whoever looks after it.
            let _ = self.channel.send(&Message::Left, LAST_WORDS);
            self.following = Some(following);
            Ok(other)
        });
        given.map_err(|failure| {
            let failure = self.cancel.check().err().unwrap_or(failure);
            let _ = self.channel.send(&Message::Revoked(failure.to_string()), LAST_WORDS);
            failure
        })
    }

    fn greet(&mut self) -> Result<Hello, Failure> {
        let peer = self.channel.peer()?;
        let own = nix::unistd::geteuid().as_raw();
        if peer != 0 && peer != own {
            return Err(Failure::Stranger(peer));
        }
        let other = match self.channel.receive(TALK).map_err(during("waiting for its name"))? {
            Message::Hello(hello) => hello,
            other => return Err(unexpected("waiting for its name", &other)),
        };
        self.send("greeting it", &Message::Hello(Hello::own()))?;
        if !other.is_understood() {
            let (theirs, ours) = (other.version[0], Hello::own().version[0]);
            return Err(Failure::Version { release: other.release, theirs, ours });
        }
        tracing::info!("hand-over: process {} (riptide {}) takes over", other.pid, other.release);
        Ok(other)
    }

    fn open(&mut self) -> Result<(), Failure> {
        let open = self.house.open()?;
        open.send(&mut self.channel, TALK).map_err(during("passing sockets"))?;
        drop(open);
        self.expect("waiting until it has bound what it wants besides", FETCH, &Message::Fetch, |_| Ok(()))
    }

    fn walk(&mut self, following: &mut Following) -> Result<(), Failure> {
        let (channel, cancel) = (&mut self.channel, &self.cancel);
        following.walk(|message| {
            cancel.check()?;
            channel.send(&message, TALK).map_err(during("passing swarms"))
        })?;
        self.send("passing swarms", &Message::Walked)?;
        let step = "waiting until it is prepared";
        self.expect(step, PREPARE, &Message::Prepared, |channel| changes(following, channel))
    }

    fn switch(&mut self, following: &mut Following) -> Result<(), Failure> {
        self.counted.keep_higher(self.house.counted());
        self.house.catch_up(CATCH_UP);
        changes(following, &mut self.channel)?;
        self.house.let_go().map_err(Failure::Stuck)?;
        self.house.catch_up(CATCH_UP_LAST);
        changes(following, &mut self.channel)?;
        self.counted.keep_higher(self.house.counted());
        self.send("passing counters", &Message::Counted(self.counted.clone()))?;
        self.send("passing the last", &Message::Yours)?;
        self.expect("waiting until it serves", SERVE, &Message::Serving, |_| Ok(()))
    }

    /// Tells the other process what the last clients of this one do, until `ended` says that there are none.
    pub fn follow(mut self, ended: impl Fn(Duration) -> bool) {
        let Some(mut following) = self.following.take() else { return };
        loop {
            let over = ended(BETWEEN_COUNTS);
            self.counted.keep_higher(self.house.counted());
            let told = changes(&mut following, &mut self.channel)
                .and_then(|()| self.send("passing counters", &Message::Counted(self.counted.clone())));
            if over || told.is_err() {
                let _ = self.channel.send(&Message::Bye, LAST_WORDS);
                return;
            }
        }
    }

    fn send(&mut self, step: &'static str, message: &Message) -> Result<(), Failure> {
        self.channel.send(message, TALK).map_err(during(step))
    }

    /// Waits for a message. Meanwhile `look` is called again and again.
    fn expect(
        &mut self,
        step: &'static str,
        patience: Duration,
        wanted: &Message,
        mut look: impl FnMut(&mut Channel) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            self.cancel.check()?;
            match self.channel.receive_within(BETWEEN_LOOKS).map_err(during(step))? {
                Some(message) if message == *wanted => return Ok(()),
                Some(other) => return Err(unexpected(step, &other)),
                None if begun.elapsed() >= patience => return Err(during(step)(Error::Late(patience))),
                None => look(&mut self.channel)?,
            }
        }
    }
}

fn changes(following: &mut Following, channel: &mut Channel) -> Result<(), Failure> {
    following.changes(|message| channel.send(&message, TALK)).map_err(during("passing changes"))
}

fn during(step: &'static str) -> impl Fn(Error) -> Failure {
    move |source| Failure::Talk { step, source }
}

fn unexpected(step: &'static str, message: &Message) -> Failure {
    during(step)(Error::Unexpected(message.name()))
}
