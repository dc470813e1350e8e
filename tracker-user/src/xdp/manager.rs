//! Keeps every interface's program attached and in step with the network, from a thread of its own.

use super::{
    interface::{Context, Error, Interface, Report},
    log,
    network::{self, Netlink, Network},
};
use crate::{config::XdpMode, udp::worker::Handle};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// How often everything is looked at even if nothing was heard: keys go on with time, routes and foreign programs come
/// and go without a message.
const INTERVAL: Duration = Duration::from_secs(10);

/// XDP was asked for by name and is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The network is unknown.
    #[error(transparent)]
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
    /// No runtime or thread.
    #[error("xdp: {0}")]
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
    context: Context,
    reports: Reports,
}

/// Loads and attaches. With `auto`, an interface that cannot be served is named in a line and left to the ordinary
/// sockets.
///
/// # Errors
/// When a mode asked for by name is not to be had.
pub fn prepare(context: Context) -> Result<Prepared, StartError> {
    let reports = Reports::default();
    let mut interfaces = Vec::new();
    if context.config.mode != XdpMode::Off && !context.config.interfaces.is_empty() {
        let network = runtime()?.block_on(async { Netlink::open()?.snapshot().await })?;
        for name in &context.config.interfaces {
            let loaded = Interface::load(name, &context);
            let result = loaded.and_then(|mut interface| {
                let attached = interface.attach(&network, &context);
                interfaces.push(interface);
                attached
            });
            match (result, context.config.mode) {
                (Ok(()), _) => {}
                (Err(source), XdpMode::Auto) => tracing::warn!("xdp {name}: sockets only: {source}"),
                (Err(source), mode) => {
                    let mode = if mode == XdpMode::Native { "native" } else { "generic" };
                    return Err(StartError::Interface { interface: name.clone(), mode, source });
                }
            }
        }
    }
    reports.write(&interfaces);
    Ok(Prepared { interfaces, context, reports })
}

/// The way to tell a running manager something.
#[derive(Debug)]
pub struct Manager {
    stop: mpsc::UnboundedSender<oneshot::Sender<()>>,
    thread: thread::JoinHandle<()>,
}

impl Prepared {
    /// What metrics read.
    #[must_use]
    pub fn reports(&self) -> Reports {
        self.reports.clone()
    }

    /// Gives the sockets to the workers, switches the programs on, and follows the network from then on.
    ///
    /// `None` where there is nothing to keep.
    ///
    /// # Errors
    /// When the thread cannot be had, or a program not be switched on.
    pub fn run(mut self, workers: Vec<Handle>) -> Result<Option<Manager>, StartError> {
        if self.interfaces.is_empty() {
            return Ok(None);
        }
        let mut next = 0;
        for interface in &mut self.interfaces {
            interface.hand_over(&workers, &mut next);
            interface.set_enabled(true).map_err(|source| StartError::Interface {
                interface: interface.name().to_owned(),
                mode: "any",
                source,
            })?;
        }
        self.reports.write(&self.interfaces);
        let (stop, stopped) = mpsc::unbounded_channel();
        let runtime = runtime()?;
        let thread = thread::Builder::new()
            .name("riptide-xdp".into())
            .spawn(move || runtime.block_on(follow(self, workers, next, stopped)))?;
        Ok(Some(Manager { stop, thread }))
    }
}

impl Manager {
    /// Switches every program off and detaches it. Returns when frames go to the network stack again.
    pub async fn stop(self) {
        let (done, finished) = oneshot::channel();
        if self.stop.send(done).is_ok() {
            let _ = finished.await;
        }
        if self.thread.join().is_err() {
            tracing::error!("the thread riptide-xdp panicked");
        }
    }
}

async fn follow(
    prepared: Prepared,
    workers: Vec<Handle>,
    mut next: usize,
    mut stopped: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
) {
    let Prepared { mut interfaces, context, reports } = prepared;
    if context.config.log {
        for interface in &mut interfaces {
            log::follow(interface);
        }
    }
    let mut netlink = None;
    let mut tick = tokio::time::interval(INTERVAL);
    loop {
        if netlink.is_none() {
            netlink = Netlink::open().inspect_err(|error| tracing::warn!("xdp: {error}")).ok();
        }
        tokio::select! {
            done = stopped.recv() => {
                for interface in &mut interfaces {
                    if let Err(error) = interface.set_enabled(false) {
                        tracing::warn!("xdp {}: {error}", interface.name());
                    }
                    interface.release(&[]);
                }
                reports.write(&interfaces);
                if let Some(done) = done {
                    let _ = done.send(());
                }
                return;
            }
            _ = tick.tick() => {}
            alive = changed(&mut netlink) => if !alive {
                netlink = None;
                continue;
            },
        }
        let Some(network) = snapshot(netlink.as_ref()).await else { continue };
        for interface in &mut interfaces {
            interface.reconcile(&network, &context, &workers, &mut next);
        }
        reports.write(&interfaces);
    }
}

async fn changed(netlink: &mut Option<Netlink>) -> bool {
    match netlink {
        Some(netlink) => netlink.changed().await,
        None => std::future::pending().await,
    }
}

async fn snapshot(netlink: Option<&Netlink>) -> Option<Network> {
    netlink?.snapshot().await.inspect_err(|error| tracing::warn!("xdp: {error}")).ok()
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
