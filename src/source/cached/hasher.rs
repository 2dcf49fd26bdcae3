//! Hashes digests under a secret of the cache.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

/// Hashes digests for maps that strangers can fill.
///
/// A digest is as good as random, but whoever makes keys up can look for digests that agree in the bits that a map looks
/// at. Hashed under random numbers of the operating system, they no longer meet in one place.
pub(super) type SecretState = SeedableRandomState;

pub(super) fn secret_state() -> SecretState {
    static SHARED: LazyLock<SharedSeed> = LazyLock::new(|| SharedSeed::from_u64(RandomState::new().hash_one(0)));
    SecretState::with_seed(RandomState::new().hash_one(1), &SHARED)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::key::{DigestAlgorithm, KeyDigest};

    #[test]
    fn digests_that_were_made_to_agree_in_their_low_bits_do_not_meet_under_any_secret() {
        for _ in 0..1000 {
            let state = secret_state();
            let digest = |number: u8| {
                let mut bytes = [0; 32];
                bytes[7] = number;
                KeyDigest::new(DigestAlgorithm::Sha256, bytes)
            };
            let slots: HashSet<_> = (0..=255).map(|number| state.hash_one(digest(number)) & 0xFFFF).collect();
            assert!(slots.len() > 230, "{} of 65536 slots", slots.len());
        }
    }
}
