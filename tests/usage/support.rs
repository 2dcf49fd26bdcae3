//! A layer that records usage, and stores that do not always take it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use tower::{Layer, ServiceExt, service_fn};
use tower_api_key::clock::Timestamp;
use tower_api_key::key::{KeyDigest, KeyId, KeyRecord, KeyRef};
use tower_api_key::source::{
    IssuedKey, KeyAdoption, KeyChange, KeyFilter, KeyLife, KeyPage, KeyRotation, KeyScheme, KeySource, KeyStore,
    KeySuccession, KeyUpdate, KeyUsage, Lookup, MemoryKeys, NewKey,
};
use tower_api_key::{ApiKeyLayer, BoxError, PeerAddr};

pub(crate) use super::log::{Log, listen_everywhere};

/// The status of a request with this key, from this address.
pub(crate) async fn call_from(auth: &ApiKeyLayer, key: &str, address: &str) -> StatusCode {
    listen_everywhere();
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
    let mut request = Request::get("/").header("x-api-key", key).body(()).unwrap();
    if !address.is_empty() {
        request.extensions_mut().insert(PeerAddr((address.parse::<std::net::IpAddr>().unwrap(), 1).into()));
    }
    auth.layer(inner).oneshot(request).await.unwrap().status()
}

pub(crate) async fn call(auth: &ApiKeyLayer, key: &str) -> StatusCode {
    call_from(auth, key, "192.0.2.1").await
}

/// A key, its text, and a store that has it.
pub(crate) async fn one_key() -> (MemoryKeys, IssuedKey, String) {
    let keys = MemoryKeys::new();
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    let text = issued.secret.expose_secret().to_owned();
    (keys, issued, text)
}

pub(crate) async fn uses<S: KeyStore>(keys: &S, id: &KeyId) -> u64 {
    keys.get(id).await.ok().flatten().map_or(0, |record| record.use_count)
}

/// What happens to the next batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They are written.
    None,
    /// So many are, and the next one is refused.
    After(usize),
    /// They are written, and no answer ever comes.
    Silent,
}

/// A store in memory that has its moods about usage.
#[derive(Clone)]
pub(crate) struct Moody {
    pub(crate) keys: MemoryKeys,
    pub(crate) fault: Arc<Mutex<Fault>>,
    /// How many keys each batch was about.
    pub(crate) batches: Arc<Mutex<Vec<usize>>>,
    pub(crate) asked: Arc<AtomicUsize>,
}

impl Moody {
    pub(crate) fn new(keys: MemoryKeys, fault: Fault) -> Self {
        Self { keys, fault: Arc::new(Mutex::new(fault)), batches: Arc::default(), asked: Arc::default() }
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }
}

impl KeySource for Moody {
    type Error = BoxError;

    fn name(&self) -> &'static str {
        "moody"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        self.keys.schemes()
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, BoxError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.keys.find(digest).await?)
    }

    fn find_now(&self, _: &KeyDigest) -> Lookup {
        Lookup::Ask
    }
}

impl KeyStore for Moody {
    fn life(&self) -> KeyLife {
        self.keys.life()
    }

    async fn issue(&self, key: NewKey) -> Result<IssuedKey, BoxError> {
        Ok(self.keys.issue(key).await?)
    }

    async fn adopt(&self, record: KeyRecord) -> Result<KeyAdoption, BoxError> {
        Ok(self.keys.adopt(record).await?)
    }

    async fn get(&self, id: &KeyId) -> Result<Option<KeyRef>, BoxError> {
        Ok(self.keys.get(id).await?)
    }

    async fn list(&self, filter: &KeyFilter) -> Result<KeyPage, BoxError> {
        Ok(self.keys.list(filter).await?)
    }

    async fn update(&self, id: &KeyId, change: KeyChange) -> Result<KeyUpdate, BoxError> {
        Ok(self.keys.update(id, change).await?)
    }

    async fn revoke(&self, id: &KeyId, reason: Option<String>) -> Result<Option<KeyRef>, BoxError> {
        Ok(self.keys.revoke(id, reason).await?)
    }

    async fn set_enabled(&self, id: &KeyId, enabled: bool) -> Result<KeyUpdate, BoxError> {
        Ok(self.keys.set_enabled(id, enabled).await?)
    }

    async fn rotate(&self, id: &KeyId, rotation: KeyRotation) -> Result<KeySuccession, BoxError> {
        Ok(self.keys.rotate(id, rotation).await?)
    }

    async fn purge(&self, before: Timestamp) -> Result<usize, BoxError> {
        Ok(self.keys.purge(before).await?)
    }

    async fn record_usage(&self, usage: &[KeyUsage]) -> Result<(), BoxError> {
        let silent = {
            let mut fault = self.fault.lock().unwrap();
            match &mut *fault {
                Fault::After(0) => return Err("the disk is full".into()),
                Fault::After(left) => *left -= 1,
                Fault::None | Fault::Silent => {}
            }
            *fault == Fault::Silent
        };
        self.batches.lock().unwrap().push(usage.len());
        self.keys.record_usage(usage).await?;
        if silent {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// Waits, for ten seconds at most, until something is so.
pub(crate) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to be within ten seconds");
}
