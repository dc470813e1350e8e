//! Numbers and names as a person reads them.

use std::fmt;

/// A text in which nothing is markup: in an element and in a quoted attribute.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            let (before, behind) = rest.split_at(at);
            f.write_str(before)?;
            f.write_str(match behind.as_bytes().first() {
                Some(b'&') => "&amp;",
                Some(b'<') => "&lt;",
                Some(b'>') => "&gt;",
                Some(b'"') => "&quot;",
                _ => "&#39;",
            })?;
            rest = behind.get(1..).unwrap_or_default();
        }
        f.write_str(rest)
    }
}

/// A whole number with its thousands apart: `1,234,567`.
pub(super) struct Whole(pub(super) u64);

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A number in few characters: `0.3`, `42`, `1.5k`, `23M`.
pub(super) struct Short(pub(super) f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, self.0, 1000.0, &["", "k", "M", "G", "T", "P"])
    }
}

/// Bytes: `512 B`, `1.5 KB`, `23 MB`; a kilobyte is a thousand.
pub(super) struct Bytes(pub(super) f64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, self.0, 1000.0, &[" B", " KB", " MB", " GB", " TB", " PB"])
    }
}

/// Three digits at most before the unit, and one behind the point where there is but one before it.
fn write_scaled(f: &mut fmt::Formatter<'_>, number: f64, step: f64, units: &[&str]) -> fmt::Result {
    let (mut scaled, mut unit) = (number, 0);
    while scaled >= step - 0.5 && unit + 1 < units.len() {
        scaled /= step;
        unit += 1;
    }
    let unit = units[unit];
    match (scaled * 10.0).round() {
        tenths if tenths < 100.0 && tenths % 10.0 != 0.0 => write!(f, "{scaled:.1}{unit}"),
        _ if scaled > 0.0 && scaled < 0.05 => write!(f, "&lt;0.1{unit}"),
        _ => write!(f, "{scaled:.0}{unit}"),
    }
}

/// How long: the two largest units of it.
pub(super) struct Age(pub(super) u64);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0;
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        match (days, hours, minutes) {
            (0, 0, 0) => write!(f, "{seconds} s"),
            (0, 0, _) => write!(f, "{minutes} min {} s", seconds % 60),
            (0, ..) => write!(f, "{hours} h {} min", minutes % 60),
            (1, ..) => write!(f, "1 day {} h", hours % 24),
            _ => write!(f, "{days} days {} h", hours % 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_markup() {
        let text = "a<b>\"c\" & 'd' é</script>";
        let escaped = "a&lt;b&gt;&quot;c&quot; &amp; &#39;d&#39; é&lt;/script&gt;";
        assert_eq!(Escaped(text).to_string(), escaped);
        assert_eq!(Escaped("").to_string(), "");
        assert_eq!(Escaped("eth0").to_string(), "eth0");
    }

    #[test]
    fn thousands_are_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345, "12,345"),
            (123_456, "123,456"),
            (1_234_567, "1,234,567"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(Whole(number).to_string(), text);
        }
    }

    #[test]
    fn short_numbers() {
        for (number, text) in [
            (0.0, "0"),
            (0.01, "&lt;0.1"),
            (0.25, "0.2"),
            (0.96, "1"),
            (1.0, "1"),
            (9.94, "9.9"),
            (9.96, "10"),
            (42.4, "42"),
            (999.4, "999"),
            (999.6, "1k"),
            (1_500.0, "1.5k"),
            (23_000_000.0, "23M"),
            (2.5e18, "2500P"),
        ] {
            assert_eq!(Short(number).to_string(), text, "{number}");
        }
        assert_eq!(Bytes(0.0).to_string(), "0 B");
        assert_eq!(Bytes(1_540_000.0).to_string(), "1.5 MB");
    }

    #[test]
    fn ages() {
        for (seconds, text) in [
            (0, "0 s"),
            (61, "1 min 1 s"),
            (3_600, "1 h 0 min"),
            (90_000, "1 day 1 h"),
            (864_000, "10 days 0 h"),
        ] {
            assert_eq!(Age(seconds).to_string(), text);
        }
    }
}
