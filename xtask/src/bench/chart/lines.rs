//! Growth charts: series with the same labels share a chart, two charts stand side by side.

use super::{Anchor, Drawing, MARGIN, WIDTH};
use crate::bench::{report::Series, table};

const GAP: f64 = 36.0;
const PLOT_HEIGHT: f64 = 190.0;
/// Room for the numbers left of a plot.
const NUMBERS: f64 = 52.0;
const LEGEND_LINE: f64 = 18.0;

/// As many as the style has colours; more begin anew.
const STYLES: usize = 6;

/// Draws all charts below `top`, and returns where they end.
pub(super) fn draw(drawing: &mut Drawing, series: &[Series], top: f64) -> f64 {
    let names = names(series);
    let mut y = top;
    for pair in charts(series).chunks(2) {
        let width = (WIDTH - 2.0 * MARGIN - GAP) / 2.0;
        let legend = pair.iter().map(Vec::len).max().unwrap_or(0) as f64 * LEGEND_LINE;
        for (column, chart) in pair.iter().enumerate() {
            let left = MARGIN + column as f64 * (width + GAP);
            draw_chart(drawing, chart, &names, (left, y + 24.0), (width, legend));
        }
        y += 24.0 + 20.0 + legend + PLOT_HEIGHT + 44.0;
    }
    y
}

/// The names of all series: each has one colour and one shape in all charts.
fn names(series: &[Series]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for one in series {
        if !names.contains(&one.name.as_str()) {
            names.push(&one.name);
        }
    }
    names
}

/// Series with the same labels, in the order in which the first of each came.
fn charts(series: &[Series]) -> Vec<Vec<&Series>> {
    let mut charts: Vec<Vec<&Series>> = Vec::new();
    for one in series.iter().filter(|one| points(one).next().is_some()) {
        let same = |chart: &&mut Vec<&Series>| {
            chart
                .first()
                .is_some_and(|first| (&first.x_label, &first.y_label) == (&one.x_label, &one.y_label))
        };
        match charts.iter_mut().find(same) {
            Some(chart) => chart.push(one),
            None => charts.push(vec![one]),
        }
    }
    charts
}

/// The points that can be drawn.
fn points(series: &Series) -> impl Iterator<Item = (f64, f64)> {
    series.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite())
}

fn draw_chart(
    drawing: &mut Drawing,
    chart: &[&Series],
    names: &[&str],
    (left, top): (f64, f64),
    (width, legend): (f64, f64),
) {
    let style = |series: &Series| names.iter().position(|name| *name == series.name).unwrap_or(0);
    let Some(first) = chart.first() else { return };
    drawing.text(left, top, "b", Anchor::Start, format!("{} by {}", first.y_label, first.x_label));
    for (index, series) in chart.iter().enumerate() {
        let y = top + 20.0 + index as f64 * LEGEND_LINE;
        let class = format!("s{}", style(series) % STYLES);
        drawing.line(&format!("{class} line"), (left, y - 4.0), (left + 26.0, y - 4.0));
        marker(drawing, &class, style(series), left + 13.0, y - 4.0);
        drawing.text(left + 34.0, y, "dim", Anchor::Start, &series.name);
    }
    let plot = Plot {
        left: left + NUMBERS,
        right: left + width - 10.0,
        top: top + 20.0 + legend,
        bottom: top + 20.0 + legend + PLOT_HEIGHT,
        x: Axis::horizontal(chart.iter().flat_map(|series| points(series).map(|(x, _)| x)).collect()),
        y: Axis::vertical(chart.iter().flat_map(|series| points(series).map(|(_, y)| y)).fold(0.0, f64::max)),
    };
    for &tick in &plot.y.ticks {
        let (_, y) = plot.place((plot.x.from, tick));
        drawing.line("grid", (plot.left, y), (plot.right, y));
        drawing.text(plot.left - 8.0, y + 4.0, "dim", Anchor::End, compact(tick));
    }
    for &tick in &plot.x.ticks {
        let (x, _) = plot.place((tick, 0.0));
        drawing.line("grid", (x, plot.bottom), (x, plot.bottom + 5.0));
        drawing.text(x, plot.bottom + 20.0, "dim", Anchor::Middle, compact(tick));
    }
    for series in chart {
        let class = format!("s{}", style(series) % STYLES);
        let places: Vec<(f64, f64)> = points(series).map(|point| plot.place(point)).collect();
        drawing.path(&format!("{class} line"), &places, false);
        // Many points are a curve; few are measurements that one wants to see.
        if places.len() <= 12 {
            for (x, y) in places {
                marker(drawing, &class, style(series), x, y);
            }
        }
    }
}

/// A shape of its own for each series.
fn marker(drawing: &mut Drawing, class: &str, index: usize, x: f64, y: f64) {
    const R: f64 = 4.5;
    match index % 4 {
        0 => drawing.circle(class, x, y, 4.0),
        1 => drawing.rectangle(class, x - 3.6, y - 3.6, 7.2, 7.2),
        2 => drawing.path(class, &[(x, y - R), (x + R, y + R - 1.0), (x - R, y + R - 1.0)], true),
        _ => drawing.path(class, &[(x, y - R), (x + R, y), (x, y + R), (x - R, y)], true),
    }
}

struct Plot {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    x: Axis,
    y: Axis,
}

impl Plot {
    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (
            self.left + self.x.share(x) * (self.right - self.left),
            self.bottom - self.y.share(y) * (self.bottom - self.top),
        )
    }
}

struct Axis {
    from: f64,
    to: f64,
    logarithmic: bool,
    ticks: Vec<f64>,
}

impl Axis {
    /// From the lowest to the highest, by powers if they are far apart. Few values are named all.
    fn horizontal(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        values.dedup();
        let (from, to) = (values.first().copied().unwrap_or(0.0), values.last().copied().unwrap_or(1.0));
        let ticks = if values.len() <= 8 {
            values
        } else {
            let step = nice(to - from, 6.0);
            steps(step, to).into_iter().filter(|tick| *tick >= from).collect()
        };
        Self { from, to, logarithmic: from > 0.0 && to / from >= 50.0, ticks }
    }

    /// From zero to a round number at or above the highest.
    fn vertical(highest: f64) -> Self {
        let step = nice(if highest > 0.0 { highest } else { 1.0 }, 4.0);
        let to = step * (highest / step).ceil().max(1.0);
        Self { from: 0.0, to, logarithmic: false, ticks: steps(step, to) }
    }

    /// 0 at the beginning, 1 at the end.
    fn share(&self, value: f64) -> f64 {
        if self.to <= self.from {
            0.5
        } else if self.logarithmic {
            (value / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        }
    }
}

/// A round step, 1, 2 or 5 by powers of ten, of which about `count` make up the range.
fn nice(range: f64, count: f64) -> f64 {
    let raw = range / count;
    let power = 10_f64.powf(raw.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= raw * 0.999).unwrap_or(10.0);
    digit * power
}

fn steps(step: f64, to: f64) -> Vec<f64> {
    (0..1_000_u32).map(|index| f64::from(index) * step).take_while(|tick| *tick <= to * 1.000_001).collect()
}

/// `1.5 M`, `10 k`, `0.25`.
fn compact(figure: f64) -> String {
    let (value, unit) = match figure.abs() {
        size if size >= 1e9 => (figure / 1e9, " G"),
        size if size >= 1e6 => (figure / 1e6, " M"),
        size if size >= 1e4 => (figure / 1e3, " k"),
        _ => (figure, ""),
    };
    // Sums of steps carry the error of their last binary digit.
    let value = (value * 1e6).round() / 1e6;
    format!("{}{unit}", table::short(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, x_label: &str, points: &[(f64, f64)]) -> Series {
        Series {
            name: name.into(),
            x_label: x_label.into(),
            y_label: "responses/s".into(),
            points: points.into(),
        }
    }

    fn drawn(series: &[Series]) -> String {
        let mut drawing = Drawing::default();
        draw(&mut drawing, series, 0.0);
        drawing.body
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([7.0, 12.0, 100.0, 600_000.0].map(|range| nice(range, 4.0)), [2.0, 5.0, 50.0, 200_000.0]);
        assert_eq!(Axis::vertical(612_345.0).ticks, [0.0, 200_000.0, 400_000.0, 600_000.0, 800_000.0]);
        assert_eq!(Axis::vertical(0.0).ticks.first(), Some(&0.0));
        assert_eq!([200_000.0, 1_500_000.0, 0.3, 8_000.0].map(compact), ["200 k", "1.5 M", "0.3", "8,000"]);
    }

    #[test]
    fn powers_are_equally_far_apart() {
        let axis = Axis::horizontal(vec![1e4, 1e6, 1e5, 1e7, 1e4]);
        assert_eq!(axis.ticks, [1e4, 1e5, 1e6, 1e7]);
        let shares: Vec<i64> =
            axis.ticks.iter().map(|tick| (axis.share(*tick) * 3_000.0).round() as i64).collect();
        assert_eq!(shares, [0, 1_000, 2_000, 3_000]);
        assert!(!Axis::horizontal(vec![1.0, 2.0]).logarithmic, "workers are counted");
    }

    #[test]
    fn points_are_where_the_figures_say() {
        // The plot of the first chart: x 76 to 452, y 62 to 252 below the title and one line of the legend.
        let chart = drawn(&[series("one", "torrents", &[(1e4, 0.0), (1e5, 200.0), (1e6, 400.0)])]);
        assert!(chart.contains("d=\"M76.0 252.0L264.0 157.0L452.0 62.0\""), "{chart}");
        assert!(chart.contains(">10 k<") && chart.contains(">1 M<") && chart.contains(">400<"), "{chart}");
        assert!(chart.contains(">responses/s by torrents<"), "{chart}");
    }

    #[test]
    fn series_share_a_chart_by_their_labels() {
        let all = [
            series("a", "torrents", &[(1.0, 1.0)]),
            series("b", "workers", &[(1.0, 1.0), (2.0, 2.0)]),
            series("c", "torrents", &[(1.0, 2.0)]),
            series("nothing", "torrents", &[(1.0, f64::NAN)]),
        ];
        let names: Vec<Vec<&str>> = charts(&all)
            .iter()
            .map(|chart| chart.iter().map(|series| series.name.as_str()).collect())
            .collect();
        assert_eq!(names, [vec!["a", "c"], vec!["b"]]);
        let chart = drawn(&all);
        assert_eq!(chart.matches("class=\"s1 line\"").count(), 2, "b is the second wherever it is: {chart}");
        assert!(!chart.contains("nothing") && !chart.contains("NaN"), "{chart}");
    }
}
