//! TLS for the listeners of HTTPS: the certificate and key from their files, or had from an ACME server, renewed while running.
//!
//! New connections get what was loaded last; those that are open keep what they began with. Whatever is wrong with new
//! files, or with getting another, the old certificate is served on.

mod acceptor;
pub mod acme;
mod challenges;
mod error;
mod expiry;
mod files;
mod leaf;
pub mod roots;
mod watch;

pub use acceptor::Acceptor;
pub use error::{Role, TlsError};
pub use leaf::Leaf;

use crate::{
    config::{self, TlsVersion},
    events::Events,
};
use acme::Outcome;
use arc_swap::ArcSwap;
use challenges::Challenges;
use files::{Files, Identity};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    pki_types::CertificateDer,
    server::{
        ClientHello, ProducesTickets, ResolvesServerCert, ServerSessionMemoryCache, StoresServerSessions,
    },
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use std::{path::Path, sync::Arc};
use tracker_common::labelled;

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

labelled! {
    /// Where the certificate is from.
    pub enum Source {
        /// The files of `[tls]`.
        File = "file",
        /// The ACME server of `[tls.acme]`.
        Acme = "acme",
    }
}

/// TLS as configured, with the certificate that was loaded last.
pub struct Tls {
    /// Where the files are, and their state before they were first read; nothing with ACME.
    files: Option<(Files, Identity)>,
    versions: Versions,
    provider: Arc<CryptoProvider>,
    // These two outlive a renewal, so that clients can resume their sessions after it.
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
    current: ArcSwap<Loaded>,
    challenges: Challenges,
    /// What became of orders for certificates.
    orders: Events<Outcome>,
}

/// A certificate and its key from other files than those of `[tls]`, for a client to show. Reads from disk.
///
/// # Errors
/// As for [`Tls::load`], in which both have the names that they have in `[tls]`.
pub fn read_pair(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    Files::at(certificate, key).read(provider)
}

/// What new connections are served with.
struct Loaded {
    config: Arc<ServerConfig>,
    /// Empty while there is no certificate.
    chain: Vec<CertificateDer<'static>>,
    leaf: Option<Leaf>,
}

impl Tls {
    /// Reads the certificate and the key from their files.
    ///
    /// # Errors
    /// If the files cannot be read, used, or do not belong together.
    pub fn load(config: &config::Tls) -> Result<Self, TlsError> {
        let files = Files::new(config)?;
        let identity = files.identity();
        let mut tls = Self::new(config)?;
        tls.serve(files.read(&tls.provider)?)?;
        tls.files = Some((files, identity));
        Ok(tls)
    }

    /// Without a certificate: whoever comes is refused, until one is there.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn new(config: &config::Tls) -> Result<Self, TlsError> {
        let versions = match config.min_version {
            TlsVersion::Tls12 => SINCE_1_2,
            TlsVersion::Tls13 => SINCE_1_3,
        };
        let provider = Arc::new(ring::default_provider());
        let tickets = ring::Ticketer::new().map_err(TlsError::Setup)?;
        let sessions: Arc<dyn StoresServerSessions> = ServerSessionMemoryCache::new(REMEMBERED_SESSIONS);
        let nobody = build(Arc::new(Nobody), versions, &provider, &tickets, &sessions)?;
        let none = Loaded { config: Arc::new(nobody), chain: Vec::new(), leaf: None };
        Ok(Self {
            files: None,
            versions,
            provider,
            tickets,
            sessions,
            current: ArcSwap::from_pointee(none),
            challenges: Challenges::default(),
            orders: Events::default(),
        })
    }

    /// What accepts a new connection, with the certificate of now.
    #[must_use]
    pub fn acceptor(&self) -> Acceptor {
        Acceptor { config: self.current.load().config.clone(), challenges: self.challenges.pending() }
    }

    /// Where the certificate is from.
    #[must_use]
    pub const fn source(&self) -> Source {
        if self.files.is_some() { Source::File } else { Source::Acme }
    }

    /// What the certificate says that is served, if there is one that can be read.
    #[must_use]
    pub fn leaf(&self) -> Option<Leaf> {
        self.current.load().leaf.clone()
    }

    /// What became of orders for certificates, by this process.
    #[must_use]
    pub const fn orders(&self) -> &Events<Outcome> {
        &self.orders
    }

    /// New connections get this certificate from now on.
    fn serve(&self, key: CertifiedKey) -> Result<(), TlsError> {
        let chain = key.cert.clone();
        let leaf = chain.first().and_then(Leaf::read);
        let shown = Arc::new(SingleCertAndKey::from(key));
        let config = build(shown, self.versions, &self.provider, &self.tickets, &self.sessions)?;
        self.current.store(Arc::new(Loaded { config: Arc::new(config), chain, leaf }));
        Ok(())
    }

    /// Reads the files again, if there are any, and says whether they held another chain of certificates, which is then served.
    /// Reads from disk.
    ///
    /// # Errors
    /// As for [`Tls::load`]. The old certificate is served on.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let Some((files, _)) = &self.files else { return Ok(false) };
        let key = files.read(&self.provider)?;
        // The key belongs to the certificate, so it cannot have changed alone.
        if key.cert == self.current.load().chain {
            return Ok(false);
        }
        self.serve(key)?;
        Ok(true)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Has no certificate for anybody.
#[derive(Debug)]
struct Nobody;

impl ResolvesServerCert for Nobody {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

fn build(
    shown: Arc<dyn ResolvesServerCert>,
    versions: Versions,
    provider: &Arc<CryptoProvider>,
    tickets: &Arc<dyn ProducesTickets>,
    sessions: &Arc<dyn StoresServerSessions>,
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .map_err(TlsError::Setup)?
        .with_no_client_auth()
        .with_cert_resolver(shown);
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    config.ticketer = tickets.clone();
    config.session_storage = sessions.clone();
    config.send_tls13_tickets = TICKETS;
    Ok(config)
}

#[cfg(test)]
mod tests;
