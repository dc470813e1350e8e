//! Durations and sizes with their units, as operators write them: `"2m"`, `"64MiB"`.

use std::time::Duration;

const SECOND: u64 = 1_000;
const DURATIONS: [(&str, u64); 5] =
    [("d", 86_400 * SECOND), ("h", 3_600 * SECOND), ("m", 60 * SECOND), ("s", SECOND), ("ms", 1)];
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a duration: a whole number and `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// If it is none; the text says how one is written.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    parse(text, &DURATIONS).map(Duration::from_millis).ok_or_else(|| {
        format!("`{text}` is not a duration: write a whole number and ms, s, m, h or d, as \"45m\"")
    })
}

/// Reads a size in bytes: a whole number and `B`, `KiB`, `MiB` or `GiB`.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    parse(text, &SIZES).ok_or_else(|| {
        format!("`{text}` is not a size: write a whole number and B, KiB, MiB or GiB, as \"8MiB\"")
    })
}

/// Writes a duration in the largest unit that loses nothing.
pub(super) fn duration(value: Duration) -> String {
    format(u64::try_from(value.as_millis()).unwrap_or(u64::MAX), &DURATIONS)
}

/// Writes a size in the largest unit that loses nothing.
pub(super) fn size(bytes: u64) -> String {
    format(bytes, &SIZES)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

fn format(value: u64, units: &[(&str, u64)]) -> String {
    let fitting = units.iter().find(|(_, scale)| value != 0 && value.is_multiple_of(*scale));
    match fitting {
        Some((unit, scale)) => format!("{}{unit}", value / scale),
        None => format!("{value}{}", units[units.len() - 2].0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, millis) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("2m", 120_000),
            ("4h", 14_400_000),
            ("7d", 604_800_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(parse_duration(" 2 m "), Ok(Duration::from_secs(120)));
        assert_eq!(duration(Duration::from_secs(90)), "90s");
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("17B", 17), ("64KiB", 65_536), ("8MiB", 8 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            "m",
            "12",
            "-2m",
            "1.5h",
            "2 minutes",
            "2M",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        for text in ["", "8", "8MB", "8mib", "-1B", "18446744073709551615KiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
