//! The ratios as bars that begin at their floors, on a logarithmic scale on which right is better.

use super::{Anchor, Drawing, MARGIN, WIDTH};
use crate::bench::{
    report::{Better, Reached, Row},
    table,
};

/// Where the scale is, from left to right.
const SCALE: (f64, f64) = (392.0, 764.0);

/// What its ends mean, as doublings of the floor.
const DOUBLINGS: (f64, f64) = (-1.0, 2.0);

/// Letters in a line of the names.
const NAME_LETTERS: usize = 50;

const LINE: f64 = 17.0;
const BAR: f64 = 14.0;

/// How many times better than the floor, less than 1 where it is worse.
fn beyond_floor(row: &Row, figure: f64) -> f64 {
    match row.better {
        Better::More => figure / row.floor,
        Better::Less => row.floor / figure,
    }
}

/// The place of a figure that is this many times better than the floor; beyond the scale, its end.
fn place(beyond: f64) -> f64 {
    let (left, right) = SCALE;
    let (from, to) = DOUBLINGS;
    // Nothing of nothing is as far as one can get.
    let doublings = if beyond.is_nan() { to } else { beyond.log2().clamp(from, to) };
    left + (doublings - from) / (to - from) * (right - left)
}

/// Draws the legend and the rows below `top`, and returns where they end.
pub(super) fn draw(drawing: &mut Drawing, rows: &[Row], top: f64) -> f64 {
    if rows.is_empty() {
        return top;
    }
    let mut y = legend(drawing, top) + 26.0;
    for (label, doublings) in [("half", -1.0), ("floor", 0.0), ("2 ×", 1.0), ("4 ×", 2.0)] {
        drawing.text(place(f64::exp2(doublings)), y, "dim", Anchor::Middle, label);
    }
    y += 10.0;
    let begin = y;
    let heights: Vec<f64> = rows.iter().map(height).collect();
    let end = begin + heights.iter().sum::<f64>();
    for (index, height) in heights.iter().enumerate() {
        if index % 2 == 0 {
            drawing.rectangle("track", MARGIN - 10.0, y, WIDTH - 2.0 * MARGIN + 20.0, *height);
        }
        y += height;
    }
    for doublings in [-1.0, 1.0, 2.0] {
        let x = place(f64::exp2(doublings));
        drawing.line("grid", (x, begin), (x, end));
    }
    y = begin;
    for (row, height) in rows.iter().zip(&heights) {
        draw_row(drawing, row, y, *height);
        y += height;
    }
    drawing.line("floor", (place(1.0), begin), (place(1.0), end));
    end + 18.0
}

fn legend(drawing: &mut Drawing, y: f64) -> f64 {
    let mut x = MARGIN;
    for (class, label, width) in [
        ("r-goal", "goal reached", 116.0),
        ("r-floor", "floor reached", 120.0),
        ("r-below", "below the floor", 132.0),
    ] {
        drawing.rectangle(class, x, y - 11.0, 12.0, 12.0);
        drawing.text(x + 18.0, y, "dim", Anchor::Start, label);
        x += width;
    }
    drawing.line("aim", (x + 6.0, y - 14.0), (x + 6.0, y + 4.0));
    drawing.text(
        x + 16.0,
        y,
        "dim",
        Anchor::Start,
        "goal; bars begin at the floor, right is better, each step doubles",
    );
    y
}

fn names(row: &Row) -> (Vec<String>, Vec<String>) {
    let against = if row.against.is_empty() { String::new() } else { format!("against {}", row.against) };
    (table::wrap(&row.name, NAME_LETTERS), table::wrap(&against, NAME_LETTERS + 8))
}

fn height(row: &Row) -> f64 {
    let (name, against) = names(row);
    LINE * (name.len() + against.len()).max(2) as f64 + 14.0
}

fn draw_row(drawing: &mut Drawing, row: &Row, top: f64, height: f64) {
    let (name, against) = names(row);
    let mut y = top + (height - LINE * (name.len() + against.len()) as f64) / 2.0 - 4.0;
    for line in &name {
        y += LINE;
        drawing.text(MARGIN, y, "", Anchor::Start, line);
    }
    for line in &against {
        y += LINE;
        drawing.text(MARGIN, y, "dim", Anchor::Start, line);
    }

    let middle = top + height / 2.0;
    let class = match row.reached() {
        Reached::Goal => "r-goal",
        Reached::Floor => "r-floor",
        Reached::No => "r-below",
        Reached::Unmeasured => "",
    };
    if let Some(ratio) = row.ratio() {
        let (floor, end) = (place(1.0), place(beyond_floor(row, ratio)));
        // So much is seen even of what is right at the floor.
        let (from, to) =
            if end < floor { (end.min(floor - 4.0), floor) } else { (floor, end.max(floor + 4.0)) };
        drawing.rectangle(class, from, middle - BAR / 2.0, to - from, BAR);
        let beyond = beyond_floor(row, ratio).log2();
        if beyond < DOUBLINGS.0 || beyond > DOUBLINGS.1 {
            // An arrow: it goes on outside the picture.
            let tip = if beyond < DOUBLINGS.0 { -8.0 } else { 8.0 };
            drawing.path(
                class,
                &[(end, middle - BAR / 2.0), (end + tip, middle), (end, middle + BAR / 2.0)],
                true,
            );
        }
    }
    let goal = place(beyond_floor(row, row.goal));
    drawing.line("aim", (goal, middle - 12.0), (goal, middle + 12.0));

    let value = match row.ratio() {
        None => "not measured".to_owned(),
        Some(figure) if row.against.is_empty() => table::amount(Some(figure), &row.unit),
        Some(ratio) => table::times(ratio).replace('x', "×"),
    };
    let x = SCALE.1 + 24.0;
    let value_class = if row.ratio().is_some() { "b" } else { "dim" };
    drawing.text(x, middle - 3.0, value_class, Anchor::Start, value);
    let marks = format!("floor {}, goal {}", bare(row, row.floor), bare(row, row.goal));
    drawing.text(x, middle + 14.0, "dim", Anchor::Start, marks);
}

/// A mark without its sign: which way is better shows in the picture.
fn bare(row: &Row, mark: f64) -> String {
    if row.against.is_empty() { table::chosen(mark, &row.unit) } else { table::short(mark) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::aims;

    /// What is drawn for one row.
    fn drawn(row: &Row) -> String {
        let mut drawing = Drawing::default();
        draw_row(&mut drawing, row, 0.0, 60.0);
        drawing.body
    }

    #[test]
    fn the_scale_doubles_from_step_to_step() {
        // 372 units hold three doublings: 124 each, and the floor is after the first.
        assert_eq!([0.25, 0.5, 1.0, 2.0, 4.0, 9.0].map(place), [392.0, 392.0, 516.0, 640.0, 764.0, 764.0]);
        assert_eq!([0.0, f64::INFINITY, f64::NAN].map(place), [392.0, 764.0, 764.0]);
    }

    #[test]
    fn bars_and_goals_are_where_the_figures_say() {
        // Twice the floor: from 516 to 640. The goal is 5 / 4 of the floor: 516 + 124 * log2(1.25) = 555.9.
        let row = drawn(&aims::UDP_MIX_XDP.row().measured(&[(8.0, 1.0)]));
        assert!(
            row.contains("<rect class=\"r-goal\" x=\"516.0\" y=\"23.0\" width=\"124.0\" height=\"14.0\"/>"),
            "{row}"
        );
        assert!(row.contains("<line class=\"aim\" x1=\"555.9\""), "{row}");
        assert!(row.contains(">8.00 ×<") && row.contains(">floor 4, goal 5<"), "{row}");
    }

    #[test]
    fn less_is_better_goes_right_too() {
        // Half of the floor's cost is twice as good; the goal, 0.2 of 0.25, is at 555.9 again.
        let row = drawn(&aims::UDP_MIX_CPU.row().measured(&[(0.125, 1.0)]));
        assert!(row.contains("<rect class=\"r-goal\" x=\"516.0\" y=\"23.0\" width=\"124.0\""), "{row}");
        assert!(row.contains("<line class=\"aim\" x1=\"555.9\""), "{row}");
        // Twice the cost goes left, to the end of the scale.
        let row = drawn(&aims::UDP_MIX_CPU.row().measured(&[(0.5, 1.0)]));
        assert!(row.contains("<rect class=\"r-below\" x=\"392.0\" y=\"23.0\" width=\"124.0\""), "{row}");
    }

    #[test]
    fn what_leaves_the_scale_has_an_arrow() {
        let row = drawn(&aims::WS_AQUATIC.row().measured(&[(6.0, 1.0)]));
        assert!(row.contains("<path class=\"r-goal\" d=\"M764.0 23.0L772.0 30.0L764.0 37.0Z\"/>"), "{row}");
        assert!(!drawn(&aims::WS_AQUATIC.row().measured(&[(2.0, 1.0)])).contains("<path"));
    }

    #[test]
    fn an_unmeasured_row_has_its_marks_and_no_bar() {
        let row = drawn(&aims::MEMORY_WEBSOCKET.row());
        assert!(row.contains("not measured") && row.contains("floor 12 kB, goal 8 kB"), "{row}");
        assert!(!row.contains("<rect") && row.contains("class=\"aim\""), "{row}");
    }
}
