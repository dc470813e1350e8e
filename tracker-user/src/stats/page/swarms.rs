//! Torrents and peers: how large swarms are, and how peers are reached.

use crate::stats::{
    View,
    chart::{Below, Chart, Column, Scale, shares},
    history::Series,
    text::{Percent, Short, Whole},
};
use std::fmt::{self, Write as _};
use tracker_core::{engine::SwarmSizes, model::Network};

const NETWORKS: [(Network, &str, &str); 3] =
    [(Network::Ipv4, "IPv4", "v4"), (Network::Ipv6, "IPv6", "v6"), (Network::Webrtc, "WebRTC", "rtc")];

/// A chart of torrents by their size.
pub(super) fn write_sizes(page: &mut String, view: &View) -> fmt::Result {
    let sizes = &view.reading.sizes;
    let torrents: u64 = sizes.torrents.iter().sum();
    let largest = sizes.torrents.iter().copied().max().unwrap_or(0);
    let mut above = 0;
    let columns = sizes.torrents.iter().enumerate().map(|(i, &torrents)| {
        let range = match SwarmSizes::BOUNDS.get(i) {
            Some(1) => "1 peer".to_owned(),
            Some(&bound) if bound == above + 1 => format!("{bound} peers"),
            Some(&bound) => format!("{} to {} peers", Whole((above + 1).into()), Whole(bound.into())),
            None => format!("more than {} peers", Whole(above.into())),
        };
        above = SwarmSizes::BOUNDS.get(i).copied().unwrap_or(above);
        let noun = if torrents == 1 { "torrent" } else { "torrents" };
        let title = format!("{range}: {} {noun}", Whole(torrents));
        Column { title, parts: vec![("bar", torrents as f64)] }
    });
    let below = [(1, "1"), (10, "10"), (100, "100"), (1_000, "1k"), (10_000, "10k"), (100_000, "100k")];
    let places = SwarmSizes::BOUNDS.len() + 1;
    let middle = |bound| {
        let i = SwarmSizes::BOUNDS.iter().position(|other| *other == bound)?;
        Some((i as f64 + 0.5) * 100.0 / places as f64)
    };
    let chart = Chart {
        label: "Torrents by how many peers they have",
        scale: Scale::log(largest as f64),
        columns: columns.collect(),
        below: below
            .iter()
            .filter_map(|(bound, text)| Some(Below { place: middle(*bound)?, text, minor: false }))
            .collect(),
        empty: (torrents == 0).then_some("No torrents yet"),
    };
    let mean = sizes.peers as f64 / torrents.max(1) as f64;
    write!(
        page,
        "<h2>Swarms by size</h2><p class=\"note\">torrents by number of peers, on a logarithmic \
        scale; {} peers on average</p><div class=\"axis\">{chart}</div>",
        Short(mean)
    )
}

/// Peers now, and requests of the last hour, by family.
pub(super) fn write_families(page: &mut String, view: &View) -> fmt::Result {
    let totals = &view.reading.totals;
    let of = |network| (totals.complete(network) + totals.incomplete(network)) as u64;
    let all: u64 = NETWORKS.iter().map(|(network, ..)| of(*network)).sum();
    let bar = shares("Peers by family", &NETWORKS.map(|(network, _, class)| (class, of(network) as f64)));
    write!(
        page,
        "<h2>Clients by family</h2><p class=\"note\">peers now</p>{bar}<table><thead><tr><th scope=\"col\">Family</th>\
        <th scope=\"col\">seeding</th><th scope=\"col\">leeching</th><th scope=\"col\">share</th></tr></thead><tbody>"
    )?;
    for (network, name, class) in NETWORKS {
        let dim = if of(network) == 0 { " class=\"zero\"" } else { "" };
        write!(
            page,
            "<tr{dim}><th scope=\"row\"><i class=\"{class}\"></i>{name}</th><td>{}</td><td>{}</td><td>{}</td></tr>",
            Whole(totals.complete(network) as u64),
            Whole(totals.incomplete(network) as u64),
            Percent(of(network) as f64, all as f64)
        )?;
    }
    let (ipv4, ipv6) = (view.hour.mean[Series::Ipv4], view.hour.mean[Series::Ipv6]);
    let bar = shares("UDP and HTTP requests by family", &[("v4", ipv4), ("v6", ipv6)]);
    let all = ipv4 + ipv6;
    page.push_str("</tbody></table><p class=\"note hour\">UDP and HTTP requests in the last hour: ");
    match all > 0.0 {
        true => write!(page, "{} IPv4, {} IPv6", Percent(ipv4, all), Percent(ipv6, all))?,
        false => page.push_str("none"),
    }
    write!(page, "</p>{bar}")
}
