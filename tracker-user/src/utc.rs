//! Times of the calendar, in UTC, for names of files and for people.

use std::time::{SystemTime, UNIX_EPOCH};

/// The clock on the wall, whole seconds since 1970; 0 if it stands before that.
#[must_use]
pub fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The same, milliseconds.
#[must_use]
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A time such as `20261130T070102Z`, which sorts as the time does. `wall` is in seconds since 1970.
#[must_use]
pub fn compact(wall: u64) -> String {
    let Calendar { year, month, day, hour, minute, second } = Calendar::of(wall);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// A time such as `2026-11-30 07:01:02 UTC`. `wall` is in seconds since 1970.
#[must_use]
pub fn readable(wall: u64) -> String {
    let Calendar { year, month, day, hour, minute, second } = Calendar::of(wall);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// A time such as `2026-11-30T07:01:02Z` (RFC 3339). `wall` is in seconds since 1970.
#[must_use]
pub fn rfc3339(wall: u64) -> String {
    let Calendar { year, month, day, hour, minute, second } = Calendar::of(wall);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The parts of a time.
struct Calendar {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Calendar {
    fn of(wall: u64) -> Self {
        // Days since the first of March of the year 0, as Howard Hinnant's `civil_from_days` counts; the year ends in February.
        let days = wall / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let second = wall % 86_400;
        Self {
            year: year_of_era + era * 400 + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `date -u -d @SECONDS` tells.
    #[test]
    fn times_are_told_in_utc() {
        for (wall, expected) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_800, "20000301T000000Z"),
            (1_796_022_062, "20261130T070102Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(compact(wall), expected, "{wall}");
        }
        assert_eq!(readable(1_796_022_062), "2026-11-30 07:01:02 UTC");
        assert_eq!(rfc3339(1_796_022_062), "2026-11-30T07:01:02Z");
    }
}
