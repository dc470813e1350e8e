//! The page that people read: one HTML document without scripts or anything from elsewhere.

use super::{
    Reading, View,
    chart::{Below, Chart, Column, Scale, shares},
    history::{MINUTES, Of, Series},
    text::{Age, Bytes, Escaped, Short, Whole},
};
use std::fmt::{Display, Write as _};
use tracker_core::{
    client_software::{ANNOUNCES_PER_LOOK, ClientSoftware},
    engine::{SwarmSizes, Totals},
    model::Network,
};

const STYLE: &str = include_str!("style.css");

/// A series by its name on the page and the class that colours it.
type Named = (Series, &'static str, &'static str);

const PATHS: [Named; 5] = [
    (Series::UdpKernel, "UDP kernel", "kernel"),
    (Series::UdpXsk, "UDP AF_XDP", "xsk"),
    (Series::UdpSocket, "UDP sockets", "socket"),
    (Series::Http, "HTTP", "http"),
    (Series::Websocket, "WebSocket", "ws"),
];
const NETWORKS: [(Network, &str, &str); 3] =
    [(Network::Ipv4, "IPv4", "v4"), (Network::Ipv6, "IPv6", "v6"), (Network::Webrtc, "WebRTC", "rtc")];
/// Names of client software that have a row.
const CLIENTS: usize = 10;
const ACTIONS: [(Series, &str); 5] = [
    (Series::Announce, "Announces"),
    (Series::Scrape, "Scrapes"),
    (Series::Connect, "UDP connects"),
    (Series::Offer, "Offers relayed"),
    (Series::Dropped, "UDP dropped"),
];

/// The whole page.
pub(super) fn render(view: &View) -> String {
    let mut page = String::with_capacity(64 << 10);
    // Writing to a string does not fail.
    let _ = write_page(&mut page, view);
    page
}

fn write_page(page: &mut String, view: &View) -> std::fmt::Result {
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Riptide</title>\
        <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
        <meta http-equiv=\"refresh\" content=\"10\"><meta name=\"robots\" content=\"noindex\">\
        <style>{STYLE}</style></head><body><header><h1>{WAVE}Riptide</h1><p>up {} · <span title=\"commit {}\">version {}</span></p></header><main>",
        Age(view.uptime),
        Escaped(view.commit),
        Escaped(view.version)
    )?;
    write_tiles(page, view)?;
    write_requests(page, view)?;
    page.push_str("<div class=\"pair\">");
    write_sizes(page, &view.reading.sizes)?;
    write_families(page, view)?;
    page.push_str("</div><div class=\"pair\">");
    write_clients(page, &view.reading.clients)?;
    page.push_str("<div>");
    write_actions(page, view)?;
    write_interfaces(page, &view.reading)?;
    page.push_str("</div></div></main><footer><span>Refreshes every 10 seconds</span>");
    page.push_str("<a href=\"stats.json\">The same as JSON</a></footer></body></html>\n");
    Ok(())
}

const WAVE: &str = "<svg viewBox=\"0 0 30 20\" aria-hidden=\"true\"><path d=\"M2 7q4.3-6 8.7 0t8.7 0 8.6 0M2 15q4.3-6 8.7 0t8.7 0 8.6 0\"/></svg>";

fn write_tiles(page: &mut String, view: &View) -> std::fmt::Result {
    let Reading { totals, connections, announce_interval, reply_peers_limit, .. } = &view.reading;
    let all = |of: fn(&Totals, Network) -> usize| {
        Network::ALL.map(|network| of(totals, network) as u64).iter().sum()
    };
    let (seeders, leechers): (u64, u64) = (all(Totals::complete), all(Totals::incomplete));
    let busiest = view.minutes.iter().flatten().map(Of::all_paths).fold(0.0, f64::max);
    let http = connections.plain + connections.tls;
    page.push_str("<dl class=\"tiles\">");
    let mut tile = |name: &str, big: &dyn Display, small: &dyn Display| {
        write!(page, "<div><dt>{name}</dt><dd class=\"big\">{big}</dd><dd><small>{small}</small></dd></div>")
    };
    tile(
        "Requests per second",
        &Short(view.rates.all_paths()),
        &format_args!("busiest minute {}", Short(busiest)),
    )?;
    tile(
        "Torrents",
        &Whole(totals.torrents as u64),
        &format_args!("{} more remembered", Whole(totals.retained as u64)),
    )?;
    tile(
        "Peers",
        &Whole(seeders + leechers),
        &format_args!("{} seeding, {} leeching", Short(seeders as f64), Short(leechers as f64)),
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
        &format_args!("at most {reply_peers_limit} peers by UDP"),
    )?;
    page.push_str("</dl>");
    Ok(())
}

fn write_requests(page: &mut String, view: &View) -> std::fmt::Result {
    let busiest = view.minutes.iter().flatten().map(Of::all_paths).fold(0.0, f64::max);
    let columns = view.minutes.iter().enumerate().map(|(i, minute)| Column {
        title: minute_title(MINUTES - 1 - i, minute.as_ref()),
        parts: minute
            .iter()
            .flat_map(|rates| PATHS.map(|(series, _, class)| (class, rates[series])))
            .collect(),
    });
    let chart = Chart {
        label: "Requests per second by protocol and path, for each minute of the last hour",
        // Without requests the axis is only there to be seen.
        scale: Scale::linear(if busiest > 0.0 { busiest } else { 5.0 }),
        columns: columns.collect(),
        below: vec![
            Below { place: 0.0, text: "60 min", minor: false },
            Below { place: 25.0, text: "45 min", minor: true },
            Below { place: 50.0, text: "30 min", minor: false },
            Below { place: 75.0, text: "15 min", minor: true },
            Below { place: 100.0, text: "now", minor: false },
        ],
        empty: (busiest <= 0.0).then_some("No requests in the last hour"),
    };
    write!(
        page,
        "<section class=\"card\"><h2>Requests over the last hour</h2><p class=\"note\">per second, by protocol and path</p>\
        <div class=\"axis\">{chart}</div><table><thead><tr><th>Path</th><th>per second</th><th>since start</th></tr></thead><tbody>"
    )?;
    for (series, name, class) in PATHS {
        write_rates(page, &format_args!("<i class=\"{class}\"></i>{name}"), view, series)?;
    }
    page.push_str("</tbody></table></section>");
    Ok(())
}

fn minute_title(age: usize, rates: Option<&Of<f64>>) -> String {
    let mut title = match age {
        0 => "This minute".to_owned(),
        1 => "1 minute ago".to_owned(),
        _ => format!("{age} minutes ago"),
    };
    match rates {
        None => title.push_str(": not running"),
        Some(rates) => {
            for (series, name, _) in PATHS.iter().rev().filter(|(series, ..)| rates[*series] > 0.0) {
                let _ = write!(title, "\n{name}: {:.1}/s", rates[*series]);
            }
        }
    }
    title
}

/// A row of a table: what, its rate now, its count.
fn write_rates(page: &mut String, name: &dyn Display, view: &View, series: Series) -> std::fmt::Result {
    let (rate, count) = (view.rates[series], view.reading.counts[series]);
    let class = if count == 0 { " class=\"zero\"" } else { "" };
    write!(page, "<tr{class}><td>{name}</td><td>{}</td><td>{}</td></tr>", Short(rate), Whole(count))
}

fn write_sizes(page: &mut String, sizes: &SwarmSizes) -> std::fmt::Result {
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
        "<section class=\"card\"><h2>Swarms by size</h2><p class=\"note\">torrents by number of peers, on a logarithmic \
        scale; {} peers on average</p><div class=\"axis\">{chart}</div></section>",
        Short(mean)
    )
}

fn write_families(page: &mut String, view: &View) -> std::fmt::Result {
    let totals = &view.reading.totals;
    let of = |network| (totals.complete(network) + totals.incomplete(network)) as u64;
    let all: u64 = NETWORKS.iter().map(|(network, ..)| of(*network)).sum();
    let bar = shares("Peers by family", &NETWORKS.map(|(network, _, class)| (class, of(network) as f64)));
    write!(
        page,
        "<section class=\"card\"><h2>Clients by family</h2><p class=\"note\">peers now</p>{bar}<table><thead><tr>\
        <th>Family</th><th>seeding</th><th>leeching</th><th>share</th></tr></thead><tbody>"
    )?;
    for (network, name, class) in NETWORKS {
        let dim = if of(network) == 0 { " class=\"zero\"" } else { "" };
        write!(
            page,
            "<tr{dim}><td><i class=\"{class}\"></i>{name}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            Whole(totals.complete(network) as u64),
            Whole(totals.incomplete(network) as u64),
            Percent(of(network) as f64, all as f64)
        )?;
    }
    let hour = |series: Series| view.minutes.iter().flatten().map(|rates| rates[series]).sum::<f64>();
    let (ipv4, ipv6) = (hour(Series::Ipv4), hour(Series::Ipv6));
    let bar = shares("UDP and HTTP requests by family", &[("v4", ipv4), ("v6", ipv6)]);
    let all = ipv4 + ipv6;
    page.push_str("</tbody></table><p class=\"note hour\">UDP and HTTP requests in the last hour: ");
    match all > 0.0 {
        true => write!(page, "{} IPv4, {} IPv6", Percent(ipv4, all), Percent(ipv6, all))?,
        false => page.push_str("none"),
    }
    write!(page, "</p>{bar}</section>")
}

/// The commonest, and all others together.
fn write_clients(page: &mut String, clients: &[(ClientSoftware, u64)]) -> std::fmt::Result {
    let all: u64 = clients.iter().map(|(_, announces)| announces).sum();
    write!(
        page,
        "<section class=\"card\"><h2>Clients by software</h2><p class=\"note\">as their peer IDs tell, by one announce in \
        {ANNOUNCES_PER_LOOK}"
    )?;
    if all == 0 {
        page.push_str(". No announces yet.</p></section>");
        return Ok(());
    }
    page.push_str(
        "</p><table><thead><tr><th>Client</th><th>announces</th><th>share</th></tr></thead><tbody>",
    );
    let is_shown = |(place, (software, _)): (usize, &(ClientSoftware, u64))| {
        place < CLIENTS && *software != ClientSoftware::OTHER
    };
    let shown = clients.iter().enumerate().take_while(|client| is_shown(*client)).map(|(_, client)| client);
    let mut rest = all;
    for (software, announces) in shown {
        rest -= announces;
        write_client(page, software.name(), *announces, all)?;
    }
    write_client(page, "Other", rest, all)?;
    page.push_str("</tbody></table></section>");
    Ok(())
}

fn write_client(page: &mut String, name: &str, announces: u64, all: u64) -> std::fmt::Result {
    let dim = if announces == 0 { " class=\"zero\"" } else { "" };
    let share = Percent(announces as f64, all as f64);
    write!(page, "<tr{dim}><td>{}</td><td>{}</td><td>{share}</td></tr>", Escaped(name), Whole(announces))
}

fn write_actions(page: &mut String, view: &View) -> std::fmt::Result {
    page.push_str(
        "<section class=\"card\"><h2>By what is asked</h2><table><thead><tr><th>What</th><th>per second</th>\
        <th>since start</th></tr></thead><tbody>",
    );
    for (series, name) in ACTIONS {
        write_rates(page, &name, view, series)?;
    }
    page.push_str("</tbody></table></section>");
    Ok(())
}

fn write_interfaces(page: &mut String, reading: &Reading) -> std::fmt::Result {
    page.push_str("<section class=\"card\"><h2>Fast path (XDP)</h2>");
    if reading.interfaces.is_empty() {
        page.push_str("<p class=\"note\">On no interface: ordinary sockets serve everything.</p></section>");
        return Ok(());
    }
    page.push_str(
        "<table><thead><tr><th>Interface</th><th>mode</th><th>AF_XDP</th><th>queues</th></tr></thead><tbody>",
    );
    for interface in &reading.interfaces {
        write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            Escaped(&interface.name),
            interface.mode.unwrap_or("not attached"),
            interface.bind.unwrap_or("none"),
            interface.sockets
        )?;
    }
    page.push_str("</tbody></table></section>");
    Ok(())
}

/// A part of a whole; a dash where there is no whole.
struct Percent(f64, f64);

impl Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(part, whole) = *self;
        match 100.0 * part / whole {
            _ if whole <= 0.0 => f.write_str("–"),
            percent if percent > 0.0 && percent < 0.5 => f.write_str("&lt;1%"),
            percent => write!(f, "{percent:.0}%"),
        }
    }
}
