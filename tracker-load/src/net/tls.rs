//! TLS as a client, with full handshakes: sessions are not resumed, so that each connection costs the tracker the same.

use crate::error::Error;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The certificates of Debian and its relatives.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Who is believed to be the tracker.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Anybody, with any certificate.
    pub anybody: bool,
    /// Who has a certificate from one of the authorities in this PEM file; the system's, if there is none.
    pub authorities: Option<PathBuf>,
}

/// How TLS connections to one target begin.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// For the host of this name or address.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name or a file that cannot be used.
    pub fn new(host: &str, trust: &Trust) -> Result<Self, Error> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::Usage(format!("{host} is no name that a certificate can hold")))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Usage(format!("TLS cannot be set up: {error}")))?;
        let mut config = if trust.anybody {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        } else {
            let path = trust.authorities.as_deref().unwrap_or(Path::new(SYSTEM_ROOTS));
            builder.with_root_certificates(roots(path)?)
        }
        .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), name })
    }

    /// A connection that has not begun yet.
    ///
    /// # Errors
    /// What rustls says.
    pub fn connection(&self) -> Result<ClientConnection, rustls::Error> {
        ClientConnection::new(Arc::clone(&self.config), self.name.clone())
    }
}

fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let wrong = |why: String| {
        Error::Usage(format!(
            "certificates cannot be read from {}: {why}; give --ca FILE, or --insecure",
            path.display()
        ))
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        // The system's file may hold some that rustls does not take; the others still serve.
        let _ = store.add(certificate);
    }
    if store.is_empty() { Err(wrong("there are none in it".into())) } else { Ok(store) }
}

/// Takes any certificate, but checks that the peer has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_have_certificates() {
        let trust = Trust { anybody: true, authorities: None };
        for host in ["127.0.0.1", "::1", "tracker.example"] {
            Tls::new(host, &trust).unwrap().connection().unwrap();
        }
        assert!(matches!(Tls::new("no_such..name", &trust), Err(Error::Usage(_))));
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        for file in ["/dev/null", "/no/such/file"] {
            let trust = Trust { anybody: false, authorities: Some(file.into()) };
            let error = Tls::new("a.example", &trust).unwrap_err().to_string();
            assert!(error.contains(file) && error.contains("--insecure"), "{error}");
        }
    }
}
