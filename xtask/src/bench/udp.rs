//! The rows of UDP.

use crate::bench::{Lab, progress::Plan, report::Report};
use anyhow::Result;

/// What is ahead.
pub(crate) fn plan(_lab: &Lab) -> Plan {
    Plan::default()
}

/// Measures, and adds rows and details to the report.
pub(crate) fn measure(lab: &Lab, _report: &mut Report) -> Result<()> {
    lab.check()
}
