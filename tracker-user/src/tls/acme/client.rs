//! The HTTP client by which an ACME server is asked: bounded in time and size, and with an ear for Retry-After, which the ACME
//! library does not tell of where a request fails.

use crate::utc;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::{
    Request, Uri,
    client::conn::http1,
    header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER},
    http::response::Parts,
};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use parking_lot::Mutex;
use rustls::{CertificateError, ClientConfig, RootCertStore, crypto::CryptoProvider, pki_types::ServerName};
use std::{
    error::Error as StdError,
    io,
    pin::{Pin, pin},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The longest reply, bytes. Chains of certificates have some KiB.
const LONGEST_REPLY: usize = 256 << 10;
/// How long one address of a server may take to be connected to, since there may be others.
const CONNECT: Duration = Duration::from_secs(5);
/// How the body of an error is marked that says what is wrong (RFC 8555 section 6.7).
const PROBLEM: &str = "application/problem+json";

/// Why a request has no answer that the ACME library could read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("`{0}` is no https address")]
    NoAddress(String),
    #[error("its name cannot be resolved: {0}")]
    Name(io::Error),
    #[error("{0}")]
    Connect(io::Error),
    #[error("its certificate is not valid now")]
    Clock,
    #[error("{0}")]
    Untrusted(String),
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("it answers, but not in HTTP: {0}")]
    Http(hyper::Error),
    #[error("it gave no whole answer within {0:?}")]
    Silent(Duration),
    #[error("its answer is longer than {0} bytes")]
    TooLong(usize),
    #[error("its answer broke off: {0}")]
    Broken(Box<dyn StdError + Send + Sync>),
    #[error("it answered with the HTTP status {status}")]
    Status { status: u16 },
}

/// Asks over a connection of its own each time: there are a dozen requests every two months.
#[derive(Clone)]
pub(super) struct Client {
    tls: TlsConnector,
    /// How long a whole request may take.
    patience: Duration,
    heard: Arc<Mutex<Option<u64>>>,
}

impl Client {
    /// Trusts servers whose certificates these have signed.
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        provider: &Arc<CryptoProvider>,
        patience: Duration,
    ) -> Result<Self, rustls::Error> {
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), patience, heard: Arc::default() })
    }

    /// Until when the server said to wait, in its last refusal that said so: seconds since 1970.
    pub(super) fn retry_after(&self) -> Option<u64> {
        *self.heard.lock()
    }

    async fn ask(&self, request: Request<BodyWrapper<Bytes>>) -> Result<(Parts, Bytes), Unanswered> {
        let (parts, body) = timeout(self.patience, self.exchange(request))
            .await
            .map_err(|_| Unanswered::Silent(self.patience))??;
        if parts.status.is_client_error() || parts.status.is_server_error() {
            if let Some(until) = retry_after(&parts.headers, utc::wall()) {
                *self.heard.lock() = Some(until);
            }
            let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            if !kind.is_some_and(|kind| kind.starts_with(PROBLEM)) {
                return Err(Unanswered::Status { status: parts.status.as_u16() });
            }
        }
        Ok((parts, body))
    }

    async fn exchange(&self, mut request: Request<BodyWrapper<Bytes>>) -> Result<(Parts, Bytes), Unanswered> {
        let uri = std::mem::take(request.uri_mut());
        let no_address = || Unanswered::NoAddress(uri.to_string());
        let authority =
            uri.authority().filter(|_| uri.scheme_str() == Some("https")).ok_or_else(no_address)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| no_address())?;
        let stream = self.connect(host, authority.port_u16().unwrap_or(443), name).await?;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        *request.uri_mut() = target.parse::<Uri>().map_err(|_| no_address())?;
        let named = HeaderValue::from_str(authority.as_str()).map_err(|_| no_address())?;
        request.headers_mut().insert(HOST, named);
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(Unanswered::Http)?;
        let mut answer = pin!(async {
            let (parts, body) = sender.send_request(request).await.map_err(Unanswered::Http)?.into_parts();
            let body = Limited::new(body, LONGEST_REPLY).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    Unanswered::TooLong(LONGEST_REPLY)
                } else {
                    Unanswered::Broken(error)
                }
            })?;
            Ok::<_, Unanswered>((parts, body.to_bytes()))
        });
        let mut connection = pin!(connection);
        // What the connection has to say when it ends, the answer says as well.
        tokio::select! {
            answered = answer.as_mut() => answered,
            _ = connection.as_mut() => answer.as_mut().await,
        }
    }

    /// One address after the other, until one takes the connection.
    async fn connect(
        &self,
        host: &str,
        port: u16,
        name: ServerName<'static>,
    ) -> Result<TlsStream<TcpStream>, Unanswered> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
        for address in tokio::net::lookup_host((host, port)).await.map_err(Unanswered::Name)? {
            let connecting = timeout(CONNECT, TcpStream::connect(address)).await;
            match connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => return self.tls.connect(name, stream).await.map_err(of_handshake),
                Err(error) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
            }
        }
        Err(Unanswered::Connect(last))
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let (parts, body) =
                client.ask(request).await.map_err(|error| instant_acme::Error::Other(Box::new(error)))?;
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

/// Why a handshake failed, as far as that tells what to do.
fn of_handshake(error: io::Error) -> Unanswered {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => match why {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Unanswered::Clock,
            why => Unanswered::Untrusted(why.to_string()),
        },
        _ => Unanswered::Tls(error),
    }
}

/// Until when to wait (RFC 9110 section 10.2.3), seconds since 1970.
fn retry_after(headers: &HeaderMap, now: u64) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(now.saturating_add(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_seconds_or_by_a_date() {
        let now = 1_796_022_062;
        for (text, expected) in [
            ("120", Some(now + 120)),
            (" 0 ", Some(now)),
            ("18446744073709551615", Some(u64::MAX)),
            ("Mon, 30 Nov 2026 07:01:03 GMT", Some(now + 1)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), expected, "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
