//! What a run of `cargo xtask bench` came to: rows with their marks, and what each program showed, as JSON.

use crate::{
    bench::{aims::Aim, host},
    machine,
};
use anyhow::{Context, Result};
use serde::Serialize;
use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
};

/// How far a row came: not even to the floor, to it, to the goal, or nobody knows.
pub(crate) const BELOW: &str = "below";
pub(crate) const FLOOR: &str = "floor";
pub(crate) const GOAL: &str = "goal";
pub(crate) const UNMEASURED: &str = "not measured";

/// One row of the table of ratios.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    /// What is measured, against what, and the marks.
    #[serde(flatten)]
    pub(crate) aim: Aim,
    /// Riptide's figure: the median of the rounds.
    pub(crate) ours: Option<f64>,
    /// The other's figure: the median of the rounds.
    pub(crate) theirs: Option<f64>,
    /// The ratio of both figures; of a figure that stands by itself, the figure.
    pub(crate) ratio: Option<f64>,
    /// How far the ratio came.
    pub(crate) reached: &'static str,
    /// Why a figure is missing, or what else a reader must know.
    pub(crate) note: String,
    /// The ratio of each round, for the spread.
    pub(crate) rounds: Vec<f64>,
}

impl Row {
    /// The row of an aim, without figures.
    pub(crate) fn of(aim: &Aim) -> Self {
        let (note, rounds) = (String::new(), Vec::new());
        Self { aim: *aim, ours: None, theirs: None, ratio: None, reached: UNMEASURED, note, rounds }
    }

    /// Takes the figures of both sides, by rounds: medians, and each round's ratio.
    pub(crate) fn compare(self, ours: &[f64], theirs: &[f64]) -> Self {
        let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs);
        let rounds = ratios.filter(|ratio| ratio.is_finite()).collect();
        Self { rounds, ..self.figures(median(ours), median(theirs)) }
    }

    /// Takes a figure of each side, as far as there is one.
    pub(crate) fn figures(mut self, ours: Option<f64>, theirs: Option<f64>) -> Self {
        (self.ours, self.theirs) = (ours, theirs);
        let ratio = if self.aim.is_alone() { ours } else { ours.zip(theirs).map(|(us, them)| us / them) };
        self.ratio = ratio.filter(|ratio| ratio.is_finite());
        self.reached = self.ratio.map_or(UNMEASURED, |ratio| {
            let at_least = |mark| if self.aim.less_is_better() { ratio <= mark } else { ratio >= mark };
            match (at_least(self.aim.goal), at_least(self.aim.floor)) {
                (true, _) => GOAL,
                (false, true) => FLOOR,
                (false, false) => BELOW,
            }
        });
        self
    }

    /// Adds to the note.
    pub(crate) fn note(mut self, text: impl AsRef<str>) -> Self {
        if !self.note.is_empty() && !text.as_ref().is_empty() {
            self.note.push_str("; ");
        }
        self.note.push_str(text.as_ref());
        self
    }
}

/// The middle of some figures; of an even number, the mean of the two in the middle. None of none.
pub(crate) fn median(figures: &[f64]) -> Option<f64> {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        length if length % 2 == 0 => Some(f64::midpoint(figures[middle - 1], figures[middle])),
        _ => Some(figures[middle]),
    }
}

/// What a program showed under one load: medians of its rounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Shown {
    /// The program, with its version if it tells one.
    pub(crate) program: String,
    /// What was asked of it, and how fast.
    pub(crate) load: String,
    /// Right answers a second.
    pub(crate) answered_per_second: Option<f64>,
    /// How busy its processor was, from 0 to 1, whoever worked there.
    pub(crate) busy: Option<f64>,
    /// CPU seconds that it and the thread that receives for it took for a million right answers.
    pub(crate) cpu_seconds_per_million: Option<f64>,
    /// From request to answer: half were faster, all but one in a hundred, in a thousand.
    pub(crate) p50_seconds: Option<f64>,
    pub(crate) p99_seconds: Option<f64>,
    pub(crate) p999_seconds: Option<f64>,
    /// The share of requests without a right answer.
    pub(crate) unanswered_share: Option<f64>,
    /// Resident memory, bytes.
    pub(crate) resident_bytes: Option<f64>,
}

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Report {
    /// Name of the file: the subject, or `bench` for all.
    pub(crate) name: String,
    /// What was measured, `-dirty` if the checkout had changes.
    pub(crate) commit: String,
    /// Where.
    pub(crate) machine: String,
    /// When it began, RFC 3339 in UTC.
    pub(crate) date: String,
    /// What was typed.
    pub(crate) command: String,
    /// Short probes: for a look, not for the record.
    pub(crate) quick: bool,
    /// The table.
    pub(crate) ratios: Vec<Row>,
    /// What each program showed.
    pub(crate) programs: Vec<Shown>,
}

impl Report {
    /// An empty report of this checkout on this machine, now.
    pub(crate) fn new(name: &str, command: &str, quick: bool) -> Self {
        Self {
            name: name.to_owned(),
            commit: host::commit(),
            machine: host::machine(),
            date: host::now(),
            command: command.to_owned(),
            quick,
            ratios: Vec::new(),
            programs: Vec::new(),
        }
    }

    /// Puts the rows of some aims into their order, and adds those that nobody measured, with the reason `why`.
    pub(crate) fn complete<'a>(&mut self, aims: impl Iterator<Item = &'a Aim>, why: &str) {
        let mut rest = std::mem::take(&mut self.ratios);
        for aim in aims {
            let have = rest.iter().position(|row| row.aim == *aim);
            self.ratios.push(have.map_or_else(|| Row::of(aim).note(why), |index| rest.remove(index)));
        }
        self.ratios.append(&mut rest);
    }

    /// Writes the report as JSON and returns where.
    pub(crate) fn write(&self) -> Result<PathBuf> {
        let text = serde_json::to_string_pretty(self).context("cannot write the results as JSON")?;
        let path = directory().join(format!("{}.json", self.name));
        write_whole(&path, (text + "\n").as_bytes())?;
        Ok(path)
    }
}

/// Where results go.
pub(crate) fn directory() -> PathBuf {
    machine::workspace_root().join("target/bench")
}

/// Writes a file so that a reader sees the old one or the new one, never a part. It belongs to whoever owns the
/// directory, as that does to whoever owns the one above: a checkout stays its owner's after a run as root.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let own_like = |path: &Path, above: Option<&Path>| {
        if let Some(owner) = above.and_then(|above| fs::metadata(above).ok()) {
            // Only root can give a file away; for others there is nothing to do.
            let _ = chown(path, Some(owner.uid()), Some(owner.gid()));
        }
    };
    let (directory, part) = (path.parent().unwrap_or(Path::new(".")), path.with_extension("part"));
    let written = fs::create_dir_all(directory).and_then(|()| fs::write(&part, bytes)).and_then(|()| {
        own_like(directory, directory.parent());
        own_like(&part, Some(directory));
        fs::rename(&part, path)
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::aims::aim;
    use serde_json::json;

    const RATE: Aim = aim("udp", "a rate", "other", "responses/s", 4.0, 5.0);
    const COST: Aim = aim("udp", "a cost", "other", "CPU s", 0.25, 0.2);
    const ALONE: Aim = aim("http", "a time", "", "ns", 150.0, 100.0);

    fn report(ratios: Vec<Row>) -> Report {
        Report { ratios, ..Report::new("udp", "cargo xtask bench udp", false) }
    }

    #[test]
    fn marks_are_reached_from_the_right_side() {
        let reached = |aim, ours, theirs| Row::of(aim).figures(ours, theirs).reached;
        let rates = [399.0, 400.0, 499.0, 500.0].map(|ours| reached(&RATE, Some(ours), Some(100.0)));
        assert_eq!(rates, [BELOW, FLOOR, FLOOR, GOAL]);
        let costs = [1.1, 1.0, 0.9, 0.8].map(|ours| reached(&COST, Some(ours), Some(4.0)));
        assert_eq!(costs, [BELOW, FLOOR, FLOOR, GOAL]);
        assert_eq!([reached(&ALONE, Some(120.0), None), reached(&ALONE, None, None)], [FLOOR, UNMEASURED]);
        assert_eq!(reached(&RATE, Some(5.0), None), UNMEASURED);
        assert_eq!(reached(&RATE, Some(5.0), Some(0.0)), UNMEASURED, "nothing is served by nobody");
    }

    #[test]
    fn rounds_become_medians() {
        let row = Row::of(&RATE).compare(&[10.0, 30.0, 20.0], &[5.0, 10.0, 40.0]);
        assert_eq!((row.ours, row.theirs, row.ratio), (Some(20.0), Some(10.0), Some(2.0)));
        assert_eq!(row.rounds, [2.0, 3.0, 0.5]);
        assert_eq!([median(&[]), median(&[4.0, 1.0, 3.0, 2.0])], [None, Some(2.5)]);
    }

    #[test]
    fn the_json_is_as_agreed() {
        let rows =
            vec![Row::of(&RATE).compare(&[450.0], &[100.0]).note("a").note("").note("b"), Row::of(&ALONE)];
        let written = serde_json::to_value(report(rows)).unwrap();
        let ratios = json!([
            {
                "subject": "udp", "name": "a rate", "against": "other", "ours": 450.0, "theirs": 100.0,
                "unit": "responses/s", "ratio": 4.5, "floor": 4.0, "goal": 5.0, "reached": "floor",
                "note": "a; b", "rounds": [4.5],
            },
            {
                "subject": "http", "name": "a time", "against": "", "ours": null, "theirs": null, "unit": "ns",
                "ratio": null, "floor": 150.0, "goal": 100.0, "reached": "not measured", "note": "", "rounds": [],
            },
        ]);
        assert_eq!(written["ratios"], ratios);
        assert_eq!(written["name"], "udp");
        assert!(written["commit"].is_string() && written["machine"].is_string(), "{written}");
    }

    #[test]
    fn rows_come_in_the_tables_order_and_none_is_missing() {
        let mut run = report(vec![Row::of(&ALONE), Row::of(&COST)]);
        run.complete([RATE, COST].iter(), "was not run");
        let rows: Vec<_> = run.ratios.iter().map(|row| (row.aim.name, row.note.as_str())).collect();
        assert_eq!(rows, [("a rate", "was not run"), ("a cost", ""), ("a time", "")]);
    }

    #[test]
    fn files_are_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/udp.json");
        write_whole(&path, b"old").and_then(|()| write_whole(&path, b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path().join("a")).unwrap().count(), 1, "nothing else is left");
    }
}
