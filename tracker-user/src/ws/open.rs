//! From a request to a connection: the handshake, and the task that it begins.

use super::{
    connection,
    handshake::{self, Refusal},
    hub::Hub,
};
use axum::{
    body::Body,
    http::{Request, Response},
};
use hyper_util::rt::TokioIo;
use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};
use tracker_common::address::Address;
use tracker_core::keys::Pass;

impl Hub {
    /// Answers a handshake (RFC 6455, section 4.2) of a client at `client`: with 101, and then its connection runs in a
    /// task of its own, or with the status of an error and a line of text. `place` is asked for the client's place among
    /// those of its address, which the connection keeps as long as it lives; without one it is refused. Call it in a
    /// Tokio runtime.
    pub fn accept<B, P: Send + 'static>(
        self: &Arc<Self>,
        mut request: Request<B>,
        client: Address,
        place: impl FnOnce() -> Option<P>,
    ) -> Response<Body> {
        let opened = handshake::check(&request, self.origins()).and_then(|response| {
            let place = place().ok_or(Refusal::Address)?;
            Ok((response, self.enter(client, Pass::of_path(request.uri().path().as_bytes()))?, place))
        });
        match opened {
            Err(refusal) => {
                self.counters().refused.add(refusal);
                refusal.response()
            }
            Ok((response, seat, place)) => {
                let upgrade = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    let _place = place;
                    let mut upgrade = pin!(upgrade);
                    let upgraded = poll_fn(|cx| match seat.queue.poll_close(cx) {
                        Poll::Ready(_) => Poll::Ready(None),
                        Poll::Pending => upgrade.as_mut().poll(cx).map(Result::ok),
                    });
                    // A client that goes before it is answered has had no connection.
                    if let Some(upgraded) = upgraded.await {
                        connection::run(seat, TokioIo::new(upgraded)).await;
                    }
                });
                response
            }
        }
    }
}
