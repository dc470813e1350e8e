//! How long the XDP program takes for each verdict, by the kernel's test-run call.

use crate::bench::{
    Lab, aims, program,
    progress::Plan,
    report::{Detail, Report},
    rig::Namespace,
    table,
};
use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::time::Duration;

/// It takes a minute or two.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is ahead.
pub(crate) fn plan() -> Plan {
    Plan::steps(1, 80)
}

/// Adds the row of the slowest verdict, and all of them as a detail.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> Result<()> {
    let step = lab.progress.begin("XDP program, each verdict");
    let row = aims::XDP_VERDICT.row();
    match verdicts(lab) {
        Ok(verdicts) => {
            let slowest = verdicts.iter().max_by(|one, other| one.1.total_cmp(&other.1));
            let (name, nanoseconds) = slowest.cloned().unwrap_or_default();
            step.end(&format!("{} at most", table::amount(Some(nanoseconds), "ns")));
            let mut row = row.note(format!("the slowest of {} frames: {name}", verdicts.len()));
            row.ours = Some(nanoseconds);
            report.rows.push(row);
            let values: Map<String, Value> =
                verdicts.into_iter().map(|(name, nanoseconds)| (name, nanoseconds.into())).collect();
            report.details.push(Detail {
                program: "Riptide, XDP native".to_owned(),
                figure: "ns of each verdict".to_owned(),
                values: values.into(),
            });
        }
        Err(error) => {
            drop(step);
            let reason = lab.failed("XDP program, each verdict", error)?;
            report.rows.push(row.note(reason));
        }
    }
    Ok(())
}

fn verdicts(lab: &Lab) -> Result<Vec<(String, f64)>> {
    let namespace = Namespace::new(lab, "verdicts")?;
    let command = namespace.command(&[lab.cpus.tracker], &lab.example("verdict_times"));
    parse(&program::output(lab, "verdict_times", command, PATIENCE)?)
}

/// Lines of nanoseconds and a name.
fn parse(text: &str) -> Result<Vec<(String, f64)>> {
    let verdicts: Option<Vec<_>> = text
        .lines()
        .map(|line| {
            let (nanoseconds, name) = line.split_once(' ')?;
            Some((name.to_owned(), nanoseconds.parse().ok()?))
        })
        .collect();
    verdicts.filter(|verdicts| !verdicts.is_empty()).context("cannot read what verdict_times printed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_read_by_line() {
        let expected = [("connect, padded".to_owned(), 95.5), ("announce".to_owned(), 80.0)];
        assert_eq!(parse("95.5 connect, padded\n80 announce\n").unwrap(), expected);
        for text in ["", "announce\n", "fast announce\n"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
