//! A cache in front of a source that has to wait.
//!
//! [`Cached`] keeps records, and the digests that have none, and answers from memory for as long as they are good:
//!
//! ```
//! # async fn run(
//! #     postgres: impl tower_api_key::source::KeySource,
//! #     subscription: impl tower_api_key::source::cached::Invalidations,
//! # ) -> Result<(), tower_api_key::BoxError> {
//! use std::time::Duration;
//! use tower_api_key::ApiKeyLayer;
//! use tower_api_key::source::Cached;
//!
//! let keys = Cached::builder(postgres)
//!     .capacity(50_000)
//!     .ttl(Duration::from_secs(30))
//!     .stale_on_error(Duration::from_secs(300))
//!     .build()?;
//! tokio::spawn(keys.listen(subscription)); // what other nodes change
//! let auth = ApiKeyLayer::new(keys.clone());
//! # Ok(()) }
//! ```
//!
//! # What it promises
//!
//! 1. **A revocation wins.** After [`invalidate`](Cached::invalidate) has returned, no call that starts later gets the
//!    record that was known before. A load that was under way is repeated, and neither kept nor believed; if that happens
//!    to it twice, the answer is an error.
//! 2. **A lost invalidation costs no more than the [`ttl`](CachedBuilder::ttl)**, counted from when the source was asked,
//!    plus [`stale_on_error`](CachedBuilder::stale_on_error) if that is set and the source cannot be asked.
//! 3. **One call to the source a digest**, however many ask at the same time. If the caller who asks goes away, another
//!    one of them takes over. An error is told to all who waited, and not kept.
//! 4. **A slow source is not buried.** No more than [`max_loads`](CachedBuilder::max_loads) digests are asked for at once; the
//!    others wait for their turn, and for the [`deadline`](CachedBuilder::deadline) no longer than those.
//! 5. **Made-up keys evict no real one.** Absences have room of their own, and take about 110 bytes each, at most
//!    [`negative_capacity`](CachedBuilder::negative_capacity) of them.
//! 6. **Nothing is judged here.** Expiry, realm, environment and all else are judged by each layer for each request, whether
//!    the record was in memory or not.
//!
//! # After a change
//!
//! Over a [`KeyStore`](super::KeyStore) the cache is one itself: change keys through it, and it forgets them before it answers.
//! What is changed past it needs to be said.
//!
//! Tell the cache after the store has the change: [`Cached::invalidate`] on this node, and the bus of your choice
//! ([`Invalidations`]) on the others. A new key needs that only where it can be presented before its store knows it:
//! [`Cached::invalidate_digest`], or [`Cached::invalidate_absent`] for all of them.

mod builder;
mod desk;
mod entries;
mod error;
mod hasher;
mod history;
mod invalidation;
mod listen;
mod load;
#[cfg(feature = "redis")]
mod redis;
mod store;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use self::desk::Desk;
use self::entries::{Entries, Entry};
use super::{KeyScheme, KeySource, Lookup};
use crate::clock::{Clock, Timestamp};
use crate::instruments::{CacheInstruments, Known};
use crate::key::{KeyDigest, KeyId, KeyRef};

pub use self::builder::CachedBuilder;
pub use self::error::CachedError;
pub use self::invalidation::{Invalidation, Invalidations, LocalInvalidations, LocalSubscription};
#[cfg(feature = "redis")]
pub use self::redis::{RedisInvalidations, RedisSubscription, RedisSubscriptionError};
#[cfg(feature = "redis")]
pub use crate::redis_link::RedisLinkError;

/// A source, and a memory of what it answered. Clones share both. See the [module](self) for what it promises.
pub struct Cached<S>(Arc<Inner<S>>);

struct Inner<S> {
    source: S,
    name: Arc<str>,
    terms: Terms,
    clock: Arc<dyn Clock>,
    entries: Entries,
    desk: Mutex<Desk>,
    /// How many digests may be asked for at once.
    places: Semaphore,
    instruments: CacheInstruments,
}

/// For how long answers are good, and how the source is asked.
struct Terms {
    ttl: Duration,
    negative_ttl: Duration,
    stale_for: Duration,
    deadline: Duration,
    max_loads: usize,
}

impl Terms {
    /// A record that the source was asked for then. What has changed since, it may not say.
    fn entry(&self, key: KeyRef, asked_at: Timestamp, doubts: u32) -> Entry {
        let fresh_until = asked_at.saturating_add(self.ttl);
        Entry { key, fresh_until, usable_until: fresh_until.saturating_add(self.stale_for), doubts }
    }
}

impl<S: KeySource> Cached<S> {
    /// A cache with the defaults that [`CachedBuilder`] states.
    pub fn new(source: S) -> Self {
        CachedBuilder::new(source).built()
    }

    /// A cache with other settings.
    pub fn builder(source: S) -> CachedBuilder<S> {
        CachedBuilder::new(source)
    }

    fn with(source: S, terms: Terms, capacity: usize, negative_capacity: usize, clock: Arc<dyn Clock>) -> Self {
        let name: Arc<str> = source.name().into();
        let entries = Entries::new(capacity, negative_capacity);
        let (desk, places) = (Mutex::new(Desk::new()), Semaphore::new(terms.max_loads));
        let instruments = CacheInstruments::new(&name);
        Self(Arc::new(Inner { source, name, terms, clock, entries, desk, places, instruments }))
    }
}

impl<S> Cached<S> {
    /// The source behind the cache.
    pub fn source(&self) -> &S {
        &self.0.source
    }

    /// Forgets the record of this key. Call it after the store has the change.
    ///
    /// Costs the same however much is cached. It does not find digests that are believed to have no record:
    /// [`invalidate_digest`](Self::invalidate_digest) does.
    pub fn invalidate(&self, id: &KeyId) {
        self.apply(Invalidation::Key(id.clone()));
    }

    /// Forgets what is known of this digest: its record, or that it has none.
    pub fn invalidate_digest(&self, digest: &KeyDigest) {
        self.apply(Invalidation::Digest(*digest));
    }

    /// Forgets all digests that are believed to have no record.
    pub fn invalidate_absent(&self) {
        self.apply(Invalidation::Absent);
    }

    /// Forgets everything.
    pub fn invalidate_all(&self) {
        self.apply(Invalidation::All);
    }

    /// Does what `invalidation` says.
    pub fn apply(&self, invalidation: Invalidation) {
        self.0.instruments.invalidated(invalidation.what());
        self.0.desk().invalidate(&self.0.entries, invalidation);
        self.0.count_entries();
    }

    /// Takes note that invalidations are not heard: records that may be used if the source fails are kept for that alone.
    fn doubt_all(&self) {
        if self.0.terms.stale_for.is_zero() {
            return self.invalidate_all();
        }
        {
            let _desk = self.0.desk();
            self.0.entries.doubt();
        }
        self.0.count_entries();
    }

    /// How many records are in memory, good or past their time.
    pub fn len(&self) -> usize {
        self.0.entries.len()
    }

    /// How many digests are in memory that had no record, good or past their time.
    pub fn negative_len(&self) -> usize {
        self.0.entries.absences()
    }

    /// Whether nothing at all is in memory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.negative_len() == 0
    }
}

impl<S> Inner<S> {
    /// Never held while waiting, so that whoever panics leaves it in order.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_entries(&self) {
        self.instruments.entries(|| self.entries.len(), || self.entries.absences());
    }
}

impl<S: KeySource> KeySource for Cached<S> {
    type Error = CachedError;

    fn name(&self) -> &str {
        self.0.source.name()
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        self.0.source.schemes()
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, CachedError> {
        self.load(digest).await
    }

    fn find_now(&self, digest: &KeyDigest) -> Lookup {
        let found = self.0.entries.lookup(digest, self.0.clock.now());
        self.0.instruments.looked_up(known(&found));
        found
    }

    fn forget(&self, digest: &KeyDigest) {
        self.invalidate_digest(digest);
    }
}

/// What a lookup says for those who count.
fn known(found: &Lookup) -> Known {
    match found {
        Lookup::Found(_) => Known::Record,
        Lookup::Absent => Known::Absence,
        Lookup::Ask => Known::Nothing,
    }
}

impl<S> Clone for Cached<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for Cached<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("source", &self.0.name)
            .field("len", &self.len())
            .field("negative_len", &self.negative_len())
            .finish_non_exhaustive()
    }
}
