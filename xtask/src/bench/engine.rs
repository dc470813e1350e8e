//! The rows of the swarm engine: what its benches write, which run before the rig is built, as whoever called.

use crate::{
    bench::{
        aims,
        figures::times,
        lab::Lab,
        result::{self, Report, Row, median},
    },
    machine, process, say,
};
use anyhow::{Context, Result};
use serde::{Deserialize, de::DeserializeOwned};
use std::{fs, path::PathBuf};

/// The benches that rows come from. Each writes its cases into a file of its name.
const BENCHES: [&str; 2] = ["turns", "memory"];

/// Rows of one figure: the bench's name of it, and how it is told.
const ALONE: [(&str, aims::Aim); 5] = [
    ("lock_hold_swarm", aims::HOLD_SWARM),
    ("lock_hold_shard", aims::HOLD_SHARD),
    ("lock_hold_walk", aims::HOLD_WALK),
    ("IPv4 peer in a swarm of 1,000", aims::MEMORY_PEER),
    ("torrent with one IPv4 peer", aims::MEMORY_TORRENT),
];

/// Where the benches of a subject write.
pub(crate) fn directory(subject: &str) -> PathBuf {
    result::directory().join(subject)
}

/// Builds and runs the benches of the engine, as whoever called. One that fails leaves its rows without figures.
pub(crate) fn prepare(quick: bool) -> Result<()> {
    run("engine", "tracker-core", &BENCHES, quick)
}

/// Builds and runs these benches of a package.
pub(crate) fn run(subject: &str, package: &str, benches: &[&str], quick: bool) -> Result<()> {
    // Of an earlier run nothing may be taken for this one's.
    let directory = directory(subject);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    say::step(&format!("measuring the {subject}"));
    for name in benches {
        let mut bench = process::cargo();
        bench.args(["bench", "--quiet", "--package", package, "--bench", name]);
        bench.arg("--target-dir").arg(machine::target_dir()).arg("--");
        bench.arg("--json").arg(directory.join(name).with_extension("json"));
        if quick {
            bench.arg("--quick");
        }
        if let Err(error) = process::run(&mut bench) {
            say::step(&format!("error: {error:#}"));
        }
    }
    Ok(())
}

/// What a bench of a subject has written.
pub(crate) fn written<T: DeserializeOwned>(subject: &str, bench: &str) -> Result<T> {
    let path = directory(subject).join(bench).with_extension("json");
    let read = fs::read_to_string(&path).map_err(anyhow::Error::from);
    let read = read.and_then(|text| serde_json::from_str(&text).context("it is no list of cases"));
    read.with_context(|| format!("cannot read what the bench `{bench}` wrote"))
}

/// Adds what they wrote to the report.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> Result<()> {
    lab.check()?;
    let mut cases = Cases::default();
    let mut failed = Ok(());
    for name in BENCHES {
        failed = failed.and(written("engine", name).map(|more| cases.add(more)));
    }
    report.ratios.extend(cases.rows());
    failed
}

/// What a bench writes.
#[derive(Default, Deserialize)]
struct Cases {
    cases: Vec<Case>,
    /// Why a case is not there.
    #[serde(default)]
    left_out: Option<String>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    /// Of a comparison, what both sides did a second in each round.
    #[serde(default)]
    per_second: Vec<(f64, f64)>,
    /// Of memory, with what the allocator adds.
    bytes: Option<f64>,
    /// Of a time, microseconds.
    microseconds: Option<f64>,
}

impl Cases {
    fn add(&mut self, more: Self) {
        self.cases.extend(more.cases);
        self.left_out = self.left_out.take().or(more.left_out);
    }

    fn case(&self, name: &str) -> Option<&Case> {
        self.cases.iter().find(|case| case.name == name)
    }

    /// Both sides of a comparison.
    fn sides(&self, name: &str) -> (Vec<f64>, Vec<f64>) {
        self.case(name).into_iter().flat_map(|case| &case.per_second).copied().unzip()
    }

    /// How many times as fast, for a note.
    fn times(&self, name: &str) -> String {
        let (ours, theirs) = self.sides(name);
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        median(&ratios).map_or_else(|| "not measured".to_owned(), times)
    }

    fn rows(&self) -> Vec<Row> {
        let row = |aim, name| {
            let (ours, theirs) = self.sides(name);
            Row::of(aim).compare(&ours, &theirs)
        };
        let threads = row(&aims::ENGINE_THREADS, "two threads, one thread, Zipf").note(format!(
            "uniform hashes: {}; two threads with an engine each, which share nothing: {}; two threads of arithmetic \
             alone, which is what this machine gives: {}",
            self.times("two threads, one thread, uniform"),
            self.times("two threads with an engine each, one thread, Zipf"),
            self.times("two threads, one thread, arithmetic"),
        ));
        let cost = |side: Vec<f64>| side.into_iter().map(|rate| 1e9 / rate).collect::<Vec<f64>>();
        let (large, small) = self.sides("10 M torrents, 10 k torrents");
        let growth = Row::of(&aims::ENGINE_GROWTH).compare(&cost(large), &cost(small));
        let growth = growth.note(self.left_out.as_deref().unwrap_or_default());
        let mut rows = vec![row(&aims::ENGINE_BATCHED, "batched, one by one"), threads, growth];
        rows.extend(ALONE.map(|(name, aim)| match self.case(name) {
            Some(case) => Row::of(&aim).figures(case.bytes.or(case.microseconds), None),
            None => Row::of(&aim).note("no bench measured it"),
        }));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{
        aims::Aim,
        result::{BELOW, FLOOR, GOAL, UNMEASURED},
    };

    /// What the benches write, shortened.
    const WRITTEN: [&str; 3] = [
        r#"{"left_out": null, "cases": [
            {"name": "batched, one by one", "per_second": [[4e6, 2e6], [5e6, 2e6], [6e6, 2e6]]},
            {"name": "two threads, one thread, Zipf", "per_second": [[3.4e6, 2e6]]},
            {"name": "two threads, one thread, arithmetic", "per_second": [[3.6e6, 2e6]]},
            {"name": "10 M torrents, 10 k torrents", "per_second": [[2.5e6, 5e6]]}]}"#,
        r#"{"cases": [{"name": "IPv4 peer in a swarm of 1,000", "bytes": 11.4},
            {"name": "torrent with one IPv4 peer", "bytes": 120}]}"#,
        r#"{"cases": [{"name": "lock_hold_swarm", "microseconds": 180}, {"name": "lock_hold_shard", "microseconds": 600}]}"#,
    ];

    fn row(cases: &Cases, aim: &Aim) -> Row {
        cases.rows().into_iter().find(|row| row.aim == *aim).unwrap()
    }

    #[test]
    fn what_the_benches_wrote_becomes_rows() {
        let mut cases = Cases::default();
        WRITTEN.iter().for_each(|text| cases.add(serde_json::from_str(text).unwrap()));
        assert_eq!(row(&cases, &aims::ENGINE_BATCHED).rounds, [2.0, 2.5, 3.0]);
        let growth = row(&cases, &aims::ENGINE_GROWTH);
        assert_eq!((growth.ours, growth.theirs, growth.reached), (Some(400.0), Some(200.0), GOAL));
        let threads = row(&cases, &aims::ENGINE_THREADS);
        assert!(
            threads.note.starts_with("uniform hashes: not measured;") && threads.note.ends_with("1.80 x")
        );
        for (aim, reached) in [
            (aims::ENGINE_THREADS, FLOOR),
            (aims::MEMORY_PEER, GOAL),
            (aims::MEMORY_TORRENT, FLOOR),
            (aims::HOLD_SWARM, GOAL),
            (aims::HOLD_SHARD, BELOW),
        ] {
            assert_eq!(row(&cases, &aim).reached, reached, "{aim:?}");
        }
    }

    #[test]
    fn what_is_missing_leaves_its_row_unmeasured() {
        let written = r#"{"left_out": "too little memory", "cases": []}"#;
        let cases: Cases = serde_json::from_str(written).unwrap();
        assert!(cases.rows().iter().all(|row| row.reached == UNMEASURED));
        assert_eq!(row(&cases, &aims::ENGINE_GROWTH).note, "too little memory");
        assert_eq!(row(&cases, &aims::HOLD_SWARM).note, "no bench measured it");
        assert!(serde_json::from_str::<Cases>("{}").is_err());
    }
}
