//! TLS as a client speaks it, with certificates that live as long as a test.

use super::stream::Stream;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::ServerName};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

/// What a certificate is for: the loopback addresses, and those of a tracker among [`crate::transfer::Hosts`].
const NAMES: [&str; 5] = ["localhost", "127.0.0.1", "::1", "10.78.1.1", "fd78:1::1"];

/// A certificate that signs itself, for the addresses that tests use, in files of its own.
#[derive(Clone)]
pub struct Certificate {
    directory: Arc<TempDir>,
    roots: RootCertStore,
}

impl Certificate {
    /// Makes one in a directory of its own.
    #[must_use]
    pub fn new() -> Self {
        let directory = TempDir::with_prefix("riptide-tls-").expect("a directory");
        Self { directory: Arc::new(directory), roots: RootCertStore::empty() }.renewed()
    }

    /// Another certificate with another key, in place of this one in the same files.
    #[must_use]
    pub fn renewed(&self) -> Self {
        let renewed = self.prepared();
        renewed.0.install(&renewed.1, &renewed.2);
        renewed.0
    }

    /// Another certificate and its key as PEM, not yet in the files.
    #[must_use]
    pub fn prepared(&self) -> (Self, String, String) {
        let key = KeyPair::generate().expect("a key");
        let parameters = CertificateParams::new(NAMES.map(str::to_owned)).expect("its parameters");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("a root");
        let renewed = Self { directory: Arc::clone(&self.directory), roots };
        (renewed, certificate.pem(), key.serialize_pem())
    }

    /// Writes the files, each whole or not at all.
    pub fn install(&self, certificate: &str, key: &str) {
        for (path, text) in [(self.key_file(), key), (self.certificate_file(), certificate)] {
            let aside = path.with_extension("new");
            std::fs::write(&aside, text).expect("a file");
            std::fs::rename(&aside, &path).expect("to put it in place");
        }
    }

    /// The file with the certificate, in PEM.
    #[must_use]
    pub fn certificate_file(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    /// The file with its key, in PEM.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// The keys of `[tls]` that name the files.
    #[must_use]
    pub fn keys(&self) -> String {
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        let [certificate, key] = [quoted(&self.certificate_file()), quoted(&self.key_file())];
        format!("certificate = {certificate}\nkey = {key}\n")
    }

    /// A client's configuration that trusts this certificate alone.
    #[must_use]
    pub fn client(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        alpn: &[&str],
    ) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("a version of TLS")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A client's configuration with both versions, for HTTP/1.1.
    #[must_use]
    pub fn any_client(&self) -> Arc<ClientConfig> {
        self.client(rustls::ALL_VERSIONS, &["http/1.1"])
    }
}

impl Default for Certificate {
    fn default() -> Self {
        Self::new()
    }
}

/// Speaks TLS over a connection, and shakes hands first.
///
/// # Errors
/// Whatever prevents it.
pub fn handshake(config: Arc<ClientConfig>, below: Stream) -> std::io::Result<Stream> {
    handshake_as(config, below, "localhost")
}

/// The same with whoever has this name.
///
/// # Errors
/// Whatever prevents it.
pub fn handshake_as(config: Arc<ClientConfig>, below: Stream, name: &str) -> std::io::Result<Stream> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let tls = ClientConnection::new(config, name).map_err(std::io::Error::other)?;
    let mut stream = Stream::over(below, Some(tls));
    stream.handshake()?;
    Ok(stream)
}
