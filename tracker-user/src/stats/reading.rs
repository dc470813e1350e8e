//! What the counters say at one moment.

use super::{
    history::{Of, Series},
    refusals,
};
use crate::{
    counters::Path,
    http::counters::{Action as HttpAction, Outcome as HttpOutcome},
    metrics::{Sources, kernel_bytes, kernel_connects},
    ws::{self, Hub},
    xdp::{interface::Report, link::Mode, socket::Bind},
};
use serde::Serialize;
use std::sync::Weak;
use tracker_common::{address::Family, bep15::Action};
use tracker_core::{
    client_software::ClientSoftware,
    engine::{SwarmSizes, Totals},
    model::Seconds,
    ws::Kind,
};

/// Everything that is read from elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) counts: Of<u64>,
    pub(super) totals: Totals,
    /// How long clients of UDP and HTTP are asked to wait, seconds.
    pub(super) announce_interval: Seconds,
    /// Peers in a UDP reply at most.
    pub(super) reply_peers_limit: usize,
    pub(super) sizes: SwarmSizes,
    pub(super) connections: Connections,
    /// Announces by client software, the commonest first, others last.
    pub(super) clients: Vec<(ClientSoftware, u64)>,
    pub(super) interfaces: Vec<Interface>,
    /// Where one is on.
    pub(super) cluster: Option<Cluster>,
}

/// A cluster, as far as the world may know: whose torrents and peers are in the totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Cluster {
    /// Those that are heard of, this one included.
    pub(super) nodes: usize,
    /// Whether this one hears of what comes to others.
    pub(super) connected: bool,
}

/// Connections that are open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connections {
    /// HTTP without TLS.
    pub(super) plain: usize,
    /// HTTP with TLS.
    pub(super) tls: usize,
    pub(super) websocket: usize,
}

/// An interface on which the XDP program is wanted.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Interface {
    pub(super) name: String,
    /// How the program is attached, if it is.
    pub(super) mode: Option<&'static str>,
    /// How its sockets are bound, if it has any.
    pub(super) bind: Option<&'static str>,
    pub(super) sockets: usize,
}

impl Reading {
    pub(super) fn take(sources: &Sources) -> Self {
        let (policy, measures) = (sources.engine.policy(), sources.engine.measures());
        Self {
            announce_interval: policy.admission.present_interval(measures),
            reply_peers_limit: policy.admission.most_by_udp(measures),
            counts: counts(sources),
            totals: sources.engine.totals(),
            sizes: sources.engine.swarm_sizes(),
            connections: Connections {
                plain: sources.http.connections(false),
                tls: sources.http.connections(true),
                websocket: sources.websocket.as_ref().map_or(0, |hub| hub.connections()),
            },
            clients: sources.client_announces(),
            interfaces: sources.xdp.read().iter().map(Interface::new).collect(),
            cluster: sources.cluster.as_ref().map(|cluster| {
                let status = cluster.status();
                Cluster { nodes: status.nodes_here(), connected: status.is_connected }
            }),
        }
    }
}

impl Interface {
    fn new(report: &Report) -> Self {
        Self {
            name: report.name.clone(),
            mode: report.attached.map(|(mode, _)| Mode::label(mode)),
            bind: report.attached.and_then(|(_, bind)| bind).map(Bind::label),
            sockets: report.sockets.iter().filter_map(Weak::upgrade).count(),
        }
    }
}

/// The counters that are followed over time.
pub(super) fn counts(sources: &Sources) -> Of<u64> {
    let mut counts = Of::default();
    let reports = sources.xdp.read();
    for (family, of_family) in [(Family::Ipv4, Series::Ipv4), (Family::Ipv6, Series::Ipv6)] {
        let connects = kernel_connects(&reports, family);
        counts.add(Series::UdpKernel, connects);
        counts.add(Series::Connect, connects);
        counts.add(of_family, connects);
        let (received, sent) = kernel_bytes(&reports, family);
        counts.add(Series::Received, received);
        counts.add(Series::Sent, sent);
        for (path, of_path) in [(Path::Xsk, Series::UdpXsk), (Path::Socket, Series::UdpSocket)] {
            for (action, of_action) in [
                (Action::Connect, Series::Connect),
                (Action::Announce, Series::Announce),
                (Action::Scrape, Series::Scrape),
            ] {
                let requests = sources.udp_requests(path, action, family);
                counts.add(of_path, requests);
                counts.add(of_action, requests);
                counts.add(of_family, requests);
            }
            let (received, sent) = sources.udp_bytes(path, family);
            counts.add(Series::Received, received);
            counts.add(Series::Sent, sent);
        }
    }
    count_http(sources, &mut counts);
    if let Some(hub) = &sources.websocket {
        count_websocket(hub, &mut counts);
    }
    refusals::count(sources, &reports, &mut counts);
    counts
}

/// Announces and scrapes over HTTP; other requests are none of the tracker's.
fn count_http(sources: &Sources, counts: &mut Of<u64>) {
    for (action, of_action) in
        [(HttpAction::Announce, Series::Announce), (HttpAction::Scrape, Series::Scrape)]
    {
        for (family, of_family) in
            [(Some(Family::Ipv4), Some(Series::Ipv4)), (Some(Family::Ipv6), Some(Series::Ipv6)), (None, None)]
        {
            let outcomes = HttpOutcome::ALL.into_iter();
            let requests = outcomes.map(|outcome| sources.http.requests(action, family, outcome)).sum();
            for series in [Some(Series::Http), Some(of_action), of_family].into_iter().flatten() {
                counts.add(series, requests);
            }
        }
    }
}

fn count_websocket(hub: &Hub, counts: &mut Of<u64>) {
    let counters = hub.counters();
    counts.add(Series::Websocket, counters.received.sum());
    counts.add(Series::Announce, counters.received.of(Kind::Announce));
    counts.add(Series::Scrape, counters.received.of(Kind::Scrape));
    counts.add(Series::Offer, counters.sent.of(ws::Sent::Offer));
}
