//! How many requests are answered while a flood of forged ones comes in by the same wire.

use super::tracker::{MIX, Population, Purpose, Tracker};
use crate::bench::{
    aims,
    figures::{grouped, three},
    lab::Lab,
    load::Figures,
    result::{Row, median},
};
use anyhow::{Result, ensure};
use std::time::Duration;

/// Requests a second, as the largest public trackers see them at quiet times.
const RATE: f64 = 50_000.0;
/// Forged announces beside each: about all that the load can send on one processor.
const FLOOD: u32 = 19;
/// Enough that each has some partners.
const CLIENTS: Population = Population { torrents: 10_000, peers: 50_000, seed: 3 };

/// The row.
pub(super) fn measure(lab: &Lab) -> Result<Row> {
    lab.row(&aims::FLOOD, || {
        let native = rounds(lab, &Tracker::Native)?;
        let sockets = rounds(lab, &Tracker::Sockets)?;
        let of = |rounds: &[Figures], figure: fn(&Figures) -> f64| {
            median(&rounds.iter().map(figure).collect::<Vec<_>>()).unwrap_or_default()
        };
        let unanswered = |figures: &Figures| figures.unanswered_share * 100.0;
        let forged =
            |figures: &Figures| figures.more.get("forged").copied().unwrap_or_default() / figures.seconds;
        let note = format!(
            "{} forged announces a second; ordinary sockets leave {} % unanswered beside {}",
            grouped(of(&native, forged)),
            three(of(&sockets, unanswered)),
            grouped(of(&sockets, forged)),
        );
        Ok((Some(of(&native, unanswered)), None, note))
    })
}

fn rounds(lab: &Lab, tracker: &Tracker) -> Result<Vec<Figures>> {
    let mut running = tracker.start(lab, &Purpose { population: CLIENTS, ..Purpose::USUAL })?;
    running.fill(lab, CLIENTS)?;
    let options = format!("--mix {MIX} --rate {RATE} --flood {FLOOD} --warmup 500ms {CLIENTS}");
    let duration = Duration::from_millis(lab.choose(2_000, 4_000));
    (0..lab.choose(3, 5))
        .map(|_| {
            let figures = running.run(lab, &options, duration)?;
            ensure!(figures.more.contains_key("forged"), "no flood was sent");
            Ok(figures)
        })
        .collect()
}
