//! A long load with churn and expiry: whether memory, loss and latency stay as they are.

use super::{
    Figure, expiry,
    field::{self, Asked, Outcome},
};
use crate::bench::{
    Lab,
    load::{Pace, Population, Udp, Window, watch},
    progress::Plan,
    report::{Better, Detail, Report, Row, Series, median},
    table,
    tracker::{Purpose, Tracker},
};
use anyhow::Result;
use serde_json::json;
use std::time::{Duration, Instant};

/// The share of the served rate that is offered.
const SHARE: f64 = 0.8;
/// When a peer is forgotten.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long a round of expiry takes.
const SWEEP: Duration = Duration::from_secs(10);
/// So many that each announces about every 40 s, where some hundred thousand announces a second are served: most are
/// forgotten and come again.
const POPULATION: Population = Population { torrents: 5_000_000, peers: 10_000_000, seed: 1 };
/// Figures are told by windows of this length.
const WINDOW: Duration = Duration::from_secs(10);
/// Until here as many come as go.
const SETTLED: f64 = 90.0;

/// What is ahead.
pub(crate) fn plan(lab: &Lab) -> Plan {
    Plan::steps(1, lab.choose(60, 140)) + Plan::steps(1, lab.soak.as_secs() + 10)
}

/// Adds the rows and the series.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> Result<()> {
    let purpose = Purpose { peer_timeout: TIMEOUT, sweep: SWEEP, ..Purpose::of(POPULATION) };
    let name = Tracker::Native.name();

    let step = lab.progress.begin(&format!("soak: search, {name}"));
    let (mut running, ..) = field::start(lab, Tracker::Native, &purpose)?;
    let served =
        Asked::new(lab, Figure::Mix).search(&mut running, Tracker::Native.fill(), &mut Outcome::default())?;
    step.end(&field::rate(served));

    let rate = served * SHARE;
    let step = lab.progress.begin(&format!("soak: {} for {}, {name}", field::rate(rate), minutes(lab.soak)));
    let load = Udp {
        mix: Figure::Mix.shares(),
        pace: Pace::Rate(rate),
        duration: lab.soak,
        warmup: Duration::from_secs(1),
        fill: None,
        windows: Some(WINDOW),
        population: POPULATION,
    };
    let begun = Instant::now();
    let (mut memory, mut peers) = (Vec::<(f64, f64)>::new(), Vec::<(f64, f64)>::new());
    let figures = watch(lab, running.load(lab, &load), load.deadline(), WINDOW, || {
        let seconds = begun.elapsed().as_secs_f64();
        memory.push((seconds, running.program.resident()?));
        peers.push((seconds, expiry::peers(&running.rig.tracker)?));
        Ok(())
    })?;
    running.program.check()?;

    let latency: Vec<(f64, f64)> =
        figures.windows.iter().filter_map(|window| Some((window.seconds, window.p999?))).collect();
    let loss: Vec<(f64, f64)> = figures.windows.iter().map(|window| (window.seconds, lost(window))).collect();
    let rows = [
        flat("soak: memory, highest", &memory, "bytes", 1.1, 1.03),
        flat("soak: p99.9 of a window, highest", &latency, "s", 3.0, 2.0),
        unanswered(figures.unanswered_share),
    ];
    step.end(&format!(
        "memory {}, p99.9 {}, {:.3} % unanswered",
        rows[0].ratio().map_or_else(String::new, table::times),
        rows[1].ratio().map_or_else(String::new, table::times),
        figures.unanswered_share * 100.0
    ));
    let alive = table::grouped(median(peers.iter().map(|(_, peers)| *peers)).unwrap_or_default());
    let all = table::grouped(POPULATION.peers as f64);
    let mut told =
        format!("{} at {}; {alive} of {all} peers alive at a time", minutes(lab.soak), field::rate(rate));
    if figures.stolen_seconds > 0.0 {
        let stolen = table::amount(Some(figures.stolen_seconds), "s");
        told += &format!("; the host gave {stolen} of processor time to others meanwhile (steal)");
    }
    report.rows.extend(rows.map(|row| row.note(&told)));
    for (y_label, points) in [
        ("resident bytes", memory),
        ("p99.9 latency, s", latency),
        ("unanswered share", loss),
        ("peers", peers),
    ] {
        let points = points.into_iter().map(|(seconds, y)| (seconds / 60.0, y)).collect();
        report.series.push(Series {
            name: format!("{name}, soak"),
            x_label: "minutes".to_owned(),
            y_label: y_label.to_owned(),
            points,
        });
    }
    report.details.push(Detail {
        program: name.to_owned(),
        figure: "soak".to_owned(),
        values: json!({
            "rate": rate,
            "found": served,
            "answered": figures.answered,
            "unanswered_share": figures.unanswered_share,
            "wrong_replies": figures.wrong_replies().as_deref().unwrap_or("none"),
            "cpu_seconds_per_million": figures.cpu_seconds_per_million,
            "stolen_seconds": figures.stolen_seconds,
        }),
    });
    Ok(())
}

fn minutes(time: Duration) -> String {
    match time.as_secs() / 60 {
        1 => "1 minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}

/// The share of a window's requests that were not answered.
fn lost(window: &Window) -> f64 {
    if window.sent > 0.0 { window.unanswered / window.sent } else { 0.0 }
}

/// The highest value beside the middle one, from where as many come as go. A run too short for that counts whole.
fn flat(name: &str, points: &[(f64, f64)], unit: &str, floor: f64, goal: f64) -> Row {
    let settled: Vec<f64> =
        points.iter().filter(|(seconds, _)| *seconds >= SETTLED).map(|(_, value)| *value).collect();
    let values: Vec<f64> =
        if settled.is_empty() { points.iter().map(|(_, value)| *value).collect() } else { settled };
    Row {
        name: name.to_owned(),
        against: "its median".to_owned(),
        ours: values.iter().copied().max_by(f64::total_cmp),
        theirs: median(values),
        unit: unit.to_owned(),
        floor,
        goal,
        better: Better::Less,
        note: String::new(),
        rounds: Vec::new(),
    }
}

/// As a served rate may lose, and a fifth of that.
fn unanswered(share: f64) -> Row {
    Row {
        name: "soak: unanswered requests".to_owned(),
        against: String::new(),
        ours: Some(share * 100.0),
        theirs: None,
        unit: "%".to_owned(),
        floor: 0.5,
        goal: 0.1,
        better: Better::Less,
        note: String::new(),
        rounds: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::Reached;

    #[test]
    fn what_grows_is_not_flat() {
        let grows: Vec<_> = (0..200).map(|n| (f64::from(n), 100.0 + f64::from(n))).collect();
        let row = flat("memory", &grows, "bytes", 1.1, 1.03);
        assert_eq!((row.ours, row.theirs), (Some(299.0), Some(244.5)), "the beginning is left out");
        assert_eq!(row.reached(), Reached::No);
        let stays: Vec<_> = (0..200).map(|n| (f64::from(n), 100.0)).collect();
        assert_eq!(flat("memory", &stays, "bytes", 1.1, 1.03).reached(), Reached::Goal);
        assert_eq!(flat("memory", &stays[..5], "bytes", 1.1, 1.03).reached(), Reached::Goal, "a short run");
        assert_eq!(flat("memory", &[], "bytes", 1.1, 1.03).reached(), Reached::Unmeasured);
    }

    #[test]
    fn loss_is_a_share_of_what_was_sent() {
        assert_eq!(lost(&Window { sent: 200.0, unanswered: 1.0, ..Window::default() }), 0.005);
        assert_eq!(lost(&Window::default()), 0.0);
        assert_eq!(unanswered(0.004).reached(), Reached::Floor);
        assert_eq!(unanswered(0.0005).reached(), Reached::Goal);
    }
}
