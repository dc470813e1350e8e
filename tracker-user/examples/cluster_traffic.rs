//! What nodes of a cluster tell each other, and what that costs: `cargo run --release -p tracker-user --example cluster_traffic` prints a
//! table.
//!
//! Nodes are the real state machines on real engines, and their messages go straight from one to the other. Clients live 180 times as
//! fast as the defaults say: they announce each 10 s instead of each half an hour, and peers are forgotten after 15 s instead of 45
//! minutes, so that as many of the announces are news as there. A client starts, announces four times more, of which every second client
//! completes once, and stops. What NATS adds (subjects, TCP, TLS) is not counted.
// Printing is what it is for, and what fails here fails at once.
#![allow(clippy::print_stdout, clippy::expect_used)]

use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tracker_core::{
    engine::{Announce, Engine, Lists, Want},
    model::{Event, InfoHash},
    nodes::Nodes,
    policy::Policy,
    rng::Rng,
};
use tracker_user::cluster::{
    Channel,
    node::{Node, Settings, To},
};

const SECOND: u64 = 1_000_000_000;
/// How often a client announces, and for how long a peer is remembered, seconds.
const INTERVAL: u32 = 10;
const TIMEOUT: u32 = 15;
/// Announces of a client from its start to its stop.
const ANNOUNCES: u32 = 6;
/// Announces a second at each node.
const RATE: u32 = 20;
/// Peers of a torrent, on average.
const PEERS: u32 = 20;
/// Seconds that are measured, once as many peers are known as there will be.
const MEASURED: u32 = 5;

struct Client {
    node: usize,
    number: u32,
    said: u32,
}

struct Cluster {
    nodes: Vec<Node>,
    engines: Vec<Arc<Engine>>,
    applying: Duration,
    messages: u64,
}

impl Cluster {
    fn new(nodes: usize, now_ns: u64) -> Self {
        let policy = Policy { peer_timeout: TIMEOUT, ..Policy::default() };
        let engines: Vec<_> =
            (0..nodes as u64).map(|at| Arc::new(Engine::new(policy.clone(), [at, 1]))).collect();
        let node = |(at, engine): (usize, &Arc<Engine>)| {
            let settings = Settings {
                name: format!("n{at}").into(),
                boot: at as u64 + 1,
                release: env!("CARGO_PKG_VERSION"),
                succeeds: true,
                max_nodes: nodes,
                max_replay: 1 << 20,
                max_records_per_second: 1_000_000,
                max_relays_per_second: 1000,
            };
            let names = Arc::<Mutex<Nodes>>::default();
            let mut node = Node::new(settings, engine.clone(), names, Rng::new([at as u64, 2]));
            node.connected(now_ns);
            node
        };
        let nodes = engines.iter().enumerate().map(node).collect();
        Self { nodes, engines, applying: Duration::ZERO, messages: 0 }
    }

    fn tick(&mut self, now_ns: u64) {
        for node in &mut self.nodes {
            node.tick(now_ns);
        }
        loop {
            let mut out: Vec<(usize, To, Bytes)> = Vec::new();
            for (at, node) in self.nodes.iter_mut().enumerate() {
                while node.work(now_ns) {}
                node.effects.clear();
                out.extend(std::mem::take(&mut node.out).into_iter().map(|(to, message)| (at, to, message)));
            }
            if out.is_empty() {
                return;
            }
            let begun = Instant::now();
            for (from, to, message) in out {
                let name = format!("n{from}");
                for (at, node) in self.nodes.iter_mut().enumerate().filter(|(at, _)| *at != from) {
                    let channel = match &to {
                        To::Changes => Channel::Changes,
                        To::Alive => Channel::Alive,
                        To::Node(to) if **to == *format!("n{at}") => Channel::Direct,
                        To::Node(_) => continue,
                    };
                    node.receive(&name, channel, &message, now_ns);
                    self.messages += 1;
                }
            }
            self.applying += begun.elapsed();
        }
    }

    fn bytes_in(&self) -> u64 {
        self.nodes.iter().map(|node| node.tally().bytes_in).sum()
    }

    fn changes_out(&self) -> u64 {
        self.nodes.iter().map(|node| node.tally().changes_out).sum()
    }
}

fn announce(engine: &Engine, client: &Client, torrents: u32, now: u32) {
    let mut hash = [0; 20];
    let torrent = client.number % torrents;
    hash[..4].copy_from_slice(&torrent.wrapping_mul(0x9e37_79b9).to_be_bytes());
    hash[4..8].copy_from_slice(&torrent.to_be_bytes());
    let [_, a, b, c] = client.number.to_be_bytes();
    let completes = client.number.is_multiple_of(2);
    let event = match client.said {
        0 => Event::Started,
        3 if completes => Event::Completed,
        said if said + 1 == ANNOUNCES => Event::Stopped,
        _ => Event::None,
    };
    let announce = Announce {
        info_hash: InfoHash(hash),
        address: IpAddr::from([10, a, b, c]).into(),
        port: 6881,
        event,
        left: if completes && client.said >= 3 { 0 } else { 1000 },
        want: Want::Own(50),
    };
    engine.announce(&announce, now, &mut Rng::new([1, 2]), &mut Lists::default()).expect("there is room");
}

fn measure(nodes: usize) -> String {
    let mut now_ns = 1_790_000_000 * SECOND;
    let mut cluster = Cluster::new(nodes, now_ns);
    let each = RATE * INTERVAL;
    let ticks = INTERVAL * 10;
    let torrents = (nodes as u32 * each / PEERS).max(1);
    // In all stages of their lives from the beginning.
    let mut clients: Vec<_> = (0..nodes as u32 * each)
        .map(|number| Client {
            node: (number / ticks) as usize % nodes,
            number,
            said: number / 7 % ANNOUNCES,
        })
        .collect();
    let mut next = clients.len() as u32;
    let warm = 10 * TIMEOUT;
    let mut before = (0, 0, Duration::ZERO, 0);
    for tick in 0..warm + 10 * MEASURED {
        if tick == warm {
            before = (cluster.bytes_in(), cluster.messages, cluster.applying, cluster.changes_out());
        }
        now_ns += SECOND / 10;
        let now = (now_ns / SECOND) as u32;
        for at in ((tick % ticks) as usize..clients.len()).step_by(ticks as usize) {
            let client = &mut clients[at];
            announce(&cluster.engines[client.node], client, torrents, now);
            client.said += 1;
            if client.said == ANNOUNCES {
                *client = Client { node: client.node, number: next, said: 0 };
                next += 1;
            }
        }
        if tick % 10 == 0 {
            cluster.engines.iter().for_each(|engine| _ = engine.sweep(now, usize::MAX));
        }
        cluster.tick(now_ns);
    }
    let a_second = |count: u64| count as f64 / f64::from(MEASURED) / nodes as f64;
    let bytes = a_second(cluster.bytes_in() - before.0);
    let messages = a_second(cluster.messages - before.1);
    let applying = (cluster.applying - before.2).as_secs_f64() / f64::from(MEASURED) / nodes as f64;
    let changes = a_second(cluster.changes_out() - before.3);
    let peers = cluster.engines.first().map_or(0, |engine| engine.peers());
    format!(
        "| {nodes} | {peers} | {:.0} % | {:.1} kB/s | {messages:.0} | {:.2} ms | {:.1} µs |",
        100.0 * changes / f64::from(RATE),
        bytes / 1e3,
        1e3 * applying,
        1e6 * applying / (changes * (nodes - 1) as f64),
    )
}

fn main() {
    println!("{RATE} announces a second at each node\n");
    println!(
        "| nodes | peers | announces that are told | into a node | messages a second | its time a second | a change |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for nodes in [3, 10, 30, 100] {
        println!("{}", measure(nodes));
    }
}
