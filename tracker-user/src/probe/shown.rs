//! What a tracker says, made fit for a terminal.

use std::{
    fmt::{Display, Write},
    time::Duration,
};

/// Characters of a tracker's text that are shown.
const MOST_SHOWN: usize = 200;
/// Bytes of a body that are shown where it is not what was expected.
const BEGINNING: usize = 60;

/// Text, without anything that a terminal would obey, and no longer than anybody reads.
pub(super) fn text(bytes: &[u8]) -> String {
    let mut shown = String::new();
    let text = String::from_utf8_lossy(bytes.get(..4 * MOST_SHOWN).unwrap_or(bytes));
    for character in text.trim().chars().take(MOST_SHOWN) {
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

/// The beginning of a body, in quotes.
pub(super) fn beginning(body: &[u8]) -> String {
    match body.get(..BEGINNING) {
        Some(begins) if body.len() > BEGINNING => format!("\"{}\"…", text(begins)),
        _ => format!("\"{}\"", text(body)),
    }
}

/// A refusal, with what may be done about it where the torrent was made up.
pub(super) fn refused(reason: &str, is_alone: bool) -> String {
    let advice = match is_alone {
        true => "; if it serves a list of torrents alone, name one of them with --info-hash",
        false => "",
    };
    format!("the tracker refuses: {}{advice}", quoted(reason))
}

/// What a tracker gives as its reason.
pub(super) fn quoted(reason: &str) -> String {
    if reason.is_empty() { "it does not say why".to_owned() } else { format!("\"{reason}\"") }
}

/// A count with its noun: `1 leecher`, `2 leechers`.
pub(super) fn count<N: Copy + Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    if number == N::from(1) { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A time between announces.
pub(super) fn interval(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{} h", (seconds + 1800) / 3600),
    }
}

/// A time that was measured, with three digits.
pub(super) fn measured(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    match milliseconds {
        ..10.0 => format!("{milliseconds:.2} ms"),
        ..100.0 => format!("{milliseconds:.1} ms"),
        ..1000.0 => format!("{milliseconds:.0} ms"),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}

/// A time that was waited.
pub(super) fn patience(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// Bytes in a URL, escaped unless they mean themselves everywhere.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut escaped = String::with_capacity(3 * bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // A string takes whatever is written.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_as_a_command() {
        assert_eq!(text(b" torrent \"x\" isn't\there\r\n"), "torrent \"x\" isn't\\there");
        assert_eq!(text(b"\x1b[31mred\x07\0"), "\\u{1b}[31mred\\u{7}\\0");
        assert_eq!(text("right\u{202e}left".as_bytes()), "right\\u{202e}left");
        assert_eq!(text(b"caf\xc3\xa9 \xff"), "café \u{fffd}");
        assert_eq!(text(&[b'a'; 100_000]).len(), 200);
        assert_eq!(beginning(b"<html>"), "\"<html>\"");
        assert_eq!(beginning(&[b'a'; 61]), format!("\"{}\"…", "a".repeat(60)));
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            (count(0_i64, "seeder"), count(1_usize, "seeder")),
            ("0 seeders".into(), "1 seeder".into())
        );
        let intervals = [60, 119, 120, 1783, 7199, 7200, 86_400].map(interval);
        assert_eq!(intervals, ["60 s", "119 s", "2 min", "30 min", "120 min", "2 h", "24 h"]);
        let times = [151, 11_312, 123_456, 1_234_567].map(|micros| measured(Duration::from_micros(micros)));
        assert_eq!(times, ["0.15 ms", "11.3 ms", "123 ms", "1.23 s"]);
        assert_eq!(patience(Duration::from_millis(6000)), "6 s");
        assert_eq!(patience(Duration::from_millis(250)), "0.25 s");
    }

    #[test]
    fn only_what_is_plain_everywhere_is_not_escaped() {
        assert_eq!(escaped(b"aZ9-._~ /&%\0\xff"), "aZ9-._~%20%2F%26%25%00%FF");
    }
}
