//! Running `riptide-load`, and what it tells.

use crate::bench::{
    figures::{amount, three},
    host::stolen,
    lab::Lab,
    program::Program,
    result::{Shown, median},
};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
    time::Duration,
};

/// More of this share of a load's time that the host gave to others makes it worthless: it is put on once more.
const MOST_STOLEN: f64 = 0.01;
/// So often at most.
const TRIES: usize = 3;

/// Of so many requests one may stay unanswered without a word.
const UNANSWERED: f64 = 0.005;

/// What a load came to, as `docs/load.md` describes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Figures {
    /// How long requests were counted.
    pub(crate) seconds: f64,
    /// Requests answered rightly in time.
    pub(crate) answered: f64,
    /// The same a second.
    pub(crate) answered_per_second: f64,
    /// The share of the sent ones that were not answered rightly.
    pub(crate) unanswered_share: f64,
    /// Wrong replies by kind.
    pub(crate) wrong: BTreeMap<String, u64>,
    /// Payload bytes of the right replies.
    pub(crate) received_bytes: f64,
    /// From request to reply: `p50`, half of the requests were answered faster, `p99`, `p999`.
    pub(crate) latency_seconds: BTreeMap<String, f64>,
    /// How long the watched processor was busy.
    pub(crate) cpu_seconds: Option<f64>,
    /// The same for a million right answers; over UDP, only what the tracker's threads and the one that receives for it ran.
    pub(crate) cpu_seconds_per_million: Option<f64>,
    /// Processor time that the host gave to others while the load ran, its warm-up included, seconds.
    #[serde(skip)]
    pub(crate) stolen_seconds: f64,
    /// Of a search.
    pub(crate) search: Option<Search>,
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

    /// Right answers for each second that the tracker worked.
    pub(crate) fn per_busy_second(&self) -> Option<f64> {
        self.cpu_seconds_per_million.filter(|cost| *cost > 0.0).map(|cost| 1e6 / cost)
    }

    /// Whether the host took so much of the load's time that its figures mean nothing.
    fn is_void(&self) -> bool {
        self.stolen_seconds > MOST_STOLEN * self.seconds
    }
}

/// The median of a figure over rounds.
fn middle(rounds: &[Figures], figure: impl Fn(&Figures) -> Option<f64>) -> Option<f64> {
    median(&rounds.iter().filter_map(figure).collect::<Vec<_>>())
}

/// What a program showed in some rounds.
pub(crate) fn shown(program: &str, load: &str, rounds: &[Figures]) -> Shown {
    let latency = |name| middle(rounds, |round| round.latency_seconds.get(name).copied());
    Shown {
        program: program.to_owned(),
        load: load.to_owned(),
        answered_per_second: middle(rounds, |round| Some(round.answered_per_second)),
        busy: middle(rounds, Figures::busy),
        cpu_seconds_per_million: middle(rounds, |round| round.cpu_seconds_per_million),
        p50_seconds: latency("p50"),
        p99_seconds: latency("p99"),
        p999_seconds: latency("p999"),
        unanswered_share: middle(rounds, |round| Some(round.unanswered_share)),
        resident_bytes: None,
    }
}

/// What stands beside the first figure of a row: what a program answered, how busy the core was, and what was wrong.
pub(crate) fn remarks(program: &str, rounds: &[Figures]) -> String {
    if rounds.is_empty() {
        return String::new();
    }
    let shown = shown(program, "", rounds);
    let mut said = vec![format!("{program} {}", amount(shown.answered_per_second, "/s"))];
    said.extend(shown.busy.map(|busy| format!("its core {:.0} % busy", busy * 100.0)));
    let wrong = rounds.iter().flat_map(|round| &round.wrong).filter(|(_, count)| **count > 0);
    let wrong: BTreeSet<&str> = wrong.map(|(kind, _)| kind.as_str()).collect();
    if !wrong.is_empty() {
        said.push(format!("wrong replies ({})", Vec::from_iter(wrong).join(", ")));
    }
    said.extend(
        shown
            .unanswered_share
            .filter(|lost| *lost > UNANSWERED)
            .map(|lost| format!("{} % of the requests unanswered", three(lost * 100.0))),
    );
    let void = rounds.iter().filter(|round| round.is_void()).count();
    if void > 0 {
        said.push(format!("the host took processor time in {void} of {} rounds", rounds.len()));
    }
    said.join(", ")
}

/// Has a load put on until the host leaves it alone, a few times at most.
pub(crate) fn undisturbed(mut run: impl FnMut() -> Result<Figures>) -> Result<Figures> {
    for _ in 1..TRIES {
        let figures = run()?;
        if !figures.is_void() {
            return Ok(figures);
        }
    }
    run()
}

/// What a search found: the highest rate that was served, and whether `tracker` or `generator` was its limit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Search {
    pub(crate) served_rate: f64,
    pub(crate) limit: String,
}

/// A window of time.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Window {
    /// When it began, since requests count.
    pub(crate) seconds: f64,
    /// Latency of its slowest answers but one in a thousand, seconds; none if nothing was answered.
    pub(crate) p999: Option<f64>,
}

/// Runs a load, whose command [`crate::bench::rig::Namespace::command`] made, to its end; `look` is called every so often
/// meanwhile. A wrong reply is a figure, no failure.
pub(crate) fn watch(
    lab: &Lab,
    mut command: Command,
    deadline: Duration,
    look: impl FnMut() -> Result<()>,
) -> Result<Figures> {
    let json = lab.scratch().join(format!("{}-load.json", lab.number()));
    command.arg("--json").arg(&json);
    let before = stolen();
    let mut load = Program::spawn(lab, "riptide-load", command)?;
    let status = load.wait(lab, deadline, look)?;
    let stolen_seconds = stolen().saturating_sub(before).as_secs_f64();
    match fs::read_to_string(&json) {
        Ok(text) => Ok(Figures { stolen_seconds, ..parse(&text)? }),
        Err(_) => bail!("riptide-load failed ({status}){}", load.last_words()),
    }
}

fn parse(text: &str) -> Result<Figures> {
    serde_json::from_str(text).context("cannot read the figures of riptide-load")
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
            "windows": [{"seconds": 0.0, "sent": 5, "answered": 4, "unanswered": 1, "wrong": 0, "p999": null}]}"#;
        let figures = parse(text).unwrap();
        assert_eq!((figures.seconds, figures.answered_per_second), (2.0, 4.0));
        assert_eq!((figures.mean_reply(), figures.busy()), (Some(100.0), Some(0.25)));
        assert_eq!((figures.latency_seconds["p999"], figures.per_busy_second()), (3e-4, Some(16.0)));
        assert_eq!((figures.more["filled"], figures.windows[0].p999), (7.0, None));
        let said =
            "it 4/s, its core 25 % busy, wrong replies (length, peer), 20.0 % of the requests unanswered";
        assert_eq!(remarks("it", &[figures]), said);
        assert!(parse("{").is_err());
    }

    #[test]
    fn what_the_host_took_time_from_is_done_again() {
        let figures = |stolen_seconds| Figures { seconds: 10.0, stolen_seconds, ..Figures::default() };
        let mut stolen = [0.5, 0.2, 0.05].into_iter();
        assert_eq!(undisturbed(|| Ok(figures(stolen.next().unwrap()))).unwrap().stolen_seconds, 0.05);
        let disturbed = undisturbed(|| Ok(figures(1.0))).unwrap();
        let remarks = remarks("it", &[disturbed, figures(0.0)]);
        assert_eq!(remarks, "it 0/s, the host took processor time in 1 of 2 rounds");
    }
}
