//! The ceiling of a WebTorrent tracker: WebSockets that move as many messages as a tracker does, and nothing else.
//!
//! `nothing_ws ADDRESS [CERTIFICATE KEY]` serves until it is ended; with a certificate and its key, in PEM, over TLS. An
//! announce gets a fixed reply, and each of its offers comes back as if it were somebody else's; so does each answer. No
//! peer is remembered, no JSON is read: the text is cut where `riptide-load` writes what is needed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "measuring equipment: whatever fails ends it")]

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{env, future::poll_fn, sync::Arc, task::Poll};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::{self, Message, protocol::WebSocketConfig};

/// Characters of an offer's ID, which is a number there.
const OFFER_ID: usize = 20;

fn main() {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().expect("an address");
    let tls = arguments.next().map(|certificate| acceptor(&certificate, &arguments.next().expect("a key")));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // On the runtime's thread, not on this one.
    runtime.block_on(async { tokio::spawn(accept(address, tls)).await.unwrap() });
}

async fn accept(address: String, tls: Option<TlsAcceptor>) {
    let listener = TcpListener::bind(address).await.unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let tls = tls.clone();
        // A client that goes away is none of our business.
        tokio::spawn(async move {
            match tls {
                Some(tls) => serve(tls.accept(stream).await.map_err(tungstenite::Error::Io)?).await,
                None => serve(stream).await,
            }
        });
    }
}

/// Any certificate with its key, TLS 1.2 or 1.3.
fn acceptor(certificate: &str, key: &str) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Answers what is at hand, then sends it all at once, with buffers as large as the tracker's.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<(), tungstenite::Error> {
    let config = WebSocketConfig::default().read_buffer_size(2 << 10).write_buffer_size(16 << 10);
    let mut socket = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await?;
    loop {
        let message = match poll_fn(|cx| Poll::Ready(socket.poll_next_unpin(cx))).await {
            Poll::Ready(message) => message,
            Poll::Pending => {
                socket.flush().await?;
                socket.next().await
            }
        };
        let Some(message) = message else { return Ok(()) };
        if let Message::Text(text) = message? {
            for reply in replies(&text) {
                socket.feed(Message::text(reply)).await?;
            }
        }
    }
}

/// What a client is sent for a message.
fn replies(text: &str) -> Vec<String> {
    let (Some(info_hash), Some(peer_id)) = (string(text, "info_hash"), string(text, "peer_id")) else {
        return Vec::new();
    };
    if text.contains(r#""answer":{"#) {
        return vec![text.to_owned()];
    }
    let head = format!(r#"{{"action":"announce","info_hash":"{info_hash}","#);
    let mut replies = vec![format!(r#"{head}"interval":120,"complete":1,"incomplete":1}}"#)];
    for (at, _) in text.match_indices(r#"{"offer":{"#) {
        let offer = &text[at + 1..];
        if let Some((offer, id)) = offer.split_once(r#""offer_id":""#) {
            replies.push(format!(
                r#"{head}"peer_id":"{peer_id}",{offer}"offer_id":"{}"}}"#,
                id.get(..OFFER_ID).unwrap_or_default()
            ));
        }
    }
    replies
}

/// The first string of this name, as it is written.
fn string<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = text.split_once(&format!(r#""{name}":""#))?.1;
    let mut escaped = false;
    let end = value.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(&value[..end])
}
