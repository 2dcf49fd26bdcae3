//! When, from where and how often keys are used: gathered in memory, and written in batches.
//!
//! No request waits for a store. The layer notes each use in a book of bounded size, a future that you spawn hands the
//! book's notes to the store every ten seconds, and the last ones are handed over at the end:
//!
//! ```no_run
//! # #[cfg(feature = "axum")]
//! # async fn run(app: axum::Router, listener: tokio::net::TcpListener) -> Result<(), tower_api_key::BoxError> {
//! use tower_api_key::ApiKeyLayer;
//! use tower_api_key::source::JsonFileKeys;
//! use tower_api_key::usage::Usage;
//!
//! let keys = JsonFileKeys::open("api-keys.json")?;
//! let auth = ApiKeyLayer::builder(keys.clone()).usage(Usage::new(keys)).build()?;
//!
//! tokio::spawn(auth.background());
//! axum::serve(listener, auth.protect(app)).with_graceful_shutdown(async { /* SIGTERM */ }).await?;
//! auth.shutdown().await?;
//! # Ok(()) }
//! ```
//!
//! # What is noted
//!
//! Of each request that the gate lets in with a key: that it was, when, and the address it came from. A refused request is
//! no use of a key, whatever key it had; one that a handler refuses afterwards is. Where a source is made of several, notes
//! about keys of the others are passed over by the store.
//!
//! The notes say how many uses were in which hour (UTC), so that a batch that spans the end of an hour, or waits for hours
//! because the store is away, is counted in the hours it belongs to: see
//! [`KeyStore::usage_series`]. Of a store that is away for more than two days, the oldest
//! hours are counted as one.
//!
//! With the notes of a key go:
//! - **its new digest**, if it was found under an older pepper or none, and the store has a newer one for keys of its
//!   shape. Once all keys in use have it, the old pepper can go. Nothing is ever brought from a pepper to none. Let every
//!   node know a new pepper (`add_hasher`) before the first one makes digests by it (`hasher`): a key that has its new
//!   digest is unknown to a node that cannot make that;
//! - **the credits that it has spent**, so that its record has the balance that the next start begins with. A key that is
//!   rotated gives its successor the balance that is written: what it spent since can be spent again.
//!
//! # What can be lost
//!
//! A process that is killed loses what it noted since the last batch was written: one interval
//! ([`flush_every`](Usage::flush_every)) if the store answers. Credits that were spent in that time are there to be spent
//! again. A batch that the store could not write goes back into the book and is tried again; one that it did not answer in
//! time ([`deadline`](Usage::deadline)), or whose future was dropped, may have been written, and is not: nothing is counted
//! twice. What does not fit into the book is dropped, and counted in the log.
//!
//! # New addresses
//!
//! The [`AuthEvent`](crate::audit::AuthEvent::new_address) of a request says when its key comes from an address that it
//! was not seen from lately: neither the last one on its record, nor one of the four latest that this process remembers.
//! An IPv6 address counts as its /64. The first use of all is not new.

mod address;
mod book;
mod hours;
mod recorder;
mod rehash;
mod reminder;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{ConfigError, StoreError};
use crate::source::{ErasedUsageStore, KeyStore};

pub(crate) use recorder::Recorder;

/// Which store keeps what keys are used, and how it is handed over. See the [module](self).
#[must_use]
pub struct Usage {
    store: Arc<dyn ErasedUsageStore>,
    flush_every: Duration,
    batch: usize,
    capacity: usize,
    deadline: Duration,
    shutdown_within: Duration,
    remind_after: Option<Duration>,
}

impl Usage {
    /// The store behind the layer's source, without the caches around it.
    pub fn new(store: impl KeyStore) -> Self {
        Self {
            store: Arc::new(store),
            flush_every: Duration::from_secs(10),
            batch: 500,
            capacity: 1 << 18,
            deadline: Duration::from_secs(30),
            shutdown_within: Duration::from_secs(5),
            remind_after: None,
        }
    }

    /// How long notes wait to be written; ten seconds, unless set. They are written earlier when the book is half full.
    pub fn flush_every(mut self, interval: Duration) -> Self {
        self.flush_every = interval;
        self
    }

    /// How many keys the store is told of at once, at most; 500, unless set.
    pub fn batch(mut self, keys: usize) -> Self {
        self.batch = keys;
        self
    }

    /// How many keys the book has room for; 262,144, unless set. A key takes about 300 bytes, once it is used. In a full
    /// book a new key takes the place of one that has been written, with the memory of its addresses.
    pub fn capacity(mut self, keys: usize) -> Self {
        self.capacity = keys;
        self
    }

    /// How long the store may take for a batch, by Tokio's timer; 30 seconds, unless set.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long [`shutdown`](crate::ApiKeyLayer::shutdown) may take, by Tokio's timer; five seconds, unless set.
    pub fn shutdown_within(mut self, deadline: Duration) -> Self {
        self.shutdown_within = deadline;
        self
    }

    /// Reminds of keys that are used at this age and have no successor, unless set none: a line of level WARN in the log,
    /// target `tower_api_key::keys`, fields `key_id` and `age_days`, once for each key and day (UTC), when its use is
    /// written. At most twenty lines for each flush; further keys are counted in another.
    pub fn remind_after(mut self, age: Duration) -> Self {
        self.remind_after = Some(age);
        self
    }

    /// Every setting that makes no sense.
    pub(crate) fn validate(&self) -> Vec<ConfigError> {
        let settings = [
            ("flush_every", self.flush_every.is_zero()),
            ("batch", self.batch == 0),
            ("capacity", self.capacity == 0),
            ("deadline", self.deadline.is_zero()),
            ("shutdown_within", self.shutdown_within.is_zero()),
        ];
        let zero = settings.into_iter().filter(|(_, is_zero)| *is_zero);
        zero.map(|(name, _)| ConfigError::new(format!("usage.{name}"), "must be more than zero")).collect()
    }
}

impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Usage")
            .field("store", &self.store.name())
            .field("flush_every", &self.flush_every)
            .field("batch", &self.batch)
            .field("capacity", &self.capacity)
            .field("deadline", &self.deadline)
            .field("shutdown_within", &self.shutdown_within)
            .field("remind_after", &self.remind_after)
            .finish()
    }
}

/// Some uses could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{kept} uses of keys are not written, and of {in_doubt} it is not known")]
pub struct UsageNotWritten {
    kept: u64,
    in_doubt: u64,
    #[source]
    cause: Option<StoreError>,
}

impl UsageNotWritten {
    /// How many uses are still in the book, and are handed over with the next flush, if there is one.
    pub const fn kept(&self) -> u64 {
        self.kept
    }

    /// How many uses the store was told of without an answer in time. They are not handed over again.
    pub const fn in_doubt(&self) -> u64 {
        self.in_doubt
    }
}
