//! Clients of the tracker's TCP doors: HTTP/1.1, HTTP/2, WebSocket and TLS, plain or behind proxies.

pub mod bencode;
pub mod house;
pub mod http;
pub mod http2;
pub mod proxy;
pub mod stream;
pub mod tls;
pub mod websocket;
