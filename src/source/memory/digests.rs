//! Records by their digests, read by all and changed by few.

use std::sync::Arc;

use papaya::HashMap as ConcurrentMap;
use seize::Collector;

use super::near;
use crate::key::{DigestHasher, KeyDigest, KeyRef};

/// How many maps there are.
const PARTS: usize = 16;

/// In parts, because one that grows has to lay out its next table at once: with ten million keys that takes some
/// milliseconds in one map, and a part of a millisecond in each of many.
pub(super) struct Digests(Box<[ConcurrentMap<KeyDigest, KeyRef, DigestHasher>]>);

impl Digests {
    pub(super) fn new() -> Self {
        // What was replaced waits in batches until no thread reads it: batches of all parts, not of each.
        let collector = Arc::new(Collector::new());
        let part = |_| ConcurrentMap::builder().shared_collector(Arc::clone(&collector));
        Self((0..PARTS).map(|number| part(number).hasher(DigestHasher::default()).build()).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(ConcurrentMap::len).sum()
    }

    /// The record, or a copy of it that is this thread's alone.
    pub(super) fn get(&self, digest: &KeyDigest) -> Option<KeyRef> {
        self.part(digest).pin().get(digest).map(near::near)
    }

    pub(super) fn contains(&self, digest: &KeyDigest) -> bool {
        self.part(digest).pin().contains_key(digest)
    }

    /// The record, in place of the one that has its digest.
    pub(super) fn put(&self, record: &KeyRef) {
        self.part(&record.digest).pin().insert(record.digest, record.clone());
    }

    pub(super) fn remove(&self, digest: &KeyDigest) {
        self.part(digest).pin().remove(digest);
    }

    /// By a byte that the maps themselves do not look at: their hash is the first eight.
    fn part(&self, digest: &KeyDigest) -> &ConcurrentMap<KeyDigest, KeyRef, DigestHasher> {
        &self.0[usize::from(digest.as_bytes()[8]) % PARTS]
    }
}
