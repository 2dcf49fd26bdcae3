//! Asking the source: once for all who wait, and again if the answer was overtaken.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::desk::{Answer, Settled, Started};
use super::entries::Entry;
use super::error::CachedError;
use super::{Cached, Inner};
use crate::clock::Timestamp;
use crate::error::Chain;
use crate::instruments::LoadEnd;
use crate::key::{KeyDigest, KeyRef};
use crate::source::{KeySource, Lookup};

/// How often an answer may be overtaken before the cache gives up.
const ATTEMPTS: u32 = 2;

/// How long a record that is past its time is used before the source is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What there is to do for somebody who asks.
enum Turn<'a, S: KeySource> {
    /// It has become known.
    Known(Option<KeyRef>),
    /// Somebody else is asking.
    Wait(watch::Receiver<Option<Settled>>),
    /// To ask.
    Load(Load<'a, S>),
}

impl<S: KeySource> Cached<S> {
    /// The answer of the source, or of somebody who is asking it already.
    pub(super) async fn load(&self, digest: &KeyDigest) -> Answer {
        let mut overtaken = 0;
        while overtaken < ATTEMPTS {
            let mut settled = match self.turn(digest) {
                Turn::Known(found) => return Ok(found),
                Turn::Load(load) => return load.run().await,
                Turn::Wait(settled) => settled,
            };
            // An error says that whoever was asking has gone away: then it is somebody else's turn.
            let Ok(settled) = settled.wait_for(Option::is_some).await.map(|settled| settled.clone()) else { continue };
            let Some(Settled { answer, at }) = settled else { continue };
            match answer {
                Ok(found) if self.0.desk().overtaken(at, digest, found.as_ref()) => overtaken += 1,
                answer => return answer,
            }
        }
        Err(CachedError::overtaken())
    }

    fn turn(&self, digest: &KeyDigest) -> Turn<'_, S> {
        let now = self.0.clock.now();
        let mut desk = self.0.desk();
        // Looked up under the lock, so that nobody starts another load of what has just been loaded.
        match self.0.entries.lookup(digest, now) {
            Lookup::Found(key) => return Turn::Known(Some(key)),
            Lookup::Absent => return Turn::Known(None),
            Lookup::Ask => {}
        }
        match desk.flight(digest) {
            Some(settled) => Turn::Wait(settled),
            None => Turn::Load(Load { cache: &self.0, digest: *digest, started: desk.start(*digest) }),
        }
    }
}

/// A load under way. Dropped before its end, it leaves its place to somebody who waits.
struct Load<'a, S: KeySource> {
    cache: &'a Inner<S>,
    digest: KeyDigest,
    started: Started,
}

impl<S: KeySource> Load<'_, S> {
    async fn run(mut self) -> Answer {
        for attempt in 1..=ATTEMPTS {
            let asked_at = (self.cache.clock.now(), self.cache.entries.doubts());
            let answer = self.cache.ask(&self.digest).await;
            if let Some(settled) = self.settle(asked_at, answer, attempt == ATTEMPTS) {
                self.started.settle.send_replace(Some(settled.clone()));
                self.cache.count_entries();
                return settled.answer;
            }
        }
        Err(CachedError::overtaken())
    }

    /// Keeps the answer; `None` if it was overtaken and has to be asked for again.
    fn settle(&mut self, (asked_at, doubts): (Timestamp, u32), answer: Answer, is_last: bool) -> Option<Settled> {
        let now = self.cache.clock.now();
        let mut desk = self.cache.desk();
        let entries = &self.cache.entries;
        let at = desk.generation();
        let overtaken =
            answer.as_ref().is_ok_and(|found| desk.overtaken(self.started.began, &self.digest, found.as_ref()));
        let (answer, end) = match answer {
            _ if overtaken && !is_last => {
                self.started.began = at;
                return None;
            }
            _ if overtaken => (Err(CachedError::overtaken()), LoadEnd::Overtaken),
            Ok(Some(key)) => {
                // The gate will not believe a record of another digest, and nobody else shall be told of it.
                if key.digest == self.digest {
                    desk.keep(entries, self.digest, self.cache.terms.entry(key.clone(), asked_at, doubts));
                }
                (Ok(Some(key)), LoadEnd::Found)
            }
            Ok(None) => {
                let until = asked_at.saturating_add(self.cache.terms.negative_ttl);
                desk.keep_absence(entries, self.digest, until);
                (Ok(None), LoadEnd::Absent)
            }
            // Looked for after the source has failed: an invalidation meanwhile has taken it away.
            Err(error) => match entries.entry(&self.digest).filter(|entry| now < entry.usable_until) {
                Some(stale) => {
                    self.cache.warn_of_stale(&stale.key, &error);
                    let key = stale.key.clone();
                    let fresh_until = now.saturating_add(RETRY_AFTER).min(stale.usable_until);
                    desk.keep(entries, self.digest, Entry { fresh_until, doubts, ..stale });
                    (Ok(Some(key)), LoadEnd::Stale)
                }
                None => (Err(error), LoadEnd::Failed),
            },
        };
        self.cache.instruments.loaded(end);
        desk.end(&self.digest, self.started.number);
        Some(Settled { answer, at })
    }
}

impl<S: KeySource> Drop for Load<'_, S> {
    fn drop(&mut self) {
        // The place is free before those who wait are woken, which the end of the sender does.
        self.cache.desk().end(&self.digest, self.started.number);
    }
}

impl<S: KeySource> Inner<S> {
    async fn ask(&self, digest: &KeyDigest) -> Answer {
        let answer = match self.source.find_now(digest) {
            Lookup::Found(key) => return Ok(Some(key)),
            Lookup::Absent => return Ok(None),
            Lookup::Ask => {
                async {
                    // Never closed.
                    let _place = self.places.acquire().await.ok();
                    self.source.find(digest).await
                }
            }
        };
        let name = || Arc::clone(&self.name);
        let deadline = self.terms.deadline;
        let answer = if tokio::runtime::Handle::try_current().is_err() {
            answer.await
        } else {
            let answer = tokio::time::timeout(deadline, answer).await;
            answer.map_err(|_| CachedError::timed_out(name(), deadline))?
        };
        answer.map_err(|error| CachedError::failed(name(), error))
    }

    fn warn_of_stale(&self, key: &KeyRef, error: &CachedError) {
        tracing::warn!(
            target: "tower_api_key::store",
            backend = %self.name,
            key_id = %key.id,
            error = %Chain(error),
            "a record is used past its time, because its source cannot be asked"
        );
    }
}
