//! The worker threads together: spawned, pinned, told, joined.

use super::{
    answerer::Answerer,
    bind::Listener,
    gather::Gatherer,
    socket::{SocketPath, room},
    worker::{Command, Handle, Worker},
};
use crate::{
    clock::Clock,
    config::Udp,
    counters::WorkerCounters,
    farewell::Farewell,
    random::seed,
    shared_key::SharedKey,
    threads::Threads,
    xdp::{deferral::Patience, servers::Servers, socket::XskSocket},
};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, mpsc as sync_mpsc},
    thread,
    time::Duration,
};
use tokio::sync::mpsc;
use tracker_core::{engine::Engine, udp::ResponderConfig};

/// How long workers have to do what is waited for: an answer to a batch takes less than a millisecond.
const PATIENCE: Duration = Duration::from_secs(5);

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// The swarms.
    pub engine: Arc<Engine>,
    /// Protocol time.
    pub clock: Clock,
    /// What connection IDs are issued and checked by; each worker follows it.
    pub key: SharedKey,
    /// How long they live, see [`tracker_common::connection_id`].
    pub lifetime_slots: u32,
    /// Whether workers never sleep.
    pub busy_poll: bool,
    /// Requests that an AF_XDP socket has room for, if there may be one.
    pub backlog: Option<u64>,
    /// Which the workers join.
    pub threads: Arc<Threads>,
    /// Of interfaces that workers poll by their ordinary sockets.
    pub patiences: Vec<Arc<Patience>>,
}

/// The running workers. Dropping it stops and joins them.
#[derive(Debug)]
pub struct Pool {
    handles: Vec<Handle>,
    threads: Vec<thread::JoinHandle<io::Result<()>>>,
    counters: Vec<Arc<WorkerCounters>>,
    sockets: Vec<Arc<OpenSocket>>,
}

/// A socket that a worker reads, by a descriptor of its own.
#[derive(Debug)]
pub struct OpenSocket {
    /// As the configuration says.
    pub configured: SocketAddr,
    /// Where it listens, the port filled in.
    pub address: SocketAddr,
    /// The socket.
    pub socket: UdpSocket,
}

/// The CPUs this process may use.
#[must_use]
pub fn usable_cpus() -> Vec<usize> {
    let Ok(mask) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..CpuSet::count()).filter(|cpu| mask.is_set(*cpu).unwrap_or(false)).collect()
}

impl Pool {
    /// Starts `workers` threads over the listeners' sockets, which they share out among them: each reads one of each
    /// listener where there are as many. `ended` hears the name of every thread that ends, for whatever reason.
    ///
    /// # Errors
    /// When threads or descriptors are short.
    pub fn spawn(
        config: &Udp,
        listeners: Vec<Listener>,
        workers: usize,
        shared: &Shared,
        ended: &mpsc::UnboundedSender<String>,
    ) -> io::Result<Self> {
        let mut pool =
            Self { handles: Vec::new(), threads: Vec::new(), counters: Vec::new(), sockets: Vec::new() };
        let mut by_worker: Vec<Vec<(SocketAddr, UdpSocket)>> = (0..workers).map(|_| Vec::new()).collect();
        for listener in listeners {
            for (index, socket) in listener.sockets.into_iter().enumerate() {
                let (configured, address) = (listener.configured, listener.address);
                let further = OpenSocket { configured, address, socket: socket.try_clone()? };
                pool.sockets.push(Arc::new(further));
                if let Some(own) = by_worker.get_mut(index % workers.max(1)) {
                    own.push((address, socket));
                }
            }
        }
        let cpus = usable_cpus();
        let replies = ResponderConfig {
            max_datagram: config.max_datagram,
            max_scrape_hashes: config.max_scrape_hashes,
        };
        for (index, sockets) in by_worker.into_iter().enumerate() {
            let counters = Arc::new(WorkerCounters::default());
            let rooms = sockets.iter().map(|(_, socket)| room(socket));
            let rooms = rooms.chain(shared.patiences.iter().map(|patience| patience.room()));
            let room = rooms.chain(shared.backlog).min().unwrap_or(0);
            let gatherer = Gatherer::new(index, shared.patiences.clone(), config.latency, room);
            let paths = sockets
                .into_iter()
                .map(|(address, socket)| {
                    SocketPath::new(socket, address, config.batch, config.max_datagram, counters.clone())
                })
                .collect();
            let (engine, clock) = (shared.engine.clone(), shared.clock);
            let key = shared.key.follow(shared.lifetime_slots);
            let answerer = Answerer::new(replies, key, clock.now_ns(), seed()?);
            let (worker, handle) = Worker::new(
                engine,
                answerer,
                clock,
                counters.clone(),
                config.batch,
                (!shared.busy_poll).then_some(gatherer),
                paths,
            )?;
            let cpu = cpus.get(index % cpus.len().max(1)).copied();
            let (name, threads) = (format!("riptide-udp-{index}"), shared.threads.clone());
            pool.threads.push(spawn(name, cpu, threads, worker, ended.clone())?);
            pool.handles.push(handle);
            pool.counters.push(counters);
        }
        Ok(pool)
    }

    /// The workers as those who serve AF_XDP sockets.
    #[must_use]
    pub fn servers(&self) -> XskServers {
        XskServers { handles: self.handles.clone(), next: 0 }
    }

    /// What the workers count.
    #[must_use]
    pub fn counters(&self) -> Vec<Arc<WorkerCounters>> {
        self.counters.clone()
    }

    /// The sockets.
    #[must_use]
    pub fn sockets(&self) -> Vec<Arc<OpenSocket>> {
        self.sockets.clone()
    }

    /// The way to have the workers read their sockets or not.
    #[must_use]
    pub fn readers(&self) -> Readers {
        Readers(self.handles.clone())
    }

    /// Tells all to stop.
    pub fn stop(&self) {
        for handle in &self.handles {
            let _ended = handle.send(Command::Stop);
        }
    }

    /// Waits for all, and names those that failed.
    #[must_use]
    pub fn join(&mut self) -> Vec<String> {
        let mut failed = Vec::new();
        for thread in self.threads.drain(..) {
            let name = thread.thread().name().unwrap_or("a worker").to_owned();
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failed.push(format!("{name}: {error}")),
                Err(_) => failed.push(format!("{name} panicked")),
            }
        }
        failed
    }
}

/// The workers as those who read the ordinary sockets.
#[derive(Clone, Debug)]
pub struct Readers(Vec<Handle>);

impl Readers {
    /// Has them answer what they have read and read no more, until [`Readers::resume`]. Whether all did so in time.
    #[must_use]
    pub fn pause(&self) -> bool {
        all_do(&self.0, Command::Pause)
    }

    /// Has them read again.
    pub fn resume(&self) {
        for worker in &self.0 {
            let _ended = worker.send(Command::Resume);
        }
    }
}

/// Tells all workers something that they confirm, and waits until they have, for a limited time. Whether they have.
fn all_do(workers: &[Handle], command: impl Fn(sync_mpsc::SyncSender<()>) -> Command) -> bool {
    let (done, finished) = sync_mpsc::sync_channel(workers.len());
    let told = workers.iter().filter(|worker| worker.send(command(done.clone()))).count();
    drop(done);
    (0..told).all(|_| finished.recv_timeout(PATIENCE).is_ok())
}

/// The workers, and whose turn it is to get an AF_XDP socket.
#[derive(Debug)]
pub struct XskServers {
    handles: Vec<Handle>,
    next: usize,
}

impl Servers for XskServers {
    fn give(&mut self, socket: XskSocket, on_loopback: bool) -> bool {
        let worker = self.handles.get(self.next % self.handles.len().max(1));
        self.next = self.next.wrapping_add(1);
        worker.is_some_and(|worker| worker.send(Command::Add(Box::new(socket), on_loopback)))
    }

    fn take_back(&mut self, interface_index: u32) {
        all_do(&self.handles, |done| Command::Remove(interface_index, done));
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop();
        for problem in self.join() {
            tracing::error!("{problem}");
        }
    }
}

fn spawn(
    name: String,
    cpu: Option<usize>,
    threads: Arc<Threads>,
    worker: Worker,
    ended: mpsc::UnboundedSender<String>,
) -> io::Result<thread::JoinHandle<io::Result<()>>> {
    let farewell = Farewell::new(name.clone(), ended);
    thread::Builder::new().name(name).spawn(move || {
        let farewell = farewell;
        threads.join();
        if let Some(cpu) = cpu
            && let Err(error) = pin(cpu)
        {
            tracing::warn!("{}: not pinned to CPU {cpu}: {error}", farewell.name());
        }
        worker.run()
    })
}

fn pin(cpu: usize) -> nix::Result<()> {
    let mut mask = CpuSet::new();
    mask.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &mask)
}
