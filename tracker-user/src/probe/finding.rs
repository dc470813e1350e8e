//! What a probe finds, and how much it matters.

use super::party::Which;
use std::time::Duration;

/// How much something matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    /// As it should be.
    Ok,
    /// Odd or a waste, but clients get along with it; or a matter of this machine's.
    Note,
    /// Clients, or some of them, are not served as they should be.
    Wrong,
}

impl Mark {
    /// The word for it in reports.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Wrong => "wrong",
        }
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) mark: Mark,
    pub(super) text: String,
}

/// Findings, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Adds what is odd.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.0.push(Finding { mark: Mark::Note, text: text.into() });
    }

    /// Adds what is wrong.
    pub(super) fn wrong(&mut self, text: impl Into<String>) {
        self.0.push(Finding { mark: Mark::Wrong, text: text.into() });
    }

    /// Adds those of another judge.
    pub(super) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    /// The worst mark, which is [`Mark::Ok`] where there is none.
    pub(super) fn worst(&self) -> Mark {
        self.0.iter().map(|finding| finding.mark).max().unwrap_or(Mark::Ok)
    }
}

/// One thing that was asked, and what came of it: a line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// A word or two.
    pub(super) name: &'static str,
    /// Which of the two clients did it, where both do.
    pub(super) client: Option<Which>,
    /// How long it took, where that was measured.
    pub(super) took: Option<Duration>,
    /// What was told, in a few words; may be empty.
    pub(super) told: String,
    /// What is not as it should be.
    pub(super) findings: Findings,
}

impl Step {
    /// One of which nothing is known yet.
    pub(super) fn new(name: &'static str, client: Option<Which>) -> Self {
        Self { name, client, took: None, told: String::new(), findings: Findings::default() }
    }

    /// With the time that it took.
    pub(super) const fn took(mut self, took: Duration) -> Self {
        self.took = Some(took);
        self
    }

    /// With what was told.
    pub(super) fn told(mut self, told: impl Into<String>) -> Self {
        self.told = told.into();
        self
    }

    /// With these findings besides.
    pub(super) fn found(mut self, findings: Findings) -> Self {
        self.findings.extend(findings);
        self
    }

    /// With something that is wrong.
    pub(super) fn wrong(mut self, text: impl Into<String>) -> Self {
        self.findings.wrong(text);
        self
    }

    /// With something that is odd.
    pub(super) fn note(mut self, text: impl Into<String>) -> Self {
        self.findings.note(text);
        self
    }

    /// Its worst mark.
    pub(super) fn mark(&self) -> Mark {
        self.findings.worst()
    }
}

/// A tracker at one address, and what came of asking it there.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Where it was asked.
    pub(super) address: std::net::SocketAddr,
    /// What was asked.
    pub(super) steps: Vec<Step>,
    /// This machine could not send anything there.
    pub(super) is_out_of_reach: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_counts() {
        let mut findings = Findings::default();
        assert_eq!(findings.worst(), Mark::Ok);
        findings.wrong("a");
        findings.note("b");
        assert_eq!(findings.worst(), Mark::Wrong);
        assert_eq!(Step::new("scrape", None).note("c").mark(), Mark::Note);
        assert_eq!(Step::new("scrape", None).note("c").found(findings).mark(), Mark::Wrong);
    }
}
