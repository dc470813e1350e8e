//! Numbers as people write and read them.

use std::time::Duration;

/// The whole part of a number that is not negative; anything that is not one becomes 0.
#[inline]
#[must_use]
#[allow(clippy::cast_sign_loss, reason = "the cast saturates, and negative numbers become 0 as promised")]
pub const fn whole(value: f64) -> u64 {
    value as u64
}

/// Nanoseconds of a duration; what exceeds 584 years is cut.
#[inline]
#[must_use]
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Reads a duration such as `250ms`, `10s`, `2m`.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("a duration has a unit, such as 250ms, 10s or 2m".into()),
    };
    let value: f64 = number.parse().map_err(|_| "a duration begins with a number, such as 10s".to_owned())?;
    // A day: a load run that is longer is a mistake, and sums of such durations never overflow.
    match value * seconds {
        whole if whole <= 86_400.0 => Ok(Duration::from_secs_f64(whole)),
        _ => Err("a duration is at most 24h".into()),
    }
}

/// Reads a share such as `75` or `75%`, in per cent, into 0..=1.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn parse_percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(value) if (0.0..=100.0).contains(&value) => Ok(value / 100.0),
        _ => Err("a share is a number from 0 to 100, in per cent".into()),
    }
}

/// Reads a number above 0, with `k` and `M` for thousands and millions.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let (number, factor) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1e3),
        Some(b'M') => (&text[..text.len() - 1], 1e6),
        _ => (text, 1.0),
    };
    match number.parse::<f64>() {
        Ok(value) if value > 0.0 && value * factor <= 1e9 => Ok(value * factor),
        _ => Err("a rate is a number above 0 and at most 1000M, such as 20000, 20k or 1.5M".into()),
    }
}

/// A whole number with its thousands set apart.
#[must_use]
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds) in
            [("250ms", 250), ("10s", 10_000), ("1.5s", 1500), ("2m", 120_000), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "10", "s", "-1s", "1d", "1 s", "25h", "1e9s", "..s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_and_rates() {
        assert_eq!((parse_percent("75"), parse_percent("75%")), (Ok(0.75), Ok(0.75)));
        for text in ["", "-1", "101", "x", "nan"] {
            assert!(parse_percent(text).is_err(), "{text}");
        }
        assert_eq!((parse_rate("500"), parse_rate("20k"), parse_rate("1.5M")), (Ok(5e2), Ok(2e4), Ok(1.5e6)));
        for text in ["", "0", "-5", "k", "2G", "inf", "nan", "2000M"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn whole_parts() {
        assert_eq!((whole(1.9), whole(-1.0), whole(f64::NAN)), (1, 0, 0));
    }
}
