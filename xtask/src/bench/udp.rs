//! The rows of UDP: every tracker serves on a rig of its own, and they take turns.

mod expiry;
mod field;
mod growth;
mod settle;
mod soak;
mod verdict;

use crate::bench::{
    Lab,
    aims::{self, Aim},
    progress::Plan,
    report::{Detail, Performance, Report, Row, median},
    tracker::Tracker,
    turns::note_idle,
};
use anyhow::Result;
use field::{Field, Outcome};
use serde_json::json;

/// What is asked of the trackers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// Connects, announces and scrapes as 50:50:1.
    Mix,
    /// Announces only.
    Announce,
    /// Connects only.
    Connect,
}

impl Figure {
    const ALL: [Self; 3] = [Self::Mix, Self::Announce, Self::Connect];

    /// In reports and lines.
    const fn label(self) -> &'static str {
        match self {
            Self::Mix => "mix",
            Self::Announce => "announce only",
            Self::Connect => "connect only",
        }
    }

    /// As `riptide-load` takes it.
    const fn shares(self) -> &'static str {
        match self {
            Self::Mix => "50:50:1",
            Self::Announce => "0:1:0",
            Self::Connect => "1:0:0",
        }
    }

    /// Of whom it is measured. The echo is added once it is known how long its replies must be.
    fn trackers(self) -> &'static [Tracker] {
        match self {
            Self::Mix => &STARTERS,
            Self::Announce | Self::Connect => &[Tracker::Native, Tracker::AquaticUring],
        }
    }
}

/// Who serves from the beginning, those that rows are about first.
const STARTERS: [Tracker; 6] = [
    Tracker::Native,
    Tracker::AquaticUring,
    Tracker::Sockets,
    Tracker::Generic,
    Tracker::AquaticMio,
    Tracker::Opentracker,
];

/// What is ahead.
pub(crate) fn plan(lab: &Lab) -> Plan {
    let here = |tracker: &Tracker| tracker.peer().is_none_or(|peer| lab.peers.path(peer).is_ok());
    let starters: Vec<Tracker> = STARTERS.into_iter().filter(here).collect();
    let mut pairs: Vec<(Tracker, Figure)> = Vec::new();
    for figure in Figure::ALL {
        pairs.extend(
            figure.trackers().iter().filter(|tracker| here(tracker)).map(|tracker| (*tracker, figure)),
        );
    }
    pairs.push((Tracker::Echo(0.0), Figure::Announce));
    field::plan(lab, &starters, &pairs) + verdict::plan() + growth::plan(lab) + expiry::plan(lab)
}

/// Measures, and adds rows, series and details to the report.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> Result<()> {
    let mut field = Field::open(lab)?;
    for figure in Figure::ALL {
        field.measure(lab, figure)?;
    }
    let outcomes = field.close();
    rows(&outcomes, report);
    details(lab, &outcomes, report)?;
    verdict::measure(lab, report)?;
    growth::measure(lab, &outcomes, report)?;
    expiry::measure(lab, outcomes.of(Tracker::Native, Figure::Mix), report)
}

/// What a soak takes.
pub(crate) fn plan_soak(lab: &Lab) -> Plan {
    soak::plan(lab)
}

/// Serves for a long time.
pub(crate) fn soak(lab: &Lab, report: &mut Report) -> Result<()> {
    soak::measure(lab, report)
}

/// What all trackers showed.
pub(crate) struct Outcomes(Vec<(Tracker, Figure, Result<Outcome, String>)>);

impl Outcomes {
    /// What one showed, or why it did not.
    fn of(&self, tracker: Tracker, figure: Figure) -> Result<&Outcome, String> {
        let same = |other: Tracker| match (tracker, other) {
            (Tracker::Echo(_), Tracker::Echo(_)) => true,
            _ => tracker == other,
        };
        let found = self.0.iter().find(|(other, at, _)| same(*other) && *at == figure);
        match found {
            Some((_, _, Ok(outcome))) => Ok(outcome),
            Some((_, _, Err(why))) if why.starts_with("no --peer") => Err(why.clone()),
            Some((_, _, Err(why))) => Err(format!("{}: {why}", tracker.name())),
            None => Err("was not measured".to_owned()),
        }
    }
}

fn rows(outcomes: &Outcomes, report: &mut Report) {
    use Figure::{Announce, Connect, Mix};
    use Tracker::{AquaticUring, Echo, Native, Sockets};
    let served = |outcome: &Outcome| outcome.rounds.clone();
    for (aim, figure, ours, theirs) in [
        (aims::UDP_MIX_XDP, Mix, Native, AquaticUring),
        (aims::UDP_CONNECT_KERNEL, Connect, Native, AquaticUring),
        (aims::UDP_ANNOUNCE_XSK, Announce, Native, AquaticUring),
        (aims::UDP_ANNOUNCE_ECHO, Announce, Native, Echo(0.0)),
        (aims::UDP_MIX_SOCKETS, Mix, Sockets, AquaticUring),
    ] {
        let mut row = versus(&aim, outcomes.of(ours, figure), outcomes.of(theirs, figure), served);
        let busy = |tracker| {
            let outcome = outcomes.of(tracker, figure).ok();
            (tracker.name(), outcome.and_then(|outcome| median(outcome.busy.iter().copied())))
        };
        row = note_idle(row, busy(ours), busy(theirs));
        if outcomes.of(ours, figure).is_ok_and(|outcome| outcome.generator_bound) {
            row = row.note("Riptide serves more: the generator could not send more");
        }
        report.rows.push(row);
    }
    let (ours, theirs) = (outcomes.of(Native, Mix), outcomes.of(AquaticUring, Mix));
    report.rows.push(
        versus(&aims::UDP_MIX_CPU, ours.clone(), theirs.clone(), Outcome::cpu_seconds_per_million)
            .note("each at half of its own served rate"),
    );
    let filled = |outcome: &Outcome| outcome.resident.into_iter().collect();
    let mut row = versus(&aims::MEMORY_FULL, ours, theirs, filled).note("resident memory of the process");
    if let Some(resident) = outcomes.of(Tracker::Opentracker, Mix).ok().and_then(|outcome| outcome.resident) {
        row = row.note(format!("opentracker: {}", crate::bench::table::amount(Some(resident), "bytes")));
    }
    report.rows.push(row);
    let wrong = outcomes.0.iter().filter_map(|(tracker, figure, outcome)| {
        let wrong = outcome.as_ref().ok()?.wrong.clone()?;
        Some(format!("{} {}: {wrong}", tracker.name(), figure.label()))
    });
    for line in wrong {
        crate::say::step(&line);
    }
}

/// A row of two outcomes by a figure of each round.
fn versus(
    aim: &Aim,
    ours: Result<&Outcome, String>,
    theirs: Result<&Outcome, String>,
    figures: impl Fn(&Outcome) -> Vec<f64>,
) -> Row {
    let row = aim.row();
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            let rounds: Vec<(f64, f64)> = figures(ours).into_iter().zip(figures(theirs)).collect();
            row.measured(&rounds)
        }
        (Ok(ours), Err(why)) => Row { ours: median(figures(ours)), ..row }.note(why),
        (Err(why), Ok(theirs)) => Row { theirs: median(figures(theirs)), ..row }.note(why),
        (Err(why), Err(other)) if why == other => row.note(why),
        (Err(why), Err(other)) => row.note(why).note(other),
    }
}

fn details(lab: &Lab, outcomes: &Outcomes, report: &mut Report) -> Result<()> {
    for (tracker, figure, outcome) in &outcomes.0 {
        let Ok(outcome) = outcome else { continue };
        let version = tracker.peer().and_then(|peer| lab.peers.version(peer));
        let performance = Performance {
            served_rate: median(outcome.rounds.clone()),
            rounds: outcome.rounds.clone(),
            cpu_seconds_per_million: median(outcome.cpu_seconds_per_million()),
            latency_seconds: outcome.halves.last().map(|half| half.latency_seconds),
            resident_bytes: outcome.resident,
            version,
        };
        report.details.push(Detail::performance(tracker.name(), figure.label(), &performance)?);
        report.details.push(Detail {
            program: tracker.name().to_owned(),
            figure: format!("{}, in detail", figure.label()),
            values: json!({
                "probes": outcome.probes,
                "generator_bound": outcome.generator_bound,
                "busy_shares": outcome.busy,
                "stolen_seconds": outcome.stolen,
                "filled_share": outcome.filled,
                "half_rate_unanswered_share": outcome.halves.iter().map(|half| half.unanswered_share).collect::<Vec<_>>(),
                "wrong_replies": outcome.wrong.as_deref().unwrap_or("none"),
                "mean_reply_bytes": outcome.mean_reply,
            }),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(rounds: &[f64]) -> Outcome {
        Outcome { rounds: rounds.to_vec(), ..Outcome::default() }
    }

    #[test]
    fn rounds_are_compared_in_pairs() {
        let served = |outcome: &Outcome| outcome.rounds.clone();
        let (ours, theirs) = (outcome(&[400.0, 500.0, 450.0]), outcome(&[100.0, 100.0, 90.0]));
        let row = versus(&aims::UDP_MIX_XDP, Ok(&ours), Ok(&theirs), served);
        assert_eq!((row.ours, row.theirs), (Some(450.0), Some(100.0)));
        assert_eq!(row.rounds, [4.0, 5.0, 5.0]);
        let row = versus(&aims::UDP_MIX_XDP, Ok(&ours), Err("no --peer".to_owned()), served);
        assert_eq!((row.ours, row.theirs, row.note.as_str()), (Some(450.0), None, "no --peer"));
        let row = versus(&aims::UDP_MIX_XDP, Err("a".to_owned()), Err("a".to_owned()), served);
        assert_eq!((row.ours, row.note.as_str()), (None, "a"));
    }

    #[test]
    fn a_core_that_waited_is_told_of_its_row_alone() {
        let busy = |share| Outcome { busy: vec![share], ..outcome(&[1.0]) };
        let outcomes = Outcomes(vec![
            (Tracker::Native, Figure::Connect, Ok(busy(0.5))),
            (Tracker::AquaticUring, Figure::Connect, Ok(busy(0.97))),
            (Tracker::Native, Figure::Mix, Ok(busy(0.96))),
            (Tracker::AquaticUring, Figure::Mix, Ok(busy(0.97))),
        ]);
        let mut report = Report::new("udp", "", true);
        rows(&outcomes, &mut report);
        let note = |aim: &Aim| {
            let same = |row: &&Row| (row.name.as_str(), row.against.as_str()) == (aim.name, aim.against);
            report.rows.iter().find(same).unwrap().note.clone()
        };
        assert_eq!(
            note(&aims::UDP_CONNECT_KERNEL),
            "busy shares of the core that serves: Riptide, XDP native 50 %, aquatic_udp io_uring 97 %"
        );
        assert_eq!(note(&aims::UDP_MIX_XDP), "");
    }

    #[test]
    fn an_echo_is_an_echo_whatever_it_sends() {
        let outcomes = Outcomes(vec![
            (Tracker::Native, Figure::Mix, Ok(outcome(&[1.0]))),
            (Tracker::Echo(200.0), Figure::Announce, Ok(outcome(&[2.0]))),
            (Tracker::Opentracker, Figure::Mix, Err("it ended".to_owned())),
        ]);
        assert_eq!(outcomes.of(Tracker::Echo(0.0), Figure::Announce).unwrap().rounds, [2.0]);
        assert_eq!(outcomes.of(Tracker::Opentracker, Figure::Mix).unwrap_err(), "opentracker: it ended");
        assert!(outcomes.of(Tracker::Native, Figure::Connect).is_err());
    }
}
