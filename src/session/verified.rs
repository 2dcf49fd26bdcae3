//! Sessions that were verified lately, so that each is decrypted or looked up once, not with each request.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::validity::Validity;
use super::{Session, SessionAnswer};
use crate::clock::Timestamp;
use crate::key::DigestHasher;

/// A bounded memory of sessions that held, by the digest of the text that was presented. What did not hold is never
/// remembered, so that made-up texts take no room.
pub(super) struct VerifiedSessions(Option<Cache<PresentedDigest, Verified, UnitWeighter, DigestHasher>>);

#[derive(Clone)]
struct Verified {
    session: Arc<Session>,
    validity: Validity,
}

/// The digest of a text and of where it stood: the same text means another thing elsewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct PresentedDigest([u8; 32]);

impl PresentedDigest {
    pub(super) fn of(place: u8, text: &str) -> Self {
        Self(Sha256::new().chain_update([place]).chain_update(text).finalize().into())
    }
}

/// A digest is as good as random, and only texts that held are kept under theirs.
impl Hash for PresentedDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

impl VerifiedSessions {
    /// Room for so many sessions; none with 0.
    pub(super) fn new(capacity: usize) -> Self {
        let cache =
            || Cache::with(capacity, capacity as u64, UnitWeighter, DigestHasher::default(), Default::default());
        Self((capacity > 0).then(cache))
    }

    /// The session of this text, if it was verified lately. One whose time is over is not remembered any longer: whoever
    /// verifies it again finds out.
    pub(super) fn get(&self, digest: PresentedDigest, now: Timestamp) -> Option<SessionAnswer> {
        let cache = self.0.as_ref()?;
        let verified = cache.get(&digest)?;
        if verified.validity.check(now).is_err() {
            cache.remove(&digest);
            return None;
        }
        Some(SessionAnswer::Valid(verified.session))
    }

    pub(super) fn keep(&self, digest: PresentedDigest, session: &Arc<Session>, validity: Validity) {
        if let Some(cache) = &self.0 {
            cache.insert(digest, Verified { session: Arc::clone(session), validity });
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, Cache::len)
    }
}
