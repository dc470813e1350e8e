//! What is wrong with a configuration, all of it at once.

use super::values::Place;
use std::{fmt, path::PathBuf};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why, in the system's words.
        reason: String,
    },
    /// The file is no TOML.
    #[error("{}:{line}: not valid TOML: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong, in the parser's words.
        reason: String,
    },
    /// A table or key that does not exist.
    #[error("{place}: {what} `{name}` does not exist{}", hint(suggestion.as_deref()))]
    Unknown {
        /// Where it was given.
        place: Place,
        /// `table` or `key`.
        what: &'static str,
        /// The name as given.
        name: String,
        /// An existing name that looks like it.
        suggestion: Option<String>,
    },
    /// A value that its key does not take.
    #[error("{place}: {key}: {reason}")]
    Value {
        /// Where it was given.
        place: Place,
        /// The table and key, as `udp.batch`.
        key: String,
        /// What is wrong and what is needed.
        reason: String,
    },
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// Everything that is wrong, never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

/// Something that is odd but stops nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// An environment variable with the product's prefix that names no key.
    #[error("environment variable {name} names no key and has no effect{}", hint(suggestion.as_deref()))]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The variable that may have been meant.
        suggestion: Option<String>,
    },
    /// Peers are forgotten before they are asked to announce again.
    #[error(
        "swarm.peer_timeout = {peer_timeout} is not longer than swarm.interval = {interval} with its jitter: peers will be forgotten \
         before they announce again"
    )]
    ShortPeerTimeout {
        /// As configured.
        peer_timeout: String,
        /// As configured.
        interval: String,
    },
    /// Where an ACME server will look, nothing listens here.
    #[error(
        "tls.acme.domains is set and no address of tls.listen has port 443, to which the ACME server connects: let port 443 of \
         each name be forwarded to one of them"
    )]
    NoAcmePort,
    /// What the nodes of a cluster tell each other can be read on its way.
    #[error(
        "cluster.servers: {server} need not speak TLS: whoever is on the way to it can read and change what nodes tell each other, \
         the key of connection IDs included: write tls:// where the server has a certificate"
    )]
    OpenCluster {
        /// As configured.
        server: String,
    },
    /// A certificate is named for no listener.
    #[error("tls.certificate is set and tls.listen is empty: TLS is not served")]
    NoTlsListener,
}
