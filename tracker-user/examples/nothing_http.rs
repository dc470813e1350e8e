//! The ceiling of an HTTP tracker: an axum route that does nothing but answer with a body of a given length.
//!
//! `nothing_http ADDRESS BYTES` serves until it is ended.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "measuring equipment: whatever fails ends it")]

use axum::{Router, http::header, routing};
use std::env;

fn main() {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().expect("an address");
    let length: usize = arguments.next().and_then(|text| text.parse().ok()).expect("a length");
    // A bencoded dictionary without peers, so that a generator takes it for an announce reply.
    let head = "d8:completei1e10:downloadedi0e10:incompletei1e8:intervali1800e12:min intervali300e5:peers0:6:peers60:1:x";
    let rest = length.saturating_sub(head.len() + 4);
    let body: &'static str = Box::leak(format!("{head}{rest}:{}e", "x".repeat(rest)).into_boxed_str());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let route = routing::get(move || async move { ([(header::CONTENT_TYPE, "text/plain")], body) });
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| stream.set_nodelay(true).unwrap());
        axum::serve(listener, Router::new().route("/announce", route)).await.unwrap();
    });
}
