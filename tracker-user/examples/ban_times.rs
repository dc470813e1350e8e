//! How long a long list of banned networks takes: to be read, to be put into the XDP program, and for a look at it. A line
//! for each. Needs root for the program.
//!
//! Arguments: how many networks (1,000,000), and `ipv6` for those.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "measuring equipment: whatever fails ends it"
)]

use std::{
    fmt::Write as _,
    hint::black_box,
    io::{Write as _, stdout},
    sync::Arc,
    time::Instant,
};
use tracker_common::address::Address;
use tracker_core::{
    banned::{Banned, NetworkSet},
    rng::Rng,
};
use tracker_user::{
    access_file::read_networks,
    config::{Access, AccessMode},
    xdp::program::{LoadOptions, Program},
};

/// Addresses that are looked for.
const LOOKS: usize = 1_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = arguments.iter().find_map(|text| text.parse().ok()).unwrap_or(1_000_000);
    let ipv6 = arguments.iter().any(|text| text == "ipv6");
    let mut rng = Rng::new([1, 2]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("networks");
    std::fs::write(&path, list(number, ipv6, &mut rng)).unwrap();

    let access = Access {
        mode: AccessMode::Off,
        info_hashes: None,
        denied_networks: Some(path),
        max_denied_networks: 10_000_000,
        denied_clients: None,
        keys: None,
    };
    let began = Instant::now();
    let (networks, _) = read_networks(&access).unwrap();
    say(&format!("{:.3} s to read {} networks", began.elapsed().as_secs_f64(), networks.len()));

    let banned = Banned::new(Arc::new(networks), Arc::<NetworkSet>::default());
    let looked: Vec<Address> = (0..LOOKS).map(|_| address(ipv6, &mut rng)).collect();
    let began = Instant::now();
    let found = looked.iter().filter(|address| black_box(&banned).covers(**address)).count();
    say(&format!(
        "{:.1} ns for a look, {found} of {LOOKS} are banned",
        began.elapsed().as_nanos() as f64 / LOOKS as f64
    ));

    match Program::load(LoadOptions { queues: 1, log: false }) {
        Ok((mut program, ..)) => {
            let began = Instant::now();
            let (added, _) = program.set_banned(&banned).unwrap();
            say(&format!("{:.3} s to put {added} into the program", began.elapsed().as_secs_f64()));
            let one = Arc::new(
                [tracker_core::networks::Network::new([192, 0, 2, 1].into(), 32)].into_iter().collect(),
            );
            let one_more = Banned::new(banned.listed().clone(), one);
            let began = Instant::now();
            program.set_banned(&one_more).unwrap();
            say(&format!("{:.6} s for one more", began.elapsed().as_secs_f64()));
            let began = Instant::now();
            program.set_banned(&Banned::default()).unwrap();
            say(&format!("{:.3} s to take them out", began.elapsed().as_secs_f64()));
        }
        Err(error) => say(&format!("no program: {error}")),
    }
}

fn say(line: &str) {
    writeln!(stdout().lock(), "{line}").unwrap();
}

/// Networks as lists of addresses that attack have them: mostly single ones, some larger.
fn list(number: usize, ipv6: bool, rng: &mut Rng) -> String {
    let mut text = String::new();
    for _ in 0..number {
        let address = address(ipv6, rng).to_ip();
        let prefix = match (rng.below(4), ipv6) {
            (0, false) => 24,
            (_, false) => 32,
            (0, true) => 48,
            (_, true) => 64,
        };
        let network = tracker_core::networks::Network::new(address, prefix);
        writeln!(text, "{network}").unwrap();
    }
    text
}

fn address(ipv6: bool, rng: &mut Rng) -> Address {
    let mut octets: [u8; 16] = std::array::from_fn(|_| rng.below(256) as u8);
    match ipv6 {
        true => {
            octets[..2].copy_from_slice(&[0x20, 1]);
            Address::from_octets(octets)
        }
        false => Address::from_ipv4([octets[0] | 1, octets[1], octets[2], octets[3]]),
    }
}
