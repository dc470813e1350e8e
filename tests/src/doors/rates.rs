//! How often a client network may ask, over HTTP and WebSocket together.

use super::hash;
use crate::{
    rig::Family,
    udp::id20,
    web::{
        house::{Client, Door, House},
        http::{Announce, escaped},
        websocket::{announce, latin},
    },
};
use serde_json::json;
use std::time::Instant;

const BURST: u64 = 4;
const LIMITS: &str = "[limits]\nhttp_requests_per_second = 1\nhttp_requests_burst = 4\n";
const TEXT: &str = "too many requests, try again later";

/// Asks until it is told that it asks too often. Returns how many requests were served.
fn served(client: &Client, target: &str) -> u64 {
    for served in 0.. {
        let answer = client.get(target);
        let dictionary = answer.dictionary();
        if dictionary.get("failure reason").is_some() {
            assert_eq!(answer.failure(), TEXT);
            assert_eq!(dictionary.integer("retry in"), 1);
            return served;
        }
        assert!(served < 100, "no limit");
    }
    unreachable!("the loop has no end")
}

/// A failure with `retry in`, a failure by WebSocket, and others served as before. Proxies name who counts.
pub fn a_client_over_its_rate_is_told_when_to_come_back(door: Door) {
    let house = House::with(door, "", LIMITS);
    for family in Family::BOTH {
        let (begun, client, info_hash) = (Instant::now(), house.client(family, 1), hash("rate", family));
        let most = || BURST + begun.elapsed().as_secs() + 1;
        let target = Announce::leecher(info_hash, 1).target();
        let mut all = served(&client, &target);
        assert!((BURST..=most()).contains(&all), "{all}");
        all += served(&client, &format!("/scrape?info_hash={}", escaped(&info_hash)));
        assert!(all <= most(), "{all}");
        // WebSocket messages have the same share, and pages none.
        let mut socket = client.websocket();
        for (message, action) in [
            (announce(info_hash, id20("rate", 1)), "announce"),
            (json!({"action": "scrape", "info_hash": latin(&info_hash)}), "scrape"),
        ] {
            let refused =
                (0..100).map(|_| socket.ask(&message)).find(|reply| reply.get("failure reason").is_some());
            let expected = json!({"action": action, "info_hash": latin(&info_hash), "failure reason": TEXT});
            assert_eq!(refused, Some(expected));
        }
        socket.close();
        assert_eq!(client.get("/health").status, 200);
        let labels = [("action", "announce"), ("family", family.label()), ("outcome", "rate_limited")];
        house
            .riptide()
            .metrics_until("the refusal", |m| m.sum("riptide_http_requests_total", &labels) == 1.0);
        // Without a proxy there is but one address in IPv6; another of the same /64 shares its share.
        if family == Family::V6 && !matches!(door, Door::Plain | Door::Tls) {
            assert!(served(&house.client(family, 2), &target) <= begun.elapsed().as_secs() + 1);
        }
        if family == Family::V4 {
            let other = house.client(family, 2);
            for _ in 0..BURST {
                other.announce(&Announce::leecher(info_hash, 2));
            }
        }
    }
    let sent = [("direction", "out"), ("kind", "rate_limited")];
    house.riptide().metrics_until("messages", |m| m.sum("riptide_ws_messages_total", &sent) == 4.0);
}
