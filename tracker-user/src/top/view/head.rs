//! The first lines and the last one: what is looked at, what is wrong with it, and what keys do.

use super::{
    Moment,
    cells::{Look, parts, wrap},
};
use crate::top::{
    app::App,
    numbers::{percent, span},
};
use ratatui::{
    style::Style,
    text::{Line, Span},
};

/// What this is, of which tracker, and how that is.
pub(super) fn first(app: &App, look: Look, moment: Moment, width: usize) -> Line<'static> {
    let reading = app.latest.as_ref().map(|latest| &latest.reading);
    let version = reading.map_or_else(|| "riptide".to_owned(), |it| format!("riptide {}", it.version));
    let state = match (app.is_current(), reading) {
        _ if app.paused => Span::styled("paused", Style::new().bold().reversed()),
        (true, Some(reading)) => match reading.ready {
            Some(true) => Span::styled("ready", look.good()),
            Some(false) => Span::styled("not ready", look.bad()),
            None => Span::raw(""),
        },
        _ if app.trouble.is_some() => Span::styled("no answer", look.bad()),
        _ => Span::raw("asking"),
    };
    let up = reading.and_then(|reading| reading.started).map(|started| moment.wall - started);
    let up = up.map_or_else(String::new, |seconds| format!("up {}", span(seconds)));
    let commit = reading.map_or_else(String::new, |reading| reading.commit.clone());
    parts(
        width,
        [
            Span::styled(version, Style::new().bold()),
            state,
            Span::raw(app.address.clone()),
            Span::raw(up),
            Span::styled(commit, Style::new().dim()),
        ],
    )
}

/// How XDP is attached, and what clients are told.
pub(super) fn second(app: &App, width: usize) -> Option<Line<'static>> {
    let reading = &app.latest.as_ref()?.reading;
    let interfaces = reading.interfaces.iter().map(|it| format!("{} {} {}", it.name, it.mode, it.bind));
    let interfaces = interfaces.collect::<Vec<_>>().join(", ");
    let xdp = if interfaces.is_empty() { "no XDP".to_owned() } else { format!("XDP {interfaces}") };
    let told = [("interval", reading.interval.map(span)), ("pressure", reading.pressure.map(percent))];
    let told = told.into_iter().filter_map(|(what, value)| Some(format!("{what} {}", value?)));
    Some(parts(width, [xdp].into_iter().chain(told).map(Span::raw)))
}

/// What is wrong, on so many lines at most; none if nothing is.
pub(super) fn trouble(
    app: &App,
    look: Look,
    moment: Moment,
    width: usize,
    most: usize,
) -> Vec<Line<'static>> {
    let Some(trouble) = &app.trouble else { return Vec::new() };
    let since = match &app.latest {
        Some(latest) => {
            let seconds = moment.now.saturating_duration_since(latest.at).as_secs_f64();
            format!("last reading {} ago", span(seconds))
        }
        None => "no reading yet".to_owned(),
    };
    let again =
        if app.paused { String::new() } else { format!(" Trying every {}.", span(app.every.as_secs_f64())) };
    let text = wrap(&format!("{since}: {trouble}.{again}"), width);
    text.into_iter().take(most).map(|line| Line::styled(line, look.bad())).collect()
}

/// What keys do.
pub(super) fn last(app: &App, width: usize) -> Line<'static> {
    let pause = if app.paused { "p go on" } else { "p pause" };
    let every = format!("+/- every {}", span(app.every.as_secs_f64()));
    let order = format!("s by {}", app.order.label());
    let keys = ["q quit".to_owned(), "? help".to_owned(), pause.to_owned(), order, every];
    parts(width, keys.map(|key| Span::styled(key, Style::new().dim())))
}

/// All of what keys do, and what words mean.
pub(super) fn help(width: usize) -> Vec<Line<'static>> {
    const KEYS: [(&str, &str); 5] = [
        ("q Esc ^C", "end"),
        ("p space", "pause, go on"),
        ("s", "sort by rate, total or name"),
        ("+ -", "read less often, more often"),
        ("?", "this, and back"),
    ];
    const WORDS: [(&str, &str); 11] = [
        ("kernel", "answered by the XDP program in the kernel"),
        ("xsk", "through AF_XDP, past the network stack"),
        ("socket", "through ordinary UDP sockets"),
        ("ws", "WebTorrent, over WebSocket"),
        ("offer", "offers of WebTorrent that were passed on"),
        ("dropped", "what got no answer, and why"),
        ("refused", "what got an answer, but not what it wanted"),
        ("lag", "how long changes of other nodes are on their way"),
        ("lost", "batches of such that had to be asked for again"),
        ("workers", "the share of their time in which they were busy"),
        ("queues", "frames of AF_XDP sockets that are in use"),
    ];
    let bold = |text: &str| Span::styled(format!("{text:10}"), Style::new().bold());
    let rows = |rows: &[(&str, &'static str)]| {
        let mut lines = Vec::new();
        for (name, meaning) in rows {
            for (n, part) in wrap(meaning, width.saturating_sub(10)).into_iter().enumerate() {
                let name = if n == 0 { bold(name) } else { bold("") };
                lines.push(Line::from(vec![name, Span::raw(part)]));
            }
        }
        lines
    };
    let mut lines = rows(&KEYS);
    lines.push(Line::default());
    lines.extend(rows(&WORDS));
    lines
}
