//! What is written while keys are loaded and forgotten. One lock, which no hit takes and nobody holds while waiting.

use std::collections::HashMap;

use smallvec::SmallVec;
use tokio::sync::watch;

use super::Invalidation;
use super::entries::{Entries, Entry};
use super::error::CachedError;
use super::hasher::{SecretState, secret_state};
use super::history::{Generation, History};
use crate::clock::Timestamp;
use crate::key::{KeyDigest, KeyId, KeyRef};

pub(super) type Answer = Result<Option<KeyRef>, CachedError>;

/// An answer, and up to where invalidations were taken into account.
#[derive(Debug, Clone)]
pub(super) struct Settled {
    pub(super) answer: Answer,
    pub(super) at: Generation,
}

/// Loads under way, the index by id, and what was invalidated meanwhile.
pub(super) struct Desk {
    entries_by_id: HashMap<KeyId, SmallVec<[KeyDigest; 1]>>,
    flights: HashMap<KeyDigest, Flight, SecretState>,
    history: History,
    flights_so_far: u64,
}

struct Flight {
    number: u64,
    settled: watch::Receiver<Option<Settled>>,
}

/// A load that has been started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) number: u64,
    pub(super) began: Generation,
    pub(super) settle: watch::Sender<Option<Settled>>,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self {
            entries_by_id: HashMap::new(),
            flights: HashMap::with_hasher(secret_state()),
            history: History::default(),
            flights_so_far: 0,
        }
    }

    pub(super) fn generation(&self) -> Generation {
        self.history.generation()
    }

    /// The load of `digest` that is under way.
    pub(super) fn flight(&self, digest: &KeyDigest) -> Option<watch::Receiver<Option<Settled>>> {
        self.flights.get(digest).map(|flight| flight.settled.clone())
    }

    pub(super) fn start(&mut self, digest: KeyDigest) -> Started {
        let (settle, settled) = watch::channel(None);
        self.flights_so_far += 1;
        let number = self.flights_so_far;
        self.flights.insert(digest, Flight { number, settled });
        Started { number, began: self.generation(), settle }
    }

    /// Ends a load, unless it has ended.
    pub(super) fn end(&mut self, digest: &KeyDigest, number: u64) {
        if self.flights.get(digest).is_some_and(|flight| flight.number == number) {
            self.flights.remove(digest);
        }
        if self.flights.is_empty() {
            self.history.forget();
        }
    }

    /// Whether an answer that was right at `began` may be wrong by now.
    pub(super) fn overtaken(&self, began: Generation, digest: &KeyDigest, found: Option<&KeyRef>) -> bool {
        self.history.overtakes(began, digest, found)
    }

    pub(super) fn keep(&mut self, entries: &Entries, digest: KeyDigest, entry: Entry) {
        // A record that is only renewed keeps its place.
        if entries.entry(&digest).is_none_or(|known| known.key.id != entry.key.id) {
            self.forget(entries, &digest);
            self.entries_by_id.entry(entry.key.id.clone()).or_default().push(digest);
        }
        for (id, evicted) in entries.keep(digest, entry) {
            // The record that was renewed is among those that went.
            if entries.entry(&evicted).is_none_or(|kept| kept.key.id != id) {
                self.unlist(&id, &evicted);
            }
        }
    }

    pub(super) fn keep_absence(&mut self, entries: &Entries, digest: KeyDigest, until: Timestamp) {
        self.forget(entries, &digest);
        entries.keep_absence(digest, until);
    }

    pub(super) fn invalidate(&mut self, entries: &Entries, invalidation: Invalidation) {
        match &invalidation {
            Invalidation::Key(id) => {
                for digest in self.entries_by_id.remove(id).unwrap_or_default() {
                    entries.forget(&digest);
                }
            }
            Invalidation::Digest(digest) => {
                self.forget(entries, digest);
                entries.forget_absence(digest);
            }
            Invalidation::Absent => entries.forget_absences(),
            Invalidation::All => {
                self.entries_by_id.clear();
                entries.clear();
            }
        }
        self.history.push(invalidation);
        if self.flights.is_empty() {
            self.history.forget();
        }
    }

    /// How many records can be found by id.
    #[cfg(test)]
    pub(super) fn listed(&self) -> usize {
        self.entries_by_id.values().map(SmallVec::len).sum()
    }

    fn forget(&mut self, entries: &Entries, digest: &KeyDigest) {
        if let Some(key) = entries.forget(digest) {
            self.unlist(&key.id, digest);
        }
    }

    fn unlist(&mut self, id: &KeyId, digest: &KeyDigest) {
        let Some(digests) = self.entries_by_id.get_mut(id) else { return };
        digests.retain(|listed| listed != digest);
        if digests.is_empty() {
            self.entries_by_id.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyHasher, KeyRecord};

    fn digest(number: usize) -> KeyDigest {
        KeyHasher::sha256().digest(&number.to_string())
    }

    fn entry(id: String, digest: KeyDigest) -> Entry {
        let key = KeyRecord::new(KeyId::new(id).unwrap(), digest).into();
        Entry { key, fresh_until: Timestamp::MAX, usable_until: Timestamp::MAX, doubts: 0 }
    }

    #[test]
    fn the_index_by_id_names_what_is_cached_and_nothing_else() {
        let (entries, mut desk) = (Entries::new(100, 100), Desk::new());
        for number in 0..1_000 {
            desk.keep(&entries, digest(number), entry(format!("key_{number}"), digest(number)));
            assert_eq!(desk.listed(), entries.len());
        }
        assert!(entries.len() <= 128, "{}", entries.len());
        let cached: Vec<_> = (0..1_000).filter(|number| entries.entry(&digest(*number)).is_some()).collect();
        desk.keep(&entries, digest(cached[0]), entry(format!("key_{}", cached[0]), digest(cached[0])));
        desk.keep(&entries, digest(cached[1]), entry("key_renamed".to_owned(), digest(cached[1])));
        desk.keep_absence(&entries, digest(cached[2]), Timestamp::MAX);
        desk.invalidate(&entries, Invalidation::Digest(digest(cached[3])));
        assert_eq!(desk.listed(), entries.len());
        for id in std::iter::once("key_renamed".to_owned()).chain((0..1_000).map(|number| format!("key_{number}"))) {
            desk.invalidate(&entries, Invalidation::Key(KeyId::new(id).unwrap()));
            assert_eq!(desk.listed(), entries.len());
        }
        assert_eq!(entries.len(), 0);
    }

    #[test]
    fn a_load_that_ended_does_not_end_the_next_one() {
        let mut desk = Desk::new();
        let first = desk.start(digest(1));
        desk.end(&digest(1), first.number);
        let second = desk.start(digest(1));
        desk.end(&digest(1), first.number);
        assert!(desk.flight(&digest(1)).is_some());
        desk.end(&digest(1), second.number);
        assert!(desk.flight(&digest(1)).is_none());
    }
}
