//! How a store in a file is set up.

use std::path::PathBuf;
use std::time::Duration;

use super::{JsonFileError, JsonFileKeys, NAME};
use crate::clock::Clock;
use crate::key::{KeyFormat, KeyHasher};
use crate::source::{KeyLife, MemoryKeys, MemoryKeysBuilder};

/// Settings of [`JsonFileKeys`].
#[derive(Debug)]
#[must_use]
pub struct JsonFileKeysBuilder {
    path: PathBuf,
    keys: MemoryKeysBuilder,
    every: Option<Duration>,
}

impl JsonFileKeysBuilder {
    pub(super) fn new(path: PathBuf) -> Self {
        let keys = MemoryKeys::builder();
        Self { path, keys, every: Some(Duration::from_millis(250)) }
    }

    /// The shape of new keys; `ak_<environment>_…`, unless set.
    pub fn format(mut self, format: KeyFormat) -> Self {
        self.keys = self.keys.format(format);
        self
    }

    /// Another shape in which keys are accepted.
    pub fn add_format(mut self, format: KeyFormat) -> Self {
        self.keys = self.keys.add_format(format);
        self
    }

    /// How new keys are digested; SHA-256, unless set. With a pepper here, digests without one open nothing.
    pub fn hasher(mut self, hasher: KeyHasher) -> Self {
        self.keys = self.keys.hasher(hasher);
        self
    }

    /// Another digest that keys are accepted by: an older pepper.
    pub fn add_hasher(mut self, hasher: KeyHasher) -> Self {
        self.keys = self.keys.add_hasher(hasher);
        self
    }

    /// Where the time of issuing, revoking and expiring comes from; the system's clock, unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.keys = self.keys.clock(clock);
        self
    }

    /// How long keys may live; as long as they like, unless set.
    pub fn life(mut self, life: KeyLife) -> Self {
        self.keys = self.keys.life(life);
        self
    }

    /// How often a thread looks whether somebody else has changed the file; every 250 milliseconds, unless set. `None`:
    /// never, and only [`JsonFileKeys::reload`] and writes look.
    pub fn check_every(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.every = time.into();
        self
    }

    /// The store.
    ///
    /// # Errors
    /// When the file is there and cannot be read, is not as [`JsonFileKeys`] says, or lists an id or a digest twice; or
    /// when there is not even a folder for it. The file is left as it is.
    pub fn open(self) -> Result<JsonFileKeys, JsonFileError> {
        JsonFileKeys::start(self.path, self.keys.named(NAME), self.every)
    }
}
