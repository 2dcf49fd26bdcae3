//! What is in memory: records and absences, apart from each other, and each within its own bounds.

use std::sync::atomic::{AtomicU32, Ordering};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Lifecycle, Options, OptionsBuilder, UnitWeighter};

use super::hasher::{SecretState, secret_state};
use crate::clock::Timestamp;
use crate::key::{KeyDigest, KeyId, KeyRef};
use crate::source::Lookup;

/// A record, and for how long it is good.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: KeyRef,
    /// Until when it is used without asking.
    pub(super) fresh_until: Timestamp,
    /// Until when it is used if asking fails.
    pub(super) usable_until: Timestamp,
    /// How often all that was known had been put in doubt when it was asked for.
    pub(super) doubts: u32,
}

/// Records, and digests that have none. What strangers make up fills the second only.
pub(super) struct Entries {
    found: Cache<KeyDigest, Entry, UnitWeighter, SecretState, Evictions>,
    absent: Cache<KeyDigest, Timestamp, UnitWeighter, SecretState>,
    doubts: AtomicU32,
}

impl Entries {
    pub(super) fn new(capacity: usize, negative_capacity: usize) -> Self {
        let state = secret_state();
        Self {
            found: Cache::with(capacity, capacity as u64, UnitWeighter, state.clone(), Evictions),
            absent: Cache::with_options(absences(negative_capacity), UnitWeighter, state, DefaultLifecycle::default()),
            doubts: AtomicU32::new(0),
        }
    }

    /// What may be answered at `now` without asking.
    pub(super) fn lookup(&self, digest: &KeyDigest, now: Timestamp) -> Lookup {
        let doubts = self.doubts();
        let is_fresh = |entry: &Entry| now < entry.fresh_until && entry.doubts == doubts;
        if let Some(entry) = self.found.get(digest).filter(is_fresh) {
            return Lookup::Found(entry.key);
        }
        match self.absent.get(digest) {
            Some(until) if now < until => Lookup::Absent,
            _ => Lookup::Ask,
        }
    }

    /// The record of `digest`, good or not.
    pub(super) fn entry(&self, digest: &KeyDigest) -> Option<Entry> {
        self.found.peek(digest)
    }

    /// Keeps a record, and returns the records that had to go for it.
    pub(super) fn keep(&self, digest: KeyDigest, entry: Entry) -> Vec<(KeyId, KeyDigest)> {
        self.absent.remove(&digest);
        let mut evicted = Vec::new();
        self.found.insert_with_lifecycle(digest, entry, &mut evicted);
        evicted
    }

    /// Forgets the record of `digest`, and returns it.
    pub(super) fn forget(&self, digest: &KeyDigest) -> Option<KeyRef> {
        self.found.remove(digest).map(|(_, entry)| entry.key)
    }

    pub(super) fn keep_absence(&self, digest: KeyDigest, until: Timestamp) {
        self.absent.insert(digest, until);
    }

    pub(super) fn forget_absence(&self, digest: &KeyDigest) {
        self.absent.remove(digest);
    }

    pub(super) fn forget_absences(&self) {
        self.absent.clear();
    }

    /// Has everything be asked for again. Records stay, for when that fails.
    pub(super) fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::AcqRel);
        self.absent.clear();
    }

    pub(super) fn doubts(&self) -> u32 {
        self.doubts.load(Ordering::Acquire)
    }

    pub(super) fn clear(&self) {
        self.found.clear();
        self.absent.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    pub(super) fn absences(&self) -> usize {
        self.absent.len()
    }
}

/// Room for absences, and none to remember those that had to go: made-up keys seldom come back.
fn absences(capacity: usize) -> Options {
    let mut options = OptionsBuilder::new();
    options.estimated_items_capacity(capacity).weight_capacity(capacity as u64).ghost_allocation(0.0);
    options.build().expect("both capacities are set")
}

/// Tells which records had to go.
#[derive(Debug, Clone)]
struct Evictions;

impl Lifecycle<KeyDigest, Entry> for Evictions {
    type RequestState = Vec<(KeyId, KeyDigest)>;

    fn on_evict(&self, evicted: &mut Self::RequestState, digest: KeyDigest, entry: Entry) {
        evicted.push((entry.key.id.clone(), digest));
    }
}
