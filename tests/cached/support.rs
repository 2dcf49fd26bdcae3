//! A source that answers when it is told to, and counts how often it was asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tower_api_key::key::{KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord, KeyRef};
use tower_api_key::source::cached::CachedBuilder;
use tower_api_key::source::{Cached, KeyScheme, KeySource};
use tower_api_key::testing::TestClock;

pub(crate) type Found = Result<Option<KeyRef>, tower_api_key::source::cached::CachedError>;

/// Clones are the same source.
#[derive(Clone)]
pub(crate) struct Fake(Arc<Inner>);

struct Inner {
    records: Mutex<HashMap<KeyDigest, KeyRef>>,
    away: Mutex<Option<&'static str>>,
    calls: AtomicUsize,
    /// Calls that have read their answer.
    read: Semaphore,
    /// Calls that may return.
    pass: Semaphore,
    slow: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Away(&'static str);

impl Fake {
    fn with(slow: bool) -> Self {
        Self(Arc::new(Inner {
            records: Mutex::default(),
            away: Mutex::default(),
            calls: AtomicUsize::new(0),
            read: Semaphore::new(0),
            pass: Semaphore::new(0),
            slow,
        }))
    }

    /// Answers at once.
    pub(crate) fn new() -> Self {
        Self::with(false)
    }

    /// Reads its answer at once, and returns it when it is let.
    pub(crate) fn slow() -> Self {
        Self::with(true)
    }

    /// Waits until one more call has read its answer.
    pub(crate) async fn has_read(&self) {
        let read = tokio::time::timeout(seconds(10), self.0.read.acquire()).await;
        read.expect("the source is asked").unwrap().forget();
    }

    /// Lets one call return.
    pub(crate) fn let_pass(&self) {
        self.0.pass.add_permits(1);
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn set_away(&self, why: Option<&'static str>) {
        *self.0.away.lock().unwrap() = why;
    }

    /// Keeps a key called `name`, and returns what it is found by.
    pub(crate) fn put(&self, name: &str) -> KeyDigest {
        self.put_record(record(name))
    }

    pub(crate) fn put_record(&self, record: KeyRecord) -> KeyDigest {
        let digest = record.digest;
        self.0.records.lock().unwrap().insert(digest, record.into());
        digest
    }

    /// Answers `record` for a digest that is not its own.
    pub(crate) fn put_under(&self, digest: KeyDigest, record: KeyRecord) {
        self.0.records.lock().unwrap().insert(digest, record.into());
    }

    pub(crate) fn remove(&self, digest: &KeyDigest) {
        self.0.records.lock().unwrap().remove(digest);
    }

    pub(crate) fn revoke(&self, name: &str) {
        let mut revoked = record(name);
        revoked.revoked_at = Some(tower_api_key::clock::Timestamp::UNIX_EPOCH);
        self.put_record(revoked);
    }
}

impl KeySource for Fake {
    type Error = Away;

    fn name(&self) -> &str {
        "fake"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        vec![KeyScheme::new(KeyFormat::default(), KeyHasher::sha256())]
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, Away> {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        let found = self.0.records.lock().unwrap().get(digest).cloned();
        let away = *self.0.away.lock().unwrap();
        self.0.read.add_permits(1);
        if self.0.slow {
            self.0.pass.acquire().await.unwrap().forget();
        }
        away.map_or(Ok(found), |why| Err(Away(why)))
    }
}

pub(crate) fn id(name: &str) -> KeyId {
    KeyId::new(format!("key_{name}")).unwrap()
}

pub(crate) fn digest(name: &str) -> KeyDigest {
    KeyHasher::sha256().digest(name)
}

pub(crate) fn record(name: &str) -> KeyRecord {
    KeyRecord::new(id(name), digest(name))
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A cache over `source` that keeps records for 60 s and absences for 10 s, and its clock.
pub(crate) fn cache(source: &Fake) -> (Cached<Fake>, TestClock) {
    cache_with(source, |builder| builder)
}

pub(crate) fn cache_with(
    source: &Fake,
    settings: impl FnOnce(CachedBuilder<Fake>) -> CachedBuilder<Fake>,
) -> (Cached<Fake>, TestClock) {
    let clock = TestClock::default();
    let builder = Cached::builder(source.clone()).ttl(seconds(60)).negative_ttl(seconds(10)).clock(clock.clone());
    (settings(builder).build().unwrap(), clock)
}

/// Lets every other task run until it has to wait.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Starts asking `cache` for `digest`.
pub(crate) fn ask(cache: &Cached<Fake>, digest: KeyDigest) -> tokio::task::JoinHandle<Found> {
    let cache = cache.clone();
    tokio::spawn(async move { cache.find(&digest).await })
}

pub(crate) fn is_revoked(found: &Found) -> bool {
    matches!(found, Ok(Some(key)) if key.revoked_at.is_some())
}
