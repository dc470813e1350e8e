//! What a run came to, for people: as a table for a terminal, and as `docs/benchmarks.md` with its picture.

use crate::{
    bench::{
        chart,
        figures::{amount, mark, spread, times},
        result::{BELOW, FLOOR, GOAL, Report, Row, Shown, UNMEASURED, write_whole},
    },
    machine,
};
use anyhow::Result;
use std::{fmt::Write as _, path::PathBuf};

/// What does not change from run to run, with places for what does.
const TEMPLATE: &str = include_str!("page.md");

/// Letters of a row's name, and the titles and widths of the other columns.
const NAME: usize = 76;
const TITLES: [&str; 7] = ["Riptide", "other", "ratio", "rounds", "floor", "goal", "reached"];
const WIDTHS: [usize; 7] = [16, 16, 8, 14, 10, 10, 16];

/// What stands in a row's columns.
fn cells(row: &Row) -> [String; 7] {
    let beside = |text: String| if row.aim.is_alone() { String::new() } else { text };
    [
        amount(row.ours, row.aim.unit),
        beside(amount(row.theirs, row.aim.unit)),
        beside(row.ratio.map_or_else(String::new, times)),
        spread(row),
        mark(row, row.aim.floor),
        mark(row, row.aim.goal),
        row.reached.to_owned(),
    ]
}

/// For a terminal: every row with its marks, then the notes.
pub(crate) fn text(report: &Report) -> String {
    let aligned = |cells: &[String; 7]| -> String {
        cells.iter().zip(WIDTHS).map(|(cell, width)| format!(" {cell:>width$}")).collect()
    };
    let mut text = format!("{:<NAME$}{}\n", "figure", aligned(&TITLES.map(str::to_owned)));
    let mut notes = String::new();
    for row in &report.ratios {
        let mut cells = cells(row);
        if !row.note.is_empty() {
            let number = notes.lines().count() + 1;
            let _ = writeln!(notes, "[{number}] {}: {}", row.aim.name, row.note);
            let _ = write!(cells[6], " [{number}]");
        }
        let _ = writeln!(text, "{:<NAME$}{}", row.aim.name, aligned(&cells));
        if !row.aim.is_alone() {
            let _ = writeln!(text, "  against {}", row.aim.against);
        }
    }
    for reached in [GOAL, FLOOR, BELOW, UNMEASURED] {
        let count = report.ratios.iter().filter(|row| row.reached == reached).count();
        let _ = writeln!(text, "{count} rows: {reached}");
    }
    text + &notes
}

/// Writes the page and the picture, and returns their paths.
pub(crate) fn write(report: &Report) -> Result<[PathBuf; 2]> {
    let docs = machine::workspace_root().join("docs");
    let (page, picture) = (docs.join("benchmarks.md"), docs.join("benchmarks.svg"));
    write_whole(&picture, chart::svg(report).as_bytes())?;
    write_whole(&page, markdown(report).as_bytes())?;
    Ok([page, picture])
}

/// The page.
fn markdown(report: &Report) -> String {
    // Places of this machine's programs say nothing to others.
    let portable =
        |word: &str| word.split_once("=/").map_or(word.to_owned(), |(name, _)| format!("{name}=PATH"));
    let command = report.command.split(' ').map(portable).collect::<Vec<_>>().join(" ");
    let day = report.date.split('T').next().unwrap_or_default();
    let origin = format!(
        "Measured on {day}, on {}, at commit {}, by\n\n```\n{command}\n```\n",
        cell(&report.machine),
        report.commit
    );
    let mut notes = String::new();
    for row in report.ratios.iter().filter(|row| !row.note.is_empty()) {
        let against = if row.aim.is_alone() { "" } else { ", against " };
        let name = format!("{}{against}{}", row.aim.name, row.aim.against);
        let _ = writeln!(notes, "- {}: {}", cell(&name), cell(&row.note));
    }
    let mut page = TEMPLATE.to_owned();
    for (place, text) in [
        ("{{origin}}\n", origin),
        ("{{ratios}}\n", ratios(&report.ratios)),
        ("{{notes}}\n", notes),
        ("{{programs}}\n", programs(&report.programs)),
    ] {
        page = page.replace(place, &text);
    }
    page
}

fn ratios(rows: &[Row]) -> String {
    let mut text = String::from(
        "| figure | against | Riptide | other | ratio | of the rounds | floor | goal | reached |\n",
    );
    text += "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n";
    for row in rows {
        // With signs that a terminal may lack.
        let cells = cells(row).join(" | ").replace("<=", "≤").replace("..", "–").replace(" x ", " × ");
        let _ = writeln!(text, "| {} | {} | {cells} |", cell(row.aim.name), cell(row.aim.against));
    }
    text
}

fn programs(programs: &[Shown]) -> String {
    let mut text =
        String::from("| load | program | answered | core busy | CPU s per million | p50 | p99 | p99.9 |");
    text +=
        " unanswered | resident |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
    for shown in programs {
        let percent = |share: Option<f64>| share.map(|share| share * 100.0);
        let figures = [
            (shown.answered_per_second, "/s"),
            (percent(shown.busy), "%"),
            (shown.cpu_seconds_per_million, ""),
            (shown.p50_seconds, "s"),
            (shown.p99_seconds, "s"),
            (shown.p999_seconds, "s"),
            (percent(shown.unanswered_share), "%"),
            (shown.resident_bytes, "bytes"),
        ];
        let cells = figures.map(|(figure, unit)| amount(figure, unit).trim_end().to_owned()).join(" | ");
        let _ = writeln!(text, "| {} | {} | {cells} |", cell(&shown.load), cell(&shown.program));
    }
    text
}

/// Text that stays within its cell or line.
fn cell(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('|', r"\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::aims;

    fn report() -> Report {
        let mut report = Report::new("bench", "cargo xtask bench --peer aquatic_ws=/opt/ws", false);
        report.commit = "abc-dirty".into();
        report.machine = "AMD EPYC, 2 cores, Linux 6.18".into();
        report.date = "2026-11-22T10:00:00Z".into();
        report.ratios = vec![
            Row::of(&aims::MIX_XDP_AT[2]).compare(&[1.0, 1.2, 1.1], &[5.0, 5.0, 5.0]),
            Row::of(&aims::XDP_VERDICT).figures(Some(120.4), None),
            Row::of(&aims::HTTP_AQUATIC).note("no --peer aquatic_http=PATH <a|b>"),
        ];
        report.programs = vec![Shown {
            program: "Riptide".into(),
            load: "UDP mix".into(),
            answered_per_second: Some(612_345.0),
            busy: Some(0.913),
            cpu_seconds_per_million: Some(1.234),
            p50_seconds: Some(0.0001),
            p99_seconds: Some(0.002),
            p999_seconds: Some(0.03),
            unanswered_share: Some(0.0012),
            resident_bytes: None,
        }];
        report
    }

    #[test]
    fn the_page_tells_what_was_measured_where_and_how() {
        let page = markdown(&report());
        for line in [
            "Measured on 2026-11-22, on AMD EPYC, 2 cores, Linux 6.18, at commit abc-dirty, by",
            "cargo xtask bench --peer aquatic_ws=PATH",
            "| UDP mix, XDP native, CPU per million at 100,000/s offered | aquatic_udp io_uring | 1.10 CPU s | 5.00 CPU s | 0.220 × | 0.200–0.240 | ≤ 0.3 × | ≤ 0.2 × | floor |",
            "| HTTP announce, plain, keep-alive | aquatic_http | - | - |  |  | 6 × | 8 × | not measured |",
            r"- HTTP announce, plain, keep-alive, against aquatic_http: no --peer aquatic_http=PATH &lt;a\|b>",
            "| UDP mix | Riptide | 612,345/s | 91.3 % | 1.23 | 100 us | 2.00 ms | 30.0 ms | 0.120 % | - |",
        ] {
            assert!(page.lines().any(|have| have == line), "{line}\nis not in\n{page}");
        }
        assert!(!page.contains("{{") && !page.contains("\n\n\n"), "{page}");
    }

    #[test]
    fn the_table_is_aligned_and_whole() {
        let text = text(&report());
        let lines: Vec<&str> = text.lines().collect();
        let width = lines[0].len();
        assert!([lines[1], lines[3]].iter().all(|line| line.len() == width), "{text}");
        assert!(
            lines[3].starts_with("XDP program, any verdict, by test-run   ")
                && lines[3].contains(" <= 150 ns ")
        );
        assert_eq!(lines[2], "  against aquatic_udp io_uring");
        assert!(lines[4].ends_with(" 8 x not measured [1]"), "{text}");
        assert_eq!(lines[6..10], ["0 rows: goal", "2 rows: floor", "0 rows: below", "1 rows: not measured"]);
        assert!(lines[10].starts_with("[1] HTTP announce"), "{text}");
    }
}
