//! What no key can check alone.

use super::{
    error::Warning,
    keys::{Cluster, Config, Swarm},
    layers::Values,
    units,
    values::{AccessMode, ListenAddress, NatsServer, Place, XdpMode},
};
use std::time::Duration;
use tracker_core::{policy::Policy, promises::Promises};

/// Nobody is remembered longer.
const MAX_PEER_TIMEOUT: Duration = Duration::from_secs(Policy::MAX_PEER_TIMEOUT as u64);

/// Where an ACME server looks for a challenge by TLS-ALPN-01 (RFC 8737 section 3).
const ACME_PORT: u16 = 443;

/// Bytes of a scrape reply before the rows, and of each row (BEP 15).
const SCRAPE_HEAD: usize = 8;
const SCRAPE_ROW: usize = 12;

/// Fits defaults to the keys that were given: a key that nobody set contradicts nobody. What a peer's timeout should be
/// is a decision, so that one is not among them.
pub(super) fn fit_defaults(config: &mut Config, values: &Values) {
    let Config { udp, xdp, swarm, websocket, .. } = config;
    let is_default = |table, key| values.place(table, key) == Place::Default;
    // The old name keeps only what contradicts the new one.
    if swarm.trust_ip_networks.is_empty() || swarm.trust_ip_networks == udp.trust_ip_field {
        swarm.trust_ip_networks = std::mem::take(&mut udp.trust_ip_field);
    }
    if is_default("udp", "max_scrape_hashes") {
        udp.max_scrape_hashes = udp.max_scrape_hashes.min((udp.max_datagram - SCRAPE_HEAD) / SCRAPE_ROW);
    }
    if is_default("xdp", "frames") {
        xdp.frames = xdp.frames.max(2 * xdp.ring_size);
    }
    if is_default("swarm", "interval") {
        swarm.interval = swarm.interval.min(swarm.max_interval);
    } else if is_default("swarm", "max_interval") {
        swarm.max_interval = swarm.max_interval.max(swarm.interval);
    }
    if is_default("swarm", "min_interval") {
        swarm.min_interval = swarm.min_interval.min(swarm.interval);
    }
    if is_default("swarm", "default_num_want") {
        swarm.default_num_want = swarm.default_num_want.min(swarm.max_num_want);
    }
    if is_default("websocket", "queue_size") {
        websocket.queue_size = websocket.queue_size.max(websocket.max_message_size);
    } else if is_default("websocket", "max_message_size") {
        websocket.max_message_size = websocket.max_message_size.min(websocket.queue_size);
    }
    if is_default("websocket", "ping_interval") {
        let half = Duration::from_secs(websocket.idle_timeout.as_secs() / 2);
        websocket.ping_interval = websocket.ping_interval.min(half);
    } else if is_default("websocket", "idle_timeout") {
        websocket.idle_timeout = websocket.idle_timeout.max(2 * websocket.ping_interval);
    }
}

/// Notes every contradiction between keys.
pub(super) fn cross_check(config: &Config, values: &mut Values) {
    let Config { udp, xdp, swarm, access, privileges, .. } = config;
    let mut wrong = |table: &'static str, key: &'static str, reason: String| {
        let place = values.place(table, key);
        values.wrong(place, table, key, reason);
    };

    let scrape = SCRAPE_HEAD + SCRAPE_ROW * udp.max_scrape_hashes;
    if scrape > udp.max_datagram {
        wrong(
            "udp",
            "max_scrape_hashes",
            format!(
                "{} rows make a reply of {scrape} bytes, longer than udp.max_datagram = {}; at most {} fit",
                udp.max_scrape_hashes,
                udp.max_datagram,
                (udp.max_datagram - SCRAPE_HEAD) / SCRAPE_ROW
            ),
        );
    }
    if !udp.trust_ip_field.is_empty() {
        let reason =
            "this is the old name of swarm.trust_ip_networks, which says something else: leave this one out";
        wrong("udp", "trust_ip_field", reason.to_owned());
    }
    if let (XdpMode::Native | XdpMode::Generic, true) = (xdp.mode, xdp.interfaces.is_empty()) {
        let reason =
            "a mode is asked for by name but no interface: name one by --interface or xdp.interfaces";
        wrong("xdp", "mode", reason.to_owned());
    }
    if u64::from(xdp.frames) < 2 * u64::from(xdp.ring_size) {
        let reason = format!("{} frames are less than twice xdp.ring_size = {}", xdp.frames, xdp.ring_size);
        wrong("xdp", "frames", reason);
    }
    let interval = units::duration(swarm.interval);
    if swarm.min_interval > swarm.interval {
        let reason =
            format!("{} is longer than swarm.interval = {interval}", units::duration(swarm.min_interval));
        wrong("swarm", "min_interval", reason);
    }
    if swarm.max_interval < swarm.interval {
        let reason =
            format!("{} is shorter than swarm.interval = {interval}", units::duration(swarm.max_interval));
        wrong("swarm", "max_interval", reason);
    } else if swarm.max_interval > swarm.interval && remembered(swarm, swarm.max_interval) > MAX_PEER_TIMEOUT
    {
        let reason = format!(
            "{} is too long: with a jitter of {} and a quarter for late clients, peers would have to be remembered for more \
             than {}, and at most {} would not",
            units::duration(swarm.max_interval),
            swarm.interval_jitter,
            units::duration(MAX_PEER_TIMEOUT),
            units::duration(longest_interval(swarm))
        );
        wrong("swarm", "max_interval", reason);
    }
    if swarm.default_num_want > swarm.max_num_want {
        let (ours, most) = (swarm.default_num_want, swarm.max_num_want);
        wrong("swarm", "default_num_want", format!("{ours} is more than swarm.max_num_want = {most}"));
    }
    if swarm.peer_timeout <= with_jitter(swarm, swarm.interval) {
        // Of use to nobody but tests, yet it works: a warning.
        values
            .warnings
            .push(Warning::ShortPeerTimeout { peer_timeout: units::duration(swarm.peer_timeout), interval });
    }
    let tls_ports = &config.tls.listen.addresses;
    if !config.tls_acme.domains.is_empty()
        && !tls_ports.is_empty()
        && tls_ports.iter().all(|address| address.port() != ACME_PORT)
    {
        values.warnings.push(Warning::NoAcmePort);
    }
    if config.tls.certificate.is_some() && config.tls.listen.addresses.is_empty() {
        values.warnings.push(Warning::NoTlsListener);
    }
    let open = |server: &&NatsServer| !server.tls && !server.host.is_loopback();
    let open = config
        .cluster
        .servers
        .iter()
        .filter(open)
        .map(|server| Warning::OpenCluster { server: server.to_string() });
    values.warnings.extend(open);
    let mut wrong = |table: &'static str, key: &'static str, reason: String| {
        let place = values.place(table, key);
        values.wrong(place, table, key, reason);
    };
    if access.mode != AccessMode::Off && access.info_hashes.is_none() {
        let reason = "a list is asked for but none is named: set access.info_hashes to its file";
        wrong("access", "mode", reason.to_owned());
    }
    check_streams(config, &mut wrong);
    check_cluster(&config.cluster, &mut wrong);
    if privileges.user.is_none() && privileges.group.is_some() {
        wrong("privileges", "group", "a group alone has no effect: set privileges.user too".to_owned());
    }
}

/// The longest that anybody is told of this interval.
fn with_jitter(swarm: &Swarm, interval: Duration) -> Duration {
    interval + interval * swarm.interval_jitter.thousandths() / 1000
}

/// How long a peer is remembered that is told this interval under pressure.
fn remembered(swarm: &Swarm, interval: Duration) -> Duration {
    let seconds = u32::try_from(with_jitter(swarm, interval).as_secs()).unwrap_or(u32::MAX);
    Duration::from_secs(Promises::timeout(seconds).into())
}

/// The longest interval of whole minutes, that peers can be remembered for.
fn longest_interval(swarm: &Swarm) -> Duration {
    let minutes = (1..=240).map(|minutes| Duration::from_secs(minutes * 60));
    minutes.take_while(|interval| remembered(swarm, *interval) <= MAX_PEER_TIMEOUT).last().unwrap_or_default()
}

/// What is wrong with where the certificate is from: files, or an ACME server, but not both.
fn check_certificate(config: &Config, wrong: &mut impl FnMut(&'static str, &'static str, String)) {
    let (tls, acme) = (&config.tls, &config.tls_acme);
    let files = [("certificate", &tls.certificate), ("key", &tls.key)];
    if acme.domains.is_empty() {
        for (key, _) in files.iter().filter(|(_, file)| file.is_none() && !tls.listen.addresses.is_empty()) {
            let reason = format!(
                "TLS is to be served and no file is named: set tls.{key}, or tls.acme.domains, or tls.listen = []"
            );
            wrong("tls", key, reason);
        }
        return;
    }
    if let Some((key, _)) = files.iter().find(|(_, file)| file.is_some()) {
        let reason =
            format!("a certificate is to be had for these and tls.{key} names one: leave one of the two out");
        wrong("tls.acme", "domains", reason);
    }
    if tls.listen.addresses.is_empty() {
        let reason = "a certificate is to be had for these and tls.listen is empty, so that it would be shown to nobody, and \
                      the ACME server would find nobody: set tls.listen, as [\"0.0.0.0:443\", \"[::]:443\"]";
        wrong("tls.acme", "domains", reason.to_owned());
    }
}

/// What is wrong with the listeners, TLS and WebSocket.
fn check_streams(config: &Config, wrong: &mut impl FnMut(&'static str, &'static str, String)) {
    let Config { udp, xdp, http, tls, websocket, .. } = config;
    if udp.listen.addresses.is_empty() {
        if http.listen.addresses.is_empty() && tls.listen.addresses.is_empty() {
            let reason = "nothing is left to listen on: udp.listen, http.listen and tls.listen are all empty";
            wrong("udp", "listen", reason.to_owned());
        } else if !xdp.interfaces.is_empty() {
            let reason = "the fast path serves UDP alone and udp.listen is empty: leave one of the two out";
            wrong("xdp", "interfaces", reason.to_owned());
        }
    }
    check_certificate(config, wrong);
    let by_unix = http.listen.addresses.iter().any(|address| matches!(address, ListenAddress::Unix(_)));
    if http.proxy_protocol && http.trusted_proxies.is_empty() && !by_unix {
        let reason = "nobody may send a PROXY header: name the proxies in http.trusted_proxies, or let them come by a \
                      Unix socket in http.listen";
        wrong("http", "proxy_protocol", reason.to_owned());
    }
    if by_unix && http.client_address_header.is_none() && !http.proxy_protocol {
        let reason = "the peers of a Unix socket have no address, so no announce by it could be served: set \
                      http.client_address_header or http.proxy_protocol, or leave the socket out";
        wrong("http", "listen", reason.to_owned());
    }
    if websocket.queue_size < websocket.max_message_size {
        let [queue, message] =
            [websocket.queue_size, websocket.max_message_size].map(|size| units::size(size as u64));
        let reason = format!("{queue} does not hold one message of websocket.max_message_size = {message}");
        wrong("websocket", "queue_size", reason);
    }
    if websocket.ping_interval >= websocket.idle_timeout {
        let [ping, idle] = [websocket.ping_interval, websocket.idle_timeout].map(units::duration);
        let reason = format!("{ping} is not shorter than websocket.idle_timeout = {idle}");
        wrong("websocket", "ping_interval", reason);
    }
    if let Some(origin) = websocket.allowed_origins.iter().find(|o| websocket.denied_origins.contains(o)) {
        let reason = format!("`{origin}` is in websocket.allowed_origins too");
        wrong("websocket", "denied_origins", reason);
    }
}

/// What is wrong with how this node shows who it is to NATS servers, and they to it.
fn check_cluster(cluster: &Cluster, wrong: &mut impl FnMut(&'static str, &'static str, String)) {
    let ways = [("credentials", &cluster.credentials), ("nkey", &cluster.nkey), ("login", &cluster.login)];
    let mut set = ways.iter().filter(|(_, file)| file.is_some()).map(|(key, _)| *key);
    if let Some(first) = set.next() {
        for key in set {
            let reason = format!(
                "cluster.{first} is set, too, and a node has one way to log in: leave one of the two out"
            );
            wrong("cluster", key, reason);
        }
    }
    let pair = [("tls_certificate", &cluster.tls_certificate), ("tls_key", &cluster.tls_key)];
    if let [(one, Some(_)), (other, None)] | [(other, None), (one, Some(_))] = pair {
        wrong("cluster", other, format!("cluster.{one} is set and of no use alone: set both or neither"));
    }
    if cluster.servers.is_empty() || cluster.servers.iter().any(|server| server.tls) {
        return;
    }
    for (key, file) in [("tls_ca", &cluster.tls_ca), pair[0], pair[1]] {
        if file.is_some() {
            let reason = "no server in cluster.servers has to speak TLS, so that whoever is on the way could prevent it: write \
                          tls:// before each";
            wrong("cluster", key, reason.to_owned());
        }
    }
}
