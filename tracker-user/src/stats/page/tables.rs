//! Who comes, for what, what is refused, and how the fast path is.

use crate::html::Escaped;
use crate::stats::{
    View,
    history::Series,
    reasons::REASONS,
    text::{Percent, Short, Whole},
};
use std::{
    cmp::Reverse,
    fmt::{self, Display, Write as _},
};
use tracker_core::client_software::{ANNOUNCES_PER_LOOK, ClientSoftware};

/// Names of client software that have a row.
const CLIENTS: usize = 10;
const ACTIONS: [(Series, &str); 5] = [
    (Series::Announce, "Announces"),
    (Series::Scrape, "Scrapes"),
    (Series::Connect, "UDP connects"),
    (Series::Offer, "Offers relayed"),
    (Series::Dropped, "UDP dropped"),
];

/// The commonest, and all others together.
pub(super) fn write_clients(page: &mut String, view: &View) -> fmt::Result {
    let clients = &view.reading.clients;
    let all: u64 = clients.iter().map(|(_, announces)| announces).sum();
    write!(
        page,
        "<h2>Clients by software</h2><p class=\"note\">as their peer IDs tell, by one announce in {ANNOUNCES_PER_LOOK}"
    )?;
    if all == 0 {
        page.push_str(". No announces yet.</p>");
        return Ok(());
    }
    page.push_str(
        "</p><table><thead><tr><th scope=\"col\">Client</th><th scope=\"col\">announces</th><th scope=\"col\">share</th>\
        <td class=\"part\"></td></tr></thead><tbody>",
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
    page.push_str("</tbody></table>");
    Ok(())
}

fn write_client(page: &mut String, name: &str, announces: u64, all: u64) -> fmt::Result {
    let dim = if announces == 0 { " class=\"zero\"" } else { "" };
    let (part, whole) = (announces as f64, all as f64);
    write!(
        page,
        "<tr{dim}><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"part\"><svg width=\"100%\" height=\"8\" \
        aria-hidden=\"true\"><rect class=\"bar\" width=\"{:.1}%\" height=\"8\"/></svg></td></tr>",
        Escaped(name),
        Whole(announces),
        Percent(part, whole),
        100.0 * part / whole
    )
}

/// Requests of every protocol by what they ask for.
pub(super) fn write_actions(page: &mut String, view: &View) -> fmt::Result {
    page.push_str("<h2>By what is asked</h2>");
    write_counts_head(page, "What");
    for (series, name) in ACTIONS {
        write_counts(page, &name, view.rates[series], view.reading.counts[series])?;
    }
    page.push_str("</tbody></table>");
    Ok(())
}

/// What was refused so far, the commonest first.
pub(super) fn write_refusals(page: &mut String, view: &View) -> fmt::Result {
    page.push_str("<h2>Refused</h2><p class=\"note\">where, and why</p>");
    let counts = &view.reading.counts;
    let mut refused: Vec<usize> = (0..REASONS.len()).filter(|place| counts.refused(*place) > 0).collect();
    refused.sort_by_key(|place| Reverse(counts.refused(*place)));
    if refused.is_empty() {
        page.push_str("<p class=\"note\">Nothing so far.</p>");
        return Ok(());
    }
    write_counts_head(page, "Reason");
    for place in refused {
        let reason = &REASONS[place];
        let name = format_args!("{}: {}", reason.place.name(), reason.text);
        write_counts(page, &name, view.rates.refused(place), counts.refused(place))?;
    }
    page.push_str("</tbody></table>");
    Ok(())
}

fn write_counts_head(page: &mut String, what: &str) {
    let _ = write!(
        page,
        "<table><thead><tr><th scope=\"col\">{what}</th><th scope=\"col\">per second</th>\
        <th scope=\"col\">since start</th></tr></thead><tbody>"
    );
}

fn write_counts(page: &mut String, name: &dyn Display, rate: f64, count: u64) -> fmt::Result {
    let dim = if count == 0 { " class=\"zero\"" } else { "" };
    write!(
        page,
        "<tr{dim}><th scope=\"row\">{name}</th><td>{}</td><td>{}</td></tr>",
        Short(rate),
        Whole(count)
    )
}

/// A row for each interface that XDP is wanted on.
pub(super) fn write_interfaces(page: &mut String, view: &View) -> fmt::Result {
    page.push_str("<h2>Fast path (XDP)</h2>");
    let interfaces = &view.reading.interfaces;
    if interfaces.is_empty() {
        page.push_str("<p class=\"note\">On no interface: ordinary sockets serve everything.</p>");
        return Ok(());
    }
    page.push_str(
        "<table><thead><tr><th scope=\"col\">Interface</th><th scope=\"col\">mode</th><th scope=\"col\">AF_XDP</th>\
        <th scope=\"col\">queues</th></tr></thead><tbody>",
    );
    for interface in interfaces {
        write!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>",
            Escaped(&interface.name),
            interface.mode.unwrap_or("not attached"),
            interface.bind.unwrap_or("none"),
            interface.sockets
        )?;
    }
    page.push_str("</tbody></table>");
    Ok(())
}
