//! The TLS of a tracker, and what there is to say of it. A certificate that clients would not trust is told and put up
//! with, so that what lies behind it can be looked at, too.

use super::{
    finding::{Findings, Step},
    shown::{self, count},
    trouble::{Transport, Trouble},
};
use crate::tls::Leaf;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, UNIX_EPOCH},
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The longest file of authorities that is read, bytes.
const MOST_AUTHORITIES: u64 = 4 << 20;
/// With fewer days left, whoever renews the certificate should have done so.
const RENEWAL_DAYS: u64 = 14;
const DAY: u64 = 86_400;
/// Names of a certificate that are shown.
const NAMES_SHOWN: usize = 3;

/// The authorities whose certificates are trusted.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

/// Why there are no authorities.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrustError {
    #[error("--ca {}: {source}; name a file of certificates in PEM that this user may read", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "--ca {}: there is no certificate in it that can be used: it must hold those of authorities in PEM, from a line \
         `-----BEGIN CERTIFICATE-----`", .0.display()
    )]
    NoCertificate(PathBuf),
}

impl Trust {
    /// No authorities, where there is no TLS.
    pub(super) fn nobody() -> Self {
        Self::of(RootCertStore::empty())
    }

    fn of(roots: RootCertStore) -> Self {
        Self { roots: Arc::new(roots), provider: Arc::new(ring::default_provider()) }
    }

    /// The authorities that this system trusts, and those in a file.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub(super) fn load(file: Option<&Path>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        // Where the system has none there is none to add; what comes of that is told with the certificate.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = file {
            let unreadable = |source| TrustError::Unreadable { path: path.to_owned(), source };
            let mut text = Vec::new();
            File::open(path)
                .and_then(|file| file.take(MOST_AUTHORITIES).read_to_end(&mut text))
                .map_err(unreadable)?;
            let named = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
            let (added, _) = roots.add_parsable_certificates(named);
            if added == 0 {
                return Err(TrustError::NoCertificate(path.to_owned()));
            }
        }
        Ok(Self::of(roots))
    }

    /// Shakes hands as a client of the host with this name or address, and says what was seen.
    ///
    /// # Errors
    /// Why there is no TLS.
    pub(super) async fn shake_hands(
        &self,
        stream: TcpStream,
        host: &str,
        patience: Duration,
    ) -> Result<(TlsStream<TcpStream>, Step), Trouble> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Trouble::Tls(format!("`{host}` is no name that a certificate can be for")))?;
        let peer = stream.peer_addr().map_err(Trouble::Io)?;
        let watcher = Arc::new(Watcher::new(self));
        let config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map(|builder| builder.dangerous().with_custom_certificate_verifier(watcher.clone()))
            .map_err(|error| Trouble::Tls(error.to_string()))?;
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let began = Instant::now();
        let shaking = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let stream = match timeout(patience, shaking).await {
            Err(_) => return Err(Trouble::Tls(format!("no TLS in {}", shown::patience(patience)))),
            Ok(Err(error)) => return Err(failed(error, (peer.ip(), peer.port()))),
            Ok(Ok(stream)) => stream,
        };
        let step = Step::new("TLS", None).took(began.elapsed());
        let step = facts(&stream, &watcher.verdict(), self.roots.is_empty(), host, step);
        Ok((stream, step))
    }
}

/// Why hands were not shaken.
fn failed(error: io::Error, address: (std::net::IpAddr, u16)) -> Trouble {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(_)) => {
            Trouble::Tls("what answers does not speak TLS: is this the port of plain HTTP?".to_owned())
        }
        Some(Error::AlertReceived(alert)) => Trouble::Tls(format!(
            "the tracker ends the handshake ({alert:?}): it has no certificate for this name, or no version of TLS or cipher \
             that is in use today (TLS 1.2 and 1.3 were offered)"
        )),
        Some(error) => Trouble::Tls(format!("no TLS: {error}")),
        None => Trouble::of(error, Transport::Tcp, address),
    }
}

fn facts(
    stream: &TlsStream<TcpStream>,
    verdict: &Result<(), Error>,
    no_authorities: bool,
    host: &str,
    step: Step,
) -> Step {
    let (_, connection) = stream.get_ref();
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS",
    };
    let protocol =
        connection.alpn_protocol().map(|name| format!(", {}", shown::text(name))).unwrap_or_default();
    let chain = connection.peer_certificates().unwrap_or_default();
    let certificate = chain.first().and_then(Leaf::read);
    let now = UNIX_EPOCH.elapsed().map_or(0, |now| now.as_secs());
    let (mut told, findings) = judge(certificate.as_ref(), chain.len(), verdict, no_authorities, host, now);
    told.insert_str(0, &format!("{version}{protocol}"));
    step.told(told).found(findings)
}

/// Judges what a tracker showed of itself, at this time in seconds since 1970. The text tells of the certificate.
fn judge(
    certificate: Option<&Leaf>,
    sent: usize,
    verdict: &Result<(), Error>,
    no_authorities: bool,
    host: &str,
    now: u64,
) -> (String, Findings) {
    let mut findings = Findings::default();
    let mut told = String::new();
    let Some(certificate) = certificate else {
        findings.wrong("the certificate cannot be read");
        return (told, findings);
    };
    let (begins, ends) = (certificate.not_before, certificate.not_after);
    told += &format!("; certificate for {}", names(&certificate.names));
    if ends <= now {
        findings.wrong(format!("the certificate expired {} ago: renew it", span(now - ends)));
    } else if begins > now {
        findings.wrong(format!("the certificate is good only in {}: is a clock wrong?", span(begins - now)));
    } else {
        let days = (ends - now) / DAY;
        told += &format!(", {} left", count(days, "day"));
        if days < RENEWAL_DAYS {
            findings.note(format!("the certificate ends in {}: see that it is renewed", span(ends - now)));
        }
    }
    if no_authorities {
        findings.wrong(
            "whether the certificate is trusted cannot be told, since this machine knows no authorities: install \
             ca-certificates, or name a file of them with --ca",
        );
        return (told, findings);
    }
    let Err(error) = verdict else { return (told, findings) };
    match error {
        Error::InvalidCertificate(reason) => match reason {
            // Told by its dates.
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } if findings.worst() == super::finding::Mark::Wrong => {}
            CertificateError::UnknownIssuer if certificate.signs_itself => findings.wrong(
                "the certificate is signed by itself: clients do not trust it (--ca FILE trusts those of an authority of \
                 your own)",
            ),
            CertificateError::UnknownIssuer if sent == 1 => findings.wrong(
                "no authority that this machine trusts has signed the certificate, and it came alone: serve the whole chain, \
                 with the certificates between it and the authority (often called fullchain)",
            ),
            CertificateError::UnknownIssuer => findings.wrong(format!(
                "no authority that this machine trusts has signed the chain of {sent} certificates (--ca FILE trusts others)"
            )),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => findings.wrong(format!(
                "the certificate is for {} and not for {host}",
                names(&certificate.names)
            )),
            other => findings.wrong(format!("clients do not trust the certificate: {other}")),
        },
        other => findings.wrong(format!("clients do not trust the certificate: {other}")),
    }
    (told, findings)
}

fn names(all: &[String]) -> String {
    let shown: Vec<_> = all.iter().take(NAMES_SHOWN).map(|name| shown::text(name.as_bytes())).collect();
    match all.len() {
        0 => "no name".to_owned(),
        1..=NAMES_SHOWN => shown.join(", "),
        number => format!("{} and {} more", shown.join(", "), number - NAMES_SHOWN),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        ..7200 => count(seconds / 60, "minute"),
        7200..172_800 => count(seconds / 3600, "hour"),
        _ => count(seconds / DAY, "day"),
    }
}

/// Looks at a chain as every client does, remembers what came of it, and lets it pass.
#[derive(Debug)]
struct Watcher {
    /// Without authorities there is none.
    judge: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    verdict: Mutex<Result<(), Error>>,
}

impl Watcher {
    fn new(trust: &Trust) -> Self {
        let judge = WebPkiServerVerifier::builder_with_provider(trust.roots.clone(), trust.provider.clone())
            .build()
            .ok();
        Self { judge, provider: trust.provider.clone(), verdict: Mutex::new(Ok(())) }
    }

    fn verdict(&self) -> Result<(), Error> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Watcher {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(judge) = &self.judge {
            let judged = judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
            *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = judged.map(drop);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
