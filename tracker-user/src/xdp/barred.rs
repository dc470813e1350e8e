//! The networks whose frames the program drops: what its two tries hold, kept by difference.

use super::trie::Trie;
use std::{io, os::fd::OwnedFd};
use tracker_common::address::Family;
use tracker_core::{banned::Banned, networks::Network};

/// Networks that are gathered before they are written.
const GATHERED: usize = 1 << 14;

/// Bytes of a key: four of prefix length, in the order of this machine, and the address in that of the network.
const KEY4: usize = 4 + 4;
const KEY6: usize = 4 + 16;

/// The tries and what is in them.
#[derive(Debug)]
pub(super) struct Barred {
    ipv4: Trie<KEY4>,
    ipv6: Trie<KEY6>,
    held: Banned,
}

impl Barred {
    /// Of two tries that are empty.
    pub(super) fn new(ipv4: OwnedFd, ipv6: OwnedFd) -> Self {
        Self { ipv4: Trie::new(ipv4), ipv6: Trie::new(ipv6), held: Banned::default() }
    }

    /// Makes the tries hold exactly these networks, touching only what changes. Returns how many were added and removed.
    ///
    /// # Errors
    /// When the kernel has no memory for them. What was there before is there then, and nothing else.
    pub(super) fn set(&mut self, wanted: &Banned) -> io::Result<(usize, usize)> {
        if self.held.is_same(wanted) {
            return Ok((0, 0));
        }
        // New ones first, so that nobody is let through who is banned before and after.
        let before = self.held.clone();
        let added = match self.each(wanted.without(&before), Trie::add, Trie::add) {
            Ok(added) => added,
            Err(error) => {
                self.take_out(wanted.without(&before));
                return Err(error);
            }
        };
        self.held = wanted.clone();
        Ok((added, self.take_out(before.without(wanted))))
    }

    /// How many there are of a family; some may count twice.
    pub(super) fn len_of(&self, family: Family) -> usize {
        self.held.len_of(family)
    }

    fn take_out(&mut self, networks: impl Iterator<Item = Network>) -> usize {
        fn remove<const N: usize>(trie: &mut Trie<N>, keys: &[[u8; N]]) -> io::Result<()> {
            trie.remove(keys);
            Ok(())
        }
        self.each(networks, remove, remove).unwrap_or_default()
    }

    /// Does something with all of these, some at a time. Returns how many they were.
    fn each(
        &mut self,
        networks: impl Iterator<Item = Network>,
        with4: fn(&mut Trie<KEY4>, &[[u8; KEY4]]) -> io::Result<()>,
        with6: fn(&mut Trie<KEY6>, &[[u8; KEY6]]) -> io::Result<()>,
    ) -> io::Result<usize> {
        let (mut keys4, mut keys6, mut count) = (Vec::new(), Vec::new(), 0);
        for network in networks {
            count += 1;
            let (length, address) = (u32::from(network.prefix()).to_ne_bytes(), network.address());
            match network.family() {
                Family::Ipv4 => keys4.push(key(length, &address.ipv4_bytes())),
                Family::Ipv6 => keys6.push(key(length, &address.octets())),
            }
            if keys4.len() == GATHERED {
                with4(&mut self.ipv4, &keys4)?;
                keys4.clear();
            }
            if keys6.len() == GATHERED {
                with6(&mut self.ipv6, &keys6)?;
                keys6.clear();
            }
        }
        with4(&mut self.ipv4, &keys4)?;
        with6(&mut self.ipv6, &keys6)?;
        Ok(count)
    }
}

fn key<const N: usize>(length: [u8; 4], address: &[u8]) -> [u8; N] {
    let mut key = [0; N];
    key[..4].copy_from_slice(&length);
    key[4..].copy_from_slice(address);
    key
}
