//! The rows of the swarm engine: what its benches write, which run before the rig is built, as whoever called.

use crate::{
    bench::{
        Lab,
        aims::{self, Aim},
        progress::Plan,
        report::{self, Detail, Report, Row, Series, median},
        table,
    },
    machine, process, say,
};
use anyhow::{Context, Result};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What comparisons in turns, and the memory bench, write.
const TURNS: &str = "turns.json";
const MEMORY: &str = "memory.json";
/// What criterion writes: a directory for each group, in it one for each bench.
const CRITERION: &str = "criterion";

/// Each of criterion's benches for a look.
const QUICK: [&str; 4] = ["--warm-up-time", "0.3", "--measurement-time", "0.7"];

/// Costs of one announce that grow with something: criterion's group, who it is of, and what grows.
const GROWTH: [(&str, &str, &str); 3] = [
    ("announce by torrents, batched", "engine, batched", "torrents"),
    ("announce by torrents, one by one", "engine, one by one", "torrents"),
    ("announce by peers in the swarm", "engine, batched", "peers in the swarm"),
];

/// Where the benches write.
fn directory() -> PathBuf {
    report::directory().join("engine")
}

/// Builds and runs the benches of the engine, as whoever called. One that fails leaves its rows without figures.
///
/// # Errors
/// They cannot be built.
pub(crate) fn prepare(quick: bool) -> Result<()> {
    say::step("building the benches of the engine");
    let mut build = process::cargo();
    build.args(["build", "--release", "--package", "tracker-core", "--benches"]);
    process::run(build.arg("--target-dir").arg(machine::target_dir()))?;

    let directory = directory();
    // Of an earlier run nothing may be taken for this one's.
    match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot clear {}", directory.display()));
        }
        _ => {}
    }
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    say::step(&format!("measuring the engine, about {} minutes", if quick { 2 } else { 6 }));
    for (name, file) in [("turns", Some(TURNS)), ("memory", Some(MEMORY)), ("engine", None)] {
        let mut bench = process::cargo();
        bench.args(["bench", "--quiet", "--package", "tracker-core", "--bench", name]);
        bench.arg("--target-dir").arg(machine::target_dir()).arg("--");
        match file {
            Some(file) => bench.arg("--json").arg(directory.join(file)),
            None => bench.env("CRITERION_HOME", directory.join(CRITERION)).args(["--noplot", "--quiet"]),
        };
        match (quick, name) {
            (true, "turns") => bench.arg("--quick"),
            (true, "engine") => bench.args(QUICK),
            _ => &mut bench,
        };
        if let Err(error) = process::run(&mut bench) {
            say::step(&format!("error: {error:#}"));
        }
    }
    Ok(())
}

/// What is ahead: nothing takes time any more.
pub(crate) fn plan(_lab: &Lab) -> Plan {
    Plan::default()
}

/// Adds what they wrote to the report.
///
/// # Errors
/// Something is missing; what is there was added.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> Result<()> {
    lab.check()?;
    take(&directory(), report)
}

fn take(directory: &Path, report: &mut Report) -> Result<()> {
    let taken = [
        turns(&directory.join(TURNS), report),
        memory(&directory.join(MEMORY), report),
        costs(&directory.join(CRITERION), report),
    ];
    taken.into_iter().collect()
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what a bench writes", path.display()))
}

#[derive(Deserialize)]
struct Turns {
    cases: Vec<Case>,
    /// Why a case is not there.
    left_out: Option<String>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    /// Of both sides in each round.
    per_second: Vec<(f64, f64)>,
}

impl Turns {
    fn rounds(&self, name: &str) -> Result<&[(f64, f64)]> {
        let case = self.cases.iter().find(|case| case.name == name);
        Ok(&case.with_context(|| format!("no bench measured {name:?}"))?.per_second)
    }

    /// How many times as fast.
    fn ratio(&self, name: &str) -> Result<String> {
        let ratio = median(self.rounds(name)?.iter().map(|(ours, theirs)| ours / theirs));
        Ok(table::times(ratio.with_context(|| format!("{name:?} has no rounds"))?))
    }
}

fn turns(path: &Path, report: &mut Report) -> Result<()> {
    let turns: Turns = read(path)?;
    let row = |aim: &Aim, name: &str| Ok::<Row, anyhow::Error>(aim.row().measured(turns.rounds(name)?));
    report.rows.push(row(&aims::ENGINE_BATCHED, "batched, one by one")?);
    let threads = row(&aims::ENGINE_THREADS, "two threads, one thread, Zipf")?;
    report.rows.push(threads.note(format!(
        "uniform hashes: {}; two threads with an engine each, which share nothing: {}; two threads of \
         arithmetic alone, which is what this machine gives: {}",
        turns.ratio("two threads, one thread, uniform")?,
        turns.ratio("two threads with an engine each, one thread, Zipf")?,
        turns.ratio("two threads, one thread, arithmetic")?,
    )));
    let growth = aims::ENGINE_GROWTH.row();
    report.rows.push(match &turns.left_out {
        Some(why) => growth.note(why),
        None => {
            let cost = |&(ours, theirs): &(f64, f64)| (1e9 / ours, 1e9 / theirs);
            let rounds: Vec<_> = turns.rounds("10 M torrents, 10 k torrents")?.iter().map(cost).collect();
            growth.measured(&rounds)
        }
    });
    Ok(())
}

#[derive(Deserialize)]
struct Memory {
    cases: Vec<Amount>,
}

#[derive(Deserialize)]
struct Amount {
    name: String,
    bytes: f64,
    asked_for_bytes: f64,
}

fn memory(path: &Path, report: &mut Report) -> Result<()> {
    let Memory { cases } = read(path)?;
    for (aim, name) in [
        (&aims::MEMORY_PEER, "IPv4 peer in a swarm of 1,000"),
        (&aims::MEMORY_TORRENT, "torrent with one IPv4 peer"),
    ] {
        let case = cases.iter().find(|case| case.name == name);
        let case = case.with_context(|| format!("no bench measured the memory of: {name}"))?;
        let asked = table::amount(Some(case.asked_for_bytes), "bytes");
        let mut row = aim.row().note(format!("with what the allocator adds; {asked} were asked for"));
        row.ours = Some(case.bytes);
        report.rows.push(row);
    }
    report.details.push(Detail {
        program: "engine".to_owned(),
        figure: "bytes, with what the allocator adds".to_owned(),
        values: cases.into_iter().map(|case| (case.name, json!(case.bytes))).collect(),
    });
    Ok(())
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

#[derive(Deserialize)]
struct Benchmark {
    throughput: Throughput,
}

/// What one iteration works on.
#[derive(Deserialize)]
struct Throughput {
    #[serde(rename = "Elements")]
    elements: f64,
}

/// The benches of one of criterion's groups: their names, and nanoseconds for each element.
fn group(home: &Path, name: &str) -> Result<Vec<(String, f64)>> {
    let directory = home.join(name);
    let missing = || format!("no bench measured: {name}");
    let mut benches = Vec::new();
    for entry in fs::read_dir(&directory).with_context(missing)? {
        let path = entry.with_context(missing)?.path();
        let latest = path.join("new");
        // A report of the whole group may lie beside its benches.
        if latest.is_dir() {
            let time = read::<Estimates>(&latest.join("estimates.json"))?.median.point_estimate;
            let each = read::<Benchmark>(&latest.join("benchmark.json"))?.throughput.elements;
            let bench = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            benches.push((bench, time / each));
        }
    }
    Ok(benches)
}

fn costs(home: &Path, report: &mut Report) -> Result<()> {
    for (name, of, x_label) in GROWTH {
        let benches = group(home, name)?;
        let point = |(bench, time): (String, f64)| bench.parse().ok().map(|x: f64| (x, time));
        let mut points: Vec<(f64, f64)> = benches.into_iter().filter_map(point).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        report.series.push(Series {
            name: of.to_owned(),
            x_label: x_label.to_owned(),
            y_label: "ns per announce".to_owned(),
            points,
        });
    }
    let mut scrapes = group(home, "scrape by hashes")?;
    scrapes.sort_by_key(|(hashes, _)| hashes.parse().unwrap_or(u64::MAX));
    let names = |(hashes, time)| (format!("scrape of {hashes}"), json!(time));
    let mut values: serde_json::Map<_, _> = scrapes.into_iter().map(names).collect();
    values.extend(
        group(home, "sweep")?.into_iter().map(|(bench, time)| (format!("sweep, {bench}"), json!(time))),
    );
    report.details.push(Detail {
        program: "engine".to_owned(),
        figure: "ns for each scrape, and for each peer that a sweep looks at or removes".to_owned(),
        values: values.into(),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::Reached;

    /// What the benches write, shortened, in a directory of its own.
    fn written(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("xtask-engine-{name}-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            TURNS,
            r#"{"left_out": null, "cases": [
                {"name": "batched, one by one", "per_second": [[4e6, 2e6], [5e6, 2e6], [6e6, 2e6]]},
                {"name": "two threads, one thread, uniform", "per_second": [[3e6, 2e6]]},
                {"name": "two threads, one thread, Zipf", "per_second": [[3.4e6, 2e6]]},
                {"name": "two threads with an engine each, one thread, Zipf", "per_second": [[3.5e6, 2e6]]},
                {"name": "two threads, one thread, arithmetic", "per_second": [[3.6e6, 2e6]]},
                {"name": "10 M torrents, 10 k torrents", "per_second": [[2.5e6, 5e6]]}]}"#,
        );
        write(
            MEMORY,
            r#"{"cases": [{"name": "IPv4 peer in a swarm of 1,000", "bytes": 11.4, "asked_for_bytes": 11.3},
                {"name": "torrent with one IPv4 peer", "bytes": 120, "asked_for_bytes": 90}]}"#,
        );
        for (bench, time, elements) in [
            ("announce by torrents, batched/10000", 120, 1),
            ("announce by torrents, batched/1000000", 230, 1),
            ("announce by torrents, one by one/10000", 130, 1),
            ("announce by peers in the swarm/10", 100, 1),
            ("scrape by hashes/74", 9000, 1),
            ("scrape by hashes/1", 200, 1),
            ("sweep/all peers stay", 3000, 200),
        ] {
            let estimate = r#"{"confidence_interval": {"lower_bound": 0}, "point_estimate": "#;
            write(
                &format!("{CRITERION}/{bench}/new/estimates.json"),
                &format!(r#"{{"mean": {estimate} 1}}, "median": {estimate} {time}}}}}"#),
            );
            write(
                &format!("{CRITERION}/{bench}/new/benchmark.json"),
                &format!(r#"{{"group_id": "g", "throughput": {{"Elements": {elements}}}}}"#),
            );
        }
        fs::create_dir_all(directory.join(CRITERION).join("sweep/report")).unwrap();
        directory
    }

    #[test]
    fn what_the_benches_wrote_becomes_rows_series_and_details() {
        let directory = written("all");
        let mut report = Report::new("engine", "", true);
        take(&directory, &mut report).unwrap();
        fs::remove_dir_all(&directory).unwrap();

        let row = |aim: &Aim| report.rows.iter().find(|row| aim.is(row)).unwrap();
        assert_eq!(row(&aims::ENGINE_BATCHED).ratio(), Some(2.5));
        assert_eq!(row(&aims::ENGINE_BATCHED).rounds, [2.0, 2.5, 3.0]);
        let growth = row(&aims::ENGINE_GROWTH);
        assert_eq!((growth.ours, growth.theirs, growth.reached()), (Some(400.0), Some(200.0), Reached::Goal));
        let threads = row(&aims::ENGINE_THREADS);
        assert_eq!(threads.reached(), Reached::Floor);
        assert!(
            threads.note.contains("1.5") && threads.note.contains("1.75") && threads.note.ends_with("1.80 x"),
            "{}",
            threads.note
        );
        assert_eq!(row(&aims::MEMORY_PEER).reached(), Reached::Goal);
        assert_eq!(row(&aims::MEMORY_TORRENT).reached(), Reached::Floor);

        let points: Vec<_> = report.series.iter().map(|series| series.points.clone()).collect();
        assert_eq!(points, [vec![(1e4, 120.0), (1e6, 230.0)], vec![(1e4, 130.0)], vec![(10.0, 100.0)]]);
        let costs = &report.details[1].values;
        assert_eq!(
            costs,
            &json!({"scrape of 1": 200.0, "scrape of 74": 9000.0, "sweep, all peers stay": 15.0})
        );
    }

    #[test]
    fn what_is_missing_is_an_error_and_the_rest_is_taken() {
        let directory = written("part");
        fs::remove_file(directory.join(MEMORY)).unwrap();
        let turns = r#"{"left_out": "too little memory", "cases": [
            {"name": "batched, one by one", "per_second": []},
            {"name": "two threads, one thread, Zipf", "per_second": [[1, 1]]},
            {"name": "two threads, one thread, uniform", "per_second": [[1, 1]]},
            {"name": "two threads, one thread, arithmetic", "per_second": [[1, 1]]},
            {"name": "two threads with an engine each, one thread, Zipf", "per_second": [[1, 1]]}]}"#;
        fs::write(directory.join(TURNS), turns).unwrap();
        let mut report = Report::new("engine", "", true);
        let error = take(&directory, &mut report).unwrap_err();
        assert!(format!("{error:#}").contains(MEMORY), "{error:#}");
        assert_eq!((report.rows.len(), report.series.len()), (3, GROWTH.len()));
        assert_eq!(report.rows[0].reached(), Reached::Unmeasured);
        assert_eq!(report.rows[2].note, "too little memory");
        fs::remove_dir_all(directory.join(CRITERION)).unwrap();
        assert!(take(&directory, &mut report).is_err());
        fs::remove_dir_all(&directory).unwrap();
        let error = format!("{:#}", take(&directory, &mut report).unwrap_err());
        assert!(error.starts_with("cannot read "), "{error}");
    }
}
