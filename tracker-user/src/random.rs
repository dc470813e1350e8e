//! Randomness of the system, for generators and keyed hashes.

use std::io;

/// Two random words.
///
/// # Errors
/// When the system gives none.
pub fn seed() -> io::Result<[u64; 2]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytemuck::cast(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_another() {
        let (one, other) = (seed().unwrap(), seed().unwrap());
        assert_ne!(one, other);
        assert_ne!(one[0], one[1]);
    }
}
