//! The picture of a run as SVG: a bar for each ratio, beside its floor and its goal.
//!
//! Each row is laid out by how far it is beyond its floor: the floor is at one place for all, to the right is better, and
//! each step doubles. One file without outside resources, readable in light and dark; colours never stand alone.

use crate::bench::{
    figures::{amount, mark},
    result::{Report, Row},
};
use std::fmt::Write as _;

const WIDTH: f64 = 1160.0;
const MARGIN: f64 = 24.0;
/// From where to where bars go, and how many doublings they show below and above the floor.
const SCALE: (f64, f64) = (592.0, 964.0);
const DOUBLINGS: (f64, f64) = (-1.0, 2.0);
/// Heights of a row and of its bar.
const ROW: f64 = 44.0;
const BAR: f64 = 14.0;

/// Colours and fonts, light first.
const STYLE: &str = "\
.bg{fill:#fff}text{fill:#1c2733}.dim{fill:#5a6776;font-size:12px}.b{font-weight:600}.h{font-size:20px;font-weight:600}\
.floor{stroke:#4a5a70;stroke-width:1.6}.aim{stroke:#1c2733;stroke-width:3}\
.r-goal{fill:#2f9e68}.r-floor{fill:#d9a036}.r-below{fill:#d1495b}
@media (prefers-color-scheme: dark){.bg{fill:#12181f}text{fill:#e6edf3}.dim{fill:#9fb0c1}\
.floor{stroke:#8fa1b5}.aim{stroke:#e6edf3}.r-goal{fill:#55c08d}.r-floor{fill:#e0b04c}.r-below{fill:#f0717f}}";

/// The whole picture.
pub(crate) fn svg(report: &Report) -> String {
    let mut body = String::new();
    text(&mut body, MARGIN, 42.0, "h", "Riptide measured");
    let origin = format!("{}, {}, commit {}", report.machine, report.date, report.commit);
    let legend =
        "Thin line: the floor of each row. Thick line: its goal. To the right is better; each step doubles.";
    text(&mut body, MARGIN, 62.0, "dim", &origin);
    text(&mut body, MARGIN, 82.0, "dim", legend);
    let mut y = 100.0;
    let bottom = y + ROW * report.ratios.len() as f64;
    line(&mut body, "floor", place(1.0), y, bottom);
    for row in &report.ratios {
        draw(&mut body, row, y + ROW / 2.0);
        y += ROW;
    }
    let height = bottom + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-labelledby=\"t\" \
         font-family=\"system-ui, sans-serif\" font-size=\"14\">\n\
         <title id=\"t\">Ratios of Riptide's figures to others, with floors and goals</title>\n<style>\n{STYLE}\n</style>\n\
         <rect class=\"bg\" width=\"{WIDTH}\" height=\"{height:.0}\"/>\n{body}</svg>\n"
    )
}

/// Draws a row around a height.
fn draw(body: &mut String, row: &Row, middle: f64) {
    text(body, MARGIN, middle - 3.0, "", row.aim.name);
    if !row.aim.is_alone() {
        text(body, MARGIN, middle + 14.0, "dim", &format!("against {}", row.aim.against));
    }
    if let Some(ratio) = row.ratio {
        let (floor, end) = (place(1.0), place(beyond_floor(row, ratio)));
        // So much is seen even of what is right at the floor.
        let (from, to) =
            if end < floor { (end.min(floor - 4.0), floor) } else { (floor, end.max(floor + 4.0)) };
        let (class, y, width) = (row.reached, middle - BAR / 2.0, to - from);
        let _ = writeln!(
            body,
            "<rect class=\"r-{class}\" x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\"/>"
        );
    }
    line(body, "aim", place(beyond_floor(row, row.aim.goal)), middle - 12.0, middle + 12.0);
    let unit = if row.aim.is_alone() { row.aim.unit } else { "×" };
    let value = if row.ratio.is_some() { amount(row.ratio, unit) } else { row.reached.to_owned() };
    text(body, SCALE.1 + 24.0, middle - 3.0, "b", &value);
    let marks = format!("floor {}, goal {}", mark(row, row.aim.floor), mark(row, row.aim.goal));
    text(body, SCALE.1 + 24.0, middle + 14.0, "dim", &marks.replace("<= ", "").replace(" x", ""));
}

/// How many times as good as the floor.
fn beyond_floor(row: &Row, ratio: f64) -> f64 {
    if row.aim.less_is_better() { row.aim.floor / ratio } else { ratio / row.aim.floor }
}

/// Where something is that is so many times as good as the floor, within the scale.
fn place(times: f64) -> f64 {
    let (from, to) = DOUBLINGS;
    let doublings = times.log2();
    let doublings = if doublings.is_nan() { to } else { doublings.clamp(from, to) };
    SCALE.0 + (doublings - from) / (to - from) * (SCALE.1 - SCALE.0)
}

fn line(body: &mut String, class: &str, x: f64, top: f64, bottom: f64) {
    let _ = writeln!(body, "<path class=\"{class}\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>");
}

fn text(body: &mut String, x: f64, y: f64, class: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::aims;

    #[test]
    fn the_scale_doubles_from_step_to_step() {
        // 372 units hold three doublings: 124 each, and the floor is after the first.
        assert_eq!([0.25, 0.5, 1.0, 2.0, 4.0, 9.0].map(place), [592.0, 592.0, 716.0, 840.0, 964.0, 964.0]);
        assert_eq!([0.0, f64::INFINITY, f64::NAN].map(place), [592.0, 964.0, 964.0]);
    }

    #[test]
    fn bars_and_goals_are_where_the_figures_say() {
        let drawn = |row: Row| {
            let mut body = String::new();
            draw(&mut body, &row, 30.0);
            body
        };
        // Twice the floor: from 716 to 840. The goal is 1.5 of the floor: 716 + 124 * log2(1.5) = 788.5.
        let row = drawn(Row::of(&aims::MIX_XDP).compare(&[8.0], &[1.0]));
        assert!(
            row.contains("<rect class=\"r-goal\" x=\"716.0\"") && row.contains("width=\"124.0\""),
            "{row}"
        );
        assert!(row.contains("M788.5 18.0V42.0") && row.contains(">floor 4, goal 6<"), "{row}");
        // Twice the cost goes left.
        let row = drawn(Row::of(&aims::MIX_XDP_AT[0]).compare(&[0.7], &[1.0]));
        assert!(row.contains("<rect class=\"r-below\" x=\"592.0\""), "{row}");
        let row = drawn(Row::of(&aims::MEMORY_WEBSOCKET));
        assert!(!row.contains("<rect") && row.contains("floor 12 kB, goal 8 kB"), "{row}");
    }
}
