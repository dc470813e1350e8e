//! A map of the kind LPM trie, written many networks at a time: one system call for each would take most of the time of a
//! long list.
#![allow(unsafe_code, reason = "attributes of bpf() are structs passed by pointer, and hold pointers")]

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_DELETE_ELEM: libc::c_int = 3;
const BPF_MAP_UPDATE_BATCH: libc::c_int = 26;
const BPF_MAP_DELETE_BATCH: libc::c_int = 27;
/// What the kernel says of a command that a map does not have (`ENOTSUPP`), which is for itself and has no name here.
const NOT_SUPPORTED: i32 = 524;
/// So many are written by one call.
const BATCH: usize = 4096;
/// The value of every entry: it counts that there is one.
const VALUES: [u8; BATCH] = [1; BATCH];

/// The part of `union bpf_attr` that commands on one element read.
#[repr(C)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The part of it that commands on many read; they write `count`.
#[repr(C)]
struct Many {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// A trie whose keys have `N` bytes: four of prefix length, those of an address; and whose values have one.
#[derive(Debug)]
pub(super) struct Trie<const N: usize> {
    map: OwnedFd,
    /// The kernel has commands on many elements of a trie: since 5.13.
    has_batches: bool,
}

impl<const N: usize> Trie<N> {
    /// The map must have keys of `N` bytes and values of one.
    pub(super) fn new(map: OwnedFd) -> Self {
        Self { map, has_batches: true }
    }

    /// Adds entries.
    ///
    /// # Errors
    /// When there is no memory, or no room. Some may have been added.
    pub(super) fn add(&mut self, keys: &[[u8; N]]) -> io::Result<()> {
        keys.chunks(BATCH).try_for_each(|mut keys| {
            while self.has_batches && !keys.is_empty() {
                match self.many(BPF_MAP_UPDATE_BATCH, keys) {
                    (_, Err(error)) if is_unsupported(&error) => self.has_batches = false,
                    (_, Err(error)) => return Err(error),
                    (done, Ok(())) => keys = &keys[done..],
                }
            }
            keys.iter().try_for_each(|key| self.one(BPF_MAP_UPDATE_ELEM, key))
        })
    }

    /// Takes entries out. Those that are not there are no matter.
    pub(super) fn remove(&mut self, keys: &[[u8; N]]) {
        for mut keys in keys.chunks(BATCH) {
            while self.has_batches && !keys.is_empty() {
                match self.many(BPF_MAP_DELETE_BATCH, keys) {
                    (_, Err(error)) if is_unsupported(&error) => self.has_batches = false,
                    // It stops at one that is not there.
                    (done, Err(_)) => keys = keys.get(done + 1..).unwrap_or_default(),
                    (done, Ok(())) => keys = &keys[done..],
                }
            }
            for key in keys {
                if let Err(error) = self.one(BPF_MAP_DELETE_ELEM, key) {
                    tracing::debug!(%error, "taking a network out of the map");
                }
            }
        }
    }

    fn one(&self, command: libc::c_int, key: &[u8; N]) -> io::Result<()> {
        let attributes = Element {
            map: self.map.as_raw_fd().cast_unsigned(),
            padding: 0,
            key: address(key.as_ptr()),
            value: address(VALUES.as_ptr()),
            flags: 0,
        };
        // SAFETY: the key has as many bytes as the map's keys, the value one as the map's values, and the kernel only reads
        // both, and the attributes, during the call.
        let result = unsafe {
            libc::syscall(libc::SYS_bpf, command, (&raw const attributes), size_of::<Element>() as u32)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// A command on up to [`BATCH`] elements. With how many it was done.
    fn many(&self, command: libc::c_int, keys: &[[u8; N]]) -> (usize, io::Result<()>) {
        let count = keys.len().min(BATCH);
        let mut attributes = Many {
            in_batch: 0,
            out_batch: 0,
            keys: address(keys.as_ptr().cast()),
            values: address(VALUES.as_ptr()),
            count: count as u32,
            map: self.map.as_raw_fd().cast_unsigned(),
            element_flags: 0,
            flags: 0,
        };
        // SAFETY: `keys` has at least `count` keys of the length of the map's, `VALUES` at least as many values of one byte
        // as the map's, and the kernel only reads both during the call. The attributes are ours alone, so that it may write
        // the count.
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, command, (&raw mut attributes), size_of::<Many>() as u32) };
        let error = io::Error::last_os_error();
        match result {
            0 => ((attributes.count as usize).clamp(1, count), Ok(())),
            // A command that fails before it begins leaves the count as it was.
            _ => ((attributes.count as usize).min(count), Err(error)),
        }
    }
}

fn address(pointer: *const u8) -> u64 {
    pointer as usize as u64
}

/// Whether the kernel does not have the command, or not for this kind of map.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(NOT_SUPPORTED | libc::EOPNOTSUPP | libc::EINVAL))
}
