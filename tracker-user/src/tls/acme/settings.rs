//! What `[tls.acme]` says, with the file that it names.

use crate::{
    config,
    tls::roots::{self, RootsError},
};
use rustls::RootCertStore;
use std::{sync::Arc, time::Duration};

/// Whom to ask for a certificate, and for which names.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) domains: Vec<String>,
    pub(super) directory: String,
    /// Who may have signed the server's own certificate; `None`: whom the system trusts.
    pub(super) roots: Option<Arc<RootCertStore>>,
    pub(super) contact: Vec<String>,
    /// How long the server may take for each reply.
    pub(super) request_timeout: Duration,
}

impl Settings {
    /// As configured, if certificates are wanted at all.
    ///
    /// # Errors
    /// If the file of `tls.acme.directory_ca` is not to be used.
    pub fn of(config: &config::Acme) -> Result<Option<Self>, RootsError> {
        if config.domains.is_empty() {
            return Ok(None);
        }
        let roots = config.directory_ca.as_deref().map(roots::in_file).transpose()?.map(Arc::new);
        Ok(Some(Self {
            domains: config.domains.clone(),
            directory: config.directory.clone(),
            roots,
            contact: config.contact.clone(),
            request_timeout: config.request_timeout,
        }))
    }
}

#[cfg(test)]
impl Settings {
    /// One name, of a server that is not there.
    pub(super) fn example() -> Self {
        Self {
            domains: vec!["tracker.example".to_owned()],
            directory: "https://acme.invalid/directory".to_owned(),
            roots: None,
            contact: Vec::new(),
            request_timeout: Duration::from_secs(5),
        }
    }
}
