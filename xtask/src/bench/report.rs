//! What a run of `cargo xtask bench` came to: rows, series and details, as JSON for programs and as a table for people.

use crate::{
    bench::{aims::AIMS, origin},
    machine,
};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
};

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    /// A higher ratio, as of rates.
    More,
    /// A lower ratio, as of costs.
    Less,
}

/// How far a row came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reached {
    /// Not even the floor.
    #[serde(rename = "below")]
    No,
    /// The floor, not the goal.
    #[serde(rename = "floor")]
    Floor,
    /// The goal.
    #[serde(rename = "goal")]
    Goal,
    /// There is no ratio.
    #[serde(rename = "not measured")]
    Unmeasured,
}

impl Reached {
    /// The word for it, in JSON as well.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::No => "below",
            Self::Floor => "floor",
            Self::Goal => "goal",
            Self::Unmeasured => "not measured",
        }
    }
}

/// One row of the table of ratios.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "RowJson", into = "RowJson")]
pub(crate) struct Row {
    /// What is measured.
    pub(crate) name: String,
    /// What it is compared with; empty if the figure stands by itself, and floor and goal are then figures too.
    pub(crate) against: String,
    /// Riptide's figure: the median of the rounds.
    pub(crate) ours: Option<f64>,
    /// The other's figure: the median of the rounds.
    pub(crate) theirs: Option<f64>,
    /// Unit of both: `responses/s`, `announces/s`, `CPU s`, `ns`, `s` or `bytes`.
    pub(crate) unit: String,
    /// The ratio that the design must give.
    pub(crate) floor: f64,
    /// The ratio that we came for.
    pub(crate) goal: f64,
    /// Which way is better.
    pub(crate) better: Better,
    /// Why a figure is missing, or what else a reader must know.
    pub(crate) note: String,
    /// The ratio of each round, for the spread.
    pub(crate) rounds: Vec<f64>,
}

impl Row {
    /// The ratio of both figures; of a figure that stands by itself, the figure.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let ratio = if self.against.is_empty() { self.ours? } else { self.ours? / self.theirs? };
        ratio.is_finite().then_some(ratio)
    }

    /// What the ratio comes to.
    pub(crate) fn reached(&self) -> Reached {
        let Some(ratio) = self.ratio() else { return Reached::Unmeasured };
        let at_least = |mark: f64| match self.better {
            Better::More => ratio >= mark,
            Better::Less => ratio <= mark,
        };
        match (at_least(self.goal), at_least(self.floor)) {
            (true, _) => Reached::Goal,
            (false, true) => Reached::Floor,
            (false, false) => Reached::No,
        }
    }

    /// Takes the figures of the rounds, a pair of ours and theirs for each: medians, and each round's ratio.
    pub(crate) fn measured(mut self, rounds: &[(f64, f64)]) -> Self {
        self.ours = median(rounds.iter().map(|round| round.0));
        self.theirs = median(rounds.iter().map(|round| round.1));
        self.rounds = rounds.iter().map(|(ours, theirs)| ours / theirs).filter(|r| r.is_finite()).collect();
        self
    }

    /// Adds to the note.
    pub(crate) fn note(mut self, text: impl AsRef<str>) -> Self {
        if !self.note.is_empty() {
            self.note.push_str("; ");
        }
        self.note.push_str(text.as_ref());
        self
    }
}

/// The middle of some figures; of an even number, the mean of the two in the middle. None of none.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        length if length % 2 == 0 => Some(f64::midpoint(figures[middle - 1], figures[middle])),
        _ => Some(figures[middle]),
    }
}

/// A row as it is written.
#[derive(Serialize, Deserialize)]
struct RowJson {
    name: String,
    against: String,
    ours: Option<f64>,
    theirs: Option<f64>,
    unit: String,
    ratio: Option<f64>,
    floor: f64,
    goal: f64,
    reached: Reached,
    better: Better,
    note: String,
    rounds: Vec<f64>,
}

impl From<RowJson> for Row {
    fn from(row: RowJson) -> Self {
        let RowJson { name, against, ours, theirs, unit, floor, goal, better, note, rounds, .. } = row;
        Self { name, against, ours, theirs, unit, floor, goal, better, note, rounds }
    }
}

impl From<Row> for RowJson {
    fn from(row: Row) -> Self {
        let (ratio, reached) = (row.ratio(), row.reached());
        let Row { name, against, ours, theirs, unit, floor, goal, better, note, rounds } = row;
        Self { name, against, ours, theirs, unit, ratio, floor, goal, reached, better, note, rounds }
    }
}

/// One measured series for the growth charts.
///
/// Series with the same labels share a chart, which is titled by them: "`y_label` by `x_label`".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Series {
    /// Who it is of.
    pub(crate) name: String,
    /// What grows: `torrents`, `workers`, `minutes`.
    pub(crate) x_label: String,
    /// What is measured, with its unit: `responses/s`, `CPU s per million responses`.
    pub(crate) y_label: String,
    /// x and y, by rising x.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Whatever else is worth keeping: what a program showed under a load, probes, settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Detail {
    /// The program.
    pub(crate) program: String,
    /// What was measured of it.
    pub(crate) figure: String,
    /// The figures. An object with a `served_rate` is a [`Performance`].
    pub(crate) values: Value,
}

impl Detail {
    /// What a program showed under `load`.
    pub(crate) fn performance(program: &str, load: &str, performance: &Performance) -> Result<Self> {
        let values = serde_json::to_value(performance).context("cannot write figures as JSON")?;
        Ok(Self { program: program.to_owned(), figure: load.to_owned(), values })
    }

    /// The other way round.
    pub(crate) fn as_performance(&self) -> Option<Performance> {
        self.values.get("served_rate")?;
        serde_json::from_value(self.values.clone()).ok()
    }
}

/// What a program showed under one load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Performance {
    /// Responses a second: the highest rate at which nearly all is answered, or of a closed loop, what came of it.
    pub(crate) served_rate: Option<f64>,
    /// Each round's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rounds: Vec<f64>,
    /// CPU seconds of the tracker's core for a million responses.
    pub(crate) cpu_seconds_per_million: Option<f64>,
    /// Latency in seconds.
    pub(crate) latency_seconds: Option<Latency>,
    /// Resident memory in bytes.
    pub(crate) resident_bytes: Option<f64>,
    /// The program's version, as it tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
}

/// Quantiles of latency in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Half of the requests were answered faster.
    pub(crate) p50: f64,
    /// All but one in a hundred.
    pub(crate) p99: f64,
    /// All but one in a thousand.
    pub(crate) p999: f64,
}

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    #[serde(rename = "ratios")]
    pub(crate) rows: Vec<Row>,
    /// For the growth charts.
    pub(crate) series: Vec<Series>,
    /// The rest.
    pub(crate) details: Vec<Detail>,
}

impl Report {
    /// An empty report of this checkout on this machine, now.
    pub(crate) fn new(name: &str, command: &str, quick: bool) -> Self {
        Self {
            name: name.to_owned(),
            commit: origin::commit(),
            machine: origin::machine(),
            date: origin::now(),
            command: command.to_owned(),
            quick,
            rows: Vec::new(),
            series: Vec::new(),
            details: Vec::new(),
        }
    }

    /// Puts the rows in the table's order, and adds those of `subjects` that nobody measured, with the reason `why`.
    pub(crate) fn complete(&mut self, subjects: &[&str], why: &str) {
        for aim in AIMS.iter().filter(|aim| subjects.contains(&aim.subject)) {
            if !self.rows.iter().any(|row| aim.is(row)) {
                self.rows.push(aim.row().note(why));
            }
        }
        self.rows.sort_by_key(|row| AIMS.iter().position(|aim| aim.is(row)).unwrap_or(AIMS.len()));
    }

    /// Takes what this run left out from the last full ones of the same commit on the same machine, newest first.
    pub(crate) fn supplement_from_disk(&mut self) {
        let Ok(entries) = fs::read_dir(directory()) else { return };
        let mut others: Vec<Self> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .filter_map(|path| Self::read(&path).ok())
            .collect();
        others.sort_by(|a, b| b.date.cmp(&a.date));
        for other in others {
            self.supplement(other);
        }
        let subjects: Vec<&str> = AIMS.iter().map(|aim| aim.subject).collect();
        self.complete(&subjects, NOT_MEASURED);
    }

    /// Takes what this report lacks from another, if both are full, of the same commit and machine.
    fn supplement(&mut self, other: Self) {
        if other.quick || (&other.commit, &other.machine) != (&self.commit, &self.machine) {
            return;
        }
        let mut useful = false;
        for row in other.rows.into_iter().filter(|row| row.ratio().is_some()) {
            let same = |have: &Row| have.name == row.name && have.against == row.against;
            match self.rows.iter_mut().find(|have| same(have)) {
                Some(have) if have.ratio().is_some() => continue,
                Some(have) => *have = row,
                None => self.rows.push(row),
            }
            useful = true;
        }
        for series in other.series {
            let key = |series: &Series| (series.name.clone(), series.x_label.clone(), series.y_label.clone());
            if !self.series.iter().any(|have| key(have) == key(&series)) {
                self.series.push(series);
                useful = true;
            }
        }
        for detail in other.details {
            let same = |have: &Detail| have.program == detail.program && have.figure == detail.figure;
            if !self.details.iter().any(same) {
                self.details.push(detail);
                useful = true;
            }
        }
        if useful && !self.command.split("; ").any(|line| line == other.command) {
            self.command = format!("{}; {}", self.command, other.command);
        }
    }

    /// Where a report of this name is.
    pub(crate) fn path(name: &str) -> PathBuf {
        directory().join(format!("{name}.json"))
    }

    /// Reads what [`Self::write`] wrote.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no result of a bench", path.display()))
    }

    /// Writes the report as JSON to [`Self::path`] and returns it.
    pub(crate) fn write(&self) -> Result<PathBuf> {
        let mut text = serde_json::to_string_pretty(self).context("cannot write the results as JSON")?;
        text.push('\n');
        let path = Self::path(&self.name);
        write_whole(&path, text.as_bytes())?;
        Ok(path)
    }
}

/// The note of a row that nobody asked for.
pub(crate) const NOT_MEASURED: &str = "was not measured";

/// Where results go.
pub(crate) fn directory() -> PathBuf {
    machine::workspace_root().join("target/bench")
}

/// Writes a file so that a reader sees the old one or the new one, never a part. It belongs to whoever owns the
/// directory: a checkout stays its owner's after a run as root.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("."));
        if !directory.is_dir() {
            fs::create_dir_all(directory)?;
            own_like_parent(directory);
        }
        let part = path.with_extension(format!("{}.part", std::process::id()));
        let written = fs::write(&part, bytes).and_then(|()| {
            own_like_parent(&part);
            fs::rename(&part, path)
        });
        if written.is_err() {
            let _ = fs::remove_file(&part);
        }
        written
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Only root can give a file away; for others there is nothing to do.
fn own_like_parent(path: &Path) {
    if let Some(owner) = path.parent().and_then(|parent| fs::metadata(parent).ok()) {
        let _ = chown(path, Some(owner.uid()), Some(owner.gid()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::aims;
    use serde_json::json;

    fn report(rows: Vec<Row>) -> Report {
        Report {
            name: "udp".into(),
            commit: "abc".into(),
            machine: "one core".into(),
            date: "2026-11-22T10:00:00Z".into(),
            command: "cargo xtask bench udp".into(),
            quick: false,
            rows,
            series: Vec::new(),
            details: Vec::new(),
        }
    }

    #[test]
    fn marks_are_reached_from_the_right_side() {
        let more = |ours| aims::UDP_MIX_XDP.row().measured(&[(ours, 100.0)]).reached();
        assert_eq!(
            [more(399.0), more(400.0), more(499.0), more(500.0)],
            [Reached::No, Reached::Floor, Reached::Floor, Reached::Goal]
        );
        let less = |ours| aims::UDP_MIX_CPU.row().measured(&[(ours, 4.0)]).reached();
        assert_eq!(
            [less(1.1), less(1.0), less(0.9), less(0.8)],
            [Reached::No, Reached::Floor, Reached::Floor, Reached::Goal]
        );
    }

    #[test]
    fn a_figure_by_itself_is_its_own_ratio() {
        let mut row = aims::XDP_VERDICT.row();
        assert_eq!((row.ratio(), row.reached()), (None, Reached::Unmeasured));
        row.ours = Some(120.0);
        assert_eq!((row.ratio(), row.reached()), (Some(120.0), Reached::Floor));
    }

    #[test]
    fn without_the_other_side_there_is_no_ratio() {
        let mut row = aims::UDP_MIX_XDP.row();
        row.ours = Some(5.0);
        assert_eq!(row.reached(), Reached::Unmeasured);
        row.theirs = Some(0.0);
        assert_eq!((row.ratio(), row.reached()), (None, Reached::Unmeasured), "nothing is served by nobody");
    }

    #[test]
    fn rounds_become_medians() {
        let row = aims::HTTP_ROUTE.row().measured(&[(10.0, 5.0), (30.0, 10.0), (20.0, 40.0)]);
        assert_eq!((row.ours, row.theirs, row.ratio()), (Some(20.0), Some(10.0), Some(2.0)));
        assert_eq!(row.rounds, [2.0, 3.0, 0.5]);
        assert_eq!(median([]), None);
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn the_json_is_as_agreed() {
        let written = serde_json::to_value(report(vec![
            aims::UDP_MIX_XDP.row().measured(&[(450.0, 100.0)]).note("a").note("b"),
            aims::XDP_VERDICT.row(),
        ]))
        .unwrap();
        let expected = json!({
            "name": "udp", "commit": "abc", "machine": "one core", "date": "2026-11-22T10:00:00Z",
            "command": "cargo xtask bench udp", "quick": false, "series": [], "details": [],
            "ratios": [
                {
                    "name": "UDP mix, XDP native, one core", "against": "aquatic_udp io_uring", "ours": 450.0,
                    "theirs": 100.0, "unit": "responses/s", "ratio": 4.5, "floor": 4.0, "goal": 5.0,
                    "reached": "floor", "better": "more", "note": "a; b", "rounds": [4.5],
                },
                {
                    "name": "XDP program, any verdict, by test-run", "against": "", "ours": null, "theirs": null,
                    "unit": "ns", "ratio": null, "floor": 150.0, "goal": 100.0, "reached": "not measured",
                    "better": "less", "note": "", "rounds": [],
                },
            ],
        });
        assert_eq!(written, expected);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let directory = std::env::temp_dir().join(format!("xtask-report-{}", std::process::id()));
        let mut before = report(vec![aims::UDP_MIX_XDP.row().measured(&[(450.0, 100.0), (400.0, 90.0)])]);
        before.series.push(Series {
            name: "Riptide".into(),
            x_label: "torrents".into(),
            y_label: "responses/s".into(),
            points: vec![(1e4, 5.0), (1e5, 4.0)],
        });
        let performance = Performance {
            served_rate: Some(5.0),
            latency_seconds: Some(Latency { p50: 0.001, p99: 0.002, p999: 0.003 }),
            ..Performance::default()
        };
        before.details.push(Detail::performance("Riptide", "mix", &performance).unwrap());
        let path = directory.join("a/udp.json");
        write_whole(&path, b"old").unwrap();
        write_whole(&path, serde_json::to_string(&before).unwrap().as_bytes()).unwrap();
        let after = Report::read(&path).unwrap();
        assert_eq!(after, before);
        assert_eq!(after.details[0].as_performance(), Some(performance));
        let names: Vec<_> =
            fs::read_dir(directory.join("a")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["udp.json"], "nothing else is left");
        write_whole(&path, b"{").unwrap();
        assert!(format!("{:#}", Report::read(&path).unwrap_err()).contains("is no result of a bench"));
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn rows_come_in_the_tables_order_and_none_is_missing() {
        let mut run = report(vec![aims::EXPIRY.row(), aims::HTTP_ROUTE.row(), aims::UDP_MIX_XDP.row()]);
        run.complete(&["http"], "was not run");
        let rows: Vec<_> = run.rows.iter().map(|row| (row.against.as_str(), row.note.as_str())).collect();
        assert_eq!(
            rows,
            [
                ("aquatic_udp io_uring", ""),
                ("aquatic_http", "was not run"),
                ("a do-nothing axum route with an equal reply", ""),
                ("p99.9 without expiry", ""),
            ]
        );
        let mut all = report(Vec::new());
        all.complete(&["udp", "http", "ws", "engine"], "");
        assert_eq!(all.rows.len(), AIMS.len());
    }

    #[test]
    fn what_a_run_left_out_comes_from_others_like_it() {
        let row = |ours| aims::UDP_MIX_XDP.row().measured(&[(ours, 100.0)]);
        let other = |quick, commit: &str, rows| Report {
            quick,
            commit: commit.into(),
            command: "cargo xtask bench ws".into(),
            ..report(rows)
        };
        let mut whole = report(vec![aims::UDP_MIX_XDP.row(), aims::HTTP_ROUTE.row().measured(&[(1.0, 1.0)])]);
        let before = whole.clone();
        whole.supplement(other(true, "abc", vec![row(450.0)]));
        whole.supplement(other(false, "def", vec![row(450.0)]));
        whole.supplement(other(false, "abc", vec![aims::UDP_MIX_XDP.row()]));
        assert_eq!(whole, before, "quick ones, other commits and empty rows give nothing");

        let mut useful =
            other(false, "abc", vec![row(450.0), aims::HTTP_ROUTE.row().measured(&[(9.0, 1.0)])]);
        let (program, figure, values) = ("Riptide".to_owned(), "soak".to_owned(), json!(1));
        useful.details.push(Detail { program, figure, values });
        whole.supplement(useful.clone());
        whole.supplement(useful);
        assert_eq!(whole.rows.iter().map(Row::ratio).collect::<Vec<_>>(), [Some(4.5), Some(1.0)]);
        assert_eq!(whole.details.len(), 1);
        assert_eq!(whole.command, "cargo xtask bench udp; cargo xtask bench ws");
    }
}
