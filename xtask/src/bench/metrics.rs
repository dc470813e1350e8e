//! What Riptide says of itself while it is measured.

use crate::bench::rig::Namespace;
use anyhow::{Context, Result};

/// The sum of those of the metrics of a Riptide in this namespace whose name begins so and that have this among their
/// labels.
pub(crate) fn metric(namespace: &Namespace, port: u16, name: &str, label: &str) -> Result<f64> {
    sum(&namespace.get(port, "/metrics")?, name, label)
        .with_context(|| format!("Riptide's metrics have no {name} {label}"))
}

/// The sum of a metric over those of its labels.
fn sum(metrics: &str, name: &str, label: &str) -> Option<f64> {
    let lines = metrics.lines().filter(|line| line.starts_with(name) && line.contains(label));
    let values = lines.filter_map(|line| line.rsplit(' ').next());
    values.filter_map(|value| value.parse::<f64>().ok()).reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# TYPE a gauge\na{family=\"ipv4\"} 5\na{family=\"ipv6\"} 1.5e3\nab{a=\"b\"} 9\n";
        assert_eq!([sum(text, "a{", ""), sum("", "a{", "")], [Some(1_505.0), None]);
        assert_eq!(sum(text, "a{", "family=\"ipv6\""), Some(1_500.0));
    }
}
