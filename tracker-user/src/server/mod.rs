//! The life of the tracker: start, reload, drain, stop. Everything that begins or ends is here, in order.

mod cluster;
mod decide;
mod drain;
mod held;
mod premises;
mod rekey;
mod reload;
mod start;
mod start_error;
mod upgrade;

pub use held::Error as HeldError;
pub use rekey::Rekey;
pub use start_error::StartError;

use crate::{
    cli::RunArgs,
    clock::Clock,
    cluster::Cluster,
    config::{Config, ListenAddress},
    control::{self, Control},
    decisions::Keeper,
    handover::successor::Successor,
    http::Http,
    logging::Lines,
    orders::{Order, Reply},
    room::Room,
    swarms::Saver,
    tls::{Tls, acme::Acme},
    udp::pool::Pool,
    xdp::manager::Manager,
};
use decide::Lists;
use premises::Premises;
use sd_notify::NotifyState;
use std::{
    fmt, io,
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
};
use tracker_core::engine::Engine;
use upgrade::{Event, Giving, Started};

/// A running tracker.
#[derive(Debug)]
pub struct Server {
    args: RunArgs,
    config: Config,
    engine: Arc<Engine>,
    clock: Clock,
    addresses: Addresses,
    log: Arc<Lines>,
    room: Room,
    /// What the operator's files say, and what was decided beside them.
    lists: Lists,
    decisions: Keeper,
    saver: Saver,
    /// Where this is a node of one.
    cluster: Option<Arc<Cluster>>,
    ended: mpsc::UnboundedReceiver<String>,
    /// Kept up to date for the sweep.
    running_config: watch::Sender<Config>,
    signals: Signals,
    orders: mpsc::Receiver<Order>,
    tls: Option<Arc<Tls>>,
    acme: Option<Acme>,
    // In the order in which they go: frames to the network stack, then HTTP and the workers, then the runtime.
    xdp: Option<Manager>,
    http: Http,
    control: Option<Control>,
    pool: Pool,
    /// What is handed over to a process that takes over.
    premises: Premises,
    /// How such a process is started.
    successor: Result<Successor, String>,
    started: Option<Started>,
    giving: Option<Giving>,
    events: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
    /// What still comes from the process that this one took over from.
    last: Option<UnixStream>,
    runtime: Runtime,
}

/// Where the tracker listens, ports filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// UDP.
    pub udp: Vec<SocketAddr>,
    /// HTTP and WebSocket.
    pub http: Vec<ListenAddress>,
    /// The same with TLS.
    pub https: Vec<ListenAddress>,
    /// Metrics.
    pub metrics: Option<SocketAddr>,
    /// The control socket.
    pub control: Option<PathBuf>,
}

impl Addresses {
    /// As texts, for whoever asks at the control socket of this path.
    fn told(&self, control: &Path) -> control::Listeners {
        fn texts(addresses: &[impl ToString]) -> Vec<String> {
            addresses.iter().map(ToString::to_string).collect()
        }
        control::Listeners {
            udp: texts(&self.udp),
            http: texts(&self.http),
            https: texts(&self.https),
            metrics: self.metrics.map(|address| address.to_string()),
            control: control.display().to_string(),
        }
    }

    /// A line for each.
    fn log(&self) {
        let tcp = |addresses: &[ListenAddress]| -> Vec<SocketAddr> {
            let tcp = |address: &ListenAddress| match address {
                ListenAddress::Tcp(address) => Some(*address),
                ListenAddress::Unix(_) => None,
            };
            addresses.iter().filter_map(tcp).collect()
        };
        for address in &self.udp {
            tracing::info!("udp listens on {address}{}", lacks_ipv4(*address, &self.udp));
        }
        for (protocol, addresses) in [("http", &self.http), ("https", &self.https)] {
            let all = tcp(addresses);
            for address in addresses {
                let note = match address {
                    ListenAddress::Tcp(address) => lacks_ipv4(*address, &all),
                    ListenAddress::Unix(_) => String::new(),
                };
                tracing::info!("{protocol} listens on {address}{note}");
            }
        }
        if let Some(address) = self.metrics {
            tracing::info!("metrics are served on http://{address}/metrics");
        }
        if let Some(path) = &self.control {
            tracing::info!("control listens on unix:{}", path.display());
        }
    }
}

/// What is to be said of `[::]` where no listener among `all` takes IPv4: elsewhere such an address often takes both.
fn lacks_ipv4(address: SocketAddr, all: &[SocketAddr]) -> String {
    let alone = address.is_ipv6() && address.ip().is_unspecified() && !all.iter().any(SocketAddr::is_ipv4);
    match alone {
        true => format!(", for IPv6 alone: IPv4 has no listener, 0.0.0.0:{} would be one", address.port()),
        false => String::new(),
    }
}

impl fmt::Display for Addresses {
    /// What clients are served on, as in `udp on 192.0.2.1:6969; http on 192.0.2.1:6969`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let mut add = |name: &str, addresses: Vec<String>| {
            if !addresses.is_empty() {
                parts.push(format!("{name} on {}", addresses.join(", ")));
            }
        };
        add("udp", self.udp.iter().map(ToString::to_string).collect());
        add("http", self.http.iter().map(ToString::to_string).collect());
        add("https", self.https.iter().map(ToString::to_string).collect());
        f.write_str(&parts.join("; "))
    }
}

#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user2: Signal,
}

/// How a running tracker came to its end.
#[derive(Debug)]
enum End {
    Asked,
    ThreadEnded(String),
    /// Another process serves.
    Left,
}

/// What the main loop hears.
#[derive(Debug)]
enum Heard {
    Order(Order),
    Handover(Event),
    End(End),
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The way to swap the master key of connection IDs from any thread.
    #[must_use]
    pub fn rekey(&self) -> Rekey {
        self.premises.rekey.clone()
    }

    /// Says on the log, and to systemd, that the tracker serves. Where it took over from another process, systemd is told that
    /// this is the one to look after now.
    pub fn announce_ready(&self) {
        tracing::info!("ready: serving {}", self.addresses);
        let mut news = vec![NotifyState::Ready];
        if self.args.take_over {
            news.insert(0, NotifyState::MainPid(std::process::id()));
        }
        if let Err(error) = sd_notify::notify(&news) {
            tracing::debug!(%error, "telling systemd");
        }
    }

    /// Serves until asked to stop, until another process has taken over, or until a thread that should not has ended; then
    /// drains.
    ///
    /// # Errors
    /// Names what failed.
    pub fn run(mut self) -> Result<(), RunError> {
        let end = loop {
            let Self { runtime, signals, ended, orders, events, .. } = &mut self;
            let heard = runtime.block_on(async {
                tokio::select! {
                    _ = signals.hangup.recv() => Heard::Order(Order::Reload(Reply::to_nobody())),
                    _ = signals.user2.recv() => Heard::Order(Order::Upgrade(Reply::to_nobody())),
                    Some(order) = orders.recv() => Heard::Order(order),
                    _ = signals.terminate.recv() => Heard::End(End::Asked),
                    _ = signals.interrupt.recv() => Heard::End(End::Asked),
                    Some(event) = events.1.recv() => Heard::Handover(event),
                    Some(thread) = ended.recv() => Heard::End(End::ThreadEnded(thread)),
                }
            });
            match heard {
                Heard::Order(order) => self.obey(order),
                Heard::Handover(event) => {
                    if self.heard(event) {
                        break End::Left;
                    }
                }
                Heard::End(end) => break end,
            }
        };
        let mut problems = self.drain(matches!(end, End::Left));
        if let End::ThreadEnded(thread) = end
            && problems.is_empty()
        {
            problems.push(format!("{thread} ended by itself"));
        }
        if problems.is_empty() { Ok(()) } else { Err(RunError(problems)) }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Reload(reply) => reply.send(self.reload()),
            Order::Upgrade(reply) => self.upgrade(reply),
            Order::Decide(entry, holds, reply) => reply.send(self.decide(entry, holds)),
            Order::Merge(by, verdicts) => self.merge(&by, verdicts),
            Order::List(kind, reply) => reply.send(self.list(kind)),
            Order::HandOver(stream, said) => self.hand_over(stream, said),
        }
    }
}

/// What failed while running.
#[derive(Debug, thiserror::Error)]
#[error("stopped, because {}; this is a fault in the program: please report it, start it again", .0.join("; "))]
pub struct RunError(Vec<String>);

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }
}
