//! What people and programs are told of a cluster: metrics, `status`, `/stats` and `/health`, with NATS and without.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::net::Ipv4Addr;
use tests::{
    control::{printed, status},
    eventually,
    handover::goes_on,
    nats::NatsServer,
    riptide::{Riptide, Start},
    udp::{Announce, Client, id20},
    web::{http::Connection, stream},
};

/// A node of this name that is to be started.
fn start(nats: &NatsServer, name: &str, more: &str) -> Start<'static> {
    let cluster =
        format!("[cluster]\nservers = [\"{}\"]\nnode = \"{name}\"\ndrain_delay = \"0s\"\n{more}", nats.url());
    Start::new(None).arguments("--udp 127.0.0.1:0").http("listen = [\"127.0.0.1:0\"]").config(&cluster)
}

/// A node of this name that serves.
fn node(nats: &NatsServer, name: &str, more: &str) -> Riptide {
    start(nats, name, more).ready()
}

fn client(riptide: &Riptide) -> Client {
    Client::new(Ipv4Addr::LOCALHOST.into(), riptide.udp()[0])
}

/// The status and the text of a page.
fn page(riptide: &Riptide, target: &str) -> (u16, String) {
    let answer = Connection::new(stream::tcp(Ipv4Addr::LOCALHOST.into(), riptide.http()[0]), "").get(target);
    (answer.status, String::from_utf8(answer.body.clone()).expect("UTF-8"))
}

fn stats(riptide: &Riptide) -> Value {
    serde_json::from_str(&page(riptide, "/stats.json").1).expect("JSON")
}

/// Waits until a node says so of itself.
fn until(riptide: &Riptide, awaited: &str, good: impl Fn(&Value) -> bool) -> Value {
    eventually(awaited, || {
        let told = status(riptide)["cluster"].take();
        good(&told).then_some(told)
    })
}

#[test]
fn two_nodes_tell_of_each_other() {
    let nats = NatsServer::start();
    let [a, b] = ["a", "b"].map(|name| node(&nats, name, ""));
    let hash = id20("shown", 0);
    for port in 1..=3 {
        client(&a).announce(&Announce::leecher(hash, port));
    }
    let told = until(&b, "all of a's peers", |told| told["others"][0]["peers"] == 3);
    let other = &told["others"][0];
    assert_eq!(
        (
            &told["node"],
            &told["joined"],
            &told["nodes_here"],
            &other["node"],
            &other["state"],
            &other["torrents"]
        ),
        (&json!("b"), &json!(true), &json!(2), &json!("a"), &json!("here"), &json!(1))
    );
    assert_eq!(
        (&other["version"], &other["missing_batches"]),
        (&json!(env!("CARGO_PKG_VERSION")), &json!(0))
    );
    assert!(told["nats_version"].as_str().is_some_and(|version| version.starts_with("2.")), "{told}");
    let text = printed(&b.control("status"));
    assert!(text.contains("\ncluster:\n  node: b\n  nats version: 2."), "{text}");
    assert!(
        text.contains("\n  others:\n    node a, version ") && text.contains(", state here, lag 0."),
        "{text}"
    );

    let metrics = b.metrics_until("a's changes", |metrics| {
        metrics.count("riptide_cluster_changes_total", &[("direction", "in")]) >= 3
    });
    for (name, value) in [
        ("riptide_cluster_nodes", 2.0),
        ("riptide_cluster_connected", 1.0),
        ("riptide_cluster_joined", 1.0),
        ("riptide_cluster_cut_off_nodes", 0.0),
        ("riptide_cluster_incomplete_nodes", 0.0),
        ("riptide_cluster_lost_batches_total", 0.0),
    ] {
        assert_eq!(metrics.sum(name, &[]), value, "{name}");
    }
    let lag = metrics.sum("riptide_cluster_lag_seconds", &[]);
    assert!((0.0..10.0).contains(&lag), "{lag}");
    assert!(metrics.count("riptide_cluster_bytes_total", &[("direction", "in")]) > 0);
    assert!(metrics.count("riptide_cluster_bytes_total", &[("direction", "out")]) > 0);
    let of_a = a.metrics();
    assert!(of_a.count("riptide_cluster_changes_total", &[("direction", "out")]) >= 3);
    assert_eq!(
        of_a.count("riptide_cluster_changes_total", &[("direction", "in")]),
        0,
        "b had nothing to tell"
    );

    // Peers are everybody's, requests each node's own.
    let shown = eventually("what b shows", || {
        let shown = stats(&b);
        (shown["peers"]["ipv4"]["leecher"] == 3).then_some(shown)
    });
    assert_eq!(shown["cluster"], json!({ "nodes": 2, "connected": true }));
    assert_eq!(shown["actions"]["total"]["announce"], 0);
    assert!(page(&b, "/stats").1.contains("Torrents and peers are those of all 2 nodes"));
    assert_eq!(page(&b, "/health"), (200, "ok\n".to_owned()));

    a.stop();
    let told = until(&b, "a to be gone", |told| told["others"][0]["state"] == "lost");
    assert_eq!(told["nodes_here"], 1);
    assert_eq!(b.metrics().sum("riptide_cluster_nodes", &[]), 1.0);
    b.stop();
}

#[test]
fn a_node_without_nats_says_that_it_serves_alone() {
    let mut nats = NatsServer::start();
    let riptide = node(&nats, "a", "");
    assert_eq!(page(&riptide, "/health"), (200, "ok\n".to_owned()));
    nats.kill();
    until(&riptide, "no connection", |told| told["nats_version"].is_null());
    let alone = "ok\ncluster: no connection to NATS, this node serves alone\n";
    assert_eq!(page(&riptide, "/health"), (200, alone.to_owned()));
    assert_eq!(riptide.metrics().sum("riptide_cluster_connected", &[]), 0.0);
    eventually("the page to say so", || (stats(&riptide)["cluster"]["connected"] == false).then_some(()));
    assert!(page(&riptide, "/stats").1.contains("no connection to others and serves alone"));
    let text = printed(&riptide.control("status"));
    assert!(text.contains("\n  nats version: none\n"), "{text}");
    client(&riptide).announce(&Announce::leecher(id20("shown", 1), 1));

    nats.restart();
    until(&riptide, "a connection", |told| told["nats_version"].is_string());
    assert_eq!(page(&riptide, "/health"), (200, "ok\n".to_owned()));
    assert_eq!(riptide.metrics().sum("riptide_cluster_connected", &[]), 1.0);
    riptide.stop();
}

#[test]
fn a_node_that_waits_for_others_in_vain_says_so() {
    let mut nats = NatsServer::start();
    nats.kill();
    let riptide = node(&nats, "a", "join_timeout = \"1s\"\n");
    let (code, text) = page(&riptide, "/health");
    assert_eq!((code, text.lines().count()), (200, 2), "{text}");
    let metrics = riptide.metrics();
    assert_eq!(metrics.sum("riptide_cluster_connected", &[]), 0.0);
    assert_eq!(metrics.sum("riptide_cluster_nodes", &[]), 1.0);
    riptide.stop();
}

#[test]
fn where_no_cluster_is_on_nothing_is_said_of_one() {
    let riptide = Start::new(None).arguments("--udp 127.0.0.1:0").http("listen = [\"127.0.0.1:0\"]").ready();
    assert_eq!(page(&riptide, "/health"), (200, "ok\n".to_owned()));
    assert_eq!((&status(&riptide)["cluster"], &stats(&riptide)["cluster"]), (&Value::Null, &Value::Null));
    let metrics = riptide.metrics();
    assert!(!metrics.samples.iter().any(|sample| sample.name.starts_with("riptide_cluster_")));
    riptide.stop();
}

#[test]
fn what_was_counted_of_a_cluster_goes_on_with_the_next_process() {
    let nats = NatsServer::start();
    let mut riptide = node(&nats, "a", "");
    client(&riptide).announce(&Announce::leecher(id20("shown", 2), 1));
    let before = riptide.metrics_until("a change", |metrics| {
        metrics.count("riptide_cluster_changes_total", &[("direction", "out")]) == 1
    });
    let next = start(&nats, "a", "").directory(riptide.directory()).arguments("--take-over").ready();
    let after = next.metrics();
    goes_on(&before, &after);
    assert_eq!(after.count("riptide_cluster_changes_total", &[("direction", "out")]), 1);
    assert_eq!(riptide.wait().code(), Some(0), "{}", riptide.log_text());
    assert_eq!(status(&next)["cluster"]["joined"], true);
    next.stop();
}

#[test]
fn top_has_a_panel_of_the_cluster() {
    let nats = NatsServer::start();
    let [a, b] = ["a", "b"].map(|name| node(&nats, name, ""));
    a.metrics_until("b", |metrics| metrics.sum("riptide_cluster_nodes", &[]) == 2.0);
    let url = format!("http://{}/metrics", a.metrics_address());
    let output = tests::riptide::command(&["top", "--once", "--url", &url]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("cluster"), "{text}");
    assert!(text.lines().any(|line| line.contains("nodes              2 connected")), "{text}");
    b.stop();
    a.stop();
}
