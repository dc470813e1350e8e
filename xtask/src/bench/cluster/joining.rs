//! How long an empty node takes until it has what another one has, and how that one answers meanwhile.

use super::company::{Joining, Measured};
use crate::bench::{
    aims,
    figures::grouped,
    lab::Lab,
    load::{self, Window},
    result::{Row, median},
    udp::{
        ANNOUNCE, half_served,
        tracker::{AFTER, LATE, Population, Purpose},
    },
};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};

/// From the load's start to that of the new node: it learns connection IDs and warms up first, then a few seconds are counted.
const BEFORE: Duration = Duration::from_secs(7);
/// The load counts for so long: longer than joining should take.
const LOAD: Duration = Duration::from_secs(16);
/// The windows of its figures, seconds.
const WINDOW: f64 = 1.0;
/// How long the new node may take after the load's end.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// What joining showed: seconds, and p99.9 of the seconds before it, and of those in which it happened.
struct Shown {
    took: f64,
    before: Vec<f64>,
    meanwhile: Vec<f64>,
    rate: f64,
}

/// The rows.
pub(super) fn measure(lab: &Lab) -> Result<[Row; 2]> {
    let rows = [Row::of(&aims::CLUSTER_JOINING), Row::of(&aims::CLUSTER_DONOR)];
    let measured = lab.step(aims::CLUSTER_JOINING.name, || {
        let rounds = (0..lab.choose(1, 3)).map(|_| join(lab)).collect::<Result<Vec<_>>>()?;
        let said = rounds.iter().map(|round| format!("{:.1} s", round.took)).collect::<Vec<_>>().join(", ");
        Ok((rounds, said))
    })?;
    let [joining, donor] = rows;
    Ok(match measured {
        Err(why) => [joining.note(&why), donor.note(&why)],
        Ok(rounds) => {
            let of = |figure: fn(&Shown) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
            let all = |figures: fn(&Shown) -> &[f64]| -> Vec<f64> {
                rounds.iter().flat_map(figures).copied().collect()
            };
            let (before, meanwhile) = (all(|shown| &shown.before), all(|shown| &shown.meanwhile));
            let rate = grouped(of(|shown| shown.rate).unwrap_or_default());
            let loaded = format!("beside {rate} announces a second, on the processor of the load");
            let medians = format!(
                "medians of {} seconds in which a node joined, {} before, at {rate}/s",
                meanwhile.len(),
                before.len()
            );
            [
                joining.figures(of(|shown| shown.took), None).note(loaded),
                donor.figures(median(&meanwhile), median(&before)).note(medians),
            ]
        }
    })
}

fn join(lab: &Lab) -> Result<Shown> {
    let mut measured = Measured::start(lab, &Purpose::USUAL, 0)?;
    measured.running.fill(lab, Population::USUAL)?;
    let rate = half_served(lab, &mut measured.running)?;
    let options =
        format!("--mix {ANNOUNCE} --rate {rate:.0} --warmup 1s --windows {WINDOW}s {}", Population::USUAL);
    let command = measured.running.load(lab, &options, LOAD);
    let (begun, mut joining, mut ready) = (Instant::now(), None::<Joining>, None);
    let figures = load::watch(lab, command, LOAD + LATE, || {
        if let Some(joining) = &mut joining {
            if ready.is_none() && joining.is_ready()? {
                ready = Some(Instant::now());
            }
        } else if begun.elapsed() > BEFORE {
            joining = Some(measured.company.begin(lab)?);
        }
        Ok(())
    })?;
    let counted_from = Instant::now() - AFTER - LOAD;
    let mut joining = joining.context("the load ended before a node joined")?;
    let late = Instant::now();
    let ready = loop {
        match ready {
            Some(ready) => break ready,
            None if joining.is_ready()? => ready = Some(Instant::now()),
            None => lab.rest(LOOK)?,
        }
        ensure!(late.elapsed() < PATIENCE, "a node that joins is not ready in time");
    };
    let peers = joining.peers(&measured.company)?;
    ensure!(
        peers > 0.99 * Population::USUAL.peers as f64,
        "the node that joined has {} peers only",
        grouped(peers)
    );
    let since = |at: Instant| at.saturating_duration_since(counted_from).as_secs_f64();
    let (before, meanwhile) = split(&figures.windows, [since(joining.begun), since(ready)]);
    Ok(Shown { took: (ready - joining.begun).as_secs_f64(), before, meanwhile, rate })
}

/// p99.9 of the windows before a time, counted from the load's beginning, and of those that touch it.
fn split(windows: &[Window], [from, to]: [f64; 2]) -> (Vec<f64>, Vec<f64>) {
    let of = |is: &dyn Fn(f64) -> bool| {
        windows.iter().filter(|window| is(window.seconds)).filter_map(|window| window.p999).collect()
    };
    (of(&|at| at + WINDOW <= from), of(&|at| at + WINDOW > from && at < to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_before_and_within_are_told_apart() {
        let windows: Vec<_> =
            (0..6).map(|second: u32| Window { seconds: second.into(), p999: Some(second.into()) }).collect();
        assert_eq!(split(&windows, [2.5, 4.0]), (vec![0.0, 1.0], vec![2.0, 3.0]));
    }
}
