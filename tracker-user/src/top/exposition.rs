//! Prometheus' text format, version 0.0.4, as far as it holds samples.
//! See <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::borrow::Cow;

/// So many samples are read at most: a tracker with a thousand queues has a tenth of them.
const MAX_SAMPLES: usize = 100_000;
/// So many labels a sample has at most.
const MAX_LABELS: usize = 32;

/// One value of one series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    pub(super) labels: Vec<(&'a str, Cow<'a, str>)>,
    pub(super) value: f64,
}

impl Sample<'_> {
    /// What a label says; nothing where there is none.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }
}

/// Where a text is none of this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {what}")]
pub(super) struct ParseError {
    /// From 1.
    line: usize,
    what: &'static str,
}

/// Reads all samples, in order.
///
/// # Errors
/// The first line that is not right.
pub(super) fn parse(text: &str) -> Result<Vec<Sample<'_>>, ParseError> {
    let mut samples = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = |what| ParseError { line: number + 1, what };
        let line = line.trim_matches(BLANK);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if samples.len() == MAX_SAMPLES {
            return Err(wrong("is one sample too many"));
        }
        samples.push(sample(line).map_err(wrong)?);
    }
    Ok(samples)
}

const BLANK: [char; 3] = [' ', '\t', '\r'];

fn sample(line: &str) -> Result<Sample<'_>, &'static str> {
    let (name, rest) = word(line, true).ok_or("does not begin with the name of a metric")?;
    let rest = rest.trim_start_matches(BLANK);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut parts = rest.split(BLANK).filter(|part| !part.is_empty());
    let value = parts.next().and_then(number).ok_or("has no number")?;
    let is_timestamp = |part: &str| part.parse::<i64>().is_ok();
    if !parts.next().is_none_or(is_timestamp) || parts.next().is_some() {
        return Err("has more than a number and a time");
    }
    Ok(Sample { name, labels, value })
}

/// The labels after an opening brace, and what follows the closing one.
#[expect(clippy::type_complexity, reason = "pairs, and a rest")]
fn labels(mut rest: &str) -> Result<(Vec<(&str, Cow<'_, str>)>, &str), &'static str> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(BLANK);
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (key, after) = word(rest, false).ok_or("has a label without a name")?;
        let after = after.trim_start_matches(BLANK).strip_prefix('=').ok_or("has a label without a value")?;
        let after = after.trim_start_matches(BLANK).strip_prefix('"').ok_or("has a label without a value")?;
        let (value, after) = quoted(after).ok_or("has a label that does not end")?;
        if labels.len() == MAX_LABELS {
            return Err("has too many labels");
        }
        labels.push((key, value));
        let after = after.trim_start_matches(BLANK);
        rest = match after.strip_prefix(',') {
            Some(after) => after,
            None if after.starts_with('}') => after,
            None => return Err("has labels without a comma between them"),
        };
    }
}

/// The name at the beginning, of a metric or of a label, and what follows it.
fn word(text: &str, is_metric: bool) -> Option<(&str, &str)> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (is_metric && c == ':');
    let end = text.find(|c| !fits(c)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (!word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit())).then_some((word, rest))
}

/// What stands before the closing quote, and what follows that.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut value = String::new();
    let mut begin = 0;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' if begin == 0 => return Some((Cow::Borrowed(&text[..at]), &text[at + 1..])),
            b'"' => {
                value += &text[begin..at];
                return Some((Cow::Owned(value), &text[at + 1..]));
            }
            b'\\' => {
                value += &text[begin..at];
                let (_, escaped) = bytes.next()?;
                match escaped {
                    b'n' => value.push('\n'),
                    b'\\' | b'"' => value.push(char::from(escaped)),
                    _ => return None,
                }
                begin = at + 2;
            }
            _ => {}
        }
    }
    None
}

/// A number as Go reads it: `NaN`, `+Inf` and `-Inf` are among them.
fn number(text: &str) -> Option<f64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let is_word = ["NaN", "Inf", "+Inf", "-Inf"].contains(&text);
    (is_number || is_word).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let show = |sample: &Sample<'_>| format!("{} {:?} {}", sample.name, sample.labels, sample.value);
        parse(text).unwrap().iter().map(show).collect()
    }

    #[test]
    fn samples_are_read_and_comments_are_not() {
        let text = "# HELP a b\n# TYPE a counter\na 1\n\n  a{x=\"1\", y = \"2\" ,} 3.5e3 1700000000000\r\n\
                    b:c{ } -0.25\n#\nd{e=\"\"} +Inf\n";
        assert_eq!(
            shown(text),
            ["a [] 1", "a [(\"x\", \"1\"), (\"y\", \"2\")] 3500", "b:c [] -0.25", "d [(\"e\", \"\")] inf"]
        );
        assert!(parse("a NaN").unwrap()[0].value.is_nan());
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn labels_are_unescaped() {
        let samples = parse(r#"a{x="C:\\dir\n\"q\"",y="} ö ,",z="\\"} 1"#).unwrap();
        assert_eq!(samples[0].label("x"), "C:\\dir\n\"q\"");
        assert_eq!(samples[0].label("y"), "} ö ,");
        assert_eq!(samples[0].label("z"), "\\");
        assert_eq!(samples[0].label("w"), "");
    }

    #[test]
    fn the_line_that_is_wrong_is_told() {
        for line in [
            "<html>",
            "1a 1",
            "a",
            "a b",
            "a 0x10",
            "a infinity",
            "a 1 2 3",
            "a 1 soon",
            "a{x=\"1} 1",
            "a{x=\"1\" 1",
            "a{x=\"1\"",
            "a{x} 1",
            "a{=\"1\"} 1",
            "a{x=1} 1",
            "a{x=\"\\t\"} 1",
            "a{x=\"1\"y=\"2\"} 1",
            "{x=\"1\"} 1",
            "ä 1",
        ] {
            let error = parse(&format!("a 1\n{line}\n")).unwrap_err();
            assert_eq!(error.line, 2, "{line}: {error}");
        }
        assert_eq!(
            parse("<html>").unwrap_err().to_string(),
            "line 1 does not begin with the name of a metric"
        );
    }

    #[test]
    fn there_is_a_bound() {
        assert_eq!(parse(&"a 1\n".repeat(MAX_SAMPLES)).unwrap().len(), MAX_SAMPLES);
        let error = parse(&"a 1\n".repeat(MAX_SAMPLES + 1)).unwrap_err();
        assert_eq!(error.line, MAX_SAMPLES + 1);
        let labels = |count| format!("a{{{}}} 1", "x=\"1\",".repeat(count));
        assert!(parse(&labels(MAX_LABELS)).is_ok() && parse(&labels(MAX_LABELS + 1)).is_err());
    }
}
