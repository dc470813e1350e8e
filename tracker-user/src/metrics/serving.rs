//! Whether the tracker serves, and how busy the threads are that do.

use super::{Labels, level};
use crate::{http::Stage, threads::Threads};
use metrics::describe_gauge;
use std::{
    fmt::Write as _,
    sync::{Arc, OnceLock},
};
use tokio::sync::watch;

/// What is told of it.
#[derive(Debug)]
pub struct Serving {
    /// Threads that serve clients, by what they serve.
    threads: Vec<(&'static str, Arc<Threads>)>,
    /// Where it is in its life, once that is known.
    stage: OnceLock<watch::Receiver<Stage>>,
}

impl Serving {
    /// By these threads, by what they serve. Those that never sleep are better left out, since nobody knows how busy they are.
    #[must_use]
    pub fn new(threads: Vec<(&'static str, Arc<Threads>)>) -> Self {
        Self { threads, stage: OnceLock::new() }
    }

    /// Where its life is told from now on.
    pub fn lives_by(&self, stage: watch::Receiver<Stage>) {
        // There is one life.
        let _ = self.stage.set(stage);
    }

    fn is_ready(&self) -> bool {
        let stage = self.stage.get().map_or(Stage::Starting, |stage| *stage.borrow());
        matches!(stage, Stage::Serving | Stage::Lent | Stage::Closing)
    }

    pub(super) fn collect(&self) {
        level("riptide_ready", Labels::new(), self.is_ready().into());
    }

    /// How busy each thread was. The recorder has whole counters only.
    pub(super) fn write_busy(&self, text: &mut String) {
        let name = "riptide_worker_busy_seconds_total";
        let help =
            "Processor time of each thread that serves clients, unless it never sleeps, by what it serves";
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
        for (serves, threads) in &self.threads {
            for (number, busy) in threads.processor_times() {
                let _ = writeln!(
                    text,
                    "{name}{{serves=\"{serves}\",worker=\"{number}\"}} {}",
                    busy.as_secs_f64()
                );
            }
        }
        text.push('\n');
    }
}

pub(super) fn describe() {
    describe_gauge!("riptide_ready", "1 while the tracker serves, 0 while it starts or drains");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_while_it_serves() {
        let process = Serving::new(Vec::new());
        assert!(!process.is_ready());
        let (stage, staged) = watch::channel(Stage::Starting);
        process.lives_by(staged);
        for (now, ready) in [
            (Stage::Starting, false),
            (Stage::Serving, true),
            (Stage::Lent, true),
            (Stage::Draining, false),
            (Stage::Left, false),
        ] {
            stage.send_replace(now);
            assert_eq!(process.is_ready(), ready, "{now:?}");
        }
    }

    #[test]
    fn each_thread_has_a_series() {
        let threads = Arc::new(Threads::new(1));
        threads.join();
        let mut text = String::new();
        Serving::new(vec![("udp", threads), ("http", Arc::new(Threads::new(4)))]).write_busy(&mut text);
        let series: Vec<_> = text.lines().filter(|line| line.starts_with("riptide_")).collect();
        assert!(
            matches!(series[..], [line] if line.starts_with("riptide_worker_busy_seconds_total{serves=\"udp\",worker=\"0\"} 0.")),
            "{text}"
        );
    }
}
