//! Keeps every interface's program attached and in step with the network, from a thread of its own.

use super::{
    interface::{Context, Error, Inherited, Interface, Report},
    log,
    network::{self, Netlink, Network},
    servers::Servers,
};
use crate::{config::XdpMode, farewell::Farewell};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracker_common::{maps::LIMITED_KINDS, rate::Rate, siphash::Key};
use tracker_core::banned::Banned;

/// The manager's thread.
const THREAD: &str = "riptide-xdp";
/// How often everything is looked at even if nothing was heard: keys go on with time, routes, queues and foreign programs
/// come and go without a message.
const INTERVAL: Duration = Duration::from_secs(10);
/// The same while something could not be had that may be had soon: the kernel frees a queue some time after its socket.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// How long a start waits for queues that another process has let go of, and how often it tries; the ordinary sockets serve
/// meanwhile.
const QUEUES_FREED: Duration = Duration::from_secs(2);
const BETWEEN_BINDS: Duration = Duration::from_millis(10);
/// How long the kernel may take to tell of the network.
const NETLINK_DEADLINE: Duration = Duration::from_secs(5);

/// XDP was asked for by name and is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The network is unknown.
    #[error("xdp: {0}; XDP has to know the host's addresses: choose `--xdp off` to go on without")]
    Network(#[from] network::Error),
    /// An interface cannot be served so.
    #[error("xdp {interface}: {mode} mode is not to be had: {source}; choose `--xdp auto` to go on without")]
    Interface {
        /// Its name.
        interface: String,
        /// The mode asked for.
        mode: &'static str,
        /// Why.
        source: Error,
    },
    /// A program could not be switched on.
    #[error("xdp {interface}: the program cannot be switched on: {source}")]
    SwitchOn {
        /// Its name.
        interface: String,
        /// Why.
        source: Error,
    },
    /// No runtime or thread.
    #[error("xdp: the system refused a thread: {0}")]
    System(#[from] io::Error),
}

/// What metrics read: kept up to date by the manager.
#[derive(Clone, Debug, Default)]
pub struct Reports(Arc<Mutex<Vec<Report>>>);

impl Reports {
    /// One report per interface whose program is loaded.
    #[must_use]
    pub fn read(&self) -> Vec<Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write(&self, interfaces: &[Interface]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            interfaces.iter().map(Interface::report).collect();
    }
}

/// Interfaces with their programs attached, switched off: what start-up makes while it still has all its rights.
#[derive(Debug)]
pub struct Prepared {
    interfaces: Vec<Interface>,
    network: Network,
    context: Context,
    reports: Reports,
}

/// Loads and attaches. With `auto`, an interface that cannot be served is named in a line and left to the ordinary
/// sockets. Where another process's program is among `inherited`, this one is to take its place; until then it is attached
/// to nothing. Those of interfaces that are not wanted stay in `inherited`.
///
/// # Errors
/// When a mode asked for by name is not to be had.
pub fn prepare(context: Context, inherited: &mut Vec<Inherited>) -> Result<Prepared, StartError> {
    let mut interfaces = Vec::new();
    let mut network = None;
    let mode = context.config.mode;
    if mode != XdpMode::Off && !context.config.interfaces.is_empty() {
        let seen = runtime()?.block_on(async { look(&Netlink::open()?).await });
        network = match (seen, mode) {
            (Ok(network), _) => Some(network),
            (Err(error), XdpMode::Auto) => {
                tracing::warn!("xdp: {error}; sockets only, until the host's addresses are known");
                None
            }
            (Err(error), _) => return Err(error.into()),
        };
        for name in &context.config.interfaces {
            let result = Interface::load(name, &context).and_then(|mut interface| {
                let waits = inherit(&mut interface, inherited, &context);
                let attached = match &network {
                    Some(network) if !waits => interface.attach(network, &context),
                    _ => Ok(()),
                };
                interfaces.push(interface);
                attached
            });
            match (result, mode) {
                (Ok(()), _) => {}
                (Err(source), XdpMode::Auto) => tracing::warn!("xdp {name}: sockets only: {source}"),
                (Err(source), mode) => {
                    let mode = if mode == XdpMode::Native { "native" } else { "generic" };
                    return Err(StartError::Interface { interface: name.clone(), mode, source });
                }
            }
        }
    }
    let reports = Reports::default();
    reports.write(&interfaces);
    Ok(Prepared { interfaces, network: network.unwrap_or_default(), context, reports })
}

/// Whether the interface has to wait for another process: to take the place of its program, or until that is gone.
fn inherit(interface: &mut Interface, inherited: &mut Vec<Inherited>, context: &Context) -> bool {
    let is_its = |inherited: &mut Inherited| inherited.interface == interface.name();
    let Some(found) = inherited.extract_if(.., is_its).next() else { return false };
    let (name, mode) = (found.interface.clone(), found.mode.label());
    if !interface.inherit(found, context) {
        tracing::info!("xdp {name}: another mode than {mode} is had once the process before is gone");
    }
    true
}

/// What a running manager is told.
#[derive(Debug)]
enum Order {
    /// Switch everything off and detach.
    Stop(oneshot::Sender<()>),
    /// Say what the programs hang on.
    Share(oneshot::Sender<io::Result<Vec<Inherited>>>),
    /// Leave the interfaces to another process, sockets closed.
    Lend(oneshot::Sender<()>),
    /// Have them again.
    Reclaim,
    /// Have client networks ask so often at most.
    Limit([Rate; LIMITED_KINDS], oneshot::Sender<()>),
    /// Drop what comes from these networks, and from no others.
    Ban(Banned, oneshot::Sender<()>),
    /// Issue and check connection IDs by this master key.
    Rekey(Key),
}

/// The way to tell a running manager something.
#[derive(Debug)]
pub struct Manager {
    lending: Lending,
    thread: thread::JoinHandle<()>,
}

/// The way to have the interfaces left to another process.
#[derive(Clone, Debug)]
pub struct Lending(mpsc::UnboundedSender<Order>);

impl Lending {
    /// What the programs hang on, by further descriptors.
    ///
    /// # Errors
    /// When descriptors are short.
    pub fn share(&self) -> io::Result<Vec<Inherited>> {
        self.ask(Order::Share).unwrap_or_else(|| Ok(Vec::new()))
    }

    /// Has all frames but connects pass to the ordinary sockets, and the AF_XDP sockets closed once they have answered what
    /// they had received. From then on nothing is done on the interfaces but that keys go on.
    pub fn lend(&self) {
        let _ended = self.ask(Order::Lend);
    }

    /// Has the interfaces served again.
    pub fn reclaim(&self) {
        let _ended = self.0.send(Order::Reclaim);
    }

    /// Has client networks ask so often at most, from when this returns.
    pub fn limit(&self, rates: [Rate; LIMITED_KINDS]) {
        let _ended = self.ask(|done| Order::Limit(rates, done));
    }

    /// Has the programs drop what comes from these networks, and from no others. What is returned hears when they do.
    pub fn ban(&self, banned: Banned) -> oneshot::Receiver<()> {
        let (done, finished) = oneshot::channel();
        // Who has ended drops nothing any more, and says so by dropping this.
        let _ended = self.0.send(Order::Ban(banned, done));
        finished
    }

    /// Has the programs issue and check connection IDs by this master key, soon after this returns.
    pub fn rekey(&self, master: Key) {
        // Who has ended issues none any more.
        let _ended = self.0.send(Order::Rekey(master));
    }

    /// Not to be called within a runtime.
    fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        let (done, finished) = oneshot::channel();
        self.0.send(order(done)).ok()?;
        finished.blocking_recv().ok()
    }
}

impl Prepared {
    /// What metrics read.
    #[must_use]
    pub fn reports(&self) -> Reports {
        self.reports.clone()
    }

    /// The networks from which nothing is to be let through, from now on.
    pub fn ban(&mut self, banned: Banned) {
        self.context.banned = banned;
        for interface in &mut self.interfaces {
            interface.set_banned(&self.context);
        }
    }

    /// Connection IDs are issued and checked by this master key, from now on.
    pub fn rekey(&mut self, master: Key) {
        self.context.master = master;
        self.set_keys();
    }

    fn set_keys(&mut self) {
        for interface in &mut self.interfaces {
            if let Err(error) = interface.set_keys(&self.context) {
                tracing::warn!("xdp {}: {error}", interface.name());
            }
        }
    }

    /// Whether there is a program to look after.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.interfaces.is_empty()
    }

    /// Opens sockets and gives them to those who serve them, switches the programs on, and follows the network from then on.
    /// `None` where there is nothing to look after. `ended` hears when the thread that does so is no more.
    ///
    /// # Errors
    /// When the thread cannot be had, or a program not be switched on that was asked for by name.
    pub fn run(
        mut self,
        mut servers: impl Servers + Send + 'static,
        ended: &mpsc::UnboundedSender<String>,
    ) -> Result<Option<Manager>, StartError> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut taken = false;
        for interface in &mut self.interfaces {
            match interface.take_place(&self.network, &self.context) {
                Ok(had) => taken |= had,
                Err(error) => tracing::warn!("xdp {}: {error}; trying again", interface.name()),
            }
        }
        let begun = Instant::now();
        let soon = loop {
            let soon = self.serve_queues(&mut servers);
            // The sockets of the process before are closed, but the kernel frees their queues some time after.
            if !soon || !taken || begun.elapsed() > QUEUES_FREED {
                break soon;
            }
            thread::sleep(BETWEEN_BINDS);
        };
        for interface in &mut self.interfaces {
            match interface.set_enabled(true) {
                Ok(()) => {}
                Err(source) if self.context.config.mode == XdpMode::Auto => {
                    tracing::warn!("xdp {}: sockets only: {source}", interface.name());
                }
                Err(source) => {
                    return Err(StartError::SwitchOn { interface: interface.name().to_owned(), source });
                }
            }
        }
        self.reports.write(&self.interfaces);
        let (orders, heard) = mpsc::unbounded_channel();
        let runtime = runtime()?;
        let farewell = Farewell::new(THREAD, ended.clone());
        let thread = thread::Builder::new().name(THREAD.into()).spawn(move || {
            let _farewell = farewell;
            runtime.block_on(self.follow(servers, soon, heard));
        })?;
        Ok(Some(Manager { lending: Lending(orders), thread }))
    }

    async fn follow(
        mut self,
        mut servers: impl Servers,
        mut soon: bool,
        mut orders: mpsc::UnboundedReceiver<Order>,
    ) {
        if self.context.config.log {
            self.interfaces.iter_mut().for_each(log::follow);
        }
        let mut netlink = None;
        let mut lent = false;
        loop {
            if netlink.is_none() {
                netlink = Netlink::open().inspect_err(|error| tracing::warn!("xdp: {error}")).ok();
            }
            tokio::select! {
                order = orders.recv() => match order {
                    None => return self.stop(),
                    Some(Order::Stop(done)) => {
                        self.stop();
                        let _ = done.send(());
                        return;
                    }
                    Some(Order::Share(shared)) => {
                        let shares = self.interfaces.iter().map(Interface::share);
                        let _ = shared.send(shares.filter_map(Result::transpose).collect());
                        continue;
                    }
                    Some(Order::Lend(done)) => {
                        lent = true;
                        self.interfaces.iter_mut().for_each(|interface| interface.lend(&mut servers));
                        self.reports.write(&self.interfaces);
                        let _ = done.send(());
                        continue;
                    }
                    Some(Order::Ban(banned, done)) => {
                        // While they are another process's, that one has its own.
                        match lent {
                            true => self.context.banned = banned,
                            false => self.ban(banned),
                        }
                        let _ = done.send(());
                        continue;
                    }
                    Some(Order::Rekey(master)) => self.context.master = master,
                    Some(Order::Reclaim) => {
                        lent = false;
                        for interface in &mut self.interfaces {
                            interface.reclaim(&self.network, &self.context);
                        }
                    }
                    Some(Order::Limit(rates, done)) => {
                        self.context.rates.rates = rates;
                        for interface in &mut self.interfaces {
                            if let Err(error) = interface.set_rates(&self.context) {
                                tracing::warn!("xdp {}: limits stay as they were: {error}", interface.name());
                            }
                        }
                        let _ = done.send(());
                        continue;
                    }
                },
                () = tokio::time::sleep(if soon { RETRY_INTERVAL } else { INTERVAL }) => {}
                alive = changed(&mut netlink) => if !alive {
                    netlink = None;
                },
            }
            // Whatever becomes of the network, the kernel must not be left with old keys.
            self.set_keys();
            let Some(known) = netlink.as_ref().filter(|_| !lent) else { continue };
            match look(known).await {
                Ok(network) => self.network = network,
                Err(error) => {
                    tracing::warn!("xdp: {error}");
                    netlink = None;
                    continue;
                }
            }
            soon = false;
            for interface in &mut self.interfaces {
                soon |= interface.reconcile(&self.network, &self.context, &mut servers);
            }
            self.reports.write(&self.interfaces);
        }
    }

    /// Has each receive queue served that can be. Whether one is left that may be had later.
    fn serve_queues(&mut self, servers: &mut impl Servers) -> bool {
        let Self { interfaces, network, context, .. } = self;
        let serve = |interface: &mut Interface| interface.serve_queues(network, context, servers);
        interfaces.iter_mut().map(serve).fold(false, |soon, more| soon | more)
    }

    /// Every frame goes to the network stack from here on.
    fn stop(&mut self) {
        for interface in &mut self.interfaces {
            if let Err(error) = interface.set_enabled(false) {
                tracing::warn!("xdp {}: {error}", interface.name());
            }
            // What has arrived for the workers they still answer, so their sockets stay with them.
            interface.detach();
        }
        self.reports.write(&self.interfaces);
    }
}

impl Manager {
    /// The way to have the interfaces left to another process.
    #[must_use]
    pub fn lending(&self) -> Lending {
        self.lending.clone()
    }

    /// Switches every program off and detaches it. Returns when frames go to the network stack again.
    pub async fn stop(self) {
        let (done, finished) = oneshot::channel();
        if self.lending.0.send(Order::Stop(done)).is_ok() {
            let _ = finished.await;
        }
        if self.thread.join().is_err() {
            tracing::error!("the thread {THREAD} panicked");
        }
    }
}

async fn changed(netlink: &mut Option<Netlink>) -> bool {
    match netlink {
        Some(netlink) => netlink.changed().await,
        None => std::future::pending().await,
    }
}

async fn look(netlink: &Netlink) -> Result<Network, network::Error> {
    timeout(NETLINK_DEADLINE, netlink.snapshot()).await.unwrap_or(Err(network::Error::Silent))
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
