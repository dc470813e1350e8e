//! An answer of the control socket for people: the JSON, line by line. It knows no field by its name, only units by their
//! ends, so that it shows what another version of the tracker answers, too.

use serde_json::{Map, Value};
use std::fmt::Write as _;

/// The whole answer.
pub(super) fn render(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(fields) => lines(&mut text, fields, 0),
        other => {
            let _ = writeln!(text, "{}", word("", other));
        }
    }
    text
}

/// The decisions of a list, one a line: the entry, as other programs take it, when it was decided and where.
pub(super) fn decisions(decided: &Value) -> String {
    let decided: Vec<_> = decided
        .as_array()
        .into_iter()
        .flatten()
        .map(|decision| ["entry", "when", "node"].map(|name| word(name, &decision[name])))
        .collect();
    let width = decided.iter().map(|[entry, ..]| entry.len()).max().unwrap_or_default();
    decided.iter().fold(String::new(), |mut text, [entry, when, node]| {
        let _ = writeln!(text, "{entry:width$} {when:20} {node}");
        text
    })
}

/// A line for each field, or some more.
fn lines(text: &mut String, fields: &Map<String, Value>, depth: usize) {
    let indent = "  ".repeat(depth);
    for (name, value) in fields {
        let _ = write!(text, "{indent}{}:", label(name));
        match value {
            Value::Object(inner) if inner.values().any(|value| value.is_object() || value.is_array()) => {
                text.push('\n');
                lines(text, inner, depth + 1);
            }
            Value::Object(inner) => {
                let _ = writeln!(text, " {}", pairs(inner));
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                text.push('\n');
                for item in items {
                    let line = item.as_object().map_or_else(|| word(name, item), pairs);
                    let _ = writeln!(text, "{indent}  {line}");
                }
            }
            Value::Array(items) if !items.is_empty() => {
                let words: Vec<_> = items.iter().map(|item| word(name, item)).collect();
                let _ = writeln!(text, " {}", words.join(", "));
            }
            other => {
                let _ = writeln!(text, " {}", word(name, other));
            }
        }
    }
}

/// The fields of a small thing on one line.
fn pairs(fields: &Map<String, Value>) -> String {
    let pairs: Vec<_> =
        fields.iter().map(|(name, value)| format!("{} {}", label(name), word(name, value))).collect();
    pairs.join(", ")
}

/// A name without its unit.
fn label(name: &str) -> String {
    let bare = name.strip_suffix("_seconds").or_else(|| name.strip_suffix("_bytes")).unwrap_or(name);
    bare.replace('_', " ")
}

/// A value with the unit that its name tells.
fn word(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_u64() {
            Some(seconds) if name.ends_with("_seconds") => duration(seconds),
            Some(bytes) if name.ends_with("_bytes") => size(bytes),
            None if name.ends_with("_seconds") => format!("{:.1} s", number.as_f64().unwrap_or_default()),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// The two greatest units of a time.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

fn size(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_reads_line_by_line() {
        let value = json!({
            "version": "1.2.3",
            "uptime_seconds": 3_700,
            "listeners": { "udp": ["0.0.0.0:6969", "[::]:6969"], "https": [], "metrics": null },
            "peers": { "ipv4": { "seeder": 3, "leecher": 4 }, "webrtc": { "seeder": 0, "leecher": 1 } },
            "interfaces": [{ "name": "eth0", "mode": "native" }, { "name": "eth1", "mode": null }],
            "memory": { "resident_bytes": 12_582_912, "limit_bytes": 4_096 },
            "warnings": [],
            "took_seconds": 0.25,
        });
        let expected = "\
version: 1.2.3
uptime: 1 h 1 min
listeners:
  udp: 0.0.0.0:6969, [::]:6969
  https: none
  metrics: none
peers:
  ipv4: seeder 3, leecher 4
  webrtc: seeder 0, leecher 1
interfaces:
  name eth0, mode native
  name eth1, mode none
memory: resident 12 MiB, limit 4 KiB
warnings: none
took: 0.2 s
";
        assert_eq!(render(&value), expected);
    }

    #[test]
    fn decisions_have_a_line_each() {
        let decided = json!([
            { "entry": "10.0.0.0/8", "when": "2026-11-30T07:01:02Z", "node": "node-a" },
            { "entry": "::1/128", "when": null, "node": "b" },
        ]);
        let expected = "10.0.0.0/8 2026-11-30T07:01:02Z node-a\n::1/128    none                 b\n";
        assert_eq!(decisions(&decided), expected);
        assert_eq!(decisions(&json!([])), "");
    }

    #[test]
    fn times_have_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min 0 s"),
            (3_599, "59 min 59 s"),
            (86_399, "23 h 59 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn what_is_no_object_is_shown_too() {
        assert_eq!(render(&json!("done")), "done\n");
    }
}
