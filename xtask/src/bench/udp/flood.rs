//! How requests are answered while a flood comes in by the same wire: one of forged announces, or one client's.

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
/// Announces of one client beside each request: 100,000 a second.
const LOUD: u32 = 2;
/// Announces and scrapes a second that a client may make, several times more than any of the others does.
const LIMIT: u32 = 100;
/// Announces a second at which no client is over its limit while all announce once.
const SLOW_FILL: f64 = 20_000.0;

/// The rows.
pub(super) fn measure(lab: &Lab) -> Result<[Row; 2]> {
    Ok([forged(lab)?, loud(lab)?])
}

fn forged(lab: &Lab) -> Result<Row> {
    lab.row(&aims::FLOOD, || {
        let native = rounds(lab, &Tracker::Native)?;
        let sockets = rounds(lab, &Tracker::Sockets)?;
        let of = |rounds: &[Figures], figure: fn(&Figures) -> f64| {
            median(&rounds.iter().map(figure).collect::<Vec<_>>()).unwrap_or_default()
        };
        let unanswered = |figures: &Figures| figures.unanswered_share * 100.0;
        let forged =
            |figures: &Figures| figures.more.get("flood").copied().unwrap_or_default() / figures.seconds;
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
            ensure!(figures.more.contains_key("flood"), "no flood was sent");
            Ok(figures)
        })
        .collect()
}

/// p99 of the others while one client is far over its limit, beside p99 while it is silent.
fn loud(lab: &Lab) -> Result<Row> {
    lab.row(&aims::LOUD, || {
        let purpose = Purpose { population: CLIENTS, limit: LIMIT, ..Purpose::USUAL };
        let mut running = Tracker::Native.start(lab, &purpose)?;
        running.fill = SLOW_FILL;
        running.fill(lab, CLIENTS)?;
        let duration = Duration::from_millis(lab.choose(2_000, 4_000));
        let (mut calm, mut loud) = (Vec::new(), Vec::new());
        for _ in 0..lab.choose(3, 5) {
            for (count, rounds) in [(0, &mut calm), (LOUD, &mut loud)] {
                let options = format!("--mix {MIX} --rate {RATE} --loud {count} --warmup 2s {CLIENTS}");
                rounds.push(running.run(lab, &options, duration)?);
            }
        }
        let more =
            |figures: &Figures, name| figures.more.get(name).copied().unwrap_or_default() / figures.seconds;
        let of = |name| median(&loud.iter().map(|figures| more(figures, name)).collect::<Vec<_>>());
        let [offered, answered] = ["flood", "loud_replies"].map(|name| of(name).unwrap_or_default());
        ensure!(offered > 0.0, "no flood was sent");
        let p99 = |rounds: &[Figures]| {
            let each = rounds.iter().filter_map(|figures| figures.latency_seconds.get("p99").copied());
            median(&each.collect::<Vec<_>>())
        };
        let note = format!(
            "of its {} announces a second {} were answered; {} % of the others' requests were not",
            grouped(offered),
            grouped(answered),
            three(
                median(&loud.iter().map(|figures| figures.unanswered_share * 100.0).collect::<Vec<_>>())
                    .unwrap_or_default()
            ),
        );
        Ok((p99(&loud), p99(&calm), note))
    })
}
