//! The whole way: TCP, hyper, the handshake, the connection.

use super::{
    Tracker, announce, announced,
    client::{Client, FIN, TEXT, frame, until, within},
};
use axum::{Router, extract::Request};
use std::{net::IpAddr, sync::Arc};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tracker_common::address::Address;

/// Serves the hub on a port of loopback; gives a client of it, and a guard for the server.
async fn connect(tracker: &Tracker) -> (Client<BufReader<TcpStream>>, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hub = Arc::clone(&tracker.hub);
    let router = Router::new().fallback(move |request: Request| async move {
        hub.accept(request, Address::from(IpAddr::from([127, 0, 0, 1])), || Some(()))
    });
    let server = Server(tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }));
    let stream = TcpStream::connect(address).await.unwrap();
    (Client(BufReader::new(stream)), server)
}

struct Server(tokio::task::JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn handshake(more: &str) -> String {
    format!(
        "GET /any/path HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

/// The head of an HTTP reply, in lower case.
async fn head(client: &mut Client<BufReader<TcpStream>>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let length = within("a head", client.0.read_line(&mut head)).await.unwrap();
        assert!(length > 0, "closed: {head}");
    }
    head
}

#[tokio::test]
async fn a_handshake_opens_a_websocket_and_what_comes_with_it_is_read() {
    let tracker = Tracker::new(|_| ());
    let (mut client, _server) = connect(&tracker).await;
    let more = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let mut bytes = handshake(more).into_bytes();
    bytes.extend(frame(FIN | TEXT, announce('a', "").as_bytes()));
    client.raw(&bytes).await;
    let head = head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(
        head.to_ascii_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"),
        "{head}"
    );
    assert!(!head.to_ascii_lowercase().contains("sec-websocket-extensions"), "{head}");
    assert_eq!(client.hear().await, announced(1));
    drop(client);
    until("the end", || tracker.hub.connections() == 0).await;
    assert_eq!(tracker.engine.totals().torrents, 0);
}

#[tokio::test]
async fn a_refusal_is_an_ordinary_reply() {
    let tracker = Tracker::new(|websocket| {
        websocket.denied_origins = vec!["https://bad.example".to_owned()];
        websocket.max_connections = Some(1);
    });
    let (mut client, _server) = connect(&tracker).await;
    client.raw(handshake("Origin: https://bad.example\r\n").as_bytes()).await;
    let refused = head(&mut client).await;
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    let mut body = [0; "this origin may not connect\n".len()];
    within("a body", client.0.read_exact(&mut body)).await.unwrap();
    assert_eq!(&body, b"this origin may not connect\n");
    assert_eq!(tracker.hub.connections(), 0);
    // The connection goes on as HTTP.
    client.raw(handshake("Origin: https://good.example\r\n").as_bytes()).await;
    assert!(head(&mut client).await.starts_with("HTTP/1.1 101 "));
    assert_eq!(client.ask(&announce('a', "")).await, announced(1));
}
