//! How long swarms take to be saved and restored, and what that takes of memory and disk:
//! `cargo bench -p tracker-user --bench state [-- --quick] [--json FILE]`

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use serde_json::{Value, json};
use std::{env, error::Error, fs, net::Ipv4Addr, path::Path, time::Instant};
use tracker_core::{
    engine::{CountedBy, Engine},
    model::{InfoHash, Role, Seconds},
    nodes::SharedNodes,
    policy::Policy,
    records::{PeerRecord, State, TorrentRecord},
};
use tracker_user::{
    state_directory::SWARMS_FILE,
    swarms::{Tally, moment::Moment, restore::restore, save::save},
};

const NOW: Seconds = 1_700_000_000;
const MILLION: u64 = 1_000_000;

fn empty() -> Engine {
    let limits = Policy { max_torrents: usize::MAX, max_peers: usize::MAX, ..Policy::default() };
    Engine::new(limits, [1, 2])
}

/// An engine with so many torrents, each with two peers of IPv4 that were heard of in the last half an hour.
fn engine(torrents: u64) -> Result<Engine, Box<dyn Error>> {
    let engine = empty();
    for number in 0..torrents {
        let mut hash = [0; 20];
        let words = [1_u64, 2, 3].map(|n| tracker_common::load::mix(number ^ n << 60).to_le_bytes());
        hash.iter_mut().zip(words.as_flattened()).for_each(|(place, byte)| *place = *byte);
        let peer = |which: u64| {
            let peer = 2 * number + which;
            let address = std::net::IpAddr::from(Ipv4Addr::from_bits(0x0100_0000 + peer as u32)).into();
            let role = if peer.is_multiple_of(4) { Role::Leecher } else { Role::Seeder };
            PeerRecord {
                address,
                port: 6881,
                state: State::Here { role, counted: false },
                age: peer as u32 % 1800,
            }
        };
        let torrent = TorrentRecord { info_hash: InfoHash(hash), downloaded: 1, age: 0 };
        engine.import(&torrent, &[peer(0), peer(1)], NOW, CountedBy::Own)?;
    }
    Ok(engine)
}

/// A line of `/proc/self/status`, bytes.
fn status(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

/// Saves an engine, and says how long that took, how large the file is, and what memory it took beside.
fn measure_save(engine: &Engine, directory: &Path) -> Result<(f64, u64, u64), Box<dyn Error>> {
    // The highest so far is from now on.
    fs::write("/proc/self/clear_refs", "5")?;
    let before = status("VmRSS").ok_or("no VmRSS")?;
    let saved = save(engine, &SharedNodes::default(), || NOW, directory, |_| true)?;
    let highest = status("VmHWM").ok_or("no VmHWM")?;
    Ok((saved.took.as_secs_f64(), saved.bytes, highest.saturating_sub(before)))
}

fn measure_restore(directory: &Path, peers: u64) -> Result<f64, Box<dyn Error>> {
    let (engine, tally) = (empty(), Tally::default());
    let begun = Instant::now();
    restore(&engine, &SharedNodes::default(), directory, NOW, &Moment::now(), &tally);
    let took = begun.elapsed().as_secs_f64();
    if tally.restored.get() != peers {
        return Err(format!("{} of {peers} peers were restored", tally.restored.get()).into());
    }
    Ok(took)
}

fn measure(torrents: u64, rounds: usize) -> Result<Vec<Value>, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (peers, millions) = (2 * torrents, 2 * torrents / MILLION);
    let engine = engine(torrents)?;
    let mut saves =
        (0..rounds).map(|_| measure_save(&engine, directory.path())).collect::<Result<Vec<_>, _>>()?;
    drop(engine);
    saves.sort_by(|a, b| a.0.total_cmp(&b.0));
    let restores =
        (0..rounds).map(|_| measure_restore(directory.path(), peers)).collect::<Result<Vec<_>, _>>()?;
    let (took, bytes, _) = saves[0];
    let memory = saves.iter().map(|save| save.2).max().unwrap_or_default();
    let per_peer = bytes as f64 / peers as f64;
    fs::remove_file(directory.path().join(SWARMS_FILE))?;
    println!(
        "{millions} M peers in {} M torrents: saved in {took:.2} s at best, {per_peer:.1} bytes a peer, {} KiB of memory \
         beside; restored in {restores:.2?} s",
        torrents / MILLION,
        memory >> 10
    );
    Ok(vec![
        json!({ "name": format!("restore {millions} M"), "seconds": restores }),
        json!({ "name": format!("save {millions} M"), "seconds": saves.iter().map(|save| save.0).collect::<Vec<_>>() }),
        json!({ "name": format!("bytes {millions} M"), "bytes": per_peer }),
        json!({ "name": format!("memory {millions} M"), "bytes": memory }),
    ])
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let file = arguments.iter().position(|argument| argument == "--json");
    let file = file.map(|at| arguments.get(at + 1).ok_or("--json is followed by a file")).transpose()?;
    let rounds = if arguments.iter().any(|argument| argument == "--quick") { 2 } else { 5 };
    let mut cases = measure(MILLION, rounds)?;
    cases.extend(measure(10 * MILLION, rounds.min(2))?);
    if let Some(file) = file {
        fs::write(file, format!("{:#}\n", json!({ "cases": cases })))?;
    }
    Ok(())
}
