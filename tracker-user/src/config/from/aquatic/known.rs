//! The keys of aquatic's programs, and why some have no counterpart.

use Program::{Http, Udp, Ws};

/// A program of aquatic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `aquatic_udp`.
    Udp,
    /// `aquatic_http`.
    Http,
    /// `aquatic_ws`.
    Ws,
}

impl Program {
    pub(super) const ALL: [Self; 3] = [Udp, Http, Ws];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Udp => "aquatic_udp",
            Http => "aquatic_http",
            Ws => "aquatic_ws",
        }
    }

    /// The one that `udp`, `http` or `ws` stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|program| program.name().strip_prefix("aquatic_") == Some(word))
    }

    /// Its keys.
    pub(super) fn keys(self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(move |key| key.of.contains(&self))
    }

    /// Its key of this name, such as `network.use_ipv4`.
    pub(super) fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

/// A key as some programs have it.
pub(super) struct Key {
    /// With its table.
    pub(super) name: &'static str,
    of: &'static [Program],
    /// Why Riptide has none like it, if so.
    pub(super) why_not: Option<&'static str>,
}

const fn key(of: &'static [Program], name: &'static str) -> Key {
    Key { name, of, why_not: None }
}

const fn none(of: &'static [Program], name: &'static str, why: &'static str) -> Key {
    Key { name, of, why_not: Some(why) }
}

const ALL: &[Program] = &Program::ALL;
const STREAMS: &[Program] = &[Http, Ws];
const TWO_SOCKETS: &[Program] = &[Udp, Http];

const AT_ONCE: &str = "not needed: metrics are collected when they are asked for";
const BY_SOFTWARE: &str = "not needed: riptide_client_announces_total tells announces by client software";
const PAGE: &str = "not needed: /stats is a page with the same";
const URING: &str = "not needed: Riptide does without io_uring; `[xdp] interfaces` has the fast path";
const AT_ALL_TIMES: &str = "not needed: connections are looked after at all times";
const WITH_CONNECTION: &str = "not needed: a peer of WebTorrent lives as long as its connection";
const EXPORT: &str = "`riptide control export` writes all torrents when it is asked to, as by a timer";

static KEYS: [Key; 66] = [
    key(ALL, "socket_workers"),
    none(STREAMS, "swarm_workers", "not needed: each thread reaches every swarm"),
    key(ALL, "log_level"),
    key(TWO_SOCKETS, "network.use_ipv4"),
    key(TWO_SOCKETS, "network.use_ipv6"),
    key(TWO_SOCKETS, "network.address_ipv4"),
    key(TWO_SOCKETS, "network.address_ipv6"),
    key(TWO_SOCKETS, "network.set_only_ipv6"),
    key(ALL, "network.address"),
    key(ALL, "network.only_ipv6"),
    key(&[Udp], "network.socket_recv_buffer_size"),
    none(&[Udp], "network.poll_timeout_ms", "not needed: workers are woken by what comes"),
    none(&[Udp], "network.resend_buffer_max_len", "not needed: Linux has send buffers (udp.send_buffer)"),
    none(&[Udp], "network.use_io_uring", URING),
    none(&[Udp], "network.ring_size", URING),
    none(&[Udp], "network.set_reuseport_lb", "not needed: it is for FreeBSD"),
    none(
        STREAMS,
        "network.tcp_backlog",
        "Riptide asks for 4096, of which Linux grants up to net.core.somaxconn",
    ),
    key(STREAMS, "network.enable_tls"),
    key(STREAMS, "network.tls_certificate_path"),
    key(STREAMS, "network.tls_private_key_path"),
    key(&[Http], "network.keep_alive"),
    key(&[Http], "network.runs_behind_reverse_proxy"),
    key(&[Http], "network.reverse_proxy_ip_header_name"),
    key(&[Http], "network.reverse_proxy_ip_header_format"),
    key(&[Ws], "network.websocket_max_message_size"),
    none(&[Ws], "network.websocket_max_frame_size", "websocket.max_message_size bounds frames as well"),
    none(&[Ws], "network.websocket_write_buffer_size", "not needed: messages that wait are written together"),
    none(&[Ws], "network.enable_http_health_checks", "not needed: /health is always answered, over TLS too"),
    key(ALL, "protocol.max_scrape_torrents"),
    key(ALL, "protocol.peer_announce_interval"),
    key(&[Udp], "protocol.max_response_peers"),
    key(&[Http], "protocol.max_peers"),
    key(&[Ws], "protocol.max_offers"),
    key(TWO_SOCKETS, "cleaning.torrent_cleaning_interval"),
    none(&[Ws], "cleaning.torrent_cleaning_interval", WITH_CONNECTION),
    key(TWO_SOCKETS, "cleaning.max_peer_age"),
    none(&[Ws], "cleaning.max_peer_age", WITH_CONNECTION),
    key(&[Udp], "cleaning.max_connection_age"),
    none(STREAMS, "cleaning.connection_cleaning_interval", AT_ALL_TIMES),
    key(&[Http], "cleaning.max_connection_idle"),
    none(
        &[Ws],
        "cleaning.max_connection_idle",
        "not needed: quiet connections are asked for a sign of life (websocket.ping_interval, idle_timeout)",
    ),
    key(&[Ws], "cleaning.max_offer_age"),
    none(
        &[Ws],
        "cleaning.close_after_tls_update_grace_period",
        "a connection keeps the certificate that it began with, as long as it lasts",
    ),
    key(ALL, "privileges.drop_privileges"),
    none(
        ALL,
        "privileges.chroot_path",
        "Riptide does not chroot: riptide.service shuts it off from the file system instead",
    ),
    key(ALL, "privileges.group"),
    key(ALL, "privileges.user"),
    key(ALL, "access_list.mode"),
    key(ALL, "access_list.path"),
    none(&[Udp], "statistics.interval", AT_ONCE),
    none(
        &[Udp],
        "statistics.torrent_peer_histograms",
        "not needed: riptide_torrent_peers is such a histogram",
    ),
    none(&[Udp], "statistics.peer_clients", BY_SOFTWARE),
    none(&[Udp], "statistics.print_to_stdout", PAGE),
    none(&[Udp], "statistics.write_html_to_file", PAGE),
    none(&[Udp], "statistics.html_file_path", PAGE),
    key(&[Udp], "statistics.run_prometheus_endpoint"),
    key(&[Udp], "statistics.prometheus_endpoint_address"),
    none(&[Udp], "statistics.prometheus_peer_id_prefixes", BY_SOFTWARE),
    key(STREAMS, "metrics.run_prometheus_endpoint"),
    key(STREAMS, "metrics.prometheus_endpoint_address"),
    none(STREAMS, "metrics.torrent_count_update_interval", AT_ONCE),
    none(&[Ws], "metrics.peer_clients", BY_SOFTWARE),
    none(&[Ws], "metrics.peer_id_prefixes", BY_SOFTWARE),
    none(&[Udp], "scrape_exports.enable_scrape_exports", EXPORT),
    none(&[Udp], "scrape_exports.frequency", EXPORT),
    none(&[Udp], "scrape_exports.path", EXPORT),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_program_has_a_key_twice() {
        for program in Program::ALL {
            let mut names: Vec<&str> = program.keys().map(|key| key.name).collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{program:?}");
        }
    }

    #[test]
    fn programs_are_named() {
        for (word, program) in
            [("udp", Some(Udp)), ("http", Some(Http)), ("ws", Some(Ws)), ("aquatic_ws", None)]
        {
            assert_eq!(Program::from_word(word), program);
        }
    }
}
