//! What was invalidated while loads were under way.

use std::collections::VecDeque;

use super::Invalidation;
use crate::key::{KeyDigest, KeyRef};

/// How many invalidations are remembered. A load that was passed by more of them counts as overtaken.
const REMEMBERED: usize = 1_024;

/// A point in the sequence of invalidations.
pub(super) type Generation = u64;

/// The latest invalidations, for as long as a load is under way that they could overtake.
#[derive(Debug, Default)]
pub(super) struct History {
    generation: Generation,
    latest: VecDeque<Invalidation>,
}

impl History {
    /// Everything that was heard so far lies before this point.
    pub(super) const fn generation(&self) -> Generation {
        self.generation
    }

    pub(super) fn push(&mut self, invalidation: Invalidation) {
        self.generation += 1;
        if self.latest.len() == REMEMBERED {
            self.latest.pop_front();
        }
        self.latest.push_back(invalidation);
    }

    /// Forgets what was heard. Whoever asks about the time before now is told that everything changed.
    pub(super) fn forget(&mut self) {
        self.latest.clear();
    }

    /// Whether something was heard since `began` that could make this answer wrong.
    pub(super) fn overtakes(&self, began: Generation, digest: &KeyDigest, found: Option<&KeyRef>) -> bool {
        let passed = usize::try_from(self.generation - began).unwrap_or(usize::MAX);
        passed > self.latest.len()
            || self.latest.iter().rev().take(passed).any(|invalidation| invalidation.concerns(digest, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyHasher, KeyId, KeyRecord};

    fn key_change(id: &'static str) -> Invalidation {
        Invalidation::Key(KeyId::from_static(id))
    }

    #[test]
    fn an_answer_is_overtaken_by_what_concerns_it_and_by_nothing_else() {
        let (one, other) = (KeyHasher::sha256().digest("1"), KeyHasher::sha256().digest("2"));
        let key = KeyRef::from(KeyRecord::new(KeyId::from_static("key_1"), one));
        for (invalidation, found, absent) in [
            (key_change("key_1"), true, true),
            // Whether the digest is that key's, nobody can say of a digest without a record.
            (key_change("key_2"), false, true),
            (Invalidation::Digest(one), true, true),
            (Invalidation::Digest(other), false, false),
            (Invalidation::Absent, false, true),
            (Invalidation::All, true, true),
        ] {
            let mut history = History::default();
            history.push(Invalidation::All);
            let began = history.generation();
            assert!(!history.overtakes(began, &one, Some(&key)), "nothing has happened since");
            history.push(invalidation.clone());
            assert_eq!(history.overtakes(began, &one, Some(&key)), found, "{invalidation:?}");
            assert_eq!(history.overtakes(began, &one, None), absent, "{invalidation:?}");
        }
    }

    #[test]
    fn what_is_no_longer_remembered_counts_against_the_load() {
        let digest = KeyHasher::sha256().digest("1");
        let key = KeyRef::from(KeyRecord::new(KeyId::from_static("key_1"), digest));
        let mut history = History::default();
        for _ in 0..REMEMBERED {
            history.push(key_change("key_2"));
        }
        assert!(!history.overtakes(0, &digest, Some(&key)));
        history.push(key_change("key_2"));
        assert_eq!(history.latest.len(), REMEMBERED, "memory is bounded");
        assert!(history.overtakes(0, &digest, Some(&key)), "the first is forgotten");
        history.forget();
        assert!(history.overtakes(1, &digest, Some(&key)));
        assert!(!history.overtakes(history.generation(), &digest, Some(&key)));
    }
}
