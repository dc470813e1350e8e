//! What connection IDs are made of, and what was decided. Both outlive the process, and others have a word in them until this one
//! serves: the nodes of its cluster, and the process that it takes over from.

use crate::{
    clock::Clock,
    cluster::ClusterMaterial,
    config::Config,
    decisions::{self, Decisions},
    node_name::NodeName,
    server::{
        cluster::{self, KeySince},
        decide::{self, Lists},
    },
    state::{ConnectionIdState, boot_id},
    xdp::manager::Prepared,
};
use tracker_core::engine::Engine;

/// What holds from process to process.
#[derive(Debug)]
pub(super) struct Standing {
    /// What this node is called.
    pub(super) node: NodeName,
    /// What connection IDs are made of.
    pub(super) ids: ConnectionIdState,
    /// Since when the key among it has been the cluster's.
    pub(super) key_since: KeySince,
    /// The state directory can be written.
    pub(super) is_kept: bool,
    /// What was decided by control.
    pub(super) decisions: Decisions,
}

impl Standing {
    /// Begins with what was saved, made or received of connection IDs. A node of a cluster asks the others for theirs, unless it
    /// `takes_over`: then what was received holds.
    pub(super) fn take_up(
        config: &Config,
        of_cluster: Option<&ClusterMaterial>,
        (mut ids, is_kept): (ConnectionIdState, bool),
        takes_over: bool,
    ) -> Self {
        let node = of_cluster.map_or_else(NodeName::alone, |of_cluster| of_cluster.node.clone());
        let key_since = match of_cluster {
            Some(of_cluster) if !takes_over => {
                cluster::take_over_key(&config.cluster, of_cluster, &mut ids, &config.state.directory)
            }
            _ => KeySince::now(&ids),
        };
        let decisions = decisions::file::take_up(&config.state.directory, &node);
        Self { node, ids, key_since, is_kept, decisions }
    }

    /// Protocol time.
    pub(super) fn clock(&self) -> Clock {
        Clock::new(self.ids.clock_base_ns)
    }

    /// Reads anew what the process before may have changed until it let go, and puts it into force.
    pub(super) fn catch_up(&mut self, config: &Config, lists: &Lists, engine: &Engine, xdp: &mut Prepared) {
        let last = decisions::file::take_up(&config.state.directory, &self.node);
        if last != self.decisions {
            self.decisions = last;
            engine.set_access(lists.access(&self.decisions), self.clock().now());
            decide::ban(engine, &lists.banned(&self.decisions));
            engine.change_policy(|policy| lists.clientele.with(&self.decisions).govern(policy.clone()));
            xdp.ban(lists.banned(&self.decisions));
        }
        let kept = ConnectionIdState::kept(&config.state.directory, &boot_id()).filter(|_| self.is_kept);
        if let Some(ConnectionIdState { master, .. }) = kept.filter(|kept| *kept != self.ids) {
            self.ids.master = master;
            xdp.rekey(master);
        }
    }
}
