//! The rows of the swarm engine.

use crate::bench::{Lab, progress::Plan, report::Report};
use anyhow::Result;

/// Builds and runs the benches of the engine, as whoever called.
pub(crate) fn prepare(_quick: bool) -> Result<()> {
    Ok(())
}

/// What is ahead.
pub(crate) fn plan(_lab: &Lab) -> Plan {
    Plan::default()
}

/// Adds what they wrote to the report.
pub(crate) fn measure(lab: &Lab, _report: &mut Report) -> Result<()> {
    lab.check()
}
