//! What is there to be asked for.

use super::promql::{Asked, Matcher};
use crate::metrics::Metrics;
use std::collections::{BTreeMap, BTreeSet};

/// Labels that Prometheus itself gives to every series.
const OF_THE_TARGET: [&str; 2] = ["job", "instance"];

/// What its job is called.
const JOB: &str = "riptide";

/// Series by their metric: each label with the values that it has.
#[derive(Clone, Debug, Default)]
pub struct Known(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Known {
    /// What a scrape shows, and what Prometheus adds to it.
    #[must_use]
    pub fn of(metrics: &Metrics) -> Self {
        let mut known = Self::default();
        known.0.insert("up".to_owned(), BTreeMap::new());
        for sample in &metrics.samples {
            let labels = known.0.entry(sample.name.clone()).or_default();
            for (label, value) in &sample.labels {
                labels.entry(label.clone()).or_default().insert(value.clone());
            }
        }
        known
    }

    /// Adds values of a label that may be and are not seen now.
    pub fn add(&mut self, metric: &str, label: &str, values: &[&str]) {
        let labels = self.0.get_mut(metric).unwrap_or_else(|| panic!("{metric} is not there"));
        let known = labels.get_mut(label).unwrap_or_else(|| panic!("{metric} has no label {label}"));
        known.extend(values.iter().map(|value| (*value).to_owned()));
    }

    /// What an expression asks for that is not there.
    #[must_use]
    pub fn problems(&self, asked: &Asked) -> Vec<String> {
        let mut problems = Vec::new();
        for selector in &asked.selectors {
            let metric = &selector.metric;
            let Some(labels) = self.0.get(metric) else {
                problems.push(format!("there is no metric {metric}"));
                continue;
            };
            for matcher in &selector.matchers {
                if OF_THE_TARGET.contains(&matcher.label.as_str()) {
                    problems.extend(wrong_target(matcher));
                } else if let Some(values) = labels.get(&matcher.label) {
                    let strange = matcher.values().filter(|value| !values.contains(*value));
                    problems
                        .extend(strange.map(|value| format!("no {metric} has {} {value:?}", matcher.label)));
                } else {
                    problems.push(format!("{metric} has no label {}", matcher.label));
                }
            }
        }
        problems.extend(self.strange_labels(asked, &asked.labels));
        problems
    }

    /// Those of these labels that none of the metrics of an expression has.
    #[must_use]
    pub fn strange_labels(&self, asked: &Asked, labels: &[String]) -> Vec<String> {
        let has = |label: &&String| {
            OF_THE_TARGET.contains(&label.as_str())
                || asked.selectors.iter().any(|selector| {
                    self.0.get(&selector.metric).is_some_and(|labels| labels.contains_key(*label))
                })
        };
        let strange = labels.iter().filter(|label| !has(label));
        strange.map(|label| format!("none of its metrics has a label {label}")).collect()
    }
}

/// Targets are chosen by the job's name, or by a variable of the dashboard.
fn wrong_target(matcher: &Matcher) -> Option<String> {
    let is_right = match matcher.label.as_str() {
        "job" => matcher.operator == "=" && matcher.value == JOB,
        _ => matcher.operator == "=~" && matcher.value == "$instance",
    };
    (!is_right).then(|| format!("{} {} {:?} is nobody", matcher.label, matcher.operator, matcher.value))
}

#[cfg(test)]
mod tests {
    use super::{super::promql, *};

    #[test]
    fn whatever_is_not_there_is_named() {
        let metrics = Metrics::parse("a{x=\"1\"} 0\na{x=\"2\"} 0\nb{y=\"3\"} 0\n".to_owned());
        let mut known = Known::of(&metrics);
        known.add("b", "y", &["4"]);
        let problems = |expression: &str| known.problems(&promql::read(expression)).len();
        for good in [
            "a",
            "sum by (x, job) (a{x=~\"1|2\", instance=~\"$instance\"})",
            "a / on (y) b{y!=\"4\"}",
            "up{job=\"riptide\"}",
        ] {
            assert_eq!(problems(good), 0, "{good}");
        }
        for (bad, count) in [
            ("c", 1),
            ("a{y=\"3\"}", 1),
            ("a{x=\"3\"}", 1),
            ("a{x=~\"1|3|4\"}", 2),
            ("sum by (y) (a)", 1),
            ("up{job=\"other\"}", 1),
            ("a{instance=\"one\"}", 1),
        ] {
            assert_eq!(problems(bad), count, "{bad}");
        }
        let labels = ["x", "z"].map(str::to_owned);
        assert_eq!(known.strange_labels(&promql::read("a + b"), &labels).len(), 1);
    }
}
