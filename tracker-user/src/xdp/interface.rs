//! One interface: its program, and while attached its mode and its AF_XDP sockets.

use super::{
    arrivals::Arrivals,
    deferral::{Deferral, INTERFACES, PATIENCE},
    destinations::destinations,
    gathering::Gathering,
    link::Mode,
    network::{Link, Network},
    program::{self, Counters, LoadOptions, Program},
    queues::receive_queues,
    servers::Servers,
    socket::{Bind, Gauges, Options, XskSocket},
};
use crate::{
    clock::Clock,
    config::{BusyPoll, Xdp, XdpMode, ZeroCopy},
};
use std::{
    collections::{BTreeMap, HashSet},
    io,
    net::SocketAddr,
    os::fd::AsRawFd as _,
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};
use tracker_common::{
    connection_id::{keys_at, slot_at},
    maps::{Destination, MAX_DESTINATIONS, MAX_QUEUES, Rates, Settings},
    siphash::Key,
};
use tracker_core::banned::Banned;

mod succession;

pub use succession::Inherited;

/// What every interface's program has to know.
#[derive(Clone, Debug)]
pub struct Context {
    /// The `[xdp]` table.
    pub config: Xdp,
    /// The bound UDP listeners.
    pub listeners: Vec<SocketAddr>,
    /// How long a request may wait (`udp.latency`).
    pub latency: Duration,
    /// The protocol clock.
    pub clock: Clock,
    /// The key that connection IDs derive from.
    pub master: Key,
    /// How long they live, see [`tracker_common::connection_id`].
    pub lifetime_slots: u32,
    /// How often client networks may ask.
    pub rates: Rates,
    /// The networks whose clients get nothing.
    pub banned: Banned,
    /// Whether the process still is who it was at its start, when sockets are opened.
    pub keeps_rights: bool,
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
    /// Another program is there.
    #[error("{0}")]
    Occupied(String),
    /// No mode that is allowed could be had.
    #[error("{0}")]
    NoMode(String),
    /// Loading or a map failed.
    #[error(transparent)]
    Program(#[from] program::Error),
}

/// Why a receive queue has no socket that serves it.
#[derive(Debug, thiserror::Error)]
enum QueueError {
    /// None could be opened.
    #[error("{0}{hint}", hint = socket_hint(.0))]
    Open(#[from] io::Error),
    /// The program could not be shown the socket.
    #[error(transparent)]
    Show(#[from] program::Error),
    /// Nobody reads it.
    #[error("no worker took its socket")]
    Refused,
}

/// What metrics read of an interface.
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
    /// Frames that sockets lost which are no more.
    pub lost_before: u64,
}

/// While attached.
#[derive(Debug)]
struct Attached {
    index: u32,
    mode: Mode,
    /// Why no better mode was had, to be appended to the line that names this one.
    why_not: String,
    program_id: Option<u32>,
    /// The workers poll.
    deferral: Option<Deferral>,
    sockets: BTreeMap<u32, Weak<Gauges>>,
    /// The line that was written last, which names the mode.
    told: String,
}

/// An interface named in the configuration, with its loaded program.
#[derive(Debug)]
pub struct Interface {
    name: String,
    program: Program,
    counters: Arc<Counters>,
    arrivals: Arc<Arrivals>,
    attached: Option<Attached>,
    enabled: bool,
    /// What another process's program hangs on, whose place is to be taken.
    inherited: Option<Inherited>,
    lost_before: u64,
    /// Destinations that found no room in the map.
    left_out: usize,
    /// What was told of banned networks that could not be written.
    ban_problem: String,
    last_problem: String,
}

impl Interface {
    /// Loads the program for an interface, attached to nothing.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn load(name: &str, context: &Context) -> Result<Self, Error> {
        let options = LoadOptions { queues: MAX_QUEUES, log: context.config.log };
        let (mut program, counters, arrivals) = Program::load(options)?;
        program.set_rates(context.rates)?;
        let mut interface = Self {
            name: name.to_owned(),
            program,
            counters: Arc::new(counters),
            arrivals: Arc::new(arrivals),
            attached: None,
            enabled: false,
            inherited: None,
            lost_before: 0,
            left_out: 0,
            ban_problem: String::new(),
            last_problem: String::new(),
        };
        // Many take some time, which another process that is about to give its place may use to serve.
        interface.set_banned(context);
        Ok(interface)
    }

    /// Has the program drop what comes from banned networks. Where the kernel has no memory for them, a line says so.
    pub fn set_banned(&mut self, context: &Context) {
        let problem = match self.program.set_banned(&context.banned) {
            Ok((added, removed)) => {
                if added + removed > 0 {
                    tracing::debug!("xdp {}: banned networks: {added} new, {removed} gone", self.name);
                }
                String::new()
            }
            Err(error) => error.to_string(),
        };
        if !problem.is_empty() && problem != self.ban_problem {
            tracing::warn!(
                "xdp {}: {problem}; the program drops whom it dropped before, trying again: see that there is memory, or \
                 shorten access.denied_networks",
                self.name
            );
        }
        self.ban_problem = problem;
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
        let attached = self.attached.as_ref();
        let bind =
            |attached: &Attached| attached.sockets.values().find_map(Weak::upgrade).map(|socket| socket.bind);
        Report {
            name: self.name.clone(),
            attached: attached.map(|attached| (attached.mode, bind(attached))),
            counters: self.counters.clone(),
            sockets: attached.iter().flat_map(|attached| attached.sockets.values().cloned()).collect(),
            lost_before: self.lost_before,
        }
    }

    /// Attaches in the best mode that the configuration allows, and fills the maps. No socket is opened yet.
    ///
    /// # Errors
    /// When no allowed mode is to be had; it is then remembered as told.
    pub fn attach(&mut self, network: &Network, context: &Context) -> Result<(), Error> {
        let result = self.try_attach(network, context);
        if let Err(error) = &result {
            self.last_problem = error.to_string();
        }
        result
    }

    fn try_attach(&mut self, network: &Network, context: &Context) -> Result<(), Error> {
        let link = network.link(&self.name).ok_or(Error::Missing)?;
        link.mac.ok_or(Error::NotEthernet)?;
        let mut why_not = Vec::new();
        for mode in modes(context.config.mode) {
            match self.program.attach(link.index, *mode) {
                Ok(()) => {
                    self.attached = Some(Attached {
                        index: link.index,
                        mode: *mode,
                        why_not: why_not.iter().fold(String::new(), |all, why| format!("{all}; {why}")),
                        program_id: self.program.id(),
                        deferral: put_off_interrupts(link, *mode, context),
                        sockets: BTreeMap::new(),
                        told: String::new(),
                    });
                    self.last_problem.clear();
                    return self.update(network, context);
                }
                Err(program::Error::Occupied) => return Err(Error::Occupied(occupant(link))),
                Err(error) => why_not.push(error.to_string()),
            }
        }
        Err(Error::NoMode(why_not.join("; ")))
    }

    /// Has each receive queue served that is not yet. Logs one line that names the mode, and why a better one was not had,
    /// whenever that has changed. Returns whether a queue is left that may be had later.
    pub fn serve_queues(&mut self, network: &Network, context: &Context, servers: &mut dyn Servers) -> bool {
        let (Some(attached), Some(link)) = (&mut self.attached, network.link(&self.name)) else {
            return false;
        };
        attached.sockets.retain(|_, socket| socket.strong_count() > 0);
        let unfit = unfit_for_sockets(link, attached.mode);
        let mut problem = unfit.map(str::to_owned);
        let queues = if unfit.is_none() { queue_count(link) } else { 0 };
        for queue in 0..queues {
            if attached.sockets.contains_key(&queue) {
                continue;
            }
            match serve_queue((link, queue), attached, (&mut self.program, &self.arrivals), context, servers)
            {
                Ok(gauges) => drop(attached.sockets.insert(queue, gauges)),
                // The driver says that there are more queues than can be bound.
                Err(QueueError::Open(error)) if error.raw_os_error() == Some(libc::EINVAL) && queue > 0 => {
                    break;
                }
                Err(error) => drop(problem.get_or_insert_with(|| format!("queue {queue}: {error}"))),
            }
        }
        let sockets = match attached.sockets.values().find_map(Weak::upgrade) {
            None => "connects only".to_owned(),
            Some(socket) => format!("AF_XDP sockets: {}, {}", attached.sockets.len(), socket.bind.label()),
        };
        let lacking = problem.as_ref().map_or_else(String::new, |problem| format!("; {problem}"));
        let line = format!("{} mode, {sockets}{lacking}{}", attached.mode.label(), attached.why_not);
        if attached.told != line {
            tracing::info!("xdp {}: {line}", self.name);
            attached.told = line;
        }
        problem.is_some() && unfit.is_none()
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

    /// Writes the keys of the present time and of the master key. To be called at least once an hour, and whenever that was
    /// swapped: then frames pass to the network stack for some ten milliseconds.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_keys(&mut self, context: &Context) -> Result<(), Error> {
        let slot = slot_at(context.clock.now_ns());
        Ok(self.program.set_keys(keys_at(context.master, slot, context.lifetime_slots))?)
    }

    /// Writes how often client networks may ask.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_rates(&mut self, context: &Context) -> Result<(), Error> {
        Ok(self.program.set_rates(context.rates)?)
    }

    /// Writes what follows from the network, the clock and the keys.
    fn update(&mut self, network: &Network, context: &Context) -> Result<(), Error> {
        let Some(link) = network.link(&self.name) else { return Ok(()) };
        // First, since a program that lacks a key must not be switched on.
        self.set_keys(context)?;
        let settings = Settings {
            clock_base_ns: context.clock.base_ns(),
            enabled: self.enabled.into(),
            lifetime_slots: context.lifetime_slots,
            mac: link.mac.unwrap_or_default(),
            allow_loopback: link.is_loopback.into(),
            ..self.program.settings()
        };
        if settings != self.program.settings() {
            self.program.set_settings(settings)?;
        }
        self.set_banned(context);
        let wanted = self.fitting(destinations(network, link, &context.listeners));
        let (added, removed) = self.program.set_destinations(&wanted)?;
        if added + removed > 0 {
            let (name, all) = (&self.name, wanted.len());
            tracing::info!("xdp {name}: addresses and ports served: {all} ({added} new, {removed} gone)");
        }
        Ok(())
    }

    /// As many destinations as the map holds; the ordinary sockets serve the others.
    fn fitting(&mut self, wanted: HashSet<Destination>) -> HashSet<Destination> {
        let left_out = wanted.len().saturating_sub(MAX_DESTINATIONS as usize);
        if left_out != self.left_out {
            self.left_out = left_out;
            tracing::warn!(
                "xdp {}: {left_out} addresses and ports beyond {MAX_DESTINATIONS} are served by the ordinary sockets",
                self.name
            );
        }
        if left_out == 0 {
            return wanted;
        }
        let mut kept: Vec<Destination> = wanted.into_iter().collect();
        // The same ones each time, so that the map is not rewritten at every look.
        kept.sort_by_key(|destination| bytemuck::cast::<_, [u64; 3]>(*destination));
        kept.truncate(MAX_DESTINATIONS as usize);
        kept.into_iter().collect()
    }

    /// Brings the attachment, the sockets and the maps in step with the network. What cannot be done is logged once, and
    /// tried again at the next call. Returns whether that should be soon.
    pub fn reconcile(&mut self, network: &Network, context: &Context, servers: &mut dyn Servers) -> bool {
        if let Some(why) = self.loss(network) {
            tracing::warn!("xdp {}: {why}; the ordinary sockets serve on", self.name);
            self.release(servers);
        }
        let told = self.last_problem.clone();
        let result = match &self.attached {
            Some(_) => self.update(network, context),
            None => self.attach(network, context),
        };
        if let Err(error) = result {
            let problem = error.to_string();
            if problem != told {
                tracing::warn!("xdp {}: {problem}; trying again", self.name);
            }
            self.last_problem = problem;
        }
        self.serve_queues(network, context, servers)
    }

    /// What ended the attachment, if something has.
    fn loss(&self, network: &Network) -> Option<&'static str> {
        let attached = self.attached.as_ref()?;
        match network.link(&self.name) {
            // Asked once more, since a listing can be cut short.
            None if nix::net::if_::if_nametoindex(self.name.as_str()) == Ok(attached.index) => None,
            None => Some("the interface is gone"),
            Some(link) if link.index != attached.index => Some("the interface was replaced"),
            Some(link) if link.xdp_program != attached.program_id => Some("the program was detached"),
            Some(_) => None,
        }
    }

    /// Detaches, and has its sockets closed.
    fn release(&mut self, servers: &mut dyn Servers) {
        if let Some(index) = self.detach() {
            servers.take_back(index);
        }
    }

    /// Detaches and leaves the sockets to those who serve them. Returns the number of the interface it was attached to.
    pub fn detach(&mut self) -> Option<u32> {
        self.program.detach();
        let attached = self.attached.take()?;
        for socket in attached.sockets.values().filter_map(Weak::upgrade) {
            self.lost_before += socket.lost();
        }
        for queue in attached.sockets.keys() {
            self.program.unset_socket(*queue);
        }
        Some(attached.index)
    }
}

/// What is tried, in this order.
const fn modes(wanted: XdpMode) -> &'static [Mode] {
    match wanted {
        XdpMode::Auto => &[Mode::Native, Mode::Generic],
        XdpMode::Native => &[Mode::Native],
        XdpMode::Generic => &[Mode::Generic],
        XdpMode::Off => &[],
    }
}

/// Why requests on this interface are left to the network stack, where AF_XDP would lose them.
fn unfit_for_sockets(link: &Link, mode: Mode) -> Option<&'static str> {
    if link.is_bond && mode == Mode::Native {
        // The kernel drops a redirect to a socket of another device than the frame's.
        Some("frames of a bond arrive on the interfaces in it: name those")
    } else if link.is_loopback {
        // Without the route that a local sender's frames carry, 127.0.0.0/8 is no source that the stack accepts.
        Some("the network stack takes no frames for loopback addresses from AF_XDP")
    } else {
        None
    }
}

fn queue_count(link: &Link) -> u32 {
    // A driver that does not say has one queue as a rule; a wrong guess is refused by the kernel.
    receive_queues(&link.name).ok().flatten().unwrap_or(1).min(MAX_QUEUES)
}

/// Puts off the interface's interrupts, if workers are to poll it under load and can.
fn put_off_interrupts(link: &Link, mode: Mode, context: &Context) -> Option<Deferral> {
    if context.config.busy_poll != BusyPoll::Auto || mode != Mode::Native || !context.keeps_rights {
        return None;
    }
    let (name, latency) = (&link.name, context.latency);
    let deferral = Deferral::begin(Path::new(INTERFACES), link, PATIENCE)
        .inspect_err(|error| tracing::info!("xdp {name}: workers do not poll under load: {error}"))
        .ok()?;
    if deferral.patience().is_none() {
        tracing::info!(
            "xdp {name}: its gro_flush_timeout is the operator's and stays: udp.latency does not apply"
        );
    } else if !latency.is_zero() {
        tracing::info!("xdp {name}: under load requests gather in the device for up to {latency:?}");
    }
    Some(deferral)
}

/// Opens a socket on a queue, shows it to the program and gives it to a worker. It is in one hand at a time, so whichever
/// step fails, it is closed, and the queue can be had again.
fn serve_queue(
    (link, queue): (&Link, u32),
    attached: &Attached,
    (program, arrivals): (&mut Program, &Arc<Arrivals>),
    context: &Context,
    servers: &mut dyn Servers,
) -> Result<Weak<Gauges>, QueueError> {
    let socket = open_socket(link, queue, attached, arrivals, context)?;
    let gauges = Arc::downgrade(socket.gauges());
    program.set_socket(queue, socket.as_raw_fd())?;
    servers.give(socket, link.is_loopback).then_some(gauges).ok_or(QueueError::Refused)
}

fn open_socket(
    link: &Link,
    queue: u32,
    attached: &Attached,
    arrivals: &Arc<Arrivals>,
    context: &Context,
) -> io::Result<XskSocket> {
    let config = &context.config;
    let patience = attached.deferral.as_ref().and_then(Deferral::patience);
    let gathering = patience.filter(|_| !context.latency.is_zero()).map(|patience| {
        let room = patience.room().min(config.copy_backlog.into());
        Gathering::new(queue, arrivals.clone(), patience.clone(), context.latency, room)
    });
    let options = Options {
        interface_index: link.index,
        queue,
        ring_size: config.ring_size,
        frames: config.frames,
        copy_backlog: config.copy_backlog,
        zero_copy: config.zero_copy == ZeroCopy::Auto && attached.mode == Mode::Native,
        busy_poll: config.busy_poll == BusyPoll::Always || attached.deferral.is_some(),
    };
    Ok(XskSocket::new(&link.name, options)?.gather(gathering))
}

fn socket_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM) => " (needs CAP_NET_RAW)",
        Some(libc::ENOBUFS) => " (locked memory is short: grant CAP_IPC_LOCK, or raise it with `ulimit -l`)",
        Some(libc::EBUSY) => " (the queue has an AF_XDP socket that is still open)",
        _ => "",
    }
}

/// Names the program that is in the way, and what to do.
fn occupant(link: &Link) -> String {
    let id = link.xdp_program.unwrap_or_default();
    let name = aya::programs::loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned))
        .unwrap_or_default();
    format!(
        "another XDP program is on it: {id} `{name}`; stop what attached it (`bpftool link` shows links; one without a link \
         goes by `ip link set dev {interface} xdp off`), or leave the interface out",
        interface = link.name
    )
}
