//! Running `riptide-load`, and what it tells.

use crate::bench::{Lab, program, report, stolen::stolen};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How often a running load is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How often a rate is offered at most until it is served, to every program alike: on a shared host a processor that is
/// taken away for milliseconds loses what no tracker lost.
pub(crate) const SEARCH_TRIES: usize = 3;

/// What a load came to, as `docs/load.md` describes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Figures {
    /// How long requests were counted.
    pub(crate) seconds: f64,
    /// Requests that the pace asked for.
    pub(crate) offered: f64,
    /// Requests sent.
    pub(crate) sent: f64,
    /// Requests answered rightly in time.
    pub(crate) answered: f64,
    /// The same a second.
    pub(crate) answered_per_second: f64,
    /// The share of the sent ones that were not answered rightly.
    pub(crate) unanswered_share: f64,
    /// Wrong replies.
    pub(crate) wrong_in_all: u64,
    /// Wrong replies by kind.
    pub(crate) wrong: BTreeMap<String, u64>,
    /// Payload bytes of the right replies.
    pub(crate) received_bytes: f64,
    /// From request to reply.
    pub(crate) latency_seconds: report::Latency,
    /// Of a search, or a load without a pace.
    pub(crate) search: Option<Search>,
    /// How long the watched processor was busy.
    pub(crate) cpu_seconds: Option<f64>,
    /// The same for a million right answers.
    pub(crate) cpu_seconds_per_million: Option<f64>,
    /// Processor time that the host gave to others while the load ran, its warm-up included, seconds.
    #[serde(skip)]
    pub(crate) stolen_seconds: f64,
    /// The figures by windows of time.
    pub(crate) windows: Vec<Window>,
    /// What only some loads have.
    pub(crate) more: BTreeMap<String, f64>,
}

impl Figures {
    /// How busy the watched processor was, from 0 to 1.
    pub(crate) fn busy(&self) -> Option<f64> {
        (self.seconds > 0.0).then_some(self.cpu_seconds? / self.seconds)
    }

    /// Mean payload of a right reply, bytes.
    pub(crate) fn mean_reply(&self) -> Option<f64> {
        (self.answered > 0.0).then(|| self.received_bytes / self.answered)
    }

    /// Wrong replies for a person, `None` if there were none: `3 wrong replies (2 counts, 1 length)`.
    pub(crate) fn wrong_replies(&self) -> Option<String> {
        if self.wrong_in_all == 0 {
            return None;
        }
        let kinds: Vec<String> = self
            .wrong
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        Some(format!("{} wrong replies ({})", self.wrong_in_all, kinds.join(", ")))
    }
}

/// What a search found.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Search {
    /// The highest rate that was served.
    pub(crate) served_rate: f64,
    /// What stopped it: `tracker`, `generator`, `top` or `connections`.
    pub(crate) limit: String,
    /// Each rate that was tried.
    pub(crate) probes: Vec<Value>,
}

/// A window of time.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Window {
    /// When it began, since requests count.
    pub(crate) seconds: f64,
    /// Requests sent in it.
    pub(crate) sent: f64,
    /// Right answers that came in it.
    pub(crate) answered: f64,
    /// Requests that stayed without an answer.
    pub(crate) unanswered: f64,
    /// Latency of its slowest answers but one in a thousand, seconds; none if nothing was answered.
    pub(crate) p999: Option<f64>,
}

/// Runs a load, whose command [`crate::bench::rig::Namespace::command`] made, to its end. A wrong reply is a figure,
/// no failure.
///
/// # Errors
/// It failed, or did not end in time: one line with the reason.
pub(crate) fn run(lab: &Lab, command: Command, deadline: Duration) -> Result<Figures> {
    watch(lab, command, deadline, Duration::MAX, || Ok(()))
}

/// The same; `look` is called every so often while the load runs.
pub(crate) fn watch(
    lab: &Lab,
    mut command: Command,
    deadline: Duration,
    every: Duration,
    mut look: impl FnMut() -> Result<()>,
) -> Result<Figures> {
    let number = lab.number();
    let (json, said) = (
        lab.scratch().join(format!("load-{number}.json")),
        lab.scratch().join(format!("load-{number}.said")),
    );
    let errors = File::create(&said).with_context(|| format!("cannot write {}", said.display()))?;
    command.arg("--json").arg(&json).stdout(Stdio::null()).stderr(errors);
    let mut running = Running(command.spawn().context("cannot start riptide-load")?);
    let (begun, stolen_before) = (Instant::now(), stolen());
    let mut looked = Duration::ZERO;
    let status = loop {
        if let Some(status) = running.0.try_wait().context("cannot watch riptide-load")? {
            break status;
        }
        let elapsed = begun.elapsed();
        if elapsed > deadline {
            bail!("riptide-load did not end within {} s", deadline.as_secs());
        }
        if elapsed.saturating_sub(looked) >= every {
            looked = elapsed;
            look()?;
        }
        lab.rest(LOOK)?;
    };
    let stolen_seconds = stolen().saturating_sub(stolen_before).as_secs_f64();
    let text = fs::read_to_string(&json);
    let words = fs::read_to_string(&said).unwrap_or_default();
    for file in [&json, &said] {
        let _ = fs::remove_file(file);
    }
    match text {
        Ok(text) => Ok(Figures { stolen_seconds, ..parse(&text)? }),
        Err(_) => {
            let line = program::last_line(&words);
            let line = line.strip_prefix("riptide-load: ").unwrap_or(line);
            bail!(
                "{}",
                if line.is_empty() { format!("riptide-load failed ({status})") } else { line.to_owned() }
            )
        }
    }
}

fn parse(text: &str) -> Result<Figures> {
    serde_json::from_str(text).context("cannot read the figures of riptide-load")
}

/// A load under way, ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How fast a load asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// So many requests a second.
    Rate(f64),
    /// A search for the served rate that begins here.
    Search(f64),
}

/// A load over UDP, made in the kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Udp {
    /// Shares of requests: `CONNECT:ANNOUNCE:SCRAPE`.
    pub(crate) mix: &'static str,
    /// How fast.
    pub(crate) pace: Pace,
    /// How long requests are counted; of a search, at each rate.
    pub(crate) duration: Duration,
    /// Load before that.
    pub(crate) warmup: Duration,
    /// Before that every peer announces once, so many a second.
    pub(crate) fill: Option<f64>,
    /// Figures by windows of this length.
    pub(crate) windows: Option<Duration>,
    /// Who announces what.
    pub(crate) population: Population,
}

/// Who announces what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Population {
    /// Torrents.
    pub(crate) torrents: u64,
    /// Peers.
    pub(crate) peers: u64,
    /// Populations with different numbers have no torrent in common.
    pub(crate) seed: u64,
}

impl Population {
    /// A million torrents, two million peers.
    pub(crate) const USUAL: Self = Self { torrents: 1_000_000, peers: 2_000_000, seed: 1 };

    /// As `riptide-load` takes it.
    pub(crate) fn arguments(self) -> [String; 6] {
        let Self { torrents, peers, seed } = self;
        [
            "--torrents".into(),
            torrents.to_string(),
            "--peers".into(),
            peers.to_string(),
            "--seed".into(),
            seed.to_string(),
        ]
    }
}

/// Longest searches: so many rates are tried.
const MOST_PROBES: u32 = 60;
/// What a rate costs beside the load itself: connection IDs, last replies.
const AROUND: Duration = Duration::from_secs(3);
/// A load that is late by so much hangs.
const LATE: Duration = Duration::from_secs(30);

impl Udp {
    /// As `riptide-load udp` takes it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let seconds = |time: Duration| format!("{}s", time.as_secs_f64());
        let mut arguments = vec!["--mix".to_owned(), self.mix.to_owned()];
        match self.pace {
            Pace::Rate(rate) => arguments.extend(["--rate".to_owned(), whole(rate)]),
            Pace::Search(from) => {
                arguments.extend(["--search".to_owned(), "--search-from".to_owned(), whole(from)]);
                // The same for every program: what the host takes away of a processor is nobody's loss.
                arguments.extend(["--search-tries".to_owned(), SEARCH_TRIES.to_string()]);
            }
        }
        arguments.extend(["--duration".to_owned(), seconds(self.duration)]);
        arguments.extend(["--warmup".to_owned(), seconds(self.warmup)]);
        if let Some(rate) = self.fill {
            arguments.extend(["--fill".to_owned(), whole(rate)]);
        }
        if let Some(every) = self.windows {
            arguments.extend(["--windows".to_owned(), seconds(every)]);
        }
        arguments.extend(self.population.arguments());
        arguments
    }

    /// When it must have ended.
    pub(crate) fn deadline(&self) -> Duration {
        let fill = self.fill.map_or(Duration::ZERO, |rate| {
            Duration::from_secs_f64(self.population.peers as f64 / rate.max(1.0))
        });
        let one = self.warmup + self.duration + AROUND;
        let probes = if matches!(self.pace, Pace::Search(_)) { MOST_PROBES } else { 1 };
        fill + one * probes + LATE
    }
}

/// A rate without its fraction.
fn whole(rate: f64) -> String {
    format!("{rate:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read() {
        let text = r#"{"setup": {"protocol": "udp"}, "stopped": false, "seconds": 2.0, "sent": 10, "answered": 8,
            "answered_per_second": 4.0, "unanswered_share": 0.2, "wrong": {"length": 2, "counts": 0, "peer": 1},
            "wrong_in_all": 3, "received_bytes": 800, "latency_seconds": {"p50": 1e-4, "p99": 2e-4, "p999": 3e-4,
            "max": 4e-4}, "cpu_seconds": 0.5, "cpu_seconds_per_million": 62500.0, "more": {"filled": 7},
            "search": {"served_rate": 104000.0, "limit": "tracker", "probes": [{"rate": 1}]},
            "windows": [{"seconds": 0.0, "sent": 5, "answered": 4, "unanswered": 1, "wrong": 0, "p999": null}]}"#;
        let figures = parse(text).unwrap();
        assert_eq!(
            (figures.seconds, figures.sent, figures.answered, figures.answered_per_second),
            (2.0, 10.0, 8.0, 4.0)
        );
        assert_eq!((figures.unanswered_share, figures.mean_reply()), (0.2, Some(100.0)));
        assert_eq!(figures.wrong_replies().unwrap(), "3 wrong replies (2 length, 1 peer)");
        assert_eq!(figures.latency_seconds.p999, 3e-4);
        assert_eq!((figures.cpu_seconds, figures.cpu_seconds_per_million), (Some(0.5), Some(62_500.0)));
        assert_eq!(figures.more["filled"], 7.0);
        let search = figures.search.unwrap();
        assert_eq!(
            (search.served_rate, search.limit.as_str(), search.probes.len()),
            (104_000.0, "tracker", 1)
        );
        assert_eq!((figures.windows[0].unanswered, figures.windows[0].p999), (1.0, None));
        assert!(parse("{").is_err());
    }

    #[test]
    fn without_answers_there_is_no_mean() {
        assert_eq!(Figures::default().mean_reply(), None);
        assert_eq!(Figures::default().wrong_replies(), None);
    }

    const UDP: Udp = Udp {
        mix: "50:50:1",
        pace: Pace::Rate(104_000.7),
        duration: Duration::from_millis(2_500),
        warmup: Duration::from_secs(1),
        fill: None,
        windows: None,
        population: Population::USUAL,
    };

    #[test]
    fn a_load_is_asked_for_by_arguments() {
        assert_eq!(
            UDP.arguments().join(" "),
            "--mix 50:50:1 --rate 104001 --duration 2.5s --warmup 1s --torrents 1000000 --peers 2000000 --seed 1"
        );
        let search =
            Udp { pace: Pace::Search(1e4), fill: Some(2e5), windows: Some(Duration::from_secs(10)), ..UDP };
        let line = search.arguments().join(" ");
        assert!(
            line.contains("--search --search-from 10000 --search-tries 3 ") && !line.contains("--rate"),
            "{line}"
        );
        assert!(line.contains("--fill 200000 --windows 10s"), "{line}");
    }

    #[test]
    fn a_load_gets_the_time_that_it_needs() {
        let fill = Udp { fill: Some(1e5), ..UDP };
        assert_eq!(fill.deadline() - UDP.deadline(), Duration::from_secs(20));
        let search = Udp { pace: Pace::Search(1e4), ..UDP };
        assert!(search.deadline() > (UDP.duration + UDP.warmup) * MOST_PROBES);
    }
}
