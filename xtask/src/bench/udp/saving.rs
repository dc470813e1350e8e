//! Latency while swarms are saved, over and over, beside latency while they are not.

use super::{
    ANNOUNCE, expiry,
    tracker::{Population, Purpose, Running, SEARCH, Tracker},
};
use crate::bench::{
    aims,
    figures::grouped,
    lab::Lab,
    result::{Row, median},
};
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// The row.
pub(crate) fn measure(lab: &Lab) -> Result<Row> {
    lab.row(&aims::SAVING, || {
        let (mut calm, mut saving, mut saved, mut rate) = (Vec::new(), Vec::new(), 0.0, None);
        for _ in 0..lab.choose(1, 2) {
            calm.extend(load(lab, false, &mut rate)?.0);
            let (windows, saves) = load(lab, true, &mut rate)?;
            saving.extend(windows);
            saved += saves;
        }
        ensure!(saved > 0.0, "nothing was saved meanwhile");
        let note = format!(
            "medians of {} seconds with {saved} saves, {} without, at {}/s",
            saving.len(),
            calm.len(),
            grouped(rate.unwrap_or_default())
        );
        Ok((median(&saving), median(&calm), note))
    })
}

/// Half the rate of announces that is served.
pub(crate) fn half_served(lab: &Lab, running: &mut Running) -> Result<f64> {
    let options =
        format!("--mix {ANNOUNCE} {SEARCH} {:.0} --warmup 500ms {}", running.fill, Population::USUAL);
    let found = running.run(lab, &options, Duration::from_millis(lab.choose(1_000, 2_000)))?.search;
    Ok(found.context("riptide-load tells of no search")?.served_rate / 2.0)
}

/// p99.9 of each second of announces at half the rate that is served, which the first one finds, and how many saves ended.
fn load(lab: &Lab, saves: bool, rate: &mut Option<f64>) -> Result<(Vec<f64>, f64)> {
    let mut running = Tracker::Native.start(lab, &Purpose { saves, ..Purpose::USUAL })?;
    running.fill(lab, Population::USUAL)?;
    let rate = match *rate {
        Some(rate) => rate,
        None => *rate.insert(half_served(lab, &mut running)?),
    };
    let ended =
        |running: &Running| expiry::metric(&running.rig.tracker, "riptide_state_saves_total{outcome=\"ok\"}");
    let before = ended(&running)?;
    let options = format!("--mix {ANNOUNCE} --rate {rate:.0} --warmup 1s --windows 1s {}", Population::USUAL);
    let figures = running.run(lab, &options, Duration::from_secs(lab.choose(8, 20)))?;
    let windows = figures.windows.iter().filter_map(|window| window.p999).collect();
    Ok((windows, ended(&running)? - before))
}
