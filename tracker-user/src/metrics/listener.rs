//! The listener of metrics, bounded as those of HTTP are: connections, the time of each, the head of a request.

use super::{Sources, router};
use crate::config;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

/// The longest head of a request, bytes: the least that the library takes.
const MAX_HEAD: usize = 8 << 10;

/// The wait after the system had no room for a connection.
const WAIT: Duration = Duration::from_millis(100);

/// An open listener, which nobody serves yet.
#[derive(Debug)]
pub struct Listener {
    /// As the configuration says.
    pub configured: SocketAddr,
    listener: std::net::TcpListener,
    /// Where it listens, the port filled in.
    pub address: SocketAddr,
}

impl Listener {
    /// Opens it.
    ///
    /// # Errors
    /// When the address is not to be had.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::opened(address, std::net::TcpListener::bind(address)?)
    }

    /// One that is open already.
    ///
    /// # Errors
    /// When it is none.
    pub fn opened(configured: SocketAddr, listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { configured, listener, address })
    }

    /// The same by a further descriptor, for another process.
    ///
    /// # Errors
    /// When descriptors are short.
    pub fn share(&self) -> io::Result<std::net::TcpListener> {
        self.listener.try_clone()
    }

    /// Serves it on the runtime in whose context this is called, as long as that lives, or until [`Serving::lend`].
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub fn serve(self, config: &config::Metrics, sources: Arc<Sources>) -> io::Result<Serving> {
        let listener = TcpListener::from_std(self.listener)?;
        let service = TowerToHyperService::new(router(sources));
        let permits = Arc::new(Semaphore::new(config.max_connections));
        let patience = config.request_timeout;
        let (lent, mut watched) = watch::channel(false);
        tokio::spawn(async move {
            // The semaphore is never closed.
            while let Ok(permit) = permits.clone().acquire_owned().await {
                let accepted = tokio::select! {
                    biased;
                    lent = async { watched.wait_for(|lent| *lent).await.is_ok() } => match lent {
                        true => None,
                        // Nobody can lend it any more.
                        false => Some(listener.accept().await),
                    },
                    accepted = listener.accept() => Some(accepted),
                };
                let Some(accepted) = accepted else {
                    if watched.wait_for(|lent| !lent).await.is_err() {
                        return;
                    }
                    continue;
                };
                match accepted {
                    Ok((stream, _)) => {
                        let served = answer(stream, service.clone());
                        tokio::spawn(async move {
                            // Who asks is told by its own side, and who is too slow is nobody to wait for.
                            let _ = timeout(patience, served).await;
                            drop(permit);
                        });
                    }
                    Err(_) => sleep(WAIT).await,
                }
            }
        });
        Ok(Serving(Arc::new(lent)))
    }
}

/// The way to leave requests that come to another process.
#[derive(Clone, Debug)]
pub struct Serving(Arc<watch::Sender<bool>>);

impl Serving {
    /// Accepts no connection from now on; those that come wait for whoever listens at the same place.
    pub fn lend(&self) {
        self.0.send_replace(true);
    }

    /// Accepts them again.
    pub fn reclaim(&self) {
        self.0.send_replace(false);
    }
}

/// One request, one reply: whoever collects metrics comes seldom, and a connection that is kept would keep its place.
async fn answer(stream: TcpStream, service: TowerToHyperService<axum::Router>) -> hyper::Result<()> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}
