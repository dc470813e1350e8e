//! Load for UDP trackers (BEP 15). [`wire`] writes requests and checks replies, [`table`] knows what is in flight,
//! [`sockets`] is the engine that works everywhere.

pub mod lane;
pub mod learn;
pub mod mix;
pub mod sockets;
pub mod table;
pub mod wire;

use crate::workload::Workload;
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// The age at which a connection ID is renewed.
pub const RENEW: Duration = Duration::from_secs(60);

/// What to ask of a UDP tracker.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The tracker.
    pub target: SocketAddr,
    /// Shares of requests.
    pub mix: mix::Mix,
    /// Peers wanted in each announce.
    pub wanted: u16,
    /// Torrents in each scrape, at most [`wire::MOST_HASHES`].
    pub scrape_hashes: u16,
    /// Who announces what.
    pub workload: Arc<Workload>,
    /// After this long a request is unanswered.
    pub timeout: Duration,
    /// A connection ID is renewed at this age; BEP 15 gives it two minutes. [`RENEW`] is the usual.
    pub renew: Duration,
    /// Worker threads.
    pub threads: usize,
    /// Requests follow from this number.
    pub seed: u64,
}
