//! Writing through.

use std::future::Future;

use tracing::Instrument;

use super::{Cached, CachedError, Invalidation};
use crate::clock::Timestamp;
use crate::error::BoxError;
use crate::key::{KeyId, KeyRecord, KeyRef};
use crate::source::{
    IssuedKey, KeyAdoption, KeyChange, KeyFilter, KeyLife, KeyPage, KeyRotation, KeySource, KeyStore, KeySuccession,
    KeyUpdate, KeyUsage, NewKey, UsagePoint, UsageRange,
};

/// Changes go to the store, and the cache forgets what they concern before they are answered, so that the next request in
/// this process sees them. What is read to manage keys comes from the store itself.
///
/// In a Tokio runtime, a change that was begun is brought to its end even if its caller goes away. A change that failed is
/// forgotten, too: it may be in the store all the same. Usage is added in the store alone; what is cached shows it once it
/// is loaded again.
impl<S: KeyStore> KeyStore for Cached<S> {
    fn life(&self) -> KeyLife {
        self.source().life()
    }

    async fn issue(&self, key: NewKey) -> Result<IssuedKey, CachedError> {
        let cache = self.clone();
        finish(async move {
            let issued = cache.source().issue(key).await.map_err(|error| cache.failed(error))?;
            cache.invalidate_digest(&issued.record.digest);
            Ok(issued)
        })
        .await
    }

    async fn adopt(&self, record: KeyRecord) -> Result<KeyAdoption, CachedError> {
        let cache = self.clone();
        finish(async move {
            let _after = cache.forgets(Invalidation::Digest(record.digest));
            cache.source().adopt(record).await.map_err(|error| cache.failed(error))
        })
        .await
    }

    async fn get(&self, id: &KeyId) -> Result<Option<KeyRef>, CachedError> {
        self.source().get(id).await.map_err(|error| self.failed(error))
    }

    async fn list(&self, filter: &KeyFilter) -> Result<KeyPage, CachedError> {
        self.source().list(filter).await.map_err(|error| self.failed(error))
    }

    async fn update(&self, id: &KeyId, change: KeyChange) -> Result<KeyUpdate, CachedError> {
        let (cache, id) = (self.clone(), id.clone());
        finish(async move {
            let _after = cache.forgets(Invalidation::Key(id.clone()));
            cache.source().update(&id, change).await.map_err(|error| cache.failed(error))
        })
        .await
    }

    async fn set_enabled(&self, id: &KeyId, enabled: bool) -> Result<KeyUpdate, CachedError> {
        let (cache, id) = (self.clone(), id.clone());
        finish(async move {
            let _after = cache.forgets(Invalidation::Key(id.clone()));
            cache.source().set_enabled(&id, enabled).await.map_err(|error| cache.failed(error))
        })
        .await
    }

    async fn revoke(&self, id: &KeyId, reason: Option<String>) -> Result<Option<KeyRef>, CachedError> {
        let (cache, id) = (self.clone(), id.clone());
        finish(async move {
            let _after = cache.forgets(Invalidation::Key(id.clone()));
            cache.source().revoke(&id, reason).await.map_err(|error| cache.failed(error))
        })
        .await
    }

    async fn rotate(&self, id: &KeyId, rotation: KeyRotation) -> Result<KeySuccession, CachedError> {
        let (cache, id) = (self.clone(), id.clone());
        finish(async move {
            let _after = cache.forgets(Invalidation::Key(id.clone()));
            let succession = cache.source().rotate(&id, rotation).await.map_err(|error| cache.failed(error))?;
            if let KeySuccession::Rotated { successor, .. } = &succession {
                cache.invalidate_digest(&successor.record.digest);
            }
            Ok(succession)
        })
        .await
    }

    async fn purge(&self, before: Timestamp) -> Result<usize, CachedError> {
        let cache = self.clone();
        finish(async move {
            // Which keys they are, the store does not say.
            let _after = cache.forgets(Invalidation::All);
            cache.source().purge(before).await.map_err(|error| cache.failed(error))
        })
        .await
    }

    async fn record_usage(&self, usage: &[KeyUsage]) -> Result<(), CachedError> {
        self.source().record_usage(usage).await.map_err(|error| self.failed(error))
    }

    async fn usage_series(&self, id: &KeyId, range: &UsageRange) -> Result<Option<Vec<UsagePoint>>, CachedError> {
        self.source().usage_series(id, range).await.map_err(|error| self.failed(error))
    }
}

impl<S: KeySource> Cached<S> {
    fn failed(&self, error: impl Into<BoxError>) -> CachedError {
        CachedError::failed(self.0.name.clone(), error)
    }

    /// Forgets what a change concerns when it is over, whatever its end.
    fn forgets(&self, invalidation: Invalidation) -> Forgets<S> {
        Forgets { cache: self.clone(), invalidation }
    }
}

struct Forgets<S: KeySource> {
    cache: Cached<S>,
    invalidation: Invalidation,
}

impl<S: KeySource> Drop for Forgets<S> {
    fn drop(&mut self) {
        self.cache.apply(self.invalidation.clone());
    }
}

/// The outcome of `change`, which goes on if nobody waits for it any longer: else the store could have it after the cache
/// has forgotten the record, and has loaded the old one again.
async fn finish<T: Send + 'static>(
    change: impl Future<Output = Result<T, CachedError>> + Send + 'static,
) -> Result<T, CachedError> {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return change.await };
    match runtime.spawn(change.in_current_span()).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(CachedError::ended()),
        },
    }
}
