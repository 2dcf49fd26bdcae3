//! How a trail is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::AuditTrail;
use crate::audit::store::ErasedAuditStore;
use crate::clock::{Clock, SystemClock};
use crate::error::ConfigError;

/// Settings of an [`AuditTrail`].
#[must_use]
pub struct AuditTrailBuilder {
    store: Arc<dyn ErasedAuditStore>,
    settings: Settings,
}

pub(super) struct Settings {
    pub(super) flush_every: Duration,
    pub(super) batch: usize,
    pub(super) capacity: usize,
    pub(super) deadline: Duration,
    pub(super) shutdown_within: Duration,
    pub(super) keep_for: Option<Duration>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            flush_every: Duration::from_secs(1),
            batch: 500,
            capacity: 1 << 14,
            deadline: Duration::from_secs(30),
            shutdown_within: Duration::from_secs(5),
            keep_for: None,
            clock: Arc::new(SystemClock),
        }
    }
}

impl AuditTrailBuilder {
    pub(super) fn new(store: Arc<dyn ErasedAuditStore>) -> Self {
        Self { store, settings: Settings::default() }
    }

    /// How long events wait to be written; one second, unless set. They are written earlier when a batch is full.
    pub fn flush_every(mut self, interval: Duration) -> Self {
        self.settings.flush_every = interval;
        self
    }

    /// How many events the store is handed at once, at most; 500, unless set.
    pub fn batch(mut self, events: usize) -> Self {
        self.settings.batch = events;
        self
    }

    /// How many events the queue has room for, those that are being written included; 16,384, unless set. They take a
    /// kibibyte each on average at most: large ones leave room for fewer.
    pub fn capacity(mut self, events: usize) -> Self {
        self.settings.capacity = events;
        self
    }

    /// How long the store may take for a batch, by Tokio's timer; 30 seconds, unless set.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// How long [`shutdown`](AuditTrail::shutdown) may take, by Tokio's timer; five seconds, unless set.
    pub fn shutdown_within(mut self, deadline: Duration) -> Self {
        self.settings.shutdown_within = deadline;
        self
    }

    /// How long events are kept; for ever, unless set.
    pub fn keep_for(mut self, age: Duration) -> Self {
        self.settings.keep_for = Some(age);
        self
    }

    /// Where the time comes from by which old events are forgotten; the system's clock, unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// The trail.
    ///
    /// # Errors
    /// Every setting that makes no sense, by its name.
    pub fn build(self) -> Result<AuditTrail, ConfigError> {
        let settings = &self.settings;
        let zero = [
            ("flush_every", settings.flush_every.is_zero()),
            ("batch", settings.batch == 0),
            ("capacity", settings.capacity == 0),
            ("deadline", settings.deadline.is_zero()),
            ("shutdown_within", settings.shutdown_within.is_zero()),
            ("keep_for", settings.keep_for.is_some_and(|age| age.is_zero())),
        ];
        let zero = zero.into_iter().filter(|(_, is_zero)| *is_zero);
        ConfigError::all(
            zero.map(|(name, _)| ConfigError::new(format!("audit_trail.{name}"), "must be more than zero")),
        )?;
        Ok(AuditTrail::of(self.store, self.settings))
    }
}

impl fmt::Debug for AuditTrailBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditTrailBuilder")
            .field("store", &self.store.name())
            .field("flush_every", &self.settings.flush_every)
            .field("batch", &self.settings.batch)
            .field("capacity", &self.settings.capacity)
            .field("deadline", &self.settings.deadline)
            .field("shutdown_within", &self.settings.shutdown_within)
            .field("keep_for", &self.settings.keep_for)
            .finish()
    }
}
