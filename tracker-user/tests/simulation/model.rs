//! What should be: one list of all that clients have done, whichever node answered them.

use crate::{
    scenario::{Fault, PEERS, Scenario, Step, TORRENTS},
    world::{Planted, TICK_MS, World},
};
use std::collections::{BTreeMap, BTreeSet};
use tracker_core::model::Event;

/// The last that a client said.
#[derive(Clone, Copy)]
struct Said {
    /// Nothing if it stopped.
    seeds: Option<bool>,
    at_ms: u64,
}

#[derive(Default)]
struct Model {
    clients: BTreeMap<(u8, u8), Said>,
    downloads: BTreeMap<u8, u32>,
    /// Clients that stopped at a node that did not know them, to which that says nothing: others may know them until they expire.
    unknown: BTreeSet<(u8, u8)>,
    /// Clients whose last word was lost with a process, and torrents of which downloads may have been.
    unsure: BTreeSet<(u8, u8)>,
    unsure_downloads: BTreeSet<u8>,
    counted_by: BTreeSet<(usize, u8)>,
}

impl Model {
    /// A client announced to a node, which knew it as it was before.
    fn announced(&mut self, step: &Step, known: Option<bool>, at_ms: u64) {
        let Step::Announce { node, torrent, peer, event, left } = *step else { return };
        let seeds = (event != Event::Stopped).then_some(left == 0);
        let before = self.clients.insert((torrent, peer), Said { seeds, at_ms });
        let was_unsure = self.unsure.remove(&(torrent, peer));
        if seeds.is_some()
            && seeds == known
            && (was_unsure || before.is_none_or(|before| before.seeds.is_none()))
        {
            // It did not hear that the client had stopped, or knows from a file what others do not know any more. So it is no news to
            // it that the client is there, and others hear of it within a third of the peer timeout.
            self.unsure.insert((torrent, peer));
        }
        self.unknown.remove(&(torrent, peer));
        if event == Event::Stopped && known.is_none() {
            self.unknown.insert((torrent, peer));
        }
        if event == Event::Completed {
            *self.downloads.entry(torrent).or_default() += 1;
            self.counted_by.insert((node, torrent));
        }
    }

    /// A process ends. What no other one knows is lost; that somebody went is sure only where nobody may tell otherwise.
    fn killed(&mut self, node: usize, world: &World, nodes: usize) {
        let known: Vec<_> = (0..nodes)
            .filter(|other| *other != node)
            .map(|other| (0..TORRENTS).map(|torrent| world.knows(other, torrent)).collect::<Vec<_>>())
            .collect();
        for (&(torrent, peer), said) in &self.clients {
            let mut others = known.iter().filter_map(|known| known[usize::from(torrent)].as_ref());
            let agrees = |(peers, _): &(BTreeMap<u8, bool>, u32)| peers.get(&peer).copied() == said.seeds;
            let is_sure = match said.seeds {
                Some(_) => others.any(agrees),
                None => others.all(agrees),
            };
            if !is_sure {
                self.unsure.insert((torrent, peer));
            }
        }
        self.unsure_downloads
            .extend(self.counted_by.iter().filter(|(by, _)| *by == node).map(|(_, torrent)| *torrent));
    }

    /// What is wrong with what nodes know, if anything.
    fn judge_all(&self, world: &World, scenario: &Scenario) -> Result<(), String> {
        let mut all = (0..scenario.nodes).flat_map(|node| (0..TORRENTS).map(move |torrent| (node, torrent)));
        all.try_for_each(|(node, torrent)| self.judge(world, node, torrent, scenario))
    }

    /// What is wrong with what a node knows of a torrent, if anything.
    fn judge(&self, world: &World, node: usize, torrent: u8, scenario: &Scenario) -> Result<(), String> {
        let at = format!("torrent {torrent} at node {node}");
        let (peers, downloaded) = world.knows(node, torrent).ok_or(format!("node {node} does not run"))?;
        for peer in 0..PEERS {
            let said = self.clients.get(&(torrent, peer));
            // Whoever spoke before has expired.
            let said = said.filter(|said| !scenario.expires() || said.at_ms >= scenario.calm_ms);
            let expected = said.and_then(|said| said.seeds);
            let is_unsure = !scenario.expires() && self.unsure.contains(&(torrent, peer));
            // A walk and a file tell who is there, not who went: whoever stopped meanwhile stays, or comes back, until it expires.
            let is_told_by_all = !world.told_by_walks() && !self.unknown.contains(&(torrent, peer));
            let may_be_there = expected.is_none() && !scenario.expires() && !is_told_by_all;
            let found = peers.get(&peer).copied();
            if found != expected && !is_unsure && !may_be_there {
                return Err(format!("{at}: peer {peer} is {found:?}, not {expected:?}"));
            }
        }
        let expected = self.downloads.get(&torrent).copied().unwrap_or_default();
        let may_be_less = self.unsure_downloads.contains(&torrent);
        if downloaded > expected || downloaded < expected && !may_be_less {
            return Err(format!("{at}: {downloaded} downloads, not {expected}"));
        }
        Ok(())
    }
}

/// Runs a scenario. What is not as it should be at the end, if anything.
pub(crate) fn run(scenario: &Scenario, planted: Option<Planted>) -> Result<World, String> {
    let (mut world, mut model) = (World::new(scenario, planted), Model::default());
    let mut steps = scenario.steps.iter().peekable();
    while world.now_ms() < scenario.end_ms {
        while let Some((_, step)) = steps.next_if(|(at, _)| *at < world.now_ms() + TICK_MS) {
            if let Step::Fault(Fault::Kill(node)) = step {
                model.killed(*node, &world, scenario.nodes);
            }
            let known = world.knows_announcer(step);
            if world.step(step) {
                model.announced(step, known, world.now_ms());
            }
        }
        world.tick();
        if scenario.may_end_early()
            && world.now_ms() > scenario.calm_ms
            && world.now_ms().is_multiple_of(2000)
            && model.judge_all(&world, scenario).is_ok()
        {
            break;
        }
    }
    model.judge_all(&world, scenario)?;
    Ok(world)
}
