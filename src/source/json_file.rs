//! Keys in a JSON file.

mod builder;
mod disk;
mod error;
mod series;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::thread;
use std::time::Duration;

use super::{
    IssuedKey, KeyAdoption, KeyChange, KeyFilter, KeyLife, KeyPage, KeyRotation, KeyScheme, KeySource, KeyStore,
    KeySuccession, KeyUpdate, KeyUsage, Lookup, MemoryKeys, MemoryKeysError, NewKey, UsagePoint, UsageRange,
};
use crate::clock::Timestamp;
use crate::key::{KeyDigest, KeyFormat, KeyId, KeyRecord, KeyRef};
use crate::private_file::{Lock, folder};
use error::{Complaint, Kind};

pub use builder::JsonFileKeysBuilder;
pub use error::JsonFileError;

/// What the source is called.
const NAME: &str = "json-file";

/// Keys that a JSON file lists by their digests. Clones share the keys.
///
/// ```json
/// {
///   "version": 1,
///   "keys": [
///     {
///       "id": "key_ci",
///       "name": "ci",
///       "digest": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
///       "scopes": ["read"],
///       "expiresAt": "2027-01-01T00:00:00Z"
///     }
///   ]
/// }
/// ```
///
/// `id` and `digest` are needed; an unknown field is an error, since it may be a restriction that was misspelt.
/// `printf %s "$KEY" | sha256sum` prints the digest of a key. A file that is missing is an empty store, and is made with
/// the first key, for its owner's eyes alone (mode 0600).
///
/// # What is promised
/// - **A change that was answered is on the disk.** The file is replaced as a whole: the new text goes into `<file>.tmp`
///   and onto the disk, and is then renamed. A process that is killed at any instant leaves the old text or the new one.
/// - **Processes may write at once.** Each reads the file, changes it and replaces it under a lock on `<file>.lock`. A
///   process that finds the lock taken waits for ten seconds, and then says so. File systems over a network may have no
///   such locks.
/// - **What others change is seen within a second**, be it a process or a person with an editor. A thread looks at the
///   file's time, length and inode every 250 milliseconds, so that no request waits for a disk. It ends with the last
///   clone of the store.
/// - **A broken edit keeps the last good keys.** It is logged once (`tower_api_key::store`), and until it is repaired
///   every write is refused: what could not be read is never overwritten. Deleting the file is a broken edit, too.
///   Broken at the start is an error.
/// - **A write that fails changes nothing**, neither the file nor what lookups find. The one exception is a folder that
///   could not be brought onto the disk after the rename: what is in the file then counts, and is seen as another's
///   change.
///
/// How often keys were used, for the last 14 days by the hour and for the last 400 by the day, is in a file of its own,
/// `<file>.usage`, so that the one with the keys stays short: up to 10 kB a key. It is written after the file of keys, under
/// the same lock. If it cannot be, the log says so (`tower_api_key::store`), and the uses stay recorded with the keys alone.
///
/// A write takes the disk's time and the whole file's length: meant for some thousand keys. In a Tokio runtime it happens
/// on the threads for blocking work, else on the calling one. A caller that stops waiting does not stop the write.
#[derive(Clone)]
pub struct JsonFileKeys(Arc<Shared>);

struct Shared {
    path: PathBuf,
    keys: RwLock<MemoryKeys>,
    /// Held by one writer of this process at a time, which then waits for those of other processes. Apart from `seen`, so
    /// that changes by others are seen while it waits.
    turn: Mutex<()>,
    /// Held while the file is read or written, and until the keys are those of the file.
    seen: Mutex<Seen>,
}

/// The file as it was last read or written.
#[derive(Default)]
struct Seen {
    stamp: Option<disk::Stamp>,
    /// The text that the keys are from; `None` if there was no file yet.
    text: Option<Vec<u8>>,
    /// What is wrong with the file as it is now.
    complaint: Option<Complaint>,
}

impl JsonFileKeys {
    /// The keys of the file at `path`: new ones `ak_<environment>_…`, and any visible ASCII text that somebody has put
    /// there, digested by SHA-256.
    ///
    /// # Errors
    /// When the file is there and cannot be read, is not as above, or lists an id or a digest twice; or when there is not
    /// even a folder for it. The file is left as it is.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, JsonFileError> {
        Self::builder(path).format(KeyFormat::default()).add_format(KeyFormat::text()).open()
    }

    /// A store with other settings.
    pub fn builder(path: impl Into<PathBuf>) -> JsonFileKeysBuilder {
        JsonFileKeysBuilder::new(path.into())
    }

    fn start(path: PathBuf, keys: MemoryKeys, every: Option<Duration>) -> Result<Self, JsonFileError> {
        if !folder(&path).is_dir() {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(JsonFileError::new(&path, Kind::Io("be opened, for it has no folder", missing)));
        }
        let shared = Arc::new(Shared { path, keys: RwLock::new(keys), turn: Mutex::default(), seen: Mutex::default() });
        shared.refresh(&mut shared.seen())?;
        if let Some(every) = every {
            let watched = Arc::downgrade(&shared);
            let thread = thread::Builder::new().name("json-file-keys".to_owned());
            let thread = thread.spawn(move || watch(&watched, every));
            thread.map_err(|error| JsonFileError::new(&shared.path, Kind::Io("be watched", error)))?;
        }
        Ok(Self(shared))
    }

    /// Reads the file again, if it has changed. Requests see the old keys or the new ones, never a part.
    ///
    /// # Errors
    /// When the file cannot be read or is broken. The keys that were read last stay.
    pub fn reload(&self) -> Result<(), JsonFileError> {
        self.0.refresh(&mut self.0.seen())
    }

    /// How many keys there are, in any state.
    pub fn len(&self) -> usize {
        self.0.keys().len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The outcome of `change`, once it is on the disk.
    async fn change<T, E>(
        &self,
        change: impl FnOnce(&MemoryKeys) -> Result<T, E> + Send + 'static,
    ) -> Result<T, JsonFileError>
    where
        T: Send + 'static,
        E: Into<MemoryKeysError>,
    {
        self.wait(move |shared| shared.change(change)).await
    }

    /// The outcome of `work`, which waits for the disk.
    async fn wait<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, JsonFileError> + Send + 'static,
    ) -> Result<T, JsonFileError> {
        let shared = Arc::clone(&self.0);
        if tokio::runtime::Handle::try_current().is_err() {
            return work(&shared);
        }
        match tokio::task::spawn_blocking(move || work(&shared)).await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(JsonFileError::new(&self.0.path, Kind::Ended)),
            },
        }
    }
}

impl Shared {
    fn keys(&self) -> MemoryKeys {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn publish(&self, keys: MemoryKeys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, kind: impl Into<Kind>) -> JsonFileError {
        JsonFileError::new(&self.path, kind)
    }

    /// Brings the keys to what the file says now.
    fn refresh(&self, seen: &mut Seen) -> Result<(), JsonFileError> {
        // Nothing is known of a file that cannot be read, so that it is looked at again each time.
        seen.stamp = None;
        match disk::read(&self.path).map_err(|kind| self.failed(kind))? {
            Some((text, stamp)) => {
                if seen.text.as_ref() != Some(&text) {
                    self.publish(text::parse(&text, &self.keys()).map_err(|kind| self.failed(kind))?);
                    seen.text = Some(text);
                }
                seen.stamp = Some(stamp);
            }
            None if seen.text.is_none() => {}
            None => return Err(self.failed(Kind::Gone)),
        }
        Ok(())
    }

    /// The same, if the file seems to have changed, with a word in the log.
    fn check(&self) {
        let mut seen = self.seen();
        if !disk::may_have_changed(&self.path, seen.stamp.as_ref()) {
            return;
        }
        let complaint = self.refresh(&mut seen).err();
        let path = self.path.display();
        match (&complaint, &seen.complaint) {
            (Some(error), known) if known.as_ref() != Some(&Complaint::of(error)) => {
                tracing::error!(target: "tower_api_key::store", backend = NAME, %error, "the last good keys stay in use");
            }
            (None, Some(_)) => {
                tracing::info!(target: "tower_api_key::store", backend = NAME, %path, "the file of keys is repaired");
            }
            _ => {}
        }
        seen.complaint = complaint.as_ref().map(Complaint::of);
    }

    /// Reads, changes and replaces the file while no other process does.
    fn change<T, E: Into<MemoryKeysError>>(
        &self,
        change: impl FnOnce(&MemoryKeys) -> Result<T, E>,
    ) -> Result<T, JsonFileError> {
        self.change_then(change, |_, _| {})
    }

    /// The same, and `then` is done with the file's path and its keys before another process may write.
    fn change_then<T, E: Into<MemoryKeysError>>(
        &self,
        change: impl FnOnce(&MemoryKeys) -> Result<T, E>,
        then: impl FnOnce(&Path, &MemoryKeys),
    ) -> Result<T, JsonFileError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let target = disk::resolved(&self.path);
        let _lock = Lock::acquire(&target).map_err(|error| self.failed(error))?;
        let mut seen = self.seen();
        self.refresh(&mut seen)
            .map_err(|error| if error.is_broken() { self.failed(Kind::Broken(Box::new(error))) } else { error })?;
        let draft = self.keys().fork();
        let outcome = change(&draft).map_err(|error| self.failed(error.into()))?;
        if draft.changes() > 0 {
            let text = text::write(&draft).map_err(|kind| self.failed(kind))?;
            let stamp = disk::replace(&target, &text).map_err(|kind| self.failed(kind))?;
            self.publish(draft);
            (seen.text, seen.stamp) = (Some(text), Some(stamp));
        }
        then(&target, &self.keys());
        Ok(outcome)
    }
}

/// Looks at the file until the store is gone.
fn watch(watched: &Weak<Shared>, every: Duration) {
    loop {
        thread::sleep(every);
        let Some(shared) = watched.upgrade() else { return };
        shared.check();
    }
}

impl fmt::Debug for JsonFileKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: &Path = &self.0.path;
        f.debug_struct("JsonFileKeys").field("path", &path).field("len", &self.len()).finish_non_exhaustive()
    }
}

impl KeySource for JsonFileKeys {
    type Error = JsonFileError;

    fn name(&self) -> &str {
        NAME
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        self.0.keys().schemes()
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, JsonFileError> {
        Ok(self.0.keys().lookup(digest))
    }

    fn find_now(&self, digest: &KeyDigest) -> Lookup {
        self.0.keys().lookup(digest).into()
    }
}

impl KeyStore for JsonFileKeys {
    fn life(&self) -> KeyLife {
        self.0.keys().life()
    }

    async fn issue(&self, key: NewKey) -> Result<IssuedKey, JsonFileError> {
        self.change(move |keys| keys.issue_now(key)).await
    }

    async fn adopt(&self, record: KeyRecord) -> Result<KeyAdoption, JsonFileError> {
        self.change(move |keys| Ok::<_, MemoryKeysError>(keys.adopt_now(record))).await
    }

    async fn get(&self, id: &KeyId) -> Result<Option<KeyRef>, JsonFileError> {
        Ok(self.0.keys().get_now(id))
    }

    async fn list(&self, filter: &KeyFilter) -> Result<KeyPage, JsonFileError> {
        Ok(self.0.keys().list_now(filter))
    }

    async fn update(&self, id: &KeyId, change: KeyChange) -> Result<KeyUpdate, JsonFileError> {
        let id = id.clone();
        self.change(move |keys| Ok::<_, MemoryKeysError>(keys.update_now(&id, change))).await
    }

    async fn set_enabled(&self, id: &KeyId, enabled: bool) -> Result<KeyUpdate, JsonFileError> {
        let id = id.clone();
        self.change(move |keys| Ok::<_, MemoryKeysError>(keys.set_enabled_now(&id, enabled))).await
    }

    async fn revoke(&self, id: &KeyId, reason: Option<String>) -> Result<Option<KeyRef>, JsonFileError> {
        let id = id.clone();
        self.change(move |keys| Ok::<_, MemoryKeysError>(keys.revoke_now(&id, reason))).await
    }

    async fn rotate(&self, id: &KeyId, rotation: KeyRotation) -> Result<KeySuccession, JsonFileError> {
        let id = id.clone();
        self.change(move |keys| keys.rotate_now(&id, &rotation)).await
    }

    async fn purge(&self, before: Timestamp) -> Result<usize, JsonFileError> {
        self.change(move |keys| Ok::<_, MemoryKeysError>(keys.purge_now(before))).await
    }

    async fn record_usage(&self, usage: &[KeyUsage]) -> Result<(), JsonFileError> {
        let usage = usage.to_owned();
        let record = move |shared: &Shared| {
            let add = |keys: &MemoryKeys| {
                keys.record_usage_now(&usage);
                Ok::<_, MemoryKeysError>(())
            };
            shared.change_then(add, |path, keys| series::add(path, &usage, keys))
        };
        self.wait(record).await
    }

    async fn usage_series(&self, id: &KeyId, range: &UsageRange) -> Result<Option<Vec<UsagePoint>>, JsonFileError> {
        let (id, range) = (id.clone(), *range);
        let points = move |shared: &Shared| {
            series::points(&disk::resolved(&shared.path), &id, &range).map_err(|kind| shared.failed(kind))
        };
        self.wait(points).await.map(Some)
    }
}
