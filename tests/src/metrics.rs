//! What `GET /metrics` says.

use crate::{
    PATIENCE,
    web::{http::Connection, stream::Stream},
};
use std::{collections::BTreeMap, net::SocketAddr};

/// One line of the Prometheus text format.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// One scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Every sample, in order.
    pub samples: Vec<Sample>,
    /// The text as it came.
    pub text: String,
}

impl Metrics {
    /// Scrapes a listener that is reachable from this thread.
    #[must_use]
    pub fn get(address: SocketAddr) -> Self {
        let stream = Stream::wait_for(address, None, None, PATIENCE);
        let stream = stream.unwrap_or_else(|e| panic!("the metrics listener at {address}: {e}"));
        let mut connection = Connection::new(stream, "Connection: close\r\n");
        let answer = connection.get("/metrics");
        assert_eq!(answer.status, 200, "GET /metrics: {answer:?}");
        Self::parse(answer.text())
    }

    /// Reads the Prometheus text format.
    #[must_use]
    pub fn parse(text: String) -> Self {
        let samples =
            text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(sample).collect();
        Self { samples, text }
    }

    /// The sum of all samples of this name that carry these labels.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples
            .iter()
            .filter(|s| {
                s.name == name && labels.iter().all(|(k, v)| s.labels.get(*k).is_some_and(|l| l == v))
            })
            .map(|s| s.value)
            .sum()
    }

    /// The sum of samples that are counts.
    #[must_use]
    #[expect(clippy::cast_sign_loss, reason = "counts are whole and not negative")]
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.sum(name, labels) as u64
    }

    /// Torrents and peers that the tracker has.
    #[must_use]
    pub fn stored(&self) -> [u64; 2] {
        ["riptide_torrents", "riptide_peers"].map(|name| self.count(name, &[]))
    }
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no metric: {line}"));
    let value = value.parse().unwrap_or_else(|e| panic!("no value: {line}: {e}"));
    let (name, rest) = series.split_once('{').unwrap_or((series, ""));
    let mut labels = BTreeMap::new();
    for part in rest.trim_end_matches('}').split("\",").filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
        labels.insert(key.trim().to_owned(), value.trim_end_matches('"').to_owned());
    }
    Sample { name: name.to_owned(), labels, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_sums() {
        let metrics = Metrics::parse(
            "# HELP a b\n# TYPE a counter\na{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"4\"} 5\nb 7\n".to_owned(),
        );
        assert_eq!(metrics.sum("a", &[("x", "1")]), 8.0);
        assert_eq!(metrics.sum("a", &[("y", "4")]), 5.0);
        assert_eq!(metrics.sum("a", &[("y", "5")]), 0.0);
        assert_eq!(metrics.sum("b", &[]), 7.0);
    }
}
