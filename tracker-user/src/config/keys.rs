//! The declaration of every key: the one place where a key is added or changed. The types in [`super::Config`], the
//! file that `riptide config default` prints, `docs/configuration.md` and the checks all follow from it.

use super::{
    declare::{Change, Key, Table, declare},
    kinds::{
        Count, Limit, Listeners, Many, Optional, Required, Size, Span, Switch, Threads, Word, absolute_path,
        account, any_path, interface_name, log_filter, network, socket_address,
    },
    values::{AccessMode, Apply, Listen, LogFormat, XdpMode, ZeroCopy},
};
use ipnet::IpNet;
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The port of the built-in listeners.
const PORT: u16 = 6969;

fn default_listeners() -> [SocketAddr; 2] {
    [(Ipv4Addr::UNSPECIFIED, PORT).into(), (Ipv6Addr::UNSPECIFIED, PORT).into()]
}

/// Reads the address of the metrics listener; `off` is the same as an empty string.
fn metrics_address(text: &str) -> Result<Option<SocketAddr>, String> {
    if matches!(text, "" | "off") { Ok(None) } else { socket_address(text).map(Some) }
}

pub(super) const XDP_MODES: &[(&str, XdpMode)] = &[
    ("auto", XdpMode::Auto),
    ("native", XdpMode::Native),
    ("generic", XdpMode::Generic),
    ("off", XdpMode::Off),
];
pub(super) const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

declare! {
    /// UDP trackers (BEP 15).
    [udp] Udp {
        /// Where to listen. An address of a family that the host lacks is an error,
        /// unless it is one of these built-in two.
        listen: Listen = r#"["0.0.0.0:6969", "[::]:6969"]"#, Listeners { most: 64, default: default_listeners }, Restart;
        /// Worker threads. "auto": one per CPU of the affinity mask the process was started with.
        workers: Option<NonZeroUsize> = r#""auto""#, Threads { most: 1024 }, Restart;
        /// How long a connection ID is accepted after its issue. BEP 15 asks for two minutes;
        /// some clients reuse theirs after five.
        connection_id_lifetime: Duration = r#""10m""#, Span { least: 2 * MINUTE, most: HOUR }, Restart;
        /// The longest reply, in bytes of UDP payload. It bounds how many peers a reply lists:
        /// (max_datagram - 20) / 6 over IPv4, / 18 over IPv6. 1232 fits every IPv6 path.
        max_datagram: usize = "1232", Count::new(576, 1452), Restart;
        /// Info hashes answered in one scrape; more are cut. Each takes 12 bytes of the reply, after 8;
        /// the default is never more than `max_datagram` holds.
        max_scrape_hashes: usize = "74", Count::new(1, 120), Restart;
        /// Networks whose clients may announce another address by the `ip` field of BEP 15,
        /// such as ["192.0.2.0/24"]. Everybody else's field is ignored.
        trust_ip_field: Vec<IpNet> = "[]", Many { what: "networks", most: 1024, read: network }, Restart;
        /// The receive buffer of each socket. The kernel caps it at net.core.rmem_max.
        receive_buffer: usize = r#""8MiB""#, Size { least: 64 << 10, most: 1 << 30 }, Restart;
        /// The send buffer of each socket. The kernel caps it at net.core.wmem_max.
        send_buffer: usize = r#""2MiB""#, Size { least: 64 << 10, most: 1 << 30 }, Restart;
        /// Datagrams handled together: received by one system call, looked up side by side.
        batch: usize = "64", Count::new(1, 256), Restart;
    }

    /// The fast path: an XDP program that answers connects in the kernel, and AF_XDP sockets for the rest.
    /// It needs root, or CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON and CAP_IPC_LOCK. Without it, sockets serve
    /// everything.
    [xdp] Xdp {
        /// The interfaces to attach to, such as ["eth0"]. None: sockets only.
        interfaces: Vec<String> = "[]", Many { what: "interfaces", most: 64, read: interface_name }, Restart;
        /// "auto" tries native, then generic, then sockets. "native" and "generic" are had or the start fails.
        mode: XdpMode = r#""auto""#, Word(XDP_MODES), Restart;
        /// Zero-copy sockets: "auto" where the driver grants them, "off" never.
        zero_copy: ZeroCopy = r#""auto""#, Word(&[("auto", ZeroCopy::Auto), ("off", ZeroCopy::Off)]), Restart;
        /// Descriptors in each ring of a socket. At least the network card's own ring.
        ring_size: u32 = "2048", Count::powers_of_two(64, 32_768), Restart;
        /// Frames of packet memory for each queue, 2 KiB each, shared by receiving and sending.
        /// At least twice `ring_size`, and so is the default.
        frames: u32 = "4096", Count::new(128, 262_144), Restart;
        /// Whether workers poll the device instead of waiting for interrupts: lower latency, a busy core.
        busy_poll: bool = "false", Switch, Restart;
        /// Whether the program reports rare events, as log lines of level TRACE.
        log: bool = "false", Switch, Restart;
    }

    /// What the tracker tells its clients, and how long it remembers them.
    [swarm] Swarm {
        /// How often clients are asked to announce.
        interval: Duration = r#""30m""#, Span { least: 1, most: 4 * HOUR }, Reload;
        /// How soon a client may announce again, where the protocol can say so. The default is never longer than `interval`.
        min_interval: Duration = r#""5m""#, Span { least: 0, most: 4 * HOUR }, Reload;
        /// When a peer that was not heard of is gone. Should be longer than `interval`.
        peer_timeout: Duration = r#""45m""#, Span { least: 1, most: 4 * HOUR }, Reload;
        /// Peers handed out where the client does not say how many it wants. The default is never more than `max_num_want`.
        default_num_want: usize = "50", Count::new(0, 1000), Reload;
        /// Peers handed out at most. Over UDP `udp.max_datagram` bounds it further.
        max_num_want: usize = "200", Count::new(1, 1000), Reload;
        /// How long the count of downloads of a torrent without peers is kept.
        downloaded_retention: Duration = r#""7d""#, Span { least: 0, most: 365 * DAY }, Reload;
        /// For how many torrents without peers that count is kept; the oldest go first.
        downloaded_entries: usize = "1_000_000", Count::new(0, 100_000_000), Reload;
        /// How long one round of expiry over all torrents takes: a peer may outlive `peer_timeout` by as much.
        sweep_interval: Duration = r#""1m""#, Span { least: 1, most: 10 * MINUTE }, Reload;
    }

    /// Which torrents are served.
    [access] Access {
        /// "off": all. "allow": those in the file. "deny": all but those in the file.
        mode: AccessMode = r#""off""#, Word(&[("off", AccessMode::Off), ("allow", AccessMode::Allow), ("deny", AccessMode::Deny)]), Reload;
        /// The file: one info hash a line, in 40 hexadecimal digits (or 64, of which the first 40 count);
        /// `#` starts a comment.
        info_hashes: Option<PathBuf> = r#""""#, Optional { what: "a path", read: any_path }, Reload;
    }

    /// Bounds of what strangers can make the tracker keep.
    [limits] Limits {
        /// Torrents with peers. Announces for further ones are refused.
        torrents: usize = "20_000_000", Count::new(1, 1_000_000_000), Reload;
        /// Peers of one torrent. Further ones are answered but not kept.
        peers_per_torrent: usize = "1_000_000", Count::new(1, 16_000_000), Reload;
        /// Peers of one torrent at one address. 0: no limit, since many clients may share an address.
        /// A limit makes each new peer cost a pass over its torrent's peers.
        peers_per_address: Option<u32> = "0", Limit { most: 65_536 }, Reload;
    }

    /// What outlives the process.
    [state] State {
        /// The directory for it. Where it cannot be written, a line says so and nothing is kept.
        directory: PathBuf = r#""/var/lib/riptide""#, Required { what: "an absolute path", read: absolute_path }, Restart;
    }

    /// Metrics for Prometheus, at /metrics.
    [metrics] Metrics {
        /// Where to serve them over HTTP. "off" turns it off. They are not secret, but not for the public either.
        listen: Option<SocketAddr> = r#""127.0.0.1:9000""#, Required { what: "an address with a port, or \"off\"", read: metrics_address }, Restart;
    }

    /// Who the process is once it has bound its sockets and attached its program, if it was started as root.
    [privileges] Privileges {
        /// The user to become, by name or number. "": stay.
        user: Option<String> = r#""""#, Optional { what: "a user", read: account }, Restart;
        /// The group to become. "": the user's own.
        group: Option<String> = r#""""#, Optional { what: "a group", read: account }, Restart;
    }

    /// The log, on standard error.
    [log] Log {
        /// "text" or "json".
        format: LogFormat = r#""text""#, Word(LOG_FORMATS), Restart;
        /// error, warn, info, debug, trace or off, or directives such as "info,tracker_user::xdp=debug".
        /// The environment variable RUST_LOG goes before it.
        level: String = r#""info""#, Required { what: "a log level or filter", read: log_filter }, Restart;
    }
}
