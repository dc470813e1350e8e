//! Randomness for choosing peers: fast, seeded from outside, and no secret.

/// A small generator (wyrand: a Weyl sequence through a folded multiplication). It decides who is handed out, never
/// what is secret, so it need not be cryptographic: who foretells its choices could ask for them as often anyway.
/// Its choices can be seen, and with patience its state be told from them; so its seed is nobody's key as well.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// Two generators with different seeds give unrelated numbers.
    #[must_use]
    pub fn new(seed: [u64; 2]) -> Self {
        Self { state: fold(seed[0] ^ 0xa076_1d64_78bd_642f, seed[1] ^ 0xe703_7ed1_a0b4_28db) ^ seed[0] }
    }

    /// Sixty-four random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0xa076_1d64_78bd_642f);
        fold(self.state, self.state ^ 0xe703_7ed1_a0b4_28db)
    }

    /// A number below `n`, or 0 if `n` is 0. Its bias is below n / 2^64.
    #[inline]
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }
}

#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_below_n_comes_equally_often() {
        let mut rng = Rng::new([1, 2]);
        for n in [1, 2, 3, 7, 10, 100] {
            let mut seen = vec![0_u32; n];
            let rounds = 1000 * n;
            for _ in 0..rounds {
                seen[rng.below(n)] += 1;
            }
            // Chi-square with n - 1 degrees of freedom: mean n - 1, deviation sqrt(2(n - 1)).
            let chi: f64 = seen.iter().map(|&x| (f64::from(x) - 1000.0).powi(2) / 1000.0).sum();
            let freedom = (n - 1) as f64;
            assert!(chi <= freedom + 5.0 * (2.0 * freedom).sqrt(), "n {n}: {chi}");
        }
    }

    #[test]
    fn nothing_is_below_zero() {
        assert_eq!(Rng::new([0, 0]).below(0), 0);
    }

    #[test]
    fn seeds_matter_in_both_words() {
        let first = |seed| Rng::new(seed).next_u64();
        let all = [first([0, 0]), first([0, 1]), first([1, 0]), first([1, 1])];
        for (i, a) in all.iter().enumerate() {
            assert!(!all[..i].contains(a));
        }
    }
}
