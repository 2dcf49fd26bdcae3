//! How a store in memory is set up.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::MemoryKeys;
use crate::clock::{Clock, SystemClock};
use crate::key::{KeyFormat, KeyHasher};
use crate::source::KeyLife;
use crate::source::store::Issuer;

/// Settings of [`MemoryKeys`].
#[derive(Default)]
#[must_use]
pub struct MemoryKeysBuilder {
    format: Option<KeyFormat>,
    added_formats: Vec<KeyFormat>,
    hasher: Option<KeyHasher>,
    added_hashers: Vec<KeyHasher>,
    clock: Option<Arc<dyn Clock>>,
    life: KeyLife,
}

impl fmt::Debug for MemoryKeysBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryKeysBuilder")
            .field("format", &self.format)
            .field("added_formats", &self.added_formats)
            .field("hasher", &self.hasher)
            .field("added_hashers", &self.added_hashers)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

impl MemoryKeysBuilder {
    /// The shape of new keys; `ak_<environment>_…`, unless set.
    pub fn format(mut self, format: KeyFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// Another shape in which keys are accepted.
    pub fn add_format(mut self, format: KeyFormat) -> Self {
        self.added_formats.push(format);
        self
    }

    /// How new keys are digested; SHA-256, unless set. With a pepper here, digests without one open nothing.
    pub fn hasher(mut self, hasher: KeyHasher) -> Self {
        self.hasher = Some(hasher);
        self
    }

    /// Another digest that keys are accepted by: an older pepper.
    pub fn add_hasher(mut self, hasher: KeyHasher) -> Self {
        self.added_hashers.push(hasher);
        self
    }

    /// Where the time comes from; the system's clock, unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// How long keys may live; as long as they like, unless set.
    pub fn life(mut self, life: KeyLife) -> Self {
        self.life = life;
        self
    }

    /// The store.
    pub fn build(self) -> MemoryKeys {
        self.named("memory")
    }

    /// The store, as the index of another.
    pub(in crate::source) fn named(self, name: &'static str) -> MemoryKeys {
        MemoryKeys::of(self.issuer(name.into()))
    }

    /// The settings alone, for a store of another kind.
    pub(in crate::source) fn issuer(self, name: Cow<'static, str>) -> Issuer {
        let hasher = self.hasher.unwrap_or_else(KeyHasher::sha256);
        Issuer {
            name,
            formats: [self.format.unwrap_or_default()].into_iter().chain(self.added_formats).collect(),
            hashers: [hasher].into_iter().chain(self.added_hashers).collect(),
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            life: self.life,
        }
    }
}
