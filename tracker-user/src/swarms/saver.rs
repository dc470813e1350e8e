//! The thread that saves: every so often, when asked, and at the end.

use super::{
    save::{SaveError, Saved, save},
    tally::Tally,
};
use crate::{clock::Clock, config, farewell::Farewell, threads};
use parking_lot::Mutex;
use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc::UnboundedSender, oneshot};
use tracker_core::{engine::Engine, nodes::SharedNodes};

/// Of a processor's time, saving takes one part in so many, so that whoever serves there hardly notices.
const SHARE: u32 = 5;
/// The longest rest between two slices, whatever kept one of them.
const LONGEST_REST: Duration = Duration::from_millis(5);

/// What became of a save. Several may have asked for one.
pub type Outcome = Result<Saved, Arc<SaveError>>;

/// What to save, where and when.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where.
    pub directory: PathBuf,
    /// How often; `None` not at all.
    pub every: Option<Duration>,
    /// The log has told that nothing can be written there, so this is no news.
    pub is_told: bool,
}

impl Settings {
    /// As configured.
    #[must_use]
    pub fn of(state: &config::State, is_told: bool) -> Self {
        Self {
            directory: state.directory.clone(),
            every: state.swarms.then_some(state.save_interval),
            is_told,
        }
    }
}

/// A request to the thread.
enum Request {
    Save(oneshot::Sender<Outcome>),
    Finish,
    GiveUp,
}

/// The thread that saves, and how it is asked. Copies are for the same thread.
#[derive(Clone, Debug)]
pub struct Saver(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    requests: Option<Sender<Request>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// All that is served is over: no more rests, and what is being saved is not all.
    finishing: Arc<AtomicBool>,
    tally: Arc<Tally>,
}

impl Saver {
    /// Starts the thread, if swarms are to be saved. Where it ends before it is told to, `ended` is told.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start(
        settings: Settings,
        (engine, nodes): (Arc<Engine>, SharedNodes),
        clock: Clock,
        tally: Arc<Tally>,
        ended: &UnboundedSender<String>,
    ) -> io::Result<Self> {
        let finishing = Arc::new(AtomicBool::new(false));
        let Some(every) = settings.every else {
            return Ok(Self(Arc::new(Inner { requests: None, thread: Mutex::new(None), finishing, tally })));
        };
        let (requests, asked) = channel();
        let farewell = Farewell::new("the thread that saves", ended.clone());
        let is_failing = settings.is_told;
        let mut work = Work {
            directory: settings.directory,
            engine,
            nodes,
            clock,
            tally: tally.clone(),
            finishing: finishing.clone(),
            is_failing,
        };
        let thread = thread::Builder::new().name("riptide-save".to_owned()).spawn(move || {
            let _farewell = farewell;
            threads::yield_to_answers();
            work.run(&asked, every);
        })?;
        let thread = Mutex::new(Some(thread));
        Ok(Self(Arc::new(Inner { requests: Some(requests), thread, finishing, tally })))
    }

    /// Asks for a save of all that is there now, and gives where its outcome will be told.
    #[must_use]
    pub fn save_now(&self) -> oneshot::Receiver<Outcome> {
        let (answer, outcome) = oneshot::channel();
        let refused = match &self.0.requests {
            None => Some((answer, SaveError::Off)),
            Some(requests) => match requests.send(Request::Save(answer)) {
                Err(error) => match error.0 {
                    Request::Save(answer) => Some((answer, SaveError::Stopping)),
                    Request::Finish | Request::GiveUp => None,
                },
                Ok(()) => None,
            },
        };
        if let Some((answer, error)) = refused {
            // Whoever asked may have gone.
            let _ = answer.send(Err(Arc::new(error)));
        }
        outcome
    }

    /// Saves once more, at full speed, and ends the thread. To be called when nothing is served any more.
    pub fn finish(&self) {
        self.end(Request::Finish);
    }

    /// Ends the thread, and what it is saving: somebody else saves from now on.
    pub fn give_up(&self) {
        self.end(Request::GiveUp);
    }

    fn end(&self, request: Request) {
        self.0.finishing.store(true, Ordering::Relaxed);
        if let Some(requests) = &self.0.requests {
            let _ = requests.send(request);
        }
        if let Some(thread) = self.0.thread.lock().take() {
            // Had it panicked, its farewell would have told.
            let _ = thread.join();
        }
    }

    /// What metrics tell of it.
    #[must_use]
    pub fn tally(&self) -> &Arc<Tally> {
        &self.0.tally
    }
}

/// What the thread works with.
struct Work {
    directory: PathBuf,
    engine: Arc<Engine>,
    nodes: SharedNodes,
    clock: Clock,
    tally: Arc<Tally>,
    finishing: Arc<AtomicBool>,
    /// The last save failed, and the log has told why.
    is_failing: bool,
}

impl Work {
    fn run(&mut self, requests: &Receiver<Request>, every: Duration) {
        let mut due = Instant::now() + every;
        let mut waiting = Vec::new();
        loop {
            let (mut is_last, mut is_over) = (false, false);
            let mut take = |request| match request {
                Request::Save(answer) => waiting.push(answer),
                Request::Finish => is_last = true,
                Request::GiveUp => is_over = true,
            };
            match requests.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(request) => take(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // Whoever has asked by now is served by the same save.
            requests.try_iter().for_each(&mut take);
            if is_over {
                return;
            }
            let begun = Instant::now();
            let outcome = self.save(is_last).map_err(Arc::new);
            // A save that was given up is followed by another.
            if !outcome.as_ref().is_err_and(|error| matches!(**error, SaveError::GivenUp)) {
                for answer in waiting.drain(..) {
                    let _ = answer.send(outcome.clone());
                }
            }
            if is_last {
                return;
            }
            due = begun + every;
        }
    }

    fn save(&mut self, is_last: bool) -> Result<Saved, SaveError> {
        let finishing = self.finishing.clone();
        let rest = |slice: Duration| {
            if is_last {
                return true;
            }
            thread::sleep((slice * (SHARE - 1)).min(LONGEST_REST));
            !finishing.load(Ordering::Relaxed)
        };
        let clock = self.clock;
        let outcome = save(&self.engine, &self.nodes, || clock.now(), &self.directory, rest);
        match &outcome {
            Ok(saved) => self.succeeded(saved, is_last),
            Err(SaveError::GivenUp) => {}
            Err(error) => {
                self.tally.failed.add_one();
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(
                        "{error}; swarms are not saved until this works again. Make room and let this user write there, or \
                         name another directory by state.directory"
                    );
                }
            }
        }
        outcome
    }

    fn succeeded(&mut self, saved: &Saved, is_last: bool) {
        let Saved { torrents, peers, kept_counts, bytes, took, at } = *saved;
        self.tally.saved.add_one();
        self.tally.last_save.set(at);
        self.tally.size.set(bytes);
        let what = || {
            format!(
                "saved {peers} peers in {torrents} torrents and {kept_counts} counts of downloads of others, {bytes} bytes, \
                 in {took:.1?}"
            )
        };
        if std::mem::take(&mut self.is_failing) {
            tracing::info!("{}: can be written again: {}", self.directory.display(), what());
        } else if is_last {
            tracing::info!("{}: {}", self.directory.display(), what());
        } else {
            tracing::debug!("{}: {}", self.directory.display(), what());
        }
    }
}
