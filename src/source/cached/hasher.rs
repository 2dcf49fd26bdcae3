//! Hashes digests under a secret of the cache.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Hashes digests for maps that strangers can fill.
///
/// A digest is as good as random, but whoever makes keys up can look for digests that agree in the bits that a map looks
/// at. Mixed with a random number, they no longer meet in one place.
#[derive(Debug, Clone, Copy)]
pub(super) struct SeededState {
    mask: u64,
    factor: u64,
}

impl SeededState {
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        Self { mask: random.hash_one(0), factor: random.hash_one(1) | 1 }
    }
}

impl BuildHasher for SeededState {
    type Hasher = SeededHasher;

    fn build_hasher(&self) -> SeededHasher {
        SeededHasher { state: *self, hash: 0 }
    }
}

#[derive(Debug)]
pub(super) struct SeededHasher {
    state: SeededState,
    hash: u64,
}

impl Hasher for SeededHasher {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.hash ^ value ^ self.state.mask) * u128::from(self.state.factor);
        self.hash = (product >> 64) as u64 ^ product as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::key::{DigestAlgorithm, KeyDigest};

    #[test]
    fn digests_that_were_made_to_agree_in_their_low_bits_do_not_meet() {
        let state = SeededState::random();
        let digest = |number: u8| {
            let mut bytes = [0; 32];
            bytes[7] = number;
            KeyDigest::new(DigestAlgorithm::Sha256, bytes)
        };
        let slots: HashSet<_> = (0..=255).map(|number| state.hash_one(digest(number)) & 0xFFFF).collect();
        assert!(slots.len() > 128, "{} of 65536 slots", slots.len());
    }
}
