//! Nodes of a cluster while something is wrong: others answer all the while, and afterwards all have what they were told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    thread,
    time::{Duration, Instant},
};
use tests::{
    cluster::{Cluster, Plan, Prober, Swarms},
    eventually,
    random::Random,
};

/// Three nodes that know a crowd.
fn three(plan: Plan) -> (Cluster, Swarms, Random) {
    let cluster = plan.start(3);
    let mut swarms = Swarms::default();
    swarms.crowd(&cluster, &[0, 1, 2], 2);
    swarms.stir(&cluster, &[0, 1, 2], 30, &mut Random::new(1));
    swarms.agree(&cluster);
    (cluster, swarms, Random::fresh())
}

/// Asks these nodes.
fn prober(cluster: &Cluster, nodes: &[usize]) -> Prober {
    Prober::of(nodes.iter().map(|number| cluster.node(*number)))
}

/// How long a node is frozen: longer than anybody waits for it.
const FROZEN: Duration = Duration::from_secs(60);
/// Peers that are not heard of for four seconds go.
const SHORT: &str = "interval = \"1s\"\nmax_interval = \"1s\"\nmin_interval = \"0s\"\npeer_timeout = \"4s\"\nsweep_interval = \"1s\"";

/// Waits until all nodes that run say what they should, while all peers announce again and again.
fn agree_alive(cluster: &Cluster, swarms: &Swarms) {
    let all = swarms.rows();
    cluster.running().for_each(|node| swarms.scrapes(node, &all, || swarms.refresh(cluster)));
}

#[test]
fn a_node_that_was_killed_comes_again_with_all() {
    let environment = &[("RIPTIDE_STATE__SAVE_INTERVAL", "1s")];
    let (mut cluster, mut swarms, mut random) = three(Plan { swarm: SHORT, environment, ..Plan::default() });
    let saved = |cluster: &Cluster| {
        let metrics = cluster.node(0).riptide().metrics();
        metrics.sum("riptide_state_saves_total", &[("outcome", "ok")])
    };
    let before = saved(&cluster);
    eventually("swarms to be saved", || {
        swarms.refresh(&cluster);
        (saved(&cluster) >= before + 2.0).then_some(())
    });
    // What is saved is older than this.
    swarms.stir(&cluster, &[0, 1, 2], 30, &mut random);
    agree_alive(&cluster, &swarms);
    let prober = prober(&cluster, &[1, 2]);
    cluster.node_mut(0).kill();
    // No swarm loses a peer, and its clients go to another.
    cluster.running().for_each(|node| swarms.scrapes(node, &swarms.rows(), || {}));
    swarms.move_home(0, 1);
    swarms.refresh(&cluster);
    swarms.stir(&cluster, &[1, 2], 30, &mut random);
    // It knows nothing of those who went meanwhile, and they expire.
    cluster.node_mut(0).start();
    agree_alive(&cluster, &swarms);
    // Its own downloads go on from where others heard of them.
    swarms.stir(&cluster, &[0, 1, 2], 30, &mut random);
    agree_alive(&cluster, &swarms);
    prober.end();
}

#[test]
fn a_node_without_its_state_gets_its_own_downloads_from_others() {
    let (mut cluster, mut swarms, mut random) =
        three(Plan { environment: &[("RIPTIDE_STATE__SWARMS", "false")], ..Plan::default() });
    cluster.node_mut(0).kill();
    cluster.node_mut(0).start();
    swarms.agree(&cluster);
    swarms.stir(&cluster, &[0, 1, 2], 30, &mut random);
    swarms.agree(&cluster);
}

#[test]
fn a_node_that_was_frozen_gets_what_it_missed() {
    // The server gives up a client that does not answer for two seconds, and says so.
    let nats = "ping_interval: \"1s\"\nping_max: 1\ndebug: true\n";
    let (mut cluster, mut swarms, mut random) = three(Plan { nats, ..Plan::default() });
    let prober = prober(&cluster, &[1, 2]);
    swarms.stir(&cluster, &[0], 10, &mut random);
    cluster.node_mut(0).freeze();
    let frozen = Instant::now();
    swarms.stir(&cluster, &[1, 2], 40, &mut random);
    eventually("the server to give it up", || {
        cluster.server.log().contains("Stale Client Connection").then_some(())
    });
    let gone = format!("{} is not heard of any more", cluster.node(0).name());
    cluster.node(1).riptide().wait_for_line("that it is gone", |line| line.contains(&gone));
    // The others go on all the while.
    while frozen.elapsed() < FROZEN {
        swarms.stir(&cluster, &[1, 2], 1, &mut random);
        prober.goes_round();
        thread::sleep(Duration::from_millis(500));
    }
    cluster.node_mut(0).thaw();
    swarms.stir(&cluster, &[0, 1, 2], 10, &mut random);
    swarms.agree(&cluster);
    prober.end();
}

#[test]
fn without_nats_all_serve_on_and_afterwards_agree() {
    let (mut cluster, mut swarms, mut random) = three(Plan::default());
    let prober = prober(&cluster, &[0, 1, 2]);
    cluster.server.kill();
    for node in cluster.running() {
        node.riptide().wait_for_line("that it is alone", |line| line.contains("serves on alone"));
    }
    let views: Vec<_> = (0..3).map(|home| (home, swarms.view(&[home]))).collect();
    swarms.stir(&cluster, &[0, 1, 2], 60, &mut random);
    prober.goes_round();
    // Each knows what was before, and its own.
    for (home, view) in &views {
        let rows = swarms.rows_in(view, false);
        swarms.scrapes(cluster.node(*home), &rows, || {});
    }
    cluster.server.restart();
    swarms.agree(&cluster);
    prober.end();
}

#[test]
fn with_a_fifth_of_all_messages_lost_all_agree() {
    let (cluster, mut swarms, mut random) = three(Plan::default());
    let prober = prober(&cluster, &[0, 1, 2]);
    for (seed, node) in (1..).zip(cluster.nodes()) {
        node.proxy.lose(0.2, seed);
    }
    for _ in 0..10 {
        swarms.stir(&cluster, &[0, 1, 2], 5, &mut random);
        // A batch is a tenth of a second, so that there are many.
        prober.goes_round();
    }
    let lost = || cluster.nodes().iter().map(|node| node.proxy.lost()).sum::<u64>();
    eventually("many messages to be lost", || (lost() >= 10).then_some(()));
    swarms.agree(&cluster);
    prober.end();
}

#[test]
fn a_partition_that_outlasts_peers_heals() {
    let cluster = Plan { swarm: SHORT, ..Plan::default() }.start(3);
    let mut random = Random::fresh();
    let mut swarms = Swarms::default();
    swarms.crowd(&cluster, &[0, 1, 2], 2);
    swarms.stir(&cluster, &[0, 1, 2], 20, &mut random);
    agree_alive(&cluster, &swarms);
    let prober = prober(&cluster, &[0, 1, 2]);
    cluster.node(0).proxy.cut();
    let (one, two) = (swarms.view(&[0]), swarms.view(&[1, 2]));
    swarms.stir(&cluster, &[0, 1, 2], 40, &mut random);
    // Peers of the other part go when nobody hears of them any more, and downloads stay.
    for (number, view) in [(0, &one), (1, &two), (2, &two)] {
        let rows = swarms.rows_in(view, true);
        swarms.scrapes(cluster.node(number), &rows, || swarms.refresh(&cluster));
    }
    cluster.node(0).proxy.heal();
    agree_alive(&cluster, &swarms);
    prober.end();
}
