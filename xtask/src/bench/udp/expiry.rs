//! Latency while very many peers expire, beside latency when none does.

use super::tracker::{AFTER, METRICS, MIX, Population, Purpose, Tracker};
use crate::bench::{
    aims,
    figures::grouped,
    lab::Lab,
    load::Window,
    metrics,
    result::{Row, median},
    rig::Namespace,
};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// Those that all fall due together.
const OLD: Population = Population { torrents: 500_000, peers: 1_000_000, seed: 2 };
/// Those that go on announcing, each several times before it is forgotten.
const YOUNG: Population = Population { torrents: 50_000, peers: 100_000, seed: 1 };
/// Requests a second: a third of what it serves at least.
const RATE: f64 = 100_000.0;
/// The figures' windows, seconds.
const WINDOW: f64 = 1.0;

/// The row.
pub(super) fn measure(lab: &Lab) -> Result<Row> {
    lab.row(&aims::EXPIRY, || {
        let (calm, expiring) = expire(lab)?;
        let [seconds, others] = [expiring.len(), calm.len()];
        let windows = format!("{seconds} seconds in which peers expired, {others} in which none did");
        let note = format!("medians of {windows}, at {}/s", grouped(RATE));
        Ok((median(&expiring), median(&calm), note))
    })
}

/// p99.9 of each second of a load in which no peer fell due, and of those in which many did.
fn expire(lab: &Lab) -> Result<(Vec<f64>, Vec<f64>)> {
    // First a while without expiry.
    let (peer_timeout, sweep, rest) = lab.choose((12, 8, 4), (20, 15, 10));
    let mut running =
        Tracker::Native.start(lab, &Purpose { population: OLD, peer_timeout, sweep, ..Purpose::USUAL })?;
    let begun = Instant::now();
    running.fill(lab, OLD)?;
    let filled = Instant::now();
    let before = peers(&running.rig.tracker)?;
    ensure!(before > 0.9 * OLD.peers as f64, "only {} of those that are to expire got in", grouped(before));
    let options = format!("--mix {MIX} --rate {RATE} --warmup 1s --windows 1s {YOUNG}");
    let duration = Duration::from_secs(peer_timeout + sweep + rest);
    let figures = running.run(lab, &options, duration)?;
    // It ends with the last window, but for a moment in which it waits for late replies.
    let end = Instant::now() - AFTER;
    let after = peers(&running.rig.tracker)?;
    ensure!(after < 1.5 * YOUNG.peers as f64, "{} peers are still there", grouped(after));
    let due = [(begun, peer_timeout), (filled, peer_timeout + sweep)];
    let due = due.map(|(since, seconds)| {
        duration.as_secs_f64() + seconds as f64 - end.saturating_duration_since(since).as_secs_f64()
    });
    Ok(split(&figures.windows, due))
}

/// p99.9 of the windows in which nothing fell due, and of those that touch the time, from the load's beginning, in which
/// everything did.
fn split(windows: &[Window], [from, to]: [f64; 2]) -> (Vec<f64>, Vec<f64>) {
    let of = |expiring: bool| {
        let touches = |window: &&Window| (window.seconds + WINDOW > from && window.seconds < to) == expiring;
        windows.iter().filter(touches).filter_map(|window| window.p999).collect()
    };
    (of(false), of(true))
}

/// How many peers Riptide has.
fn peers(namespace: &Namespace) -> Result<f64> {
    metric(namespace, "riptide_peers{")
}

/// The sum of those of Riptide's metrics whose name and labels begin so.
pub(super) fn metric(namespace: &Namespace, name: &str) -> Result<f64> {
    metrics::metric(namespace, METRICS, name, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_told_apart_by_when_peers_fall_due() {
        let window = |second: u32| Window { seconds: second.into(), p999: Some(second.into()) };
        let windows: Vec<_> = (0..6).map(window).collect();
        assert_eq!(split(&windows, [2.5, 4.0]), (vec![0.0, 1.0, 4.0, 5.0], vec![2.0, 3.0]));
    }
}
