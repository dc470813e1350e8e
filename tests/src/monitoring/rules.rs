//! The alert rules, as the file has them: its lines are read, since it has one style and `promtool` judges the rest.

use super::{placeholders, read_file};

/// Where they are.
pub const RULES: &str = "packaging/prometheus/riptide.rules.yml";
/// Cases that they are tried by.
pub const CASES: &str = "packaging/prometheus/riptide.rules.test.yml";

/// One alert.
#[derive(Clone, Debug, Default)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// When it fires, in PromQL.
    pub expression: String,
    /// How much it matters.
    pub severity: String,
    /// Where its page is.
    pub runbook_url: String,
    /// Labels that its texts name.
    pub labels: Vec<String>,
    /// Names of its annotations.
    pub annotations: Vec<String>,
}

/// All alerts, in order.
#[must_use]
pub fn alerts() -> Vec<Alert> {
    read(&read_file(RULES))
}

fn read(text: &str) -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with('#')).peekable();
    while let Some(line) = lines.next() {
        let indent = indent(line);
        let Some((key, value)) = line.trim_start().split_once(':') else { continue };
        let mut value = value.trim().to_owned();
        if ["|", ">-"].contains(&value.as_str()) {
            value.clear();
            while let Some(line) = lines.next_if(|line| self::indent(line) > indent || line.trim().is_empty())
            {
                value = format!("{value} {}", line.trim());
            }
        }
        if key == "- alert" {
            alerts.push(Alert { name: value, ..Alert::default() });
            continue;
        }
        let Some(alert) = alerts.last_mut() else { continue };
        match key {
            "expr" => alert.expression = value,
            "severity" => alert.severity = value,
            "summary" | "description" | "runbook_url" => {
                alert.labels.extend(
                    placeholders(&value).filter_map(|it| Some(it.strip_prefix("$labels.")?.to_owned())),
                );
                alert.annotations.push(key.to_owned());
                if key == "runbook_url" {
                    alert.runbook_url = value;
                }
            }
            _ => {}
        }
    }
    alerts
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// For each alert that is tried, and each case: whether it is to fire.
#[must_use]
pub fn cases() -> Vec<(String, bool)> {
    read_cases(&read_file(CASES))
}

fn read_cases(text: &str) -> Vec<(String, bool)> {
    let mut cases: Vec<(String, bool)> = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if let Some(name) = line.strip_prefix("alertname: ") {
            cases.push((name.to_owned(), false));
        } else if line.starts_with("- exp_labels:") {
            cases.last_mut().expect("an alert before what is expected of it").1 = true;
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_read() {
        let text = "groups:\n  - name: g\n    rules:\n      # alert: no\n      - alert: One\n        expr: up == 0\n        \
                    labels:\n          severity: warning\n        annotations:\n          summary: it\n          \
                    runbook_url: file:///one\n\n      - alert: Two\n        expr: |\n          a\n            + b\n        \
                    for: 1m\n        annotations:\n          description: >-\n            {{ $labels.x }} is\n            \
                    {{ $value | f }}\n";
        let alerts = read(text);
        let [one, two] = alerts.as_slice() else { panic!("{alerts:?}") };
        assert_eq!(
            (one.name.as_str(), one.expression.as_str(), one.severity.as_str()),
            ("One", "up == 0", "warning")
        );
        assert_eq!((one.runbook_url.as_str(), one.annotations.len()), ("file:///one", 2));
        assert_eq!((two.name.as_str(), two.expression.trim()), ("Two", "a + b"));
        assert_eq!((two.labels.as_slice(), two.annotations.len()), (["x".to_owned()].as_slice(), 1));
    }

    #[test]
    fn cases_are_read() {
        let text = "  - eval_time: 1m\n    alertname: One\n    exp_alerts: []\n  - eval_time: 2m\n    alertname: One\n    \
                    exp_alerts:\n      - exp_labels: {a: b}\n";
        assert_eq!(read_cases(text), [("One".to_owned(), false), ("One".to_owned(), true)]);
    }
}
