//! Whom the measured node has beside it, on another host: the NATS server and other nodes, all on the load's processor.

use crate::{
    bench::{
        lab::Lab,
        metrics::metric,
        program::{Program, Ready},
        rig::{BESIDE, Namespace, Rig},
        udp::tracker::{METRICS, PORT, Purpose, Running, Tracker},
    },
    unpacked,
};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::{
    iter::Sum,
    net::{Ipv4Addr, SocketAddr},
    ops::Sub,
    time::{Duration, Instant},
};

/// The NATS server, as the measured node reaches it.
const SERVER: &str = "nats://10.89.0.2:4222";
const SERVER_PORT: u16 = 4222;
/// Where it tells of its connections.
const MONITORING: u16 = 8222;
/// Announces a second while this one gets to know its peers, if others share the load's processor and have to take them in.
const FILL: f64 = 150_000.0;
/// How long nodes may take until they have what the measured one has.
const CATCHING_UP: Duration = Duration::from_secs(60);
/// How often they are asked.
const ASK: Duration = Duration::from_millis(500);
/// What a node calls its connection begins so.
const CONNECTION: &str = "riptide";

/// The measured node and its company.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) running: Running,
    pub(super) company: Company,
}

impl AsMut<Program> for Measured {
    fn as_mut(&mut self) -> &mut Program {
        &mut self.running.program
    }
}

impl Measured {
    /// Starts all, with so many other nodes.
    pub(super) fn start(lab: &Lab, purpose: &Purpose, others: u16) -> Result<Self> {
        let rig = Rig::lay(lab)?;
        let mut company = Company::start(lab, &rig, *purpose)?;
        let purpose = Purpose { cluster: Some(SERVER), ..*purpose };
        let mut running = Tracker::Native.start_on(lab, rig, &purpose)?;
        for _ in 0..others {
            company.add(lab)?;
            running.fill = FILL;
        }
        Ok(Self { running, company })
    }

    /// Waits until all nodes have the peers that this one has.
    pub(super) fn settle(&self, lab: &Lab) -> Result<()> {
        let begun = Instant::now();
        let peers = |namespace: &Namespace, port| metric(namespace, port, "riptide_peers{", "");
        loop {
            let here = peers(&self.running.rig.tracker, METRICS)?;
            let there = (1..=self.company.nodes.len() as u16)
                .map(|number| peers(&self.company.namespace, METRICS + number))
                .collect::<Result<Vec<_>>>()?;
            if there.iter().all(|there| (there / here.max(1.0) - 1.0).abs() < 0.001) {
                return Ok(());
            }
            if begun.elapsed() > CATCHING_UP {
                bail!("of {here} peers other nodes have {there:?} after {} s", CATCHING_UP.as_secs());
            }
            lab.rest(ASK)?;
        }
    }

    /// What has been told by now.
    pub(super) fn told(&self) -> Result<Told> {
        let tracker = &self.running.rig.tracker;
        let announces = metric(tracker, METRICS, "riptide_udp_responses_total{", "action=\"announce\"")?;
        let connections: Connections =
            serde_json::from_str(&self.company.namespace.get(MONITORING, "/connz")?)
                .context("cannot read what the NATS server tells of its connections")?;
        let bytes =
            connections.sent_to(&self.company.first()).context("no other node is connected to NATS")?;
        Ok(Told { announces, bytes })
    }
}

/// Announces that were answered, and bytes that another node was sent, as the NATS server counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Told {
    announces: f64,
    bytes: f64,
}

impl Told {
    /// Bytes for each announce.
    pub(super) fn per_announce(self) -> Option<f64> {
        (self.announces > 0.0).then(|| self.bytes / self.announces)
    }
}

impl Sub for Told {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { announces: self.announces - before.announces, bytes: self.bytes - before.bytes }
    }
}

impl Sum for Told {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, told| Self {
            announces: sum.announces + told.announces,
            bytes: sum.bytes + told.bytes,
        })
    }
}

/// What the server's `/connz` has.
#[derive(Debug, Deserialize)]
struct Connections {
    connections: Vec<Connection>,
}

#[derive(Debug, Deserialize)]
struct Connection {
    #[serde(default)]
    name: String,
    out_bytes: f64,
}

impl Connections {
    fn sent_to(&self, node: &str) -> Option<f64> {
        let name = format!("{CONNECTION} {node}");
        self.connections.iter().find(|connection| connection.name == name).map(|found| found.out_bytes)
    }
}

/// The others.
#[derive(Debug)]
pub(super) struct Company {
    // End before their network does.
    nodes: Vec<Program>,
    _server: Program,
    pub(super) namespace: Namespace,
    purpose: Purpose,
}

impl Company {
    fn start(lab: &Lab, rig: &Rig, purpose: Purpose) -> Result<Self> {
        let namespace = rig.beside(lab, "others")?;
        let program = unpacked::place().join("usr/bin/nats-server");
        if !program.exists() {
            bail!(
                "there is no {}: run `cargo xtask bench cluster` once without --built, which brings it",
                program.display()
            );
        }
        let mut command = namespace.command(lab.cpus.load, &program);
        command.args(["--addr", "0.0.0.0", "--port", &SERVER_PORT.to_string()]);
        command.args(["--http_port", &MONITORING.to_string()]);
        let server = Program::start(lab, "the NATS server", command, Ready::Port(SERVER_PORT))?;
        Ok(Self { nodes: Vec::new(), _server: server, namespace, purpose })
    }

    fn name(number: u16) -> String {
        format!("other-{number}")
    }

    fn first(&self) -> String {
        Self::name(1)
    }

    /// Where a node answers UDP, numbered from 1 on, in the namespace.
    pub(super) fn address(number: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, PORT + number).into()
    }

    /// Where the measured node answers UDP, from there.
    pub(super) fn measured() -> SocketAddr {
        (BESIDE[0].parse().unwrap_or(Ipv4Addr::UNSPECIFIED), PORT).into()
    }

    /// Starts another node, and waits until it is ready.
    fn add(&mut self, lab: &Lab) -> Result<()> {
        let node = self.begin(lab)?;
        self.nodes.push(node.ready(lab)?);
        Ok(())
    }

    /// Starts another node, which is ready some time later.
    pub(super) fn begin(&self, lab: &Lab) -> Result<Joining> {
        let number = self.nodes.len() as u16 + 1;
        let state = lab.scratch().join(format!("{}-state", lab.number()));
        let Purpose { peer_timeout, sweep, .. } = self.purpose;
        let (name, udp, metrics) = (Self::name(number), Self::address(number), METRICS + number);
        // Nobody is ready who has not got what others have.
        let text = format!(
            "[udp]\nlisten = [\"{udp}\"]\nworkers = 1\n[http]\nlisten = []\n[control]\nlisten = \"off\"\n\
             [metrics]\nlisten = \"127.0.0.1:{metrics}\"\n[state]\ndirectory = {state:?}\nswarms = false\n\
             [swarm]\nmax_interval = \"30m\"\npeer_timeout = \"{peer_timeout}s\"\nsweep_interval = \"{sweep}s\"\n\
             [cluster]\nservers = [\"nats://127.0.0.1:{SERVER_PORT}\"]\nnode = {name:?}\njoin_timeout = \"10m\"\n"
        );
        let file = lab.file("node.toml", &text)?;
        let mut command = self.namespace.command(lab.cpus.load, &lab.binary("riptide"));
        command.args(["run", "--config"]).arg(file);
        let begun = Instant::now();
        Ok(Joining { program: Program::spawn(lab, &name, command)?, begun, metrics })
    }
}

/// A node that is about to be one.
#[derive(Debug)]
pub(super) struct Joining {
    program: Program,
    /// Since when.
    pub(super) begun: Instant,
    metrics: u16,
}

impl Joining {
    /// That it runs, and whether it is ready.
    pub(super) fn is_ready(&mut self) -> Result<bool> {
        self.program.check()?;
        Ok(self.program.has_said("ready"))
    }

    /// How many peers it has.
    pub(super) fn peers(&self, company: &Company) -> Result<f64> {
        metric(&company.namespace, self.metrics, "riptide_peers{", "")
    }

    fn ready(mut self, lab: &Lab) -> Result<Program> {
        while !self.is_ready()? {
            if self.begun.elapsed() > CATCHING_UP {
                bail!("a node was not ready within {} s{}", CATCHING_UP.as_secs(), self.program.last_words());
            }
            lab.rest(ASK / 10)?;
        }
        Ok(self.program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_other_node() {
        let text = r#"{"num_connections": 2, "connections": [
            {"cid": 5, "name": "riptide measured", "in_bytes": 900, "out_bytes": 70},
            {"cid": 6, "in_bytes": 1, "out_bytes": 2},
            {"cid": 7, "name": "riptide other-1", "in_bytes": 50, "out_bytes": 920}]}"#;
        let connections: Connections = serde_json::from_str(text).unwrap();
        assert_eq!([connections.sent_to("other-1"), connections.sent_to("other-2")], [Some(920.0), None]);
        let told = [(10.0, 920.0), (30.0, 1_560.0), (20.0, 340.0)];
        let [before, after, more] = told.map(|(announces, bytes)| Told { announces, bytes });
        assert_eq!((after - before).per_announce(), Some(32.0));
        assert_eq!([after - before, more].into_iter().sum::<Told>().per_announce(), Some(24.5));
        assert_eq!((after - after).per_announce(), None);
    }

    #[test]
    fn the_server_is_on_the_other_host() {
        assert_eq!(SERVER, format!("nats://{}:{SERVER_PORT}", BESIDE[1]));
        assert_eq!(Company::measured().to_string(), format!("{}:{PORT}", BESIDE[0]));
    }
}
