//! Object-safe twins of the source traits, so that the layer has no type parameter. Private: users write `async fn`.

use std::future::Future;
use std::pin::Pin;

use super::{KeyScheme, KeySource, KeyStore, KeyUsage, Lookup};
use crate::error::StoreError;
use crate::key::{KeyDigest, KeyRef};

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A [`KeySource`] of any type.
pub(crate) trait ErasedSource: Send + Sync + 'static {
    fn name(&self) -> &str;
    fn schemes(&self) -> Vec<KeyScheme>;
    fn find<'a>(&'a self, digest: &'a KeyDigest) -> BoxFuture<'a, Result<Option<KeyRef>, StoreError>>;
    fn find_now(&self, digest: &KeyDigest) -> Lookup;
    fn forget(&self, digest: &KeyDigest);
}

impl<S: KeySource> ErasedSource for S {
    fn name(&self) -> &str {
        KeySource::name(self)
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        KeySource::schemes(self)
    }

    fn find<'a>(&'a self, digest: &'a KeyDigest) -> BoxFuture<'a, Result<Option<KeyRef>, StoreError>> {
        Box::pin(async move {
            let found = KeySource::find(self, digest).await;
            found.map_err(|error| StoreError::new(KeySource::name(self), "find a key", error))
        })
    }

    fn find_now(&self, digest: &KeyDigest) -> Lookup {
        KeySource::find_now(self, digest)
    }

    fn forget(&self, digest: &KeyDigest) {
        KeySource::forget(self, digest);
    }
}

/// What a [`KeyStore`] of any type is to those who only hand it usage.
pub(crate) trait ErasedUsageStore: Send + Sync + 'static {
    fn name(&self) -> &str;
    fn schemes(&self) -> Vec<KeyScheme>;
    fn record_usage<'a>(&'a self, usage: &'a [KeyUsage]) -> BoxFuture<'a, Result<(), StoreError>>;
}

impl<S: KeyStore> ErasedUsageStore for S {
    fn name(&self) -> &str {
        KeySource::name(self)
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        KeySource::schemes(self)
    }

    fn record_usage<'a>(&'a self, usage: &'a [KeyUsage]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let recorded = KeyStore::record_usage(self, usage).await;
            recorded.map_err(|error| StoreError::new(KeySource::name(self), "record usage", error))
        })
    }
}

#[cfg(feature = "management")]
mod store {
    use super::{BoxFuture, StoreError};
    use crate::key::{KeyId, KeyRef};
    use crate::source::{
        IssuedKey, KeyChange, KeyFilter, KeyLife, KeyPage, KeyRotation, KeySource, KeyStore, KeySuccession, KeyUpdate,
        NewKey, UsagePoint, UsageRange,
    };

    /// A [`KeyStore`] of any type.
    pub(crate) trait ErasedStore: Send + Sync + 'static {
        fn name(&self) -> &str;
        fn life(&self) -> KeyLife;
        fn issue(&self, key: NewKey) -> BoxFuture<'_, Result<IssuedKey, StoreError>>;
        fn get<'a>(&'a self, id: &'a KeyId) -> BoxFuture<'a, Result<Option<KeyRef>, StoreError>>;
        fn list<'a>(&'a self, filter: &'a KeyFilter) -> BoxFuture<'a, Result<KeyPage, StoreError>>;
        fn update<'a>(&'a self, id: &'a KeyId, change: KeyChange) -> BoxFuture<'a, Result<KeyUpdate, StoreError>>;
        fn set_enabled<'a>(&'a self, id: &'a KeyId, enabled: bool) -> BoxFuture<'a, Result<KeyUpdate, StoreError>>;
        fn rotate<'a>(
            &'a self,
            id: &'a KeyId,
            rotation: KeyRotation,
        ) -> BoxFuture<'a, Result<KeySuccession, StoreError>>;
        fn revoke<'a>(
            &'a self,
            id: &'a KeyId,
            reason: Option<String>,
        ) -> BoxFuture<'a, Result<Option<KeyRef>, StoreError>>;
        fn usage_series<'a>(
            &'a self,
            id: &'a KeyId,
            range: &'a UsageRange,
        ) -> BoxFuture<'a, Result<Option<Vec<UsagePoint>>, StoreError>>;
    }

    impl<S: KeyStore> ErasedStore for S {
        fn name(&self) -> &str {
            KeySource::name(self)
        }

        fn life(&self) -> KeyLife {
            KeyStore::life(self)
        }

        fn issue(&self, key: NewKey) -> BoxFuture<'_, Result<IssuedKey, StoreError>> {
            Box::pin(async move { KeyStore::issue(self, key).await.map_err(|e| named(self, "issue a key", e)) })
        }

        fn get<'a>(&'a self, id: &'a KeyId) -> BoxFuture<'a, Result<Option<KeyRef>, StoreError>> {
            Box::pin(async move { KeyStore::get(self, id).await.map_err(|e| named(self, "get a key", e)) })
        }

        fn list<'a>(&'a self, filter: &'a KeyFilter) -> BoxFuture<'a, Result<KeyPage, StoreError>> {
            Box::pin(async move { KeyStore::list(self, filter).await.map_err(|e| named(self, "list keys", e)) })
        }

        fn update<'a>(&'a self, id: &'a KeyId, change: KeyChange) -> BoxFuture<'a, Result<KeyUpdate, StoreError>> {
            Box::pin(
                async move { KeyStore::update(self, id, change).await.map_err(|e| named(self, "update a key", e)) },
            )
        }

        fn set_enabled<'a>(&'a self, id: &'a KeyId, enabled: bool) -> BoxFuture<'a, Result<KeyUpdate, StoreError>> {
            let operation = if enabled { "enable a key" } else { "disable a key" };
            Box::pin(
                async move { KeyStore::set_enabled(self, id, enabled).await.map_err(|e| named(self, operation, e)) },
            )
        }

        fn rotate<'a>(
            &'a self,
            id: &'a KeyId,
            rotation: KeyRotation,
        ) -> BoxFuture<'a, Result<KeySuccession, StoreError>> {
            Box::pin(
                async move { KeyStore::rotate(self, id, rotation).await.map_err(|e| named(self, "rotate a key", e)) },
            )
        }

        fn revoke<'a>(
            &'a self,
            id: &'a KeyId,
            reason: Option<String>,
        ) -> BoxFuture<'a, Result<Option<KeyRef>, StoreError>> {
            Box::pin(
                async move { KeyStore::revoke(self, id, reason).await.map_err(|e| named(self, "revoke a key", e)) },
            )
        }

        fn usage_series<'a>(
            &'a self,
            id: &'a KeyId,
            range: &'a UsageRange,
        ) -> BoxFuture<'a, Result<Option<Vec<UsagePoint>>, StoreError>> {
            Box::pin(async move {
                KeyStore::usage_series(self, id, range).await.map_err(|e| named(self, "read the usage of a key", e))
            })
        }
    }

    fn named<S: KeyStore>(store: &S, operation: &'static str, error: S::Error) -> StoreError {
        StoreError::new(KeySource::name(store), operation, error)
    }
}

#[cfg(feature = "management")]
pub(crate) use store::ErasedStore;
