//! `docs/benchmarks.md` and its chart: a full run for people to read.

use crate::{
    bench::{
        chart,
        report::{self, Detail, Performance, Report, Series},
        table,
    },
    machine,
};
use anyhow::{Result, bail};
use serde_json::Value;
use std::{fmt::Write as _, path::PathBuf};

/// What does not change from run to run, with places for what does.
const TEMPLATE: &str = include_str!("page.md");

/// Series with more points are for the chart alone.
const MOST_POINTS: usize = 12;

/// Writes the page and the chart, and returns their paths.
///
/// # Errors
/// The run was a quick one, or a file cannot be written.
pub(crate) fn write(report: &Report) -> Result<[PathBuf; 2]> {
    if report.quick {
        bail!("figures of a quick run are no record: run `cargo xtask bench --write-docs` without --quick");
    }
    let docs = machine::workspace_root().join("docs");
    let (page, picture) = (docs.join("benchmarks.md"), docs.join("benchmarks.svg"));
    report::write_whole(&picture, chart::svg(report).as_bytes())?;
    report::write_whole(&page, markdown(report).as_bytes())?;
    Ok([page, picture])
}

/// The page.
fn markdown(report: &Report) -> String {
    let sections = [
        ("{{origin}}", origin(report)),
        ("{{ratios}}", ratios(report)),
        ("{{notes}}", notes(report)),
        ("{{programs}}", programs(&report.details)),
        ("{{growth}}", growth(&report.series)),
        ("{{details}}", details(&report.details)),
    ];
    let mut page = TEMPLATE.to_owned();
    for (place, text) in sections {
        let text = if text.is_empty() { "Nothing in this run.\n" } else { &text };
        page = page.replace(&format!("{place}\n"), text);
    }
    page
}

fn origin(report: &Report) -> String {
    let day = report.date.split('T').next().unwrap_or(&report.date);
    let (commit, dirty) = match report.commit.strip_suffix("-dirty") {
        Some(commit) => (commit, ", with changes that were not committed"),
        None => (report.commit.as_str(), ""),
    };
    let commands: Vec<String> = report.command.split("; ").map(portable).collect();
    let commands = commands.join("\n");
    format!(
        "Measured on {day}, on {}, at commit {commit}{dirty}, by\n\n```\n{commands}\n```\n",
        cell(&report.machine)
    )
}

/// A command without the places where this machine keeps its programs.
fn portable(command: &str) -> String {
    let word = |word: &str| match word.split_once("=/") {
        Some((name, _)) => format!("{name}=PATH"),
        None => word.to_owned(),
    };
    command.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn ratios(report: &Report) -> String {
    let mut text = String::from(
        "| figure | against | Riptide | other | ratio | of the rounds | floor | goal | reached |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
    );
    for row in &report.rows {
        let alone = row.against.is_empty();
        let ratio = row.ratio().filter(|_| !alone).map_or_else(String::new, table::times);
        let other = if alone { String::new() } else { table::amount(row.theirs, &row.unit) };
        let cells = [
            cell(&row.name),
            cell(&row.against),
            table::amount(row.ours, &row.unit),
            other,
            signs(&ratio),
            table::spread(row).replace("..", "–"),
            signs(&table::mark(row, row.floor)),
            signs(&table::mark(row, row.goal)),
            row.reached().label().to_owned(),
        ];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// Signs that a terminal may lack.
fn signs(text: &str) -> String {
    let text = text.replace("<=", "≤");
    match text.strip_suffix(" x") {
        Some(number) => format!("{number} ×"),
        None => text,
    }
}

fn notes(report: &Report) -> String {
    let mut text = String::new();
    for row in report.rows.iter().filter(|row| !["", report::NOT_MEASURED].contains(&row.note.as_str())) {
        let against =
            if row.against.is_empty() { String::new() } else { format!(", against {}", row.against) };
        let _ = writeln!(text, "- {}: {}", cell(&format!("{}{against}", row.name)), cell(&row.note));
    }
    if text.is_empty() { String::from("No row needs a remark.\n") } else { text }
}

/// A table for each load, with a row for each program.
fn programs(details: &[Detail]) -> String {
    let mut text = String::new();
    let shown: Vec<(&Detail, Performance)> =
        details.iter().filter_map(|detail| Some((detail, detail.as_performance()?))).collect();
    for load in distinct(shown.iter().map(|(detail, _)| detail.figure.as_str())) {
        let _ = writeln!(
            text,
            "{}### {}\n\n| program | served rate | CPU s per million | p50 | p99 | p99.9 | resident |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
            if text.is_empty() { "" } else { "\n" },
            cell(load)
        );
        for (detail, performance) in shown.iter().filter(|(detail, _)| detail.figure == load) {
            let latency = |quantile: fn(report::Latency) -> f64| {
                table::amount(performance.latency_seconds.map(quantile), "s")
            };
            let name = match &performance.version {
                Some(version) => format!("{} ({version})", detail.program),
                None => detail.program.clone(),
            };
            let cells = [
                cell(&name),
                table::amount(performance.served_rate, "/s"),
                performance.cpu_seconds_per_million.map_or_else(|| "-".to_owned(), table::three),
                latency(|latency| latency.p50),
                latency(|latency| latency.p99),
                latency(|latency| latency.p999),
                table::amount(performance.resident_bytes, "bytes"),
            ];
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }
    text
}

/// The numbers of the growth charts.
fn growth(series: &[Series]) -> String {
    let mut text = String::new();
    let short: Vec<&Series> =
        series.iter().filter(|one| (1..=MOST_POINTS).contains(&one.points.len())).collect();
    let labels = distinct(short.iter().map(|one| (one.x_label.as_str(), one.y_label.as_str())));
    for (x_label, y_label) in labels {
        let chart: Vec<&Series> = short
            .iter()
            .copied()
            .filter(|one| (one.x_label.as_str(), one.y_label.as_str()) == (x_label, y_label))
            .collect();
        let mut places: Vec<f64> = chart.iter().flat_map(|one| one.points.iter().map(|(x, _)| *x)).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let names: Vec<String> = chart.iter().map(|one| cell(&one.name)).collect();
        let _ = writeln!(
            text,
            "{}### {} by {}\n\n| {} | {} |\n| ---: |{}",
            if text.is_empty() { "" } else { "\n" },
            cell(y_label),
            cell(x_label),
            cell(x_label),
            names.join(" | "),
            " ---: |".repeat(chart.len())
        );
        for place in places {
            let _ = write!(text, "| {} |", table::short(place));
            for one in &chart {
                let point = one.points.iter().find(|(x, y)| *x == place && y.is_finite());
                let _ =
                    write!(text, " {} |", point.map_or_else(|| "-".to_owned(), |(_, y)| table::three(*y)));
            }
            text.push('\n');
        }
    }
    text
}

/// Details of other shapes, as far as they are plain values.
fn details(details: &[Detail]) -> String {
    let mut text = String::new();
    for detail in details.iter().filter(|detail| detail.as_performance().is_none()) {
        let values: Vec<String> = match &detail.values {
            Value::Object(values) => values
                .iter()
                .filter_map(|(name, value)| Some(format!("{} {}", name.replace('_', " "), plain(value)?)))
                .collect(),
            value => plain(value).into_iter().collect(),
        };
        if !values.is_empty() {
            let line = format!("{}, {}: {}", detail.program, detail.figure, values.join(", "));
            let _ = writeln!(text, "- {}", cell(&line));
        }
    }
    text
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => {
            let figure = number.as_f64()?;
            Some(if figure.fract() == 0.0 { table::short(figure) } else { table::three(figure) })
        }
        Value::String(text) => Some(text.clone()),
        Value::Bool(yes) => Some(if *yes { "yes" } else { "no" }.to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Each once, in the order in which they came.
fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for one in all {
        if !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    distinct
}

/// Text that stays within its cell or line.
fn cell(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('|', r"\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{aims, report::Latency};
    use serde_json::json;

    fn report() -> Report {
        let mut report =
            Report::new("bench", "cargo xtask bench; cargo xtask bench ws --peer aquatic_ws=/opt/ws", false);
        report.commit = "abc-dirty".into();
        report.machine = "AMD EPYC, 2 cores, Linux 6.18".into();
        report.date = "2026-11-22T10:00:00Z".into();
        report.rows = vec![
            aims::UDP_MIX_CPU.row().measured(&[(1.0, 5.0), (1.2, 5.0), (1.1, 5.0)]),
            aims::HTTP_AQUATIC.row().note("no --peer aquatic_http=PATH <a|b>"),
            aims::EXPIRY.row().note(report::NOT_MEASURED),
        ];
        let performance = Performance {
            served_rate: Some(612_345.0),
            cpu_seconds_per_million: Some(1.234),
            latency_seconds: Some(Latency { p50: 0.0001, p99: 0.002, p999: 0.03 }),
            resident_bytes: Some(80e6),
            version: Some("0.1.0".into()),
            ..Performance::default()
        };
        report.details.push(Detail::performance("Riptide", "UDP mix", &performance).unwrap());
        let bare = Performance { served_rate: Some(5.0), ..Performance::default() };
        report.details.push(Detail::performance("opentracker", "UDP mix", &bare).unwrap());
        report.details.push(Detail {
            program: "Riptide".into(),
            figure: "soak".into(),
            values: json!({"minutes": 20, "flat": true, "probes": [1, 2], "growth_bytes": 0.25, "rate": "80 %"}),
        });
        for (name, points) in [("Riptide", vec![(1e4, 7e5), (1e6, 6e5)]), ("other", vec![(1e6, 1e5)])] {
            let labels = ("torrents".to_owned(), "responses/s".to_owned());
            report.series.push(Series { name: name.into(), x_label: labels.0, y_label: labels.1, points });
        }
        report
    }

    fn contains(page: &str, lines: &[&str]) {
        for line in lines {
            assert!(page.lines().any(|have| have == *line), "{line}\nis not in\n{page}");
        }
    }

    #[test]
    fn the_page_says_what_was_measured_where_and_how() {
        contains(
            &markdown(&report()),
            &[
                "Measured on 2026-11-22, on AMD EPYC, 2 cores, Linux 6.18, at commit abc, with changes that were not committed, by",
                "cargo xtask bench",
                "cargo xtask bench ws --peer aquatic_ws=PATH",
            ],
        );
    }

    #[test]
    fn every_row_is_told_with_its_marks_and_notes() {
        contains(
            &markdown(&report()),
            &[
                "| CPU per million responses of the mix, XDP path | aquatic_udp io_uring | 1.10 CPU s | 5.00 CPU s | 0.220 × | 0.200–0.240 | ≤ 0.25 × | ≤ 0.2 × | floor |",
                "| HTTP announce, plain, keep-alive | aquatic_http | - | - |  |  | 4 × | 6 × | not measured |",
                r"- HTTP announce, plain, keep-alive, against aquatic_http: no --peer aquatic_http=PATH &lt;a\|b>",
            ],
        );
    }

    #[test]
    fn programs_growth_and_the_rest_are_told() {
        let page = markdown(&report());
        contains(
            &page,
            &[
                "### UDP mix",
                "| Riptide (0.1.0) | 612,345/s | 1.23 | 100 us | 2.00 ms | 30.0 ms | 80.0 MB |",
                "| opentracker | 5/s | - | - | - | - | - |",
                "### responses/s by torrents",
                "| torrents | Riptide | other |",
                "| 10,000 | 700,000 | - |",
                "| 1,000,000 | 600,000 | 100,000 |",
                "- Riptide, soak: flat yes, growth bytes 0.250, minutes 20, rate 80 %",
            ],
        );
        assert_eq!(page.matches("### UDP mix").count(), 1);
        assert!(!page.contains(report::NOT_MEASURED), "the table says so: {page}");
    }

    #[test]
    fn every_place_of_the_template_is_filled() {
        let empty = Report { rows: Vec::new(), details: Vec::new(), series: Vec::new(), ..report() };
        for page in [markdown(&report()), markdown(&empty)] {
            assert!(!page.contains("{{") && !page.contains("\n\n\n"), "{page}");
        }
    }

    #[test]
    fn a_quick_run_is_no_record() {
        let error = write(&Report { quick: true, ..report() }).unwrap_err().to_string();
        assert!(error.contains("without --quick"), "{error}");
    }
}
