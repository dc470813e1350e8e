//! Why there is no certificate: what happened, where, and what to do.

use super::client::Unanswered;
use crate::{tls::roots::RootsError, utc};
use instant_acme::{Error, Problem};
use std::{error::Error as StdError, io, path::PathBuf};
use tracker_common::labelled;

/// Characters of a server's words that are told at most.
const MOST_WORDS: usize = 600;

labelled! {
    /// What became of an order for a certificate.
    pub enum Outcome {
        /// There is a certificate.
        Ok = "ok",
        /// The server could not be reached, or did not answer as one.
        Unreachable = "unreachable",
        /// This machine's clock is off.
        Clock = "clock",
        /// The server has had enough for now.
        RateLimited = "rate_limited",
        /// The server did not find this tracker at one of the names.
        Challenge = "challenge",
        /// The server refused for another reason, or gave what is of no use.
        Refused = "refused",
        /// The state directory cannot be written, so nothing was asked.
        NotKept = "not_kept",
    }
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(
        "{directory} cannot be reached: {reason}; see that this machine may connect to it (network, DNS, firewall), or name \
         another by tls.acme.directory"
    )]
    Unreachable { directory: String, reason: String },
    #[error(
        "{directory} cannot be trusted: {reason}; where a CA of its own has signed it, name that by tls.acme.directory_ca"
    )]
    Untrusted { directory: String, reason: String },
    #[error(transparent)]
    Roots(#[from] RootsError),
    #[error(
        "{directory} shows a certificate that is not valid at {now}, which is the time by this machine's clock: set the clock \
         (`timedatectl` shows it)"
    )]
    Clock { directory: String, now: String },
    #[error("{directory} answers, but not as an ACME server: {reason}; see that tls.acme.directory is right")]
    Strange { directory: String, reason: String },
    #[error("the ACME server takes no more orders for now: {0}; there is nothing to do but wait")]
    RateLimited(String),
    #[error(
        "the ACME server did not find this tracker at {0}; port 443 of every name in tls.acme.domains must lead to a listener of \
         tls.listen, with nothing before it that ends TLS"
    )]
    Challenge(String),
    #[error(
        "the ACME server cannot ask whether {0} leads here by TLS-ALPN-01, and nothing else is spoken; choose another server"
    )]
    NoChallenge(String),
    #[error("the ACME server refused: {0}; see tls.acme.domains and tls.acme.contact")]
    Refused(String),
    #[error("the ACME server did not come to an end with the order in time; it may be busy")]
    Slow,
    #[error("what the ACME server gave is of no use: {0}")]
    Useless(String),
    #[error("a key could not be made: {0}; the system has no randomness")]
    NoKey(Box<dyn StdError + Send + Sync>),
    #[error(
        "{}: cannot be written: {source}; nothing is asked for that could not be kept, since a tracker that starts again and again \
         would ask again and again: make the directory writable for this user, or name another by state.directory",
        path.display()
    )]
    NotKept { path: PathBuf, source: io::Error },
}

impl Failure {
    /// What the library says of a call to this server.
    pub(super) fn of(error: Error, directory: &str) -> Self {
        let directory = directory.to_owned();
        match error {
            Error::Api(problem) => Self::of_problem(&problem),
            Error::Timeout(_) => Self::Slow,
            Error::Other(other) => match other.downcast::<Unanswered>() {
                Ok(unanswered) => Self::of_unanswered(&unanswered, directory),
                Err(other) => Self::Strange { directory, reason: tame(&other.to_string()) },
            },
            other => Self::Strange { directory, reason: tame(&other.to_string()) },
        }
    }

    fn of_unanswered(unanswered: &Unanswered, directory: String) -> Self {
        match unanswered {
            Unanswered::Clock => Self::Clock { directory, now: utc::readable(utc::wall()) },
            Unanswered::Untrusted(_) => Self::Untrusted { directory, reason: unanswered.to_string() },
            Unanswered::Status { status: 429, .. } => Self::RateLimited(unanswered.to_string()),
            Unanswered::Status { status: ..500 } | Unanswered::TooLong(_) => {
                Self::Strange { directory, reason: unanswered.to_string() }
            }
            _ => Self::Unreachable { directory, reason: unanswered.to_string() },
        }
    }

    fn of_problem(problem: &Problem) -> Self {
        let told = told(problem);
        match kind(problem) {
            "rateLimited" => Self::RateLimited(told),
            // What a server says that has looked at the name (RFC 8555 section 6.7).
            "connection" | "dns" | "incorrectResponse" | "tls" | "unauthorized" => Self::Challenge(told),
            _ => Self::Refused(told),
        }
    }

    /// How it is counted.
    pub(super) const fn outcome(&self) -> Outcome {
        match self {
            Self::Unreachable { .. } | Self::Untrusted { .. } | Self::Roots(_) | Self::Strange { .. } => {
                Outcome::Unreachable
            }
            Self::Clock { .. } => Outcome::Clock,
            Self::RateLimited(_) => Outcome::RateLimited,
            Self::Challenge(_) => Outcome::Challenge,
            Self::NotKept { .. } => Outcome::NotKept,
            Self::NoChallenge(_) | Self::Refused(_) | Self::Slow | Self::Useless(_) | Self::NoKey(_) => {
                Outcome::Refused
            }
        }
    }

    /// Whether the server knows of the attempt, and may count it.
    pub(super) const fn reached(&self) -> bool {
        !matches!(
            self,
            Self::Unreachable { .. }
                | Self::Untrusted { .. }
                | Self::Roots(_)
                | Self::Clock { .. }
                | Self::NotKept { .. }
        )
    }
}

/// The last word of a problem's type.
pub(super) fn kind(problem: &Problem) -> &str {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    kind.rsplit(':').next().unwrap_or_default()
}

/// A problem in the server's words.
pub(super) fn told(problem: &Problem) -> String {
    let mut text = match (&problem.detail, kind(problem)) {
        (Some(detail), "") => detail.clone(),
        (Some(detail), kind) => format!("{detail} ({kind})"),
        (None, "") => "it gave no reason".to_owned(),
        (None, kind) => kind.to_owned(),
    };
    for sub in &problem.subproblems {
        if let (Some(identifier), Some(detail)) = (&sub.identifier, &sub.detail) {
            text.push_str(&format!("; {}: {detail}", identifier.authorized(false)));
        }
    }
    tame(&text)
}

/// Words from outside, on one line of bounded length.
pub(super) fn tame(text: &str) -> String {
    let mut words: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_WORDS).collect();
    if text.chars().nth(MOST_WORDS).is_some() {
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn problem(value: serde_json::Value) -> Error {
        Error::Api(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn problems_of_rfc_8555_are_told_apart() {
        for (kind, outcome) in [
            ("rateLimited", Outcome::RateLimited),
            ("connection", Outcome::Challenge),
            ("dns", Outcome::Challenge),
            ("unauthorized", Outcome::Challenge),
            ("rejectedIdentifier", Outcome::Refused),
            ("serverInternal", Outcome::Refused),
        ] {
            let failure = Failure::of(
                problem(
                    json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "so it is" }),
                ),
                "https://a",
            );
            assert_eq!(failure.outcome(), outcome, "{kind}");
            assert!(failure.reached());
            assert!(failure.to_string().contains(&format!("so it is ({kind})")), "{failure}");
        }
    }

    #[test]
    fn a_servers_words_stay_on_one_line() {
        let failure = Failure::of(
            problem(json!({ "detail": format!("a\n\u{1b}[31mb{}", "x".repeat(9_999)) })),
            "https://a",
        );
        let text = failure.to_string();
        assert!(text.contains("a  [31mbxx") && text.contains('…') && text.len() < 1_000, "{text}");
        let text = Failure::of(problem(json!({})), "https://a").to_string();
        assert!(text.contains("it gave no reason"), "{text}");
        let parts = json!({
            "detail": "no",
            "subproblems": [{ "identifier": { "type": "dns", "value": "b.example" }, "detail": "never" }],
        });
        assert!(Failure::of(problem(parts), "https://a").to_string().contains("no; b.example: never"));
    }

    #[test]
    fn who_was_not_reached_knows_of_nothing() {
        let other =
            |unanswered: Unanswered| Failure::of(Error::Other(Box::new(unanswered)), "https://a.example/d");
        for (unanswered, outcome, reached, words) in [
            (
                Unanswered::Silent(Duration::from_secs(9)),
                Outcome::Unreachable,
                false,
                "https://a.example/d cannot be reached",
            ),
            (Unanswered::Clock, Outcome::Clock, false, "set the clock"),
            (Unanswered::Untrusted("x".to_owned()), Outcome::Unreachable, false, "tls.acme.directory_ca"),
            (Unanswered::Status { status: 404 }, Outcome::Unreachable, true, "tls.acme.directory is right"),
            (
                Unanswered::Status { status: 503 },
                Outcome::Unreachable,
                false,
                "the HTTP status 503; see that",
            ),
            (Unanswered::Status { status: 429 }, Outcome::RateLimited, true, "nothing to do but wait"),
        ] {
            let failure = other(unanswered);
            assert_eq!((failure.outcome(), failure.reached()), (outcome, reached), "{failure}");
            assert!(failure.to_string().contains(words), "{failure}");
        }
    }
}
