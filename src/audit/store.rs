//! Where events are kept.

use std::future::Future;
use std::sync::Arc;

use super::event::{AuditAction, AuditEvent, AuditOutcome};
use super::id::AuditEventId;
use crate::clock::Timestamp;
use crate::error::{BoxError, StoreError};
use crate::key::{KeyId, OrganizationId, UserId};
use crate::source::BoxFuture;

/// How many events a store looks at for one page, so that a filter that hardly anything matches does not read all that
/// was ever kept.
pub(crate) const MOST_LOOKED_AT: usize = 20_000;

/// Keeps events, and gives them out again.
///
/// `SqliteKeys` and `PostgresKeys` (features `sqlite` and `postgres`) are such stores, in a table
/// beside that of the keys; [`JsonLinesAudit`](super::JsonLinesAudit) is one in files, and
/// [`MemoryAudit`](super::MemoryAudit) one for tests.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no store of audit events",
    note = "implement `tower_api_key::audit::AuditStore`, or use `JsonLinesAudit`, `MemoryAudit`, `SqliteKeys` or `PostgresKeys`"
)]
pub trait AuditStore: Send + Sync + 'static {
    /// Why it could not. Goes to the log alone.
    type Error: Into<BoxError>;

    /// What the store is called in the log.
    fn name(&self) -> &str;

    /// Keeps events, which come in the order of their ids. One whose id is there already is kept once: a batch that was
    /// not answered in time is handed over again.
    ///
    /// # Errors
    /// When not all of them could be kept.
    fn append(&self, events: &[AuditEvent]) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The events that match `filter`, the one recorded last first, a page at a time. A page may have fewer events than
    /// it could and say where to go on: a store need not look at all that it has for one page.
    ///
    /// # Errors
    /// When the store could not tell.
    fn events(&self, filter: &AuditFilter) -> impl Future<Output = Result<AuditPage, Self::Error>> + Send;

    /// Forgets events from before this instant, at most `most` of them, and says how many. As few as none: there are no
    /// more, or what there is goes together with later ones.
    ///
    /// # Errors
    /// When the store could not write.
    fn purge_events(&self, before: Timestamp, most: usize) -> impl Future<Output = Result<usize, Self::Error>> + Send;
}

impl<S: AuditStore> AuditStore for Arc<S> {
    type Error = S::Error;

    fn name(&self) -> &str {
        (**self).name()
    }

    fn append(&self, events: &[AuditEvent]) -> impl Future<Output = Result<(), Self::Error>> + Send {
        (**self).append(events)
    }

    fn events(&self, filter: &AuditFilter) -> impl Future<Output = Result<AuditPage, Self::Error>> + Send {
        (**self).events(filter)
    }

    fn purge_events(&self, before: Timestamp, most: usize) -> impl Future<Output = Result<usize, Self::Error>> + Send {
        (**self).purge_events(before, most)
    }
}

/// Which events to read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuditFilter {
    /// Those about keys of this user.
    pub user: Option<UserId>,
    /// Those about keys of this organisation.
    pub organization: Option<OrganizationId>,
    /// Those about this key.
    pub key_id: Option<KeyId>,
    /// Those of this action.
    pub action: Option<AuditAction>,
    /// Those of this outcome.
    pub outcome: Option<AuditOutcome>,
    /// Those that have this text in their reason, path, address, request id or an id of a key, an actor or an owner,
    /// whatever its case.
    pub text: Option<String>,
    /// How many at most; 50, unless set.
    pub limit: usize,
    /// Where the last page ended: only what was recorded before this event.
    pub cursor: Option<AuditEventId>,
}

impl Default for AuditFilter {
    fn default() -> Self {
        Self {
            user: None,
            organization: None,
            key_id: None,
            action: None,
            outcome: None,
            text: None,
            limit: 50,
            cursor: None,
        }
    }
}

impl AuditFilter {
    /// Whether `event` is among those that are asked for; leaves out limit and cursor.
    pub fn matches(&self, event: &AuditEvent) -> bool {
        self.user.as_ref().is_none_or(|user| event.owner.user.as_ref() == Some(user))
            && self.organization.as_ref().is_none_or(|id| event.owner.organization.as_ref() == Some(id))
            && self.key_id.as_ref().is_none_or(|id| event.key_id.as_ref() == Some(id))
            && self.action.is_none_or(|action| event.action == action)
            && self.outcome.is_none_or(|outcome| event.outcome == outcome)
            && self.text.as_ref().is_none_or(|text| mentions(event, &text.to_lowercase()))
    }
}

fn mentions(event: &AuditEvent, part: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(part);
    has(&event.reason)
        || has(&event.path)
        || event.client_ip.is_some_and(|address| has(&address.to_string()))
        || event.request_id.as_deref().is_some_and(has)
        || [&event.key_id, &event.actor.key_id].into_iter().flatten().any(|id| has(id.as_str()))
        || [&event.actor.user, &event.owner.user].into_iter().flatten().any(|id| has(id.as_str()))
        || event.owner.organization.as_ref().is_some_and(|id| has(id.as_str()))
}

/// Some of the events.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AuditPage {
    /// The events, the one recorded last first.
    pub items: Vec<AuditEvent>,
    /// Where to go on, if there may be more.
    pub next_cursor: Option<AuditEventId>,
}

impl AuditPage {
    /// A page of events.
    pub const fn new(items: Vec<AuditEvent>, next_cursor: Option<AuditEventId>) -> Self {
        Self { items, next_cursor }
    }

    /// The first `limit` of `items`, and where to go on if there are more.
    pub(crate) fn cut(mut items: Vec<AuditEvent>, limit: usize) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| more).map(|last| last.id);
        Self { items, next_cursor }
    }
}

/// An [`AuditStore`] of any type.
pub(crate) trait ErasedAuditStore: Send + Sync + 'static {
    fn name(&self) -> &str;
    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> BoxFuture<'a, Result<(), StoreError>>;
    fn events<'a>(&'a self, filter: &'a AuditFilter) -> BoxFuture<'a, Result<AuditPage, StoreError>>;
    fn purge_events(&self, before: Timestamp, most: usize) -> BoxFuture<'_, Result<usize, StoreError>>;
}

impl<S: AuditStore> ErasedAuditStore for S {
    fn name(&self) -> &str {
        AuditStore::name(self)
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let kept = AuditStore::append(self, events).await;
            kept.map_err(|error| StoreError::new(AuditStore::name(self), "keep events", error))
        })
    }

    fn events<'a>(&'a self, filter: &'a AuditFilter) -> BoxFuture<'a, Result<AuditPage, StoreError>> {
        Box::pin(async move {
            let read = AuditStore::events(self, filter).await;
            read.map_err(|error| StoreError::new(AuditStore::name(self), "read events", error))
        })
    }

    fn purge_events(&self, before: Timestamp, most: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(async move {
            let purged = AuditStore::purge_events(self, before, most).await;
            purged.map_err(|error| StoreError::new(AuditStore::name(self), "purge events", error))
        })
    }
}
