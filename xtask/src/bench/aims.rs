//! The ratios that Riptide is to reach: each row of the table, with the floor that the design must give and the goal.

/// One row of the table before anything is measured.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Aim {
    /// The subject of `cargo xtask bench` that measures it.
    pub(crate) subject: &'static str,
    /// What is measured.
    pub(crate) name: &'static str,
    /// What it is compared with; empty for a figure that stands by itself.
    pub(crate) against: &'static str,
    /// Unit of both sides, as [`crate::bench::figures::amount`] writes it.
    pub(crate) unit: &'static str,
    /// The ratio, or the figure if it stands by itself, that the design must give.
    pub(crate) floor: f64,
    /// The one that we came for.
    pub(crate) goal: f64,
}

impl Aim {
    /// Of a cost, where the goal is below the floor.
    pub(crate) fn less_is_better(&self) -> bool {
        self.goal < self.floor
    }

    /// Whether its figure stands by itself; floor and goal are then figures too.
    pub(crate) fn is_alone(&self) -> bool {
        self.against.is_empty()
    }
}

/// A row; a goal below its floor says that less is better.
pub(crate) const fn aim(
    subject: &'static str,
    name: &'static str,
    against: &'static str,
    unit: &'static str,
    floor: f64,
    goal: f64,
) -> Aim {
    Aim { subject, name, against, unit, floor, goal }
}

const AQUATIC: &str = "aquatic_udp io_uring";
/// Of what is served while the tracker's core works.
const BUSY: &str = "responses/busy s";
const CPU: &str = "CPU s";
const PER_CORE: &str = "% of a core";

/// Equal rates that trackers of every size see, requests a second.
pub(crate) const RATES: [u32; 4] = [25_000, 50_000, 100_000, 200_000];

/// CPU seconds for a million responses at each of the [`RATES`].
#[rustfmt::skip]
pub(crate) const MIX_XDP_AT: [Aim; 4] = [
    aim("udp", "UDP mix, XDP native, CPU per million at 25,000/s offered", AQUATIC, CPU, 0.35, 0.25),
    aim("udp", "UDP mix, XDP native, CPU per million at 50,000/s offered", AQUATIC, CPU, 0.35, 0.25),
    aim("udp", "UDP mix, XDP native, CPU per million at 100,000/s offered", AQUATIC, CPU, 0.3, 0.2),
    aim("udp", "UDP mix, XDP native, CPU per million at 200,000/s offered", AQUATIC, CPU, 0.3, 0.2),
];
#[rustfmt::skip]
pub(crate) const MIX_SOCKETS_AT: [Aim; 4] = [
    aim("udp", "UDP mix, sockets only (no XDP at all), CPU per million at 25,000/s offered", AQUATIC, CPU, 0.6, 0.5),
    aim("udp", "UDP mix, sockets only (no XDP at all), CPU per million at 50,000/s offered", AQUATIC, CPU, 0.6, 0.5),
    aim("udp", "UDP mix, sockets only (no XDP at all), CPU per million at 100,000/s offered", AQUATIC, CPU, 0.6, 0.5),
    aim("udp", "UDP mix, sockets only (no XDP at all), CPU per million at 200,000/s offered", AQUATIC, CPU, 0.6, 0.5),
];

macro_rules! aims {
    ($($name:ident = $aim:expr;)*) => {
        $(pub(crate) const $name: Aim = $aim;)*
        /// Those that are not at equal rates, in the order in which they are told.
        const OTHERS: &[Aim] = &[$($name),*];
    };
}

#[rustfmt::skip]
aims! {
    MIX_XDP = aim("udp", "UDP mix, XDP native, requests per busy second at the highest rate served", AQUATIC, BUSY, 4.0, 6.0);
    CONNECT = aim("udp", "UDP connect, CPU", "aquatic_udp io_uring, connect only", CPU, 1.0 / 14.0, 1.0 / 20.0);
    ANNOUNCE = aim("udp", "UDP announce only, AF_XDP, CPU", "aquatic_udp io_uring, announce only", CPU, 1.0 / 3.0, 1.0 / 4.0);
    ANNOUNCE_ECHO = aim("udp", "UDP announce only, AF_XDP", "a do-nothing AF_XDP echo of equal frame sizes, same rings", BUSY, 0.7, 0.8);
    MIX_SOCKETS_ECHO = aim("udp", "UDP mix, sockets only", "a do-nothing recvmmsg/sendmmsg echo", BUSY, 0.8, 0.9);
    XDP_VERDICT = aim("udp", "XDP program, any verdict, by test-run", "", "ns", 150.0, 100.0);
    EXPIRY = aim("udp", "p99.9 latency while 1 M peers expire", "p99.9 without expiry", "s", 3.0, 2.0);
    FLOOD = aim("udp", "UDP mix, XDP native, requests unanswered at 50,000/s beside nineteen forged announces for each", "", "%", 1.0, 0.5);
    LOUD = aim("udp", "UDP mix, XDP native, p99 at 50,000/s beside one client that announces 100,000 times a second, with a limit of 100", "p99 without that client", "s", 1.2, 1.1);
    IDLE_EMPTY = aim("udp", "idle, no peers", "", PER_CORE, 0.5, 0.2);
    IDLE_FULL = aim("udp", "idle, 2 M peers", "", PER_CORE, 0.5, 0.2);
    MEMORY_FULL = aim("udp", "memory at 1 M torrents, 2 M peers, all announced", "aquatic_udp", "bytes", 0.35, 0.25);
    HTTP_AQUATIC = aim("http", "HTTP announce, plain, keep-alive", "aquatic_http", "responses/s", 6.0, 8.0);
    HTTP_ROUTE = aim("http", "HTTP announce, plain, keep-alive", "a do-nothing axum route with an equal reply", "responses/s", 0.85, 0.95);
    WS_AQUATIC = aim("ws", "WebTorrent announces with offers, TLS", "aquatic_ws", "announces/s", 2.5, 4.0);
    MEMORY_WEBSOCKET = aim("ws", "memory, idle plain WebSocket peer", "", "bytes", 12_000.0, 8_000.0);
    HOLD_SWARM = aim("engine", "longest hold of a shard's lock, one swarm growing to 1 M peers and expiring", "", "µs", 500.0, 200.0);
    HOLD_SHARD = aim("engine", "longest hold of a shard's lock, a shard growing to 100,000 torrents", "", "µs", 500.0, 200.0);
    HOLD_WALK = aim("engine", "longest hold of a shard's lock while 2 M peers are written down, one swarm of 1 M among them", "", "µs", 500.0, 200.0);
    ENGINE_BATCHED = aim("engine", "engine announce, one thread, 1 M torrents and 2 M peers, 30 wanted, batched", "the same engine called one by one", "announces/s", 1.2, 1.5);
    ENGINE_GROWTH = aim("engine", "engine announce, 10 M torrents", "the same at 10 k torrents", "ns", 4.0, 2.5);
    ENGINE_THREADS = aim("engine", "engine announce, two threads, skewed (Zipf 1.0) hashes", "one thread", "announces/s", 1.6, 1.8);
    MEMORY_PEER = aim("engine", "memory, IPv4 peer in a swarm of 1,000, all in", "", "bytes", 16.0, 12.0);
    MEMORY_TORRENT = aim("engine", "memory, torrent with one IPv4 peer, all in", "", "bytes", 140.0, 100.0);
    SAVING = aim("state", "p99.9 latency of announces while 2 M peers are saved, at half the served rate", "p99.9 without saving", "s", 2.0, 1.5);
    HANDOVER = aim("state", "p99.9 latency of announces while another process takes 2 M peers over, at half the served rate", "", "s", 0.2, 0.05);
    HANDOVER_LOSS = aim("state", "unanswered announces of that hand-over", "", "%", 0.01, 0.0);
    SAVE_MEMORY = aim("state", "memory that saving 2 M peers takes", "", "bytes", 32.0 * 1_048_576.0, 8.0 * 1_048_576.0);
    SAVE_BYTES = aim("state", "saved file, 2 M IPv4 peers in 1 M torrents, a peer", "", "bytes", 24.0, 21.0);
    RESTORE = aim("state", "restoring 2 M peers in 1 M torrents", "", "s", 4.0, 2.0);
    RESTORE_GROWTH = aim("state", "restoring 20 M peers in 10 M torrents", "ten times 2 M peers in 1 M torrents", "s", 2.0, 1.5);
    CLUSTER_COST = aim("cluster", "UDP announces at half the served rate, one of three nodes of a cluster, CPU", "the same tracker alone", CPU, 1.15, 1.05);
    CLUSTER_BYTES = aim("cluster", "told to each other node for an announce, while peers come, stay and go", "", "bytes", 64.0, 40.0);
    CLUSTER_STAYING = aim("cluster", "told to each other node for an announce of a peer that stays", "", "bytes", 10.0, 5.0);
    CLUSTER_PROPAGATION = aim("cluster", "p99 from the answer to an announce until another node tells of the peer, at 50,000 announces a second", "", "s", 0.5, 0.3);
    CLUSTER_APPLYING = aim("cluster", "records of another node taken in a second, one thread, 1 M torrents", "", "records/s", 2e6, 4e6);
    CLUSTER_JOINING = aim("cluster", "an empty node joins with 2 M peers, from its start until it is ready", "", "s", 10.0, 5.0);
    CLUSTER_DONOR = aim("cluster", "p99.9 latency of announces while another node gets 2 M peers, at half the served rate", "p99.9 before", "s", 1.5, 1.2);
    SOAK_MEMORY = aim("soak", "soak: memory, highest", "its median", "bytes", 1.1, 1.03);
    SOAK_LATENCY = aim("soak", "soak: p99.9 of a window, highest", "its median", "s", 3.0, 2.0);
    SOAK_LOSS = aim("soak", "soak: unanswered requests", "", "%", 0.5, 0.1);
}

/// Every row of some subjects, in the order in which they are told.
pub(crate) fn of<'a>(subjects: &'a [String]) -> impl Iterator<Item = &'static Aim> + 'a {
    let all = MIX_XDP_AT.iter().chain(&MIX_SOCKETS_AT).chain(OTHERS);
    all.filter(|aim| subjects.iter().any(|subject| subject == aim.subject))
}
