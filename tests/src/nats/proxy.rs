//! A way to a NATS server that can be disturbed: cut, silent, or losing messages, as networks and slow consumers do it.

use super::wire::{Piece, piece};
use crate::{PATIENCE, random::Random};
use nix::sys::socket::{Shutdown as Side, shutdown};
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From clients to the server.
    Up,
    /// From the server to clients.
    Down,
}

/// A share is counted in so many parts.
const PARTS: u64 = 1 << 20;

/// Where clients connect instead of to the server, in the network namespace of the thread that starts it. It ends with all its
/// connections when dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: TcpListener,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Leads there, undisturbed.
    #[must_use]
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its number");
        let shared = Arc::<Shared>::default();
        let (accepts, shares) = (listener.try_clone().expect("a descriptor"), shared.clone());
        let accepting = thread::spawn(move || accept(&accepts, server, &shares));
        Self { address, shared, listener, accepting: Some(accepting) }
    }

    /// Where clients find it.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a key of the configuration has it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Closes all connections that are open now.
    pub fn drop_connections(&self) {
        let open = std::mem::take(&mut self.shared.lock().open);
        open.iter().for_each(|connection| connection.close());
        self.shared.changed.notify_all();
    }

    /// Closes all connections, and new ones as soon as they come.
    pub fn cut(&self) {
        self.shared.lock().is_cut = true;
        self.drop_connections();
    }

    /// Leads on: after a cut, after silence.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        state.is_cut = false;
        state.is_silent = [false; 2];
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Holds back what goes this way, while connections stay, until [`Self::heal`].
    pub fn stall(&self, way: Way) {
        self.shared.lock().is_silent[way as usize] = true;
    }

    /// From now on, this share of the messages to clients is lost. Which ones follows from the seed, as long as one client is
    /// connected. It sees nothing in TLS.
    pub fn lose(&self, share: f64, seed: u64) {
        #[expect(clippy::cast_sign_loss, reason = "a share is not negative")]
        let parts = (share * PARTS as f64) as u64;
        self.shared.lock().loss = Some((parts, Random::new(seed)));
    }

    /// No message is lost any more.
    pub fn lose_none(&self) {
        self.shared.lock().loss = None;
    }

    /// Messages lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Acquire)
    }

    /// Bytes that have gone this way.
    #[must_use]
    pub fn bytes(&self, way: Way) -> u64 {
        self.shared.passed[way as usize].load(Ordering::Acquire)
    }

    /// Bytes that have come and are held back.
    #[must_use]
    pub fn held(&self, way: Way) -> u64 {
        self.shared.held[way as usize].load(Ordering::Acquire)
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.lock().open.iter().filter(|connection| !connection.is_closed()).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        // Whoever waits for a connection wakes up.
        let _ = shutdown(self.listener.as_raw_fd(), Side::Both);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    passed: [AtomicU64; 2],
    held: [AtomicU64; 2],
    lost: AtomicU64,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    is_silent: [bool; 2],
    loss: Option<(u64, Random)>,
    open: Vec<Arc<Connection>>,
}

struct Connection {
    client: TcpStream,
    server: TcpStream,
    is_closed: AtomicBool,
}

impl Connection {
    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        for end in [&self.client, &self.server] {
            // The other side may have done so.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while this way is silent and the connection open.
    fn wait(&self, way: Way, connection: &Connection, length: u64) {
        self.held[way as usize].fetch_add(length, Ordering::AcqRel);
        let mut state = self.lock();
        while state.is_silent[way as usize] && !connection.is_closed() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        self.held[way as usize].fetch_sub(length, Ordering::AcqRel);
    }

    /// Whether the next message is lost.
    fn loses(&self) -> bool {
        let is_lost = self.lock().loss.as_mut().is_some_and(|(parts, random)| random.below(PARTS) < *parts);
        if is_lost {
            self.lost.fetch_add(1, Ordering::AcqRel);
        }
        is_lost
    }
}

fn accept(listener: &TcpListener, server: SocketAddr, shared: &Arc<Shared>) {
    // Errors are for good: the listener is shut down.
    for client in listener.incoming().map_while(Result::ok) {
        let Ok(server) = TcpStream::connect_timeout(&server, PATIENCE) else { continue };
        for end in [&client, &server] {
            end.set_nodelay(true).expect("an open socket");
        }
        let connection = Arc::new(Connection { client, server, is_closed: AtomicBool::new(false) });
        let mut state = shared.lock();
        if state.is_cut {
            continue;
        }
        state.open.retain(|connection| !connection.is_closed());
        state.open.push(connection.clone());
        drop(state);
        for way in [Way::Up, Way::Down] {
            let (connection, shared) = (connection.clone(), shared.clone());
            thread::spawn(move || {
                pump(way, &connection, &shared);
                // Whoever ends it, the other one hears of it.
                connection.close();
                shared.changed.notify_all();
            });
        }
    }
}

fn pump(way: Way, connection: &Connection, shared: &Shared) {
    let (mut from, mut to) = match way {
        Way::Up => (&connection.client, &connection.server),
        Way::Down => (&connection.server, &connection.client),
    };
    let mut sieve = Sieve::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer) else { return };
        shared.wait(way, connection, length as u64);
        let passing = match way {
            Way::Up => buffer[..length].to_vec(),
            Way::Down => sieve.pass(&buffer[..length], || shared.loses()),
        };
        // Before whoever gets them can look.
        shared.passed[way as usize].fetch_add(passing.len() as u64, Ordering::AcqRel);
        if to.write_all(&passing).is_err() {
            return;
        }
    }
}

/// Takes whole messages out of what a server sends.
#[derive(Default)]
struct Sieve {
    bytes: Vec<u8>,
    is_open: bool,
}

impl Sieve {
    /// What goes on of these bytes and of those kept before: whole lines and messages, but none that is lost.
    fn pass(&mut self, bytes: &[u8], mut loses: impl FnMut() -> bool) -> Vec<u8> {
        self.bytes.extend_from_slice(bytes);
        let (mut passing, mut done) = (Vec::new(), 0);
        while !self.is_open {
            let rest = &self.bytes[done..];
            let length = match piece(rest) {
                Piece::Incomplete => break,
                Piece::Foreign => {
                    self.is_open = true;
                    break;
                }
                Piece::Message { whole, .. } if loses() => {
                    done += whole;
                    continue;
                }
                Piece::Line(length) | Piece::Message { whole: length, .. } => length,
            };
            passing.extend_from_slice(&rest[..length]);
            done += length;
        }
        self.bytes.drain(..done);
        if self.is_open {
            passing.append(&mut self.bytes);
        }
        passing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_lost_whole_and_nothing_else_is() {
        let stream = b"INFO {}\r\nMSG a 1 2\r\nno\r\nPING\r\nHMSG a 1 12 13\r\nNATS/1.0\r\n\r\nx\r\nMSG b 1 0\r\n\r\n+OK\r\n";
        let rest = b"INFO {}\r\nPING\r\nHMSG a 1 12 13\r\nNATS/1.0\r\n\r\nx\r\n+OK\r\n";
        for size in 1..stream.len() {
            let (mut sieve, mut passed, mut seen) = (Sieve::default(), Vec::new(), 0);
            for part in stream.chunks(size) {
                passed.extend(sieve.pass(part, || {
                    seen += 1;
                    seen != 2
                }));
            }
            assert!(seen == 3 && passed == rest, "{size}: {}", passed.escape_ascii());
        }
    }

    #[test]
    fn tls_passes_as_it_is() {
        let mut sieve = Sieve::default();
        assert_eq!(sieve.pass(b"INFO {}\r\n\x16\x03", || true), b"INFO {}\r\n\x16\x03");
        assert_eq!(sieve.pass(b"MSG a 1 0\r\n", || true), b"MSG a 1 0\r\n");
    }
}
