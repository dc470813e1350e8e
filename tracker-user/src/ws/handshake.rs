//! The opening handshake, server side (RFC 6455, section 4.2).

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
        header::{
            CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT,
            SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
        },
    },
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracker_common::labelled;

/// The one version there is.
const VERSION: HeaderValue = HeaderValue::from_static("13");
/// Characters of a key: sixteen bytes in base64.
const KEY_LEN: usize = 24;

labelled! {
    /// Why no WebSocket is opened.
    #[derive(thiserror::Error)]
    pub enum Refusal {
        /// It is no handshake.
        #[error("this is no WebSocket handshake")]
        NoHandshake = "no_handshake",
        /// Its version is another one.
        #[error("only version 13 of WebSocket is spoken here")]
        Version = "version",
        /// The web page it comes from may not connect.
        #[error("this origin may not connect")]
        Origin = "origin",
        /// There are as many connections as there may be.
        #[error("too many connections, try again later")]
        Full = "connections",
        /// The tracker is stopping.
        #[error("the tracker is stopping")]
        Draining = "draining",
        /// There is no memory for another connection.
        #[error("too many connections, try again later")]
        Memory = "memory",
        /// Its network is banned.
        #[error("your network is banned from this tracker")]
        Banned = "banned",
        /// Its address has all the connections that it may have.
        #[error("too many connections from this address, try again later")]
        Address = "address",
    }
}

impl Refusal {
    pub(super) fn response(self) -> Response<Body> {
        let status = match self {
            Self::NoHandshake => StatusCode::BAD_REQUEST,
            Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Origin | Self::Banned => StatusCode::FORBIDDEN,
            Self::Full | Self::Draining | Self::Memory | Self::Address => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = Response::new(Body::from(format!("{self}\n")));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        if status == StatusCode::SERVICE_UNAVAILABLE || self == Self::Banned {
            // A crowd that is refused is not to be kept as a crowd of HTTP connections.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if self == Self::Version {
            headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        response
    }
}

/// Which web pages may connect. Whoever sends no origin is no browser, and could send any.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins {
    pub(super) allowed: Vec<String>,
    pub(super) denied: Vec<String>,
}

impl Origins {
    fn permit(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(ORIGIN) else { return true };
        let is_in = |list: &[String]| {
            list.iter().any(|listed| origin.as_bytes().eq_ignore_ascii_case(listed.as_bytes()))
        };
        !is_in(&self.denied) && (self.allowed.is_empty() || is_in(&self.allowed))
    }
}

/// Checks a handshake; gives the reply that opens the WebSocket.
pub(super) fn check<B>(request: &Request<B>, origins: &Origins) -> Result<Response<Body>, Refusal> {
    let headers = request.headers();
    let is_handshake = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has_word(headers, &CONNECTION, "upgrade")
        && has_word(headers, &UPGRADE, "websocket")
        && !has_body(headers);
    if !is_handshake {
        return Err(Refusal::NoHandshake);
    }
    if headers.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        return Err(Refusal::Version);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).ok_or(Refusal::NoHandshake)?;
    if !is_key(key) {
        return Err(Refusal::NoHandshake);
    }
    if !origins.permit(headers) {
        return Err(Refusal::Origin);
    }
    let accept = HeaderValue::try_from(derive_accept_key(key)).map_err(|_| Refusal::NoHandshake)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Whether a list of words has this one, in any case, in any line of a header.
fn has_word(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether a body follows. Its bytes would be taken for frames, or the frames for it.
fn has_body(headers: &HeaderMap) -> bool {
    let is_zero = |length: &HeaderValue| length.as_bytes().iter().all(|byte| *byte == b'0');
    headers.contains_key(TRANSFER_ENCODING) || !headers.get_all(CONTENT_LENGTH).iter().all(is_zero)
}

fn is_key(key: &[u8]) -> bool {
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == KEY_LEN && key.ends_with(b"==") && key[..KEY_LEN - 2].iter().all(base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, section 1.3, with some headers replaced or, with an empty value, left out.
    fn request(changes: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::builder().uri("/announce");
        for (name, value) in [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ] {
            let value = changes.iter().find(|change| change.0 == name).map_or(value, |change| change.1);
            if !value.is_empty() {
                builder = builder.header(name, value);
            }
        }
        let further = ["origin", "content-length", "transfer-encoding"];
        for (name, value) in changes.iter().filter(|change| further.contains(&change.0)) {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    fn status(changes: &[(&str, &str)], origins: &Origins) -> u16 {
        check(&request(changes), origins).unwrap_or_else(Refusal::response).status().as_u16()
    }

    #[test]
    fn the_example_of_the_rfc() {
        let response = check(&request(&[]), &Origins::default()).unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()["upgrade"], "websocket");
        assert_eq!(response.headers()["connection"], "Upgrade");
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        for (name, value, expected) in [
            ("connection", "close", 400),
            ("connection", "upgraded", 400),
            ("connection", "", 400),
            ("upgrade", "h2c", 400),
            ("upgrade", "h2c,websocket", 101),
            ("content-length", "0", 101),
            ("content-length", "1", 400),
            ("content-length", "20", 400),
            ("transfer-encoding", "chunked", 400),
            ("sec-websocket-version", "12", 426),
            ("sec-websocket-version", "", 426),
            ("sec-websocket-key", "", 400),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ", 400),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZ===", 400),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=========", 400),
        ] {
            assert_eq!(status(&[(name, value)], &Origins::default()), expected, "{name}: {value}");
        }
        let mut post = request(&[]);
        *post.method_mut() = Method::POST;
        assert_eq!(check(&post, &Origins::default()).unwrap_err(), Refusal::NoHandshake);
        let mut old = request(&[]);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(check(&old, &Origins::default()).unwrap_err(), Refusal::NoHandshake);
        assert_eq!(Refusal::Version.response().headers()["sec-websocket-version"], "13");
        for (refusal, closes) in
            Refusal::ALL.into_iter().zip([false, false, false, true, true, true, true, true])
        {
            assert_eq!(refusal.response().headers().contains_key("connection"), closes, "{refusal:?}");
        }
    }

    #[test]
    fn origins_are_permitted_by_two_lists() {
        let origins = |allowed: &[&str], denied: &[&str]| Origins {
            allowed: allowed.iter().map(ToString::to_string).collect(),
            denied: denied.iter().map(ToString::to_string).collect(),
        };
        let (none, good, bad, null) =
            (&[][..], &["https://good.example"][..], &["https://bad.example:8443"][..], &["null"][..]);
        for (allowed, denied, origin, expected) in [
            (none, none, good[0], 101),
            (good, none, good[0], 101),
            (good, none, "HTTPS://Good.Example", 101),
            (good, none, bad[0], 403),
            (good, none, "null", 403),
            (null, none, "null", 101),
            (none, bad, bad[0], 403),
            (none, bad, good[0], 101),
            (bad, bad, bad[0], 403),
        ] {
            assert_eq!(status(&[("origin", origin)], &origins(allowed, denied)), expected, "{origin}");
        }
        assert_eq!(status(&[], &origins(good, none)), 101);
    }
}
