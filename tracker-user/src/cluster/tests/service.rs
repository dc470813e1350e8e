//! The thread of a node comes to its end whatever it has to do.

use crate::{
    clock::Clock,
    cluster::{Beginning, Cluster, ClusterMaterial, Host, node::Identity},
    config::{self, Config, NatsServer},
    farewell::Farewell,
    host,
};
use std::{
    net::TcpListener,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tracker_core::{
    engine::Engine,
    nodes::{NodeNumber, SharedNodes},
    policy::Policy,
};

/// Nothing takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node before a server that never says anything, and who hears of the end of its thread.
fn begin() -> (Arc<Cluster>, UnboundedReceiver<String>, TcpListener) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let server = NatsServer { tls: false, host: host::Host::parse("127.0.0.1").unwrap(), port };
    let config =
        config::Cluster { servers: vec![server], node: Some("a".to_owned()), ..Config::default().cluster };
    let material = ClusterMaterial::gather(&config, &mut Vec::new(), |error| panic!("{error}")).unwrap();
    let beginning = Beginning {
        engine: Arc::new(Engine::new(Policy::default(), [1, 2])),
        clock: Clock::new(0),
        names: SharedNodes::default(),
        identity: Identity::default(),
        succeeds: false,
    };
    let (sender, ended) = unbounded_channel();
    let cluster = Cluster::start(&config, &material, beginning, Farewell::new("the node", sender)).unwrap();
    (cluster, ended, silent)
}

/// A tracker that is busy until it is let go on.
struct Busy {
    is_busy: mpsc::Sender<()>,
    goes_on: mpsc::Receiver<()>,
}

impl Host for Busy {
    fn identity(&self) -> Identity {
        // Whoever waited may have what it wanted.
        let _ = self.is_busy.send(());
        let _ = self.goes_on.recv();
        Identity::default()
    }

    fn take_key(&mut self, _: &str, _: [u8; 16], _: u64) {}

    fn decisions(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    fn decided(&mut self, _: &str, _: &[Vec<u8>]) {}

    fn relay(&mut self, _: NodeNumber, _: &[u8]) {}
}

#[test]
fn a_node_with_more_to_do_than_it_can_still_ends() {
    let (cluster, mut ended, _silent) = begin();
    let (is_busy, busy) = mpsc::channel();
    let (lets_go, goes_on) = mpsc::channel();
    cluster.serve(Box::new(Busy { is_busy, goes_on }));
    busy.recv_timeout(PATIENCE).unwrap();
    // All that may wait for it does.
    let number = NodeNumber::new(0).unwrap();
    while cluster.relay(number, Vec::new()) {}
    let (done, is_done) = mpsc::channel();
    let ending = thread::spawn({
        let cluster = cluster.clone();
        move || {
            cluster.end(true);
            done.send(()).unwrap();
        }
    });
    drop(lets_go);
    is_done.recv_timeout(PATIENCE).expect("an end");
    ending.join().unwrap();
    assert_eq!(ended.try_recv().as_deref(), Ok("the node"));
    // To end it again is nothing.
    cluster.end(false);
}

#[test]
fn who_waits_until_all_is_taken_in_waits_as_long_as_it_may() {
    let (cluster, _ended, _silent) = begin();
    assert!(cluster.catch_up(PATIENCE), "there is nothing");
    let (is_busy, busy) = mpsc::channel();
    let (lets_go, goes_on) = mpsc::channel();
    cluster.serve(Box::new(Busy { is_busy, goes_on }));
    busy.recv_timeout(PATIENCE).unwrap();
    assert!(!cluster.catch_up(Duration::from_millis(1)), "it is busy");
    drop(lets_go);
    assert!(cluster.catch_up(PATIENCE));
    cluster.end(false);
    assert!(cluster.catch_up(PATIENCE), "nobody takes anything in any more");
}

#[test]
fn a_node_whose_tracker_is_gone_ends() {
    let (cluster, mut ended, _silent) = begin();
    drop(cluster);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, ended.recv()).await });
    assert_eq!(ended.expect("an end").as_deref(), Some("the node"));
}
