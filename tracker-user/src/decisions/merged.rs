//! What came of a merge, and what the log says of it.

use super::{
    entry::Entry,
    verdict::{MINUTE, MOST_AHEAD, Verdict},
};
use crate::node_name::NodeName;
use std::fmt;

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

    fn of(&self, by: &str) -> String {
        let node = self.node.as_ref().map(|node| format!(", as of {node}{},", Told { by, node }));
        format!("{} decisions of other nodes{}", self.count, node.unwrap_or_default())
    }
}

/// By whom something was told, where that is not who is said to have decided it: nobody can tell whether that one did.
struct Told<'a> {
    by: &'a str,
    node: &'a NodeName,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self.by == *self.node.as_str() { Ok(()) } else { write!(f, " (told by {})", self.by) }
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

    /// What the log says of it: who decided what, in some lines, as the node `by` told it. No key is shown.
    #[must_use]
    pub fn lines(&self, by: &str) -> Vec<String> {
        let line = |verdict: &Verdict| {
            let verb = if verdict.holds() { "decided" } else { "took back" };
            let node = &verdict.stamp.node;
            format!("{node}{} {verb}: {}", Told { by, node }, verdict.entry.in_log())
        };
        let mut lines: Vec<_> = self.changed.iter().take(MAX_LINES).map(line).collect();
        if self.changed.len() > MAX_LINES {
            let more = self.changed.len() - MAX_LINES;
            lines.push(format!("and {more} more decisions of other nodes, told by {by}"));
        }
        lines
    }

    /// What was left out of what the node `by` told and why, and what to do.
    #[must_use]
    pub fn left_out(&self, by: &str) -> Vec<String> {
        let mut lines = Vec::new();
        if self.full.count > 0 {
            lines.push(format!(
                "{} are not taken in: as many of their kind hold here as may. Raise control.max_decisions, to the same at \
                 all nodes, or take some back",
                self.full.of(by)
            ));
        }
        if self.ahead.count > 0 {
            lines.push(format!(
                "{} are not taken in: they are of a time more than {} minutes ahead of this host's clock. See that the clocks \
                 of all nodes agree (NTP)",
                self.ahead.of(by),
                MOST_AHEAD / MINUTE
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
        let lines = merged.lines("node-b");
        assert_eq!(lines, ["node-b decided: ban 192.0.2.0/24", &denied, "node-b decided: a key"]);
        assert!(merged.left_out("node-b").is_empty());
        assert!(!format!("{merged:?}").contains("secret-key"));
    }

    #[test]
    fn many_are_counted() {
        let changed = |n: u8| (0..n).map(|n| verdict(Kind::Ban, &format!("10.0.0.{n}"), false)).collect();
        for (n, lines) in [(0, 0), (8, 8), (9, 9), (200, 9)] {
            let merged = Merged { changed: changed(n), ..Merged::default() };
            assert_eq!(merged.lines("node-b").len(), lines, "{n}");
        }
        let merged = Merged { changed: changed(200), ..Merged::default() };
        let last = "and 192 more decisions of other nodes, told by node-b";
        assert_eq!(merged.lines("node-b").last().unwrap(), last);
    }

    #[test]
    fn the_log_names_who_told_where_that_is_another_one() {
        let one = verdict(Kind::Ban, "192.0.2.0/24", false);
        let mut merged = Merged { changed: vec![one.clone()], ..Merged::default() };
        assert_eq!(merged.lines("evil"), ["node-b (told by evil) decided: ban 192.0.2.0/24"]);
        merged.full.add(&one);
        merged.ahead.add(&one);
        for line in merged.left_out("evil") {
            let start = "1 decisions of other nodes, as of node-b (told by evil), are not taken in: ";
            assert!(line.starts_with(start), "{line}");
        }
    }

    #[test]
    fn what_is_left_out_is_told_with_a_node_and_what_to_do() {
        let mut merged = Merged::default();
        merged.full.add(&verdict(Kind::Ban, "192.0.2.0/24", false));
        merged.full.add(&verdict(Kind::Ban, "192.0.3.0/24", false));
        let [line] = &*merged.left_out("node-b") else { panic!("{merged:?}") };
        assert!(line.starts_with("2 decisions of other nodes, as of node-b, are not taken in"), "{line}");
        assert!(line.contains("control.max_decisions"), "{line}");
        merged.ahead.add(&verdict(Kind::Ban, "192.0.2.0/24", false));
        assert!(merged.left_out("node-b")[1].contains("5 minutes ahead of this host's clock"), "{merged:?}");
    }
}
