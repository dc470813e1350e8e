//! The table of ratios as text for a terminal, and how figures are written.

use crate::bench::report::{Better, Reached, Report, Row};
use std::fmt::Write as _;

/// Columns of the figure's name.
const NAME: usize = 46;

/// Titles of the other columns with their widths.
const COLUMNS: [(&str, usize); 7] = [
    ("Riptide", 12),
    ("other", 12),
    ("ratio", 9),
    ("rounds", 12),
    ("floor", 10),
    ("goal", 10),
    ("reached", 13),
];

/// Every row with its marks, then the notes.
pub(crate) fn text(report: &Report) -> String {
    let mut text = format!("{:<NAME$}", "figure");
    for (title, width) in COLUMNS {
        let _ = write!(text, " {title:>width$}");
    }
    text.push('\n');
    let mut notes = String::new();
    let mut number = 0;
    for row in &report.rows {
        let mut cells = [
            amount(row.ours, &row.unit),
            if row.against.is_empty() { String::new() } else { amount(row.theirs, &row.unit) },
            row.ratio().filter(|_| !row.against.is_empty()).map_or_else(String::new, times),
            spread(row),
            mark(row, row.floor),
            mark(row, row.goal),
            row.reached().label().to_owned(),
        ];
        if !row.note.is_empty() {
            number += 1;
            let _ = writeln!(notes, "[{number}] {}: {}", row.name, row.note);
            let _ = write!(cells[6], " [{number}]");
        }
        let mut name = wrap(&row.name, NAME);
        if !row.against.is_empty() {
            name.extend(
                wrap(&format!("against {}", row.against), NAME - 2).iter().map(|line| format!("  {line}")),
            );
        }
        let mut lines = name.iter();
        let _ = write!(text, "{:<NAME$}", lines.next().map_or("", String::as_str));
        for (cell, (_, width)) in cells.iter().zip(COLUMNS) {
            let _ = write!(text, " {cell:>width$}");
        }
        text.push('\n');
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
    }
    let count = |reached| report.rows.iter().filter(|row| row.reached() == reached).count();
    let _ = writeln!(
        text,
        "{} rows: {} at the goal, {} at the floor, {} below, {} not measured",
        report.rows.len(),
        count(Reached::Goal),
        count(Reached::Floor),
        count(Reached::No),
        count(Reached::Unmeasured),
    );
    text + &notes
}

/// A mark of a row: `4 x`, `<= 0.25 x`, `<= 150 ns`.
pub(crate) fn mark(row: &Row, mark: f64) -> String {
    let sign = if row.better == Better::Less { "<= " } else { "" };
    let value = if row.against.is_empty() { chosen(mark, &row.unit) } else { format!("{} x", short(mark)) };
    format!("{sign}{value}")
}

/// The lowest and the highest ratio of the rounds.
pub(crate) fn spread(row: &Row) -> String {
    let lowest = row.rounds.iter().copied().min_by(f64::total_cmp);
    let highest = row.rounds.iter().copied().max_by(f64::total_cmp);
    match (lowest, highest) {
        (Some(lowest), Some(highest)) if row.rounds.len() > 1 => {
            format!("{}..{}", three(lowest), three(highest))
        }
        _ => String::new(),
    }
}

/// A ratio: `4.54 x`.
pub(crate) fn times(ratio: f64) -> String {
    format!("{} x", three(ratio))
}

/// A figure with its unit: `612,345/s`, `95.2 ns`, `5.53 kB`, `1.24 ms`; `-` if there is none.
pub(crate) fn amount(figure: Option<f64>, unit: &str) -> String {
    let Some(figure) = figure.filter(|figure| figure.is_finite()) else { return "-".to_owned() };
    written(figure, unit, three)
}

/// The same of a figure that somebody chose: `12 kB`.
pub(crate) fn chosen(figure: f64, unit: &str) -> String {
    written(figure, unit, short)
}

fn written(figure: f64, unit: &str, number: fn(f64) -> String) -> String {
    let scaled = |steps: &[(f64, &str)]| {
        let (size, name) = steps
            .iter()
            .find(|(size, _)| figure.abs() >= *size)
            .or(steps.last())
            .copied()
            .unwrap_or((1.0, unit));
        format!("{} {name}", number(figure / size))
    };
    match unit {
        "bytes" => scaled(&[(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")]),
        "s" => scaled(&[(1.0, "s"), (1e-3, "ms"), (1e-6, "us")]),
        _ => match unit.strip_suffix("/s") {
            Some(_) => format!("{}/s", grouped(figure)),
            None => format!("{} {unit}", number(figure)),
        },
    }
}

/// A whole number with commas.
pub(crate) fn grouped(figure: f64) -> String {
    let digits = format!("{:.0}", figure.abs());
    let mut text = if figure <= -0.5 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits, commas from a thousand on; trailing zeros stay, since they were measured.
pub(crate) fn three(figure: f64) -> String {
    match figure.abs() {
        size if size >= 99.95 => grouped(figure),
        size if size >= 9.995 => format!("{figure:.1}"),
        size if size >= 0.9995 || size == 0.0 => format!("{figure:.2}"),
        size if size >= 0.09995 => format!("{figure:.3}"),
        _ => format!("{figure:.4}"),
    }
}

/// A number that somebody chose: no more digits than it has.
pub(crate) fn short(figure: f64) -> String {
    if figure.abs() >= 1_000.0 { grouped(figure) } else { format!("{figure}") }
}

/// Breaks a text between words into lines of `width` at most; a longer word stays whole.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::aims;

    #[test]
    fn figures_have_their_units() {
        assert_eq!(amount(Some(612_345.4), "responses/s"), "612,345/s");
        assert_eq!(amount(Some(95.24), "ns"), "95.2 ns");
        assert_eq!(amount(Some(0.876), "CPU s"), "0.876 CPU s");
        assert_eq!(amount(Some(5_532.0), "bytes"), "5.53 kB");
        assert_eq!(amount(Some(241e6), "bytes"), "241 MB");
        assert_eq!(amount(Some(11.8), "bytes"), "11.8 B");
        assert_eq!(amount(Some(0.001_24), "s"), "1.24 ms");
        assert_eq!(amount(Some(0.000_04), "s"), "40.0 us");
        assert_eq!(amount(Some(1e-9), "s"), "0.0010 us");
        assert_eq!([chosen(12_000.0, "bytes"), chosen(150.0, "ns")], ["12 kB", "150 ns"]);
        assert_eq!([amount(None, "s"), amount(Some(f64::NAN), "s")], ["-", "-"]);
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!(
            [0.0, 0.01234, 0.1234, 1.234, 9.999, 12.34, 99.96, 123.4, 1234.5, 1_234_567.0].map(three),
            ["0.00", "0.0123", "0.123", "1.23", "10.0", "12.3", "100", "123", "1,234", "1,234,567"]
        );
        assert_eq!([4.0, 0.25, 1.05, 12_000.0].map(short), ["4", "0.25", "1.05", "12,000"]);
        assert_eq!([0.0, 999.0, 1_000.0, -1_234_567.0].map(grouped), ["0", "999", "1,000", "-1,234,567"]);
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("aaaaaaaa b", 5), ["aaaaaaaa", "b"]);
        assert!(wrap("", 5).is_empty());
    }

    #[test]
    fn the_table_is_aligned_and_whole() {
        let mut verdict = aims::XDP_VERDICT.row();
        verdict.ours = Some(120.4);
        let mut report = Report::new("bench", "cargo xtask bench", true);
        report.rows = vec![
            aims::UDP_MIX_XDP.row().measured(&[
                (600_000.0, 130_000.0),
                (612_345.0, 130_001.0),
                (620_000.0, 120_000.0),
            ]),
            verdict,
            aims::UDP_MIX_CPU.row().measured(&[(2.0, 5.0)]),
            aims::HTTP_AQUATIC.row().note("no --peer aquatic_http=PATH was given"),
        ];
        assert_eq!(
            text(&report),
            "\
figure                                              Riptide        other     ratio       rounds      floor       goal       reached
UDP mix, XDP native, one core                     612,345/s    130,000/s    4.71 x   4.62..5.17        4 x        5 x         floor
  against aquatic_udp io_uring
XDP program, any verdict, by test-run                120 ns                                      <= 150 ns  <= 100 ns         floor
CPU per million responses of the mix, XDP path   2.00 CPU s   5.00 CPU s   0.400 x               <= 0.25 x   <= 0.2 x         below
  against aquatic_udp io_uring
HTTP announce, plain, keep-alive                          -            -                               4 x        6 x not measured [1]
  against aquatic_http
4 rows: 0 at the goal, 2 at the floor, 1 below, 1 not measured
[1] HTTP announce, plain, keep-alive: no --peer aquatic_http=PATH was given
"
        );
    }

    #[test]
    fn the_longest_names_fit() {
        let mut report = Report::new("bench", "cargo xtask bench", false);
        report.complete(&["udp", "http", "ws", "engine"], "was not run");
        assert!(text(&report).lines().all(|line| line.starts_with('[') || line.chars().count() <= 140));
    }
}
