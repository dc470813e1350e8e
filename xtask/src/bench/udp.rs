//! The rows of UDP: every tracker serves on a rig of its own, full of peers.

mod expiry;
mod flood;
mod handover;
mod saving;
mod soak;
pub(crate) mod tracker;
mod verdict;

pub(crate) use handover::measure as handover;
pub(crate) use saving::{half_served, measure as saving};
pub(crate) use soak::measure as soak;

use crate::bench::{
    aims::{self, RATES},
    figures::{amount, grouped, three},
    lab::Lab,
    load::{Figures, Search},
    peers::{AQUATIC_UDP, missing},
    result::{Report, Row},
    turns::{self, Contender, Of},
};
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tracker::{MIX, Population, Purpose, Running, SEARCH, Tracker};

/// Other shares of connects, announces and scrapes.
pub(crate) const ANNOUNCE: &str = "0:1:0";
const CONNECT: &str = "1:0:0";

fn called(mix: &str) -> &'static str {
    match mix {
        ANNOUNCE => "announce only",
        CONNECT => "connect only",
        _ => "mix",
    }
}

/// The mix at a rate that is the same for all.
fn at(rate: u32) -> String {
    format!("UDP mix at {}/s", grouped(rate.into()))
}

/// As much as the tracker served in its search.
fn served(mix: &str) -> String {
    format!("UDP {}, highest rate served", called(mix))
}

/// A load on the usual population as `riptide-load` takes it.
fn options(lab: &Lab, mix: &str, rate: f64) -> String {
    format!("--mix {mix} --rate {rate:.0} --warmup {}ms {}", lab.choose(500, 800), Population::USUAL)
}

/// One round of a load.
fn round(lab: &Lab, entry: &mut Contender<Running>, load: &str, mix: &str, rate: f64) -> Result<()> {
    let duration = Duration::from_millis(lab.choose(2_000, 4_000));
    entry.round(lab, load, |running| running.run(lab, &options(lab, mix, rate), duration))
}

/// Finds about what a tracker serves, from nearby, since that is shorter.
fn search(lab: &Lab, entry: &mut Contender<Running>, mix: &'static str) -> Result<()> {
    entry.turn(lab, &format!("UDP {}, search", called(mix)), |running| {
        let guess = running.fill * if mix == ANNOUNCE { 1.0 } else { 1.4 };
        let options = options(lab, mix, guess).replace("--rate", SEARCH);
        let search = running.run(lab, &options, Duration::from_millis(lab.choose(1_000, 2_000)))?.search;
        let Search { served_rate, limit } = search.context("riptide-load tells of no search")?;
        ensure!(served_rate > 0.0, "it serves no rate at all");
        running.found.push((mix, served_rate, limit == "generator"));
        Ok(format!("{}/s", grouped(served_rate)))
    })
}

/// Starts a tracker and has every peer announce.
fn filled(lab: &Lab, tracker: &Tracker) -> Result<Contender<Running>> {
    Contender::start(lab, &tracker.name(), || {
        let mut running = tracker.start(lab, &Purpose::USUAL)?;
        let share = running.fill(lab, Population::USUAL)?;
        let resident = amount(Some(running.program.resident()?), "bytes");
        Ok((running, format!("{} % of the peers are in, {resident}", three(share * 100.0))))
    })
}

/// Measures, and adds rows and what programs showed to the report.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> Result<()> {
    let mut field = Field::open(lab, report)?;
    field.take_turns(lab)?;
    field.tell(report);
    drop(field);
    report.ratios.extend([verdict::measure(lab)?, expiry::measure(lab)?]);
    report.ratios.extend(flood::measure(lab)?);
    Ok(())
}

/// All trackers.
struct Field {
    native: Contender<Running>,
    sockets: Contender<Running>,
    echo_xsk: Contender<Running>,
    echo_sockets: Contender<Running>,
    /// The first is what rows are against.
    aquatic: Vec<Contender<Running>>,
}

impl Field {
    /// Starts all and fills them with peers; measures what can only be measured then.
    fn open(lab: &Lab, report: &mut Report) -> Result<Self> {
        let (mut idle, mut reply) = ([None; 2], None);
        let native = Contender::start(lab, &Tracker::Native.name(), || {
            let mut running = Tracker::Native.start(lab, &Purpose::USUAL)?;
            idle[0] = Some(idle_share(lab, &running)?);
            let share = running.fill(lab, Population::USUAL)?;
            idle[1] = Some(idle_share(lab, &running)?);
            let announces = options(lab, ANNOUNCE, running.fill / 4.0);
            reply = running.run(lab, &announces, Duration::from_secs(1))?.mean_reply();
            let share = three(share * 100.0);
            Ok((
                running,
                format!("{share} % of the peers are in, replies of {:.0} bytes", reply.unwrap_or(0.0)),
            ))
        })?;
        let why = native.serves.as_ref().err().map_or("", String::as_str);
        for (aim, share) in [aims::IDLE_EMPTY, aims::IDLE_FULL].iter().zip(idle) {
            report.ratios.push(Row::of(aim).figures(share, None).note(why));
        }
        let sockets = filled(lab, &Tracker::Sockets)?;
        let echo = |tracker: fn(f64) -> Tracker| {
            Contender::start(lab, &tracker(0.0).name(), || {
                let reply = reply.context("Riptide's replies have no known length")?;
                Ok((tracker(reply).start(lab, &Purpose::USUAL)?, format!("replies of {reply:.0} bytes")))
            })
        };
        let (echo_xsk, echo_sockets) = (echo(Tracker::EchoXsk)?, echo(Tracker::EchoSockets)?);
        let others = lab.peers(AQUATIC_UDP).map(|given| filled(lab, &Tracker::Other(given.clone())));
        // For a look, one version of it is enough.
        let mut aquatic = others.take(lab.choose(1, usize::MAX)).collect::<Result<Vec<_>>>()?;
        if aquatic.is_empty() {
            aquatic.push(Contender::absent(AQUATIC_UDP, missing(AQUATIC_UDP)));
        }
        Ok(Self { native, sockets, echo_xsk, echo_sockets, aquatic })
    }

    /// Whom a mix is asked of: at equal rates, or at what each served.
    fn entries(&mut self, mix: &str, equal: bool) -> Vec<&mut Contender<Running>> {
        let Self { native, sockets, echo_xsk, echo_sockets, aquatic, .. } = self;
        let mut entries = vec![native];
        match mix {
            MIX if equal => entries.push(sockets),
            MIX => entries.extend([sockets, echo_sockets]),
            ANNOUNCE => entries.push(echo_xsk),
            _ => {}
        }
        entries.extend(aquatic);
        entries
    }

    fn take_turns(&mut self, lab: &Lab) -> Result<()> {
        let rounds = lab.choose(3, 5);
        for _ in 0..rounds {
            for rate in RATES {
                for entry in self.entries(MIX, true) {
                    round(lab, entry, &at(rate), MIX, rate.into())?;
                }
            }
        }
        for mix in [MIX, ANNOUNCE, CONNECT] {
            for entry in self.entries(mix, false) {
                search(lab, entry, mix)?;
            }
            for _ in 0..rounds {
                for entry in self.entries(mix, false) {
                    if let Some(rate) = found(entry, mix) {
                        round(lab, entry, &served(mix), mix, rate.0)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds all that they showed to the report.
    fn tell(&mut self, report: &mut Report) {
        let (cost, busy): (Of, Of) = (|figures| figures.cpu_seconds_per_million, Figures::per_busy_second);
        let (native, sockets, aquatic) = (&self.native, &self.sockets, &self.aquatic[0]);
        for ((rate, xdp), plain) in RATES.into_iter().zip(&aims::MIX_XDP_AT).zip(&aims::MIX_SOCKETS_AT) {
            report.ratios.push(turns::row(xdp, &at(rate), [native, aquatic], cost));
            report.ratios.push(turns::row(plain, &at(rate), [sockets, aquatic], cost));
        }
        for (aim, mix, sides, of) in [
            (aims::MIX_XDP, MIX, [native, aquatic], busy),
            (aims::CONNECT, CONNECT, [native, aquatic], cost),
            (aims::ANNOUNCE, ANNOUNCE, [native, aquatic], cost),
            (aims::ANNOUNCE_ECHO, ANNOUNCE, [native, &self.echo_xsk], busy),
            (aims::MIX_SOCKETS_ECHO, MIX, [sockets, &self.echo_sockets], busy),
        ] {
            let mut row = turns::row(&aim, &served(mix), sides, of);
            for entry in sides.into_iter().filter(|entry| found(entry, mix).is_some_and(|(_, bound)| bound)) {
                row = row.note(format!("{} may serve more: the load could not send more", entry.name));
            }
            report.ratios.push(row);
        }
        let memory = Row::of(&aims::MEMORY_FULL).figures(native.resident, aquatic.resident);
        report.ratios.push(memory.note(aquatic.serves.as_ref().err().map_or("", String::as_str)));
        for rate in RATES {
            report.programs.extend(self.entries(MIX, true).iter().filter_map(|entry| entry.shown(&at(rate))));
        }
        for mix in [MIX, ANNOUNCE, CONNECT] {
            let entries = self.entries(mix, false);
            report.programs.extend(entries.iter().filter_map(|entry| entry.shown(&served(mix))));
        }
    }
}

/// What a tracker served in its search, and whether it was the load that could not send more.
fn found(entry: &Contender<Running>, mix: &str) -> Option<(f64, bool)> {
    let found = &entry.serves.as_ref().ok()?.found;
    found.iter().find(|(of, ..)| *of == mix).map(|(_, rate, bound)| (*rate, *bound))
}

/// How much of a core a tracker takes that nobody asks, percent.
fn idle_share(lab: &Lab, running: &Running) -> Result<f64> {
    // What asked last may still be answered, or tidied up.
    lab.rest(Duration::from_secs(1))?;
    let (before, time) = (running.run_time(), Duration::from_secs(lab.choose(5, 20)));
    lab.rest(time)?;
    let ran = running.run_time().checked_sub(before).context("a thread of an idle tracker ended")?;
    Ok(ran.as_secs_f64() / time.as_secs_f64() * 100.0)
}
