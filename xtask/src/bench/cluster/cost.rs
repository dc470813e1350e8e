//! What it costs the measured node to be one: processor time for announces, beside the same tracker alone; and what other
//! nodes are told while all its peers stay.

use super::company::{Measured, Told};
use crate::bench::{
    aims,
    figures::{amount, grouped, three},
    lab::Lab,
    program::Program,
    result::{Report, Row},
    turns::{self, Contender},
    udp::{
        ANNOUNCE, half_served,
        tracker::{Population, Purpose, Running, Tracker},
    },
};
use anyhow::{Result, ensure};
use std::time::Duration;

const LOAD: &str = "UDP announces at half the rate that the tracker serves alone";
/// When a peer is forgotten, seconds. A third of it is how often one that stays is told of; each announces many times in that.
const PEER_TIMEOUT: u64 = 900;
/// The other nodes.
const OTHERS: u16 = 2;

/// Alone, or with its company.
#[derive(Debug)]
enum Side {
    Alone(Box<Running>),
    Node(Box<Measured>),
}

impl Side {
    fn running(&mut self) -> &mut Running {
        match self {
            Self::Alone(running) => running,
            Self::Node(measured) => &mut measured.running,
        }
    }

    fn told(&self) -> Result<Option<Told>> {
        match self {
            Self::Alone(_) => Ok(None),
            Self::Node(measured) => measured.told().map(Some),
        }
    }
}

impl AsMut<Program> for Side {
    fn as_mut(&mut self) -> &mut Program {
        &mut self.running().program
    }
}

/// Adds the rows, and what both showed, to the report.
pub(super) fn measure(lab: &Lab, report: &mut Report) -> Result<()> {
    let purpose = Purpose { peer_timeout: PEER_TIMEOUT, ..Purpose::USUAL };
    let mut alone = Contender::start(lab, "Riptide, alone", || {
        let mut running = Tracker::Native.start(lab, &purpose)?;
        let share = running.fill(lab, Population::USUAL)?;
        Ok((Side::Alone(running.into()), filled(share)))
    })?;
    let mut node = Contender::start(lab, "Riptide, one of three nodes", || {
        let mut measured = Measured::start(lab, &purpose, OTHERS)?;
        let share = measured.running.fill(lab, Population::USUAL)?;
        measured.settle(lab)?;
        Ok((Side::Node(measured.into()), filled(share)))
    })?;
    let mut rate = None;
    alone.turn(lab, "UDP announces, search", |side| {
        let half = half_served(lab, side.running())?;
        ensure!(half > 0.0, "it serves no rate at all");
        rate = Some(half);
        Ok(amount(Some(2.0 * half), "/s"))
    })?;
    let mut told = Vec::new();
    if let Some(rate) = rate {
        let options = format!(
            "--mix {ANNOUNCE} --rate {rate:.0} --warmup {}ms {}",
            lab.choose(500, 800),
            Population::USUAL
        );
        let duration = Duration::from_millis(lab.choose(2_000, 4_000));
        for _ in 0..lab.choose(3, 7) {
            for side in [&mut node, &mut alone] {
                side.round(lab, LOAD, |side| {
                    let before = side.told()?;
                    let figures = side.running().run(lab, &options, duration)?;
                    told.extend(side.told()?.zip(before).map(|(after, before)| after - before));
                    Ok(figures)
                })?;
            }
        }
    }
    report.programs.extend([&node, &alone].into_iter().filter_map(|side| side.shown(LOAD)));
    let cost =
        turns::row(&aims::CLUSTER_COST, LOAD, [&node, &alone], |figures| figures.cpu_seconds_per_million);
    report.ratios.push(cost);
    let per_announce = told.into_iter().sum::<Told>().per_announce();
    report.ratios.push(staying(per_announce, rate));
    Ok(())
}

fn filled(share: f64) -> String {
    format!("{} % of the peers are in", three(share * 100.0))
}

/// What was told of peers that stay, over all rounds.
fn staying(per_announce: Option<f64>, rate: Option<f64>) -> Row {
    let row = Row::of(&aims::CLUSTER_STAYING).figures(per_announce, None);
    row.note(rate.map_or_else(String::new, |rate| {
        format!(
            "at {}/s each of {} peers announces every {} s, and is told of every {} s",
            grouped(rate),
            grouped(Population::USUAL.peers as f64),
            three(Population::USUAL.peers as f64 / rate),
            PEER_TIMEOUT / 3
        )
    }))
}
