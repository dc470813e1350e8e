//! Trackers that take turns: each serves on a rig of its own, full of peers, and is paused while others are measured.

use super::{
    Figure, Outcomes, STARTERS,
    settle::{LOSS, is_sent, settle},
};
use crate::bench::{
    Lab,
    load::{Figures, Pace, Population, Udp},
    progress::Plan,
    report::median,
    rig::Rig,
    table,
    tracker::{Purpose, Running, Tracker},
};
use anyhow::{Result, anyhow, bail};
use serde_json::Value;
use std::time::Duration;

/// Where the first search of a figure begins, requests a second. A search finds what there is to find from anywhere; from
/// nearby it is shorter.
fn first_guess(tracker: Tracker, figure: Figure) -> f64 {
    let announces = tracker.fill();
    match figure {
        Figure::Announce => announces,
        Figure::Mix => announces * 1.4,
        Figure::Connect if tracker == Tracker::Native => announces * 3.0,
        Figure::Connect => announces * 1.5,
    }
}

/// What one tracker showed under one figure.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The served rate of each round, responses a second.
    pub(crate) rounds: Vec<f64>,
    /// How busy the tracker's processor was in each round, from 0 to 1.
    pub(crate) busy: Vec<f64>,
    /// Processor time that the host gave to others in the probe that each round ended with, seconds.
    pub(crate) stolen: Vec<f64>,
    /// Whether a search was stopped by the generator, not the tracker.
    pub(crate) generator_bound: bool,
    /// Rates that searches tried.
    pub(crate) probes: Vec<Value>,
    /// At half of the served rate.
    pub(crate) halves: Vec<Figures>,
    /// Resident memory once all peers were in, bytes.
    pub(crate) resident: Option<f64>,
    /// The share of peers that were in.
    pub(crate) filled: Option<f64>,
    /// Wrong replies, if there were any.
    pub(crate) wrong: Option<String>,
    /// Mean payload of a reply, bytes.
    pub(crate) mean_reply: Option<f64>,
}

impl Outcome {
    /// CPU seconds of the tracker's processor for a million responses, each time that it was measured.
    pub(crate) fn cpu_seconds_per_million(&self) -> Vec<f64> {
        self.halves.iter().filter_map(|half| half.cpu_seconds_per_million).collect()
    }

    /// The served rate: the median of the rounds.
    pub(crate) fn served(&self) -> Option<f64> {
        median(self.rounds.iter().copied())
    }

    fn note(&mut self, figures: &Figures) {
        if let Some(wrong) = figures.wrong_replies() {
            let before = self.wrong.take().map(|before| before + "; ").unwrap_or_default();
            self.wrong = Some(before + &wrong);
        }
    }
}

/// Loads of one figure on one tracker.
pub(crate) struct Asked<'a> {
    /// On what.
    pub(crate) lab: &'a Lab,
    /// What is asked.
    pub(crate) figure: Figure,
    /// How long requests count at each rate of a search, which only has to come near where rounds go on from it.
    pub(crate) search: Duration,
    /// How long they count otherwise.
    pub(crate) duration: Duration,
}

impl Asked<'_> {
    /// As the whole lab asks.
    pub(crate) fn new(lab: &Lab, figure: Figure) -> Asked<'_> {
        let seconds = |quick, full| Duration::from_secs(lab.choose(quick, full));
        Asked { lab, figure, search: seconds(2, 4), duration: seconds(2, 10) }
    }

    fn load(&self, population: Population, pace: Pace) -> Udp {
        Udp {
            mix: self.figure.shares(),
            pace,
            duration: if matches!(pace, Pace::Search(_)) { self.search } else { self.duration },
            warmup: Duration::from_millis(self.lab.choose(500, 1_000)),
            fill: None,
            windows: None,
            population,
        }
    }

    /// Finds the served rate.
    pub(crate) fn search(&self, running: &mut Running, from: f64, outcome: &mut Outcome) -> Result<f64> {
        let figures = running.run(self.lab, &self.load(running.population, Pace::Search(from)))?;
        outcome.note(&figures);
        outcome.mean_reply = figures.mean_reply();
        let search = figures.search.unwrap_or_default();
        outcome.generator_bound |= search.limit == "generator";
        outcome.probes.push(search.probes.into());
        if search.served_rate <= 0.0 {
            bail!("{} serves no rate at all", running.program.name());
        }
        Ok(search.served_rate)
    }

    /// Offers a rate, then higher or lower ones, and returns the highest that was served; what was answered is the round.
    fn round(&self, running: &mut Running, rate: f64, outcome: &mut Outcome) -> Result<f64> {
        let mut generator_bound = false;
        let (rate, figures) = settle(rate, |rate| {
            let figures = running.run(self.lab, &self.load(running.population, Pace::Rate(rate)))?;
            generator_bound = figures.unanswered_share <= LOSS && !is_sent(&figures);
            Ok(figures)
        })?;
        outcome.generator_bound |= generator_bound;
        outcome.note(&figures);
        outcome.rounds.push(figures.answered_per_second);
        outcome.busy.extend(figures.busy());
        outcome.stolen.push(figures.stolen_seconds);
        Ok(rate)
    }

    /// What it costs to serve half of a rate, and how long replies take then.
    pub(crate) fn half(&self, running: &mut Running, served: f64, outcome: &mut Outcome) -> Result<String> {
        let figures = running.run(self.lab, &self.load(running.population, Pace::Rate(served / 2.0)))?;
        outcome.note(&figures);
        let cost = figures.cpu_seconds_per_million;
        let said = format!(
            "{} for a million, p99.9 {}",
            table::amount(cost, "CPU s"),
            table::amount(Some(figures.latency_seconds.p999), "s")
        );
        outcome.halves.push(figures);
        Ok(said)
    }
}

/// A rate for a line.
pub(crate) fn rate(rate: f64) -> String {
    table::amount(Some(rate), "responses/s")
}

/// What is ahead for these trackers.
pub(crate) fn plan(lab: &Lab, starters: &[Tracker], pairs: &[(Tracker, Figure)]) -> Plan {
    let filled = starters.iter().filter(|tracker| is_filled(lab, **tracker));
    let mut plan = Plan::steps(starters.len(), 1);
    for tracker in filled {
        plan.time += Duration::from_secs_f64(Population::USUAL.peers as f64 / tracker.fill());
    }
    let compared = pairs.iter().filter(|(tracker, _)| tracker.has_row()).count();
    plan + Plan::steps(pairs.len(), lab.choose(38, 60))
        + Plan::steps(compared * rounds(lab), lab.choose(4, 36))
        + Plan::steps(
            pairs
                .iter()
                .filter(|(tracker, _)| tracker.has_row())
                .map(|(_, figure)| halves(lab, *figure))
                .sum(),
            lab.choose(4, 12),
        )
}

/// Whether all peers announce to it before anything is measured. In the quick bench, only to those that rows are about.
fn is_filled(lab: &Lab, tracker: Tracker) -> bool {
    !lab.quick || tracker.has_row()
}

/// How often each is measured at half of what it serves: of the mix, which a row is about, as often as at the whole.
fn halves(lab: &Lab, figure: Figure) -> usize {
    if figure == Figure::Mix { lab.choose(1, rounds(lab)) } else { 1 }
}

/// How often those that are compared have their turns.
fn rounds(lab: &Lab) -> usize {
    lab.choose(3, 5)
}

/// One tracker.
struct Entry {
    tracker: Tracker,
    /// It serves, or why not.
    running: Result<Running, String>,
    resident: Option<f64>,
    filled: Option<f64>,
}

impl Entry {
    /// Starts a tracker, full of peers where they belong to what is measured.
    fn start(lab: &Lab, tracker: Tracker) -> Result<Self> {
        let filled = is_filled(lab, tracker);
        let what = if filled { "every peer announces" } else { "start" };
        let step = lab.progress.begin(&format!("{what}, {}", tracker.name()));
        let purpose = Purpose::of(Population::USUAL);
        let started = if filled {
            start(lab, tracker, &purpose).map(|(running, share, resident)| (running, Some((share, resident))))
        } else {
            Rig::lay(lab, 1).and_then(|rig| tracker.start(lab, rig, &purpose)).map(|running| (running, None))
        };
        match started {
            Ok((running, full)) => {
                running.program.pause();
                step.end(&full.map_or_else(
                    || "it serves".to_owned(),
                    |(share, resident)| {
                        format!("{:.1} % are in, {}", share * 100.0, table::amount(Some(resident), "bytes"))
                    },
                ));
                let (filled, resident) = full.unzip();
                Ok(Self { tracker, running: Ok(running), resident, filled })
            }
            Err(error) => {
                drop(step);
                let why = lab.failed(tracker.name(), error)?;
                Ok(Self { tracker, running: Err(why), resident: None, filled: None })
            }
        }
    }

    /// Does something with it while it has its processor. What fails here ends it for good.
    fn awake<T>(
        &mut self,
        lab: &Lab,
        what: &str,
        work: impl FnOnce(&mut Running) -> Result<(T, String)>,
    ) -> Result<Option<T>> {
        let Ok(running) = &mut self.running else {
            lab.progress.skip(1);
            return Ok(None);
        };
        let step = lab.progress.begin(&format!("{what}, {}", self.tracker.name()));
        let done = running.program.resume(lab).and_then(|()| work(running));
        match done {
            Ok((value, said)) => {
                running.program.pause();
                step.end(&said);
                Ok(Some(value))
            }
            Err(error) => {
                drop(step);
                self.running = Err(lab.failed(self.tracker.name(), error)?);
                Ok(None)
            }
        }
    }
}

/// All trackers.
pub(crate) struct Field {
    entries: Vec<Entry>,
    outcomes: Vec<(Tracker, Figure, Result<Outcome, String>)>,
}

impl Field {
    /// Starts all and fills them with peers.
    pub(crate) fn open(lab: &Lab) -> Result<Self> {
        let mut entries = Vec::new();
        for tracker in STARTERS {
            if let Some(Err(why)) = tracker.peer().map(|peer| lab.peers.path(peer)) {
                entries.push(Entry { tracker, running: Err(why), resident: None, filled: None });
                continue;
            }
            entries.push(Entry::start(lab, tracker)?);
        }
        Ok(Self { entries, outcomes: Vec::new() })
    }

    /// What all showed; they are ended.
    pub(crate) fn close(self) -> Outcomes {
        Outcomes(self.outcomes)
    }

    /// Measures one figure of those that it is measured of.
    pub(crate) fn measure(&mut self, lab: &Lab, figure: Figure) -> Result<()> {
        let mut chosen: Vec<usize> = Vec::new();
        for tracker in figure.trackers() {
            chosen.extend(self.entries.iter().position(|entry| entry.tracker == *tracker));
        }
        if figure == Figure::Announce {
            self.add_echo(lab)?;
            chosen.push(self.entries.len() - 1);
        }
        let asked = Asked::new(lab, figure);
        let mut outcomes: Vec<Outcome> = chosen
            .iter()
            .map(|index| {
                let Entry { resident, filled, .. } = self.entries[*index];
                Outcome { resident, filled, ..Outcome::default() }
            })
            .collect();
        self.compare(&asked, &chosen, &mut outcomes)?;
        for (index, outcome) in chosen.into_iter().zip(outcomes) {
            let entry = &self.entries[index];
            let outcome = match &entry.running {
                Ok(_) => Ok(outcome),
                Err(why) => Err(why.clone()),
            };
            self.outcomes.push((entry.tracker, figure, outcome));
        }
        Ok(())
    }

    /// Finds out about where everybody's served rate is. Then those that are compared take turns, each going on from
    /// where it was the round before.
    fn compare(&mut self, asked: &Asked<'_>, chosen: &[usize], outcomes: &mut [Outcome]) -> Result<()> {
        let label = asked.figure.label();
        let mut rates = vec![0.0; chosen.len()];
        for ((index, outcome), rate) in chosen.iter().zip(&mut *outcomes).zip(&mut rates) {
            let entry = &mut self.entries[*index];
            let from = first_guess(entry.tracker, asked.figure);
            let found = entry.awake(asked.lab, &format!("{label}: search"), |running| {
                let served = asked.search(running, from, outcome)?;
                Ok((served, self::rate(served)))
            })?;
            *rate = found.unwrap_or_default();
            if !entry.tracker.has_row() {
                outcome.rounds.extend(found);
            }
        }
        let rounds = rounds(asked.lab);
        for round in 1..=rounds {
            for ((index, outcome), rate) in chosen.iter().zip(&mut *outcomes).zip(&mut rates) {
                let entry = &mut self.entries[*index];
                if !entry.tracker.has_row() {
                    continue;
                }
                let what = format!("{label}: round {round} of {rounds}");
                let from = *rate;
                let settled = entry.awake(asked.lab, &what, |running| {
                    let settled = asked.round(running, from, outcome)?;
                    Ok((settled, self::rate(settled)))
                })?;
                *rate = settled.unwrap_or_default();
            }
        }
        for _ in 0..halves(asked.lab, asked.figure) {
            for (index, outcome) in chosen.iter().zip(&mut *outcomes) {
                let entry = &mut self.entries[*index];
                if !entry.tracker.has_row() {
                    continue;
                }
                let served = outcome.served().unwrap_or_default();
                entry.awake(asked.lab, &format!("{label}: half of that"), |running| {
                    Ok(((), asked.half(running, served, outcome)?))
                })?;
            }
        }
        Ok(())
    }

    /// Starts the echo, with replies as long as Riptide's announces have.
    fn add_echo(&mut self, lab: &Lab) -> Result<()> {
        let asked = Asked { duration: Duration::from_secs(1), ..Asked::new(lab, Figure::Announce) };
        let unknown = |why: &str| anyhow!("it is not known how long its replies must be: {why}");
        let native = self.entries.iter_mut().find(|entry| entry.tracker == Tracker::Native);
        let bytes = match native.map(|entry| &mut entry.running) {
            Some(Ok(running)) => {
                let pace = Pace::Rate(Tracker::Native.fill() / 4.0);
                let figures = running
                    .program
                    .resume(lab)
                    .and_then(|()| running.run(lab, &asked.load(running.population, pace)));
                running.program.pause();
                figures.and_then(|figures| {
                    figures.mean_reply().ok_or_else(|| unknown("Riptide answered nothing"))
                })
            }
            Some(Err(why)) => Err(unknown(why)),
            None => Err(unknown("Riptide does not run")),
        };
        let mut tracker = Tracker::Echo(0.0);
        let running = bytes.and_then(|bytes| {
            tracker = Tracker::Echo(bytes);
            let rig = Rig::lay(lab, 1)?;
            let running = tracker.start(lab, rig, &Purpose::of(Population::USUAL))?;
            running.program.pause();
            Ok(running)
        });
        let running = match running {
            Ok(running) => Ok(running),
            Err(error) => Err(lab.failed(tracker.name(), error)?),
        };
        self.entries.push(Entry { tracker, running, resident: None, filled: None });
        Ok(())
    }
}

/// Starts a tracker and has every peer announce. Returns the share that got an answer and the tracker's resident memory
/// with all of them.
pub(crate) fn start(lab: &Lab, tracker: Tracker, purpose: &Purpose) -> Result<(Running, f64, f64)> {
    let rig = Rig::lay(lab, purpose.workers)?;
    let mut running = tracker.start(lab, rig, purpose)?;
    let share = running.fill(lab, purpose.population, tracker.fill())?;
    let resident = running.program.resident()?;
    Ok((running, share, resident))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_replies_are_told_together() {
        let mut outcome = Outcome::default();
        outcome.note(&Figures::default());
        assert_eq!(outcome.wrong, None);
        let wrong =
            Figures { wrong_in_all: 2, wrong: [("length".to_owned(), 2)].into(), ..Figures::default() };
        outcome.note(&wrong);
        outcome.note(&wrong);
        assert_eq!(outcome.wrong.unwrap(), "2 wrong replies (2 length); 2 wrong replies (2 length)");
    }

    #[test]
    fn a_cost_is_known_where_it_was_measured() {
        let half = |cost| Figures { cpu_seconds_per_million: cost, ..Figures::default() };
        let outcome =
            Outcome { halves: vec![half(Some(2.0)), half(None), half(Some(3.0))], ..Outcome::default() };
        assert_eq!(outcome.cpu_seconds_per_million(), [2.0, 3.0]);
        assert_eq!(Outcome { rounds: vec![3.0, 1.0, 2.0], ..Outcome::default() }.served(), Some(2.0));
    }
}
