//! How long the XDP program takes for each frame of the frame matrix: a line of nanoseconds and the frame's name for
//! each. With a second argument `limits`, after the number of rounds, what rates add. Needs root, and `ip` and `ethtool`.
//!
//! A frame that stays as it is can be judged over and over in one test-run call of the kernel, which tells the mean
//! time. An answer is written over its request, so the next run would see another frame: answers are run live, where
//! each run gets a frame of its own, and the kernel's run statistics tell the time. What that adds to a run is known
//! from the dropped frames, which are timed both ways.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "measuring equipment: whatever fails ends it"
)]

#[path = "../tests/matrix/mod.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod matrix;

use aya::{
    programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp},
    sys::{Stats, enable_stats},
};
use matrix::{Expect, loaded, matrix};
use std::{
    io::{Write, stdout},
    process::Command,
};
use tracker_common::{
    maps::{self, LIMITED_KINDS, Rates},
    rate::Rate,
};
use tracker_user::xdp::program::Program;

/// Runs of one measurement.
const RUNS: u32 = 50_000;
/// Rounds, unless an argument says how many, in which each frame is measured once; its middle time counts. A shared host
/// changes its speed every few seconds: measured at one go, a frame would show that of its own moment.
const ROUNDS: usize = 11;
/// Frames of a live call, all of them new: fewer than the 256 that a veth pair takes at a time. The first of them finds the
/// program in no cache, so they should be many.
const LIVE: u32 = 240;
/// Live calls of each measurement; the kernel takes some 20 ms to begin one.
const CALLS: usize = 4;
/// The interface that answers leave by.
const INTERFACE: &str = "v0";
/// Where the kernel's `struct xdp_md` has the end of the data and the interface, bytes.
const XDP_MD: (usize, usize, usize) = (24, 4, 12);

fn main() {
    let (mut program, _counters, _socket) = loaded::load();
    let interface = lay_wire();
    let frames: Vec<(&str, Vec<u8>, Expect)> =
        matrix().into_iter().map(|(name, recipe, expected)| (name, recipe.build(), expected)).collect();

    let rounds = std::env::args().nth(1).map_or(ROUNDS, |rounds| rounds.parse().expect("a number of rounds"));
    let mut out = stdout().lock();
    if std::env::args().nth(2).as_deref() == Some("limits") {
        return limits(&mut program, rounds, &mut out);
    }
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); frames.len()];
    for _ in 0..rounds {
        for (time, times) in round(&mut program, &frames, interface).into_iter().zip(&mut times) {
            times.push(time);
        }
    }
    for (times, (name, ..)) in times.into_iter().zip(&frames) {
        writeln!(out, "{:.1} {name}", middle(times)).unwrap();
    }
}

/// What rates add: announces that are dropped for them, and such as keep to them, beside those of [`matrix`] without any.
fn limits(program: &mut Program, rounds: usize, out: &mut impl Write) {
    let hour_ns = 3_600_000_000_000;
    let never = Rate { interval_ns: hour_ns, tolerance_ns: 0 };
    let generous = Rate { interval_ns: 1, tolerance_ns: hour_ns };
    let cases = [
        ("announce", "no rate", Rate::NONE),
        ("announce", "within its rate", generous),
        ("announce", "over its rate", never),
        ("announce over IPv6", "over its rate", never),
        ("announce, another's ID", "over any rate", never),
        ("announce, another's ID", "no rate", Rate::NONE),
    ];
    let mut times = cases.map(|_| Vec::new());
    for _ in 0..rounds {
        for ((frame, _, rate), times) in cases.iter().zip(&mut times) {
            program.set_rates(Rates { secret: [1, 2], rates: [*rate; LIMITED_KINDS] }).unwrap();
            let recipe = matrix().into_iter().find(|(name, ..)| name == frame).unwrap().1;
            times.push(program.test_run_duration(&recipe.build(), RUNS).unwrap().as_nanos() as f64);
        }
    }
    for ((frame, what, _), times) in cases.iter().zip(times) {
        writeln!(out, "{:.1} {frame}: {what}", middle(times)).unwrap();
    }
}

/// Nanoseconds of each frame, measured once.
fn round(program: &mut Program, frames: &[(&str, Vec<u8>, Expect)], interface: u32) -> Vec<f64> {
    let repeated: Vec<Option<f64>> = frames
        .iter()
        .map(|(_, frame, expected)| {
            (*expected != Expect::Answer)
                .then(|| program.test_run_duration(frame, RUNS).unwrap().as_nanos() as f64)
        })
        .collect();
    let _statistics = enable_stats(Stats::RunTime).expect("the kernel to keep run statistics");
    let alive: Vec<Option<f64>> = frames
        .iter()
        .map(|(_, frame, expected)| {
            matches!(expected, Expect::Answer | Expect::Drop(_)).then(|| live(program, frame, interface))
        })
        .collect();
    let times = || repeated.iter().zip(&alive);
    let added = middle(times().filter_map(|(repeated, alive)| Some((*alive)? - (*repeated)?)).collect());
    times().map(|(repeated, alive)| repeated.unwrap_or_else(|| alive.unwrap_or_default() - added)).collect()
}

/// A veth pair in this process's namespace, for answers to leave by. Returns the index of its near end.
fn lay_wire() -> u32 {
    for line in [
        "ip link add v0 type veth peer name v1",
        "ip link set v0 up",
        "ip link set v1 up",
        // Without it the far end takes no frames from a program.
        "ethtool -K v1 gro on",
    ] {
        let mut words = line.split(' ');
        let status = Command::new(words.next().unwrap()).args(words).status().expect(line);
        assert!(status.success(), "{line}");
    }
    nix::net::if_::if_nametoindex(INTERFACE).unwrap()
}

fn xdp(program: &mut Program) -> &mut Xdp {
    program.ebpf_mut().program_mut(maps::PROGRAM).unwrap().try_into().unwrap()
}

/// Nanoseconds of a run of live calls, in which each has a frame of its own, by the kernel's statistics.
fn live(program: &mut Program, frame: &[u8], interface: u32) -> f64 {
    let (size, data_end, ingress) = XDP_MD;
    let mut context = vec![0; size];
    context[data_end..data_end + 4].copy_from_slice(&(frame.len() as u32).to_ne_bytes());
    context[ingress..ingress + 4].copy_from_slice(&interface.to_ne_bytes());
    let program = xdp(program);
    let before = program.info().unwrap();
    for _ in 0..CALLS {
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(&context),
            repeat: LIVE,
            attrs: TestRunAttrs::new().xdp_live_frames(LIVE),
            ..TestRunOptions::new()
        };
        program.test_run(options).expect("the kernel to run live frames");
    }
    let after = program.info().unwrap();
    let runs = after.run_count() - before.run_count();
    (after.run_time() - before.run_time()).as_nanos() as f64 / runs as f64
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
