//! How much memory the engine takes, counted where it is allocated: `cargo bench -p tracker-core --bench memory [-- --json FILE]`
//!
//! Two figures of each: what was asked for, and what the C library's allocator sets aside for that.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

mod population;

use population::{Population, Spread};
use serde_json::json;
use std::{
    env,
    error::Error,
    fs,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

mod counting {
    //! The system's allocator, counting.
    #![allow(unsafe_code, reason = "an allocator cannot be written without it")]

    use super::{ASKED, AtomicUsize, Relaxed, SET_ASIDE, set_aside};
    use std::alloc::{GlobalAlloc, Layout, System};

    pub(crate) struct Counting;

    fn count(counters: [(&AtomicUsize, usize, usize); 2]) {
        for (counter, more, less) in counters {
            counter.fetch_add(more.wrapping_sub(less), Relaxed);
        }
    }

    fn change(new: usize, old: usize) {
        let aside = |size| if size == 0 { 0 } else { set_aside(size) };
        count([(&ASKED, new, old), (&SET_ASIDE, aside(new), aside(old))]);
    }

    // SAFETY: every call goes on to the system's allocator unchanged; counting touches two atomics and allocates nothing.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            change(layout.size(), 0);
            // SAFETY: the caller's promises are passed on.
            unsafe { System.alloc(layout) }
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            change(layout.size(), 0);
            // SAFETY: the caller's promises are passed on.
            unsafe { System.alloc_zeroed(layout) }
        }

        unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
            change(0, layout.size());
            // SAFETY: the caller's promises are passed on.
            unsafe { System.dealloc(at, layout) }
        }

        unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            change(size, layout.size());
            // SAFETY: the caller's promises are passed on.
            unsafe { System.realloc(at, layout, size) }
        }
    }
}

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Bytes asked for and not given back.
static ASKED: AtomicUsize = AtomicUsize::new(0);
/// The same with what the allocator adds.
static SET_ASIDE: AtomicUsize = AtomicUsize::new(0);

/// What glibc on a 64-bit machine sets aside: a word before the block, multiples of 16 and at least 32 bytes; whole pages
/// and two words for what it asks the kernel for.
const fn set_aside(size: usize) -> usize {
    if size < 128 << 10 {
        let block = (size + 8).next_multiple_of(16);
        if block < 32 { 32 } else { block }
    } else {
        (size + 16).next_multiple_of(4096)
    }
}

/// Bytes of an engine with these peers: asked for, and set aside.
fn measure(population: &Population) -> Result<[usize; 2], Box<dyn Error>> {
    let now = || [ASKED.load(Relaxed), SET_ASIDE.load(Relaxed)];
    let before = now();
    let engine = population.engine()?;
    let after = now();
    drop(engine);
    Ok([after[0] - before[0], after[1] - before[1]])
}

fn main() -> Result<(), Box<dyn Error>> {
    const MILLION: u64 = 1_000_000;
    let arguments: Vec<String> = env::args().skip(1).collect();
    let file = arguments.iter().position(|argument| argument == "--json");
    let file = file.map(|at| arguments.get(at + 1).ok_or("--json is followed by a file")).transpose()?;

    let swarms = || Population::new(2_000, 2 * MILLION, Spread::Even);
    let alone = || Population::new(MILLION, MILLION, Spread::Even);
    let mut cases = Vec::new();
    for (name, population, divisor) in [
        ("IPv4 peer in a swarm of 1,000", swarms(), 2 * MILLION),
        ("IPv6 peer in a swarm of 1,000", swarms().over_ipv6(), 2 * MILLION),
        ("torrent with one IPv4 peer", alone(), MILLION),
        ("torrent with one IPv6 peer", alone().over_ipv6(), MILLION),
        ("1 M torrents with 2 M IPv4 peers", Population::new(MILLION, 2 * MILLION, Spread::Uniform), 1),
    ] {
        let [asked, aside] = measure(&population)?.map(|bytes| bytes as f64 / divisor as f64);
        println!("{name}: {aside:.2} bytes, of which {asked:.2} were asked for");
        cases.push(json!({ "name": name, "bytes": aside, "asked_for_bytes": asked }));
    }
    if let Some(file) = file {
        fs::write(file, format!("{:#}\n", json!({ "cases": cases })))?;
    }
    Ok(())
}
