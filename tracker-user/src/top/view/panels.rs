//! The parts of the screen: each makes its lines for a width, the most important first.

use super::cells::{Columns, Look, NARROW, cut, title};
use crate::top::{
    app::{App, Latest, Order},
    history::Figure,
    numbers::{amount, bytes, percent, span},
    reading::{Cluster, Count, Queue, Reading, Worker},
};
use ratatui::{
    style::Style,
    text::{Line, Span},
};
use std::collections::BTreeMap;

/// So many threads of a kind are shown one by one; more are summed up.
const MOST_WORKERS: usize = 4;

type Lines = Vec<Line<'static>>;
/// How a number is written.
type Unit = fn(f64) -> String;

/// What a figure is now, and over the last minutes.
fn figure(app: &App, look: Look, width: usize, figure: Figure) -> Line<'static> {
    let columns = Columns::of(width);
    let (label, unit): (_, Unit) = match figure {
        Figure::All => ("all", amount),
        Figure::Path(name) | Figure::Action(name) => (name, amount),
        Figure::Dropped => ("dropped", amount),
        Figure::Received => ("in", bytes),
        Figure::Sent => ("out", bytes),
    };
    let now = app.history.latest(figure).map_or_else(|| "-".to_owned(), unit);
    columns.row(label, &now, [look.history(&app.history.points(figure, columns.rest), columns.rest)])
}

/// The little that there is room for on a small screen.
pub(super) fn summary(app: &App, latest: &Latest, look: Look, width: usize) -> Lines {
    let mut lines = Vec::from([Figure::All, Figure::Dropped].map(|of| figure(app, look, width, of)));
    lines.extend(uses(&latest.reading, look, width).into_iter().take(2));
    lines
}

/// Requests a second.
pub(super) fn rates(app: &App, latest: &Latest, look: Look, width: usize, is_summed_up: bool) -> Lines {
    let length = app.history.length().filter(|_| width >= NARROW);
    let more = length
        .map_or_else(String::new, |length| format!("last {}", span((length + app.every).as_secs_f64())));
    let counts = &latest.reading.counts;
    let is_there = |of: &Figure| match of {
        Figure::All | Figure::Dropped => !is_summed_up,
        Figure::Path(name) => counts.contains_key(&Count::Path((*name).to_owned())),
        Figure::Action(name) => counts.contains_key(&Count::Action((*name).to_owned())),
        Figure::Received | Figure::Sent => true,
    };
    let rows = Figure::ALL.into_iter().filter(is_there).map(|of| figure(app, look, width, of));
    [title(width, "a second", &more)].into_iter().chain(rows).collect()
}

/// What is used of what there is room for.
pub(super) fn room(latest: &Latest, look: Look, width: usize) -> Lines {
    [title(width, "room", "")].into_iter().chain(uses(&latest.reading, look, width)).collect()
}

fn uses(reading: &Reading, look: Look, width: usize) -> Lines {
    let peers = Some(reading.all_peers());
    let all: [(_, _, _, Unit); 3] = [
        ("peers", peers, reading.peers_limit, amount),
        ("memory", reading.memory, reading.memory_limit, bytes),
        ("websockets", reading.websocket_memory, reading.websocket_memory_limit, bytes),
    ];
    let shown = all.into_iter().filter_map(|(label, used, limit, unit)| {
        Some(one_use(look, width, label, used?, limit.filter(|limit| *limit > 0.0), unit))
    });
    shown.collect()
}

fn one_use(
    look: Look,
    width: usize,
    label: &str,
    used: f64,
    limit: Option<f64>,
    unit: Unit,
) -> Line<'static> {
    const OF: usize = 12;
    const PERCENT: usize = 4;
    let columns = Columns::of(width);
    let Some(limit) = limit else { return columns.row(label, &unit(used), []) };
    let (share, mut rest, mut left) = (used / limit, String::new(), columns.rest);
    if left >= OF + PERCENT {
        rest = format!("{:OF$}", format!("of {}", unit(limit)));
        left -= OF;
    }
    // Where there is no room for a sign the number is enough.
    rest += cut(&format!("{:>1$}", percent(share), PERCENT.min(left)), left);
    if left >= PERCENT + 5 {
        let bar = look.bar(share, left - PERCENT - 1);
        return columns.row(label, &unit(used), [Span::raw(rest + " ")].into_iter().chain(bar));
    }
    columns.row(label, &unit(used), [Span::raw(rest)])
}

/// Who is in the swarms.
pub(super) fn swarms(latest: &Latest, width: usize) -> Lines {
    let reading = &latest.reading;
    let (label, wide, names) =
        if width < NARROW { (8, 6, ["seed", "leech"]) } else { (11, 9, ["seeders", "leechers"]) };
    let row = |name: &str, values: [String; 2], style: Style| {
        let [first, second] = values;
        Line::from(vec![
            Span::raw(format!("{:label$}", cut(name, label))),
            Span::styled(format!("{first:>wide$}{second:>wide$}"), style),
        ])
    };
    let mut lines = vec![row("swarms", names.map(str::to_owned), Style::new().dim())];
    if let Some(span) = lines[0].spans.first_mut() {
        span.style = Style::new().bold();
    }
    for (family, peers) in &reading.peers {
        lines.push(row(family, [peers.seeders, peers.leechers].map(amount), Style::new()));
    }
    for (name, count) in [("torrents", reading.torrents), ("websockets", reading.websockets)] {
        lines.extend(count.map(|count| row(name, [amount(count), String::new()], Style::new())));
    }
    lines
}

/// How busy threads are; nothing where nobody tells.
pub(super) fn workers(latest: &Latest, look: Look, width: usize) -> Lines {
    let mut kinds: BTreeMap<&str, Vec<(&Worker, Option<f64>)>> = BTreeMap::new();
    for count in latest.reading.counts.keys() {
        if let Count::Busy(worker) = count {
            kinds.entry(&worker.serves).or_default().push((worker, latest.rates.of(count)));
        }
    }
    if kinds.is_empty() {
        return Vec::new();
    }
    let columns = Columns::of(width);
    let row = |label: &str, share: Option<f64>, most: String| {
        let room = columns.rest.saturating_sub(most.len());
        let bar =
            share.map_or_else(|| [Span::raw(" ".repeat(room)), Span::raw("")], |share| look.bar(share, room));
        let share = share.map_or_else(|| "-".to_owned(), percent);
        columns.row(label, &share, bar.into_iter().chain([Span::raw(most)]))
    };
    let mut lines = vec![title(width, "workers", if width < NARROW { "" } else { "busy" })];
    for (serves, threads) in kinds.into_iter().rev() {
        if threads.len() <= MOST_WORKERS {
            lines.extend(
                threads.iter().map(|(worker, share)| {
                    row(&format!("{serves} {}", worker.number), *share, String::new())
                }),
            );
            continue;
        }
        let known: Vec<f64> = threads.iter().filter_map(|(_, share)| *share).collect();
        let together = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
        let busiest = format!(" most {:>4}", percent(known.iter().copied().fold(0.0, f64::max)));
        lines.push(row(&format!("{serves} x{}", threads.len()), together, busiest));
    }
    lines
}

/// How full the queues of AF_XDP sockets are, the fullest first; nothing where there are none.
pub(super) fn queues(latest: &Latest, width: usize) -> Lines {
    let used = |queue: &Queue| match queue.frames > 0.0 {
        true => (1.0 - queue.room / queue.frames).clamp(0.0, 1.0),
        false => 0.0,
    };
    let mut queues: Vec<_> = latest.reading.queues.iter().collect();
    if queues.is_empty() {
        return Vec::new();
    }
    queues.sort_by(|(_, one), (_, other)| used(other).total_cmp(&used(one)));
    let columns = Columns::of(width);
    let rows = queues.into_iter().map(|((interface, number), queue)| {
        // The number tells queues apart when the name is long.
        let number = number.to_string();
        let room = columns.label.saturating_sub(number.len() + 1);
        let label = format!("{} {number}", cut(interface, room));
        let waiting = format!("rx {} tx {}", amount(queue.rx), amount(queue.tx));
        columns.row(&label, &percent(used(queue)), [Span::raw(waiting)])
    });
    let more = if width < NARROW { "" } else { "frames in use, waiting" };
    [title(width, "queues", more)].into_iter().chain(rows).collect()
}

/// What nodes hear of each other; nothing where no cluster is on.
pub(super) fn cluster(latest: &Latest, look: Look, width: usize) -> Lines {
    let Some(cluster) = latest.reading.cluster else { return Vec::new() };
    let (counts, columns) = (&latest.reading.counts, Columns::of(width));
    let state = match cluster {
        Cluster { connected: 0.0, .. } => Span::styled("no NATS: alone", look.bad()),
        Cluster { joined: 0.0, .. } => Span::styled("joining", look.bad()),
        Cluster { cut_off, .. } if cut_off > 0.0 => {
            Span::styled(format!("{} cut off", amount(cut_off)), look.bad())
        }
        Cluster { incomplete, .. } if incomplete > 0.0 => {
            Span::styled(format!("{} incomplete", amount(incomplete)), look.bad())
        }
        _ => Span::raw("connected"),
    };
    let changes = ["in", "out"].into_iter().filter_map(|direction| {
        let count = Count::Change(direction.to_owned());
        counts.contains_key(&count).then(|| {
            let rate = latest.rates.of(&count).map_or_else(|| "-".to_owned(), amount);
            columns.row(direction, &rate, [Span::raw("changes a second")])
        })
    });
    let lost =
        counts.get(&Count::Lost).map(|lost| columns.row("lost", &amount(*lost), [Span::raw("batches")]));
    let levels = [
        columns.row("nodes", &amount(cluster.nodes), [state]),
        columns.row("lag", &format!("{}s", amount(cluster.lag)), []),
    ];
    [title(width, "cluster", "")].into_iter().chain(levels).chain(changes).chain(lost).collect()
}

/// What got lost or was refused, by where and why; what never happened is left out.
pub(super) fn losses(app: &App, latest: &Latest, width: usize) -> Lines {
    let rows = latest.reading.counts.iter().filter_map(|(count, total)| match count {
        Count::Dropped(name) | Count::Refused(name) if *total > 0.0 => {
            Some((name.as_str(), latest.rates.of(count), *total))
        }
        _ => None,
    });
    table("dropped, refused", rows.collect(), app, width)
}

/// What software announces.
pub(super) fn clients(app: &App, latest: &Latest, width: usize) -> Lines {
    let rows = latest.reading.counts.iter().filter_map(|(count, total)| match count {
        Count::Client(name) if *total > 0.0 => {
            // One that is new has no other.
            let rate = latest.steady.of(count).or_else(|| latest.rates.of(count));
            Some((name.as_str(), rate, *total))
        }
        _ => None,
    });
    table("clients", rows.collect(), app, width)
}

/// Names with a rate and a total; narrow, only with what they are sorted by.
fn table(heading: &str, mut rows: Vec<(&str, Option<f64>, f64)>, app: &App, width: usize) -> Lines {
    const NUMBER: usize = 7;
    match app.order {
        Order::Rate => rows.sort_by(|(_, one, of_one), (_, other, of_other)| {
            let [one, other] = [one, other].map(|rate| rate.unwrap_or(-1.0));
            other.total_cmp(&one).then(of_other.total_cmp(of_one))
        }),
        Order::Total => rows.sort_by(|(.., one), (.., other)| other.total_cmp(one)),
        Order::Name => rows.sort_by_key(|(name, ..)| name.to_lowercase()),
    }
    let is_wide = width >= NARROW;
    let label = width.saturating_sub(if is_wide { 2 * NUMBER } else { NUMBER });
    let style = |order| if app.order == order { Style::new().bold() } else { Style::new().dim() };
    let number = |order, text: &str, style| {
        let shown = is_wide || (app.order == Order::Total) == (order == Order::Total);
        shown.then(|| Span::styled(format!("{text:>NUMBER$}"), style))
    };
    let name = |text: &str, style| Span::styled(format!("{:label$}", cut(text, label)), style);
    let line = |first, second: [Option<Span<'static>>; 2]| {
        Line::from([first].into_iter().chain(second.into_iter().flatten()).collect::<Vec<_>>())
    };
    let heads = [(Order::Rate, "/s"), (Order::Total, "total")];
    let mut lines = vec![line(
        name(heading, Style::new().bold()),
        heads.map(|(order, text)| number(order, text, style(order))),
    )];
    for (text, rate, total) in rows {
        // What happens just now is what to look at.
        let happens = rate.is_some_and(|rate| rate > 0.0);
        let plain = if happens { Style::new().bold() } else { Style::new() };
        let rate = rate.map_or_else(|| "-".to_owned(), amount);
        lines.push(line(
            name(text, plain),
            [number(Order::Rate, &rate, plain), number(Order::Total, &amount(total), Style::new())],
        ));
    }
    if lines.len() == 1 {
        lines.push(Line::styled("none", Style::new().dim()));
    }
    lines
}
