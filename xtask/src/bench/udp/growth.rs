//! What becomes of the served rate and its cost as torrents and workers grow.

use super::{
    Figure, Outcomes,
    field::{self, Asked, Outcome},
};
use crate::bench::{
    Lab,
    load::Population,
    progress::Plan,
    report::{Detail, Report, Series, median},
    tracker::{Purpose, Tracker},
};
use anyhow::Result;
use serde_json::json;
use std::fs;

/// Numbers of torrents; each has two peers.
const TORRENTS: [u64; 4] = [10_000, 100_000, 1_000_000, 10_000_000];
/// Those of the quick bench.
const QUICK_TORRENTS: [u64; 2] = [10_000, 1_000_000];
/// Memory that a peer may take with all that is around it, bytes: a population that needs more than there is, is left out.
const MOST_PER_PEER: f64 = 200.0;
/// The second worker's work is taken from the generator: what is told of a machine with two processors.
const SHARED: &str = "the second worker shares the generator's processor";

fn numbers(lab: &Lab) -> &'static [u64] {
    lab.choose(&QUICK_TORRENTS, &TORRENTS)
}

/// What is ahead.
pub(crate) fn plan(lab: &Lab) -> Plan {
    // The usual population has been measured by then.
    let workers = if lab.quick { 0 } else { Tracker::BY_WORKERS.len() };
    Plan::steps(numbers(lab).len() - 1 + workers, lab.choose(45, 220))
}

/// Adds the series. The quick bench leaves workers out.
pub(crate) fn measure(lab: &Lab, outcomes: &Outcomes, report: &mut Report) -> Result<()> {
    torrents(lab, outcomes, report)?;
    if lab.quick { Ok(()) } else { workers(lab, outcomes, report) }
}

fn torrents(lab: &Lab, outcomes: &Outcomes, report: &mut Report) -> Result<()> {
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for &torrents in numbers(lab) {
        let population = Population { torrents, peers: torrents * 2, ..Population::USUAL };
        let name = format!("mix with {torrents} torrents");
        let measured;
        let outcome = if population == Population::USUAL {
            outcomes.of(Tracker::Native, Figure::Mix).ok()
        } else if available_memory() < population.peers as f64 * MOST_PER_PEER {
            lab.progress
                .begin(&format!("{name}, {}", Tracker::Native.name()))
                .end("left out: too little memory");
            None
        } else {
            measured = one(lab, &name, Tracker::Native, &Purpose::of(population))?;
            measured.as_ref()
        };
        let Some(outcome) = outcome else { continue };
        rates.extend(outcome.served().map(|rate| (torrents as f64, rate)));
        costs.extend(median(outcome.cpu_seconds_per_million()).map(|cost| (torrents as f64, cost)));
        report.details.push(Detail {
            program: Tracker::Native.name().to_owned(),
            figure: name,
            values: json!({
                "rate": outcome.served(),
                "cpu_seconds_per_million": median(outcome.cpu_seconds_per_million()),
                "resident_bytes": outcome.resident,
                "filled_share": outcome.filled,
            }),
        });
    }
    for (y_label, points) in [("responses/s", rates), ("CPU s per million responses", costs)] {
        push(report, Tracker::Native.name(), "torrents", y_label, points);
    }
    Ok(())
}

fn workers(lab: &Lab, outcomes: &Outcomes, report: &mut Report) -> Result<()> {
    for tracker in Tracker::BY_WORKERS {
        let single = outcomes.of(tracker, Figure::Mix).ok().and_then(Outcome::served);
        let purpose = Purpose { workers: 2, ..Purpose::of(Population::USUAL) };
        let double = one(lab, "mix with 2 workers", tracker, &purpose)?;
        let rate = double.as_ref().and_then(Outcome::served);
        let points = [(1.0, single), (2.0, rate)].into_iter().filter_map(|(x, y)| Some((x, y?)));
        push(report, tracker.name(), "workers", "responses/s", points.collect());
        report.details.push(Detail {
            program: tracker.name().to_owned(),
            figure: "mix with 2 workers".to_owned(),
            values: json!({ "rate": rate, "note": SHARED }),
        });
    }
    Ok(())
}

/// Nothing is drawn of nothing.
fn push(report: &mut Report, name: &str, x_label: &str, y_label: &str, points: Vec<(f64, f64)>) {
    if !points.is_empty() {
        report.series.push(Series {
            name: name.to_owned(),
            x_label: x_label.to_owned(),
            y_label: y_label.to_owned(),
            points,
        });
    }
}

/// One search and half of what it found. `None` if it failed, which has been told.
fn one(lab: &Lab, name: &str, tracker: Tracker, purpose: &Purpose) -> Result<Option<Outcome>> {
    let step = lab.progress.begin(&format!("{name}, {}", tracker.name()));
    let asked = Asked::new(lab, Figure::Mix);
    let measured = field::start(lab, tracker, purpose).and_then(|(mut running, filled, resident)| {
        let mut outcome = Outcome { resident: Some(resident), filled: Some(filled), ..Outcome::default() };
        let served = asked.search(&mut running, tracker.fill() * 1.4, &mut outcome)?;
        outcome.rounds.push(served);
        let cost = asked.half(&mut running, served, &mut outcome)?;
        Ok((outcome, format!("{}, {cost}", field::rate(served))))
    });
    match measured {
        Ok((outcome, said)) => {
            step.end(&said);
            Ok(Some(outcome))
        }
        Err(error) => {
            drop(step);
            lab.failed(&format!("{name}, {}", tracker.name()), error)?;
            Ok(None)
        }
    }
}

/// Memory that can be had, bytes.
fn available_memory() -> f64 {
    available(&fs::read_to_string("/proc/meminfo").unwrap_or_default())
}

fn available(meminfo: &str) -> f64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or_default() * 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), 2_097_152.0);
        assert_eq!(available(""), 0.0);
    }
}
