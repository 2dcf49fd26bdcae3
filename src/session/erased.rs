//! The object-safe twin of [`SessionResolver`], so that the layer has no type parameter.

use super::{PresentedSession, SessionAnswer, SessionLocation, SessionResolver};
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::source::BoxFuture;

/// A [`SessionResolver`] of any type.
pub(crate) trait ErasedSessions: Send + Sync + 'static {
    fn name(&self) -> &str;
    fn locations(&self) -> Vec<SessionLocation>;
    fn resolve<'a>(
        &'a self,
        presented: &'a PresentedSession,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<SessionAnswer, StoreError>>;
    fn resolve_now(&self, presented: &PresentedSession, now: Timestamp) -> Option<SessionAnswer>;
}

impl<S: SessionResolver> ErasedSessions for S {
    fn name(&self) -> &str {
        SessionResolver::name(self)
    }

    fn locations(&self) -> Vec<SessionLocation> {
        SessionResolver::locations(self)
    }

    fn resolve<'a>(
        &'a self,
        presented: &'a PresentedSession,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<SessionAnswer, StoreError>> {
        Box::pin(async move {
            let answer = SessionResolver::resolve(self, presented, now).await;
            answer.map_err(|error| StoreError::new(SessionResolver::name(self), "resolve a session", error))
        })
    }

    fn resolve_now(&self, presented: &PresentedSession, now: Timestamp) -> Option<SessionAnswer> {
        SessionResolver::resolve_now(self, presented, now)
    }
}
