//! The few numbers that say most.

use crate::stats::{
    View,
    history::Series,
    reading::{Cluster, Reading},
    text::{Age, Bytes, Percent, Short, Whole},
};
use std::fmt::{self, Display, Write as _};
use tracker_core::{engine::Totals, model::Network};

/// A tile for each.
pub(super) fn write(page: &mut String, view: &View) -> fmt::Result {
    let Reading { totals, connections, announce_interval, reply_peers_limit, .. } = &view.reading;
    let all = |of: fn(&Totals, Network) -> usize| {
        Network::ALL.map(|network| of(totals, network) as u64).iter().sum()
    };
    let (seeders, leechers): (u64, u64) = (all(Totals::complete), all(Totals::incomplete));
    let http = connections.plain + connections.tls;
    let mut tile = |name: &str, big: &dyn Display, small: &dyn Display| {
        write!(page, "<div><dt>{name}</dt><dd class=\"big\">{big}</dd><dd><small>{small}</small></dd></div>")
    };
    tile(
        "Requests per second",
        &Short(view.rates.all_paths()),
        &format_args!("busiest minute {}", Short(view.hour.busiest())),
    )?;
    tile(
        "Torrents",
        &Whole(totals.torrents as u64),
        &format_args!("{} more remembered", Whole(totals.retained as u64)),
    )?;
    tile(
        "Peers",
        &Whole(seeders + leechers),
        &format_args!("{} seeding", Percent(seeders as f64, (seeders + leechers) as f64)),
    )?;
    tile(
        "Connections",
        &Whole((http + connections.websocket) as u64),
        &format_args!("{} HTTP, {} WebSocket", Short(http as f64), Short(connections.websocket as f64)),
    )?;
    tile(
        "UDP sent per second",
        &Bytes(view.rates[Series::Sent]),
        &format_args!("{} received", Bytes(view.rates[Series::Received])),
    )?;
    tile(
        "Announce interval",
        &Age(u64::from(*announce_interval)),
        &format_args!("{reply_peers_limit} peers at most"),
    )
}

/// Where a cluster is on, whose the numbers are.
pub(super) fn write_whose(page: &mut String, view: &View) -> fmt::Result {
    match view.reading.cluster {
        Some(Cluster { nodes, connected: true }) => {
            let all = if nodes == 1 { "this node, the only one" } else { "all" };
            let count = if nodes == 1 { String::new() } else { format!(" {} nodes", Whole(nodes as u64)) };
            write!(
                page,
                "Torrents and peers are those of {all}{count}; requests, connections and refusals are this node's own."
            )
        }
        Some(Cluster { connected: false, .. }) => page.write_str(
            "This node has no connection to others and serves alone, with the peers that it knows.",
        ),
        None => Ok(()),
    }
}
