//! Prints how much memory the engine takes, by what the kernel says is resident. Linux only.
//!
//! `cargo run --release -p tracker-core --example engine_memory`

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use std::{error::Error, fs};
use tracker_common::address::Address;
use tracker_core::{
    engine::{Announce, Engine, Lists, Want},
    model::{Event, InfoHash},
    policy::Policy,
    rng::Rng,
};

/// Bytes resident: the second field of `statm`, in pages of 4 KiB.
fn resident() -> Result<u64, Box<dyn Error>> {
    let pages = fs::read_to_string("/proc/self/statm")?;
    Ok(pages.split(' ').nth(1).ok_or("statm has no second field")?.parse::<u64>()? * 4096)
}

fn torrent(n: u64) -> InfoHash {
    let mut rng = Rng::new([n, 1]);
    let mut hash = [0; 20];
    hash.chunks_mut(8).for_each(|part| part.copy_from_slice(&rng.next_u64().to_le_bytes()[..part.len()]));
    InfoHash(hash)
}

fn peer(torrent_number: u64, n: u64, ipv6: bool) -> Announce {
    let [a, b, c, d, ..] = n.to_le_bytes();
    let address = if ipv6 {
        Address::from_octets([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 1, d, c, b, a])
    } else {
        Address::from_ipv4([d % 100 + 1, c, b, a])
    };
    Announce {
        info_hash: torrent(torrent_number),
        address,
        port: 6881,
        event: Event::None,
        left: u64::from(n.is_multiple_of(4)),
        want: Want::Own(0),
    }
}

/// Bytes that the announces made resident.
fn measure(announces: impl Iterator<Item = Announce>) -> Result<f64, Box<dyn Error>> {
    let engine = Engine::new(Policy::default(), [1, 2]);
    let mut rng = Rng::new([1, 2]);
    let before = resident()?;
    for announce in announces {
        engine.announce(&announce, 0, &mut rng, &mut Lists::default())?;
    }
    let grown = resident()? - before;
    drop(engine);
    Ok(grown as f64)
}

fn main() -> Result<(), Box<dyn Error>> {
    let million = 1_000_000_u64;
    // Each in a process of its own would be cleaner; the smallest come last, so that what was freed helps them least.
    let which = std::env::args().nth(1);
    let wanted = |name: &str| which.as_deref().is_none_or(|which| which == name);
    if wanted("one") {
        let bytes = measure((0..million).map(|n| peer(n, n, false)))?;
        println!("torrent with one IPv4 peer: {:.1} bytes", bytes / million as f64);
    }
    if wanted("one6") {
        let bytes = measure((0..million).map(|n| peer(n, n, true)))?;
        println!("torrent with one IPv6 peer: {:.1} bytes", bytes / million as f64);
    }
    if wanted("mix") {
        let mut rng = Rng::new([7, 7]);
        let bytes = measure(
            (0..million)
                .map(|n| peer(n, n, false))
                .chain((0..million).map(move |n| peer(rng.below(1_000_000) as u64, million + n, false))),
        )?;
        println!("1 M torrents with 2 M IPv4 peers: {:.1} MB", bytes / 1e6);
    }
    if wanted("thousand") {
        let bytes = measure((0..2 * million).map(|n| peer(n % 2000, n, false)))?;
        println!("IPv4 peer in a swarm of 1000: {:.2} bytes", bytes / (2.0 * million as f64));
    }
    if wanted("thousand6") {
        let bytes = measure((0..million).map(|n| peer(n % 1000, n, true)))?;
        println!("IPv6 peer in a swarm of 1000: {:.2} bytes", bytes / million as f64);
    }
    Ok(())
}
