//! Where a bench is: a numbered line for each step, and how long all of them will take.

use crate::say;
use std::{
    cell::Cell,
    ops::{Add, AddAssign},
    time::Duration,
};

/// What is ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Numbered lines.
    pub(crate) steps: usize,
    /// About how long they take together.
    pub(crate) time: Duration,
}

impl Plan {
    /// So many steps of so many seconds each.
    pub(crate) fn steps(steps: usize, seconds: u64) -> Self {
        Self { steps, time: Duration::from_secs(seconds) * u32::try_from(steps).unwrap_or(u32::MAX) }
    }
}

impl Add for Plan {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { steps: self.steps + other.steps, time: self.time + other.time }
    }
}

impl AddAssign for Plan {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Numbers the steps.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    total: Cell<usize>,
    begun: Cell<usize>,
}

impl Progress {
    /// Says what is ahead.
    pub(crate) fn announce(&self, plan: Plan) {
        self.total.set(plan.steps);
        say::step(&format!("{} steps, about {} in all", plan.steps, minutes(plan.time)));
    }

    /// Begins the line of a step: what is measured of whom. [`Step::end`] completes it.
    pub(crate) fn begin(&self, what: &str) -> Step {
        let number = self.begun.get() + 1;
        self.begun.set(number);
        say::begin(&format!("{number}/{} {what}", self.total.get().max(number)));
        Step { ended: false }
    }

    /// Steps that will not be made.
    pub(crate) fn skip(&self, steps: usize) {
        self.begun.set(self.begun.get() + steps);
    }
}

/// A step under way.
#[derive(Debug)]
pub(crate) struct Step {
    ended: bool,
}

impl Step {
    /// What came of it, such as `104,000/s`.
    pub(crate) fn end(mut self, result: &str) {
        self.ended = true;
        say::end(result);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended {
            say::end("failed");
        }
    }
}

/// A time to plan by.
fn minutes(time: Duration) -> String {
    match time.as_secs().div_ceil(60) {
        0 | 1 => "a minute".to_owned(),
        minutes if minutes < 120 => format!("{minutes} minutes"),
        minutes => format!("{:.1} hours", minutes as f64 / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_add_up() {
        let mut plan = Plan::steps(3, 10);
        plan += Plan::steps(1, 5) + Plan::default();
        assert_eq!(plan, Plan { steps: 4, time: Duration::from_secs(35) });
    }

    #[test]
    fn times_are_for_planning() {
        let said = [0, 61, 3_600, 9_000].map(|seconds| minutes(Duration::from_secs(seconds)));
        assert_eq!(said, ["a minute", "2 minutes", "60 minutes", "2.5 hours"]);
    }
}
