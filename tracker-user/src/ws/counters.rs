//! What the WebSocket side counts.

use super::handshake::Refusal;
use crate::events::Events;
use tracker_common::labelled;
use tracker_core::{client_software::ClientSoftware, engine::NotKept, ws::Kind};

labelled! {
    /// What is sent to a client.
    pub enum Sent {
        /// The reply to an announce.
        Announce = "announce",
        /// The reply to a scrape.
        Scrape = "scrape",
        /// A failure.
        Failure = "failure",
        /// A failure, since the client's network asks more often than it may.
        RateLimited = "rate_limited",
        /// Somebody's offer.
        Offer = "offer",
        /// Somebody's answer.
        Answer = "answer",
        /// A ping.
        Ping = "ping",
    }
}

labelled! {
    /// Why a message did not get to its receiver.
    pub enum Lost {
        /// The receiver's queue is full.
        QueueFull = "queue_full",
        /// The receiver has just gone, or goes with this still in its queue.
        Gone = "gone",
        /// An answer to no known offer, or to somebody who has left the torrent.
        Unroutable = "unroutable",
        /// There was no room for it in `websocket.memory`: an offer or answer, or a long reply.
        Memory = "memory",
        /// Its receiver is at another node, to which it could not be sent.
        Node = "node",
        /// Its receiver is at another node, and its sender's connection sends more of them there than
        /// `websocket.max_node_relays_per_second`.
        NodeRate = "node_rate",
    }
}

labelled! {
    /// Which way a message crossed between nodes.
    pub enum Crossed {
        /// From a client of another node: an offer or answer that came in.
        In = "in",
        /// To a client of another node: an offer or answer that was sent.
        Out = "out",
    }
}

labelled! {
    /// Why a connection came to its end.
    pub enum Closed {
        /// The client closed it, or it broke.
        Client = "client",
        /// It sent a message larger than `websocket.max_message_size`.
        Oversize = "oversize",
        /// It broke the rules of WebSocket.
        Protocol = "protocol",
        /// It sent more than `websocket.max_messages_per_second`, or ten times as many frames.
        Flood = "flood",
        /// Nothing was heard of it for `websocket.idle_timeout`, or a message that it began had no end for as long.
        Idle = "idle",
        /// It did not take what was sent within `websocket.send_timeout`.
        Stalled = "stalled",
        /// The tracker is stopping.
        Drained = "drained",
        /// Its network was banned.
        Banned = "banned",
        /// A reload found that it came without a key of those that are served.
        Key = "key",
        /// It sent a message, or would be in so many torrents, that there was no room in `websocket.memory`.
        Memory = "memory",
        /// Others wanted memory that it kept the longest: for what it did not take, or for a long message it did not end.
        Reclaimed = "reclaimed",
    }
}

/// All that the WebSocket side counts.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages received. Pings and their answers are not among them.
    pub received: Events<Kind>,
    /// Messages sent.
    pub sent: Events<Sent>,
    /// Messages lost.
    pub lost: Events<Lost>,
    /// Offers and answers between clients of different nodes.
    pub crossed: Events<Crossed>,
    /// Connections ended.
    pub closed: Events<Closed>,
    /// Handshakes refused.
    pub refused: Events<Refusal>,
    /// Peers that announced themselves and are not kept.
    pub not_kept: Events<NotKept>,
    /// Software of the clients whose announces were looked at.
    pub software: Events<ClientSoftware>,
}
