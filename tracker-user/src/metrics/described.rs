//! What each metric says of itself.

use super::{clients, cluster, serving};
use metrics::{describe_counter, describe_gauge};

/// Tells the recorder in place.
pub(super) fn describe() {
    serving::describe();
    cluster::describe();
    for (name, help) in [
        ("riptide_udp_requests_total", "UDP requests that were answered or could have been"),
        ("riptide_udp_responses_total", "UDP replies; path kernel: by the XDP program, xsk: through AF_XDP"),
        ("riptide_udp_dropped_total", "UDP datagrams without a reply, and replies that could not be sent"),
        ("riptide_udp_received_bytes_total", "UDP payload of requests"),
        ("riptide_udp_sent_bytes_total", "UDP payload of replies"),
        ("riptide_xdp_frames_total", "Frames by what the XDP program did with them, and why"),
        ("riptide_xsk_rx_dropped_total", "Frames lost for another reason than a full rx ring"),
        ("riptide_xsk_rx_invalid_descs_total", "Invalid descriptors in the fill ring"),
        ("riptide_xsk_tx_invalid_descs_total", "Invalid descriptors in the tx ring"),
        ("riptide_xsk_rx_ring_full_total", "Frames lost because the rx ring was full"),
        ("riptide_xsk_rx_fill_ring_empty_descs_total", "Times the kernel found no frame in the fill ring"),
        ("riptide_xsk_tx_ring_empty_descs_total", "Times the kernel found nothing in the tx ring"),
        (
            "riptide_http_requests_total",
            "HTTP requests by what they ask; outcome failure: a tracker's failure, rate_limited: one since the client asks too often, banned: one since its network is, rejected: an HTTP error",
        ),
        (
            "riptide_http_accepted_connections_total",
            "TCP and Unix connections accepted, WebSocket among them",
        ),
        (
            "riptide_http_closed_connections_total",
            "Connections that did not end in order, closed by either side, and why",
        ),
        ("riptide_ws_messages_total", "WebSocket messages, by what they are"),
        ("riptide_ws_lost_messages_total", "WebSocket messages that did not get to their receiver, and why"),
        ("riptide_ws_node_relays_total", "Offers and answers between WebTorrent clients of different nodes"),
        ("riptide_ws_closed_connections_total", "WebSocket connections that ended, and why"),
        ("riptide_ws_refused_connections_total", "WebSocket handshakes that were refused, and why"),
        ("riptide_http_accept_pauses_total", "Times in which no connection was accepted, and why"),
        (
            "riptide_peers_refused_total",
            "Announces whose peer was not kept, and why; memory: limits.peers is reached, client and key: see [access]",
        ),
        (
            clients::NAME,
            "Announces by client software as peer IDs tell it: a sample, counted for all. The 50 commonest, and other",
        ),
        (
            "riptide_tls_acme_orders_total",
            "Certificates asked for by [tls.acme], and what came of it; challenge: the server did not find this tracker at a name",
        ),
        ("riptide_log_lines_lost_total", "Log lines that standard error did not take"),
        ("riptide_state_saves_total", "Saves of the swarms, and how they ended"),
    ] {
        describe_counter!(name, help);
    }
    for (name, help) in [
        ("riptide_torrents", "Torrents with at least one peer"),
        ("riptide_retained_torrents", "Torrents without peers whose count of downloads is kept"),
        ("riptide_peers", "Peers by family and role"),
        ("riptide_peers_limit", "Peers that are kept at most: limits.peers, or what follows from memory"),
        (
            "riptide_announce_interval_seconds",
            "How long clients of UDP and HTTP are asked to wait between announces now, before swarm.interval_jitter",
        ),
        ("riptide_announce_interval_base_seconds", "The same without pressure: swarm.interval"),
        ("riptide_announce_interval_limit_seconds", "The same at the greatest pressure: swarm.max_interval"),
        (
            "riptide_reply_peers_limit",
            "Peers in a UDP reply at most: swarm.max_num_want, or fewer near limits.udp_bytes_per_second",
        ),
        ("riptide_xdp_wanted", "1 for each interface that the XDP program is wanted on, attached or not"),
        (
            "riptide_pressure_ratio",
            "How far announce intervals are from the shortest to the longest for the load there is, from 0 to 1",
        ),
        (
            "riptide_xdp_info",
            "1 for each interface with the XDP program: how it is attached and its sockets bound",
        ),
        ("riptide_xsk_frames", "Frames of an AF_XDP socket by where they are"),
        ("riptide_xsk_umem_frames", "All frames of an AF_XDP socket"),
        ("riptide_http_connections", "Connections open now, those that have become WebSockets apart"),
        ("riptide_ws_connections", "WebSocket connections open now"),
        ("riptide_ws_memory_bytes", "Memory of WebSocket connections as websocket.memory counts it"),
        ("riptide_ws_memory_limit_bytes", "What websocket.memory permits"),
        (
            "riptide_state_last_save_timestamp_seconds",
            "When the swarms on disk were saved, by this process or the one before; 0 if there are none",
        ),
        ("riptide_state_size_bytes", "Size of the file of swarms; 0 if there is none"),
        ("riptide_state_restored_peers", "Peers that were restored at the start"),
        (
            "riptide_tls_certificate_expiry_timestamp_seconds",
            "When the certificate expires that is served; 0 while there is none. source: file, or acme as in [tls.acme]",
        ),
        ("riptide_build_info", "1, with the version and commit of this binary"),
    ] {
        describe_gauge!(name, help);
    }
}
