//! How long the XDP program takes for each verdict, by the kernel's test-run call.

use crate::bench::{aims, lab::Lab, program::Program, result::Row, rig::Namespace};
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// It takes a minute or two.
const PATIENCE: Duration = Duration::from_secs(300);

/// The row of the slowest verdict.
pub(super) fn measure(lab: &Lab) -> Result<Row> {
    lab.row(&aims::XDP_VERDICT, || {
        let namespace = Namespace::new(lab, "verdicts")?;
        let mut command = namespace.command(lab.cpus.tracker, &lab.example("verdict_times"));
        command.arg(lab.choose("3", "11"));
        let mut times = Program::spawn(lab, "verdict_times", command)?;
        let status = times.wait(lab, PATIENCE, || Ok(()))?;
        ensure!(status.success(), "it failed ({status}){}", times.last_words());
        let (nanoseconds, frame) = slowest(&times.said())?;
        Ok((Some(nanoseconds), None, format!("the slowest frame: {frame}")))
    })
}

/// Of lines of nanoseconds and a frame's name, the slowest.
fn slowest(text: &str) -> Result<(f64, String)> {
    let read = |line: &str| {
        let (nanoseconds, frame) = line.split_once(' ')?;
        Some((nanoseconds.parse::<f64>().ok()?, frame.to_owned()))
    };
    let frames: Option<Vec<_>> = text.lines().map(read).collect();
    let slowest = frames.and_then(|frames| frames.into_iter().max_by(|one, other| one.0.total_cmp(&other.0)));
    slowest.context("cannot read what verdict_times printed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_frame_counts() {
        let text = "80 announce\n95.5 connect, padded\n7 pass\n";
        assert_eq!(slowest(text).unwrap(), (95.5, "connect, padded".to_owned()));
        assert!(["", "announce\n", "fast announce\n"].iter().all(|text| slowest(text).is_err()));
    }
}
