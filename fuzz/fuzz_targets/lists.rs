//! Any list of networks or info hashes through its reader, against a naive reading of its lines.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::net::IpAddr;
use tracker_common::address::Address;
use tracker_core::{
    access::{AccessList, Mode},
    banned::NetworkSet,
};

/// The entries of a text, by the letter of it.
fn entries(text: &[u8]) -> Vec<&[u8]> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.split(|&byte| byte == b'\n')
        .map(|line| line.split(|&byte| byte == b'#').next().unwrap_or_default().trim_ascii())
        .filter(|entry| !entry.is_empty())
        .collect()
}

/// The address and prefix of an entry.
fn network(entry: &[u8]) -> Option<(IpAddr, u32)> {
    let text = std::str::from_utf8(entry).ok()?;
    let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        "" if !text.contains('/') => longest,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<u8>().ok()?.into(),
        _ => return None,
    };
    let all = prefix == 0 || (address.is_ipv6() && address.to_canonical().is_ipv4() && prefix == 96);
    (prefix <= longest && !all).then_some((address, prefix))
}

fuzz_target!(|data: &[u8]| {
    let lines = entries(data);
    let short = data.split(|&byte| byte == b'\n').all(|line| line.len() < 4000);
    let networks: Option<Vec<_>> = lines.iter().map(|entry| network(entry)).collect();
    let mut odd = 0;
    let read = NetworkSet::parse(data, usize::MAX, |line, _| {
        assert!(line > 0);
        odd += 1;
    });
    if short {
        assert_eq!(read.is_ok(), networks.is_some());
    }
    if let (Ok(set), Some(networks)) = (&read, networks) {
        assert!(set.len() <= networks.len() && odd <= networks.len());
        assert!(networks.iter().all(|(address, _)| set.covers(Address::from(*address))));
        for network in set.iter() {
            assert!(set.contains(&network) && set.covers(network.address()));
        }
    }
    let _ = AccessList::parse(Mode::Deny, data);
});
