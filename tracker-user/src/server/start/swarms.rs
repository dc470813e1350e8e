//! The engine, and where its swarms are from: the process before, other nodes of a cluster, or the disk.

use super::standing::Standing;
use crate::{
    clock::Clock,
    cluster::{Cluster, ClusterMaterial, NotBegun},
    config::Config,
    handover::taker::{self, Taker},
    policy,
    random::seed,
    room::Room,
    server::{
        cluster,
        decide::{self, Lists},
        reload::{take_up_access, tell_networks},
        start_error::{StartError, system},
    },
    swarms::{self, Tally},
    threads::aside,
};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;
use tracker_core::{engine::Engine, nodes::SharedNodes, policy::Policy};

/// What holds the swarms.
#[derive(Debug)]
pub(super) struct Swarms {
    pub(super) engine: Arc<Engine>,
    /// Nodes, known by number in all that is told of swarms, also where no cluster is on: their counts of downloads stay.
    pub(super) nodes: SharedNodes,
    pub(super) clock: Clock,
    /// What it has room for.
    pub(super) room: Room,
}

/// Where the swarms came from.
#[derive(Debug)]
pub(super) struct Filled {
    /// The node that this is, if it is one.
    pub(super) cluster: Option<Arc<Cluster>>,
    /// What metrics tell of what is saved.
    pub(super) tally: Arc<Tally>,
}

impl Swarms {
    /// None yet, under all rules that hold.
    ///
    /// # Errors
    /// When random bytes are short.
    pub(super) fn none_yet(config: &Config, lists: &Lists, standing: &Standing) -> Result<Self, StartError> {
        let room = Room::of(config);
        tracing::info!("there is room for {room}");
        let clientele = lists.clientele.with(&standing.decisions);
        let policy = clientele.govern(Policy { max_peers: room.peers, ..policy::from_config(config) });
        let engine = Arc::new(Engine::new(policy, seed().map_err(system("random bytes"))?));
        let clock = standing.clock();
        take_up_access(&engine, config, lists.access(&standing.decisions), clock.now());
        decide::ban(&engine, &lists.banned(&standing.decisions));
        tell_networks(config.access.denied_networks.as_ref().map(|_| lists.networks.len()));
        clientele.log();
        Ok(Self { engine, nodes: SharedNodes::default(), clock, room })
    }

    /// Takes in what there is, and begins to be a node where there is a cluster.
    ///
    /// # Errors
    /// When the process before gives up, or this can be no node. That there are no other nodes is none.
    pub(super) fn fill(
        &self,
        config: &Config,
        of_cluster: Option<&ClusterMaterial>,
        standing: &Standing,
        taker: Option<&mut Taker>,
        farewell: &UnboundedSender<String>,
    ) -> Result<Filled, StartError> {
        let be_a_node = |succeeds| -> Result<Option<Arc<Cluster>>, NotBegun> {
            let Some(of_cluster) = of_cluster else { return Ok(None) };
            let parts = cluster::Parts {
                engine: &self.engine,
                nodes: &self.nodes,
                clock: self.clock,
                master: standing.ids.master,
                key_since: standing.key_since,
                decisions: standing.decisions.digest(),
                succeeds,
            };
            cluster::begin(&config.cluster, of_cluster, parts, farewell).map(Some)
        };
        let Some(taker) = taker else {
            let tally = self.restore(config);
            let cluster = be_a_node(false)?;
            if let Some(cluster) = &cluster {
                cluster::wait_for_others(&config.cluster, cluster);
            }
            return Ok(Filled { cluster, tally });
        };
        // A process that takes over listens first, so that nothing is told between the walk and that.
        let cluster = be_a_node(true)?;
        if let Some(cluster) = &cluster {
            cluster::wait_for_connection(&config.cluster, cluster);
        }
        let fetched =
            aside("riptide-takein", || taker.fetch(self.taken_into())).map_err(system("a thread"))??;
        // Where the process before has crashed meanwhile, there is what it had saved.
        let tally = if fetched { swarms::look(&config.state) } else { self.restore(config) };
        Ok(Filled { cluster, tally })
    }

    fn restore(&self, config: &Config) -> Arc<Tally> {
        swarms::restore_if_kept(&config.state, &self.engine, &self.nodes, self.clock)
    }

    /// For what the process before tells.
    pub(super) fn taken_into(&self) -> taker::Swarms<'_> {
        taker::Swarms { engine: &self.engine, nodes: &self.nodes, clock: self.clock }
    }
}
