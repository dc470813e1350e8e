//! Why something is not done for somebody: a fixed list.

/// Where something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A UDP datagram that got no reply, on whatever path.
    Udp,
    /// An announce, a scrape or a WebSocket handshake over HTTP.
    Http,
    /// A message by WebSocket.
    Websocket,
    /// A peer that was answered and is not kept, by any protocol.
    Peer,
}

impl Place {
    /// As the JSON names it.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Http => "http",
            Self::Websocket => "websocket",
            Self::Peer => "peers",
        }
    }

    /// As the page names it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Http => "HTTP",
            Self::Websocket => "WebSocket",
            Self::Peer => "Peers not kept",
        }
    }
}

/// Why something was refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reason {
    pub(super) place: Place,
    /// As metrics have it.
    pub(super) label: &'static str,
    /// For people.
    pub(super) text: &'static str,
}

const fn reason(place: Place, label: &'static str, text: &'static str) -> Reason {
    Reason { place, label, text }
}

/// Every reason there is.
pub(super) const REASONS: [Reason; 28] = [
    reason(Place::Udp, "bad_connection_id", "connection ID forged or expired"),
    reason(Place::Udp, "malformed", "no request"),
    reason(Place::Udp, "bad_source", "a source that cannot be answered"),
    reason(Place::Udp, "bad_port", "announces port 0"),
    reason(Place::Udp, "bad_checksum", "wrong checksum"),
    reason(Place::Udp, "rate_limited", "asks too often"),
    reason(Place::Udp, "banned", "network is banned"),
    reason(Place::Udp, "no_buffer", "more than there was room for"),
    reason(Place::Udp, "send_failed", "the system did not send the reply"),
    reason(Place::Udp, "reply_failed", "the reply could not be written"),
    reason(Place::Http, "failure", "told why: wrong, or not served"),
    reason(Place::Http, "rejected", "wrong form of HTTP"),
    reason(Place::Http, "rate_limited", "asks too often"),
    reason(Place::Http, "banned", "network is banned"),
    reason(Place::Websocket, "failure", "told why: wrong, or not served"),
    reason(Place::Websocket, "rate_limited", "asks too often"),
    reason(Place::Websocket, "queue_full", "its receiver is too slow"),
    reason(Place::Websocket, "gone", "its receiver has gone"),
    reason(Place::Websocket, "unroutable", "answers no offer"),
    reason(Place::Websocket, "memory", "no memory left"),
    reason(Place::Websocket, "node", "its receiver's node is not reached"),
    reason(Place::Websocket, "node_rate", "its sender sends too many to other nodes"),
    reason(Place::Peer, "memory", "no memory left"),
    reason(Place::Peer, "torrent_full", "the torrent has all it may"),
    reason(Place::Peer, "address_full", "the network has all it may"),
    reason(Place::Peer, "torrents", "there are all torrents that may be"),
    reason(Place::Peer, "client", "client software is not served"),
    reason(Place::Peer, "key", "no key that is served"),
];
