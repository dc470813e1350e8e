//! What the screen is made of: rows with their columns, bars, and histories as lines of small bars.

use ratatui::{
    style::{Color, Style},
    text::{Line, Span},
};

/// How the terminal can be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::top) struct Look {
    /// With characters beyond ASCII.
    pub(in crate::top) unicode: bool,
    /// With colours. There are few, that can be read on light and on dark ground, and none says what words do not.
    pub(in crate::top) colours: bool,
}

impl Look {
    /// As the environment says: the locale's encoding, and `NO_COLOR` (<https://no-color.org>).
    pub(in crate::top) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set).unwrap_or_default().to_lowercase();
        Self {
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
            colours: set(&"NO_COLOR").is_none(),
        }
    }

    pub(super) fn good(self) -> Style {
        let style = Style::new().bold();
        if self.colours { style.fg(Color::Green) } else { style }
    }

    pub(super) fn bad(self) -> Style {
        let style = Style::new().bold();
        if self.colours { style.fg(Color::Red) } else { style }
    }

    fn drawn(self) -> Style {
        if self.colours { Style::new().fg(Color::Cyan) } else { Style::new() }
    }

    /// A history, the latest at the right end, each as high as it is of the highest. What is not known is left out.
    pub(super) fn history(self, points: &[Option<f64>], width: usize) -> Span<'static> {
        const LEVELS: [[char; 8]; 2] = [
            ['_', '.', '-', ':', '=', '+', '*', '#'],
            ['\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}'],
        ];
        let levels = LEVELS[usize::from(self.unicode)];
        let highest = points.iter().flatten().copied().fold(0.0, f64::max);
        let shown = points.iter().map(|point| match point {
            None => ' ',
            // Whatever happens is higher than nothing.
            Some(rate) if *rate > 0.0 => levels[1 + whole((rate / highest * 7.0).ceil() - 1.0).min(6)],
            Some(_) => levels[0],
        });
        let shown: String = shown.collect();
        Span::styled(format!("{shown:>width$}"), self.drawn())
    }

    /// A bar, full up to this share.
    pub(super) fn bar(self, share: f64, width: usize) -> [Span<'static>; 2] {
        let [full, empty] = if self.unicode { ["\u{2588}", "\u{2591}"] } else { ["#", "."] };
        // Something is more than nothing, and all is only what is all.
        let filled = match width as f64 * share {
            length if length >= width as f64 => width,
            length if length > 0.0 => whole(length.round()).clamp(1, width.saturating_sub(1).max(1)),
            _ => 0,
        };
        [
            Span::styled(full.repeat(filled), self.drawn()),
            Span::styled(empty.repeat(width - filled), Style::new().dim()),
        ]
    }
}

/// A cast of a double saturates.
#[expect(clippy::cast_sign_loss, reason = "what is negative becomes 0")]
fn whole(number: f64) -> usize {
    number.max(0.0) as usize
}

/// Columns of a panel: a label, a number, and the rest of its width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    pub(super) label: usize,
    pub(super) number: usize,
    pub(super) rest: usize,
}

impl Columns {
    /// For a panel so wide.
    pub(super) const fn of(width: usize) -> Self {
        let (label, number) = if width < NARROW { (8, 8) } else { (11, 9) };
        Self { label, number, rest: width.saturating_sub(label + number + 1) }
    }

    /// A row. What is nothing, or not known, is dim.
    pub(super) fn row(
        self,
        label: &str,
        number: &str,
        rest: impl IntoIterator<Item = Span<'static>>,
    ) -> Line<'static> {
        let Self { label: wide, number: far, .. } = self;
        let style = if ["0", "-", "0 B"].contains(&number) { Style::new().dim() } else { Style::new() };
        let columns = [
            Span::raw(format!("{:wide$}", cut(label, wide))),
            Span::styled(format!("{number:>far$}"), style),
            Span::raw(" "),
        ];
        Line::from_iter(columns.into_iter().chain(rest))
    }
}

/// Panels that are not so wide leave something out.
pub(super) const NARROW: usize = 30;

/// The beginning of a text, that fits into so many columns.
pub(super) fn cut(text: &str, width: usize) -> &str {
    text.char_indices().nth(width).map_or(text, |(at, _)| &text[..at])
}

/// The title of a panel, with more at its right end where there is room.
pub(super) fn title(width: usize, text: &str, more: &str) -> Line<'static> {
    let left = width.saturating_sub(text.chars().count());
    let mut spans = vec![Span::styled(text.to_owned(), Style::new().bold())];
    if !more.is_empty() && more.chars().count() + 2 <= left {
        spans.push(Span::styled(format!("{more:>left$}"), Style::new().dim()));
    }
    Line::from(spans)
}

/// As many of these parts as fit on a line, two columns between them, those that come first rather than others.
pub(super) fn parts(width: usize, parts: impl IntoIterator<Item = Span<'static>>) -> Line<'static> {
    let mut line = Line::default();
    for part in parts {
        let gap = if line.spans.is_empty() { 0 } else { 2 };
        if part.width() > 0 && (line.spans.is_empty() || line.width() + gap + part.width() <= width) {
            line.push_span(Span::raw(" ".repeat(gap)));
            line.push_span(part);
        }
    }
    line
}

/// A text on lines no longer than this, broken between words where that can be.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut letters: Vec<char> = word.chars().collect();
        let used = lines.last().map_or(0, |line| line.chars().count());
        if used > 0 && used + 1 + letters.len() <= width {
            if let Some(line) = lines.last_mut() {
                line.push(' ');
                line.extend(letters);
            }
            continue;
        }
        if used > 0 {
            lines.push(String::new());
        }
        while letters.len() > width.max(1) {
            let rest = letters.split_off(width.max(1));
            if let Some(line) = lines.last_mut() {
                line.extend(std::mem::replace(&mut letters, rest));
            }
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.extend(letters);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const RICH: Look = Look { unicode: true, colours: true };
    const PLAIN: Look = Look { unicode: false, colours: false };

    #[test]
    fn the_environment_says_what_the_terminal_can() {
        let look = |pairs: &'static [(&str, &str)]| {
            Look::of(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(look(&[("LANG", "de_DE.UTF-8")]), RICH);
        assert_eq!(look(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("NO_COLOR", "")]), RICH);
        assert_eq!(look(&[("LC_ALL", "C"), ("LANG", "C.UTF-8"), ("NO_COLOR", "1")]), PLAIN);
        assert_eq!(look(&[]), Look { unicode: false, colours: true });
        assert!(PLAIN.bad().fg.is_none() && RICH.bad().fg.is_some());
    }

    #[test]
    fn histories_are_as_high_as_their_highest() {
        let shown = |look: Look, points: &[_], width| look.history(points, width).content.into_owned();
        let points = [Some(0.0), Some(0.01), None, Some(4.0), Some(8.0)];
        assert_eq!(shown(RICH, &points, 7), "  ▁▂ ▅█");
        assert_eq!(shown(PLAIN, &points, 5), "_. =#");
        assert_eq!(shown(PLAIN, &[Some(0.0), Some(0.0)], 2), "__");
        assert_eq!(shown(PLAIN, &[None, Some(f64::NAN)], 3), "  _");
    }

    fn drawn(look: Look, share: f64, width: usize) -> String {
        look.bar(share, width).iter().map(|span| span.content.as_ref()).collect()
    }

    #[test]
    fn bars_are_full_only_when_all_is_used() {
        for (share, bar) in [
            (0.0, "....."),
            (0.001, "#...."),
            (0.5, "###.."),
            (0.999, "####."),
            (1.0, "#####"),
            (7.0, "#####"),
            (-1.0, "....."),
            (f64::NAN, "....."),
        ] {
            assert_eq!(drawn(PLAIN, share, 5), bar, "{share}");
        }
        assert_eq!(drawn(RICH, 0.5, 2), "█░");
        assert_eq!((drawn(PLAIN, 0.5, 0).as_str(), drawn(PLAIN, 0.5, 1).as_str()), ("", "#"));
    }

    #[test]
    fn what_fits_least_is_left_out() {
        let line =
            |width| parts(width, ["riptide", "", "a long address", "up 3d"].map(Span::raw)).to_string();
        assert_eq!(line(80), "riptide  a long address  up 3d");
        assert_eq!(line(20), "riptide  up 3d");
        assert_eq!(line(10), "riptide");
        assert_eq!(title(20, "workers", "busy").to_string(), "workers         busy");
        assert_eq!(title(12, "workers", "busy").to_string(), "workers");
        assert_eq!(
            Columns::of(20).row("announcements", "12.3k", [Span::raw("#")]).to_string(),
            "announce   12.3k #"
        );
    }

    #[test]
    fn texts_are_broken_between_words() {
        assert_eq!(wrap("the tracker is gone", 11), ["the tracker", "is gone"]);
        assert_eq!(
            wrap("at http://127.0.0.1:9000 nobody", 10),
            ["at", "http://127", ".0.0.1:900", "0 nobody"]
        );
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("ab", 0), ["a", "b"]);
        assert_eq!((cut("äöü", 2), cut("äöü", 3), cut("", 3)), ("äö", "äöü", ""));
    }
}
