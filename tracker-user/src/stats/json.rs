//! The same numbers for programs. Names and units are told in `docs/stats.md`, and are stable.

use super::{
    Interface, View,
    history::{MINUTES, Of, QUARTERS, Series},
    reading::{Cluster, Connections as Open, Reading},
    reasons::REASONS,
};
use crate::metrics::Sources;
use serde::Serialize;
use tracker_core::{
    engine::{SwarmSizes, Totals},
    model::Network,
};

#[derive(Serialize)]
struct Document<'a> {
    version: &'a str,
    commit: &'a str,
    uptime_seconds: u64,
    torrents: usize,
    retained_torrents: usize,
    announce_interval_seconds: u32,
    reply_peers_limit: usize,
    peers: Peers,
    connections: Connections,
    requests: Rates<ByPath<f64>, ByPath<u64>>,
    actions: Rates<ByAction<f64>, ByAction<u64>>,
    families: Rates<ByFamily<f64>, ByFamily<u64>>,
    udp: Rates<Udp<f64>, Udp<u64>>,
    refusals: Vec<Refusal>,
    hour: Vec<Minute>,
    day: Vec<Quarter>,
    swarm_sizes: Vec<Size>,
    clients: Vec<Client>,
    interfaces: &'a [Interface],
    cluster: Option<Cluster>,
}

/// What there is at one moment, for whoever shows it by itself; with the names of the document.
#[derive(Serialize)]
pub struct Present {
    torrents: usize,
    retained_torrents: usize,
    peers: Peers,
    connections: Connections,
    requests: ByPath<u64>,
    interfaces: Vec<Interface>,
}

impl Present {
    /// Of now.
    #[must_use]
    pub fn take(sources: &Sources) -> Self {
        let Reading { counts, totals, connections, interfaces, .. } = Reading::take(sources);
        Self {
            torrents: totals.torrents,
            retained_torrents: totals.retained,
            peers: Peers::of(&totals),
            connections: Connections::of(connections),
            requests: by_path(&counts),
            interfaces,
        }
    }
}

#[derive(Serialize)]
struct Rates<R, T> {
    per_second: R,
    total: T,
}

#[derive(Serialize)]
struct Peers {
    ipv4: ByRole,
    ipv6: ByRole,
    webrtc: ByRole,
}

#[derive(Serialize)]
struct ByRole {
    seeder: usize,
    leecher: usize,
}

#[derive(Serialize)]
struct Connections {
    http: usize,
    https: usize,
    websocket: usize,
}

#[derive(Serialize)]
struct ByPath<T> {
    udp_kernel: T,
    udp_xsk: T,
    udp_socket: T,
    http: T,
    websocket: T,
}

#[derive(Serialize)]
struct ByAction<T> {
    connect: T,
    announce: T,
    scrape: T,
    offer: T,
}

#[derive(Serialize)]
struct ByFamily<T> {
    ipv4: T,
    ipv6: T,
}

#[derive(Serialize)]
struct Udp<T> {
    dropped: T,
    received_bytes: T,
    sent_bytes: T,
}

#[derive(Serialize)]
struct Refusal {
    at: &'static str,
    reason: &'static str,
    per_second: f64,
    total: u64,
}

#[derive(Serialize)]
struct Quarter {
    quarters_ago: usize,
    requests_per_second: Option<ByPath<f64>>,
}

#[derive(Serialize)]
struct Minute {
    minutes_ago: usize,
    requests_per_second: Option<ByPath<f64>>,
}

#[derive(Serialize)]
struct Size {
    at_most: Option<u32>,
    torrents: u64,
}

#[derive(Serialize)]
struct Client {
    name: &'static str,
    announces: u64,
}

/// The whole document.
pub(super) fn render(view: &View) -> Vec<u8> {
    let reading = &view.reading;
    let (rates, counts) = (&view.rates, &reading.counts);
    let (minutes, quarters) = (view.hour.stretches.iter().enumerate(), view.day.stretches.iter().enumerate());
    let document = Document {
        version: view.version,
        commit: view.commit,
        uptime_seconds: view.uptime,
        torrents: reading.totals.torrents,
        retained_torrents: reading.totals.retained,
        announce_interval_seconds: reading.announce_interval,
        reply_peers_limit: reading.reply_peers_limit,
        peers: Peers::of(&reading.totals),
        connections: Connections::of(reading.connections),
        requests: Rates { per_second: by_path(rates), total: by_path(counts) },
        actions: Rates { per_second: by_action(rates), total: by_action(counts) },
        families: Rates { per_second: by_family(rates), total: by_family(counts) },
        udp: Rates { per_second: udp(rates), total: udp(counts) },
        refusals: REASONS
            .iter()
            .enumerate()
            .map(|(i, reason)| Refusal {
                at: reason.place.label(),
                reason: reason.label,
                per_second: rates.refused(i),
                total: counts.refused(i),
            })
            .collect(),
        hour: minutes
            .map(|(i, rates)| Minute {
                minutes_ago: MINUTES - 1 - i,
                requests_per_second: rates.as_ref().map(by_path),
            })
            .collect(),
        day: quarters
            .map(|(i, rates)| Quarter {
                quarters_ago: QUARTERS - 1 - i,
                requests_per_second: rates.as_ref().map(by_path),
            })
            .collect(),
        swarm_sizes: reading
            .sizes
            .torrents
            .iter()
            .enumerate()
            .map(|(i, &torrents)| Size { at_most: SwarmSizes::BOUNDS.get(i).copied(), torrents })
            .collect(),
        clients: reading
            .clients
            .iter()
            .map(|&(software, announces)| Client { name: software.name(), announces })
            .collect(),
        interfaces: &reading.interfaces,
        cluster: reading.cluster,
    };
    // Nothing in it can fail to be written: there are only text keys, and numbers that are finite.
    let mut json = serde_json::to_vec_pretty(&document).unwrap_or_default();
    json.push(b'\n');
    json
}

impl Peers {
    fn of(totals: &Totals) -> Self {
        Self {
            ipv4: by_role(totals, Network::Ipv4),
            ipv6: by_role(totals, Network::Ipv6),
            webrtc: by_role(totals, Network::Webrtc),
        }
    }
}

impl Connections {
    fn of(open: Open) -> Self {
        Self { http: open.plain, https: open.tls, websocket: open.websocket }
    }
}

fn by_role(totals: &Totals, network: Network) -> ByRole {
    ByRole { seeder: totals.complete(network), leecher: totals.incomplete(network) }
}

fn by_path<T: Copy>(of: &Of<T>) -> ByPath<T> {
    ByPath {
        udp_kernel: of[Series::UdpKernel],
        udp_xsk: of[Series::UdpXsk],
        udp_socket: of[Series::UdpSocket],
        http: of[Series::Http],
        websocket: of[Series::Websocket],
    }
}

fn by_action<T: Copy>(of: &Of<T>) -> ByAction<T> {
    ByAction {
        connect: of[Series::Connect],
        announce: of[Series::Announce],
        scrape: of[Series::Scrape],
        offer: of[Series::Offer],
    }
}

fn by_family<T: Copy>(of: &Of<T>) -> ByFamily<T> {
    ByFamily { ipv4: of[Series::Ipv4], ipv6: of[Series::Ipv6] }
}

fn udp<T: Copy>(of: &Of<T>) -> Udp<T> {
    Udp { dropped: of[Series::Dropped], received_bytes: of[Series::Received], sent_bytes: of[Series::Sent] }
}
