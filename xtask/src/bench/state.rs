//! The rows of saving and restoring: what the bench `state` writes, which runs before the rig is built, and latency
//! meanwhile.

use crate::bench::{
    aims, engine,
    lab::Lab,
    result::{Report, Row, median},
    udp,
};
use anyhow::Result;
use serde::Deserialize;

/// Builds and runs the bench, as whoever called.
pub(crate) fn prepare(quick: bool) -> Result<()> {
    engine::run("state", "tracker-user", &["state"], quick)
}

/// Adds its rows, and that of latency, to the report.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> Result<()> {
    report.ratios.push(udp::saving(lab)?);
    report.ratios.extend(udp::handover(lab)?);
    report.ratios.extend(engine::written::<Cases>("state", "state")?.rows());
    Ok(())
}

/// What the bench writes.
#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    /// Of each round.
    #[serde(default)]
    seconds: Vec<f64>,
    bytes: Option<f64>,
}

impl Cases {
    fn case(&self, name: &str) -> Option<&Case> {
        self.cases.iter().find(|case| case.name == name)
    }

    fn seconds(&self, name: &str) -> Vec<f64> {
        self.case(name).map(|case| case.seconds.clone()).unwrap_or_default()
    }

    fn rows(&self) -> Vec<Row> {
        let bytes = |aim, name| Row::of(aim).figures(self.case(name).and_then(|case| case.bytes), None);
        let [few, many] = ["restore 2 M", "restore 20 M"].map(|name| self.seconds(name));
        // Round by round, as far as both go.
        let rounds = few.len().min(many.len());
        let tenfold: Vec<f64> = few[..rounds].iter().map(|seconds| 10.0 * seconds).collect();
        vec![
            bytes(&aims::SAVE_MEMORY, "memory 2 M"),
            bytes(&aims::SAVE_BYTES, "bytes 2 M"),
            Row::of(&aims::RESTORE).figures(median(&few), None),
            Row::of(&aims::RESTORE_GROWTH).compare(&many[..rounds], &tenfold),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::result::{GOAL, UNMEASURED};

    #[test]
    fn what_the_bench_wrote_becomes_rows() {
        let written = r#"{"cases": [
            {"name": "restore 2 M", "seconds": [0.5, 0.4, 0.6]}, {"name": "restore 20 M", "seconds": [6.0, 5.0]},
            {"name": "bytes 2 M", "bytes": 20}, {"name": "memory 2 M", "bytes": 100000}]}"#;
        let rows = serde_json::from_str::<Cases>(written).unwrap().rows();
        assert!(rows.iter().all(|row| row.reached == GOAL));
        assert_eq!(rows[2].ours, Some(0.5));
        assert_eq!(rows[3].rounds, [1.2, 1.25]);
        let none = Cases { cases: Vec::new() }.rows();
        assert!(none.iter().all(|row| row.reached == UNMEASURED));
    }
}
