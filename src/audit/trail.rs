//! From the requests to a store, without making a request wait.

mod builder;
mod queue;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};

use self::builder::Settings;
use self::queue::{Pushed, Queue};
use super::event::AuditEvent;
use super::store::{AuditFilter, AuditPage, AuditStore, ErasedAuditStore};
use super::{AuditSink, AuthEvent};
use crate::clock::{Clock, Timestamp};
use crate::error::{Chain, StoreError};

pub use self::builder::AuditTrailBuilder;

/// How often the log is told of events that there was no room for, at most.
const BETWEEN_REPORTS: Duration = Duration::from_secs(10);

/// How often old events are looked for.
const BETWEEN_PURGES: Duration = Duration::from_secs(3600);

/// How many old events are forgotten in one step, and in how many steps at a time.
const PURGED_AT_ONCE: usize = 1_000;
const PURGES: usize = 100;

/// Keeps events in a store, from where they can be read again. Clones are the same trail.
///
/// No request waits for the store. An event goes into a queue of bounded length and size, and a future that you spawn
/// writes the queue in batches:
///
/// ```no_run
/// # #[cfg(feature = "management")]
/// # async fn run(listener: tokio::net::TcpListener) -> Result<(), tower_api_key::BoxError> {
/// use axum::Router;
/// use tower_api_key::ApiKeyLayer;
/// use tower_api_key::audit::{AuditTrail, JsonLinesAudit};
/// use tower_api_key::management::Management;
/// use tower_api_key::source::JsonFileKeys;
///
/// let keys = JsonFileKeys::open("api-keys.json")?;
/// let trail = AuditTrail::new(JsonLinesAudit::open("audit.jsonl")?);
/// let auth = ApiKeyLayer::builder(keys.clone()).audit_trail(trail.clone()).build()?;
/// let app = Router::new().nest("/v1/keys", Management::new(keys).audit(trail).router());
///
/// tokio::spawn(auth.background());
/// axum::serve(listener, auth.protect(app)).await?;
/// auth.shutdown().await?;
/// # Ok(()) }
/// ```
///
/// - **What does not fit is dropped, and counted**: [`dropped`](Self::dropped) says how many events that were, and so does
///   a line of level WARN in the log (`tower_api_key::audit_trail`, fields `dropped`, `total`, `waiting`), at once and then
///   every ten seconds at most. Every event is written, waits, or is counted as dropped.
/// - **A batch that the store did not take stays in the queue** and is tried again; one without an answer in time, too, and
///   the store keeps each id once.
/// - **A process that is killed loses what waits**: one interval ([`flush_every`](AuditTrailBuilder::flush_every)), if the
///   store answers.
/// - **Old events are forgotten** if [`keep_for`](AuditTrailBuilder::keep_for) says so: an hour apart, by the trail's clock.
#[derive(Clone)]
pub struct AuditTrail(Arc<Inner>);

struct Inner {
    store: Arc<dyn ErasedAuditStore>,
    settings: Settings,
    queue: Queue,
    /// Held by the flush that is under way: batches are written one after the other.
    turn: Mutex<()>,
    wake: Notify,
    /// Whether somebody has begun to write at intervals, and whether they are to end.
    started: AtomicBool,
    closed: AtomicBool,
    written: AtomicU64,
    reports: Reports,
    purge_at: AtomicI64,
}

/// When the log is told of dropped events next, and of how many it was told.
struct Reports {
    next_at: AtomicI64,
    told: AtomicU64,
}

impl AuditTrail {
    /// A trail with all settings as they come.
    pub fn new(store: impl AuditStore) -> Self {
        Self::of(Arc::new(store), Settings::default())
    }

    /// A trail with other settings.
    pub fn builder(store: impl AuditStore) -> AuditTrailBuilder {
        AuditTrailBuilder::new(Arc::new(store))
    }

    fn of(store: Arc<dyn ErasedAuditStore>, settings: Settings) -> Self {
        Self(Arc::new(Inner {
            queue: Queue::new(settings.capacity),
            store,
            settings,
            turn: Mutex::new(()),
            wake: Notify::new(),
            started: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            written: AtomicU64::new(0),
            reports: Reports { next_at: AtomicI64::new(i64::MIN), told: AtomicU64::new(0) },
            purge_at: AtomicI64::new(i64::MIN),
        }))
    }

    /// Takes note of something that the application has done. The event gets another id, which says that it is the latest.
    pub fn note(&self, event: AuditEvent) {
        let at = event.at;
        self.pushed(self.0.queue.push(|| event), at);
    }

    /// How many events are written.
    pub fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// How many events wait to be written, those included that the store was told of and has not answered yet.
    pub fn waiting(&self) -> usize {
        self.0.queue.len()
    }

    /// How many events there was no room for.
    pub fn dropped(&self) -> u64 {
        self.0.queue.dropped()
    }

    /// The events of the store that match `filter`, the one recorded last first. What waits is not among them.
    ///
    /// # Errors
    /// When the store could not tell.
    pub async fn events(&self, filter: &AuditFilter) -> Result<AuditPage, StoreError> {
        self.0.store.events(filter).await
    }

    /// Writes events at intervals, and forgets old ones, until [`shutdown`](Self::shutdown): a future to be spawned on
    /// Tokio. A layer that has the trail does it in its own [`background`](crate::ApiKeyLayer::background).
    ///
    /// # Panics
    /// When polled outside a Tokio runtime that has its timer enabled.
    pub fn background(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let trail = self.clone();
        async move { trail.write_at_intervals().await }
    }

    async fn write_at_intervals(&self) {
        let Inner { settings, wake, closed, started, .. } = &*self.0;
        started.store(true, Ordering::Relaxed);
        while !closed.load(Ordering::Acquire) {
            let woken = tokio::time::timeout(settings.flush_every, wake.notified()).await.is_ok();
            if woken && closed.load(Ordering::Acquire) {
                return;
            }
            // What went wrong stands in the log, and is tried again.
            let _ = self.flush().await;
            self.forget_old().await;
        }
    }

    /// Writes what waits now. Stops at the first batch that the store does not take.
    ///
    /// # Errors
    /// When the store did not take all of it. What it did not take waits on.
    pub async fn flush(&self) -> Result<(), AuditNotWritten> {
        let Inner { store, settings, queue, turn, written, .. } = &*self.0;
        let _turn = turn.lock().await;
        self.report(settings.clock.now());
        let mut left = queue.len();
        while left > 0 {
            let batch = queue.take(settings.batch.min(left));
            if batch.events().is_empty() {
                break;
            }
            left = left.saturating_sub(batch.events().len());
            let kept = match timed(settings.deadline, store.append(batch.events())).await {
                Some(kept) => kept,
                None => Err(StoreError::new(store.name(), "keep events", "it did not answer in time")),
            };
            if let Err(error) = kept {
                // Before it is counted what waits.
                drop(batch);
                return Err(self.failed(error));
            }
            written.fetch_add(batch.events().len() as u64, Ordering::Relaxed);
            batch.written();
        }
        Ok(())
    }

    /// Lets the [`background`](Self::background) end, and writes what waits, within
    /// [`shutdown_within`](AuditTrailBuilder::shutdown_within). A layer that has the trail does it in its own
    /// [`shutdown`](crate::ApiKeyLayer::shutdown).
    ///
    /// # Errors
    /// When not everything could be written. The error says how much was not.
    pub async fn shutdown(&self) -> Result<(), AuditNotWritten> {
        let Inner { store, settings, wake, closed, .. } = &*self.0;
        closed.store(true, Ordering::Release);
        wake.notify_one();
        let outcome = match timed(settings.shutdown_within, self.flush()).await {
            Some(outcome) => outcome,
            None => Err(self.failed(StoreError::new(store.name(), "keep events before the end", "time is up"))),
        };
        self.report_now();
        outcome
    }

    /// Forgets old events, if it is time to.
    async fn forget_old(&self) {
        let Inner { store, settings, purge_at, .. } = &*self.0;
        let Some(age) = settings.keep_for else { return };
        let now = settings.clock.now();
        if now.unix_micros() < purge_at.load(Ordering::Relaxed) {
            return;
        }
        purge_at.store(now.saturating_add(BETWEEN_PURGES).unix_micros(), Ordering::Relaxed);
        let (before, mut forgotten) = (now.saturating_sub(age), 0);
        for _ in 0..PURGES {
            let purged = match timed(settings.deadline, store.purge_events(before, PURGED_AT_ONCE)).await {
                Some(purged) => purged,
                None => Err(StoreError::new(store.name(), "purge events", "it did not answer in time")),
            };
            match purged {
                Ok(0) => break,
                Ok(purged) => forgotten += purged,
                Err(error) => {
                    tracing::error!(
                        target: "tower_api_key::audit_trail",
                        store = error.backend(),
                        error = %Chain(&error),
                        "old events are not forgotten"
                    );
                    return;
                }
            }
        }
        if forgotten > 0 {
            tracing::info!(
                target: "tower_api_key::audit_trail",
                store = store.name(),
                events = forgotten,
                %before,
                "old events are forgotten"
            );
        }
    }

    fn failed(&self, error: StoreError) -> AuditNotWritten {
        let waiting = self.waiting();
        tracing::error!(
            target: "tower_api_key::audit_trail",
            store = error.backend(),
            error = %Chain(&error),
            waiting,
            "events are not written"
        );
        AuditNotWritten { waiting, cause: error }
    }

    fn pushed(&self, pushed: Pushed, at: Timestamp) {
        match pushed {
            Pushed::Waits(waiting) if waiting == self.0.settings.batch => self.0.wake.notify_one(),
            Pushed::Waits(_) => {}
            Pushed::Dropped => self.report(at),
        }
    }

    /// Tells the log of events that were dropped since it was told last, unless that was a moment ago.
    fn report(&self, now: Timestamp) {
        let next_at = &self.0.reports.next_at;
        let due = next_at.load(Ordering::Relaxed);
        let next = now.saturating_add(BETWEEN_REPORTS).unix_micros();
        if self.untold() == 0 || now.unix_micros() < due {
            return;
        }
        if next_at.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.report_now();
        }
    }

    fn untold(&self) -> u64 {
        self.dropped().saturating_sub(self.0.reports.told.load(Ordering::Relaxed))
    }

    fn report_now(&self) {
        let total = self.dropped();
        let dropped = total.saturating_sub(self.0.reports.told.swap(total, Ordering::Relaxed));
        if dropped == 0 {
            return;
        }
        let told = if self.0.started.load(Ordering::Relaxed) {
            "the queue is full: events are not kept"
        } else {
            "the queue is full and nobody writes it, spawn ApiKeyLayer::background(): events are not kept"
        };
        let (store, waiting) = (self.0.store.name(), self.waiting());
        tracing::warn!(target: "tower_api_key::audit_trail", store, dropped, total, waiting, "{told}");
    }
}

impl AuditSink for AuditTrail {
    fn record(&self, event: AuthEvent<'_>) {
        self.pushed(self.0.queue.push(|| AuditEvent::of(&event)), event.at);
    }
}

impl fmt::Debug for AuditTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditTrail")
            .field("store", &self.0.store.name())
            .field("waiting", &self.waiting())
            .field("written", &self.written())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

/// Some events could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{waiting} audit events are not written")]
pub struct AuditNotWritten {
    waiting: usize,
    #[source]
    cause: StoreError,
}

impl AuditNotWritten {
    /// How many events wait on, to be written with the next flush, if there is one.
    pub const fn waiting(&self) -> usize {
        self.waiting
    }
}

/// Only Tokio's timer is known here; on another runtime a store has to keep its own deadline.
async fn timed<T>(deadline: Duration, answer: impl Future<Output = T>) -> Option<T> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Some(answer.await);
    }
    tokio::time::timeout(deadline, answer).await.ok()
}
