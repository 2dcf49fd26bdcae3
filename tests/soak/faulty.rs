//! A store that can be away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tower_api_key::BoxError;
use tower_api_key::clock::Timestamp;
use tower_api_key::key::{KeyDigest, KeyId, KeyRecord, KeyRef};
use tower_api_key::source::{
    IssuedKey, KeyAdoption, KeyChange, KeyFilter, KeyLife, KeyPage, KeyRotation, KeyScheme, KeySource, KeyStore,
    KeySuccession, KeyUpdate, KeyUsage, Lookup, NewKey,
};

/// A store, and whether it is away: then every call fails, and nothing is changed. Clones are away together.
#[derive(Clone)]
pub(crate) struct Faulty<S> {
    store: S,
    away: Arc<AtomicBool>,
}

impl<S> Faulty<S> {
    pub(crate) fn new(store: S, away: Arc<AtomicBool>) -> Self {
        Self { store, away }
    }

    fn reached(&self) -> Result<&S, BoxError> {
        if self.away.load(Ordering::SeqCst) { Err("the store is away".into()) } else { Ok(&self.store) }
    }
}

impl<S: KeyStore> KeySource for Faulty<S> {
    type Error = BoxError;

    fn name(&self) -> &str {
        self.store.name()
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        self.store.schemes()
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, BoxError> {
        self.reached()?.find(digest).await.map_err(Into::into)
    }

    fn find_now(&self, digest: &KeyDigest) -> Lookup {
        self.reached().map_or(Lookup::Ask, |store| store.find_now(digest))
    }
}

impl<S: KeyStore> KeyStore for Faulty<S> {
    fn life(&self) -> KeyLife {
        self.store.life()
    }

    async fn issue(&self, key: NewKey) -> Result<IssuedKey, BoxError> {
        self.reached()?.issue(key).await.map_err(Into::into)
    }

    async fn adopt(&self, record: KeyRecord) -> Result<KeyAdoption, BoxError> {
        self.reached()?.adopt(record).await.map_err(Into::into)
    }

    async fn get(&self, id: &KeyId) -> Result<Option<KeyRef>, BoxError> {
        self.reached()?.get(id).await.map_err(Into::into)
    }

    async fn list(&self, filter: &KeyFilter) -> Result<KeyPage, BoxError> {
        self.reached()?.list(filter).await.map_err(Into::into)
    }

    async fn update(&self, id: &KeyId, change: KeyChange) -> Result<KeyUpdate, BoxError> {
        self.reached()?.update(id, change).await.map_err(Into::into)
    }

    async fn revoke(&self, id: &KeyId, reason: Option<String>) -> Result<Option<KeyRef>, BoxError> {
        self.reached()?.revoke(id, reason).await.map_err(Into::into)
    }

    async fn set_enabled(&self, id: &KeyId, enabled: bool) -> Result<KeyUpdate, BoxError> {
        self.reached()?.set_enabled(id, enabled).await.map_err(Into::into)
    }

    async fn rotate(&self, id: &KeyId, rotation: KeyRotation) -> Result<KeySuccession, BoxError> {
        self.reached()?.rotate(id, rotation).await.map_err(Into::into)
    }

    async fn purge(&self, before: Timestamp) -> Result<usize, BoxError> {
        self.reached()?.purge(before).await.map_err(Into::into)
    }

    async fn record_usage(&self, usage: &[KeyUsage]) -> Result<(), BoxError> {
        self.reached()?.record_usage(usage).await.map_err(Into::into)
    }
}
