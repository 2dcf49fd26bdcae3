//! Tokens whose signature was found good lately.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::claims::Span;
use super::key_set::KeySet;
use crate::clock::Timestamp;
use crate::session::{Session, SessionAnswer};

/// Tokens whose signature was found good lately, by their digests: the tokens themselves are not kept.
pub(super) struct VerifiedTokens(Option<Cache<[u8; 32], Entry>>);

#[derive(Clone)]
struct Entry {
    session: Arc<Session>,
    span: Span,
    /// The keys that it was checked with. A signature is good for as long as they are the ones that count.
    keys: Arc<KeySet>,
}

impl VerifiedTokens {
    /// Of at most `capacity` tokens; none, if that is 0.
    pub(super) fn new(capacity: usize) -> Self {
        Self((capacity > 0).then(|| Cache::new(capacity)))
    }

    pub(super) fn digest(token: &str) -> [u8; 32] {
        Sha256::digest(token).into()
    }

    /// What a token of this digest says at `now`, if its signature has been checked with `keys`.
    pub(super) fn answer(
        &self,
        digest: &[u8; 32],
        keys: &Arc<KeySet>,
        now: Timestamp,
        leeway: Duration,
    ) -> Option<SessionAnswer> {
        let entry = self.0.as_ref()?.get(digest).filter(|entry| Arc::ptr_eq(&entry.keys, keys))?;
        Some(match entry.span.check(now, leeway) {
            Ok(()) => SessionAnswer::Valid(entry.session),
            Err(problem) => SessionAnswer::Invalid(problem),
        })
    }

    pub(super) fn keep(&self, digest: [u8; 32], session: &Arc<Session>, span: Span, keys: &Arc<KeySet>) {
        if let Some(cache) = &self.0 {
            cache.insert(digest, Entry { session: Arc::clone(session), span, keys: Arc::clone(keys) });
        }
    }
}
