//! Keys in this process.

mod builder;
mod digests;
mod index;
mod near;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::digests::Digests;
use self::index::Index;
use super::store::{self, Issuer};
use super::{
    IssuedKey, KeyAdoption, KeyChange, KeyFilter, KeyLife, KeyLifeRefusal, KeyPage, KeyRotation, KeyScheme, KeySource,
    KeyStore, KeySuccession, KeyUpdate, KeyUsage, Lookup, NewKey, UsagePoint, UsageRange,
};
use crate::clock::Timestamp;
use crate::key::{KeyDigest, KeyId, KeyRecord, KeyRef, KeyState, RandomError};

pub use builder::MemoryKeysBuilder;

/// A store that keeps its keys in memory: for tests, for keys that are loaded at the start, and as the index of stores
/// that keep them elsewhere as well. Clones share the keys.
///
/// Looking a key up takes no lock and writes nothing that is shared. How often keys are used is known for the last 14 days
/// by the hour, and for the last 400 by the day.
///
/// ```
/// # tokio_test::block_on(async {
/// use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
///
/// let keys = MemoryKeys::new();
/// let issued = keys.issue(NewKey::named("ci")).await?;
/// println!("{}", issued.secret.expose_secret()); // ak_live_…
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct MemoryKeys(Arc<Inner>);

struct Inner {
    issuer: Issuer,
    by_digest: Digests,
    index: Mutex<Index>,
}

impl MemoryKeys {
    /// An empty store of keys `ak_<environment>_…`, digested by SHA-256.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A store with other settings.
    pub fn builder() -> MemoryKeysBuilder {
        MemoryKeysBuilder::default()
    }

    fn of(issuer: Issuer) -> Self {
        Self(Arc::new(Inner { issuer, by_digest: Digests::new(), index: Mutex::default() }))
    }

    /// Takes in a record that was made elsewhere.
    ///
    /// # Errors
    /// When there is a key of that id or digest.
    pub fn insert(&self, record: KeyRecord) -> Result<KeyRef, DuplicateKey> {
        self.put(&mut self.index(), record.into())
    }

    /// How many keys there are, in any state.
    pub fn len(&self) -> usize {
        self.0.by_digest.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn lookup(&self, digest: &KeyDigest) -> Option<KeyRef> {
        self.0.by_digest.get(digest)
    }

    /// A store of the same settings without keys.
    pub(super) fn emptied(&self) -> Self {
        Self::of(self.0.issuer.clone())
    }

    /// A store of the same settings and keys, which changes apart from this one.
    pub(super) fn fork(&self) -> Self {
        let fork = self.emptied();
        {
            let (from, mut to) = (self.index(), fork.index());
            *to = from.fork();
            from.oldest_first().for_each(|record| fork.0.by_digest.put(record));
        }
        fork
    }

    /// How many changes were made since it was set up.
    pub(super) fn changes(&self) -> u64 {
        self.index().changes
    }

    /// Every key, the oldest first.
    pub(super) fn oldest_first(&self) -> Vec<KeyRef> {
        self.index().oldest_first().cloned().collect()
    }

    /// The index, also after a panic elsewhere: it is changed by single inserts alone.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.0.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, index: &mut Index, record: KeyRef) -> Result<KeyRef, DuplicateKey> {
        if index.get(&record.id).is_some() || self.0.by_digest.contains(&record.digest) {
            return Err(DuplicateKey { id: record.id.clone() });
        }
        self.replace(index, &record);
        Ok(record)
    }

    /// The record in place of the one that has its id and its digest.
    fn replace(&self, index: &mut Index, record: &KeyRef) {
        index.put(record);
        self.0.by_digest.put(record);
    }

    fn remove(&self, index: &mut Index, record: &KeyRecord) {
        index.remove(record);
        self.0.by_digest.remove(&record.digest);
    }

    pub(super) fn issue_now(&self, mut key: NewKey) -> Result<IssuedKey, MemoryKeysError> {
        let now = self.0.issuer.now();
        key.expires_at = self.0.issuer.life.end(key.expires_at, now)?;
        loop {
            let (secret, record) = self.0.issuer.make(key.clone(), now)?;
            // An id or a secret that exists already is as good as impossible, and another one is at hand.
            if let Ok(record) = self.insert(record) {
                return Ok(IssuedKey { secret, record });
            }
        }
    }

    pub(super) fn adopt_now(&self, mut record: KeyRecord) -> KeyAdoption {
        record.source = Some(self.0.issuer.name.clone());
        self.insert(record).map_or(KeyAdoption::Taken, KeyAdoption::Adopted)
    }

    pub(super) fn get_now(&self, id: &KeyId) -> Option<KeyRef> {
        self.index().get(id).cloned()
    }

    pub(super) fn list_now(&self, filter: &KeyFilter) -> KeyPage {
        let now = self.0.issuer.now();
        let index = self.index();
        let before = index.newest_first_before(filter.cursor.as_ref());
        let mut matching = before.filter(|record| filter.matches(record, now));
        let items: Vec<KeyRef> = matching.by_ref().take(filter.limit).cloned().collect();
        let more = matching.next().is_some();
        let last = items.last().filter(|_| more).map(|record| store::place(record));
        KeyPage::new(items, last)
    }

    pub(super) fn update_now(&self, id: &KeyId, change: KeyChange) -> KeyUpdate {
        let mut index = self.index();
        let Some(found) = index.get(id).cloned() else { return KeyUpdate::Absent };
        match change.applied(&found, self.0.issuer.life) {
            Ok(record) => {
                let record = KeyRef::from(record);
                self.replace(&mut index, &record);
                KeyUpdate::Changed(record)
            }
            Err(unchanged) => unchanged,
        }
    }

    pub(super) fn set_enabled_now(&self, id: &KeyId, enabled: bool) -> KeyUpdate {
        let mut index = self.index();
        let Some(found) = index.get(id).cloned() else { return KeyUpdate::Absent };
        match store::enabled(&found, enabled) {
            Ok(record) => {
                let record = KeyRef::from(record);
                self.replace(&mut index, &record);
                KeyUpdate::Changed(record)
            }
            Err(unchanged) => unchanged,
        }
    }

    pub(super) fn revoke_now(&self, id: &KeyId, reason: Option<String>) -> Option<KeyRef> {
        let mut index = self.index();
        let found = index.get(id).cloned()?;
        let Some(record) = store::revoked(&found, reason, self.0.issuer.now()) else { return Some(found) };
        let record = KeyRef::from(record);
        self.replace(&mut index, &record);
        Some(record)
    }

    pub(super) fn rotate_now(&self, id: &KeyId, rotation: &KeyRotation) -> Result<KeySuccession, RandomError> {
        let issuer = &self.0.issuer;
        let now = issuer.now();
        let mut index = self.index();
        let Some(found) = index.get(id).cloned() else { return Ok(KeySuccession::Absent) };
        if let Err(unchanged) = rotation.possible(&found, now) {
            return Ok(unchanged);
        }
        loop {
            let (secret, mut successor) = issuer.make(rotation.heir(&found, issuer.life, now), now)?;
            let mut predecessor = KeyRecord::clone(&found);
            rotation.link(&mut predecessor, &mut successor, now);
            let Ok(record) = self.put(&mut index, successor.into()) else { continue };
            let predecessor = KeyRef::from(predecessor);
            self.replace(&mut index, &predecessor);
            return Ok(KeySuccession::Rotated { successor: IssuedKey { secret, record }, predecessor });
        }
    }

    pub(super) fn purge_now(&self, before: Timestamp) -> usize {
        // No clock decides alone: what is not over yet stays, however late an instant is named.
        let before = before.min(self.0.issuer.now());
        let mut index = self.index();
        let over = |record: &KeyRef| match record.state(before) {
            KeyState::Revoked => record.revoked_at.is_some_and(|at| at < before),
            KeyState::Expired => record.expires_at.is_some_and(|at| at < before),
            KeyState::Active | KeyState::Disabled | KeyState::Overlap => false,
        };
        let over: Vec<_> = index.oldest_first().filter(|record| over(record)).cloned().collect();
        for record in &over {
            self.remove(&mut index, record);
        }
        over.len()
    }

    pub(super) fn record_usage_now(&self, usage: &[KeyUsage]) {
        let mut index = self.index();
        for used in usage {
            let Some(found) = index.get(&used.id).cloned() else { continue };
            let mut record = KeyRecord::clone(&found);
            used.add_to(&mut record);
            if record.digest != found.digest && self.0.by_digest.contains(&record.digest) {
                record.digest = found.digest;
            }
            let record = KeyRef::from(record);
            self.replace(&mut index, &record);
            if record.digest != found.digest {
                // It is found by its new one already.
                self.0.by_digest.remove(&found.digest);
            }
        }
    }
}

impl Default for MemoryKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryKeys").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl KeySource for MemoryKeys {
    type Error = MemoryKeysError;

    fn name(&self) -> &str {
        &self.0.issuer.name
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        self.0.issuer.schemes()
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, MemoryKeysError> {
        Ok(self.lookup(digest))
    }

    fn find_now(&self, digest: &KeyDigest) -> Lookup {
        self.lookup(digest).into()
    }
}

impl KeyStore for MemoryKeys {
    fn life(&self) -> KeyLife {
        self.0.issuer.life
    }

    async fn issue(&self, key: NewKey) -> Result<IssuedKey, MemoryKeysError> {
        self.issue_now(key)
    }

    async fn adopt(&self, record: KeyRecord) -> Result<KeyAdoption, MemoryKeysError> {
        Ok(self.adopt_now(record))
    }

    async fn get(&self, id: &KeyId) -> Result<Option<KeyRef>, MemoryKeysError> {
        Ok(self.get_now(id))
    }

    async fn list(&self, filter: &KeyFilter) -> Result<KeyPage, MemoryKeysError> {
        Ok(self.list_now(filter))
    }

    async fn update(&self, id: &KeyId, change: KeyChange) -> Result<KeyUpdate, MemoryKeysError> {
        Ok(self.update_now(id, change))
    }

    async fn set_enabled(&self, id: &KeyId, enabled: bool) -> Result<KeyUpdate, MemoryKeysError> {
        Ok(self.set_enabled_now(id, enabled))
    }

    async fn revoke(&self, id: &KeyId, reason: Option<String>) -> Result<Option<KeyRef>, MemoryKeysError> {
        Ok(self.revoke_now(id, reason))
    }

    async fn rotate(&self, id: &KeyId, rotation: KeyRotation) -> Result<KeySuccession, MemoryKeysError> {
        Ok(self.rotate_now(id, &rotation)?)
    }

    async fn purge(&self, before: Timestamp) -> Result<usize, MemoryKeysError> {
        Ok(self.purge_now(before))
    }

    async fn record_usage(&self, usage: &[KeyUsage]) -> Result<(), MemoryKeysError> {
        self.record_usage_now(usage);
        self.index().count(usage);
        Ok(())
    }

    async fn usage_series(&self, id: &KeyId, range: &UsageRange) -> Result<Option<Vec<UsagePoint>>, MemoryKeysError> {
        Ok(Some(self.index().points(id, range)))
    }
}

/// A store in memory could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryKeysError {
    /// No secret could be made.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The key cannot have the end that was asked for.
    #[error(transparent)]
    Life(#[from] KeyLifeRefusal),
}

/// There is a key of this id or digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is another key of the id {id}, or with its secret")]
pub struct DuplicateKey {
    id: KeyId,
}
