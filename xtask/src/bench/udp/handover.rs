//! Latency and loss while another process takes over.

use super::{
    ANNOUNCE,
    saving::half_served,
    tracker::{LATE, Population, Purpose, Tracker},
};
use crate::bench::{
    aims,
    figures::grouped,
    lab::Lab,
    load,
    program::Program,
    result::{Row, median},
};
use anyhow::{Context, Result, bail, ensure};
use std::time::{Duration, Instant};

/// From the load's start to the hand-over: it learns connection IDs and warms up first.
const BEFORE: Duration = Duration::from_secs(3);
/// The load counts for so long: longer than the hand-over takes.
const LOAD: Duration = Duration::from_secs(12);
/// The windows of its figures, seconds.
const WINDOW: f64 = 1.0;

/// What a hand-over showed: the highest p99.9 of the windows, those of the windows, and the share that was not answered.
struct Shown {
    worst: f64,
    usual: f64,
    unanswered: f64,
    rate: f64,
}

/// The rows.
pub(crate) fn measure(lab: &Lab) -> Result<[Row; 2]> {
    let measured = lab.step(aims::HANDOVER.name, || {
        let rounds = (0..lab.choose(1, 3)).map(|_| hand_over(lab)).collect::<Result<Vec<_>>>()?;
        let said = format!("{} hand-overs", rounds.len());
        Ok((rounds, said))
    })?;
    let [latency, loss] = [Row::of(&aims::HANDOVER), Row::of(&aims::HANDOVER_LOSS)];
    Ok(match measured {
        Err(why) => [latency.note(why.clone()), loss.note(why)],
        Ok(rounds) => {
            let of = |figure: fn(&Shown) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
            let note = format!(
                "the worst second of each hand-over; {:.1} ms in the others, at {}/s",
                of(|shown| shown.usual).unwrap_or_default() * 1e3,
                grouped(of(|shown| shown.rate).unwrap_or_default())
            );
            [
                latency.figures(of(|shown| shown.worst), None).note(note),
                loss.figures(of(|shown| shown.unanswered * 100.0), None),
            ]
        }
    })
}

/// One hand-over in the middle of a load.
fn hand_over(lab: &Lab) -> Result<Shown> {
    let mut running = Tracker::Native.start(lab, &Purpose::USUAL)?;
    running.fill(lab, Population::USUAL)?;
    let rate = half_served(lab, &mut running)?;
    let options =
        format!("--mix {ANNOUNCE} --rate {rate:.0} --warmup 1s --windows {WINDOW}s {}", Population::USUAL);
    let (begun, mut successor) = (Instant::now(), None::<Program>);
    let figures = load::watch(lab, running.load(lab, &options, LOAD), LOAD + LATE, || {
        if successor.is_none() && begun.elapsed() > BEFORE {
            successor = Some(running.succeed(lab)?);
        }
        Ok(())
    })?;
    let mut successor = successor.context("the load ended before the hand-over")?;
    successor.check()?;
    ensure!(successor.said().contains("ready"), "nobody took over{}", successor.last_words());
    let windows: Vec<f64> = figures.windows.iter().filter_map(|window| window.p999).collect();
    let Some(worst) = windows.iter().copied().reduce(f64::max) else { bail!("nothing was answered") };
    let usual = median(&windows).unwrap_or_default();
    Ok(Shown { worst, usual, unanswered: figures.unanswered_share, rate })
}
