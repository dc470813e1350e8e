//! How connections are run, as configured.

use super::{queue::Limits, watched::Bounds};
use crate::config;
use std::time::Duration;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tracker_common::rate::Rate;
use tracker_core::{model::Seconds, ws::Settings};

/// Allocated for each connection as it opens, so that an idle one stays small. Larger messages get what they need.
const READ_BUFFER: usize = 2 << 10;
/// What gathers before it is written, unless nothing more is at hand: a TLS record.
const WRITE_BUFFER: usize = 16 << 10;
/// For how many seconds of its rate a connection may send to other nodes at once: clients announce all their torrents when they start.
const NODE_RELAYS_BURST: u32 = 10;

/// What all connections have in common.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) signal: Settings,
    pub(super) socket: WebSocketConfig,
    pub(super) bounds: Bounds,
    pub(super) queue: Limits,
    /// How often a connection may send something to other nodes.
    pub(super) node_relays: Rate,
    pub(super) send_timeout: Duration,
    pub(super) ping_interval: Duration,
    pub(super) idle_timeout: Duration,
}

impl From<&config::Websocket> for Rules {
    fn from(config: &config::Websocket) -> Self {
        let seconds = |duration: Duration| Seconds::try_from(duration.as_secs()).unwrap_or(Seconds::MAX);
        Self {
            signal: Settings {
                max_torrents_per_connection: config.max_torrents_per_connection,
                max_scrape_hashes: config.max_scrape_hashes,
                max_pending_offers: config.max_pending_offers,
                offer_lifetime: seconds(config.offer_lifetime),
            },
            socket: WebSocketConfig::default()
                .read_buffer_size(READ_BUFFER)
                .write_buffer_size(WRITE_BUFFER)
                .max_message_size(Some(config.max_message_size))
                .max_frame_size(Some(config.max_message_size)),
            bounds: Bounds {
                messages_per_second: config.max_messages_per_second,
                message_size: config.max_message_size,
            },
            queue: Limits { messages: config.queue_messages, bytes: config.queue_size },
            node_relays: config
                .max_node_relays_per_second
                .map_or(Rate::NONE, |most| Rate::new(most, most.saturating_mul(NODE_RELAYS_BURST))),
            send_timeout: config.send_timeout,
            ping_interval: config.ping_interval,
            idle_timeout: config.idle_timeout,
        }
    }
}
