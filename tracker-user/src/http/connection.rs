//! One connection, from its first byte to its last: PROXY header, TLS, HTTP, and the limits of time on each.

use super::{
    activity::{Activity, FIRST_WORDS, LAST_WORDS},
    counters::{Action, Closed, Counters, Open, Outcome},
    limits::Place,
    proxy_protocol,
    router::{Answer, Reply, Router},
    stage::Stage,
    stream::{Socket, Stream},
};
use crate::{clock::monotonic_ns, config::Http, tls::Acceptor};
use futures_util::{FutureExt as _, future::FusedFuture};
use hyper::{
    Request, Response,
    body::Incoming,
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    convert::Infallible,
    future::poll_fn,
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_rustls::server::TlsStream;
use tracker_common::address::Address;

/// Requests that an HTTP/2 connection may have open, and so replies that may wait for a client that reads nothing.
const MAX_STREAMS: u32 = 32;
/// What an HTTP/2 client may send ahead: requests have no bodies to speak of.
const WINDOW: u32 = 64 << 10;
/// Replies of a stream that HTTP/2 buffers.
const SEND_BUFFER: usize = 64 << 10;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Connections {
    router: Arc<Router>,
    counters: Arc<Counters>,
    stage: watch::Receiver<Stage>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    request_timeout: Duration,
    idle_timeout: Duration,
    proxy_protocol: bool,
}

impl Connections {
    /// As configured.
    pub(super) fn new(
        config: &Http,
        router: Arc<Router>,
        counters: Arc<Counters>,
        stage: watch::Receiver<Stage>,
    ) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            // A client may end its side once it has asked, and still reads the reply.
            .half_close(true)
            // One copy of a small reply behind its head is cheaper than a second slice, and gives the reply's memory
            // back at once. `pipeline_flush` stays off: it holds replies back while the next request is incomplete.
            .writev(false)
            .max_buf_size(config.max_header_size)
            .max_header_size(config.max_header_size);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(config.max_header_size).unwrap_or(u32::MAX))
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_send_buf_size(SEND_BUFFER);
        Self {
            router,
            counters,
            stage,
            http1,
            http2,
            request_timeout: config.request_timeout,
            idle_timeout: config.idle_timeout,
            proxy_protocol: config.proxy_protocol,
        }
    }

    /// Where it is counted.
    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Where the tracker is in its life.
    pub(super) fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.clone()
    }

    /// Serves a connection until its end, or until it has become a WebSocket. `held` is let go of then.
    pub(super) async fn serve(
        self: Arc<Self>,
        socket: Socket,
        peer: Option<IpAddr>,
        tls: Option<Acceptor>,
        held: (Open, OwnedSemaphorePermit),
    ) {
        let _held = held;
        let deadline = Instant::now() + self.request_timeout;
        let mut stage = self.stage.clone();
        let mut draining = pin!(
            async {
                // An error is the end of the server, too.
                let _ = stage.wait_for(|stage| stage.is_ending()).await;
            }
            .fuse()
        );
        let begun = {
            let mut begin = pin!(timeout_at(deadline, self.begin(socket, peer, tls)));
            tokio::select! {
                biased;
                begun = begin.as_mut() => begun,
                () = draining.as_mut() => match timeout(FIRST_WORDS, begin).await {
                    Ok(begun) => begun,
                    Err(_) => return,
                }
            }
        };
        let Begun { transport, peer, place } = match begun {
            Ok(Ok(Some(begun))) => begun,
            Ok(Ok(None)) => return,
            Ok(Err(why)) => return self.counters.closed.add(why),
            Err(_) => return self.counters.closed.add(Closed::RequestTimeout),
        };
        let activity = Arc::<Activity>::default();
        let service = Requests { router: self.router.clone(), peer, activity: activity.clone() };
        let ended = match transport {
            Transport::Plain(socket) => {
                let io = TokioIo::new(Stream::new(socket, place, activity.clone()));
                let connection = self.http1.serve_connection(io, service).with_upgrades();
                self.drive(pin!(connection), &activity, deadline, draining).await
            }
            Transport::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => {
                let io = TokioIo::new(Stream::new(*tls, place, activity.clone()));
                let connection = self.http2.serve_connection(io, service);
                self.drive(pin!(connection), &activity, deadline, draining).await
            }
            Transport::Tls(tls) => {
                let io = TokioIo::new(Stream::new(*tls, place, activity.clone()));
                let connection = self.http1.serve_connection(io, service).with_upgrades();
                self.drive(pin!(connection), &activity, deadline, draining).await
            }
        };
        if let Err(error) = ended {
            self.counters.closed.add(Closed::Broken);
            if error.is_parse() {
                // Refused by hyper itself.
                let family = peer.map(|ip| Address::from(ip).family());
                self.counters.answered(Action::Other, family, Outcome::Rejected);
            }
            tracing::trace!(%error, "a connection ended");
        }
    }

    /// What comes before HTTP. `None`: there will be none, and that is in order.
    async fn begin(
        &self,
        mut socket: Socket,
        mut peer: Option<IpAddr>,
        tls: Option<Acceptor>,
    ) -> Result<Option<Begun>, Closed> {
        let clients = &self.router.clients;
        let trusted = clients.trusts(peer);
        let mut told = false;
        if self.proxy_protocol && trusted {
            let header = proxy_protocol::read(&mut socket).await.map_err(|_| Closed::ProxyHeader)?;
            if let Some(client) = header {
                peer = Some(client.ip().to_canonical());
                told = true;
            }
        }
        let place = match (&self.router.per_address, peer) {
            (Some(limit), Some(ip)) if told || !trusted => {
                Some(limit.take(Address::from(ip)).ok_or(Closed::AddressLimit)?)
            }
            _ => None,
        };
        let transport = match tls {
            None => Transport::Plain(socket),
            Some(acceptor) => match acceptor.accept(socket).await.map_err(|_| Closed::Tls)? {
                Some(stream) => Transport::Tls(Box::new(stream)),
                None => return Ok(None),
            },
        };
        Ok(Some(Begun { transport, peer, place }))
    }

    /// Runs HTTP until the end, and watches that requests come.
    async fn drive<C: Ending>(
        &self,
        mut connection: Pin<&mut C>,
        activity: &Activity,
        deadline: Instant,
        mut draining: Pin<&mut impl FusedFuture<Output = ()>>,
    ) -> hyper::Result<()> {
        if draining.is_terminated() {
            return finish(connection, activity).await;
        }
        let mut timer = pin!(sleep_until(deadline));
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => return ended,
                () = timer.as_mut() => match self.silence_left(activity) {
                    Ok(left) => timer.as_mut().reset(Instant::now() + left),
                    Err(why) => {
                        self.counters.closed.add(why);
                        connection.as_mut().end();
                        // Whoever is still at it then has had its time.
                        return timeout(LAST_WORDS.min(self.idle_timeout), connection).await.unwrap_or(Ok(()));
                    }
                },
                () = draining.as_mut() => return finish(connection, activity).await,
            }
        }
    }

    /// How long the next request may still take.
    fn silence_left(&self, activity: &Activity) -> Result<Duration, Closed> {
        match activity.last_request() {
            _ if activity.awaits() => Ok(self.idle_timeout),
            None => Err(Closed::RequestTimeout),
            Some(last) => {
                let silent = Duration::from_nanos(monotonic_ns().saturating_sub(last));
                let left = self.idle_timeout.saturating_sub(silent);
                if left.is_zero() { Err(Closed::IdleTimeout) } else { Ok(left) }
            }
        }
    }
}

/// Answers what is in hand and ends.
///
/// hyper takes a kept connection for idle until it has a whole head, and would drop the beginning of one.
async fn finish<C: Ending>(mut connection: Pin<&mut C>, activity: &Activity) -> hyper::Result<()> {
    let began = Instant::now();
    let mut timer = pin!(sleep_until(began));
    let mut told = false;
    poll_fn(|cx| {
        loop {
            let patience = activity.patience(C::DROPS_BEGINNINGS);
            if !told {
                if timer.deadline() != began + patience {
                    timer.as_mut().reset(began + patience);
                }
                if timer.as_mut().poll(cx).is_ready() {
                    connection.as_mut().end();
                    told = true;
                }
            }
            match connection.as_mut().poll(cx) {
                Poll::Pending if !told && activity.patience(C::DROPS_BEGINNINGS) != patience => {}
                polled => return polled,
            }
        }
    })
    .await
}

/// A connection on which HTTP can begin.
struct Begun {
    transport: Transport,
    /// Who it is from, as the PROXY header says if there is one.
    peer: Option<IpAddr>,
    place: Option<Place>,
}

enum Transport {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// A connection of either version of HTTP.
trait Ending: Future<Output = hyper::Result<()>> {
    /// Whether [`Ending::end`] drops a request that has only begun to come.
    const DROPS_BEGINNINGS: bool;

    /// Answers what is in hand and takes no more requests.
    fn end(self: Pin<&mut Self>);
}

impl<S: Io> Ending for http1::UpgradeableConnection<TokioIo<Stream<S>>, Requests> {
    const DROPS_BEGINNINGS: bool = true;

    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S: Io> Ending for http2::Connection<TokioIo<Stream<S>>, Requests, TokioExecutor> {
    const DROPS_BEGINNINGS: bool = false;

    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

trait Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static {}
impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static> Io for S {}

/// Hands the requests of a connection to the router.
#[derive(Debug)]
struct Requests {
    router: Arc<Router>,
    peer: Option<IpAddr>,
    activity: Arc<Activity>,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Reply>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        self.activity.asked();
        self.router.answer(request, self.peer, &self.activity)
    }
}
