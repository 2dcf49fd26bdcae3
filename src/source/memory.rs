//! Keys in this process.

mod builder;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use papaya::HashMap as ConcurrentMap;

use super::store::KeyCursor;
use super::{
    IssuedKey, KeyChange, KeyFilter, KeyLife, KeyLifeRefusal, KeyPage, KeyRotation, KeyScheme, KeySource, KeyStore,
    KeySuccession, KeyUpdate, KeyUsage, Lookup, NewKey,
};
use crate::clock::{Clock, Timestamp};
use crate::key::{
    DigestHasher, Environment, KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord, KeyRef, KeyState, RandomError,
    SecretKey,
};

pub use builder::MemoryKeysBuilder;

/// A store that keeps its keys in memory: for tests, for keys that are loaded at the start, and as the index of stores
/// that keep them elsewhere as well. Clones share the keys.
///
/// Looking a key up takes no lock and writes nothing that is shared.
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
    settings: Settings,
    by_digest: ConcurrentMap<KeyDigest, KeyRef, DigestHasher>,
    index: Mutex<Index>,
}

#[derive(Clone)]
struct Settings {
    name: &'static str,
    formats: Vec<KeyFormat>,
    hashers: Vec<KeyHasher>,
    clock: Arc<dyn Clock>,
    life: KeyLife,
}

/// What only management asks for. Its lock is also the one that writers hold, so that no change is lost.
#[derive(Default)]
struct Index {
    by_id: HashMap<KeyId, KeyDigest>,
    by_age: BTreeMap<KeyCursor, KeyDigest>,
    /// How many changes were made.
    changes: u64,
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

    fn of(settings: Settings) -> Self {
        let by_digest = ConcurrentMap::with_hasher(DigestHasher::default());
        Self(Arc::new(Inner { settings, by_digest, index: Mutex::default() }))
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
        self.0.by_digest.pin().get(digest).cloned()
    }

    /// A store of the same settings without keys.
    pub(super) fn emptied(&self) -> Self {
        Self::of(self.0.settings.clone())
    }

    /// A store of the same settings and keys, which changes apart from this one.
    pub(super) fn fork(&self) -> Self {
        let fork = self.emptied();
        {
            let (from, mut to) = (self.index(), fork.index());
            to.by_id.clone_from(&from.by_id);
            to.by_age.clone_from(&from.by_age);
            let records = self.0.by_digest.pin();
            let copies = fork.0.by_digest.pin();
            for (digest, record) in &records {
                copies.insert(*digest, record.clone());
            }
        }
        fork
    }

    /// How many changes were made since it was set up.
    pub(super) fn changes(&self) -> u64 {
        self.index().changes
    }

    /// Every key, the oldest first.
    pub(super) fn oldest_first(&self) -> Vec<KeyRef> {
        self.index().by_age.values().filter_map(|digest| self.lookup(digest)).collect()
    }

    /// The index, also after a panic elsewhere: it is changed by single inserts alone.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.0.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self, index: &Index, id: &KeyId) -> Option<KeyRef> {
        self.lookup(index.by_id.get(id)?)
    }

    fn put(&self, index: &mut Index, record: KeyRef) -> Result<KeyRef, DuplicateKey> {
        if index.by_id.contains_key(&record.id) || self.0.by_digest.pin().contains_key(&record.digest) {
            return Err(DuplicateKey { id: record.id.clone() });
        }
        index.by_id.insert(record.id.clone(), record.digest);
        index.by_age.insert(place(&record), record.digest);
        self.replace(index, &record);
        Ok(record)
    }

    /// The record in place of the one that has its digest.
    fn replace(&self, index: &mut Index, record: &KeyRef) {
        index.changes += 1;
        self.0.by_digest.pin().insert(record.digest, record.clone());
    }

    fn remove(&self, index: &mut Index, record: &KeyRecord) {
        index.changes += 1;
        index.by_id.remove(&record.id);
        index.by_age.remove(&place(record));
        self.0.by_digest.pin().remove(&record.digest);
    }

    /// A new key of this store's shape, and its record.
    fn make(&self, key: NewKey, now: Timestamp) -> Result<(SecretKey, KeyRecord), RandomError> {
        let Settings { name, formats, hashers, .. } = &self.0.settings;
        let format = &formats[0];
        let secret = format.generate(key.environment.as_ref().unwrap_or(&Environment::LIVE))?;
        let text = secret.expose_secret();
        let digest = hashers[0].digest(format.digested(text));
        let mut record = KeyRecord::issued(KeyId::generate()?, digest, format, text, key);
        record.source = Some((*name).into());
        record.created_at = Some(now);
        Ok((secret, record))
    }

    pub(super) fn issue_now(&self, mut key: NewKey) -> Result<IssuedKey, MemoryKeysError> {
        let now = self.0.settings.clock.now();
        key.expires_at = self.0.settings.life.end(key.expires_at, now)?;
        loop {
            let (secret, record) = self.make(key.clone(), now)?;
            // An id or a secret that exists already is as good as impossible, and another one is at hand.
            if let Ok(record) = self.insert(record) {
                return Ok(IssuedKey { secret, record });
            }
        }
    }

    pub(super) fn get_now(&self, id: &KeyId) -> Option<KeyRef> {
        self.found(&self.index(), id)
    }

    pub(super) fn list_now(&self, filter: &KeyFilter) -> KeyPage {
        let now = self.0.settings.clock.now();
        let end = filter.cursor.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let index = self.index();
        let mut matching = index.by_age.range((Bound::Unbounded, end)).rev().filter_map(|(place, digest)| {
            let record = self.lookup(digest)?;
            filter.matches(&record, now).then_some((place, record))
        });
        let (mut items, mut last) = (Vec::new(), None);
        for (place, record) in matching.by_ref().take(filter.limit) {
            items.push(record);
            last = Some(place.clone());
        }
        let more = matching.next().is_some();
        KeyPage::new(items, last.filter(|_| more))
    }

    pub(super) fn update_now(&self, id: &KeyId, change: KeyChange) -> KeyUpdate {
        let mut index = self.index();
        let Some(found) = self.found(&index, id) else { return KeyUpdate::Absent };
        match change.applied(&found, self.0.settings.life) {
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
        let Some(found) = self.found(&index, id) else { return KeyUpdate::Absent };
        if found.revoked_at.is_some() {
            return KeyUpdate::Conflict(found);
        }
        if found.disabled != enabled {
            return KeyUpdate::Changed(found);
        }
        let mut record = KeyRecord::clone(&found);
        record.disabled = !enabled;
        record.version += 1;
        let record = KeyRef::from(record);
        self.replace(&mut index, &record);
        KeyUpdate::Changed(record)
    }

    pub(super) fn revoke_now(&self, id: &KeyId, reason: Option<String>) -> Option<KeyRef> {
        let mut index = self.index();
        let found = self.found(&index, id)?;
        if found.revoked_at.is_some() {
            return Some(found);
        }
        let mut record = KeyRecord::clone(&found);
        record.revoked_at = Some(self.0.settings.clock.now());
        record.revoked_reason = reason;
        record.version += 1;
        let record = KeyRef::from(record);
        self.replace(&mut index, &record);
        Some(record)
    }

    pub(super) fn rotate_now(&self, id: &KeyId, rotation: &KeyRotation) -> Result<KeySuccession, RandomError> {
        let Settings { clock, life, .. } = &self.0.settings;
        let now = clock.now();
        let mut index = self.index();
        let Some(found) = self.found(&index, id) else { return Ok(KeySuccession::Absent) };
        if let Err(unchanged) = rotation.possible(&found, now) {
            return Ok(unchanged);
        }
        loop {
            let (secret, mut successor) = self.make(rotation.heir(&found, *life, now), now)?;
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
        let before = before.min(self.0.settings.clock.now());
        let mut index = self.index();
        let over = |record: &KeyRef| match record.state(before) {
            KeyState::Revoked => record.revoked_at.is_some_and(|at| at < before),
            KeyState::Expired => record.expires_at.is_some_and(|at| at < before),
            KeyState::Active | KeyState::Disabled | KeyState::Overlap => false,
        };
        let over: Vec<_> = index.by_age.values().filter_map(|digest| self.lookup(digest)).filter(over).collect();
        for record in &over {
            self.remove(&mut index, record);
        }
        over.len()
    }

    pub(super) fn record_usage_now(&self, usage: &[KeyUsage]) {
        let mut index = self.index();
        for used in usage {
            let Some(found) = self.found(&index, &used.id) else { continue };
            let mut record = KeyRecord::clone(&found);
            used.add_to(&mut record);
            self.replace(&mut index, &record.into());
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
        self.0.settings.name
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        let Settings { formats, hashers, .. } = &self.0.settings;
        let with_each = |format: &KeyFormat| {
            let format = format.clone();
            hashers.iter().map(move |hasher| KeyScheme::new(format.clone(), hasher.clone()))
        };
        formats.iter().flat_map(with_each).collect()
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
        self.0.settings.life
    }

    async fn issue(&self, key: NewKey) -> Result<IssuedKey, MemoryKeysError> {
        self.issue_now(key)
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
        Ok(())
    }
}

fn place(record: &KeyRecord) -> KeyCursor {
    KeyCursor { created_at: record.created_at.unwrap_or(Timestamp::UNIX_EPOCH), id: record.id.clone() }
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
