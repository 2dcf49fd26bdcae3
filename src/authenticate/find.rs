//! Finding the record of a key: by every digest that it may be known by, at once or in a future.

use std::sync::Arc;

use tokio::time::error::Elapsed;

use super::instruments::Stage;
use super::people::Alternative;
use super::{Attempt, Gate, Step, Verdict};
use crate::context::Principal;
use crate::error::StoreError;
use crate::instruments::Watch;
use crate::key::{KeyDigest, KeyRef};
use crate::rejection::{Rejection, RejectionReason};
use crate::route::Callers;
use crate::source::{KeyScheme, Lookup};

/// A digest that a key may be known by, and the one that it should have if it is.
struct Candidate {
    digest: KeyDigest,
    rehash: Option<Box<KeyDigest>>,
}

impl Gate {
    /// Asks the source for each digest that the key may be known by: first what is in memory, and then, if that is not
    /// enough, in a future.
    pub(super) fn find(self: &Arc<Self>, key: &str, attempt: &mut Attempt) -> Step {
        let watch = attempt.sample.watch();
        for index in 0..self.schemes.len() {
            let Some(digest) = self.digest(key, index) else { continue };
            match self.source.find_now(&digest) {
                Lookup::Absent => {}
                Lookup::Found(found) if self.names_another(key, &found) => {}
                Lookup::Found(found) => {
                    self.instruments.at_once(Stage::Source, watch);
                    attempt.rehash = self.rehash(key, &digest);
                    return self.found(found, &digest, attempt);
                }
                Lookup::Ask => return self.find_from(key, index, digest, attempt),
            }
        }
        if let Some(digest) = self.once_more(key) {
            match self.source.find_now(&digest) {
                Lookup::Absent => {}
                Lookup::Found(found) if self.names_another(key, &found) => {}
                Lookup::Found(found) => {
                    attempt.rehash = self.rehash(key, &digest);
                    return self.found(found, &digest, attempt);
                }
                Lookup::Ask => return self.find_from(key, self.schemes.len(), digest, attempt),
            }
        }
        self.instruments.at_once(Stage::Source, watch);
        self.fail(RejectionReason::InvalidKey, attempt)
    }

    /// Goes on in a future, with the digest by the scheme at `index` and all that come after it.
    fn find_from(self: &Arc<Self>, key: &str, index: usize, digest: KeyDigest, attempt: &mut Attempt) -> Step {
        let later = (index + 1..self.schemes.len()).filter_map(|index| self.digest(key, index));
        let once_more = if index < self.schemes.len() { self.once_more(key) } else { None };
        let remaining = std::iter::once(digest).chain(later).chain(once_more);
        let remaining = remaining.map(|digest| Candidate { rehash: self.rehash(key, &digest), digest }).collect();
        let named = self.named_id(key).map(str::to_owned);
        Step::Wait(Box::pin(Arc::clone(self).find_later(remaining, named, attempt.take())))
    }

    async fn find_later(
        self: Arc<Self>,
        candidates: Vec<Candidate>,
        named: Option<String>,
        mut attempt: Attempt,
    ) -> Verdict {
        // Who has guessed too often is not worth a question to the source.
        if let Some(rejection) = self.out_of_attempts(&mut attempt).await {
            return Verdict { outcome: Err(rejection), attempt };
        }
        let watch = Watch::started();
        let answer = self.timed(self.ask(candidates)).await;
        self.instruments.waited(Stage::Source, watch);
        let found = answer.unwrap_or_else(|elapsed| Err(StoreError::new(self.source.name(), "find a key", elapsed)));
        let step = match found {
            Ok(Some((Candidate { digest, rehash }, found))) if !is_another(named.as_deref(), &found) => {
                attempt.rehash = rehash;
                self.found(found, &digest, &mut attempt)
            }
            Ok(_) => self.fail(RejectionReason::InvalidKey, &mut attempt),
            Err(error) => self.refuse(self.unavailable(&error), &mut attempt),
        };
        step.resolve(attempt).await
    }

    async fn ask(&self, candidates: Vec<Candidate>) -> Result<Option<(Candidate, KeyRef)>, StoreError> {
        for candidate in candidates {
            let found = match self.source.find_now(&candidate.digest) {
                Lookup::Found(found) => Some(found),
                Lookup::Absent => None,
                Lookup::Ask => self.source.find(&candidate.digest).await?,
            };
            if let Some(found) = found {
                return Ok(Some((candidate, found)));
            }
        }
        Ok(None)
    }

    /// Waits for a backend, but not for ever. Only Tokio's timer is known here; on another runtime a backend has to keep
    /// its own deadline.
    pub(super) async fn timed<T>(&self, answer: impl Future<Output = T>) -> Result<T, Elapsed> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Ok(answer.await);
        }
        tokio::time::timeout(self.deadline, answer).await
    }

    /// The digest of a key by the scheme at `index`; `None` if it has another shape, or an earlier one has the same.
    fn digest(&self, key: &str, index: usize) -> Option<KeyDigest> {
        let scheme = &self.schemes[index];
        let same = |other: &KeyScheme| other.algorithm() == scheme.algorithm() && other.digests_alike(scheme, key);
        if self.schemes[..index].iter().any(same) { None } else { scheme.digest(key) }
    }

    /// The digest that a key should have instead of the one it was found by.
    fn rehash(&self, key: &str, digest: &KeyDigest) -> Option<Box<KeyDigest>> {
        self.usage.as_ref().and_then(|usage| usage.rehash(key, digest))
    }

    fn once_more(&self, key: &str) -> Option<KeyDigest> {
        self.usage.as_ref().and_then(|usage| usage.once_more(key))
    }

    /// The id of a record that the key names besides its secret.
    fn named_id<'a>(&self, key: &'a str) -> Option<&'a str> {
        let accepting = self.schemes.iter().map(KeyScheme::format).filter(|format| format.accepts(key));
        accepting.filter_map(|format| format.named_id(key)).next()
    }

    fn names_another(&self, key: &str, found: &KeyRef) -> bool {
        is_number(found.id.as_str()) && is_another(self.named_id(key), found)
    }

    /// Goes on with a record: usable, within its limits, allowed here, and paid for.
    fn found(self: &Arc<Self>, key: KeyRef, digest: &KeyDigest, attempt: &mut Attempt) -> Step {
        // Compared in constant time. A source that hands out another record than it was asked for cannot be believed.
        if key.digest != *digest {
            let error = StoreError::new(self.source.name(), "find a key", "the record found has another digest");
            return self.refuse(self.unavailable(&error), attempt);
        }
        attempt.known_by = self.instruments.known_by(&key);
        match self.judge_use(&key, attempt) {
            Ok(()) if attempt.callers == Callers::KeyAndUser => self.by_session(Alternative::Beside(key), attempt),
            Ok(()) => self.charge(Principal::Key(key), attempt),
            // A key of somewhere else is as wrong here as one that nobody knows, and counts as such.
            Err(reason @ RejectionReason::InvalidKey) => self.fail(Rejection::from(reason).with_key(&key), attempt),
            Err(reason) => self.refuse(Rejection::from(reason).with_key(&key), attempt),
        }
    }
}

/// Whether a key names another record than the one that its secret opens. Records that were issued here have ids that no
/// key names.
fn is_another(named: Option<&str>, found: &KeyRef) -> bool {
    named.is_some_and(|named| is_number(found.id.as_str()) && named != found.id.as_str())
}

fn is_number(id: &str) -> bool {
    id.bytes().all(|byte| byte.is_ascii_digit())
}
