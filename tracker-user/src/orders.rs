//! What the main loop of a running tracker is asked to do, whoever asks: a signal or the control socket.
//!
//! One order is obeyed at a time, and whoever gave it is told what came of it.

use crate::decisions::{Entry, Kind, NotDecided, Verdict};
use serde::Serialize;
use std::{fmt, os::unix::net::UnixStream};
use tokio::sync::{mpsc, oneshot};

/// Orders that wait for the one in hand.
const WAITING: usize = 16;

/// What is to be done.
#[derive(Debug)]
pub enum Order {
    /// Take up what can change of the configuration while running, as SIGHUP does.
    Reload(Reply<Result<Reloaded, NotReloaded>>),
    /// Start the program that is now installed in place of this one, and hand everything over to it, as SIGUSR2 does. What
    /// comes of it is told once it serves, or why it does not.
    Upgrade(Reply<Result<Upgraded, String>>),
    /// Make a decision hold, or no longer.
    Decide(Entry, bool, Reply<Result<Decided, NotDecided>>),
    /// Take in what other nodes have decided, as the node of this name tells. Each such order takes effect, and is kept on disk,
    /// by itself: what one node tells at once is best one order.
    Merge(Box<str>, Vec<Verdict>),
    /// Say which decisions of a kind hold.
    List(Kind, Reply<Listed>),
    /// Hand everything over to the process at the other end of this connection, which has said so much already.
    HandOver(UnixStream, Vec<u8>),
}

/// Where the outcome of an order goes.
#[derive(Debug)]
pub struct Reply<T>(Option<oneshot::Sender<T>>);

impl<T> Reply<T> {
    /// Of an order by a signal, to which nobody waits for an answer.
    #[must_use]
    pub const fn to_nobody() -> Self {
        Self(None)
    }

    /// Tells what came of it.
    pub fn send(self, outcome: T) {
        if let Some(sender) = self.0 {
            // Whoever asked may have gone meanwhile.
            let _ = sender.send(outcome);
        }
    }
}

/// Gives orders.
#[derive(Clone, Debug)]
pub struct Orders(mpsc::Sender<Order>);

/// The tracker takes no more orders, since it is about to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tracker is stopping and takes no more orders")]
pub struct Stopping;

impl Orders {
    /// A way for orders, and its end, at which they are obeyed.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Order>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    /// Gives an order and waits for what comes of it.
    ///
    /// # Errors
    /// [`Stopping`] if it is not obeyed any more.
    pub async fn give<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Result<T, Stopping> {
        let (sender, outcome) = oneshot::channel();
        self.0.send(order(Reply(Some(sender)))).await.map_err(|_| Stopping)?;
        outcome.await.map_err(|_| Stopping)
    }

    /// Gives an order of which nothing is told, if it need not wait. Whether it is given.
    #[must_use]
    pub fn offer(&self, order: Order) -> bool {
        self.0.try_send(order).is_ok()
    }

    /// Gives an order of which nothing is told. It is dropped if it is not obeyed any more.
    pub async fn send(&self, order: Order) {
        let _ = self.0.send(order).await;
    }
}

/// The process that serves now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Upgraded {
    /// Its number.
    pub pid: u32,
    /// The version of its program.
    pub version: String,
}

/// What came of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// What it is about.
    pub entry: String,
    /// Whether it was another way before.
    pub changed: bool,
    /// What is odd about it.
    pub warnings: Vec<String>,
}

/// The decisions of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Those that were made by control, sorted.
    pub entries: Vec<String>,
    /// The same, with who decided each and when.
    pub decided: Vec<Made>,
    /// How many more hold by the operator's file; `None` where there is none.
    pub in_file: Option<usize>,
}

/// A decision that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Made {
    /// What it is about.
    pub entry: String,
    /// When it was made, as RFC 3339 has it, in UTC; `None` before that was kept.
    pub when: Option<String>,
    /// The node at which it was made.
    pub node: String,
}

/// What a reload took up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// The keys whose new values hold now.
    pub taken_up: Vec<String>,
    /// The keys whose new values hold after a restart.
    pub needs_restart: Vec<String>,
    /// What became of the certificate, where TLS is served.
    pub certificate: Option<Certificate>,
    /// The torrents on the access list, which is read again each time; `None` where there is none.
    pub listed_torrents: Option<usize>,
    /// The networks of `access.denied_networks`, which is read again each time; `None` where there is none.
    pub denied_networks: Option<usize>,
    /// The peer-ID prefixes of clients that are not served, whose list is read again each time.
    pub denied_clients: usize,
    /// The keys of `access.keys`, which are read again each time; `None` unless the tracker is private.
    pub keys: Option<usize>,
    /// The peers in all that there is room for.
    pub room_peers: usize,
    /// What is odd about the configuration.
    pub warnings: Vec<String>,
}

/// What a reload found in the files of the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Certificate {
    /// Another one, which new connections get.
    Renewed,
    /// The same.
    Same,
}

/// Why nothing was taken up: the running configuration and certificate stay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NotReloaded {
    /// Everything that is wrong.
    pub problems: Vec<String>,
}

impl fmt::Display for NotReloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not reloaded: the running configuration and certificate stay")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn whoever_gave_an_order_hears_what_came_of_it() {
        run(async {
            let (orders, mut given) = Orders::channel();
            let obey = async {
                let Some(Order::Reload(reply)) = given.recv().await else { panic!("no order") };
                reply.send(Ok(Reloaded { room_peers: 7, ..Reloaded::default() }));
            };
            let (outcome, ()) = tokio::join!(orders.give(Order::Reload), obey);
            assert_eq!(outcome.unwrap().unwrap().room_peers, 7);
        });
    }

    #[test]
    fn an_order_that_nobody_obeys_any_more_is_told_so() {
        run(async {
            let (orders, mut given) = Orders::channel();
            let drop_it = async { drop(given.recv().await) };
            let (outcome, ()) = tokio::join!(orders.give(Order::Reload), drop_it);
            assert_eq!(outcome, Err(Stopping));
            drop(given);
            assert_eq!(orders.give(Order::Reload).await, Err(Stopping));
        });
    }

    #[test]
    fn a_signal_waits_for_no_answer() {
        Reply::to_nobody().send(1);
    }
}
