//! What each program of aquatic does, said to Riptide.

use super::{
    given::{Found, Keys},
    known::Program,
    listeners::{self, Listeners},
    shared,
};
use crate::config::{
    from::sheet::{Value, shown},
    readers::header_name,
};
use std::ops::RangeInclusive;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What `swarm.interval`, `swarm.peer_timeout` and `websocket.interval` take, seconds.
const INTERVALS: RangeInclusive<u64> = 1..=4 * HOUR;
/// What `swarm.max_num_want` takes.
const PEERS: RangeInclusive<u64> = 1..=1000;
/// What `http.max_scrape_hashes` and `websocket.max_scrape_hashes` take.
const SCRAPED: RangeInclusive<u64> = 1..=10_000;
/// What `udp.max_scrape_hashes` takes with the default of `udp.max_datagram`.
const SCRAPED_BY_UDP: RangeInclusive<u64> = 1..=102;
/// What `udp.connection_id_lifetime` takes, seconds.
const CONNECTION_IDS: RangeInclusive<u64> = 2 * MINUTE..=HOUR;
/// What `udp.receive_buffer` takes.
const BUFFERS: RangeInclusive<u64> = 64 * KIB..=1024 * MIB;
/// What `swarm.sweep_interval` takes, seconds.
const SWEEPS: RangeInclusive<u64> = 1..=10 * MINUTE;
/// What `http.idle_timeout` and `websocket.offer_lifetime` take, seconds.
const UP_TO_AN_HOUR: RangeInclusive<u64> = 1..=HOUR;
/// What `websocket.max_message_size` takes.
const MESSAGES: RangeInclusive<u64> = KIB..=16 * MIB;
/// What `websocket.max_offers` takes.
const OFFERS: RangeInclusive<u64> = 0..=1000;

/// aquatic's own buffer, bytes, which is 8 MiB as people say it.
const USUAL_BUFFER: u64 = 8_000_000;

/// Writes all that a program of aquatic is told.
pub(super) fn write(program: Program, keys: &mut Keys<'_>) {
    match program {
        Program::Udp => udp(keys),
        Program::Http => http(keys),
        Program::Ws => ws(keys),
    }
    shared::log(keys);
    shared::access(keys);
    shared::privileges(keys);
}

fn udp(keys: &mut Keys<'_>) {
    let Listeners { addresses, source } = listeners::by_family(keys);
    keys.sheet.set("udp", "listen", Value::List(addresses), source);
    nowhere(keys, "http", "aquatic_udp serves no HTTP");
    shared::workers(keys, "udp");
    match keys.given_number("network.socket_recv_buffer_size") {
        None | Some(USUAL_BUFFER) => {}
        Some(0) => keys.idle(&["network.socket_recv_buffer_size"], "0 leaves it to the system"),
        Some(value) => {
            let size = Found { value, source: "network.socket_recv_buffer_size".to_owned() };
            keys.set_bytes("udp", "receive_buffer", size, BUFFERS);
        }
    }
    let hashes = keys.number("protocol.max_scrape_torrents", 70);
    keys.set_number("udp", "max_scrape_hashes", hashes, SCRAPED_BY_UDP);
    peers(keys, "protocol.max_response_peers", 30);
    let interval = keys.number("protocol.peer_announce_interval", 15 * MINUTE);
    keys.set_seconds("swarm", "interval", interval, INTERVALS);
    let age = keys.number("cleaning.max_connection_age", 2 * MINUTE);
    keys.set_seconds("udp", "connection_id_lifetime", age, CONNECTION_IDS)
        .note("Riptide's own default is longer, since some clients use theirs for longer than they should");
    expiry(keys, 20 * MINUTE);
    if keys.given_number("statistics.interval") == Some(0) {
        let keys_of_it = ["statistics.run_prometheus_endpoint", "statistics.prometheus_endpoint_address"];
        keys.idle(&keys_of_it, "statistics.interval is 0");
    } else {
        shared::metrics(keys, "statistics.run_prometheus_endpoint", "statistics.prometheus_endpoint_address");
    }
}

fn http(keys: &mut Keys<'_>) {
    let listeners = listeners::by_family(keys);
    let is_local = listeners.are_local();
    streams(keys, listeners);
    nowhere(keys, "udp", "aquatic_http serves no UDP");
    shared::workers(keys, "http");
    if keys.given_switch("network.keep_alive") == Some(false) {
        keys.sheet
            .leave_out("network.keep_alive", "connections stay open for http.idle_timeout, as clients wish");
    }
    proxy(keys, is_local);
    let hashes = keys.number("protocol.max_scrape_torrents", 100);
    keys.set_number("http", "max_scrape_hashes", hashes, SCRAPED);
    peers(keys, "protocol.max_peers", 50);
    let interval = keys.number("protocol.peer_announce_interval", 2 * MINUTE);
    keys.set_seconds("swarm", "interval", interval, INTERVALS);
    expiry(keys, 30 * MINUTE);
    if let Some(value) = keys.given_number("cleaning.max_connection_idle") {
        let idle = Found { value, source: "cleaning.max_connection_idle".to_owned() };
        keys.set_seconds("http", "idle_timeout", idle, UP_TO_AN_HOUR);
    }
    shared::metrics(keys, "metrics.run_prometheus_endpoint", "metrics.prometheus_endpoint_address");
    keys.sheet
        .difference("WebTorrent is served at the same addresses; `[websocket] enabled = false` turns it off");
}

fn ws(keys: &mut Keys<'_>) {
    let listeners = listeners::one(keys);
    streams(keys, listeners);
    nowhere(keys, "udp", "aquatic_ws serves no UDP");
    shared::workers(keys, "http");
    if let Some(value) = keys.given_number("network.websocket_max_message_size") {
        let size = Found { value, source: "network.websocket_max_message_size".to_owned() };
        keys.set_bytes("websocket", "max_message_size", size, MESSAGES);
    }
    let hashes = keys.number("protocol.max_scrape_torrents", 255);
    keys.set_number("websocket", "max_scrape_hashes", hashes, SCRAPED);
    let offers = keys.number("protocol.max_offers", 10);
    keys.set_number("websocket", "max_offers", offers, OFFERS);
    let interval = keys.number("protocol.peer_announce_interval", 2 * MINUTE);
    keys.set_seconds("websocket", "interval", interval, INTERVALS);
    let age = keys.number("cleaning.max_offer_age", 2 * MINUTE);
    keys.set_seconds("websocket", "offer_lifetime", age, UP_TO_AN_HOUR);
    shared::metrics(keys, "metrics.run_prometheus_endpoint", "metrics.prometheus_endpoint_address");
    keys.sheet.difference("Announces and scrapes over HTTP are answered at the same addresses");
}

/// Listens nowhere by a protocol, since aquatic has another program for it.
fn nowhere(keys: &mut Keys<'_>, table: &'static str, why: &str) {
    keys.sheet.set(table, "listen", Value::List(Vec::new()), why);
}

/// Listens by TCP, with TLS or without.
fn streams(keys: &mut Keys<'_>, listeners: Listeners) {
    let Listeners { addresses, source } = listeners;
    if shared::tls(keys) {
        let source = format!("{source} with network.enable_tls");
        keys.sheet.set("tls", "listen", Value::List(addresses), source);
        nowhere(keys, "http", "network.enable_tls");
    } else {
        keys.sheet.set("http", "listen", Value::List(addresses), source);
    }
}

/// How many peers a reply lists. aquatic lists so many to a client that does not say how many it wants, too.
fn peers(keys: &mut Keys<'_>, name: &'static str, default: u64) {
    let most = keys.number(name, default);
    keys.set_number("swarm", "default_num_want", most.clone(), PEERS);
    keys.set_number("swarm", "max_num_want", most, PEERS);
}

/// When a peer is gone that was not heard of.
fn expiry(keys: &mut Keys<'_>, default: u64) {
    let age = keys.number("cleaning.max_peer_age", default);
    keys.set_seconds("swarm", "peer_timeout", age, INTERVALS);
    if let Some(value) = keys.given_number("cleaning.torrent_cleaning_interval") {
        let source = "cleaning.torrent_cleaning_interval".to_owned();
        keys.set_seconds("swarm", "sweep_interval", Found { value, source }, SWEEPS);
    }
}

/// Whose word on a client's address is taken. aquatic takes everybody's, so it tells not where the proxy is.
fn proxy(keys: &mut Keys<'_>, is_local: bool) {
    const ON: &str = "network.runs_behind_reverse_proxy";
    const HEADER: &str = "network.reverse_proxy_ip_header_name";
    const FORMAT: &str = "network.reverse_proxy_ip_header_format";
    if !keys.switch(ON, false) {
        keys.idle(&[HEADER, FORMAT], "network.runs_behind_reverse_proxy is false");
        return;
    }
    let local = ["127.0.0.0/8", "::1/128"].map(str::to_owned);
    let entry = keys.sheet.set("http", "trusted_proxies", Value::List(local.into()), ON);
    if !is_local {
        entry.caution("name the networks of your proxies here; aquatic believes whoever connects");
    }
    let header = keys.text(HEADER, "X-Forwarded-For");
    match header_name(&header.value) {
        // The name as it is written: case does not count in it.
        Ok(name) if name != "x-forwarded-for" => {
            keys.sheet.set("http", "client_address_header", Value::Text(header.value), header.source);
        }
        Ok(_) => {}
        Err(problem) => keys.wrong(HEADER, &problem),
    }
    if let Some(format) = keys.given_text(FORMAT)
        && format != "last_address"
    {
        keys.wrong(FORMAT, &format!("{} is no format of aquatic", shown(&format)));
    }
}
