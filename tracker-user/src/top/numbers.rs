//! Numbers as people read them, short enough for a column.

/// A number without a unit, in seven characters or less: `0.3`, `950`, `12.3k`.
pub(super) fn amount(value: f64) -> String {
    const SCALES: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match SCALES.iter().find(|(scale, _)| value >= *scale * 0.9995) {
        // Nothing that is counted comes near.
        _ if !value.is_finite() || value >= 1e15 => "?".to_owned(),
        Some((scale, unit)) => format!("{}{unit}", three_digits(value / scale)),
        None if value > 0.0 && value < 9.95 && value.fract() != 0.0 => format!("{value:.1}"),
        None => format!("{:.0}", value.max(0.0)),
    }
}

/// So many bytes.
pub(super) fn bytes(value: f64) -> String {
    const SCALES: [(f64, &str); 4] = [
        ((1_u64 << 40) as f64, "TiB"),
        ((1 << 30) as f64, "GiB"),
        ((1 << 20) as f64, "MiB"),
        (1024.0, "KiB"),
    ];
    match SCALES.iter().find(|(scale, _)| value >= *scale) {
        _ if !value.is_finite() || value >= 1e15 => "?".to_owned(),
        Some((scale, unit)) => format!("{} {unit}", three_digits(value / scale)),
        None => format!("{:.0} B", value.max(0.0)),
    }
}

/// Three digits, or four where the next unit is 1024 of this one.
fn three_digits(value: f64) -> String {
    match value {
        value if value < 9.995 => format!("{value:.2}"),
        value if value < 99.95 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// So many seconds, in its two largest units.
pub(super) fn span(seconds: f64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    if !seconds.is_finite() {
        return "?".to_owned();
    }
    // A cast of a double saturates.
    #[expect(clippy::cast_sign_loss, reason = "it is not negative")]
    let whole = seconds.max(0.0) as u64;
    let Some(at) = UNITS.iter().position(|(unit, _)| whole >= *unit) else { return "0s".to_owned() };
    let (unit, name) = UNITS[at];
    let rest = UNITS.get(at + 1).map(|(next, name)| ((whole % unit) / next, name));
    match rest {
        Some((count, rest)) if count > 0 => format!("{}{name} {count}{rest}", whole / unit),
        _ => format!("{}{name}", whole / unit),
    }
}

/// A share, from 0 to 1.
pub(super) fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.0}%", share.clamp(0.0, 9.99) * 100.0) } else { "?".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (-1.0, "0"),
            (0.04, "0.0"),
            (0.25, "0.2"),
            (7.0, "7"),
            (9.96, "10"),
            (950.4, "950"),
            (999.7, "1.00k"),
            (1234.0, "1.23k"),
            (12_345.0, "12.3k"),
            (999_499.0, "999k"),
            (999_600.0, "1.00M"),
            (2_500_000_000.0, "2.50G"),
            (f64::NAN, "?"),
            (f64::INFINITY, "?"),
            (1e300, "?"),
        ] {
            assert_eq!(amount(value), text, "{value}");
        }
    }

    #[test]
    fn bytes_have_units() {
        for (value, text) in [
            (0.0, "0 B"),
            (1023.0, "1023 B"),
            (1024.0, "1.00 KiB"),
            (1_048_575.0, "1024 KiB"),
            (536_870_912.0, "512 MiB"),
            (2_147_483_648.0, "2.00 GiB"),
            (f64::NAN, "?"),
        ] {
            assert_eq!(bytes(value), text);
        }
    }

    #[test]
    fn spans_have_two_units_at_most() {
        for (seconds, text) in [
            (0.9, "0s"),
            (-5.0, "0s"),
            (59.0, "59s"),
            (60.0, "1m"),
            (61.5, "1m 1s"),
            (1800.0, "30m"),
            (3_725.0, "1h 2m"),
            (90_000.0, "1d 1h"),
            (86_460.0, "1d"),
            (f64::NAN, "?"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn shares_are_percents() {
        for (share, text) in [(0.0, "0%"), (0.385, "38%"), (1.0, "100%"), (1e9, "999%"), (f64::NAN, "?")] {
            assert_eq!(percent(share), text);
        }
    }
}
