//! A TCP port that leads to another, once that is known: an ACME server is told of it before the tracker has its own.

use std::{
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// The port. It closes every connection while it leads nowhere.
#[derive(Clone)]
pub struct Relay {
    port: u16,
    target: Arc<Mutex<Option<SocketAddr>>>,
}

impl Relay {
    /// Leads nowhere yet. It is there until the test's process ends.
    #[must_use]
    pub fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its number").port();
        let target = Arc::<Mutex<Option<SocketAddr>>>::default();
        let relay = Self { port, target: target.clone() };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let target = *target.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(server) = target.and_then(|target| TcpStream::connect(target).ok()) {
                    join(&client, &server);
                }
            }
        });
        relay
    }

    /// Its number.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// From now on it leads there, or nowhere.
    pub fn lead(&self, target: Option<SocketAddr>) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }
}

impl Default for Relay {
    fn default() -> Self {
        Self::new()
    }
}

fn join(client: &TcpStream, server: &TcpStream) {
    for (mut from, mut to) in [(client, server), (server, client)]
        .map(|(from, to)| (from.try_clone().expect("a descriptor"), to.try_clone().expect("a descriptor")))
    {
        thread::spawn(move || {
            // Whoever ends it, the other one hears of it.
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
}
