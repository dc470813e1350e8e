//! The declaration of every key: the one place where a key is added or changed. The types in [`super::Config`], the
//! file that `riptide config default` prints, `docs/configuration.md` and the checks all follow from it.

use super::{
    declare::{declare, table_name},
    kinds::{
        Auto, Bandwidth, Count, Limit, Many, Moment, Optional, Required, Share, Size, SocketPath, Span,
        Switch, Threads, Word,
    },
    nats::{cluster_name, nats_server, node_name},
    readers::{
        absolute_path, account, any_path, contact, domain_name, file_mode, header_name, https_address,
        interface_name, log_filter, public_host, socket_address, unix_socket,
    },
    shared_kinds::{ADDRESSES, BURST, CONNECTIONS, NETWORKS, ORIGINS, RATE, STREAMS, TLS_ADDRESSES},
    table::{Change, Key, Table},
    values::{
        AccessMode, Apply, BusyPoll, ControlSocket, Listen, ListenAddress, LogFormat, NatsServer, Part,
        TlsVersion, XdpMode, ZeroCopy,
    },
};
use crate::host::PublicHost;
use axum::http::HeaderName;
use ipnet::IpNet;
use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Where the control socket is by default.
pub const CONTROL_SOCKET: &str = "/run/riptide/control.sock";

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

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
pub(super) const BUSY_POLLS: &[(&str, BusyPoll)] =
    &[("auto", BusyPoll::Auto), ("off", BusyPoll::Off), ("always", BusyPoll::Always)];
pub(super) const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

declare! {
    /// UDP trackers (BEP 15).
    [udp] Udp {
        /// Where to listen. An address of a family that the host lacks is an error,
        /// unless it is one of these built-in two. []: no UDP.
        listen: Listen = r#"["0.0.0.0:6969", "[::]:6969"]"#, ADDRESSES, Restart;
        /// Worker threads. "auto": one per CPU of the affinity mask the process was started with.
        workers: Option<NonZeroUsize> = r#""auto""#, Threads { most: 1024 }, Restart;
        /// How long a connection ID is accepted after its issue. BEP 15 asks for two minutes;
        /// some clients reuse theirs after five.
        connection_id_lifetime: Duration = r#""10m""#, Span { least: 2 * MINUTE, most: HOUR }, Restart;
        /// The longest reply, in bytes of UDP payload. It bounds how many peers a reply lists:
        /// (max_datagram - 20) / 6 over IPv4, / 18 over IPv6. 1232 fits every IPv6 path. Replies up to that are
        /// never fragmented: a path over IPv4 that carries less than 1260 bytes loses the longest ones, and wants 576 here.
        max_datagram: usize = "1232", Count::new(576, 1452), Restart;
        /// Info hashes answered in one scrape; more are cut. Each takes 12 bytes of the reply, after 8;
        /// the default is never more than `max_datagram` holds.
        max_scrape_hashes: usize = "74", Count::new(1, 120), Restart;
        /// The old name of `swarm.trust_ip_networks`, which means the same. Where both are set they must be equal.
        trust_ip_field: Vec<IpNet> = "[]", NETWORKS, Reload;
        /// The receive buffer of each socket. The kernel caps it at net.core.rmem_max.
        receive_buffer: usize = r#""8MiB""#, Size { least: 64 * KIB, most: GIB }, Restart;
        /// The send buffer of each socket. The kernel caps it at net.core.wmem_max.
        send_buffer: usize = r#""2MiB""#, Size { least: 64 * KIB, most: GIB }, Restart;
        /// How long a request may wait under load, so that many are taken at once, which saves most of the CPU at moderate
        /// rates: less where they would not fit into the device's ring or the socket's buffer, and not at all after
        /// idleness. AF_XDP sockets gather in the device (see `xdp.busy_poll`), others by a pause. "0ms": none waits.
        latency: Duration = r#""1ms""#, Moment { most: 100 }, Restart;
        /// Datagrams handled together: received by one system call, looked up side by side.
        batch: usize = "64", Count::new(1, 256), Restart;
    }

    /// The fast path: an XDP program that answers connects in the kernel, and AF_XDP sockets for the rest.
    /// It needs root, or CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON and CAP_IPC_LOCK. Without it, sockets serve
    /// everything.
    [xdp] Xdp {
        /// The interfaces to attach to, such as ["eth0"]. None: sockets only. With mode "off": those that busy workers
        /// poll.
        interfaces: Vec<String> = "[]", Many { what: "interfaces", most: 64, read: interface_name }, Restart;
        /// "auto" tries native, then generic, then sockets. "native" and "generic" are had or the start fails.
        mode: XdpMode = r#""auto""#, Word(XDP_MODES), Restart;
        /// Zero-copy sockets: "auto" where the driver grants them, "off" never.
        zero_copy: ZeroCopy = r#""auto""#, Word(&[("auto", ZeroCopy::Auto), ("off", ZeroCopy::Off)]), Restart;
        /// Descriptors in each ring of a socket. At least the network card's own ring.
        ring_size: u32 = "2048", Count::powers_of_two(64, 32_768), Restart;
        /// Requests of a queue that may wait for its worker where the kernel copies frames: more of them outlast a longer
        /// pause, fewer stay in the processor's cache, and let a worker that was held up catch up sooner. With zero copy
        /// it is `ring_size`.
        copy_backlog: u32 = "512", Count::new(64, 32_768), Restart;
        /// Frames of packet memory for each queue, 2 KiB each, shared by receiving and sending.
        /// At least twice `ring_size`, and so is the default.
        frames: u32 = "4096", Count::new(128, 262_144), Restart;
        /// Who fetches frames from the device. "auto": under load the workers, between batches, instead of being
        /// interrupted for them; idle, they sleep. In the modes "native" and "off", without `privileges.user`, and where
        /// /sys/class/net/INTERFACE has napi_defer_hard_irqs and gro_flush_timeout set, which for want of others are set
        /// to 2 and 125 µs (200 µs with mode "off"), under load up to `udp.latency` (somewhat more with mode "off"), and
        /// back in the end: whatever the interface receives may wait so long. "off": the kernel, at each interrupt.
        /// "always": workers with AF_XDP sockets, without ever sleeping, for the least latency.
        busy_poll: BusyPoll = r#""auto""#, Word(BUSY_POLLS), Restart;
        /// Whether the program reports rare events, as log lines of level TRACE.
        log: bool = "false", Switch, Restart;
    }

    /// HTTP trackers (BEP 3) and, on the same listeners, WebTorrent. Each address serves both, and the pages /, /health
    /// and /stats.
    [http] Http {
        /// Where to listen: addresses, or Unix sockets such as "unix:/run/riptide/http.sock". An address of a family
        /// that the host lacks is an error, unless it is one of these built-in two. []: no HTTP without TLS.
        listen: Listen<ListenAddress> = r#"["0.0.0.0:6969", "[::]:6969"]"#, STREAMS, Restart;
        /// Threads that serve HTTP, TLS and WebSocket. "auto": one per CPU of the affinity mask the process was
        /// started with.
        workers: Option<NonZeroUsize> = r#""auto""#, Threads { most: 1024 }, Restart;
        /// Connections at once, TLS included, WebSocket apart. Further ones wait in the kernel's queue. "auto": 16384, or as
        /// many as the limit of open descriptors permits.
        max_connections: Option<usize> = r#""auto""#, CONNECTIONS, Restart;
        /// Connections at once from one address, or from one /64 of IPv6, which is what one client has. 0: no limit, since
        /// many clients may share an address.
        /// Trusted proxies and Unix sockets are not limited, but the WebSockets of a client behind them are.
        max_connections_per_address: Option<u32> = "0", Limit { most: 1_000_000 }, Restart;
        /// How long a new connection may take for its PROXY header, its TLS handshake and its first request.
        request_timeout: Duration = r#""10s""#, Span { least: 1, most: 10 * MINUTE }, Restart;
        /// When a connection is closed that has not sent a whole request in this time.
        idle_timeout: Duration = r#""1m""#, Span { least: 1, most: HOUR }, Restart;
        /// The longest head of a request, its first line included; longer ones are refused. Each info hash of a scrape
        /// takes up to 71 bytes of it.
        max_header_size: usize = r#""16KiB""#, Size { least: 8 * KIB, most: MIB }, Restart;
        /// The longest body of a request. No request needs one: it is read and ignored, a longer one closes the
        /// connection.
        max_body_size: usize = r#""4KiB""#, Size { least: 0, most: 16 * MIB }, Restart;
        /// Info hashes answered in one scrape; more are cut.
        max_scrape_hashes: usize = "100", Count::new(1, 10_000), Restart;
        /// Networks of the reverse proxies whose word on the client's address is taken, such as ["192.0.2.0/24"].
        /// Whatever comes by a Unix socket is from a trusted proxy.
        trusted_proxies: Vec<IpNet> = "[]", NETWORKS, Restart;
        /// The header by which trusted proxies name the client: a list of addresses as in X-Forwarded-For, or Forwarded
        /// (RFC 7239). Of several the right-most counts that is no trusted proxy itself. From anybody else it is
        /// ignored. "" where proxies send none, as with `proxy_protocol` alone.
        client_address_header: Option<HeaderName> = r#""X-Forwarded-For""#, Optional { what: "the name of an HTTP header", read: header_name }, Restart;
        /// Whether every connection from a trusted proxy and on a Unix socket begins with a PROXY header, version 1 or
        /// 2 (HAProxy: `send-proxy-v2`; nginx: `proxy_protocol on`), TLS or not. Others must not send one.
        proxy_protocol: bool = "false", Switch, Restart;
        /// The permissions of the Unix sockets, in octal. A proxy needs to write: it shares the tracker's group, or
        /// this is "0666".
        unix_mode: u32 = r#""0660""#, Required { what: "a file mode from \"0000\" to \"0777\"", read: file_mode }, Restart;
        /// Whether /, a page for people with the announce URLs to copy, is served.
        page: bool = "true", Switch, Restart;
        /// The name or address by which clients reach this tracker, for the URLs on that page, which have the ports of the
        /// listeners. `https://tracker.example.org` (or http, with a port where it is another) where a reverse proxy serves
        /// HTTP and WebSocket there. "": as whoever looks at the page has called it.
        public_host: Option<PublicHost> = r#""""#, Optional { what: "a name or an address, as \"tracker.example.org\" or \"https://tracker.example.org\"", read: public_host }, Restart;
        /// Whether /stats, a page for people, and /stats.json, the same for programs, are served.
        stats: bool = "true", Switch, Restart;
        /// Those who have /stats open and see it change live, by server-sent events. For further ones it refreshes every ten
        /// seconds. 0: for all.
        max_stats_streams: usize = "64", Count::new(0, 16_384), Restart;
    }

    /// HTTPS and secure WebSocket, which browsers need on secure pages. HTTP/2 is offered.
    [tls] Tls {
        /// Where to listen, such as `["0.0.0.0:443", "[::]:443"]`. None: no TLS.
        listen: Listen = "[]", TLS_ADDRESSES, Restart;
        /// The file with the certificate and those that signed it, the server's own first, in PEM
        /// (`fullchain.pem` of most ACME clients). The tracker can be one itself: see `[tls.acme]`.
        certificate: Option<PathBuf> = r#""""#, Optional { what: "an absolute path", read: absolute_path }, Restart;
        /// The file with its private key, in PEM without a passphrase. The user of `[privileges]` must be able to read it
        /// as long as the tracker runs.
        key: Option<PathBuf> = r#""""#, Optional { what: "an absolute path", read: absolute_path }, Restart;
        /// The oldest version of TLS that is spoken.
        min_version: TlsVersion = r#""1.2""#, Word(&[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)]), Restart;
        /// How often the files are looked at for a renewed certificate, which new connections then get.
        /// "0s": only at SIGHUP.
        reload_interval: Duration = r#""10s""#, Span { least: 0, most: DAY }, Restart;
    }

    /// Certificates that the tracker gets and renews by itself, from a server that speaks ACME (RFC 8555), in place of
    /// the files of `[tls]`. Whether a name leads here the server sees at port 443 of it (TLS-ALPN-01), where one of
    /// `tls.listen` must be reached without anything before it that ends TLS. Account and certificate are kept in
    /// `state.directory`.
    [tls_acme] Acme {
        /// The names of the tracker, such as `["tracker.example"]`: one certificate is for all of them. To name any is to
        /// agree to the terms of service of the server in `directory`. []: the certificate is in the files of `[tls]`.
        domains: Vec<String> = "[]", Many { what: "domain names", most: 100, read: domain_name }, Reload;
        /// The directory of the ACME server. Let's Encrypt has one for trials, which allows far more orders, and whose
        /// certificates no client trusts: `https://acme-staging-v02.api.letsencrypt.org/directory`.
        directory: String = r#""https://acme-v02.api.letsencrypt.org/directory""#, Required { what: "the https address of an ACME directory", read: https_address }, Reload;
        /// A file with the CA that signed that server's own certificate, in PEM, where it is none that the system
        /// trusts: a private server, such as step-ca, has one. SIGHUP reads it again.
        directory_ca: Option<PathBuf> = r#""""#, Optional { what: "an absolute path", read: absolute_path }, Reload;
        /// Whom the server may write to, such as `["mailto:admin@tracker.example"]`.
        contact: Vec<String> = "[]", Many { what: "addresses that begin with mailto:", most: 10, read: contact }, Reload;
        /// How long the server may take for each reply.
        request_timeout: Duration = r#""30s""#, Span { least: 1, most: 10 * MINUTE }, Reload;
    }

    /// WebTorrent: browsers that find each other by WebSocket messages, at any path of the listeners of `[http]` and
    /// `[tls]`.
    [websocket] Websocket {
        /// Whether WebSocket is served.
        enabled: bool = "true", Switch, Restart;
        /// How often clients are asked to announce. A peer lives as long as its connection, so this only brings it
        /// further partners.
        interval: Duration = r#""2m""#, Span { least: 1, most: 4 * HOUR }, Reload;
        /// The memory of all connections together: what waits to be sent, messages on their way, lists of torrents. A quiet
        /// connection counts 24 KiB, and connections have at most three quarters of it; further ones are refused. A message
        /// that does not fit is lost, and who has kept others from theirs the longest, by not taking what is sent or not
        /// ending what it sends, is closed. "auto": an eighth of what this process may use,
        /// which is the machine's memory or the least that a control group above it permits.
        memory: Option<usize> = r#""auto""#, Auto(Size { least: MIB, most: 1024 * GIB }), Restart;
        /// WebSocket connections at once, as far as `memory` permits; further ones are refused. "auto": 65536, or as many as the
        /// limit of open descriptors permits.
        max_connections: Option<usize> = r#""auto""#, CONNECTIONS, Restart;
        /// The longest message from a client; a longer one closes its connection. An announce carries an offer of about
        /// a kilobyte or two for each partner it asks for.
        max_message_size: usize = r#""128KiB""#, Size { least: KIB, most: 16 * MIB }, Restart;
        /// Offers of one announce that are relayed; more are ignored.
        max_offers: usize = "10", Count::new(0, 1000), Reload;
        /// Torrents of one connection, in each of which it is one peer. Announces for further ones are refused.
        max_torrents_per_connection: usize = "1_000", Count::new(1, 1_000_000), Restart;
        /// Info hashes answered in one scrape; more are cut.
        max_scrape_hashes: usize = "100", Count::new(1, 10_000), Restart;
        /// Offers a connection was given and has not answered that are remembered, so that its answers are known for
        /// such; the oldest go first.
        max_pending_offers: usize = "256", Count::new(1, 65_536), Restart;
        /// How long an offer can be answered.
        offer_lifetime: Duration = r#""2m""#, Span { least: 1, most: HOUR }, Restart;
        /// Messages that wait to be sent to one connection. Beyond it, or `queue_size`, offers and answers for it are
        /// lost.
        queue_messages: usize = "256", Count::new(1, 65_536), Restart;
        /// Bytes that wait to be sent to one connection. At least `max_message_size`, and so is the default.
        queue_size: usize = r#""512KiB""#, Size { least: KIB, most: GIB }, Restart;
        /// When a connection is closed that has not taken all that is being sent to it: a message, or some that were
        /// gathered to about 16 KiB.
        send_timeout: Duration = r#""10s""#, Span { least: 1, most: 10 * MINUTE }, Restart;
        /// How often a quiet connection is asked for a sign of life.
        ping_interval: Duration = r#""30s""#, Span { least: 1, most: HOUR }, Restart;
        /// When a connection that gives no sign of life is closed, or one that does not end a message it began. Longer
        /// than `ping_interval`.
        idle_timeout: Duration = r#""2m""#, Span { least: 2, most: 4 * HOUR }, Restart;
        /// Messages a connection may send in a second, the answers to pings apart; more close it, and so do more than
        /// ten times as many frames of any kind. 0: no limit.
        max_messages_per_second: Option<u32> = "10_000", Limit { most: 1_000_000 }, Restart;
        /// Offers and answers of a connection that go to other nodes of a cluster in a second, and ten times as many at once
        /// after a pause. Further ones are lost: no client takes up what a node takes from another one
        /// (`cluster.max_relays_per_second`). 0: no limit.
        max_node_relays_per_second: Option<u32> = "100", Limit { most: 1_000_000 }, Restart;
        /// Origins of the web pages that may connect, such as `["https://example.org"]`; "null" is a page without one.
        /// []: all. Clients that are no browsers send no origin and may always connect.
        allowed_origins: Vec<String> = "[]", ORIGINS, Restart;
        /// Origins of web pages that may not connect.
        denied_origins: Vec<String> = "[]", ORIGINS, Restart;
    }

    /// What the tracker tells its clients, and how long it remembers them.
    [swarm] Swarm {
        /// How often clients are asked to announce while there is no pressure. Small swarms that just began are told less
        /// then, down to half. The default is never longer than `max_interval`.
        interval: Duration = r#""30m""#, Span { least: 1, most: 4 * HOUR }, Reload;
        /// How often at the greatest pressure. Intervals grow once six tenths are in use of `limits.peers`, of the workers'
        /// time, or of `full_load_announces`, or lists can get no shorter for `limits.udp_bytes_per_second`: as fast as the
        /// load does, and back over the time of this interval. Peers are remembered for longer meanwhile, so that nobody
        /// who obeys is forgotten. `websocket.interval` grows in proportion. The same as `interval` turns this off; the
        /// default is never shorter than that.
        max_interval: Duration = r#""1h""#, Span { least: 1, most: 4 * HOUR }, Reload;
        /// By which part of it each reply's interval is longer or shorter at most, by chance, so that clients that came at
        /// once do not come back at once.
        interval_jitter: Part = "0.1", Share { most: 500 }, Reload;
        /// Announces a second, by every protocol, that count as full load. 0: any number is welcome.
        full_load_announces: Option<u32> = "0", Limit { most: 1_000_000_000 }, Reload;
        /// How soon a client may announce again, where the protocol can say so; it grows in proportion. The default is never
        /// longer than `interval`.
        min_interval: Duration = r#""5m""#, Span { least: 0, most: 4 * HOUR }, Reload;
        /// When a peer that was not heard of is gone. Should be longer than `interval` with its jitter. Once longer intervals
        /// were told it is at least five quarters of the longest, if it was long enough before.
        peer_timeout: Duration = r#""45m""#, Span { least: 1, most: 4 * HOUR }, Reload;
        /// Peers handed out where the client does not say how many it wants. The default is never more than `max_num_want`.
        default_num_want: usize = "50", Count::new(0, 1000), Reload;
        /// Peers handed out at most. Over UDP `udp.max_datagram` bounds it further.
        max_num_want: usize = "200", Count::new(1, 1000), Reload;
        /// Networks whose clients may say that they are at another address: by `ip`, `ipv4` and `ipv6` over HTTP, and by
        /// the `ip` field over UDP where they come by IPv4. With ["127.0.0.0/8", "::1"] a seeder on the tracker's own host
        /// can be reached by others. Everybody else's word is ignored, since it could aim traffic at somebody.
        trust_ip_networks: Vec<IpNet> = "[]", NETWORKS, Reload;
        /// Whether peers at private and link-local addresses (such as 10.0.0.0/8 and fc00::/7) are given to clients at
        /// such addresses alone. Those at loopback addresses are never given to any other host.
        hide_private_addresses: bool = "false", Switch, Reload;
        /// How long the count of downloads of a torrent without peers is kept.
        downloaded_retention: Duration = r#""7d""#, Span { least: 0, most: 365 * DAY }, Reload;
        /// For how many torrents without peers that count is kept; the oldest go first.
        downloaded_entries: usize = "1_000_000", Count::new(0, 100_000_000), Reload;
        /// How long one round of expiry over all torrents takes: a peer may outlive `peer_timeout` by as much.
        sweep_interval: Duration = r#""1m""#, Span { least: 1, most: 10 * MINUTE }, Reload;
    }

    /// Which torrents are served, and to whom.
    [access] Access {
        /// "off": all. "allow": those in the file. "deny": all but those in the file.
        mode: AccessMode = r#""off""#, Word(&[("off", AccessMode::Off), ("allow", AccessMode::Allow), ("deny", AccessMode::Deny)]), Reload;
        /// The file: one info hash a line, in 40 hexadecimal digits (or 64, of which the first 40 count);
        /// `#` starts a comment.
        info_hashes: Option<PathBuf> = r#""""#, Optional { what: "a path", read: any_path }, Reload;
        /// A file of networks whose clients get nothing, whatever the mode: one a line, such as 192.0.2.0/24 or
        /// 2001:db8::/32, or an address; `#` starts a comment. Over UDP they are dropped, by the XDP program where it is
        /// attached; over HTTP they get a failure, and their WebSockets are closed. `riptide control ban` bans further
        /// ones, at once.
        denied_networks: Option<PathBuf> = r#""""#, Optional { what: "a path", read: any_path }, Reload;
        /// Networks in that file; a longer one is refused. Each takes some 100 bytes of the kernel's memory for each
        /// interface in `xdp.interfaces`.
        max_denied_networks: usize = "2_000_000", Count::new(1, 10_000_000), Reload;
        /// The file of the client software that is not served: the beginning of a peer ID a line, as text (`-XL0012-`), or in
        /// hexadecimal after `0x`; `#` starts a comment. Its announces get a failure.
        denied_clients: Option<PathBuf> = r#""""#, Optional { what: "a path", read: any_path }, Reload;
        /// Private mode: the file of the keys of those who are served, one of 8 to 64 of A-Z, a-z, 0-9, - and _ a line, up to
        /// a million; `#` starts a comment. A key is part of its owner's announce addresses: `http://HOST/KEY/announce`,
        /// `udp://HOST/KEY/announce` (for clients with BEP 41), `ws://HOST/KEY`. Everybody else gets a failure, and scrapes
        /// over UDP, which carry no key, are answered with zeroes. It should be readable to the tracker's user alone.
        /// `riptide control key` adds further ones. "": off.
        keys: Option<PathBuf> = r#""""#, Optional { what: "a path", read: any_path }, Reload;
    }

    /// Bounds of what strangers can make the tracker keep.
    [limits] Limits {
        /// Peers in all. Further ones are answered but not kept, and new torrents are refused a little before. "auto": what
        /// fits into the memory that this process may use, the machine's or the least that a control group above it
        /// permits. Of three quarters of that go off 64 bytes for each of `swarm.downloaded_entries`, 32 MiB for the
        /// process itself, `websocket.memory`, and the packet memory of `[xdp]`; the rest is divided by 320 bytes, the worst
        /// that a stranger can make a peer cost, with a torrent for each. In a cluster it is 160 bytes for each of
        /// `swarm.downloaded_entries` and 368 for a peer: what other nodes counted of downloads is kept for as many torrents
        /// and nodes as half of this number and `swarm.downloaded_entries` together, and further ones are not taken in. There
        /// are always 10,000. A line at the start says the number.
        peers: Option<NonZeroUsize> = r#""auto""#, Threads { most: 1_000_000_000 }, Reload;
        /// Torrents with peers. Announces for further ones are refused.
        torrents: usize = "20_000_000", Count::new(1, 1_000_000_000), Reload;
        /// Peers of one torrent. Further ones are answered but not kept.
        peers_per_torrent: usize = "1_000_000", Count::new(1, 16_000_000), Reload;
        /// Peers of one torrent at one address of IPv4 or in one /64 of IPv6. 0: no limit, since many clients may share an
        /// address. Where there was none at the start, a limit costs each new peer a pass over its torrent's peers.
        peers_per_address: Option<u32> = "0", Limit { most: 500 }, Reload;
        /// Bytes a second that replies by UDP may have, without headers: a number, or a size such as "10MiB". Near it they
        /// list fewer peers, but never fewer than ten for it; where that does not do, intervals grow up to
        /// `swarm.max_interval`. Nobody is left without an answer for it. 0: no ceiling.
        udp_bytes_per_second: Option<u64> = "0", Bandwidth { most: 1 << 40 }, Reload;
        /// Announces and scrapes over UDP that one client may make in a second: an address of IPv4, or a /64 of IPv6. Further
        /// ones are dropped, in the XDP program where it is attached, which counts for each interface apart. 0: no limit.
        udp_requests_per_second: Option<u32> = "0", RATE, Reload;
        /// How many it may make at once after a pause, as clients with many torrents do when they start. "auto": as many as
        /// in a second.
        udp_requests_burst: Option<u32> = r#""auto""#, BURST, Reload;
        /// Connects over UDP of one client in a second. Their sources may be forged, and so spend what is others': clients
        /// connect once a minute at most, so a limit should be generous. 0: no limit.
        udp_connects_per_second: Option<u32> = "0", RATE, Reload;
        /// How many at once after a pause. "auto": as many as in a second.
        udp_connects_burst: Option<u32> = r#""auto""#, BURST, Reload;
        /// Announces and scrapes of one client in a second, over HTTP and WebSocket together. Further ones are answered with a
        /// failure, over HTTP with `retry in`. Those on a Unix socket whose client no proxy names are not limited.
        /// 0: no limit.
        http_requests_per_second: Option<u32> = "0", RATE, Reload;
        /// How many at once after a pause. "auto": as many as in a second.
        http_requests_burst: Option<u32> = r#""auto""#, BURST, Reload;
    }

    /// What outlives the process.
    [state] State {
        /// The directory for it. Where it cannot be written, a line says so and nothing is kept.
        directory: PathBuf = r#""/var/lib/riptide""#, Required { what: "an absolute path", read: absolute_path }, Restart;
        /// Whether swarms and counts of downloads are saved there, in `swarms.riptide`, and restored at the start.
        swarms: bool = "true", Switch, Restart;
        /// How often they are saved while the tracker runs: what a crash loses at most. They are saved when it stops, too.
        save_interval: Duration = r#""5m""#, Span { least: 1, most: DAY }, Restart;
    }

    /// Many machines, one tracker: nodes that share their swarms by way of NATS servers. Each answers from its own memory,
    /// and goes on alone while no server can be reached.
    [cluster] Cluster {
        /// The NATS servers, such as `["tls://nats-1.example.org", "tls://nats-2.example.org:4222"]`. One is connected to, and
        /// another when that is lost. `tls://` speaks TLS or not at all, `nats://` only where the server insists on it. []: no
        /// cluster.
        servers: Vec<NatsServer> = "[]", Many { what: "addresses of NATS servers", most: 16, read: nats_server }, Restart;
        /// The cluster's name, with which its subjects begin: up to 64 letters, digits, - and _. Nodes with one name share their
        /// swarms.
        name: String = r#""riptide""#, Required { what: "up to 64 letters, digits, - and _", read: cluster_name }, Restart;
        /// This node's name, of the same characters, which no other node of the cluster may have. "": the name of the host, with
        /// a hyphen for whatever else is in it.
        node: Option<String> = r#""""#, Optional { what: "up to 64 letters, digits, - and _", read: node_name }, Restart;
        /// A file with the credentials by which the servers know this node, as `nsc generate creds` writes it. Of this, `nkey`
        /// and `login` one may be set. The file is read at the start, before privileges are given up, and should be readable
        /// to nobody else.
        credentials: Option<PathBuf> = r#""""#, Optional { what: "an absolute path", read: absolute_path }, Restart;
        /// A file with the NKey seed of a user, as `nk -gen user` prints it.
        nkey: Option<PathBuf> = r#""""#, Optional { what: "an absolute path", read: absolute_path }, Restart;
        /// A file with a user in its first line and the password in its second.
        login: Option<PathBuf> = r#""""#, Optional { what: "an absolute path", read: absolute_path }, Restart;
        /// A file with the CA that signed the servers' certificates, in PEM. "": those that the system trusts.
        tls_ca: Option<PathBuf> = r#""""#, Optional { what: "an absolute path", read: absolute_path }, Restart;
        /// A file with the certificate that this node shows to the servers, in PEM, where they ask for one.
        tls_certificate: Option<PathBuf> = r#""""#, Optional { what: "an absolute path", read: absolute_path }, Restart;
        /// A file with the private key of that certificate, in PEM.
        tls_key: Option<PathBuf> = r#""""#, Optional { what: "an absolute path", read: absolute_path }, Restart;
        /// How long the start waits for the swarms of another node. After that this one serves with what it has.
        join_timeout: Duration = r#""10s""#, Span { least: 0, most: 10 * MINUTE }, Restart;
        /// How long /health answers 503 before a drain closes any socket, so that load balancers send nobody here any more. Only
        /// where `servers` names some.
        drain_delay: Duration = r#""5s""#, Span { least: 0, most: 10 * MINUTE }, Restart;
        /// Nodes that are listened to. What further ones say is not heard.
        max_nodes: usize = "256", Count::new(1, 1024), Restart;
        /// What has arrived and waits to be taken in, of all nodes together; an eighth of it is for offers and answers of WebRTC.
        /// Beyond it messages are lost; what was in them is asked for again, but for those.
        max_pending: usize = r#""64MiB""#, Size { least: MIB, most: 64 * GIB }, Restart;
        /// What this node told last and keeps for nodes that missed some of it. Who missed more compares whole swarms.
        max_replay: usize = r#""64MiB""#, Size { least: MIB, most: 64 * GIB }, Restart;
        /// Records a second that are taken from one node. A node that tells more is not heard for a while, and named in the log.
        /// 0: no limit.
        max_records_per_second: Option<u32> = "1_000_000", Limit { most: 1_000_000_000 }, Restart;
        /// Offers and answers of WebRTC a second that are relayed for one other node. Further ones are lost. 0: no limit.
        max_relays_per_second: Option<u32> = "10_000", Limit { most: 10_000_000 }, Restart;
    }

    /// The socket by which `riptide control` speaks to the running tracker: HTTP and JSON, as docs/openapi.json describes.
    [control] Control {
        /// Where it is: whoever may write to it, its owner and its group (mode 0660), commands the tracker. One that cannot
        /// be had is an error, unless it is this built-in one, which is then left out with a line. "off": none.
        listen: Option<ControlSocket> = r#""/run/riptide/control.sock""#, SocketPath { default: CONTROL_SOCKET, read: unix_socket }, Restart;
        /// Connections at once, of one request each; further ones wait in the kernel's queue.
        max_connections: usize = "16", Count::new(1, 256), Restart;
        /// The longest body of a request; longer ones are refused.
        max_body_size: usize = r#""64KiB""#, Size { least: 0, most: 16 * MIB }, Restart;
        /// How long a request may take to come, and how long its reply may wait for a client that takes nothing of it.
        request_timeout: Duration = r#""10s""#, Span { least: 1, most: 10 * MINUTE }, Restart;
        /// Peers of a torrent that are listed at most.
        max_peers: usize = "1_000", Count::new(0, 100_000), Restart;
        /// Decisions of each kind (torrents denied, networks banned, keys) that are kept in the state directory at most.
        /// All of them are written anew with each: long lists are for the files of `[access]`.
        max_decisions: usize = "100_000", Count::new(1, 1_000_000), Restart;
    }

    /// Metrics for Prometheus, at /metrics.
    [metrics] Metrics {
        /// Where to serve them over HTTP. "off" turns it off. They are not secret, but not for the public either.
        listen: Option<SocketAddr> = r#""127.0.0.1:9000""#, Required { what: "an address with a port, or \"off\"", read: metrics_address }, Restart;
        /// Connections at once; further ones wait in the kernel's queue. Each is closed after its reply.
        max_connections: usize = "16", Count::new(1, 256), Restart;
        /// How long a connection may take from its first byte to the last of its reply.
        request_timeout: Duration = r#""10s""#, Span { least: 1, most: 10 * MINUTE }, Restart;
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
        /// Bytes of lines that wait for whoever reads standard error. Further ones are lost, as are those that a full disk
        /// or a reader that is gone does not take: they are counted in riptide_log_lines_lost_total, and nothing waits.
        queue_size: usize = r#""1MiB""#, Size { least: 4 * KIB, most: GIB }, Restart;
    }
}
