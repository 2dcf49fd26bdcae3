//! Keys in this process.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use papaya::HashMap as ConcurrentMap;

use super::store::KeyCursor;
use super::{IssuedKey, KeyChange, KeyFilter, KeyPage, KeyScheme, KeySource, KeyStore, KeyUpdate, Lookup, NewKey};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::key::{DigestHasher, Environment, KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord, KeyRef, RandomError};

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
    formats: Vec<KeyFormat>,
    hashers: Vec<KeyHasher>,
    clock: Arc<dyn Clock>,
    by_digest: ConcurrentMap<KeyDigest, KeyRef, DigestHasher>,
    index: Mutex<Index>,
}

/// What only management asks for. Its lock is also the one that writers hold, so that no change is lost.
#[derive(Default)]
struct Index {
    by_id: HashMap<KeyId, KeyDigest>,
    by_age: BTreeMap<KeyCursor, KeyDigest>,
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

    /// Takes in a record that was made elsewhere.
    ///
    /// # Errors
    /// When there is a key of that id or digest.
    pub fn insert(&self, record: KeyRecord) -> Result<KeyRef, DuplicateKey> {
        let mut index = self.index();
        if index.by_id.contains_key(&record.id) || self.0.by_digest.pin().contains_key(&record.digest) {
            return Err(DuplicateKey { id: record.id });
        }
        let record = KeyRef::from(record);
        index.by_id.insert(record.id.clone(), record.digest);
        index.by_age.insert(place(&record), record.digest);
        self.0.by_digest.pin().insert(record.digest, record.clone());
        Ok(record)
    }

    /// How many keys there are, in any state.
    pub fn len(&self) -> usize {
        self.0.by_digest.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lookup(&self, digest: &KeyDigest) -> Option<KeyRef> {
        self.0.by_digest.pin().get(digest).cloned()
    }

    /// The record of `id` after `change`, which says whether it has changed anything.
    fn change(&self, id: &KeyId, change: impl FnOnce(&mut KeyRecord) -> bool) -> Option<KeyRef> {
        let index = self.index();
        let found = self.lookup(index.by_id.get(id)?)?;
        let mut record = KeyRecord::clone(&found);
        if !change(&mut record) {
            return Some(found);
        }
        record.version += 1;
        let record = KeyRef::from(record);
        self.0.by_digest.pin().insert(record.digest, record.clone());
        Some(record)
    }

    /// The index, also after a panic elsewhere: it is changed by single inserts alone.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.0.index.lock().unwrap_or_else(PoisonError::into_inner)
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
    type Error = RandomError;

    fn name(&self) -> &str {
        "memory"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        let with_each = |format: &KeyFormat| {
            let format = format.clone();
            self.0.hashers.iter().map(move |hasher| KeyScheme::new(format.clone(), hasher.clone()))
        };
        self.0.formats.iter().flat_map(with_each).collect()
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, RandomError> {
        Ok(self.lookup(digest))
    }

    fn find_now(&self, digest: &KeyDigest) -> Lookup {
        self.lookup(digest).into()
    }
}

impl KeyStore for MemoryKeys {
    async fn issue(&self, key: NewKey) -> Result<IssuedKey, RandomError> {
        let format = &self.0.formats[0];
        let environment = key.environment.clone().unwrap_or(Environment::LIVE);
        loop {
            let secret = format.generate(&environment)?;
            let text = secret.expose_secret();
            let digest = self.0.hashers[0].digest(format.digested(text));
            let mut record = KeyRecord::issued(KeyId::generate()?, digest, format, text, key.clone());
            record.source = Some("memory".into());
            record.created_at = Some(self.0.clock.now());
            // An id or a secret that exists already is as good as impossible, and another one is at hand.
            if let Ok(record) = self.insert(record) {
                return Ok(IssuedKey { secret, record });
            }
        }
    }

    async fn get(&self, id: &KeyId) -> Result<Option<KeyRef>, RandomError> {
        let digest = self.index().by_id.get(id).copied();
        Ok(digest.and_then(|digest| self.lookup(&digest)))
    }

    async fn list(&self, filter: &KeyFilter) -> Result<KeyPage, RandomError> {
        let now = self.0.clock.now();
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
        Ok(KeyPage::new(items, last.filter(|_| more)))
    }

    async fn update(&self, id: &KeyId, change: KeyChange) -> Result<KeyUpdate, RandomError> {
        let mut outdated = false;
        let record = self.change(id, |record| {
            outdated = change.expected_version.is_some_and(|version| version != record.version);
            if outdated {
                return false;
            }
            if let Some(name) = change.name {
                record.name = name;
            }
            true
        });
        Ok(match record {
            None => KeyUpdate::Absent,
            Some(_) if outdated => KeyUpdate::Outdated,
            Some(record) => KeyUpdate::Changed(record),
        })
    }

    async fn revoke(&self, id: &KeyId, reason: Option<String>) -> Result<Option<KeyRef>, RandomError> {
        let now = self.0.clock.now();
        Ok(self.change(id, |record| {
            let first = record.revoked_at.is_none();
            if first {
                record.revoked_at = Some(now);
                record.revoked_reason = reason;
            }
            first
        }))
    }
}

fn place(record: &KeyRecord) -> KeyCursor {
    KeyCursor { created_at: record.created_at.unwrap_or(Timestamp::UNIX_EPOCH), id: record.id.clone() }
}

/// Settings of [`MemoryKeys`].
#[derive(Default)]
#[must_use]
pub struct MemoryKeysBuilder {
    format: Option<KeyFormat>,
    added_formats: Vec<KeyFormat>,
    hasher: Option<KeyHasher>,
    added_hashers: Vec<KeyHasher>,
    clock: Option<Arc<dyn Clock>>,
}

impl fmt::Debug for MemoryKeysBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryKeysBuilder")
            .field("format", &self.format)
            .field("added_formats", &self.added_formats)
            .field("hasher", &self.hasher)
            .field("added_hashers", &self.added_hashers)
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

    /// The store.
    pub fn build(self) -> MemoryKeys {
        let formats = [self.format.unwrap_or_default()].into_iter().chain(self.added_formats).collect();
        let hasher = self.hasher.unwrap_or_else(KeyHasher::sha256);
        let hashers = [hasher].into_iter().chain(self.added_hashers).collect();
        MemoryKeys(Arc::new(Inner {
            formats,
            hashers,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            by_digest: ConcurrentMap::with_hasher(DigestHasher::default()),
            index: Mutex::default(),
        }))
    }
}

/// There is a key of this id or digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is another key of the id {id}, or with its secret")]
pub struct DuplicateKey {
    id: KeyId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_that_expects_another_version_changes_nothing() {
        let keys = MemoryKeys::new();
        let id = keys.issue(NewKey::named("old")).await.unwrap().record.id.clone();
        let rename = |name: &str| KeyChange::rename(name).expected_version(0);
        assert!(matches!(keys.update(&id, rename("new")).await, Ok(KeyUpdate::Changed(record)) if record.version == 1));
        assert!(matches!(keys.update(&id, rename("newer")).await, Ok(KeyUpdate::Outdated)));
        let kept = keys.get(&id).await.unwrap().unwrap();
        assert_eq!((kept.name.as_str(), kept.version), ("new", 1));
        let unknown = keys.update(&KeyId::from_static("key_0"), KeyChange::rename("x")).await;
        assert!(matches!(unknown, Ok(KeyUpdate::Absent)));
    }

    #[tokio::test]
    async fn revoking_again_keeps_the_first_time_and_reason() {
        let keys = MemoryKeys::new();
        let id = keys.issue(NewKey::named("k")).await.unwrap().record.id.clone();
        let first = keys.revoke(&id, Some("lost".to_owned())).await.unwrap().unwrap();
        let again = keys.revoke(&id, Some("found".to_owned())).await.unwrap().unwrap();
        assert_eq!(again.revoked_reason.as_deref(), Some("lost"));
        assert_eq!((again.revoked_at, again.version), (first.revoked_at, first.version));
    }
}
