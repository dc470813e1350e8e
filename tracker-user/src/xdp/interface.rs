//! One interface: its program, and while attached its mode and its AF_XDP sockets.

use super::{
    destinations::destinations,
    network::{Link, Network},
    program::{self, Counters, LoadOptions, Mode, Program},
    socket::{Bind, Gauges, Options, XskSocket},
};
use crate::{
    clock::Clock,
    config::{Xdp, XdpMode, ZeroCopy},
    udp::worker::{Command, Handle},
};
use std::{
    io,
    net::SocketAddr,
    os::fd::AsRawFd as _,
    sync::{Arc, Weak, mpsc},
    time::Duration,
};
use tracker_common::{
    connection_id::{keys_at, slot_at},
    maps::Settings,
    siphash::Key,
};

/// Receive queues of an interface that are served by AF_XDP; the network stack serves any beyond.
pub const MAX_QUEUES: u32 = 256;
/// How long workers have to let go of the sockets of an interface that is gone.
const REMOVE_DEADLINE: Duration = Duration::from_secs(5);

/// What every interface's program has to know.
#[derive(Clone, Debug)]
pub struct Context {
    /// The `[xdp]` table.
    pub config: Xdp,
    /// The bound UDP listeners.
    pub listeners: Vec<SocketAddr>,
    /// The protocol clock.
    pub clock: Clock,
    /// The key that connection IDs derive from.
    pub master: Key,
    /// How long they live, see [`tracker_common::connection_id`].
    pub lifetime_slots: u32,
}

/// Why an interface is not served by XDP.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host has no such interface.
    #[error("there is no such interface (`ip link` lists them)")]
    Missing,
    /// It carries no Ethernet frames.
    #[error("it is no Ethernet interface")]
    NotEthernet,
    /// Loading, attaching or a map failed.
    #[error(transparent)]
    Program(#[from] program::Error),
}

/// What metrics read of an attached interface.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// How the program is attached, and how its sockets are bound, if there are any.
    pub attached: Option<(Mode, Option<Bind>)>,
    /// The program's counters.
    pub counters: Arc<Counters>,
    /// Its sockets, as long as they live.
    pub sockets: Vec<Weak<Gauges>>,
}

/// While attached.
#[derive(Debug)]
struct Attached {
    index: u32,
    mode: Mode,
    program_id: Option<u32>,
    bind: Option<Bind>,
    gauges: Vec<Weak<Gauges>>,
    /// Sockets that no worker has yet.
    unserved: Vec<XskSocket>,
    is_loopback: bool,
}

/// An interface named in the configuration, with its loaded program.
#[derive(Debug)]
pub struct Interface {
    name: String,
    program: Program,
    counters: Arc<Counters>,
    attached: Option<Attached>,
    enabled: bool,
    last_problem: String,
}

impl Interface {
    /// Loads the program for an interface, attached to nothing.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn load(name: &str, context: &Context) -> Result<Self, Error> {
        let options = LoadOptions { queues: MAX_QUEUES, log: context.config.log };
        let (program, counters) = Program::load(options)?;
        Ok(Self {
            name: name.to_owned(),
            program,
            counters: Arc::new(counters),
            attached: None,
            enabled: false,
            last_problem: String::new(),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The program.
    pub fn program_mut(&mut self) -> &mut Program {
        &mut self.program
    }

    /// What metrics read.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            name: self.name.clone(),
            attached: self.attached.as_ref().map(|attached| (attached.mode, attached.bind)),
            counters: self.counters.clone(),
            sockets: self.attached.iter().flat_map(|attached| attached.gauges.iter().cloned()).collect(),
        }
    }

    /// Attaches in the best mode that the configuration allows, opens a socket for each receive queue, fills the
    /// maps. Logs one line that names the mode, and why a better one was not had.
    ///
    /// # Errors
    /// When no allowed mode is to be had.
    pub fn attach(&mut self, network: &Network, context: &Context) -> Result<(), Error> {
        let link = network.link(&self.name).ok_or(Error::Missing)?;
        link.mac.ok_or(Error::NotEthernet)?;
        let modes: &[Mode] = match context.config.mode {
            XdpMode::Auto => &[Mode::Native, Mode::Generic],
            XdpMode::Native => &[Mode::Native],
            XdpMode::Generic => &[Mode::Generic],
            XdpMode::Off => &[],
        };
        let mut why_not = String::new();
        let mut last = Error::Missing;
        for mode in modes {
            match self.program.attach(link.index, *mode) {
                Ok(()) => {
                    self.attached(link, *mode, &why_not, context);
                    self.update(network, context)?;
                    return Ok(());
                }
                Err(error) => {
                    why_not = format!("; not {}: {error}", mode.label());
                    last = error.into();
                }
            }
        }
        Err(last)
    }

    fn attached(&mut self, link: &Link, mode: Mode, why_not: &str, context: &Context) {
        let (sockets, problem) = open_sockets(link, mode, context);
        let bind = sockets.first().map(|socket| socket.gauges().bind);
        for socket in &sockets {
            if let Err(error) = self.program.set_socket(socket.gauges().queue, socket.as_raw_fd()) {
                tracing::warn!(interface = self.name, "xdp: {error}; the network stack serves a queue");
            }
        }
        let count = sockets.len();
        let sockets_text = match (bind, problem) {
            (Some(bind), _) => format!("{count} AF_XDP sockets, {}", bind.label()),
            (None, problem) => format!(
                "connects only, no AF_XDP sockets: {}{}",
                problem.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string),
                problem.as_ref().map_or("", socket_hint),
            ),
        };
        tracing::info!("xdp {}: {} mode, {sockets_text}{why_not}", self.name, mode.label());
        self.last_problem.clear();
        self.attached = Some(Attached {
            index: link.index,
            mode,
            program_id: self.program.id(),
            bind,
            gauges: sockets.iter().map(|socket| Arc::downgrade(socket.gauges())).collect(),
            unserved: sockets,
            is_loopback: link.is_loopback,
        });
    }

    /// Gives the sockets to workers, the next one each, beginning with `*next`.
    pub fn hand_over(&mut self, workers: &[Handle], next: &mut usize) {
        let Some(attached) = &mut self.attached else { return };
        for socket in attached.unserved.drain(..) {
            if let Some(worker) = workers.get(*next % workers.len().max(1)) {
                worker.send(Command::Add(Box::new(socket), attached.is_loopback));
            }
            *next += 1;
        }
    }

    /// Switches the program on or off; off, every frame passes.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_enabled(&mut self, enabled: bool) -> Result<(), Error> {
        self.enabled = enabled;
        let settings = Settings { enabled: enabled.into(), ..self.program.settings() };
        Ok(self.program.set_settings(settings)?)
    }

    /// Writes what follows from the network, the clock and the keys.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn update(&mut self, network: &Network, context: &Context) -> Result<(), Error> {
        let Some(link) = network.link(&self.name) else { return Ok(()) };
        let settings = Settings {
            clock_base_ns: context.clock.base_ns(),
            enabled: self.enabled.into(),
            lifetime_slots: context.lifetime_slots,
            mac: link.mac.unwrap_or_default(),
            allow_loopback: link.is_loopback.into(),
            reserved: 0,
        };
        if settings != self.program.settings() {
            self.program.set_settings(settings)?;
        }
        let slot = slot_at(context.clock.now_ns());
        self.program.set_keys(keys_at(context.master, slot, context.lifetime_slots))?;
        let wanted = destinations(network, link, &context.listeners);
        let (added, removed) = self.program.set_destinations(&wanted)?;
        if added + removed > 0 {
            tracing::info!(
                "xdp {}: serves {} addresses and ports, {added} new, {removed} gone",
                self.name,
                wanted.len()
            );
        }
        Ok(())
    }

    /// Brings the attachment and the maps in step with the network. What cannot be done is logged once, and tried
    /// again at the next call.
    pub fn reconcile(&mut self, network: &Network, context: &Context, workers: &[Handle], next: &mut usize) {
        if let Some(attached) = &self.attached {
            let lost = match network.link(&self.name) {
                None => Some("the interface is gone"),
                Some(link) if link.index != attached.index => Some("the interface was replaced"),
                Some(link) if link.xdp_program != attached.program_id => Some("the program was detached"),
                Some(_) => None,
            };
            if let Some(why) = lost {
                tracing::warn!("xdp {}: {why}; the ordinary sockets serve on", self.name);
                self.release(workers);
            }
        }
        let result = if self.attached.is_some() {
            self.update(network, context)
        } else {
            self.attach(network, context)
        };
        match result {
            Ok(()) => self.hand_over(workers, next),
            Err(error) => {
                let problem = error.to_string();
                if problem != self.last_problem {
                    tracing::warn!("xdp {}: not attached: {problem}; trying again", self.name);
                    self.last_problem = problem;
                }
            }
        }
    }

    /// Detaches, and has the workers close its sockets.
    pub fn release(&mut self, workers: &[Handle]) {
        self.program.detach();
        let Some(attached) = self.attached.take() else { return };
        let (done, finished) = mpsc::sync_channel(workers.len());
        for worker in workers {
            worker.send(Command::Remove(attached.index, done.clone()));
        }
        drop(done);
        for _ in workers {
            if finished.recv_timeout(REMOVE_DEADLINE).is_err() {
                break;
            }
        }
    }
}

/// A socket for each receive queue: the kernel refuses the first queue that the interface does not have.
fn open_sockets(link: &Link, mode: Mode, context: &Context) -> (Vec<XskSocket>, Option<io::Error>) {
    let config = &context.config;
    let mut sockets = Vec::new();
    for queue in 0..MAX_QUEUES {
        let options = Options {
            interface_index: link.index,
            queue,
            ring_size: config.ring_size,
            frames: config.frames,
            zero_copy: config.zero_copy == ZeroCopy::Auto && mode == Mode::Native,
            busy_poll: config.busy_poll,
        };
        match XskSocket::new(&link.name, options) {
            Ok(socket) => sockets.push(socket),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput && queue > 0 => break,
            Err(error) => {
                if queue > 0 {
                    tracing::warn!("xdp {}: queue {queue} has no AF_XDP socket: {error}", link.name);
                }
                return (sockets, Some(error));
            }
        }
    }
    (sockets, None)
}

fn socket_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM) => " (needs CAP_NET_RAW)",
        Some(libc::ENOBUFS) => " (locked memory is short: grant CAP_IPC_LOCK, or raise it with `ulimit -l`)",
        Some(libc::EBUSY) => " (another program has an AF_XDP socket on this queue)",
        _ => "",
    }
}
