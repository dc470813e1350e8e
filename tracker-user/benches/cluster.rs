//! How fast a node takes in what another one tells:
//! `cargo bench -p tracker-user --bench cluster [-- --quick] [--json FILE]`

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use bytes::Bytes;
use nix::time::{ClockId, clock_gettime};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{env, error::Error, fs, sync::Arc, time::Duration};
use tracker_common::{address::Address, load::mix};
use tracker_core::{
    engine::{Announce, Engine, Lists, Want},
    model::{Event, InfoHash, Seconds},
    nodes::Nodes,
    policy::Policy,
    rng::Rng,
};
use tracker_user::cluster::{
    Channel,
    node::{Node, Settings, To},
};

const TORRENTS: u64 = 1_000_000;
/// Two in each torrent.
const PEERS: u64 = 2 * TORRENTS;
const NOW: Seconds = 1_700_000_000;
const PEER_TIMEOUT: Seconds = 45 * 60;
/// Announces between two times that changes are sent: ten times as many a second.
const TICK: u64 = 100_000;
/// Announces of a round.
const ROUND: u64 = 1_000_000;
/// Of so many announces one is a stop.
const STOPS: usize = 5;
/// From a peer that announces to the next that does, so that none does twice in a round: who stops and comes again in the same
/// second is gone to others, since nobody tells them in which order that was.
const STRIDE: u64 = 1_234_567;

/// A node, and the engine that it holds.
struct Party {
    engine: Arc<Engine>,
    node: Node,
}

impl Party {
    fn new(name: &str, boot: u64) -> Self {
        let limits = Policy {
            max_torrents: usize::MAX,
            max_peers: usize::MAX,
            peer_timeout: PEER_TIMEOUT,
            ..Policy::default()
        };
        let engine = Arc::new(Engine::new(limits, [boot, 2]));
        let settings = Settings {
            name: name.into(),
            boot,
            release: "bench",
            // It has nobody to wait for.
            succeeds: true,
            max_nodes: 2,
            max_replay: 1 << 20,
            max_records_per_second: u64::MAX,
            max_relays_per_second: 0,
        };
        let node = Node::new(settings, engine.clone(), Arc::<Mutex<Nodes>>::default(), Rng::new([boot, 3]));
        Self { engine, node }
    }
}

/// What the peer of this number announces.
fn announce(peer: u64, event: Event) -> Announce {
    let torrent = peer / 2;
    let mut hash = [0; 20];
    let words = [1_u64, 2, 3].map(|n| mix(torrent ^ n << 60).to_le_bytes());
    hash.iter_mut().zip(words.as_flattened()).for_each(|(place, byte)| *place = *byte);
    let [a, b, c, ..] = peer.to_le_bytes();
    Announce {
        info_hash: InfoHash(hash),
        address: Address::from_ipv4([1, c, b, a]),
        port: 6881,
        event,
        left: u64::from(peer.is_multiple_of(4)),
        want: Want::Own(0),
    }
}

/// What a node tells of announces that its clients make then.
fn told(
    teller: &mut Party,
    announces: impl Iterator<Item = Announce>,
    now: Seconds,
) -> Result<Vec<Bytes>, Box<dyn Error>> {
    let mut messages = Vec::new();
    let mut tick = |node: &mut Node| {
        node.tick(nanoseconds(now));
        messages.extend(node.out.drain(..).filter(|(to, _)| *to == To::Changes).map(|(_, message)| message));
    };
    let mut rng = Rng::new([5, 6]);
    for (number, announce) in (1..).zip(announces) {
        teller.engine.announce(&announce, now, &mut rng, &mut Lists::default())?;
        if number % TICK == 0 {
            tick(&mut teller.node);
        }
    }
    tick(&mut teller.node);
    Ok(messages)
}

const fn nanoseconds(now: Seconds) -> u64 {
    now as u64 * 1_000_000_000
}

fn processor_time() -> Result<Duration, Box<dyn Error>> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// Records that a node takes in, in a second of its processor.
fn taken_in(receiver: &mut Node, messages: &[Bytes], now: Seconds) -> Result<f64, Box<dyn Error>> {
    let (before, begun) = (receiver.tally().changes_in, processor_time()?);
    for message in messages {
        receiver.receive("teller", Channel::Changes, message, nanoseconds(now));
    }
    let took = (processor_time()? - begun).as_secs_f64();
    Ok((receiver.tally().changes_in - before) as f64 / took)
}

fn measure(rounds: u32) -> Result<Vec<Value>, Box<dyn Error>> {
    let (mut teller, mut receiver) = (Party::new("teller", 1), Party::new("receiver", 2));
    let joins = told(&mut teller, (0..PEERS).map(|peer| announce(peer, Event::Started)), NOW)?;
    let new = taken_in(&mut receiver.node, &joins, NOW)?;
    drop(joins);
    let (mut rng, mut known) = (Rng::new([7, 8]), Vec::new());
    for round in 1..=rounds {
        // So much later each peer that stays is news again.
        let now = NOW + round * (PEER_TIMEOUT / 3);
        let announces = (0..ROUND).map(|number| {
            let event = if rng.below(STOPS) == 0 { Event::Stopped } else { Event::None };
            announce((u64::from(round) + number * STRIDE) % PEERS, event)
        });
        let messages = told(&mut teller, announces, now)?;
        known.push(taken_in(&mut receiver.node, &messages, now)?);
    }
    let [told, has] = [&teller, &receiver].map(|party| party.engine.totals());
    if told.peers != has.peers || receiver.node.tally().refused > 0 {
        return Err(format!("{told:?} was told, {has:?} is there").into());
    }
    println!(
        "records a second: {:.2} M of new torrents and peers, {:.2?} M of refreshes, stops and joins in 1 M torrents",
        new / 1e6,
        known.iter().map(|rate| rate / 1e6).collect::<Vec<_>>()
    );
    Ok(vec![
        json!({ "name": "applying", "per_second": known }),
        json!({ "name": "applying, all new", "per_second": [new] }),
    ])
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let file = arguments.iter().position(|argument| argument == "--json");
    let file = file.map(|at| arguments.get(at + 1).ok_or("--json is followed by a file")).transpose()?;
    let rounds = if arguments.iter().any(|argument| argument == "--quick") { 3 } else { 7 };
    let cases = measure(rounds)?;
    if let Some(file) = file {
        fs::write(file, format!("{:#}\n", json!({ "cases": cases })))?;
    }
    Ok(())
}
