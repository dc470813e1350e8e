//! A whole run: one probe, or a search for the served rate.

use crate::{
    engine::{Engine, Offered, Span},
    error::Error,
    figures::Figures,
    numbers::{grouped, whole},
    progress::Watch,
    search::{Found, Limit, Probe, Search, Verdict},
};
use std::thread;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// One probe at this rate, requests/s.
    Rate(f64),
    /// One probe, as fast as answers come back.
    Closed,
    /// Find the served rate.
    Search(Search),
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The figures; of a search, those at the served rate, but with the wrong replies of all its probes.
    pub figures: Figures,
    /// What a search that came to its end found, or what a closed loop came to.
    pub found: Option<Found>,
    /// A search's probes in order.
    pub probes: Vec<(Probe, Verdict)>,
    /// Whether somebody stopped it.
    pub stopped: bool,
}

/// Runs a load and prints a line about it now and then.
///
/// # Errors
/// What the engine cannot go on without.
pub fn run(engine: &mut dyn Engine, load: Load, span: Span, watch: &Watch) -> Result<Outcome, Error> {
    thread::scope(|scope| {
        scope.spawn(|| watch.print_lines());
        let outcome = match load {
            Load::Rate(rate) => single(engine, Offered::Rate(rate), span, watch),
            Load::Closed => single(engine, Offered::Closed, span, watch),
            Load::Search(search) => find(engine, &search, span, watch),
        };
        watch.end();
        outcome
    })
}

fn single(engine: &mut dyn Engine, offered: Offered, span: Span, watch: &Watch) -> Result<Outcome, Error> {
    watch.begin(match offered {
        Offered::Rate(rate) => format!("offered {}/s", grouped(whole(rate))),
        Offered::Closed => "as answers come".into(),
    });
    let figures = engine.probe(offered, span, watch)?;
    let found = (offered == Offered::Closed)
        .then(|| Found { rate: figures.answered_rate(), limit: Limit::Connections });
    Ok(Outcome { figures, found, probes: Vec::new(), stopped: watch.is_stopped() })
}

enum Broken {
    Stopped,
    Failed(Error),
}

fn find(engine: &mut dyn Engine, search: &Search, span: Span, watch: &Watch) -> Result<Outcome, Error> {
    let mut probes = Vec::new();
    // The figures of the highest rate that passed, or else of the latest probe.
    let mut best: Option<(f64, Figures)> = None;
    let mut wrong = Figures::default().wrong;
    let found = search.run(|rate| {
        watch.begin(format!("search: offered {}/s", grouped(whole(rate))));
        let figures = engine.probe(Offered::Rate(rate), span, watch).map_err(Broken::Failed)?;
        for (sum, count) in wrong.iter_mut().zip(figures.wrong) {
            *sum += count;
        }
        let probe = Probe { rate, sent: figures.sent_share(), unanswered: figures.unanswered_share() };
        if watch.is_stopped() {
            best.get_or_insert((0.0, figures));
            return Err(Broken::Stopped);
        }
        let verdict = search.judge(&probe);
        probes.push((probe, verdict));
        watch.say(&format!(
            "offered {}/s: {:.3} % unanswered, {:.1} % sent: {}",
            grouped(whole(rate)),
            probe.unanswered * 100.0,
            probe.sent * 100.0,
            verdict.label()
        ));
        let passed = if verdict == Verdict::Passed { rate } else { 0.0 };
        if best.as_ref().is_none_or(|(rate, _)| *rate <= passed) {
            best = Some((passed, figures));
        }
        Ok(probe)
    });
    let found = match found {
        Ok(found) => Some(found),
        Err(Broken::Stopped) => None,
        Err(Broken::Failed(error)) => return Err(error),
    };
    let figures = Figures { wrong, ..best.map(|(_, figures)| figures).unwrap_or_default() };
    Ok(Outcome { figures, found, probes, stopped: found.is_none() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Wrong;
    use std::time::Duration;

    const SPAN: Span = Span { warmup: Duration::ZERO, duration: Duration::ZERO };

    /// Answers up to a capacity, and tells one lie a probe.
    struct Model {
        capacity: f64,
        stop_at: u32,
        probes: u32,
    }

    impl Engine for Model {
        fn probe(&mut self, offered: Offered, _: Span, watch: &Watch) -> Result<Figures, Error> {
            let Offered::Rate(rate) = offered else { return Err(Error::Usage("no pace".into())) };
            self.probes += 1;
            if self.probes == self.stop_at {
                watch.stop();
            }
            let mut figures =
                Figures { seconds: 1.0, offered: whole(rate), sent: whole(rate), ..Figures::default() };
            figures.answered = whole(rate.min(self.capacity));
            figures.unanswered = figures.sent - figures.answered;
            figures.count_wrong(Wrong::Counts);
            Ok(figures)
        }
    }

    #[test]
    fn a_search_gives_the_figures_of_the_served_rate_and_all_wrong_replies() {
        let mut model = Model { capacity: 30_000.0, stop_at: 0, probes: 0 };
        let outcome = run(&mut model, Load::Search(Search::default()), SPAN, &Watch::new(1)).unwrap();
        let found = outcome.found.unwrap();
        assert_eq!(found.limit, Limit::Tracker);
        assert_eq!(outcome.figures.offered, whole(found.rate));
        assert_eq!(outcome.figures.wrong_in_all(), u64::from(model.probes));
        assert_eq!(outcome.probes.len(), model.probes as usize);
        assert!(!outcome.stopped);
    }

    #[test]
    fn a_stopped_search_tells_what_it_had() {
        let mut model = Model { capacity: 30_000.0, stop_at: 3, probes: 0 };
        let outcome = run(&mut model, Load::Search(Search::default()), SPAN, &Watch::new(1)).unwrap();
        assert!(outcome.stopped && outcome.found.is_none());
        assert_eq!((model.probes, outcome.figures.offered), (3, 20_000));
    }

    #[test]
    fn an_engine_that_fails_ends_the_run() {
        let mut model = Model { capacity: 1.0, stop_at: 0, probes: 0 };
        assert!(run(&mut model, Load::Closed, SPAN, &Watch::new(1)).is_err());
        let outcome = run(&mut model, Load::Rate(500.0), SPAN, &Watch::new(1)).unwrap();
        assert_eq!((outcome.figures.sent, outcome.figures.unanswered), (500, 499));
    }
}
