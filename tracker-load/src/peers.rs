//! Compact lists of peers (BEP 23, BEP 7): the address and the port, big-endian, of each.

use crate::figures::Wrong;
use std::net::{IpAddr, SocketAddr};
pub use tracker_common::address::Family;

const fn entry_len(family: Family) -> usize {
    match family {
        Family::Ipv4 => 6,
        Family::Ipv6 => 18,
    }
}

/// An address of 4 or 16 bytes.
#[must_use]
pub fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// The peers of a list, if it has nothing but whole entries.
#[must_use]
pub fn read(list: &[u8], family: Family) -> Option<Vec<SocketAddr>> {
    let len = entry_len(family);
    let peer = |peer: &[u8]| {
        let (ip, port) = peer.split_at_checked(len - 2)?;
        Some(SocketAddr::new(address(ip)?, u16::from_be_bytes(port.try_into().ok()?)))
    };
    list.chunks(len).map(peer).collect()
}

/// Checks a list and gives how many there are.
///
/// # Errors
/// What is wrong with it.
pub fn check(list: &[u8], wanted: usize, family: Family) -> Result<usize, Wrong> {
    let len = entry_len(family);
    if !list.len().is_multiple_of(len) {
        return Err(Wrong::Length);
    }
    let count = list.len() / len;
    if count > wanted {
        return Err(Wrong::TooMany);
    }
    // Most lists repeat nothing, and a bit per hashed entry shows it; only where two share a bit are they compared.
    let mut seen = [0_u64; 8];
    for (number, peer) in list.chunks_exact(len).enumerate() {
        let (address, port) = peer.split_at(len - 2);
        if port == [0, 0] || address.iter().all(|&byte| byte == 0) {
            return Err(Wrong::Peer);
        }
        let hash = peer.rchunks(8).fold(0_u64, |hash, part| {
            let word = part.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
            (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        let (place, bit) = ((hash >> 61) as usize, 1 << (hash >> 55 & 63));
        if seen[place] & bit != 0 && list.chunks_exact(len).take(number).any(|other| other == peer) {
            return Err(Wrong::Repeated);
        }
        seen[place] |= bit;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_they_are_written() {
        let list = [10, 0, 0, 1, 0x1a, 0xe1, 10, 0, 0, 2, 0, 1];
        let expected = ["10.0.0.1:6881", "10.0.0.2:1"].map(|peer| peer.parse().unwrap());
        assert_eq!(read(&list, Family::Ipv4).unwrap(), expected);
        assert_eq!(read(&list[..11], Family::Ipv4), None);
        let list = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1, 0x1a, 0xe1]].concat();
        assert_eq!(read(&list, Family::Ipv6).unwrap(), ["[2001:db8::1]:6881".parse().unwrap()]);
        assert_eq!(read(&list, Family::Ipv4).unwrap().len(), 3);
    }

    #[test]
    fn a_repeat_is_found_wherever_it_is() {
        let peers: Vec<u8> =
            (1..=200_u8).flat_map(|n| [10, 0, n, n.wrapping_mul(3), n, n.wrapping_mul(7) | 1]).collect();
        assert_eq!(check(&peers, 200, Family::Ipv4), Ok(200));
        for original in 0..199 {
            let mut repeated = peers.clone();
            repeated.copy_within(original * 6..original * 6 + 6, 199 * 6);
            assert_eq!(check(&repeated, 200, Family::Ipv4), Err(Wrong::Repeated), "{original}");
        }
    }
}
