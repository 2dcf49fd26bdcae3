//! Where a counter is kept: 128 bits that nobody outside can predict.

use std::hash::{BuildHasher, RandomState};

use super::super::{Charge, Quota, SubjectKind};

/// Names one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key([u64; 2]);

/// Random numbers of this limiter, so that nobody can find subjects that crowd one part of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed([u64; 4]);

impl Seed {
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        // Odd, so that no factor of a multiplication is ever 0 by the seed alone.
        Self([0, 1, 2, 3].map(|index: u64| random.hash_one(index) | 1))
    }

    /// The key of a charge's counter.
    pub(super) fn key(&self, charge: &Charge<'_>) -> Key {
        let [high, low] = charge.subject.halves();
        let what = what(charge.quota, charge.subject.kind());
        let [a, b, c, d] = self.0;
        let first = fold(high ^ a, low ^ b);
        let second = fold(low ^ c, high.rotate_left(32) ^ d);
        Key([fold(first ^ what, b), fold(second ^ what, d)])
    }
}

impl Key {
    /// Which of `count` shards it is in.
    pub(super) fn shard(self, count: usize) -> usize {
        scale(self.0[0], count)
    }

    /// Where in a table of `count` slots it belongs.
    pub(super) fn slot(self, count: usize) -> usize {
        scale(self.0[1], count)
    }

    /// The key of the counter that all newcomers of one group share under one quota.
    pub(super) fn of_group(self, charge: &Charge<'_>, groups: usize) -> Self {
        let group = scale(self.0[0].wrapping_mul(MIX), groups) as u64;
        let what = what(charge.quota, charge.subject.kind());
        Self([fold(what, MIX), fold(what ^ group.rotate_left(24), MIX.rotate_left(31))])
    }
}

/// The golden ratio in 64 bits.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// What is counted of a subject, as a number.
fn what(quota: &Quota, kind: SubjectKind) -> u64 {
    quota.identity() ^ u64::from(kind.tag()).rotate_left(56)
}

/// Multiplies to 128 bits and folds the halves: every bit of both factors has a part in every bit of the result.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

/// Maps evenly distributed 64 bits evenly to `0..count`.
fn scale(bits: u64, count: usize) -> usize {
    ((u128::from(bits) * count as u128) >> 64) as usize
}
