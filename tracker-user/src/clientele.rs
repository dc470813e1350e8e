//! Who is served, as the files of `[access]` say: client software that is not, and the keys of private mode.

use crate::{
    access_file::{self, AccessFileError},
    config::Access,
    decisions::Decisions,
    random::seed,
};
use std::{io, sync::Arc};
use tracker_core::{
    clients::ClientPrefixes,
    keys::{Key, Keys},
    policy::Policy,
};

/// What the files say. Without a file nobody is refused.
#[derive(Clone, Debug, Default)]
pub struct Clientele {
    /// Software that is not served.
    pub denied_clients: Arc<ClientPrefixes>,
    /// In private mode, the keys of those who are served.
    pub keys: Option<Arc<Keys>>,
}

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum ClienteleError {
    /// `access.denied_clients`.
    #[error(transparent)]
    DeniedClients(AccessFileError),
    /// `access.keys`.
    #[error(transparent)]
    Keys(AccessFileError),
    /// The secret that hashes of keys need.
    #[error("the system gives no randomness: {0}")]
    Secret(io::Error),
}

impl ClienteleError {
    /// The key of `[access]` that it is about.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::DeniedClients(_) => "denied_clients",
            Self::Keys(_) | Self::Secret(_) => "keys",
        }
    }

    /// Whether another user might be let where this one is not.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        match self {
            Self::DeniedClients(error) | Self::Keys(error) => error.is_permission_denied(),
            Self::Secret(_) => false,
        }
    }
}

impl Clientele {
    /// Reads the files. What is not to be had is empty, and each reason goes to `wrong`.
    pub fn read(access: &Access, mut wrong: impl FnMut(ClienteleError)) -> Self {
        let denied_clients = match &access.denied_clients {
            None => Ok(ClientPrefixes::default()),
            Some(path) => access_file::read(path, ClientPrefixes::parse),
        };
        let keys = access.keys.as_ref().map(|path| -> Result<Keys, ClienteleError> {
            let word = || seed().map_err(ClienteleError::Secret);
            let ([a, b], [c, d]) = (word()?, word()?);
            access_file::read(path, |text| Keys::parse([a, b, c, d], text)).map_err(ClienteleError::Keys)
        });
        Self {
            denied_clients: Arc::new(denied_clients.unwrap_or_else(|error| {
                wrong(ClienteleError::DeniedClients(error));
                ClientPrefixes::default()
            })),
            keys: keys.transpose().map(|keys| keys.map(Arc::new)).unwrap_or_else(|error| {
                wrong(error);
                None
            }),
        }
    }

    /// The same with the keys that were decided beside the file. Without a file no key is asked for.
    #[must_use]
    pub fn with(&self, decisions: &Decisions) -> Self {
        let keys = self.keys.as_ref().map(|keys| Arc::new(keys.with(decisions.admitted())));
        Self { keys, ..self.clone() }
    }

    /// The policy with what the files say.
    #[must_use]
    pub fn govern(&self, mut policy: Policy) -> Policy {
        policy.admission.denied_clients = Arc::clone(&self.denied_clients);
        policy.admission.keys.clone_from(&self.keys);
        policy
    }

    /// Whether the file lists this key.
    #[must_use]
    pub fn lists(&self, key: &Key) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.contains(key.text().as_bytes()))
    }

    /// How many prefixes there are, and in private mode how many keys.
    #[must_use]
    pub fn lengths(&self) -> (usize, Option<usize>) {
        (self.denied_clients.len(), self.keys.as_ref().map(|keys| keys.len()))
    }

    /// Says in the log whom the tracker serves: an empty or shortened list shows here.
    pub fn log(&self) {
        let (prefixes, keys) = self.lengths();
        if prefixes > 0 {
            tracing::info!("access: clients with one of {prefixes} peer-ID prefixes are refused");
        }
        match keys {
            None => {}
            Some(0) => tracing::warn!("access: there is no key, so everybody is refused"),
            Some(keys) => tracing::info!("access: only clients with one of {keys} keys are served"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::PathBuf;

    fn read(
        denied_clients: Option<PathBuf>,
        keys: Option<PathBuf>,
    ) -> (Clientele, Vec<(&'static str, String)>) {
        let access = Access { denied_clients, keys, ..Config::default().access };
        let mut problems = Vec::new();
        let clientele = Clientele::read(&access, |error| problems.push((error.key(), error.to_string())));
        (clientele, problems)
    }

    #[test]
    fn without_files_everybody_is_served() {
        let (clientele, problems) = read(None, None);
        assert_eq!((clientele.govern(Policy::default()), problems), (Policy::default(), vec![]));
    }

    #[test]
    fn both_files_are_read_and_end_up_in_the_policy() {
        let directory = tempfile::tempdir().unwrap();
        let [clients, keys] = ["clients", "keys"].map(|name| directory.path().join(name));
        std::fs::write(&clients, "-XL0012- # one\r\n0x2d5859\r\n").unwrap();
        std::fs::write(&keys, "ABCDEFGH\n").unwrap();
        let (clientele, problems) = read(Some(clients), Some(keys));
        let policy = clientele.govern(Policy::default());
        assert_eq!((problems, policy.admission.denied_clients.len()), (vec![], 2));
        assert!(policy.admission.denied_clients.match_any(b"-XY0000-aaaaaaaaaaaa"));
        assert!(policy.admission.keys.as_ref().unwrap().contains(b"ABCDEFGH"));
        assert!(!format!("{clientele:?} {policy:?}").contains("ABCDEFGH"));
    }

    #[test]
    fn every_problem_names_its_key_file_and_line_and_shows_no_key() {
        let directory = tempfile::tempdir().unwrap();
        let [clients, keys] = ["clients", "keys"].map(|name| directory.path().join(name));
        std::fs::write(&clients, "-XL\n0x\n").unwrap();
        std::fs::write(&keys, "# mine\n\nsecret!secret\n").unwrap();
        let (clientele, problems) = read(Some(clients.clone()), Some(keys.clone()));
        assert!(clientele.denied_clients.is_empty() && clientele.keys.is_none());
        let [(one, of_client), (other, of_key)] = problems.as_slice() else { panic!("{problems:?}") };
        assert_eq!((*one, *other), ("denied_clients", "keys"));
        assert!(of_client.starts_with(&format!("{}: line 2: an empty prefix", clients.display())));
        assert!(of_key.starts_with(&format!("{}: line 3: a key consists of", keys.display())), "{of_key}");
        assert!(!of_key.contains("secret"), "{of_key}");
    }
}
