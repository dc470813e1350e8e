//! The chart of a run as SVG: ratios beside their floors and goals, then what grows with torrents, workers and time.
//!
//! One file without outside resources, readable in light and dark. Colours never stand alone: each bar has its ratio and
//! its marks beside it, each line a marker of its own shape.

mod bars;
mod lines;

use crate::bench::report::Report;
use std::fmt::{Display, Write as _};

/// Width of the picture; everything is laid out in these units, about a pixel each.
const WIDTH: f64 = 960.0;

/// Room left and right.
const MARGIN: f64 = 24.0;

/// Colours and fonts, light first.
const STYLE: &str = "\
.bg{fill:#fff}text{fill:#1c2733}.dim{fill:#5a6776;font-size:12px}.b{font-weight:600}.h{font-size:20px;font-weight:600}\
.grid{stroke:#dde3ea;stroke-width:1}.floor{stroke:#4a5a70;stroke-width:1.6}.aim{stroke:#1c2733;stroke-width:3}\
.r-goal{fill:#2f9e68}.r-floor{fill:#d9a036}.r-below{fill:#d1495b}.track{fill:#f3f6fa}\
.s0{stroke:#23754d;fill:#23754d}.s1{stroke:#c2571a;fill:#c2571a}.s2{stroke:#2563a8;fill:#2563a8}\
.s3{stroke:#8a4fbf;fill:#8a4fbf}.s4{stroke:#b0325a;fill:#b0325a}.s5{stroke:#7a6a10;fill:#7a6a10}\
.line{fill:none;stroke-width:2;stroke-linejoin:round}
@media (prefers-color-scheme: dark){.bg{fill:#12181f}text{fill:#e6edf3}.dim{fill:#9fb0c1}\
.grid{stroke:#2a3541}.floor{stroke:#8fa1b5}.aim{stroke:#e6edf3}\
.r-goal{fill:#55c08d}.r-floor{fill:#e0b04c}.r-below{fill:#f0717f}.track{fill:#1a222b}\
.s0{stroke:#55c08d;fill:#55c08d}.s1{stroke:#f0955a;fill:#f0955a}.s2{stroke:#6cabef;fill:#6cabef}\
.s3{stroke:#c39bec;fill:#c39bec}.s4{stroke:#ef85a8;fill:#ef85a8}.s5{stroke:#d9c65a;fill:#d9c65a}.line{fill:none}}";

/// The whole picture.
pub(crate) fn svg(report: &Report) -> String {
    let mut drawing = Drawing::default();
    let title = if report.quick { "Riptide measured, a quick look" } else { "Riptide measured" };
    let mut y = MARGIN + 18.0;
    drawing.text(MARGIN, y, "h", Anchor::Start, title);
    for line in [&report.machine, &format!("{}, commit {}", report.date, report.commit)] {
        y += 20.0;
        drawing.text(MARGIN, y, "dim", Anchor::Start, line);
    }
    y += 28.0;
    y = bars::draw(&mut drawing, &report.rows, y);
    y = lines::draw(&mut drawing, &report.series, y);
    drawing.finish(
        y + MARGIN,
        title,
        "Ratios of Riptide's figures to others, with floors and goals, and growth charts",
    )
}

/// Where a text stands beside its x.
#[derive(Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

/// Elements that were drawn so far.
#[derive(Default)]
struct Drawing {
    body: String,
}

impl Drawing {
    fn text(&mut self, x: f64, y: f64, class: &str, anchor: Anchor, text: impl Display) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let text = escaped(&text.to_string());
        let _ =
            writeln!(self.body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\"{anchor}>{text}</text>");
    }

    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.body,
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        );
    }

    fn rectangle(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        let _ = writeln!(
            self.body,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    }

    /// Points joined by a line, or closed and filled.
    fn path(&mut self, class: &str, points: &[(f64, f64)], closed: bool) {
        let mut path = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
        }
        if closed {
            path.push('Z');
        }
        let _ = writeln!(self.body, "<path class=\"{class}\" d=\"{path}\"/>");
    }

    fn circle(&mut self, class: &str, x: f64, y: f64, radius: f64) {
        let _ =
            writeln!(self.body, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"/>");
    }

    fn finish(self, height: f64, title: &str, description: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
             aria-labelledby=\"t d\" font-family=\"system-ui, sans-serif\" font-size=\"14\">\n\
             <title id=\"t\">{}</title>\n<desc id=\"d\">{}</desc>\n<style>\n{STYLE}\n</style>\n\
             <rect class=\"bg\" width=\"{WIDTH}\" height=\"{height:.0}\"/>\n{}</svg>\n",
            escaped(title),
            escaped(description),
            self.body
        )
    }
}

/// Text as it stands between tags; what XML cannot hold at all is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(' '),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {}
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{aims, report::Series};

    /// Fails unless every tag is closed in order and every attribute is quoted; gives the tags' names.
    fn parse(svg: &str) -> Vec<String> {
        let mut open = Vec::new();
        let mut names = Vec::new();
        let mut rest = svg;
        while let Some(start) = rest.find('<') {
            let text = &rest[..start];
            assert!(!text.contains('>'), "{text}");
            for entity in text.split('&').skip(1) {
                assert!(
                    ["amp;", "lt;", "gt;", "quot;"].iter().any(|known| entity.starts_with(known)),
                    "{text}"
                );
            }
            let end = start + rest[start..].find('>').unwrap();
            let tag = &rest[start + 1..end];
            assert!(!tag.contains('<') && tag.matches('"').count().is_multiple_of(2), "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name));
            } else {
                let name = tag.split([' ', '/']).next().unwrap().to_owned();
                names.push(name.clone());
                if !tag.ends_with('/') {
                    open.push(name);
                }
            }
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty(), "{open:?} not closed");
        names
    }

    fn full() -> Report {
        let mut report = Report::new("bench", "cargo xtask bench", false);
        report.complete(&["udp", "http", "ws", "engine"], "was <not> run");
        for (name, factor) in [("Riptide & \"co\"", 3.0), ("aquatic_udp <uring>", 1.0)] {
            report.series.push(Series {
                name: name.into(),
                x_label: "torrents".into(),
                y_label: "responses/s".into(),
                points: vec![
                    (1e4, 2e5 * factor),
                    (1e5, 1.8e5 * factor),
                    (1e6, 1.5e5 * factor),
                    (1e7, f64::NAN),
                ],
            });
        }
        report
    }

    #[test]
    fn the_picture_is_well_formed_whatever_names_hold() {
        let svg = svg(&full());
        let names = parse(&svg);
        assert!(names.iter().any(|name| name == "path"));
        assert!(svg.contains("Riptide &amp; &quot;co&quot;"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "no figure, no mark");
    }

    #[test]
    fn an_empty_run_has_a_picture_too() {
        let report = Report::new("udp", "cargo xtask bench udp", true);
        assert!(parse(&svg(&report)).contains(&"title".to_owned()));
    }

    #[test]
    fn nothing_comes_from_outside() {
        let svg = svg(&full()).replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        for word in ["://", "url(", "@import", "href", "<script"] {
            assert!(!svg.contains(word), "{word}");
        }
    }

    #[test]
    fn one_row_of_each_outcome_has_its_colour() {
        let mut report = full();
        report.rows = [3.0, 4.5, 6.0].map(|ours| aims::UDP_MIX_XDP.row().measured(&[(ours, 1.0)])).to_vec();
        let svg = svg(&report);
        for class in ["r-below", "r-floor", "r-goal"] {
            // Once in the legend, once as a bar.
            assert_eq!(svg.matches(&format!("<rect class=\"{class}\"")).count(), 2, "{class}");
        }
    }

    #[test]
    fn what_xml_cannot_hold_is_left_out() {
        assert_eq!(escaped("a<b>&\"c\"\u{1}\n\u{1b}[0m"), "a&lt;b&gt;&amp;&quot;c&quot; [0m");
    }
}
