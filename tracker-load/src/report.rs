//! What a run came to, as a table for people and as JSON for programs.

use crate::{
    error::Error,
    figures::{Figures, Window, Wrong, per_second},
    numbers::{grouped, whole},
    run::Outcome,
    search::Limit,
};
use serde_json::{Map, Value, json};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// What stands above the figures: names and values, as they go into the table and the JSON.
pub type Setup = Vec<(&'static str, Value)>;

/// Quantiles that are told, with their names in JSON and in the table.
const QUANTILES: [(f64, &str, &str); 3] =
    [(0.5, "p50", "p50"), (0.99, "p99", "p99"), (0.999, "p999", "p99.9")];

/// The table.
#[must_use]
pub fn table(outcome: &Outcome) -> String {
    let figures = &outcome.figures;
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    if let Some(found) = outcome.found {
        let limit = match found.limit {
            Limit::Tracker => "",
            Limit::Connections => " with so many connections, each as fast as it is answered",
            Limit::Generator => " at least: the generator could not send more (more --threads may)",
            Limit::Top => " at least: --search-to allows no more",
        };
        row("served rate", format!("{}/s{limit}", grouped(whole(found.rate))));
    }
    if outcome.stopped {
        row("stopped", "before its end; the figures so far".into());
    }
    let counted =
        |count: u64| format!("{} ({}/s)", grouped(count), grouped(whole(per_second(count, figures.seconds))));
    row("counted for", format!("{:.1} s", figures.seconds));
    row("offered", counted(figures.offered));
    row("sent", counted(figures.sent));
    row("answered", counted(figures.answered));
    row(
        "unanswered",
        format!(
            "{} ({:.3} % of sent were not answered rightly)",
            grouped(figures.unanswered),
            figures.unanswered_share() * 100.0
        ),
    );
    if figures.late > 0 {
        row("late replies", grouped(figures.late));
    }
    row("wrong replies", grouped(figures.wrong_in_all()));
    for (kind, count) in Wrong::ALL.into_iter().zip(figures.wrong).filter(|(_, count)| *count > 0) {
        row(&format!("  {}", kind.label()), grouped(count));
    }
    if !figures.latency.is_empty() {
        let all: Vec<String> = QUANTILES
            .iter()
            .map(|&(quantile, _, name)| {
                format!("{name} {}", milliseconds(figures.latency.value_at_quantile(quantile)))
            })
            .collect();
        row("latency", all.join("  "));
    }
    row(
        "bytes",
        format!("{} sent, {} received", grouped(figures.sent_bytes), grouped(figures.received_bytes)),
    );
    if let Some(seconds) = figures.cpu_seconds {
        let each = figures.cpu_seconds_per_million();
        let each = each.map_or(String::new(), |each| format!(" ({each:.3} s for each million answered)"));
        row("processor busy", format!("{seconds:.2} s{each}"));
    }
    for &(name, count) in &figures.more {
        row(&name.replace('_', " "), grouped(count));
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<width$}  {value}");
        text
    })
}

fn milliseconds(nanoseconds: u64) -> String {
    format!("{:.3} ms", nanoseconds as f64 / 1e6)
}

/// The JSON, as docs/load.md describes it.
#[must_use]
pub fn json(setup: &Setup, outcome: &Outcome) -> Value {
    let Figures { seconds, offered, sent, answered, unanswered, late, sent_bytes, received_bytes, .. } =
        outcome.figures;
    let figures = &outcome.figures;
    let mut latency: Map<String, Value> = QUANTILES
        .iter()
        .map(|&(quantile, name, _)| {
            (name.to_owned(), json!(figures.latency.value_at_quantile(quantile) as f64 / 1e9))
        })
        .collect();
    latency.insert("max".into(), json!(figures.latency.max() as f64 / 1e9));
    let wrong: Map<String, Value> = Wrong::ALL
        .into_iter()
        .zip(figures.wrong)
        .map(|(kind, count)| (kind.label().to_owned(), json!(count)))
        .collect();
    let more: Map<String, Value> =
        figures.more.iter().map(|&(name, count)| (name.to_owned(), json!(count))).collect();
    let search = (outcome.found.is_some() || !outcome.probes.is_empty()).then(|| {
        let probes: Vec<Value> = outcome
            .probes
            .iter()
            .map(|(probe, verdict)| {
                json!({
                    "rate": probe.rate,
                    "sent_share": probe.sent,
                    "unanswered_share": probe.unanswered,
                    "verdict": verdict.label(),
                })
            })
            .collect();
        json!({
            "served_rate": outcome.found.map(|found| found.rate),
            "limit": outcome.found.map(|found| found.limit.label()),
            "probes": probes,
        })
    });
    let windows: Vec<Value> = figures
        .windows
        .iter()
        .map(|window| {
            let Window { seconds, sent, answered, unanswered, wrong, latency } = window;
            let mut value = json!({
                "seconds": seconds,
                "sent": sent,
                "answered": answered,
                "unanswered": unanswered,
                "wrong": wrong,
            });
            for (quantile, name, _) in QUANTILES {
                let seconds = (!latency.is_empty()).then(|| latency.value_at_quantile(quantile) as f64 / 1e9);
                value[name] = json!(seconds);
            }
            value
        })
        .collect();
    json!({
        "setup": setup.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<Map<_, _>>(),
        "stopped": outcome.stopped,
        "search": search,
        "seconds": seconds,
        "offered": offered,
        "sent": sent,
        "sent_per_second": per_second(sent, seconds),
        "answered": answered,
        "answered_per_second": figures.answered_rate(),
        "unanswered": unanswered,
        "unanswered_share": figures.unanswered_share(),
        "late": late,
        "wrong": wrong,
        "wrong_in_all": figures.wrong_in_all(),
        "latency_seconds": latency,
        "sent_bytes": sent_bytes,
        "received_bytes": received_bytes,
        "cpu_seconds": figures.cpu_seconds,
        "cpu_seconds_per_million": figures.cpu_seconds_per_million(),
        "windows": windows,
        "more": more,
    })
}

/// A file that appears when it is whole: a run that fails leaves an earlier one as it was.
#[derive(Debug)]
pub struct JsonFile {
    part: PathBuf,
    whole: PathBuf,
}

impl JsonFile {
    /// Makes sure, before the run, that it can be written.
    ///
    /// # Errors
    /// When it cannot.
    pub fn prepare(path: &Path) -> Result<Self, Error> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let file = Self { part: part.into(), whole: path.to_owned() };
        fs::write(&file.part, "").map_err(|error| {
            Error::Usage(format!("--json {}: the file cannot be written: {error}", path.display()))
        })?;
        Ok(file)
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(self, value: &Value) -> Result<(), Error> {
        fs::write(&self.part, format!("{value:#}\n"))
            .and_then(|()| fs::rename(&self.part, &self.whole))
            .map_err(Error::system::<std::io::Error>(format!("{} cannot be written", self.whole.display())))
    }
}

impl Drop for JsonFile {
    fn drop(&mut self) {
        // After a whole run it has been renamed.
        let _ = fs::remove_file(&self.part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Found, Probe, Verdict};

    fn outcome() -> Outcome {
        let mut figures = Figures {
            seconds: 2.0,
            offered: 2000,
            sent: 2000,
            unanswered: 1,
            sent_bytes: 32_000,
            received_bytes: 31_000,
            ..Figures::default()
        };
        (0..1998).for_each(|_| figures.count_answer(1_000_000));
        figures.count_wrong(Wrong::Repeated);
        figures.add_more("relayed_offers", 7);
        Outcome { figures, found: None, probes: vec![], stopped: false }
    }

    #[test]
    fn the_table_tells_all() {
        let text = table(&outcome());
        for part in [
            "offered         2,000 (1,000/s)",
            "unanswered      1 (0.100 % of sent",
            "wrong replies   1",
            "  repeated_peer  1",
            "p99.9 1.00",
            "32,000 sent, 31,000 received",
            "relayed offers  7",
        ] {
            let spaces = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(spaces(&text).contains(&spaces(part)), "{part} in\n{text}");
        }
        assert!(!text.contains("served rate") && !text.contains("stopped"));
    }

    #[test]
    fn a_search_says_what_stopped_it() {
        let probe = (Probe { rate: 500.0, sent: 1.0, unanswered: 0.0 }, Verdict::Passed);
        let found = Some(Found { rate: 500.0, limit: Limit::Generator });
        let outcome = Outcome { found, probes: vec![probe], ..outcome() };
        assert!(table(&outcome).contains("500/s at least: the generator"));
        let value = json(&vec![("protocol", json!("udp"))], &outcome);
        assert_eq!(value["search"]["served_rate"], json!(500.0));
        assert_eq!(value["search"]["limit"], json!("generator"));
        assert_eq!(value["search"]["probes"][0]["verdict"], json!("passed"));
        assert_eq!(value["setup"]["protocol"], json!("udp"));
    }

    #[test]
    fn json_has_every_figure() {
        let value = json(&vec![], &outcome());
        assert_eq!(value["wrong"]["repeated_peer"], json!(1));
        assert_eq!(value["wrong"]["length"], json!(0));
        assert_eq!(value["answered_per_second"], json!(999.0));
        assert_eq!(value["more"]["relayed_offers"], json!(7));
        assert_eq!(value["search"], Value::Null);
        assert_eq!((&value["cpu_seconds"], &value["windows"]), (&Value::Null, &json!([])));
        let p50 = value["latency_seconds"]["p50"].as_f64().unwrap();
        assert!((p50 - 0.001).abs() < 0.000_02, "{p50}");
    }

    #[test]
    fn a_processor_and_windows_are_told() {
        let mut outcome = outcome();
        let latency = outcome.figures.latency.clone();
        let window = Window { seconds: 0.0, sent: 9, answered: 8, unanswered: 1, wrong: 0, latency };
        let mut empty = Window { seconds: 1.0, ..window.clone() };
        empty.latency.reset();
        outcome.figures.windows = vec![window, empty];
        outcome.figures.cpu_seconds = Some(0.999);
        let text = table(&outcome);
        assert!(
            text.contains("processor busy") && text.contains("1.00 s (500.000 s for each million"),
            "{text}"
        );
        let value = json(&vec![], &outcome);
        assert_eq!(
            (&value["cpu_seconds"], &value["cpu_seconds_per_million"]),
            (&json!(0.999), &json!(500.0))
        );
        let window = &value["windows"][0];
        assert_eq!(
            (&window["seconds"], &window["sent"], &window["answered"]),
            (&json!(0.0), &json!(9), &json!(8))
        );
        assert_eq!((&window["unanswered"], &window["wrong"]), (&json!(1), &json!(0)));
        let p999 = window["p999"].as_f64().unwrap();
        assert!((p999 - 0.001).abs() < 0.000_02, "{p999}");
        assert_eq!(
            (&value["windows"][1]["seconds"], &value["windows"][1]["p50"]),
            (&json!(1.0), &Value::Null)
        );
    }
}
