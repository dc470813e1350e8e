//! How nodes of a cluster begin, are followed by other processes, and end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::sys::signal::Signal;
use tests::{
    cluster::{Cluster, Node, Over, Plan, Prober, Swarms},
    control::ask,
    eventually,
    random::Random,
    rig::Family,
    udp::{Announce, Client, Reply, hex, id20},
    web::{http::Connection, stream::tcp},
};

#[test]
fn a_hand_over_loses_nothing_of_what_others_hear() {
    let mut cluster = Cluster::of(3);
    let (mut swarms, mut random) = (Swarms::default(), Random::fresh());
    swarms.crowd(&cluster, &[0, 1, 2], 2);
    let prober = Prober::of(cluster.nodes());
    for _ in 0..2 {
        let mut next = cluster.node(0).next().arguments("--take-over").spawn();
        // They listen at the same places.
        while !next.is_ready() {
            assert!(!next.has_ended(), "{}", next.log_text());
            swarms.stir(&cluster, &[0, 1, 2], 1, &mut random);
        }
        next.wait_ready();
        let mut before = cluster.node_mut(0).replace(next);
        while !before.has_ended() {
            swarms.stir(&cluster, &[0, 1, 2], 1, &mut random);
        }
        assert_eq!(before.wait().code(), Some(0), "{}", before.log_text());
        swarms.stir(&cluster, &[0, 1, 2], 10, &mut random);
        swarms.agree(&cluster);
    }
    prober.end();
    // Who comes now gets it all from one of them.
    cluster.add();
    swarms.agree(&cluster);
}

/// What a node's page for load balancers says.
fn health(node: &Node) -> u16 {
    let place = node.http(Family::V4);
    Connection::new(tcp("127.0.0.1".parse().unwrap(), place), "").get("/health").status
}

#[test]
fn a_drained_node_says_so_before_it_ends_and_its_peers_stay() {
    let mut cluster = Plan { cluster: "drain_delay = \"2s\"", ..Plan::default() }.start(3);
    let mut swarms = Swarms::default();
    swarms.crowd(&cluster, &[0, 1, 2], 2);
    let prober = Prober::of(&cluster.nodes()[1..]);
    assert_eq!(health(cluster.node(0)), 200);
    cluster.node(0).riptide().signal(Signal::SIGTERM);
    eventually("/health to say so", || (health(cluster.node(0)) == 503).then_some(()));
    // Whoever still asks is answered, and told of.
    let peer = swarms.peer(Family::V4, Over::Udp, 0);
    swarms.comes(&cluster, id20("cluster", 0), peer, false);
    let status = cluster.node_mut(0).wait_end();
    assert_eq!(status, Some(0));
    swarms.agree(&cluster);
    prober.end();
}

/// Whether a node lists a decision of a kind.
fn lists(node: &Node, kind: &str, entry: &str) -> bool {
    let (status, listed) = ask(node.riptide(), &format!("GET /{kind}"));
    assert_eq!(status, 200, "{listed:#}");
    listed["entries"].as_array().expect("a list").iter().any(|listed| listed == entry)
}

#[test]
fn a_node_that_drains_takes_decisions_all_the_while() {
    let mut cluster = Plan { cluster: "drain_delay = \"10m\"", ..Plan::default() }.start(2);
    cluster.node(0).riptide().signal(Signal::SIGTERM);
    eventually("/health to say so", || (health(cluster.node(0)) == 503).then_some(()));
    // Those of others, those of its own operator, and that they are taken back.
    let hashes = [0, 1].map(|number| hex(id20("denied", number)));
    cluster.node(1).order(&format!("deny add {}", hashes[0]));
    cluster.node(0).order(&format!("deny add {}", hashes[1]));
    cluster.node(0).order("ban add 127.0.9.0/24");
    for node in cluster.nodes() {
        for (kind, entry) in [("deny", &*hashes[0]), ("deny", &hashes[1]), ("ban", "127.0.9.0/24")] {
            eventually(entry, || lists(node, kind, entry).then_some(()));
        }
        let client = Client::new("127.0.0.1".parse().unwrap(), node.udp(Family::V4));
        for number in 0..2 {
            let reply = client.try_announce(&Announce::leecher(id20("denied", number), 1));
            assert!(matches!(reply, Reply::Error(_)), "{}: {reply:?}", node.name());
        }
    }
    cluster.node(1).order(&format!("deny remove {}", hashes[0]));
    eventually("what was taken back", || (!lists(cluster.node(0), "deny", &hashes[0])).then_some(()));
    // Nothing else is begun any more.
    for operation in ["POST /upgrade", "POST /reload"] {
        let (status, refusal) = ask(cluster.node(0).riptide(), operation);
        let says_so = refusal["error"].as_str().is_some_and(|error| error.contains("is stopping"));
        assert!(status == 503 && says_so, "{operation}: {status} {refusal}");
    }
    // Who does not want to wait says so again.
    cluster.node(0).riptide().signal(Signal::SIGTERM);
    assert_eq!(cluster.node_mut(0).wait_end(), Some(1));
}

#[test]
fn without_nats_nodes_begin_alone_and_join_when_it_comes() {
    let keys = "drain_delay = \"0s\"\njoin_timeout = \"1s\"";
    let mut cluster = Plan { cluster: keys, ..Plan::default() }.start_alone(2);
    for number in 0..2 {
        cluster.node_mut(number).wait_ready();
        let node = cluster.node(number);
        node.riptide().wait_for_line("that it is alone", |line| line.contains("cluster.join_timeout"));
        assert_eq!(health(node), 200);
    }
    let mut swarms = Swarms::default();
    let views = [0, 1].map(|home| swarms.view(&[home]));
    swarms.crowd(&cluster, &[0, 1], 2);
    swarms.stir(&cluster, &[0, 1], 30, &mut Random::fresh());
    for (node, view) in cluster.nodes().iter().zip(&views) {
        swarms.scrapes(node, &swarms.rows_in(view, false), || {});
    }
    cluster.server.restart();
    swarms.agree(&cluster);
    // One of them has taken the other's key: IDs of each hold at both.
    let took = |node: &Node| node.riptide().log_text().contains("takes over the key of connection IDs");
    eventually("one key", || cluster.nodes().iter().any(took).then_some(()));
    let [one, other] = [0, 1].map(|number| cluster.node(number).udp(Family::V4));
    for (from, to) in [(one, other), (other, one)] {
        let client = Client::new("127.0.0.1".parse().unwrap(), from);
        client.connect();
        client.at(to).announce(&Announce::leecher(id20("id", 0), 1));
    }
}
