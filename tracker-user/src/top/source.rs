//! Where readings come from: a metrics listener, asked over HTTP, with a bound on everything that it may answer.

use super::{
    exposition::{self, ParseError},
    reading::Reading,
};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::{Request, StatusCode, Uri, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use std::{error::Error as _, io, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// The longest answer that is read, bytes.
const MAX_BODY: usize = 8 << 20;
/// The longest head of one, bytes.
const MAX_HEAD: usize = 64 << 10;
/// How long the tracker may take for a whole answer, from the first packet on.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where metrics are, if nobody says so.
const PATH: &str = "/metrics";

/// What is wrong with an address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UrlError {
    #[error("{0:?} is no address of metrics: write one such as http://127.0.0.1:9000/metrics")]
    Malformed(String),
    #[error(
        "{0:?} is not plain HTTP, which is all that a tracker serves its metrics by: \
         for one elsewhere run `ssh -t HOST riptide top`"
    )]
    Scheme(String),
}

/// Why there is no reading.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error(
        "{address} cannot be reached: {source}; see that the tracker runs, and that this is its metrics.listen"
    )]
    Unreachable { address: String, source: io::Error },
    #[error("{0} gave no whole answer within {seconds} seconds", seconds = PATIENCE.as_secs())]
    Silent(String),
    #[error("{address} broke off its answer: {reason}")]
    Broken { address: String, reason: String },
    #[error("{0} answers with more than {mebibytes} MiB, which no tracker does", mebibytes = MAX_BODY >> 20)]
    TooLong(String),
    #[error(
        "{url} answers with status {status}: there are no metrics, see that this is the address that the log tells"
    )]
    Status { url: String, status: StatusCode },
    #[error("{url} answers, but not with metrics: {error}")]
    NotMetrics { url: String, error: ParseError },
    #[error("{url} answers, but not with text")]
    NotText { url: String },
    #[error("{url} has metrics, but of something else than Riptide: riptide_build_info is not among them")]
    Foreign { url: String },
}

/// A metrics listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    host: String,
    port: u16,
    /// Host and port, as they are shown and asked for.
    pub(super) address: String,
    path: String,
}

impl Source {
    /// Of an address. The scheme and the path may be left out.
    ///
    /// # Errors
    /// It is none, or none that could be asked.
    pub(super) fn parse(text: &str) -> Result<Self, UrlError> {
        let malformed = || UrlError::Malformed(text.to_owned());
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = whole.parse().map_err(|_| malformed())?;
        if uri.scheme_str() != Some("http") {
            return Err(UrlError::Scheme(text.to_owned()));
        }
        let authority = uri.authority().ok_or_else(malformed)?;
        let host = authority.host();
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(malformed());
        }
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => 80,
            Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(malformed)?,
            None => return Err(malformed()),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            address: format!("{host}:{port}"),
            path: if path == "/" { PATH.to_owned() } else { path.to_owned() },
        })
    }

    /// The whole address.
    pub(super) fn url(&self) -> String {
        format!("http://{}{}", self.address, self.path)
    }

    /// Asks once.
    ///
    /// # Errors
    /// Why there is nothing to show.
    pub(super) async fn read(&self) -> Result<Reading, SourceError> {
        let answered = timeout(PATIENCE, self.get()).await;
        let body = answered.map_err(|_| SourceError::Silent(self.address.clone()))??;
        let text = str::from_utf8(&body).map_err(|_| SourceError::NotText { url: self.url() })?;
        let samples =
            exposition::parse(text).map_err(|error| SourceError::NotMetrics { url: self.url(), error })?;
        Reading::of(&samples).ok_or_else(|| SourceError::Foreign { url: self.url() })
    }

    async fn get(&self) -> Result<Bytes, SourceError> {
        let address = || self.address.clone();
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|source| SourceError::Unreachable { address: address(), source })?;
        let broken = |error: &hyper::Error| SourceError::Broken { address: address(), reason: cause(error) };
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error))?;
        // It ends with what waits for the answer, which tells of its errors, too.
        let connection = Ends(tokio::spawn(connection));
        let request = Request::get(&self.path)
            .header(header::HOST, &self.address)
            .header(header::ACCEPT, "text/plain")
            .body(Empty::<Bytes>::new())
            .map_err(|error| SourceError::Broken { address: address(), reason: error.to_string() })?;
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        if response.status() != StatusCode::OK {
            return Err(SourceError::Status { url: self.url(), status: response.status() });
        }
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
        drop(connection);
        match body {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(SourceError::TooLong(address())),
            Err(error) => Err(SourceError::Broken {
                address: address(),
                reason: error.downcast_ref::<hyper::Error>().map_or_else(|| error.to_string(), cause),
            }),
        }
    }
}

/// A task that is of no use to anybody else.
struct Ends<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Ends<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn cause(error: &hyper::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error} ({cause})"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    #[test]
    fn addresses_may_be_short() {
        for (text, address, url) in [
            ("http://127.0.0.1:9000/metrics", "127.0.0.1:9000", "http://127.0.0.1:9000/metrics"),
            ("127.0.0.1:9000", "127.0.0.1:9000", "http://127.0.0.1:9000/metrics"),
            ("localhost", "localhost:80", "http://localhost:80/metrics"),
            ("http://[::1]:9/", "[::1]:9", "http://[::1]:9/metrics"),
            ("[::1]:9/a?b=c", "[::1]:9", "http://[::1]:9/a?b=c"),
        ] {
            let source = Source::parse(text).unwrap();
            assert_eq!((source.address.as_str(), source.url().as_str()), (address, url), "{text}");
        }
        assert_eq!(Source::parse("http://[::1]:9/").unwrap().host, "::1");
    }

    #[test]
    fn what_is_no_address_is_told() {
        for text in
            ["", "http://", "http:///metrics", ":9000", "a b", "a:99999", "a:", "user@host:1", "http://a:b"]
        {
            assert!(matches!(Source::parse(text), Err(UrlError::Malformed(_))), "{text:?}");
        }
        for text in ["https://127.0.0.1:9000/metrics", "udp://127.0.0.1:6969"] {
            assert_eq!(Source::parse(text), Err(UrlError::Scheme(text.to_owned())));
        }
    }

    /// What is made of these bytes.
    fn read(answer: &'static [u8]) -> Result<Reading, SourceError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = Source::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            // Whoever has seen too much closes before it has seen all.
            let _ = stream.write_all(answer);
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outcome = runtime.block_on(source.read());
        let request = server.join().unwrap();
        assert!(request.starts_with("GET /metrics HTTP/1.1\r\n"), "{request}");
        outcome
    }

    #[test]
    fn a_tracker_is_read() {
        let reading = read(
            b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nriptide_build_info{version=\"1\",commit=\"c\"} 1\n",
        );
        assert_eq!(reading.unwrap().version, "1");
    }

    #[test]
    fn what_is_no_tracker_is_told() {
        for (answer, expected) in [
            (
                &b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"[..],
                "answers with status 404 Not Found",
            ),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n<html>\n",
                "answers, but not with metrics: line 1",
            ),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nup 1\n", "of something else than Riptide"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\xff\xfe", "answers, but not with text"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nup 1\n", "broke off its answer"),
            (b"SSH-2.0-OpenSSH_9.2p1\r\n", "broke off its answer"),
            (b"", "broke off its answer"),
        ] {
            let error = read(answer).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn no_answer_is_read_beyond_its_bound() {
        let body = vec![b'#'; MAX_BODY + 1];
        let answer = [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", &body[..]].concat();
        assert!(matches!(read(answer.leak()), Err(SourceError::TooLong(_))));
        let head = ["HTTP/1.1 200 OK\r\nx: ", &"x".repeat(2 * MAX_HEAD), "\r\n\r\n"].concat();
        assert!(matches!(read(head.leak().as_bytes()), Err(SourceError::Broken { .. })));
    }

    #[test]
    fn a_closed_port_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = Source::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        drop(listener);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(source.read()).unwrap_err().to_string();
        assert!(error.contains("cannot be reached: Connection refused"), "{error}");
    }
}
