//! Settings of a cache.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Cached, Terms};
use crate::clock::{Clock, SystemClock};
use crate::error::ConfigError;
use crate::source::KeySource;

/// The most entries that a cache can have of a kind.
const MOST: usize = 1 << 28;

/// Settings of a [`Cached`].
#[must_use]
pub struct CachedBuilder<S> {
    source: S,
    capacity: usize,
    negative_capacity: usize,
    ttl: Duration,
    negative_ttl: Duration,
    stale_on_error: Option<Duration>,
    deadline: Duration,
    max_loads: usize,
    clock: Arc<dyn Clock>,
}

impl<S: KeySource> CachedBuilder<S> {
    pub(super) fn new(source: S) -> Self {
        Self {
            source,
            capacity: 100_000,
            negative_capacity: 100_000,
            ttl: Duration::from_secs(60),
            negative_ttl: Duration::from_secs(10),
            stale_on_error: None,
            deadline: Duration::from_secs(1),
            max_loads: 64,
            clock: Arc::new(SystemClock),
        }
    }

    /// How many records are kept, 100 000 by default. The capacity is dealt out in shares, each rounded up, so that it can
    /// be exceeded by less than eight for each core. A record takes about 450 bytes beside what it consists of.
    pub fn capacity(mut self, records: usize) -> Self {
        self.capacity = records;
        self
    }

    /// How many digests are kept that no record has, 100 000 by default, rounded as [`capacity`](Self::capacity) is. They
    /// take nothing of the room for records.
    pub fn negative_capacity(mut self, digests: usize) -> Self {
        self.negative_capacity = digests;
        self
    }

    /// How long a record is used after it was asked for, 60 s by default: what the loss of an invalidation can cost at
    /// most, while the source answers.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How long it is believed that there is no record, 10 s by default: how long a key can be refused that was presented
    /// before the source knew it.
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.negative_ttl = ttl;
        self
    }

    /// Lets a record be used for that long after its [`ttl`](Self::ttl) if the source fails or does not answer in time.
    /// Not done by default, since it adds to what the loss of an invalidation can cost.
    ///
    /// An invalidation that was heard ends it at once, and so does the expiry of the key.
    pub fn stale_on_error(mut self, time: Duration) -> Self {
        self.stale_on_error = Some(time);
        self
    }

    /// How long the source may take, 1 s by default. Has to be less than the deadline of the layer, which would otherwise
    /// give up before the cache does. Counted by Tokio's timer; on other runtimes a source has to keep its own deadline.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How many digests the source is asked for at once, 64 by default. Others wait for their turn, which counts against
    /// their [`deadline`](Self::deadline): what a store that is slow for one caller costs the others has an end.
    pub fn max_loads(mut self, loads: usize) -> Self {
        self.max_loads = loads;
        self
    }

    /// Where the time comes from.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The cache. Starts nothing: [`Cached::listen`] is a future that you run.
    ///
    /// # Errors
    /// When something is 0, or a capacity or `max_loads` is above 2²⁸. Names every such setting.
    pub fn build(self) -> Result<Cached<S>, ConfigError> {
        let capacities =
            [("capacity", self.capacity), ("negative_capacity", self.negative_capacity), ("max_loads", self.max_loads)];
        let times = [
            ("ttl", Some(self.ttl)),
            ("negative_ttl", Some(self.negative_ttl)),
            ("stale_on_error", self.stale_on_error),
            ("deadline", Some(self.deadline)),
        ];
        let capacities = capacities.into_iter().filter_map(|(setting, entries)| match entries {
            0 => Some(ConfigError::new(setting, "must be at least 1")),
            1..=MOST => None,
            _ => Some(ConfigError::new(setting, format_args!("must be at most {MOST}"))),
        });
        let times = times.into_iter().filter(|(_, time)| time.is_some_and(|time| time.is_zero()));
        let times = times.map(|(setting, _)| ConfigError::new(setting, "must be more than 0"));
        ConfigError::all(capacities.chain(times))?;
        Ok(self.built())
    }

    /// The cache, if the settings are known to be good.
    pub(super) fn built(self) -> Cached<S> {
        let terms = Terms {
            ttl: self.ttl,
            negative_ttl: self.negative_ttl,
            stale_for: self.stale_on_error.unwrap_or_default(),
            deadline: self.deadline,
            max_loads: self.max_loads,
        };
        Cached::with(self.source, terms, self.capacity, self.negative_capacity, self.clock)
    }
}

impl<S> fmt::Debug for CachedBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedBuilder")
            .field("capacity", &self.capacity)
            .field("negative_capacity", &self.negative_capacity)
            .field("ttl", &self.ttl)
            .field("negative_ttl", &self.negative_ttl)
            .field("stale_on_error", &self.stale_on_error)
            .field("deadline", &self.deadline)
            .field("max_loads", &self.max_loads)
            .finish_non_exhaustive()
    }
}
