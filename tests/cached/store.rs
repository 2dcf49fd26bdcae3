//! A cache over a store is a store.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tower_api_key::clock::Timestamp;
use tower_api_key::key::{KeyDigest, KeyId, KeyRecord, KeyRef};
use tower_api_key::source::{
    Cached, IssuedKey, KeyAdoption, KeyChange, KeyFilter, KeyLife, KeyPage, KeyRotation, KeyScheme, KeySource,
    KeyStore, KeySuccession, KeyUpdate, KeyUsage, MemoryKeys, MemoryKeysError, NewKey,
};
use tower_api_key::testing::conformance;

use super::support::*;

/// Keys in memory that have to be waited for, so that the cache keeps what they answer.
#[derive(Clone)]
struct Far {
    keys: MemoryKeys,
    /// Whether revocations take for ever to be answered, after they were made.
    mute: Arc<AtomicBool>,
}

impl Far {
    fn new(keys: MemoryKeys) -> Self {
        Self { keys, mute: Arc::default() }
    }
}

impl KeySource for Far {
    type Error = MemoryKeysError;

    fn name(&self) -> &str {
        "far"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        self.keys.schemes()
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, MemoryKeysError> {
        self.keys.find(digest).await
    }
}

impl KeyStore for Far {
    fn life(&self) -> KeyLife {
        self.keys.life()
    }

    async fn issue(&self, key: NewKey) -> Result<IssuedKey, MemoryKeysError> {
        self.keys.issue(key).await
    }

    async fn adopt(&self, record: KeyRecord) -> Result<KeyAdoption, MemoryKeysError> {
        self.keys.adopt(record).await
    }

    async fn get(&self, id: &KeyId) -> Result<Option<KeyRef>, MemoryKeysError> {
        self.keys.get(id).await
    }

    async fn list(&self, filter: &KeyFilter) -> Result<KeyPage, MemoryKeysError> {
        self.keys.list(filter).await
    }

    async fn update(&self, id: &KeyId, change: KeyChange) -> Result<KeyUpdate, MemoryKeysError> {
        self.keys.update(id, change).await
    }

    async fn set_enabled(&self, id: &KeyId, enabled: bool) -> Result<KeyUpdate, MemoryKeysError> {
        self.keys.set_enabled(id, enabled).await
    }

    async fn revoke(&self, id: &KeyId, reason: Option<String>) -> Result<Option<KeyRef>, MemoryKeysError> {
        tokio::task::yield_now().await;
        let revoked = self.keys.revoke(id, reason).await;
        if self.mute.load(Ordering::SeqCst) {
            pending::<()>().await;
        }
        revoked
    }

    async fn rotate(&self, id: &KeyId, rotation: KeyRotation) -> Result<KeySuccession, MemoryKeysError> {
        self.keys.rotate(id, rotation).await
    }

    async fn purge(&self, before: Timestamp) -> Result<usize, MemoryKeysError> {
        self.keys.purge(before).await
    }

    async fn record_usage(&self, usage: &[KeyUsage]) -> Result<(), MemoryKeysError> {
        self.keys.record_usage(usage).await
    }
}

#[tokio::test]
async fn it_keeps_to_every_rule_of_a_store() {
    conformance::key_store(async |clock: tower_api_key::testing::TestClock| {
        let keys = MemoryKeys::builder().clock(clock.clone()).build();
        Cached::builder(Far::new(keys)).clock(clock).build().unwrap()
    })
    .await;
}

#[tokio::test]
async fn both_keys_of_a_rotation_are_seen_as_they_are_at_once() {
    let keys = MemoryKeys::new();
    let cache = Cached::new(Far::new(keys.clone()));
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    assert!(cache.find(&issued.record.digest).await.unwrap().unwrap().revoked_at.is_none());
    let rotated = cache.rotate(&issued.record.id, KeyRotation::at_once()).await.unwrap();
    let KeySuccession::Rotated { successor, .. } = rotated else { panic!("{rotated:?}") };
    assert!(cache.find(&successor.record.digest).await.unwrap().is_some());
    assert!(cache.find(&issued.record.digest).await.unwrap().unwrap().revoked_at.is_some());
}

#[tokio::test]
async fn a_revocation_is_seen_at_once_though_its_caller_has_gone() {
    let far = Far::new(MemoryKeys::new());
    let cache = Cached::new(far);
    let issued = cache.issue(NewKey::named("k")).await.unwrap();
    let (id, digest) = (issued.record.id.clone(), issued.record.digest);
    assert!(cache.find(&digest).await.unwrap().unwrap().revoked_at.is_none());
    let mut revoking = tokio_test::task::spawn(cache.revoke(&id, None));
    assert!(revoking.poll().is_pending());
    drop(revoking);
    settle().await;
    assert!(is_revoked(&cache.find(&digest).await));
}

#[test]
fn a_change_that_is_given_up_without_a_runtime_is_forgotten_too() {
    let far = Far::new(MemoryKeys::new());
    far.mute.store(true, Ordering::SeqCst);
    let cache = Cached::new(far);
    let issued = poll(cache.issue(NewKey::named("k"))).unwrap();
    assert!(poll(cache.find(&issued.record.digest)).unwrap().unwrap().revoked_at.is_none());
    let mut revoking = tokio_test::task::spawn(cache.revoke(&issued.record.id, None));
    // It yields once, and then says nothing more.
    assert!(revoking.poll().is_pending() && revoking.poll().is_pending());
    drop(revoking);
    assert!(is_revoked(&poll(cache.find(&issued.record.digest))));
}

/// What is ready at once.
fn poll<T>(future: impl Future<Output = T>) -> T {
    match tokio_test::task::spawn(future).poll() {
        std::task::Poll::Ready(ready) => ready,
        std::task::Poll::Pending => panic!("it has to be waited for"),
    }
}
