//! Numbers and names as a person reads them.

use std::fmt;

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

/// A part of a whole; a dash where there is no whole.
pub(super) struct Percent(pub(super) f64, pub(super) f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(part, whole) = *self;
        match 100.0 * part / whole {
            _ if whole <= 0.0 => f.write_str("–"),
            percent if percent > 0.0 && percent < 0.5 => f.write_str("&lt;1%"),
            percent => write!(f, "{percent:.0}%"),
        }
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
            (0, 0, _) if seconds.is_multiple_of(60) => write!(f, "{minutes} min"),
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
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3_600, "1 h 0 min"),
            (90_000, "1 day 1 h"),
            (864_000, "10 days 0 h"),
        ] {
            assert_eq!(Age(seconds).to_string(), text);
        }
    }
}
