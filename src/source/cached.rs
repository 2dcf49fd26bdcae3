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
//! 4. **Made-up keys evict no real one.** Absences have room of their own, and take about 110 bytes each, at most
//!    [`negative_capacity`](CachedBuilder::negative_capacity) of them.
//! 5. **Nothing is judged here.** Expiry, realm, environment and all else are judged by each layer for each request, whether
//!    the record was in memory or not.
//!
//! # After a change
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

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::desk::Desk;
use self::entries::{Entries, Entry};
use super::{KeyScheme, KeySource, Lookup};
use crate::clock::{Clock, Timestamp};
use crate::key::{KeyDigest, KeyId, KeyRef};

pub use self::builder::CachedBuilder;
pub use self::error::CachedError;
pub use self::invalidation::{Invalidation, Invalidations, LocalInvalidations, LocalSubscription};

/// A source, and a memory of what it answered. Clones share both. See the [module](self) for what it promises.
pub struct Cached<S>(Arc<Inner<S>>);

struct Inner<S> {
    source: S,
    name: Arc<str>,
    terms: Terms,
    clock: Arc<dyn Clock>,
    entries: Entries,
    desk: Mutex<Desk>,
}

/// For how long answers are good.
struct Terms {
    ttl: Duration,
    negative_ttl: Duration,
    stale_for: Duration,
    deadline: Duration,
}

impl Terms {
    /// A record that the source was asked for then. What has changed since, it may not say.
    fn entry(&self, key: KeyRef, asked_at: Timestamp) -> Entry {
        let fresh_until = asked_at.saturating_add(self.ttl);
        Entry { key, fresh_until, usable_until: fresh_until.saturating_add(self.stale_for) }
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
        let name = source.name().into();
        let entries = Entries::new(capacity, negative_capacity);
        Self(Arc::new(Inner { source, name, terms, clock, entries, desk: Mutex::new(Desk::new()) }))
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
        self.0.desk().invalidate(&self.0.entries, invalidation);
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
        self.0.entries.lookup(digest, self.0.clock.now())
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
