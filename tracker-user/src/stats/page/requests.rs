//! Requests by protocol and path: over the last hour and the last day, and in numbers.

use crate::stats::{
    View,
    chart::{Below, Chart, Column, Scale},
    history::{Course, Of, Series},
    text::{Short, Whole},
};
use std::fmt::{self, Write as _};

/// A series by its name on the page and the class that colours it.
type Named = (Series, &'static str, &'static str);

const PATHS: [Named; 5] = [
    (Series::UdpKernel, "UDP kernel", "kernel"),
    (Series::UdpXsk, "UDP AF_XDP", "xsk"),
    (Series::UdpSocket, "UDP sockets", "socket"),
    (Series::Http, "HTTP", "http"),
    (Series::Websocket, "WebSocket", "ws"),
];

/// A chart of the last hour by minutes.
pub(super) fn write_hour(page: &mut String, view: &View) -> fmt::Result {
    let title = |age| match age {
        0 => "This minute".to_owned(),
        1 => "1 minute ago".to_owned(),
        _ => format!("{age} minutes ago"),
    };
    let below = ["60 min", "45 min", "30 min", "15 min", "now"];
    page.push_str("<figcaption>Last hour, by minutes</figcaption>");
    write_chart(page, "minute of the last hour", &view.hour, title, below)
}

/// A chart of the last day by quarters of an hour.
pub(super) fn write_day(page: &mut String, view: &View) -> fmt::Result {
    let title = |age: usize| match (age / 4, age % 4 * 15) {
        (0, 0) => "This quarter of an hour".to_owned(),
        (0, minutes) => format!("{minutes} minutes ago"),
        (hours, 0) => format!("{hours} h ago"),
        (hours, minutes) => format!("{hours} h {minutes} min ago"),
    };
    let below = ["24 h", "18 h", "12 h", "6 h", "now"];
    page.push_str("<figcaption>Last day, by quarters of an hour</figcaption>");
    write_chart(page, "quarter of an hour of the last day", &view.day, title, below)
}

fn with_rates(mut title: String, rates: Option<&Of<f64>>) -> String {
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

/// `title` names the stretch that ended so many stretches ago.
fn write_chart(
    page: &mut String,
    each: &str,
    course: &Course,
    title: impl Fn(usize) -> String,
    below: [&str; 5],
) -> fmt::Result {
    let column = |(age, rates): (usize, &Option<Of<f64>>)| {
        let parts = rates.iter().flat_map(|rates| PATHS.map(|(series, _, class)| (class, rates[series])));
        Column { title: with_rates(title(age), rates.as_ref()), parts: parts.collect() }
    };
    let mut columns: Vec<Column> = course.stretches.iter().rev().enumerate().map(column).collect();
    columns.reverse();
    let busiest = course.busiest();
    let chart = Chart {
        label: &format!("Requests per second by protocol and path, for each {each}; at most {busiest:.1}"),
        // Without requests the axis is only there to be seen.
        scale: Scale::linear(if busiest > 0.0 { busiest } else { 5.0 }),
        columns,
        below: below
            .into_iter()
            .enumerate()
            .map(|(i, text)| Below { place: i as f64 * 25.0, text, minor: i % 2 == 1 })
            .collect(),
        empty: (busiest <= 0.0).then_some("No requests yet"),
    };
    write!(page, "<div class=\"axis\">{chart}</div>")
}

/// A row for each path.
pub(super) fn write_paths(page: &mut String, view: &View) -> fmt::Result {
    page.push_str(
        "<table><thead><tr><th scope=\"col\">Path</th><th scope=\"col\">now</th><th scope=\"col\">last hour</th>\
        <th scope=\"col\">last day</th><th scope=\"col\">since start</th></tr></thead><tbody>",
    );
    for (series, name, class) in PATHS {
        let count = view.reading.counts[series];
        let dim = if count == 0 { " class=\"zero\"" } else { "" };
        write!(
            page,
            "<tr{dim}><th scope=\"row\"><i class=\"{class}\"></i>{name}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            Short(view.rates[series]),
            Short(view.hour.mean[series]),
            Short(view.day.mean[series]),
            Whole(count)
        )?;
    }
    page.push_str("</tbody></table>");
    Ok(())
}
