//! The rows of a cluster: three nodes and their NATS server. The measured one has the tracker's processor for itself; all
//! others work beside the load.

mod company;
mod cost;
mod joining;
mod mixed;
mod watcher;

use crate::bench::{
    aims, engine,
    lab::Lab,
    result::{Report, Row, median},
};
use anyhow::Result;
use serde::Deserialize;

/// Builds and runs the bench, as whoever called.
pub(crate) fn prepare(quick: bool) -> Result<()> {
    engine::run("cluster", "tracker-user", &["cluster"], quick)
}

/// Adds its row, and those of nodes that run, to the report.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> Result<()> {
    cost::measure(lab, report)?;
    report.ratios.extend(mixed::measure(lab)?);
    report.ratios.extend(joining::measure(lab)?);
    report.ratios.push(engine::written::<Cases>("cluster", "cluster")?.row());
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
    per_second: Vec<f64>,
}

impl Cases {
    fn rate(&self, name: &str) -> Option<f64> {
        self.cases.iter().find(|case| case.name == name).and_then(|case| median(&case.per_second))
    }

    fn row(&self) -> Row {
        let row = Row::of(&aims::CLUSTER_APPLYING).figures(self.rate("applying"), None);
        let new = self
            .rate("applying, all new")
            .map(|rate| format!("{:.2} M of torrents and peers that are new", rate / 1e6));
        row.note(new.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::result::{FLOOR, UNMEASURED};

    #[test]
    fn what_the_bench_wrote_becomes_a_row() {
        let written = r#"{"cases": [{"name": "applying", "per_second": [2.5e6, 3.5e6, 3e6]},
            {"name": "applying, all new", "per_second": [1.25e6]}]}"#;
        let row = serde_json::from_str::<Cases>(written).unwrap().row();
        assert_eq!((row.ours, row.reached), (Some(3e6), FLOOR));
        assert_eq!(row.note, "1.25 M of torrents and peers that are new");
        assert_eq!(Cases { cases: Vec::new() }.row().reached, UNMEASURED);
    }
}
