//! Takes connections from a listener, for as long as there is room for them.

use super::{
    connection::Connections,
    counters::{Counters, Pause},
    endpoint::Listening,
    stage::Stage,
    stream::Socket,
};
use crate::{farewell::Farewell, tls::Tls, unix::SocketFile, ws};
use nix::errno::Errno;
use socket2::SockRef;
use std::{
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};

/// The first wait after the system had no room for a connection; it doubles up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(1);
/// So many failures in a row are taken for a want of the system's, whatever the system calls them.
const FAILURES_IN_A_ROW: u32 = 16;
/// Strangers can use up everything again and again; the log tells of it no more often than this.
const BETWEEN_LINES: Duration = Duration::from_secs(60);
/// Connections that are taken from the kernel's queue once the tracker drains.
const LAST_CONNECTIONS: usize = 4096;

/// A connection and, over TCP, who it is from.
type Accepted = (Socket, Option<IpAddr>);

/// What connections are taken from.
#[derive(Debug)]
pub(super) enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix {
        listener: UnixListener,
        /// Goes with it.
        _name: SocketFile,
    },
}

impl Listener {
    /// To be called in the context of a runtime. A TCP connection that acknowledges nothing of what was sent for
    /// `user_timeout` is closed by the kernel.
    ///
    /// # Errors
    /// When the system refuses to watch it.
    pub(super) fn new(listening: Listening, user_timeout: Duration) -> io::Result<Self> {
        Ok(match listening {
            Listening::Tcp(listener) => {
                // Connections inherit these, which saves two system calls for each. Replies are written whole, so there
                // is nothing to wait for; and what a client does not take goes with it, closed or not.
                let socket = SockRef::from(&listener);
                socket.set_tcp_nodelay(true)?;
                socket.set_tcp_user_timeout(Some(user_timeout))?;
                // What the kernel holds for a client counts as the tracker's memory, and by itself grows to megabytes.
                socket.set_send_buffer_size(ws::SEND_BUFFER)?;
                socket.set_recv_buffer_size(ws::RECEIVE_BUFFER)?;
                socket.set_tcp_notsent_lowat(ws::UNSENT)?;
                Self::Tcp(TcpListener::from_std(listener)?)
            }
            Listening::Unix(listener, name) => {
                Self::Unix { listener: UnixListener::from_std(listener)?, _name: name }
            }
        })
    }

    /// The next connection, if it is there already. The kernel is asked, as the runtime may not have heard of it.
    fn accept_waiting(&self) -> io::Result<Accepted> {
        let accept = |listener: SockRef<'_>| {
            let (socket, peer) = listener.accept()?;
            socket.set_nonblocking(true)?;
            Ok::<_, io::Error>((socket, peer))
        };
        match self {
            Self::Tcp(listener) => {
                let (socket, peer) = accept(SockRef::from(listener))?;
                let peer = peer.as_socket().ok_or(io::ErrorKind::InvalidData)?;
                Ok((Socket::Tcp(TcpStream::from_std(socket.into())?), Some(peer.ip().to_canonical())))
            }
            Self::Unix { listener, .. } => {
                let (socket, _) = accept(SockRef::from(listener))?;
                Ok((Socket::Unix(UnixStream::from_std(socket.into())?), None))
            }
        }
    }

    /// The next connection.
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Socket::Tcp(stream), Some(peer.ip().to_canonical())))
            }
            Self::Unix { listener, .. } => Ok((Socket::Unix(listener.accept().await?.0), None)),
        }
    }
}

/// One listener's accept loop.
#[derive(Debug)]
pub(super) struct Acceptor {
    /// As the log names it.
    pub(super) name: String,
    /// Where connections come from.
    pub(super) listener: Listener,
    /// For a listener of HTTPS.
    pub(super) tls: Option<Arc<Tls>>,
    /// Serves what is accepted.
    pub(super) connections: Arc<Connections>,
    /// A permit for each connection that may be open.
    pub(super) permits: Arc<Semaphore>,
    /// Dropped when the last connection is taken.
    pub(super) _accepts: watch::Receiver<()>,
}

impl Acceptor {
    /// Accepts until the tracker drains, but not while another process does.
    pub(super) async fn run(self, _farewell: Farewell) {
        let mut stage = self.connections.stage();
        let mut in_hand = None;
        let last = loop {
            tokio::select! {
                biased;
                _ = stage.wait_for(|stage| !stage.accepts()) => {}
                () = self.accept_all(&mut in_hand) => break 0,
            }
            // An error is the end of the server, too.
            match stage.wait_for(|stage| *stage != Stage::Lent).await.map_or(Stage::Draining, |stage| *stage)
            {
                Stage::Left => break 0,
                stage if stage.is_ending() => break LAST_CONNECTIONS,
                _ => {}
            }
        };
        self.accept_last(in_hand, last);
        // The port is closed before its end is told.
        drop(self);
    }

    /// Takes what came before the end, as far as there are permits: what is in hand, and at most so many more. Nothing is
    /// awaited, so nobody can put the end off.
    fn accept_last(&self, mut in_hand: Option<Accepted>, most: usize) {
        for _ in 0..most + usize::from(in_hand.is_some()) {
            let Ok(permit) = self.permits.clone().try_acquire_owned() else { return };
            match in_hand.take().map_or_else(|| self.listener.accept_waiting(), Ok) {
                Ok(accepted) => self.serve(accepted, permit),
                Err(error) if concerns_one_connection(&error) => {}
                Err(_) => return,
            }
        }
    }

    fn serve(&self, (socket, peer): Accepted, permit: OwnedSemaphorePermit) {
        let tls = self.tls.as_ref().map(|tls| tls.acceptor());
        let open = self.connections.counters().opened(tls.is_some());
        tokio::spawn(self.connections.clone().serve(socket, peer, tls, (open, permit)));
    }

    /// `in_hand` has a connection while it waits for a permit, and may have one from the beginning.
    async fn accept_all(&self, in_hand: &mut Option<Accepted>) {
        let counters = self.connections.counters();
        let mut full = Episode::new(Pause::Connections);
        let mut short = Episode::new(Pause::Resources);
        let mut failures = 0;
        let mut wait = FIRST_WAIT;
        loop {
            // Let go of again: a listener that waits for a connection would keep it from the others.
            let Some(permit) = self.permit(&mut full, counters).await else { return };
            if let Some(accepted) = in_hand.take() {
                self.serve(accepted, permit);
                continue;
            }
            drop(permit);
            match self.listener.accept().await {
                Ok(accepted) => {
                    short.end(&self.name);
                    (failures, wait) = (0, FIRST_WAIT);
                    *in_hand = Some(accepted);
                }
                Err(error) => {
                    failures += 1;
                    if concerns_one_connection(&error) && failures < FAILURES_IN_A_ROW {
                        continue;
                    }
                    short.begin(&self.name, counters, || {
                        format!(
                            "the system had no room for a connection: {error}; see that there are enough descriptors \
                             (`ulimit -n`, LimitNOFILE of systemd) and enough memory"
                        )
                    });
                    tokio::time::sleep(wait).await;
                    wait = LAST_WAIT.min(wait * 2);
                }
            }
        }
    }

    /// A permit for a connection, awaited if there is none; further connections wait in the kernel's queue meanwhile.
    /// `None` is the end.
    async fn permit(&self, full: &mut Episode, counters: &Counters) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            full.end(&self.name);
            return Some(permit);
        }
        full.begin(&self.name, counters, || {
            "as many are open as http.max_connections and the limit of descriptors permit; raise them, or lower \
             http.idle_timeout".to_owned()
        });
        self.permits.clone().acquire_owned().await.ok()
    }
}

/// Whether an error of `accept` is only that of a connection which has gone wrong before it was accepted. The list is
/// that of accept(2); `EPERM` is a firewall's.
fn concerns_one_connection(error: &io::Error) -> bool {
    let Some(number) = error.raw_os_error() else { return false };
    matches!(
        Errno::from_raw(number),
        Errno::ECONNABORTED
            | Errno::ECONNRESET
            | Errno::EINTR
            | Errno::EPERM
            | Errno::EPROTO
            | Errno::ENOPROTOOPT
            | Errno::ENETDOWN
            | Errno::ENETUNREACH
            | Errno::EHOSTDOWN
            | Errno::EHOSTUNREACH
            | Errno::ENONET
            | Errno::EOPNOTSUPP
            | Errno::ETIMEDOUT
    )
}

/// A time in which nothing is accepted.
#[derive(Debug)]
struct Episode {
    why: Pause,
    began: Option<Instant>,
    /// The last line about such a time, and whether it is about this one.
    line: Option<Instant>,
    told: bool,
}

impl Episode {
    fn new(why: Pause) -> Self {
        Self { why, began: None, line: None, told: false }
    }

    fn begin(&mut self, name: &str, counters: &Counters, reason: impl FnOnce() -> String) {
        if self.began.is_some() {
            return;
        }
        counters.pauses.add(self.why);
        let now = Instant::now();
        self.began = Some(now);
        self.told = self.line.is_none_or(|line| now.duration_since(line) >= BETWEEN_LINES);
        if self.told {
            self.line = Some(now);
            tracing::warn!("{name} accepts no connections for now: {}", reason());
        }
    }

    fn end(&mut self, name: &str) {
        if let Some(began) = self.began.take()
            && self.told
        {
            tracing::info!("{name} accepts connections again, after {:.1?}", began.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_inherit_what_is_set_for_their_listener() {
        let user_timeout = Duration::from_secs(17);
        let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listening.local_addr().unwrap();
        listening.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let listener = Listener::new(Listening::Tcp(listening), user_timeout).unwrap();
            let _client = std::net::TcpStream::connect(address).unwrap();
            let (Socket::Tcp(accepted), Some(peer)) = listener.accept().await.unwrap() else {
                panic!("not TCP")
            };
            assert!(peer.is_loopback());
            let accepted = SockRef::from(&accepted);
            assert!(accepted.tcp_nodelay().unwrap());
            assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(user_timeout));
            // As much again for what the kernel itself needs.
            assert_eq!(accepted.send_buffer_size().unwrap(), 2 * ws::SEND_BUFFER);
            assert_eq!(accepted.recv_buffer_size().unwrap(), 2 * ws::RECEIVE_BUFFER);
            assert_eq!(accepted.tcp_notsent_lowat().unwrap(), ws::UNSENT);
        });
    }

    #[test]
    fn a_want_of_the_system_is_no_fault_of_one_connection() {
        for shortage in [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM, Errno::EINVAL] {
            assert!(!concerns_one_connection(&io::Error::from(shortage)), "{shortage}");
        }
        assert!(!concerns_one_connection(&io::Error::other("no number")));
        assert!(concerns_one_connection(&io::Error::from(Errno::ECONNABORTED)));
    }

    #[test]
    fn each_episode_counts_and_the_log_is_spared() {
        let counters = Counters::new(1);
        let mut episode = Episode::new(Pause::Resources);
        let mut told = Vec::new();
        for _ in 0..3 {
            for _ in 0..5 {
                episode.begin("http", &counters, String::new);
            }
            told.push(episode.told);
            episode.end("http");
        }
        assert_eq!(told, [true, false, false]);
        assert_eq!((counters.pauses.of(Pause::Resources), counters.pauses.of(Pause::Connections)), (3, 0));
    }
}
