//! What the operator has decided, by the files that the configuration names and by control, put into force on every path.

use super::Server;
use crate::{
    clientele::Clientele,
    config::{Access, AccessMode},
    decisions::{Decisions, Entry, Kind, NotDecided, Verdict},
    orders::{Decided, Listed, Made},
    utc,
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::time::timeout;
use tracker_core::{
    access::AccessList,
    admission::Admission,
    banned::{Banned, NetworkSet},
    engine::Engine,
    keys::Keys,
    policy::Policy,
};

/// How long is waited for the XDP programs to have a ban, before whoever asked is told that it holds. They may be busy with a
/// long list.
const PROGRAMS: Duration = Duration::from_secs(2);

/// What the operator's files say.
#[derive(Clone, Debug)]
pub(super) struct Lists {
    pub(super) access: AccessList,
    pub(super) networks: Arc<NetworkSet>,
    pub(super) clientele: Clientele,
}

impl Lists {
    /// The torrents that are served, with decisions beside the list.
    pub(super) fn access(&self, decisions: &Decisions) -> AccessList {
        self.access.denying(decisions.denied())
    }

    /// The networks that are banned, with decisions beside the list.
    pub(super) fn banned(&self, decisions: &Decisions) -> Banned {
        Banned::new(Arc::clone(&self.networks), Arc::new(decisions.banned()))
    }
}

/// Swaps the networks whose clients get nothing.
pub(super) fn ban(engine: &Engine, banned: &Banned) {
    engine.change_policy(|policy| {
        let admission = Admission { banned: banned.clone(), ..policy.admission.clone() };
        Policy { admission, ..policy.clone() }
    });
}

/// Swaps the keys of those who are served.
pub(super) fn admit(engine: &Engine, change: impl FnOnce(&Keys) -> Keys) {
    engine.change_policy(|policy| {
        let keys = policy.admission.keys.as_deref().map(|keys| Arc::new(change(keys)));
        Policy { admission: Admission { keys, ..policy.admission.clone() }, ..policy.clone() }
    });
}

/// A decision as it is told at the control socket.
fn made(Verdict { entry, stamp }: Verdict) -> Made {
    let when = (stamp.when > 0).then(|| utc::rfc3339(stamp.when / 1000));
    Made { entry: entry.to_string(), when, node: stamp.node.to_string() }
}

impl Server {
    /// Makes a decision hold, or no longer. When this returns, it does so everywhere.
    ///
    /// # Errors
    /// If it cannot be decided, or not be kept.
    pub(super) fn decide(&self, entry: Entry, holds: bool) -> Result<Decided, NotDecided> {
        let changed = self.decisions.decide(entry, holds, |decisions| self.enforce(&[entry], decisions))?;
        if let Some(cluster) = &self.cluster
            && let Some(verdict) = self.decisions.look(|decisions| decisions.verdict(&entry))
        {
            super::cluster::tell(cluster, verdict);
        }
        if changed {
            let verb = if holds { "decided" } else { "taken back" };
            tracing::info!("control: {verb}: {}", entry.in_log());
        }
        if !holds && let Some((key, path)) = self.file_of(&entry) {
            return Err(NotDecided::InFile { entry, path, key });
        }
        let odd = if holds { self.has_no_effect(&entry) } else { self.still_holds(&entry) };
        let warnings = odd.into_iter().collect();
        Ok(Decided { entry: entry.to_string(), changed, warnings })
    }

    /// Takes in what other nodes have decided, as the node `by` tells. When this returns, it holds everywhere.
    pub(super) fn merge(&self, by: &str, verdicts: Vec<Verdict>) {
        let (merged, kept) =
            self.decisions.merge(verdicts, |decisions, changed| self.enforce(changed, decisions));
        for line in merged.lines(by) {
            tracing::info!("{line}");
        }
        if merged.is_to_be_told {
            for line in merged.left_out(by) {
                tracing::warn!("{line}");
            }
        }
        match kept {
            // Whoever takes over is told the same.
            Ok(()) | Err(NotDecided::Elsewhere) => {}
            Err(error) => tracing::error!("what other nodes decided: {error}"),
        }
    }

    /// The decisions of a kind.
    pub(super) fn list(&self, kind: Kind) -> Listed {
        let Access { mode, denied_networks, .. } = &self.config.access;
        let in_file = match kind {
            Kind::Deny => (*mode == AccessMode::Deny).then(|| self.lists.access.len()),
            Kind::Ban => denied_networks.as_ref().map(|_| self.lists.networks.len()),
            Kind::Key => self.lists.clientele.lengths().1,
        };
        let decided: Vec<_> = self.decisions.list(kind).into_iter().map(made).collect();
        Listed { entries: decided.iter().map(|made| made.entry.clone()).collect(), decided, in_file }
    }

    /// Puts what has changed into force, once for all.
    fn enforce(&self, changed: &[Entry], decisions: &Decisions) {
        let (mut denied, mut is_banned, mut admitted, mut withdrawn) = (Vec::new(), false, vec![], vec![]);
        for entry in changed {
            match entry {
                Entry::Deny(info_hash) => denied.push(info_hash),
                Entry::Ban(_) => is_banned = true,
                Entry::Key(key) if decisions.has(entry) => admitted.push(key),
                Entry::Key(key) if !self.lists.clientele.lists(key) => withdrawn.push(key),
                Entry::Key(_) => {}
            }
        }
        let (access, now) = (|| self.lists.access(decisions), self.clock.now());
        match *denied {
            [] => {}
            [one] => self.engine.set_access_to(one, access(), now),
            _ => self.engine.set_access(access(), now),
        }
        if is_banned {
            let programs = self.ban(&self.lists.banned(decisions));
            let _ = self.runtime.block_on(async { timeout(PROGRAMS, programs).await });
        }
        if !admitted.is_empty() || !withdrawn.is_empty() {
            admit(&self.engine, |keys| keys.with(admitted).without(withdrawn.iter().copied()));
        }
        if !withdrawn.is_empty() {
            self.http.recheck_keys();
        }
    }

    /// Turns away the clients of these networks, and of no others, on every path. What is returned ends once the XDP programs do
    /// so too.
    pub(super) fn ban(&self, banned: &Banned) -> impl Future<Output = ()> + use<> {
        ban(&self.engine, banned);
        if let Some(hub) = &self.premises.sources.websocket {
            hub.close_banned();
        }
        let programs = self.premises.xdp.as_ref().map(|xdp| xdp.ban(banned.clone()));
        async {
            if let Some(programs) = programs {
                // An error is the end of the programs.
                let _ = programs.await;
            }
        }
    }

    /// The key and the file by which a decision holds anyway.
    fn file_of(&self, entry: &Entry) -> Option<(&'static str, PathBuf)> {
        let Access { mode, info_hashes, denied_networks, keys, .. } = &self.config.access;
        let (is_listed, key, path) = match entry {
            Entry::Deny(info_hash) => {
                let is_listed = *mode == AccessMode::Deny && self.lists.access.lists(info_hash);
                (is_listed, "access.info_hashes", info_hashes)
            }
            Entry::Ban(network) => {
                (self.lists.networks.contains(network), "access.denied_networks", denied_networks)
            }
            Entry::Key(key) => (self.lists.clientele.lists(key), "access.keys", keys),
        };
        let path = path.clone().filter(|_| is_listed)?;
        Some((key, path))
    }

    /// Why what was decided changes nothing.
    fn has_no_effect(&self, entry: &Entry) -> Option<String> {
        let is_needless = matches!(entry, Entry::Key(_)) && self.lists.clientele.keys.is_none();
        is_needless.then(|| {
            "everybody is served, with a key or without: access.keys names no file of keys".to_owned()
        })
    }

    /// Why what was taken back is refused all the same.
    fn still_holds(&self, entry: &Entry) -> Option<String> {
        match entry {
            Entry::Deny(info_hash) => {
                let is_unlisted =
                    self.config.access.mode == AccessMode::Allow && !self.lists.access.lists(info_hash);
                is_unlisted
                    .then(|| "it is refused all the same: access.info_hashes does not list it".to_owned())
            }
            Entry::Ban(network) => {
                let decided = self.decisions.look(Decisions::banned).cover(network);
                let larger = decided.or_else(|| self.lists.networks.cover(network))?;
                Some(format!("it is banned all the same, as a part of {larger}"))
            }
            Entry::Key(_) => None,
        }
    }
}
