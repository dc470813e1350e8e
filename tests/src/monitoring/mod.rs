//! The rules and the dashboard of `packaging/`, and what judges them: metrics that a tracker shows, and Prometheus' own
//! programs.

pub mod dashboard;
pub mod known;
pub mod prometheus;
pub mod promql;
pub mod rules;

use crate::net::workspace;
use std::{fs, path::Path};

/// The text of a file of the workspace.
#[must_use]
pub fn read_file(path: impl AsRef<Path>) -> String {
    let path = workspace().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The names between double braces, as templates of Prometheus and Grafana have them.
pub fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    template.split("{{").skip(1).filter_map(|part| Some(part.split_once("}}")?.0.trim()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn placeholders_are_found() {
        let found: Vec<_> = super::placeholders("a {{ $labels.b }} {{c}}: {d} {{e").collect();
        assert_eq!(found, ["$labels.b", "c"]);
    }
}
