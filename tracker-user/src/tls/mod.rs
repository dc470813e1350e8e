//! TLS for the listeners of HTTPS: the certificate and key from their files, renewed while running.
//!
//! New connections get what was loaded last; those that are open keep what they began with. Whatever is wrong with new
//! files, the old certificate is served on.

mod error;
mod files;
mod watch;

pub use error::{Role, TlsError};

use crate::config::{self, TlsVersion};
use arc_swap::ArcSwap;
use files::{Files, Identity};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    pki_types::CertificateDer,
    server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// The application protocols, the preferred first (RFC 7301).
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The versions that are spoken.
type Versions = &'static [&'static SupportedProtocolVersion];
const SINCE_1_2: Versions = &[&TLS13, &TLS12];
const SINCE_1_3: Versions = &[&TLS13];

/// Sessions remembered for clients of TLS 1.2 that resume without tickets. All others carry theirs in a ticket.
const REMEMBERED_SESSIONS: usize = 1024;

/// Tickets given to each client of TLS 1.3: clients of a tracker use one connection at a time.
const TICKETS: usize = 1;

/// TLS as configured, with the certificate that was loaded last.
pub struct Tls {
    files: Files,
    /// The state of the files before they were first read.
    first_identity: Identity,
    versions: Versions,
    provider: Arc<CryptoProvider>,
    // These two outlive a renewal, so that clients can resume their sessions after it.
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
    current: ArcSwap<Loaded>,
}

/// What new connections are served with.
struct Loaded {
    config: Arc<ServerConfig>,
    chain: Vec<CertificateDer<'static>>,
}

impl Tls {
    /// Reads the certificate and the key.
    ///
    /// # Errors
    /// If the files cannot be read, used, or do not belong together.
    pub fn load(config: &config::Tls) -> Result<Self, TlsError> {
        let files = Files::new(config)?;
        let versions = match config.min_version {
            TlsVersion::Tls12 => SINCE_1_2,
            TlsVersion::Tls13 => SINCE_1_3,
        };
        let provider = Arc::new(ring::default_provider());
        let tickets = ring::Ticketer::new().map_err(TlsError::Setup)?;
        let sessions: Arc<dyn StoresServerSessions> = ServerSessionMemoryCache::new(REMEMBERED_SESSIONS);
        let first_identity = files.identity();
        let key = files.read(&provider)?;
        let first = build(key, versions, &provider, &tickets, &sessions)?;
        Ok(Self {
            files,
            first_identity,
            versions,
            provider,
            tickets,
            sessions,
            current: ArcSwap::from_pointee(first),
        })
    }

    /// What accepts a new connection, with the certificate of now.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load().config.clone())
    }

    /// Reads the files again and says whether they held another chain of certificates, which is then served. Reads
    /// from disk.
    ///
    /// # Errors
    /// As for [`Tls::load`]. The old certificate is served on.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let key = self.files.read(&self.provider)?;
        // The key belongs to the certificate, so it cannot have changed alone.
        if key.cert == self.current.load().chain {
            return Ok(false);
        }
        let loaded = build(key, self.versions, &self.provider, &self.tickets, &self.sessions)?;
        self.current.store(Arc::new(loaded));
        Ok(true)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

fn build(
    key: CertifiedKey,
    versions: Versions,
    provider: &Arc<CryptoProvider>,
    tickets: &Arc<dyn ProducesTickets>,
    sessions: &Arc<dyn StoresServerSessions>,
) -> Result<Loaded, TlsError> {
    let chain = key.cert.clone();
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .map_err(TlsError::Setup)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    config.ticketer = tickets.clone();
    config.session_storage = sessions.clone();
    config.send_tls13_tickets = TICKETS;
    Ok(Loaded { config: Arc::new(config), chain })
}

#[cfg(test)]
mod tests;
