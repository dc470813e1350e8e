//! Nodes of a cluster tell what each of them was told: peers, downloads, connection IDs, decisions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::net::Ipv4Addr;
use tests::{
    cluster::{Cluster, Node, Over, Plan, Swarms},
    control::ask,
    eventually,
    private::{Files, url_data},
    random::Random,
    rig::Family,
    scripts::node,
    udp::{Announce, Client, Reply, Row, connect_bytes, hex, id20},
};

#[test]
fn what_one_is_told_all_tell() {
    let mut cluster = Cluster::of(3);
    let mut swarms = Swarms::default();
    swarms.crowd(&cluster, &[0, 1, 2], 2);
    swarms.stir(&cluster, &[0, 1, 2], 60, &mut Random::fresh());
    swarms.agree(&cluster);
    // One peer from its coming to its going.
    let hash = id20("one", 0);
    let [peer, other] = [0, 1].map(|home| swarms.peer(Family::V4, Over::Udp, home));
    swarms.comes(&cluster, hash, peer, false);
    swarms.comes(&cluster, hash, other, false);
    swarms.agree(&cluster);
    swarms.completes(&cluster, hash, peer);
    swarms.agree(&cluster);
    // Its reply was lost, and it says so again to another node, which knows.
    swarms.completes_again(cluster.node(2), hash, peer);
    swarms.agree(&cluster);
    assert_eq!(swarms.rows()[&hash], Row { seeders: 1, completed: 1, leechers: 1 });
    // It goes from there, too.
    swarms.goes(cluster.node(2), hash, peer);
    swarms.agree(&cluster);
    // Who comes late gets all by a walk.
    cluster.add();
    swarms.agree(&cluster);
    // And whom it hears of, all hear of.
    swarms.stir(&cluster, &[3], 20, &mut Random::fresh());
    swarms.agree(&cluster);
}

#[test]
fn connection_ids_of_one_hold_at_all() {
    let mut cluster = Cluster::of(2);
    cluster.add();
    for (family, from) in Family::BOTH.into_iter().zip(["127.0.0.1", "::1"]) {
        let at = |number: usize| cluster.node(number).udp(family);
        for first in 0..3 {
            let mut client = Client::new(from.parse().unwrap(), at(first));
            client.connect();
            for other in 0..3 {
                client = client.at(at(other));
                client.announce(&Announce::leecher(id20("id", 0), 1));
            }
        }
    }
}

/// What a node lists of a kind: the entry, and the node that decided.
fn decided(node: &Node, kind: &str) -> Vec<[String; 2]> {
    let (status, listed) = ask(node.riptide(), &format!("GET /{kind}"));
    assert_eq!(status, 200, "{listed:#}");
    let text = |made: &Value, key: &str| made[key].as_str().expect("a text").to_owned();
    let made = listed["decided"].as_array().expect("a list");
    assert!(
        made.iter().all(|made| made["when"].as_str().is_some_and(|when| when.ends_with('Z'))),
        "{made:?}"
    );
    made.iter().map(|made| [text(made, "entry"), text(made, "node")]).collect()
}

fn listed(cluster: &Cluster, kind: &str, expected: &[[&str; 2]]) {
    for node in cluster.running() {
        eventually(&format!("{} to list {expected:?}", node.name()), || {
            (decided(node, kind) == expected).then_some(())
        });
    }
    // With the same time everywhere.
    let printed = |node: &Node| node.control(&format!("{kind} list"));
    let first = printed(cluster.node(0));
    assert!(cluster.running().all(|node| printed(node) == first), "{first}");
}

const KEY: &str = "key-of_a_member";

/// What of the three decisions holds.
fn holds(node: &Node, expected: bool) {
    let at = |last| Client::new(Ipv4Addr::new(127, 0, 9, last).into(), node.udp(Family::V4));
    let member = |hash, key: &str| {
        let tail = url_data(&[&format!("/{key}/announce")]);
        at(1).try_announce(&Announce { tail, ..Announce::leecher(hash, 1) })
    };
    // As the operator's own file has it.
    assert!(matches!(member(id20("allowed", 0), "key-of_the_file"), Reply::Announced(_)), "{}", node.name());
    assert_eq!(matches!(member(id20("allowed", 0), KEY), Reply::Announced(_)), expected, "{}", node.name());
    let denied = member(id20("denied", 0), "key-of_the_file");
    assert_eq!(matches!(denied, Reply::Error(_)), expected, "{}: {denied:?}", node.name());
    let (banned, before) = (at(200), dropped(node));
    banned.send(&connect_bytes(banned.transaction()));
    if expected {
        node.riptide().metrics_until("the drop", |_| dropped(node) > before);
    } else {
        let _ = banned.receive();
    }
}

fn dropped(node: &Node) -> f64 {
    node.riptide().metrics().sum("riptide_udp_dropped_total", &[("reason", "banned")])
}

#[test]
fn what_is_decided_at_one_holds_at_all() {
    let files = Files::new(&["key-of_the_file"], "");
    let mut cluster = Plan { tables: files.access(), ..Plan::default() }.start(3);
    let hash = hex(id20("denied", 0));
    cluster.running().for_each(|node| holds(node, false));
    cluster.node(0).order("ban add 127.0.9.128/25");
    cluster.node(1).order(&format!("deny add {hash}"));
    cluster.node(2).order(&format!("key add {KEY}"));
    let all_listed = |cluster: &Cluster| {
        listed(cluster, "ban", &[["127.0.9.128/25", "node-0"]]);
        listed(cluster, "deny", &[[&hash, "node-1"]]);
        listed(cluster, "key", &[[KEY, "node-2"]]);
        cluster.running().for_each(|node| holds(node, true));
    };
    all_listed(&cluster);
    // Who comes late, and who comes again, has them.
    cluster.add();
    all_listed(&cluster);
    cluster.node_mut(1).stop();
    cluster.node(3).order("ban remove 127.0.9.128/25");
    cluster.node(3).order("ban add 127.0.9.192/26");
    cluster.node_mut(1).start();
    listed(&cluster, "ban", &[["127.0.9.192/26", "node-3"]]);
    listed(&cluster, "deny", &[[&hash, "node-1"]]);
    listed(&cluster, "key", &[[KEY, "node-2"]]);
    cluster.running().for_each(|node| holds(node, true));
    // What is taken back is gone everywhere, and does not come again.
    let (status, removed) = ask(cluster.node(0).riptide(), "DELETE /ban/127.0.9.192%2F26");
    assert_eq!((status, &removed["changed"]), (200, &json!(true)));
    cluster.node(0).order(&format!("deny remove {hash}"));
    cluster.node(0).order(&format!("key remove {KEY}"));
    ["ban", "deny", "key"].iter().for_each(|kind| listed(&cluster, kind, &[]));
    cluster.running().for_each(|node| holds(node, false));
}

#[test]
fn browsers_at_two_nodes_move_a_file() {
    let cluster = Cluster::of(3);
    let at = |number: usize, what: &str| format!("{what}://{}", cluster.node(number).http(Family::V4));
    let [seeder, leecher] = [0, 1].map(|number| format!("{}/announce", at(number, "ws")));
    node("webtorrent_pages.js", &[&seeder, &leecher, &format!("{}/scrape", at(2, "http"))], None);
    for node in cluster.running() {
        node.riptide().metrics_until("no peer", |metrics| metrics.sum("riptide_peers", &[]) == 0.0);
    }
}
