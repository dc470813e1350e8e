//! A worker: one thread, pinned, that serves its AF_XDP sockets and its ordinary ones, lets requests gather while they keep
//! coming, and sleeps when idle.

use super::{answerer::Answerer, gather::Gatherer, socket::SocketPath};
use crate::{
    clock::Clock,
    counters::{Durations, Path, PathCounters, WorkerCounters},
    xdp::{batch::XskPath, gathering::Gathering, socket::XskSocket},
};
use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        eventfd::{EfdFlags, EventFd},
    },
};
use std::{
    io,
    os::fd::AsRawFd as _,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};
use tracker_common::bep15::Action;
use tracker_core::engine::Engine;

/// While AF_XDP keeps a worker busy, it looks at its other descriptors after so many passes over its sources.
const PASSES_BETWEEN_POLLS: u32 = 32;
/// One batch in so many is timed for the duration histogram; a prime, so that no source is always passed over.
const ROUNDS_BETWEEN_TIMINGS: u32 = 61;
/// After the kernel had no room for a reply, it is offered again so soon, milliseconds.
const RETRY_MS: u8 = 10;
/// Frames that may gather in a device are looked after so soon once no worker sees any, milliseconds.
const REST_MS: u8 = 20;
/// When an AF_XDP socket is to be closed, so long is waited for replies on their way out, and so often it is looked.
const LAST_REPLIES: Duration = Duration::from_millis(50);
const BETWEEN_SENDS: Duration = Duration::from_millis(1);
/// The last pass before a worker ends, or a socket is closed, is bounded too.
const LAST_ROUNDS: u32 = 64;

/// What a worker is told from outside.
#[derive(Debug)]
pub enum Command {
    /// Serve this AF_XDP socket too; its interface is a loopback one or not.
    Add(Box<XskSocket>, bool),
    /// Answer what the sockets of this interface have received, close them, then say so.
    Remove(u32, mpsc::SyncSender<()>),
    /// Read the ordinary sockets no more, then say so: what arrives waits in them.
    Pause(mpsc::SyncSender<()>),
    /// Read them again.
    Resume,
    /// Serve what has arrived, then end.
    Stop,
}

/// The way to tell a worker something.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    bell: Arc<EventFd>,
}

impl Handle {
    /// Tells it, waking it up. Whether it was there to hear; if not, the end of its thread is reported.
    pub fn send(&self, command: Command) -> bool {
        let heard = self.commands.send(command).is_ok();
        if heard && let Err(error) = self.bell.write(1) {
            tracing::debug!(%error, "waking a worker");
        }
        heard
    }
}

/// A worker before its thread runs.
pub struct Worker {
    engine: Arc<Engine>,
    answerer: Answerer,
    clock: Clock,
    counters: Arc<WorkerCounters>,
    batch: usize,
    sockets: Vec<SocketPath>,
    /// Which sockets may have more, as far as known.
    ready: Vec<bool>,
    /// Somebody else reads them.
    paused: bool,
    xsks: Vec<(u32, XskPath)>,
    commands: mpsc::Receiver<Command>,
    bell: Arc<EventFd>,
    epoll: Epoll,
    busy_poll: bool,
    gatherer: Option<Gatherer>,
    /// A source filled its batch, so that it may have more.
    more: bool,
    rounds: u32,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("sockets", &self.sockets).finish_non_exhaustive()
    }
}

/// Names of descriptors in the epoll set: ordinary sockets by index, AF_XDP sockets from here on, the bell.
const EVENT_XSK: u64 = 1 << 32;
const EVENT_BELL: u64 = u64::MAX;
/// Events taken at a time; what does not fit comes with the next call.
const EVENTS: usize = 64;

impl Worker {
    /// A worker over these sockets. `batch` is the most frames or datagrams taken at a time; without a `gatherer`
    /// it never sleeps, and its system calls drive the device.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn new(
        engine: Arc<Engine>,
        answerer: Answerer,
        clock: Clock,
        counters: Arc<WorkerCounters>,
        batch: usize,
        gatherer: Option<Gatherer>,
        sockets: Vec<SocketPath>,
    ) -> io::Result<(Self, Handle)> {
        let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let (sender, commands) = mpsc::channel();
        let handle = Handle { commands: sender, bell: bell.clone() };
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&bell, EpollEvent::new(EpollFlags::EPOLLIN, EVENT_BELL))?;
        for (index, path) in (0..).zip(&sockets) {
            epoll.add(path, EpollEvent::new(EpollFlags::EPOLLIN, index))?;
        }
        let ready = vec![false; sockets.len()];
        let worker = Self {
            engine,
            answerer,
            clock,
            counters,
            batch,
            sockets,
            ready,
            paused: false,
            xsks: Vec::new(),
            commands,
            bell,
            epoll,
            busy_poll: gatherer.is_none(),
            gatherer,
            more: false,
            rounds: 0,
        };
        Ok((worker, handle))
    }

    /// Serves until told to stop.
    ///
    /// # Errors
    /// When waiting fails, which no working kernel does.
    pub fn run(mut self) -> io::Result<()> {
        let mut passes = 0_u32;
        loop {
            let requests = self.serve();
            let busy = requests > 0;
            let has_come = self.gatherer.as_mut().is_some_and(|gatherer| gatherer.has_come(requests));
            let has_gathered = has_come && self.gather();
            passes = passes.wrapping_add(1);
            // A pause is long beside a look at all descriptors.
            let timeout = if busy && !has_gathered && !passes.is_multiple_of(PASSES_BETWEEN_POLLS) {
                continue;
            } else if busy || self.busy_poll {
                EpollTimeout::ZERO
            } else if self.xsks.iter().any(|(_, path)| path.socket().has_unsent()) {
                EpollTimeout::from(RETRY_MS)
            } else if self.xsks.iter_mut().any(|(_, path)| path.gathering().is_some_and(|g| g.is_longer())) {
                EpollTimeout::from(REST_MS)
            } else {
                EpollTimeout::NONE
            };
            if self.wait(timeout)? && self.obey() {
                break;
            }
        }
        // What arrived before the order to stop is still answered.
        self.ready.fill(!self.paused);
        for _ in 0..LAST_ROUNDS {
            if self.serve() == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Lets requests gather, and has what has gathered looked at. Whether it did.
    fn gather(&mut self) -> bool {
        // What a device keeps gathers there, and its first frame wakes us.
        let gathers = self.xsks.iter_mut().any(|(_, path)| path.gathering().is_some());
        if gathers || self.more || self.paused || !self.gatherer.as_mut().is_some_and(Gatherer::pause) {
            return false;
        }
        self.ready.fill(true);
        true
    }

    /// Takes a batch from each source that has one. Returns how many requests there were.
    fn serve(&mut self) -> usize {
        let mut requests = 0;
        self.more = false;
        for (_, path) in &mut self.xsks {
            let received = path.receive();
            requests += received;
            self.more |= received == self.batch;
            if received > 0 {
                let timer = Timer::start(&mut self.rounds, &self.counters, Path::Xsk);
                self.answerer.handle_batch(&self.engine, self.clock.now_ns(), path);
                path.send();
                timer.stop(&self.counters.durations);
                path.gathering().into_iter().for_each(Gathering::look);
            } else if self.busy_poll || path.socket().has_unsent() {
                path.send();
            }
        }
        for (path, ready) in self.sockets.iter_mut().zip(&mut self.ready) {
            if !*ready {
                continue;
            }
            let received = path.receive();
            *ready = received == self.batch;
            self.more |= *ready;
            requests += received;
            if received > 0 {
                let timer = Timer::start(&mut self.rounds, &self.counters, Path::Socket);
                self.answerer.handle_batch(&self.engine, self.clock.now_ns(), path);
                path.send();
                timer.stop(&self.counters.durations);
            }
        }
        requests
    }

    /// Waits until a descriptor has something. Whether the bell has rung.
    fn wait(&mut self, timeout: EpollTimeout) -> io::Result<bool> {
        let mut events = [EpollEvent::empty(); EVENTS];
        let found = match self.epoll.wait(&mut events, timeout) {
            Ok(found) => found,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        if found == 0 && timeout != EpollTimeout::ZERO {
            self.xsks.iter_mut().filter_map(|(_, path)| path.gathering()).for_each(Gathering::rest);
        }
        let mut rung = false;
        for event in &events[..found] {
            match event.data() {
                EVENT_BELL => rung = true,
                EVENT_XSK.. => {
                    // Its interface is gone; it would be reported for ever, and is removed by whoever watches those.
                    if event.events().intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP)
                        && let Some((_, path)) =
                            self.xsks.iter().find(|(_, path)| event_of(path.socket()) == event.data())
                    {
                        let _ = self.epoll.delete(path.socket());
                    }
                }
                index => {
                    if let Some(ready) = self.ready.get_mut(index as usize) {
                        *ready = true;
                    }
                }
            }
        }
        Ok(rung)
    }

    /// Does what it is told. Whether that is to stop.
    fn obey(&mut self) -> bool {
        let _ = self.bell.read();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Add(socket, on_loopback) => self.add(*socket, on_loopback),
                Command::Remove(interface, done) => {
                    self.remove(interface);
                    let _ = done.send(());
                }
                Command::Pause(done) => {
                    self.pause();
                    let _ = done.send(());
                }
                Command::Resume => self.resume(),
                Command::Stop => return true,
            }
        }
        false
    }

    /// Serves a socket too. One that cannot be waited for is closed, so that its frames pass to the ordinary sockets.
    fn add(&mut self, socket: XskSocket, on_loopback: bool) {
        if let Err(error) = self.epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, event_of(&socket))) {
            tracing::warn!(%error, "an AF_XDP socket cannot be waited for and is closed");
            return;
        }
        let interface = socket.interface_index();
        let path = XskPath::new(socket, self.batch, on_loopback, self.counters.clone());
        self.xsks.push((interface, path));
    }

    fn remove(&mut self, interface: u32) {
        let Self { xsks, epoll, answerer, engine, clock, .. } = self;
        for (_, mut path) in xsks.extract_if(.., |(index, _)| *index == interface) {
            // Whoever reads its statistics at this moment has the descriptor too.
            let _ = epoll.delete(path.socket());
            for _ in 0..LAST_ROUNDS {
                if path.receive() == 0 {
                    break;
                }
                answerer.handle_batch(engine, clock.now_ns(), &mut path);
                path.send();
            }
            let begun = Instant::now();
            while path.socket().is_sending() && begun.elapsed() < LAST_REPLIES {
                std::thread::sleep(BETWEEN_SENDS);
                path.send();
            }
        }
    }

    fn pause(&mut self) {
        if !std::mem::replace(&mut self.paused, true) {
            self.ready.fill(false);
            for path in &self.sockets {
                let _ = self.epoll.delete(path);
            }
        }
    }

    fn resume(&mut self) {
        if std::mem::replace(&mut self.paused, false) {
            self.ready.fill(true);
            for (index, path) in (0..).zip(&self.sockets) {
                if let Err(error) = self.epoll.add(path, EpollEvent::new(EpollFlags::EPOLLIN, index)) {
                    tracing::error!(%error, "a UDP socket cannot be waited for any more");
                }
            }
        }
    }
}

/// The name of an AF_XDP socket in the epoll set, unique while it is open.
fn event_of(socket: &XskSocket) -> u64 {
    EVENT_XSK + u64::from(socket.as_raw_fd().unsigned_abs())
}

/// Times one batch in a few.
struct Timer<'a>(Option<(Instant, [u64; 3], &'a PathCounters)>);

impl<'a> Timer<'a> {
    fn start(rounds: &mut u32, counters: &'a WorkerCounters, path: Path) -> Self {
        *rounds = rounds.wrapping_add(1);
        let counters = counters.path(path);
        let timed = rounds.is_multiple_of(ROUNDS_BETWEEN_TIMINGS);
        Self(timed.then(|| (Instant::now(), counters.requests_by_action(), counters)))
    }

    fn stop(self, durations: &Durations) {
        if let Some((start, before, counters)) = self.0 {
            let nanoseconds = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            for ((action, before), after) in
                Action::ALL.into_iter().zip(before).zip(counters.requests_by_action())
            {
                durations.record(action, after - before, nanoseconds);
            }
        }
    }
}
