//! Keys and their successors.

use std::time::Duration;

use super::{IssuedKey, KeyLife, NewKey};
use crate::clock::Timestamp;
use crate::key::{KeyRecord, KeyRef, KeyState, Rotation};

/// How a key is to be succeeded.
///
/// The successor is what the key is: name, owner, scopes, environment, realm, restrictions, quotas, plan and metadata. It
/// has a secret and an id of its own, and ends when the key would have ended without it. Credits that are left go over to
/// it, since otherwise they could be spent twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRotation {
    /// How long both keys work, at most to the end that the old one has anyway. With no overlap the old one is revoked
    /// at once.
    pub overlap: Duration,
    /// When the successor ends, if not when the old one would have; never after the greatest life that the store allows.
    pub expires_at: Option<Timestamp>,
    /// The version that the record must have for the rotation to be made; any, unless set.
    pub expected_version: Option<u64>,
}

impl KeyRotation {
    /// The old key is revoked at once.
    pub fn at_once() -> Self {
        Self::default()
    }

    /// Both keys work for this long.
    pub fn overlap(overlap: Duration) -> Self {
        Self { overlap, ..Self::default() }
    }

    /// When the successor ends, be it after the old key would have.
    #[must_use]
    pub const fn expires_at(mut self, end: Timestamp) -> Self {
        self.expires_at = Some(end);
        self
    }

    /// Makes the rotation only if the record still has this version.
    #[must_use]
    pub const fn expected_version(mut self, version: u64) -> Self {
        self.expected_version = Some(version);
        self
    }

    /// Whether `found` can be rotated at `now`; if not, the answer.
    pub(crate) fn possible(&self, found: &KeyRef, now: Timestamp) -> Result<(), KeySuccession> {
        if self.expected_version.is_some_and(|version| version != found.version) {
            return Err(KeySuccession::Outdated);
        }
        // An end that has come is read from the record, and not from what a caller believes.
        match found.state(now) {
            KeyState::Active => Ok(()),
            KeyState::Disabled | KeyState::Overlap | KeyState::Expired | KeyState::Revoked => {
                Err(KeySuccession::Conflict(found.clone()))
            }
        }
    }

    /// What the successor of `old` is to be.
    pub(crate) fn heir(&self, old: &KeyRecord, life: KeyLife, now: Timestamp) -> NewKey {
        NewKey {
            name: old.name.clone(),
            scopes: old.scopes.clone(),
            owner: old.owner.clone(),
            environment: old.environment.clone(),
            realm: old.realm.clone(),
            expires_at: life.capped(self.expires_at.or(old.expires_at), now),
            allowed_ips: old.allowed_ips.clone(),
            allowed_origins: old.allowed_origins.clone(),
            rate_limits: old.rate_limits.clone(),
            plan: old.plan.clone(),
            metadata: old.metadata.clone(),
        }
    }

    /// Ties `old` and its `successor` together at `now`, and sets the end of the old one.
    pub(crate) fn link(&self, old: &mut KeyRecord, successor: &mut KeyRecord, now: Timestamp) {
        successor.replaces = Some(old.id.clone());
        successor.class = old.class;
        successor.credits = old.credits;
        if let Some(credits) = &mut old.credits {
            credits.remaining = 0;
            credits.refill = None;
            credits.generation += 1;
        }
        old.rotation = Some(Rotation { rotated_at: now, replaced_by: successor.id.clone() });
        if self.overlap.is_zero() {
            old.revoked_at = Some(now);
            old.revoked_reason = Some("rotated".to_owned());
        } else {
            let end = now.saturating_add(self.overlap);
            old.expires_at = Some(old.expires_at.map_or(end, |own| own.min(end)));
        }
        old.version += 1;
    }
}

/// What became of a [`KeyRotation`].
#[derive(Debug)]
#[must_use = "the secret of the successor cannot be had again"]
pub enum KeySuccession {
    /// The key has a successor.
    Rotated {
        /// The successor, with its secret.
        successor: IssuedKey,
        /// The key itself, as it is now.
        predecessor: KeyRef,
    },
    /// The key is not active: revoked, expired, disabled, or it has a successor already. Nothing was changed.
    Conflict(KeyRef),
    /// The record has another version than was expected. Nothing was changed.
    Outdated,
    /// There is no such key.
    Absent,
}
