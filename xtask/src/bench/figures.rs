//! How figures are written for people.

use crate::bench::result::Row;

/// A mark of a row: `4 x`, `<= 0.25 x`, `<= 150 ns`.
pub(crate) fn mark(row: &Row, mark: f64) -> String {
    let sign = if row.aim.less_is_better() { "<= " } else { "" };
    let value = if row.aim.is_alone() {
        written(mark, row.aim.unit, short)
    } else {
        format!("{} x", short((mark * 1e3).round() / 1e3))
    };
    format!("{sign}{value}")
}

/// The lowest and the highest ratio of the rounds.
pub(crate) fn spread(row: &Row) -> String {
    let mut rounds = row.rounds.clone();
    rounds.sort_by(f64::total_cmp);
    let [lowest, .., highest] = rounds.as_slice() else { return String::new() };
    format!("{}..{}", three(*lowest), three(*highest))
}

/// A ratio: `4.54 x`.
pub(crate) fn times(ratio: f64) -> String {
    format!("{} x", three(ratio))
}

/// A figure with its unit: `612,345/s`, `95.2 ns`, `5.53 kB`, `1.24 ms`; `-` if there is none.
pub(crate) fn amount(figure: Option<f64>, unit: &str) -> String {
    let Some(figure) = figure.filter(|figure| figure.is_finite()) else { return "-".to_owned() };
    written(figure, unit, three)
}

fn written(figure: f64, unit: &str, number: fn(f64) -> String) -> String {
    let scaled = |steps: &[(f64, &str)]| {
        let fits = steps.iter().find(|(size, _)| figure.abs() >= *size).or(steps.last());
        let (size, name) = fits.copied().unwrap_or((1.0, unit));
        format!("{} {name}", number(figure / size))
    };
    match unit {
        "bytes" => scaled(&[(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")]),
        "s" => scaled(&[(1.0, "s"), (1e-3, "ms"), (1e-6, "us")]),
        _ if unit.ends_with("/busy s") => format!("{}/busy s", grouped(figure)),
        _ if unit.ends_with("/s") => format!("{}/s", grouped(figure)),
        _ => format!("{} {unit}", number(figure)),
    }
}

/// A whole number with commas.
pub(crate) fn grouped(figure: f64) -> String {
    let digits = format!("{:.0}", figure.abs());
    let mut text = if figure <= -0.5 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits, commas from a thousand on; trailing zeros stay, since they were measured.
pub(crate) fn three(figure: f64) -> String {
    match figure.abs() {
        size if size >= 99.95 => grouped(figure),
        size if size >= 9.995 => format!("{figure:.1}"),
        size if size >= 0.9995 || size == 0.0 => format!("{figure:.2}"),
        size if size >= 0.09995 => format!("{figure:.3}"),
        _ => format!("{figure:.4}"),
    }
}

/// A number that somebody chose: no more digits than it has.
pub(crate) fn short(figure: f64) -> String {
    if figure.abs() >= 1_000.0 { grouped(figure) } else { format!("{figure}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_their_units() {
        for (figure, unit, text) in [
            (612_345.4, "responses/s", "612,345/s"),
            (612_345.4, "responses/busy s", "612,345/busy s"),
            (95.24, "ns", "95.2 ns"),
            (5_532.0, "bytes", "5.53 kB"),
            (11.8, "bytes", "11.8 B"),
            (0.001_24, "s", "1.24 ms"),
            (1e-9, "s", "0.0010 us"),
            (f64::NAN, "s", "-"),
        ] {
            assert_eq!(amount(Some(figure), unit), text);
        }
        assert_eq!([written(12_000.0, "bytes", short), written(150.0, "ns", short)], ["12 kB", "150 ns"]);
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!(
            [0.0, 0.01234, 0.1234, 1.234, 9.999, 12.34, 99.96, 123.4, 1234.5, 1_234_567.0].map(three),
            ["0.00", "0.0123", "0.123", "1.23", "10.0", "12.3", "100", "123", "1,234", "1,234,567"]
        );
        assert_eq!([4.0, 0.25, 1.05, 12_000.0].map(short), ["4", "0.25", "1.05", "12,000"]);
        assert_eq!([0.0, 999.0, 1_000.0, -1_234_567.0].map(grouped), ["0", "999", "1,000", "-1,234,567"]);
    }
}
