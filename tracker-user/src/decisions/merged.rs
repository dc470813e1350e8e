//! What came of a merge, and what the log says of it.

use super::{entry::Entry, verdict::Verdict};
use crate::node_name::NodeName;

/// So many lines tell of decisions that another node made; the rest is counted.
const MAX_LINES: usize = 8;

/// What came of a merge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// What holds now and did not before, and the other way round, sorted by entry.
    pub changed: Vec<Verdict>,
    /// Whether anything of it was newer than what was known.
    pub is_new: bool,
    /// Left out, since as many of that kind hold as may.
    pub full: LeftOut,
    /// Left out, since they are of a time too far ahead of this host's clock.
    pub ahead: LeftOut,
    /// Whether the log is to say what was left out.
    pub is_to_be_told: bool,
}

/// Verdicts that were not taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// How many.
    pub count: usize,
    /// A node that made one of them.
    pub node: Option<NodeName>,
}

impl LeftOut {
    pub(super) fn add(&mut self, verdict: &Verdict) {
        self.count += 1;
        self.node.get_or_insert_with(|| verdict.stamp.node.clone());
    }

    fn of(&self) -> String {
        let node = self.node.as_ref().map(|node| format!(", as of {node},")).unwrap_or_default();
        format!("{} decisions of other nodes{node}", self.count)
    }
}

impl Merged {
    /// Whether anything was left out.
    #[must_use]
    pub const fn has_left_out(&self) -> bool {
        self.full.count + self.ahead.count > 0
    }

    /// The entries of what has changed.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.changed.iter().map(|verdict| verdict.entry).collect()
    }

    /// What the log says of it: who decided what, in some lines. No key is shown.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let line = |verdict: &Verdict| {
            let verb = if verdict.holds() { "decided" } else { "took back" };
            format!("{} {verb}: {}", verdict.stamp.node, verdict.entry.in_log())
        };
        let mut lines: Vec<_> = self.changed.iter().take(MAX_LINES).map(line).collect();
        if self.changed.len() > MAX_LINES {
            lines.push(format!("and {} more decisions of other nodes", self.changed.len() - MAX_LINES));
        }
        lines
    }

    /// What was left out and why, and what to do.
    #[must_use]
    pub fn left_out(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.full.count > 0 {
            lines.push(format!(
                "{} are not taken in: as many of their kind hold here as may. Raise control.max_decisions, to the same at \
                 all nodes, or take some back",
                self.full.of()
            ));
        }
        if self.ahead.count > 0 {
            lines.push(format!(
                "{} are not taken in: they are of a time more than a day ahead of this host's clock. See to the clocks, then \
                 decide them again",
                self.ahead.of()
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{entry::Kind, verdict::Stamp},
        *,
    };

    fn verdict(kind: Kind, text: &str, taken_back: bool) -> Verdict {
        let (entry, _) = Entry::parse(kind, text).unwrap();
        Verdict { entry, stamp: Stamp { when: 7, node: NodeName::parse("node-b").unwrap(), taken_back } }
    }

    #[test]
    fn the_log_names_the_node_and_shows_no_key() {
        let changed = vec![
            verdict(Kind::Ban, "192.0.2.0/24", false),
            verdict(Kind::Deny, &"0a".repeat(20), true),
            verdict(Kind::Key, "secret-key", false),
        ];
        let merged = Merged { changed, ..Merged::default() };
        let denied = format!("node-b took back: deny {}", "0a".repeat(20));
        assert_eq!(merged.lines(), ["node-b decided: ban 192.0.2.0/24", &denied, "node-b decided: a key"]);
        assert!(merged.left_out().is_empty());
        assert!(!format!("{merged:?}").contains("secret-key"));
    }

    #[test]
    fn many_are_counted() {
        let changed = |n: u8| (0..n).map(|n| verdict(Kind::Ban, &format!("10.0.0.{n}"), false)).collect();
        for (n, lines) in [(0, 0), (8, 8), (9, 9), (200, 9)] {
            let merged = Merged { changed: changed(n), ..Merged::default() };
            assert_eq!(merged.lines().len(), lines, "{n}");
        }
        let merged = Merged { changed: changed(200), ..Merged::default() };
        assert_eq!(merged.lines().last().unwrap(), "and 192 more decisions of other nodes");
    }

    #[test]
    fn what_is_left_out_is_told_with_a_node_and_what_to_do() {
        let mut merged = Merged::default();
        merged.full.add(&verdict(Kind::Ban, "192.0.2.0/24", false));
        merged.full.add(&verdict(Kind::Ban, "192.0.3.0/24", false));
        let [line] = &*merged.left_out() else { panic!("{merged:?}") };
        assert!(line.starts_with("2 decisions of other nodes, as of node-b, are not taken in"), "{line}");
        assert!(line.contains("control.max_decisions"), "{line}");
        merged.ahead.add(&verdict(Kind::Ban, "192.0.2.0/24", false));
        assert!(merged.left_out()[1].contains("clock"), "{merged:?}");
    }
}
