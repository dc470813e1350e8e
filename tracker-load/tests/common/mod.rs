//! What the tests of the engines share: a small tracker, and how to read figures.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tracker_load::{engine::Span, figures::Figures};

/// Long enough for any machine: a reply that is not lost must not be late.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
pub(crate) const SPAN: Span = Span { warmup: Duration::ZERO, duration: Duration::from_millis(500) };

/// A tracker over TCP.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Serves each connection on a thread of its own, which ends when the client closes its end.
    pub(crate) fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, serve) = (Arc::clone(&stop), Arc::new(serve));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Relaxed) {
                    return;
                }
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream.unwrap()));
            }
        });
        Self { address, stop, thread: Some(thread) }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What an engine counts under this name.
pub(crate) fn more(figures: &Figures, name: &str) -> u64 {
    figures.more.iter().find(|(other, _)| *other == name).unwrap().1
}

/// The first head among the bytes that a client has sent, which it is taken out of.
pub(crate) fn head(input: &mut Vec<u8>) -> Option<String> {
    let end = input.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(String::from_utf8(input.drain(..end + 4).collect()).unwrap())
}
