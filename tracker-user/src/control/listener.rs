//! Takes connections at the control socket and serves each: one request, one reply.

use super::{Open, stream::Stream};
use crate::{farewell::Farewell, unix::SocketFile};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::sleep,
};

/// The longest head of a request, bytes: the least that the library takes.
const MAX_HEAD: usize = 8 << 10;
/// The wait after the system had no room for a connection.
const WAIT: Duration = Duration::from_millis(100);

/// The accept loop.
#[derive(Debug)]
pub(super) struct Accepting {
    pub(super) listener: UnixListener,
    /// Removed with it.
    pub(super) _name: SocketFile,
    pub(super) router: Router,
    /// A permit for each connection that may be open.
    pub(super) permits: Arc<Semaphore>,
    /// How long a client may take nothing, or not say what it wants.
    pub(super) patience: Duration,
}

impl Accepting {
    /// Runs until it is no longer to be open.
    pub(super) async fn run(self, mut open: watch::Receiver<Open>, _farewell: Farewell) {
        // An error is the end of the server, too.
        while let Ok(Open::Here) = open.wait_for(|open| *open != Open::Elsewhere).await.map(|open| *open) {
            tokio::select! {
                biased;
                _ = open.wait_for(|open| *open != Open::Here) => {}
                () = self.accept_all() => {}
            }
        }
    }

    async fn accept_all(&self) {
        let service = TowerToHyperService::new(self.router.clone());
        // The semaphore is never closed.
        while let Ok(permit) = self.permits.clone().acquire_owned().await {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(answer(stream, service.clone(), self.patience, permit));
                }
                Err(_) => sleep(WAIT).await,
            }
        }
    }
}

/// One request, one reply: a connection that is kept would keep its place.
async fn answer(
    stream: UnixStream,
    service: TowerToHyperService<Router>,
    patience: Duration,
    _permit: OwnedSemaphorePermit,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .half_close(true)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(Stream::new(stream, patience)), service)
        .with_upgrades();
    // Who asks is told by its own side, and who is too slow is nobody to wait for.
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a control connection ended");
    }
}
