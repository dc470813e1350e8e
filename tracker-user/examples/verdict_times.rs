//! How long the XDP program takes for each frame of the frame matrix: a line of nanoseconds and the frame's name for
//! each. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "measuring equipment: whatever fails ends it"
)]

#[path = "../tests/matrix/mod.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod matrix;

use matrix::{Expect, loaded, matrix};
use std::io::{Write as _, stdout};
use tracker_user::xdp::program::Program;

/// Runs of one measurement, in one call of the kernel.
const RUNS: u32 = 50_000;
/// Such measurements of each frame.
const ROUNDS: usize = 5;
/// Calls of one run each.
const SINGLES: usize = 2_001;

fn main() {
    let (mut program, _counters, _socket) = loaded::load();
    let frames: Vec<(&str, Vec<u8>, Expect)> =
        matrix().into_iter().map(|(name, recipe, expected)| (name, recipe.build(), expected)).collect();
    // An answer is written over its request, so that its second run would see another frame: it is run once in each
    // call. What a call takes beside its run is known from the frames that stay as they are.
    let mut times = Vec::new();
    let mut around = Vec::new();
    for (name, frame, expected) in &frames {
        if *expected != Expect::Answer {
            let repeated = median((0..ROUNDS).map(|_| time(&mut program, frame, RUNS)));
            around.push(once(&mut program, frame) - repeated);
            times.push((*name, repeated));
        }
    }
    let around = median(around);
    for (name, frame, expected) in &frames {
        if *expected == Expect::Answer {
            times.push((*name, (once(&mut program, frame) - around).max(0.0)));
        }
    }
    let mut out = stdout().lock();
    for (name, nanoseconds) in times {
        writeln!(out, "{nanoseconds:.1} {name}").unwrap();
    }
}

/// Nanoseconds of a run that is the only one of its call.
fn once(program: &mut Program, frame: &[u8]) -> f64 {
    median((0..SINGLES).map(|_| time(program, frame, 1)))
}

fn time(program: &mut Program, frame: &[u8], runs: u32) -> f64 {
    program.test_run_duration(frame, runs).unwrap().as_nanos() as f64
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
