//! Events in this process.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::event::AuditEvent;
use super::id::AuditEventId;
use super::store::{AuditFilter, AuditPage, AuditStore};
use crate::clock::Timestamp;

/// Keeps the latest events in memory: for tests, and where only the present matters. Clones share the events.
#[derive(Clone)]
pub struct MemoryAudit(Arc<Inner>);

struct Inner {
    events: Mutex<BTreeMap<AuditEventId, AuditEvent>>,
    capacity: usize,
}

impl MemoryAudit {
    /// Room for 10,000 events.
    pub fn new() -> Self {
        Self::with_capacity(10_000)
    }

    /// Room for so many events, one at least. In a full store a new one takes the place of the oldest.
    pub fn with_capacity(events: usize) -> Self {
        Self(Arc::new(Inner { events: Mutex::default(), capacity: events.max(1) }))
    }

    /// Every event, the oldest first.
    pub fn all(&self) -> VecDeque<AuditEvent> {
        self.lock().values().cloned().collect()
    }

    /// The events, also after a panic elsewhere: they are changed by single steps alone.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AuditEventId, AuditEvent>> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryAudit {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryAudit").field("len", &self.lock().len()).finish_non_exhaustive()
    }
}

impl AuditStore for MemoryAudit {
    type Error = Infallible;

    fn name(&self) -> &str {
        "memory"
    }

    async fn append(&self, events: &[AuditEvent]) -> Result<(), Infallible> {
        let mut kept = self.lock();
        for event in events {
            kept.insert(event.id, event.clone());
            if kept.len() > self.0.capacity {
                kept.pop_first();
            }
        }
        Ok(())
    }

    async fn events(&self, filter: &AuditFilter) -> Result<AuditPage, Infallible> {
        let end = filter.cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let kept = self.lock();
        let matching = kept.range((Bound::Unbounded, end)).rev().filter(|(_, event)| filter.matches(event));
        let items = matching.take(filter.limit.saturating_add(1)).map(|(_, event)| event.clone()).collect();
        Ok(AuditPage::cut(items, filter.limit))
    }

    async fn purge_events(&self, before: Timestamp, most: usize) -> Result<usize, Infallible> {
        let mut kept = self.lock();
        let old: Vec<_> = kept.values().filter(|event| event.at < before).map(|event| event.id).take(most).collect();
        for id in &old {
            kept.remove(id);
        }
        Ok(old.len())
    }
}
