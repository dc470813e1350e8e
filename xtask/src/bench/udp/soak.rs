//! A long load with churn and expiry: whether memory, loss and latency stay as they are.

use super::tracker::{MIX, Population, Purpose, SEARCH, Tracker};
use crate::bench::{
    aims::{self, Aim},
    figures::{grouped, three},
    lab::Lab,
    load::remarks,
    result::{Report, Row, median},
};
use anyhow::Result;
use std::time::{Duration, Instant};

/// The share of the served rate that is offered.
const SHARE: f64 = 0.8;
/// So many that each announces about every 40 s, where some hundred thousand announces a second are served: most are
/// forgotten and come again.
const POPULATION: Population = Population { torrents: 5_000_000, peers: 10_000_000, seed: 1 };
/// Until here as many come as go, seconds.
const SETTLED: f64 = 90.0;

/// Adds the rows.
pub(crate) fn measure(lab: &Lab, length: Duration, report: &mut Report) -> Result<()> {
    let minutes = length.as_secs() / 60;
    let rows = lab.step(&format!("soak, {minutes} minutes"), || {
        let purpose = Purpose { population: POPULATION, peer_timeout: 20, sweep: 10, ..Purpose::USUAL };
        let mut running = Tracker::Native.start(lab, &purpose)?;
        running.fill(lab, POPULATION)?;
        let options = |rate: f64| format!("--mix {MIX} --rate {rate:.0} --windows 10s {POPULATION}");
        let search = options(running.fill).replace("--rate", SEARCH);
        let served =
            running.run(lab, &search, Duration::from_secs(2))?.search.unwrap_or_default().served_rate;
        let rate = SHARE * served;
        let begun = Instant::now();
        let mut memory: Vec<(f64, f64)> = Vec::new();
        let figures = running.watch(lab, &options(rate), length, |running| {
            memory.push((begun.elapsed().as_secs_f64(), running.program.resident()?));
            Ok(())
        })?;
        let latency: Vec<(f64, f64)> =
            figures.windows.iter().filter_map(|window| Some((window.seconds, window.p999?))).collect();
        let told = format!("{minutes} minutes at {}/s", grouped(rate));
        let loss = Row::of(&aims::SOAK_LOSS).figures(Some(figures.unanswered_share * 100.0), None);
        let rows = [flat(&aims::SOAK_MEMORY, &memory), flat(&aims::SOAK_LATENCY, &latency), loss];
        let said = rows.iter().filter_map(|row| row.ratio).map(three).collect::<Vec<_>>().join(", ");
        Ok((rows.map(|row| row.note(&told).note(remarks("Riptide", std::slice::from_ref(&figures)))), said))
    })?;
    report.ratios.extend(rows.into_iter().flatten());
    Ok(())
}

/// The highest value beside the middle one, from where as many come as go. A run too short for that counts whole.
fn flat(aim: &Aim, points: &[(f64, f64)]) -> Row {
    let values =
        |from: f64| points.iter().filter(|(at, _)| *at >= from).map(|(_, value)| *value).collect::<Vec<_>>();
    let settled = values(SETTLED);
    let values = if settled.is_empty() { values(0.0) } else { settled };
    Row::of(aim).figures(values.iter().copied().max_by(f64::total_cmp), median(&values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_not_flat() {
        let grows: Vec<_> = (0..200).map(|n| (f64::from(n), 100.0 + f64::from(n))).collect();
        let row = flat(&aims::SOAK_MEMORY, &grows);
        assert_eq!((row.ours, row.theirs), (Some(299.0), Some(244.5)), "the beginning is left out");
        let row = flat(&aims::SOAK_MEMORY, &grows[..5]);
        assert_eq!((row.ours, row.theirs), (Some(104.0), Some(102.0)), "a short run counts whole");
    }
}
