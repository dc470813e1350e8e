//! Trackers on the loopback interface, each with a name, a directory and a way to NATS of its own.

use crate::{
    nats::{NatsServer, Proxy},
    rig::Family,
    riptide::{Riptide, Start},
};
use nix::sys::signal::Signal;
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};
use tempfile::TempDir;

/// How a cluster is set up.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of the NATS server.
    pub nats: &'static str,
    /// Further keys of `[cluster]`.
    pub cluster: &'static str,
    /// Further keys of `[swarm]`.
    pub swarm: &'static str,
    /// Further tables.
    pub tables: String,
    /// Environment variables.
    pub environment: &'static [(&'static str, &'static str)],
}

impl Default for Plan {
    fn default() -> Self {
        // Nothing spreads clients over these, so nobody has to be told before one ends.
        Self { nats: "", cluster: "drain_delay = \"0s\"", swarm: "", tables: String::new(), environment: &[] }
    }
}

impl Plan {
    /// So many nodes, `node-0` and so on, which have found each other.
    #[must_use]
    pub fn start(self, count: usize) -> Cluster {
        let server = NatsServer::with(self.nats);
        let mut cluster = Cluster { nodes: Vec::new(), plan: self, server };
        cluster.add();
        // They join one that is there.
        let mut others: Vec<Node> = (1..count).map(|number| cluster.spawn(number)).collect();
        others.iter_mut().for_each(Node::wait_ready);
        cluster.nodes.append(&mut others);
        cluster
    }

    /// The same without a NATS server that runs: where it will be is known. None of the nodes is waited for.
    #[must_use]
    pub fn start_alone(self, count: usize) -> Cluster {
        let mut server = NatsServer::with(self.nats);
        server.kill();
        let mut cluster = Cluster { nodes: Vec::new(), plan: self, server };
        cluster.nodes = (0..count).map(|number| cluster.spawn(number)).collect();
        cluster
    }
}

/// Nodes and their NATS server.
pub struct Cluster {
    // They end before it does.
    nodes: Vec<Node>,
    plan: Plan,
    /// The NATS server.
    pub server: NatsServer,
}

impl Cluster {
    /// So many nodes with nothing special about them.
    #[must_use]
    pub fn of(count: usize) -> Self {
        Plan::default().start(count)
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node.
    #[must_use]
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// A node, for something to be done to it.
    pub fn node_mut(&mut self, number: usize) -> &mut Node {
        &mut self.nodes[number]
    }

    /// Those that run.
    pub fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.runs && node.riptide.is_some())
    }

    /// Starts one more and waits until it is ready.
    pub fn add(&mut self) -> &Node {
        let mut node = self.spawn(self.nodes.len());
        node.wait_ready();
        self.nodes.push(node);
        &self.nodes[self.nodes.len() - 1]
    }

    fn spawn(&self, number: usize) -> Node {
        let (name, proxy) = (format!("node-{number}"), Proxy::to(self.server.address()));
        let Plan { cluster, swarm, tables, environment, .. } = &self.plan;
        let config = format!(
            "[cluster]\nservers = [\"{}\"]\nnode = \"{name}\"\n{cluster}\n[swarm]\ninterval_jitter = 0.0\n{swarm}\n{tables}\n",
            proxy.url()
        );
        let mut node = Node { name, riptide: None, directory: None, proxy, config, environment, runs: true };
        node.riptide = Some(node.next().spawn());
        node
    }
}

/// A tracker of a cluster.
pub struct Node {
    name: String,
    riptide: Option<Riptide>,
    directory: Option<Arc<TempDir>>,
    /// Its way to NATS.
    pub proxy: Proxy,
    config: String,
    environment: &'static [(&'static str, &'static str)],
    runs: bool,
}

impl Node {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process.
    #[must_use]
    pub fn riptide(&self) -> &Riptide {
        self.riptide.as_ref().unwrap_or_else(|| panic!("{} does not run", self.name))
    }

    /// Its process, to be waited for.
    pub fn riptide_mut(&mut self) -> &mut Riptide {
        self.riptide.as_mut().unwrap_or_else(|| panic!("{} does not run", self.name))
    }

    /// Where it answers over UDP.
    #[must_use]
    pub fn udp(&self, family: Family) -> SocketAddr {
        let port = self.riptide().udp_port(family == Family::V6);
        match family {
            Family::V4 => (Ipv4Addr::LOCALHOST, port).into(),
            Family::V6 => (Ipv6Addr::LOCALHOST, port).into(),
        }
    }

    /// Where it answers over HTTP.
    #[must_use]
    pub fn http(&self, family: Family) -> SocketAddr {
        let found = self.riptide().http().iter().find(|at| at.is_ipv6() == (family == Family::V6));
        *found.unwrap_or_else(|| panic!("no HTTP:\n{}", self.riptide().log_text()))
    }

    /// How a process is started with its name, and in its directory if it had one.
    #[must_use]
    pub fn next(&self) -> Start<'static> {
        let start = Start::new(None)
            .arguments("--udp 0.0.0.0:0 --udp [::]:0 --workers 1")
            .http("listen = [\"127.0.0.1:0\", \"[::1]:0\"]")
            .config(&self.config);
        let start =
            self.environment.iter().fold(start, |start, (name, value)| start.environment(name, value));
        match &self.directory {
            Some(directory) => start.directory(directory.clone()),
            None => start,
        }
    }

    /// Waits until it serves.
    pub fn wait_ready(&mut self) {
        let riptide = self.riptide_mut();
        riptide.wait_ready();
        self.directory = Some(self.riptide().directory());
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        if let Some(riptide) = self.riptide.take() {
            riptide.kill();
        }
    }

    /// Stops it as an operator does.
    pub fn stop(&mut self) {
        if let Some(riptide) = self.riptide.take() {
            riptide.stop();
        }
    }

    /// Starts it again where it was, with what it kept.
    pub fn start(&mut self) {
        self.riptide = Some(self.next().spawn());
        self.wait_ready();
    }

    /// Waits until it ends by itself, and gives its exit status.
    pub fn wait_end(&mut self) -> Option<i32> {
        self.riptide.take().and_then(|mut riptide| riptide.wait().code())
    }

    /// Has another process be it, which is ready, and gives the one before.
    pub fn replace(&mut self, next: Riptide) -> Riptide {
        std::mem::replace(self.riptide_mut(), next)
    }

    /// Freezes it: connections stay, and nothing moves.
    pub fn freeze(&mut self) {
        self.riptide().signal(Signal::SIGSTOP);
        self.runs = false;
    }

    /// Lets it go on.
    pub fn thaw(&mut self) {
        self.riptide().signal(Signal::SIGCONT);
        self.runs = true;
    }

    /// Has it do something by control.
    pub fn order(&self, arguments: &str) {
        let _ = self.control(arguments);
    }

    /// What it says where it is asked by control.
    #[must_use]
    pub fn control(&self, arguments: &str) -> String {
        crate::control::printed(&self.riptide().control(arguments))
    }
}
