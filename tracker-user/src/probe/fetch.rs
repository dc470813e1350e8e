//! One request over HTTP/1.1, with bounds on what comes back and on how long that takes.

use super::{dial::Stream, shown, trouble::Trouble};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, HOST, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use std::{error::Error as _, time::Duration};
use tokio::time::{Instant, timeout_at};

/// The longest body that is read, bytes: more than any list of peers that was asked for.
pub(super) const MOST_BODY: usize = 1 << 20;
/// The longest head that is read, bytes.
const MOST_HEAD: usize = 64 << 10;

/// What the tracker answered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) encoding: Option<String>,
    pub(super) body: Vec<u8>,
    pub(super) took: Duration,
}

/// Asks for a path, over a connection that is closed afterwards.
///
/// # Errors
/// Why there is no answer.
pub(super) async fn get(
    stream: Box<dyn Stream>,
    authority: &str,
    path: &str,
    patience: Duration,
) -> Result<Answer, Trouble> {
    let began = Instant::now();
    let end = began + patience;
    let opened =
        timeout_at(end, http1::Builder::new().max_buf_size(MOST_HEAD).handshake(TokioIo::new(stream))).await;
    let (mut sender, connection) =
        opened.map_err(|_| Trouble::SilentNow(patience))?.map_err(|error| broken(&error))?;
    let request = Request::builder()
        .uri(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("riptide-probe/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Trouble::NotHttp(error.to_string()))?;
    // Its errors are told by what waits for the answer.
    let driver = tokio::spawn(connection);
    let answer = async {
        let sent = timeout_at(end, sender.send_request(request)).await;
        let response = sent.map_err(|_| Trouble::SilentNow(patience))?.map_err(|error| broken(&error))?;
        let header = |name| {
            let value = response.headers().get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let (status, location, encoding) =
            (response.status().as_u16(), header(LOCATION), header(CONTENT_ENCODING));
        let body = whole(response.into_body(), end, patience).await?;
        Ok(Answer { status, location, encoding, body, took: began.elapsed() })
    };
    let answer = answer.await;
    driver.abort();
    answer
}

/// The body, which is neither longer than it may be nor later.
async fn whole(mut body: Incoming, end: Instant, patience: Duration) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    loop {
        let frame = match timeout_at(end, body.frame()).await {
            Err(_) => return Err(Trouble::Slow { patience, bytes: bytes.len() }),
            Ok(None) => return Ok(bytes),
            Ok(Some(frame)) => frame.map_err(|error| broken(&error))?,
        };
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > MOST_BODY {
                return Err(Trouble::TooLong(MOST_BODY));
            }
            bytes.extend_from_slice(data);
        }
    }
}

fn broken(error: &hyper::Error) -> Trouble {
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Trouble::Closed;
    }
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    Trouble::NotHttp(shown::text(format!("{error}{cause}").as_bytes()))
}
