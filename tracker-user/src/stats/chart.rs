//! Charts as inline SVG. Places along the width are percentages, so that a chart is as wide as its card while text and
//! lines keep their size.

use super::text::Short;
use crate::html::Escaped;
use std::fmt::{self, Write as _};

/// Pixels from the top line to the base line.
const HEIGHT: f64 = 180.0;
/// Room above for half a label, and below for the labels of the horizontal axis.
const ABOVE: f64 = 8.0;
const BELOW: f64 = 26.0;
/// How much of its place a column fills.
const FILLED: f64 = 0.76;

/// A vertical axis: from values to parts of its height.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// From 0 to `top` in steps of `step`.
    Linear {
        /// The largest value.
        top: f64,
        /// From line to line.
        step: f64,
    },
    /// Powers of ten from 1 to 10^`decades`; half a 1 is at the base, so that a 1 can be seen.
    Log {
        /// At least 2.
        decades: u32,
    },
}

impl Scale {
    const LOG_BASE: f64 = 0.5;
    /// More than any count has.
    const MAX_DECADES: u32 = 20;
    /// More than any linear scale has.
    const MAX_STEPS: u32 = 5;

    /// At most five steps of 1, 2 or 5 times a power of ten, the last at or above `max`.
    pub(super) fn linear(max: f64) -> Self {
        let max = if max.is_finite() { max.max(0.5) } else { 0.5 };
        let rough = max / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        // A hair of tolerance, or rounding makes 0.2 more than 2 times 0.1.
        let factor =
            [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power * 1.000_001 >= rough).unwrap_or(10.0);
        let step = factor * power;
        Self::Linear { top: step * (max / step - 1e-6).ceil(), step }
    }

    /// As many powers of ten as it takes to reach `max`.
    pub(super) fn log(max: f64) -> Self {
        let reaches = |decades: &u32| 10_f64.powf(f64::from(*decades)) >= max;
        Self::Log { decades: (2..Self::MAX_DECADES).find(reaches).unwrap_or(Self::MAX_DECADES) }
    }

    /// Where a value lies: 0 at the base, 1 at the top.
    pub(super) fn part(self, value: f64) -> f64 {
        let part = match self {
            Self::Linear { top, .. } => value / top,
            Self::Log { .. } if value < 1.0 => 0.0,
            Self::Log { decades } => {
                let base = Self::LOG_BASE.log10();
                (value.log10() - base) / (f64::from(decades) - base)
            }
        };
        part.clamp(0.0, 1.0)
    }

    /// The values that get a line.
    pub(super) fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { top, step } => (0..=Self::MAX_STEPS)
                .map(|i| f64::from(i) * step)
                .take_while(|tick| *tick < top + step / 2.0)
                .collect(),
            Self::Log { decades } => (0..=decades).map(|i| 10_f64.powf(f64::from(i))).collect(),
        }
    }
}

/// A column: parts stacked on each other, the first at the base. On a logarithmic scale there can be only one.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Shown by a pointer that rests on it.
    pub(super) title: String,
    /// The class that colours it, and the value.
    pub(super) parts: Vec<(&'static str, f64)>,
}

/// A label of the horizontal axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Below<'a> {
    /// How far along the width, percent.
    pub(super) place: f64,
    pub(super) text: &'a str,
    /// There is no room for it on a phone.
    pub(super) minor: bool,
}

/// Columns over a horizontal axis.
#[derive(Clone, Debug)]
pub(super) struct Chart<'a> {
    /// What it shows, for those who cannot see it.
    pub(super) label: &'a str,
    pub(super) scale: Scale,
    pub(super) columns: Vec<Column>,
    /// Labels of the horizontal axis.
    pub(super) below: Vec<Below<'a>>,
    /// Said in the middle where there is nothing to show.
    pub(super) empty: Option<&'a str>,
}

impl fmt::Display for Chart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let height = ABOVE + HEIGHT + BELOW;
        write!(
            f,
            r#"<svg class="plot" width="100%" height="{height}" role="img" aria-label="{}">"#,
            Escaped(self.label)
        )?;
        let base = ABOVE + HEIGHT;
        write!(f, r#"<line class="grid" x1="0" x2="100%" y1="{base}" y2="{base}"/>"#)?;
        for tick in self.scale.ticks() {
            let y = round(ABOVE + HEIGHT * (1.0 - self.scale.part(tick)));
            write!(f, r#"<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>"#)?;
            write!(f, r#"<text class="end" x="-8" y="{y}" dy=".32em">{}</text>"#, Short(tick))?;
        }
        for Below { place, text, minor } in &self.below {
            let class = match *place {
                place if place <= 0.0 => "start",
                place if place >= 100.0 => "end",
                _ if *minor => "middle minor",
                _ => "middle",
            };
            let y = ABOVE + HEIGHT + BELOW - 8.0;
            write!(f, r#"<text class="{class}" x="{}%" y="{y}">{}</text>"#, round(*place), Escaped(text))?;
        }
        let width = 100.0 / self.columns.len().max(1) as f64;
        for (i, column) in self.columns.iter().enumerate() {
            self.write_column(f, column, width, width * i as f64)?;
        }
        if let Some(text) = self.empty {
            let y = ABOVE + HEIGHT / 2.0;
            write!(f, r#"<text class="middle empty" x="50%" y="{y}">{}</text>"#, Escaped(text))?;
        }
        f.write_str("</svg>")
    }
}

impl Chart<'_> {
    fn write_column(
        &self,
        f: &mut fmt::Formatter<'_>,
        column: &Column,
        width: f64,
        left: f64,
    ) -> fmt::Result {
        write!(f, "<g><title>{}</title>", Escaped(&column.title))?;
        let (x, full) = (round3(left), round3(width));
        write!(f, r#"<rect class="hit" x="{x}%" y="{ABOVE}" width="{full}%" height="{HEIGHT}"/>"#)?;
        let (x, filled) = (round3(left + width * (1.0 - FILLED) / 2.0), round3(width * FILLED));
        let mut below = 0.0;
        for (class, value) in column.parts.iter().filter(|(_, value)| *value > 0.0) {
            let (from, to) = (HEIGHT * self.scale.part(below), HEIGHT * self.scale.part(below + value));
            below += value;
            // A line of the background between the parts, where that leaves something of them.
            let gap = if to - from > 3.0 && from > 0.0 { 1.0 } else { 0.0 };
            let (y, height) = (round(ABOVE + HEIGHT - to), round(to - from - gap));
            write!(f, r#"<rect class="{class}" x="{x}%" y="{y}" width="{filled}%" height="{height}"/>"#)?;
        }
        f.write_str("</g>")
    }
}

/// One bar over the whole width, divided in proportion.
pub(super) fn shares(label: &str, parts: &[(&'static str, f64)]) -> String {
    let total: f64 = parts.iter().map(|(_, value)| value).sum();
    let mut svg = String::new();
    let _ = write!(
        svg,
        r#"<svg class="shares" width="100%" height="12" role="img" aria-label="{}">"#,
        Escaped(label)
    );
    let mut left = 0.0;
    for (class, value) in parts.iter().filter(|(_, value)| *value > 0.0) {
        let width = 100.0 * value / total;
        let (x, full) = (round3(left), round3(width));
        let _ = write!(svg, r#"<rect class="{class}" x="{x}%" y="0" width="{full}%" height="12"/>"#);
        if left > 0.0 {
            let _ = write!(svg, r#"<line class="cut" x1="{x}%" x2="{x}%" y1="0" y2="12"/>"#);
        }
        left += width;
    }
    svg.push_str("</svg>");
    svg
}

/// To a tenth: finer than a screen shows in pixels.
fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn round3(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_scale_ends_just_above_the_largest_value() {
        for (max, top, step) in [
            (0.0, 0.5, 0.1),
            (f64::NAN, 0.5, 0.1),
            (0.7, 0.8, 0.2),
            (1.0, 1.0, 0.2),
            (4.0, 4.0, 1.0),
            (5.0, 5.0, 1.0),
            (5.1, 6.0, 2.0),
            (10.0, 10.0, 2.0),
            (11.0, 15.0, 5.0),
            (99.0, 100.0, 20.0),
            (101.0, 150.0, 50.0),
            (2_345_678.0, 2_500_000.0, 500_000.0),
        ] {
            let Scale::Linear { top: t, step: s } = Scale::linear(max) else { panic!() };
            assert!((t - top).abs() < top * 1e-6 && (s - step).abs() < step * 1e-6, "{max}: {t} by {s}");
        }
        for i in 1..2000 {
            let max = 1.01_f64.powi(i) / 100.0;
            let scale = Scale::linear(max);
            let Scale::Linear { top, .. } = scale else { panic!() };
            assert!(top > max * 0.999_99 && (top < max * 2.01 || top < 0.51), "{max}: {top}");
            assert!((2..=6).contains(&scale.ticks().len()), "{max}: {:?}", scale.ticks());
        }
    }

    #[test]
    fn a_linear_scale_divides_evenly() {
        let scale = Scale::linear(99.0);
        assert_eq!(scale.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert!((scale.part(25.0) - 0.25).abs() < 1e-9);
        assert!((scale.part(1e9) - 1.0).abs() < 1e-9 && scale.part(-1.0).abs() < 1e-9);
    }

    #[test]
    fn a_logarithmic_scale_shows_a_single_one() {
        assert_eq!(Scale::log(0.0), Scale::Log { decades: 2 });
        assert_eq!(Scale::log(100.0), Scale::Log { decades: 2 });
        assert_eq!(Scale::log(101.0), Scale::Log { decades: 3 });
        assert_eq!(Scale::log(1000.0), Scale::Log { decades: 3 });
        let scale = Scale::log(20_000.0);
        assert_eq!(scale.ticks(), [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0]);
        assert!(scale.part(0.0).abs() < 1e-9 && (scale.part(100_000.0) - 1.0).abs() < 1e-9);
        let steps: Vec<f64> = scale.ticks().iter().map(|tick| scale.part(*tick)).collect();
        assert!(steps[0] > 0.04);
        assert!(steps.windows(2).all(|pair| (pair[1] - pair[0] - (1.0 - steps[0]) / 5.0).abs() < 1e-9));
    }

    #[test]
    fn parts_of_a_column_stand_on_each_other() {
        let column = |parts| Column { title: "<now>".to_owned(), parts };
        let chart = Chart {
            label: "a & b",
            scale: Scale::linear(100.0),
            columns: vec![column(vec![("a", 50.0), ("b", 0.0), ("c", 25.0)]), column(vec![])],
            below: vec![Below { place: 50.0, text: "mid", minor: false }],
            empty: None,
        };
        let svg = chart.to_string();
        assert!(svg.contains(r#"<rect class="a" x="6%" y="98" width="38%" height="90"/>"#), "{svg}");
        assert!(svg.contains(r#"<rect class="c" x="6%" y="53" width="38%" height="44"/>"#), "{svg}");
        assert!(!svg.contains(r#"class="b""#) && svg.contains("&lt;now&gt;") && svg.contains("a &amp; b"));
    }

    #[test]
    fn shares_fill_the_width() {
        let svg = shares("peers", &[("a", 1.0), ("b", 0.0), ("c", 3.0)]);
        assert!(svg.contains(r#"class="a" x="0%" y="0" width="25%""#), "{svg}");
        assert!(svg.contains(r#"class="c" x="25%" y="0" width="75%""#), "{svg}");
        assert!(!shares("none", &[("a", 0.0)]).contains("rect"));
    }
}
