//! What an ACME server is shown that asks whether a name leads here (TLS-ALPN-01, RFC 8737): for a moment, and by nobody else
//! seen, certificates of its challenges.

use super::TlsError;
use arc_swap::ArcSwapOption;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{collections::HashMap, sync::Arc};

/// The one application protocol of such a connection (RFC 8737 section 6.2).
const ACME_TLS: &[u8] = b"acme-tls/1";

/// Challenges that are pending, by name.
type Answers = HashMap<String, Arc<CertifiedKey>>;

/// What challenges are answered with while there are any.
#[derive(Debug, Default)]
pub(super) struct Challenges(ArcSwapOption<ServerConfig>);

impl Challenges {
    /// What connections for challenges are served with, if any is pending.
    pub(super) fn pending(&self) -> Option<Arc<ServerConfig>> {
        self.0.load_full()
    }

    /// From now on these are pending and no others.
    pub(super) fn set(&self, answers: Answers, provider: &Arc<CryptoProvider>) -> Result<(), TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Answering(answers)));
        config.alpn_protocols = vec![ACME_TLS.to_vec()];
        // A session that is resumed would show no certificate.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        self.0.store(Some(Arc::new(config)));
        Ok(())
    }

    /// No challenge is pending any more.
    pub(super) fn clear(&self) {
        self.0.store(None);
    }
}

/// Whether a client offers the protocol of challenges and no other, as RFC 8737 section 3 has it.
pub(super) fn is_challenge(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut offered| offered.next() == Some(ACME_TLS) && offered.next().is_none())
}

#[derive(Debug)]
struct Answering(Answers);

impl ResolvesServerCert for Answering {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.get(&hello.server_name()?.to_ascii_lowercase()).cloned()
    }
}
