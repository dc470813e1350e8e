//! Chance that can be had again.

use std::time::Duration;

/// Numbers that follow from a seed.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Those of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// Those of the seed in `RIPTIDE_TEST_SEED`, or of one that differs each time. It is printed, for whoever wants them again.
    #[must_use]
    pub fn fresh() -> Self {
        let given = std::env::var("RIPTIDE_TEST_SEED").ok();
        let given =
            given.map(|seed| seed.parse().unwrap_or_else(|e| panic!("RIPTIDE_TEST_SEED={seed}: {e}")));
        let seed = given.unwrap_or_else(|| {
            let now = std::time::UNIX_EPOCH.elapsed().expect("a clock that goes right");
            now.as_secs() << 20 | u64::from(now.subsec_micros())
        });
        let told = format_args!("RIPTIDE_TEST_SEED={seed}\n").to_string();
        std::io::Write::write_all(&mut std::io::stderr(), told.as_bytes()).expect("standard error");
        Self::new(seed)
    }

    /// A number below this one, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % limit
    }

    /// A time up to this one.
    pub fn within(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.below(1 << 20) as f64 / (1 << 20) as f64)
    }
}
