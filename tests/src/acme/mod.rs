//! ACME servers for the tracker to get certificates from, and clients that trust nothing else.

pub mod fake;
pub mod pebble;
mod relay;

use crate::{
    riptide::Riptide,
    web::{
        http::Connection,
        stream::{Stream, tcp},
        tls::handshake_as,
    },
};
use rcgen::{CertificateParams, KeyPair};
pub use relay::Relay;
use rustls::{ClientConfig, RootCertStore};
use std::{io, net::Ipv4Addr, path::PathBuf, sync::Arc};
use tempfile::TempDir;

/// The certificate that an ACME server itself shows, which signs itself, in files.
pub struct Shown {
    directory: TempDir,
    der: rustls::pki_types::CertificateDer<'static>,
}

impl Shown {
    /// Valid now.
    #[must_use]
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// As changed before it is signed.
    #[must_use]
    pub fn with(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let directory = TempDir::with_prefix("riptide-acme-").expect("a directory");
        let key = KeyPair::generate().expect("a key");
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let mut parameters = CertificateParams::new(names).expect("its parameters");
        change(&mut parameters);
        let certificate = parameters.self_signed(&key).expect("a certificate");
        std::fs::write(directory.path().join("shown.pem"), certificate.pem()).expect("a file");
        std::fs::write(directory.path().join("shown.key"), key.serialize_pem()).expect("a file");
        Self { directory, der: certificate.der().clone() }
    }

    /// The file with the certificate.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("shown.pem")
    }

    /// The file with its key.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.directory.path().join("shown.key")
    }

    /// Its directory, for what else belongs to the server.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// A client that trusts it alone.
    fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a root");
        strict(roots, &["http/1.1"])
    }
}

impl Default for Shown {
    fn default() -> Self {
        Self::new()
    }
}

/// A client that trusts these roots and offers these protocols.
#[must_use]
pub fn strict(roots: RootCertStore, alpn: &[&str]) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Each connection is to see the certificate.
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// The tables by which a tracker serves TLS with certificates of this server, whose own certificate is in this file.
#[must_use]
pub fn tables(directory: &str, ca: &std::path::Path, domains: &[&str]) -> String {
    format!(
        "[tls]\nlisten = [\"127.0.0.1:0\"]\n[tls.acme]\ndirectory = \"{directory}\"\ndirectory_ca = {:?}\ndomains = {domains:?}\n\
         contact = [\"mailto:admin@tracker.test\"]\nrequest_timeout = \"5s\"\n",
        ca.display().to_string()
    )
}

/// A connection to the tracker by this name, hands shaken.
///
/// # Errors
/// If the client does not like what it sees, or the tracker refuses.
pub fn connect(riptide: &Riptide, client: &Arc<ClientConfig>, name: &str) -> io::Result<Stream> {
    handshake_as(client.clone(), tcp(Ipv4Addr::LOCALHOST.into(), riptide.https()[0]), name)
}

/// Whether a strict client is served by this name; else what it did not like.
///
/// # Errors
/// As [`connect`].
pub fn is_served(riptide: &Riptide, client: &Arc<ClientConfig>, name: &str) -> io::Result<bool> {
    Ok(Connection::new(connect(riptide, client, name)?, "").try_get("/health")?.status == 200)
}

/// The certificate that is shown by this name.
#[must_use]
pub fn leaf(riptide: &Riptide, client: &Arc<ClientConfig>, name: &str) -> Vec<u8> {
    let stream =
        connect(riptide, client, name).unwrap_or_else(|e| panic!("{name}: {e}\n{}", riptide.log_text()));
    stream.tls().expect("TLS").peer_certificates().expect("a certificate")[0].to_vec()
}

/// Orders of the tracker that came to this end.
#[must_use]
pub fn orders(riptide: &Riptide, outcome: &str) -> u64 {
    riptide.metrics().count("riptide_tls_acme_orders_total", &[("outcome", outcome)])
}

/// Waits until so many orders have come to this end.
pub fn wait_for_orders(riptide: &Riptide, outcome: &str, number: u64) {
    let labels = [("outcome", outcome)];
    riptide.metrics_until(&format!("{number} orders {outcome}\n{}", riptide.log_text()), |metrics| {
        metrics.count("riptide_tls_acme_orders_total", &labels) == number
    });
}
