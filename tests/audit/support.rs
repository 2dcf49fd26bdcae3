//! Events, a store that waits until it is let, and a log to read.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt, service_fn};
use tower_api_key::audit::{AuditAction, AuditEvent, AuditEventId, AuditFilter, AuditPage, AuditStore, MemoryAudit};
use tower_api_key::clock::Timestamp;
use tower_api_key::{ApiKeyLayer, BoxError};

pub(crate) use super::log::Log;

/// 2026-01-14T18:00:00Z, and so many seconds later.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_768_413_600 + seconds)
}

pub(crate) fn event(seconds: i64) -> AuditEvent {
    AuditEvent::new(AuditEventId::new(at(seconds), 1), at(seconds), AuditAction::Authenticate)
}

/// A store in memory that answers a batch only when it is let, and then as it is told to.
#[derive(Clone)]
pub(crate) struct Gated {
    pub(crate) kept: MemoryAudit,
    /// One permit a batch.
    pub(crate) gate: Arc<Semaphore>,
    /// How many batches fail from now on, after the gate.
    pub(crate) failing: Arc<AtomicUsize>,
    pub(crate) begun: Arc<AtomicUsize>,
}

impl Gated {
    pub(crate) fn new(permits: usize) -> Self {
        Self {
            kept: MemoryAudit::with_capacity(1_000_000),
            gate: Arc::new(Semaphore::new(permits)),
            failing: Arc::default(),
            begun: Arc::default(),
        }
    }

    pub(crate) fn open(&self) {
        self.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}

impl AuditStore for Gated {
    type Error = BoxError;

    fn name(&self) -> &'static str {
        "gated"
    }

    async fn append(&self, events: &[AuditEvent]) -> Result<(), BoxError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await?.forget();
        let fails = self.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails {
            return Err("the disk is full".into());
        }
        Ok(self.kept.append(events).await?)
    }

    async fn events(&self, filter: &AuditFilter) -> Result<AuditPage, BoxError> {
        Ok(self.kept.events(filter).await?)
    }

    async fn purge_events(&self, before: Timestamp, most: usize) -> Result<usize, BoxError> {
        Ok(self.kept.purge_events(before, most).await?)
    }
}

pub(crate) async fn call(auth: &ApiKeyLayer, key: &str) -> u16 {
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
    let request = Request::get("/v1/things").header("x-api-key", key).body(()).unwrap();
    auth.layer(inner).oneshot(request).await.unwrap().status().as_u16()
}
