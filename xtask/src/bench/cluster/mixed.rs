//! What other nodes are told, and when they know it, while peers come, stay and go as they do by default.

use super::{
    company::{Company, Measured},
    watcher::{Seen, Watcher},
};
use crate::bench::{
    aims,
    figures::{grouped, three},
    lab::Lab,
    load,
    result::Row,
    udp::{
        ANNOUNCE,
        tracker::{LATE, Population, Purpose},
    },
};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// Announces a second.
const RATE: u32 = 50_000;
/// When a peer is forgotten, seconds: the default in 225 times less time.
const PEER_TIMEOUT: u64 = 12;
/// So many that each announces every eight seconds on average: every half an hour by default. Some come so late that they were
/// forgotten, and are new.
const CLIENTS: Population = Population { torrents: 200_000, peers: 400_000, seed: 4 };
/// From the load's start until it counts: it learns connection IDs and warms up first. By then as many peers come as go.
const BEFORE: Duration = Duration::from_secs(10);
/// The other nodes.
const OTHERS: u16 = 2;

/// The rows.
pub(super) fn measure(lab: &Lab) -> Result<[Row; 2]> {
    let rows = [Row::of(&aims::CLUSTER_BYTES), Row::of(&aims::CLUSTER_PROPAGATION)];
    let measured = lab.step("a cluster of which peers come, stay and go", || {
        let (bytes, rate, seen) = come_and_go(lab)?;
        let said = format!("{} B an announce, {} peers watched", three(bytes.unwrap_or(0.0)), seen.count());
        Ok(((bytes, rate, seen), said))
    })?;
    Ok(match measured {
        Err(why) => rows.map(|row| row.note(&why)),
        Ok((bytes, rate, seen)) => {
            let [told, propagation] = rows;
            let offered = format!("at {} announces a second in all", grouped(rate));
            let gap = CLIENTS.peers / u64::from(RATE);
            [
                told.figures(bytes, None).note(format!(
                    "{offered}, each of {} peers every {gap} s on average, forgotten after {PEER_TIMEOUT} s: half an hour and 45 \
                     minutes, the default, made shorter",
                    grouped(CLIENTS.peers as f64)
                )),
                propagation.figures(seen.quantile(0.99), None).note(format!(
                    "{offered}; of {} peers that were watched, asked for every few milliseconds, half were known within {} ms; \
                     {} were not known in time",
                    grouped(seen.count() as f64),
                    three(seen.quantile(0.5).unwrap_or_default() * 1e3),
                    seen.unseen
                )),
            ]
        }
    })
}

/// Bytes told for an announce, announces answered a second, and when peers were seen.
fn come_and_go(lab: &Lab) -> Result<(Option<f64>, f64, Seen)> {
    let purpose = Purpose { population: CLIENTS, peer_timeout: PEER_TIMEOUT, sweep: 1, ..Purpose::USUAL };
    let mut measured = Measured::start(lab, &purpose, OTHERS)?;
    measured.running.fill(lab, CLIENTS)?;
    let watched = Duration::from_secs(lab.choose(8, 30));
    let options = format!("--mix {ANNOUNCE} --rate {RATE} --warmup {}s {CLIENTS}", BEFORE.as_secs());
    let duration = watched + Duration::from_secs(3);
    let command = measured.running.load(lab, &options, duration);
    let (begun, mut watcher) = (Instant::now(), None);
    let figures = load::watch(lab, command, duration + LATE, || {
        if watcher.is_none() && begun.elapsed() > BEFORE + Duration::from_secs(1) {
            let place = measured.company.namespace.file();
            let told = measured.told()?;
            watcher = Some((told, Watcher::begin(place, Company::measured(), Company::address(1), watched)?));
        }
        Ok(())
    })?;
    let (before, watcher) = watcher.context("the load ended before anybody was watched")?;
    let seen = watcher.end()?;
    let bytes = (measured.told()? - before).per_announce();
    Ok((bytes, figures.answered_per_second, seen))
}
