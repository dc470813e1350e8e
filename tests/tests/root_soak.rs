//! Half a minute of peers that come, expire and come again: nothing is answered wrongly, nothing piles up. How fast it
//! goes is for `cargo xtask bench soak` to tell.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;
use tests::{load::Field, process::resident};

/// Each announces about every eight seconds.
const PEERS: u32 = 20_000;
const LOAD: &str = "--torrents 10000 --rate 5k --warmup 0s --duration 24s";
/// Peers are forgotten, and found to be, sooner than they come again.
const SWARM: &str = "[swarm]\ninterval = \"1s\"\nmax_interval = \"1s\"\nmin_interval = \"1s\"\npeer_timeout = \"3s\"\nsweep_interval = \"1s\"\n";
/// Memory that the second half may take beyond the first, bytes: the allocator's.
const MARGIN: u64 = 4 << 20;
const LOOK: Duration = Duration::from_millis(500);

#[test]
fn churn_and_expiry_leave_nothing_behind() {
    let field = Field::new();
    let riptide = field.riptide(SWARM);
    let mut child = field.command(&format!("--peers {PEERS} {LOAD}")).spawn().expect("to start the load");
    let mut samples = Vec::new();
    while child.try_wait().expect("a child").is_none() {
        let metrics = riptide.metrics();
        let peers = metrics.sum("riptide_peers", &[]);
        assert!(peers <= f64::from(PEERS), "{peers} peers of {PEERS}\n{}", metrics.text);
        samples.push((peers, resident(&riptide)));
        std::thread::sleep(LOOK);
    }
    let output = child.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let figures = field.figures();
    assert_eq!(figures.count("wrong_in_all"), 0, "{:#}", figures.0);
    assert!(figures.count("answered") > 0, "{:#}", figures.0);

    let (first, second) = samples.split_at(samples.len() / 2);
    let most = |samples: &[(f64, u64)]| samples.iter().map(|(_, bytes)| *bytes).max().expect("samples");
    assert!(first.iter().any(|(peers, _)| *peers > 0.0), "{samples:?}");
    assert!(most(second) <= most(first) + MARGIN, "memory grows: {samples:?}");

    riptide.metrics_until("all peers to expire, and every frame in its place", |metrics| {
        let nothing = ["riptide_peers", "riptide_torrents"].map(|name| metrics.sum(name, &[])) == [0.0; 2];
        nothing && metrics.sum("riptide_xsk_frames", &[]) == metrics.sum("riptide_xsk_umem_frames", &[])
    });
    riptide.stop();
}
