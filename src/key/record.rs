//! What a store knows of a key.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Environment, KeyDigest, KeyId, OrganizationId, Realm, ScopeSet, UserId};
use crate::clock::Timestamp;
use crate::ip::IpBlocks;
use crate::limit::credits::CreditState;
use crate::limit::{Quota, Subject};

/// Everything that is known of a key, except the key.
///
/// Make one with [`KeyRecord::new`] and set the fields that your store has; the others keep a value that allows
/// nothing extra: no scopes, no owner, no expiry, no restriction by address or origin, no quota of its own.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeyRecord {
    /// Names the key in logs and to its owner.
    pub id: KeyId,
    /// What the key is found by, and compared with once found.
    pub digest: KeyDigest,
    /// What people call it.
    pub name: String,
    /// What a person recognises it by, `ak_live_3fX9`; `None` if it was too short to show any of it.
    pub start: Option<String>,
    /// Its last four characters.
    pub end: Option<String>,
    /// The type of key that its prefix states, `ak`.
    pub prefix: Option<String>,
    /// The part of the deployment that it is for; `None` opens all.
    pub environment: Option<Environment>,
    /// The protection space that it is bound to; `None` opens all.
    pub realm: Option<Realm>,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Whose it is.
    pub owner: KeyOwner,
    /// What kind of key it is.
    pub class: KeyClass,
    /// The source it came from; `None` stands for the source that the layer was given.
    pub source: Option<Cow<'static, str>>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Whether it is refused until it is enabled again.
    pub disabled: bool,
    /// When it was revoked, for good.
    pub revoked_at: Option<Timestamp>,
    /// Why.
    pub revoked_reason: Option<String>,
    /// When a successor was made. Until [`expires_at`](Self::expires_at) both work.
    pub rotation: Option<Rotation>,
    /// The key that this one succeeds.
    pub replaces: Option<KeyId>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// From where.
    pub last_used_ip: Option<IpAddr>,
    /// How often it was used.
    pub use_count: u64,
    /// The addresses it may be used from; `None` is everywhere.
    pub allowed_ips: Option<IpBlocks>,
    /// The web origins it may be used from, as the `Origin` header writes them; `None` is everywhere, and an empty list
    /// nowhere.
    pub allowed_origins: Option<Vec<String>>,
    /// Quotas of its own, which beat those of its plan and of the layer.
    pub rate_limits: Vec<Quota>,
    /// The plan whose quotas it has.
    pub plan: Option<String>,
    /// How many more requests it is good for; `None` is any number.
    pub credits: Option<CreditState>,
    /// Facts of the application's own.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Counts the changes of the record, for `ETag` and `If-Match`.
    pub version: u64,
    attached: Attached,
}

impl KeyRecord {
    /// A record of a key that may do nothing yet but authenticate.
    pub fn new(id: KeyId, digest: KeyDigest) -> Self {
        Self {
            id,
            digest,
            name: String::new(),
            start: None,
            end: None,
            prefix: None,
            environment: None,
            realm: None,
            scopes: ScopeSet::EMPTY,
            owner: KeyOwner::default(),
            class: KeyClass::default(),
            source: None,
            created_at: None,
            expires_at: None,
            disabled: false,
            revoked_at: None,
            revoked_reason: None,
            rotation: None,
            replaces: None,
            last_used_at: None,
            last_used_ip: None,
            use_count: 0,
            allowed_ips: None,
            allowed_origins: None,
            rate_limits: Vec::new(),
            plan: None,
            credits: None,
            metadata: serde_json::Map::new(),
            version: 0,
            attached: Attached(None),
        }
    }

    /// What the key is at `now`. Revoked beats expired beats disabled beats overlap.
    pub fn state(&self, now: Timestamp) -> KeyState {
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            KeyState::Expired
        } else if self.disabled {
            KeyState::Disabled
        } else if self.rotation.is_some() {
            KeyState::Overlap
        } else {
            KeyState::Active
        }
    }

    /// What a person recognises the key by, `ak_live_3fX9…k2Qd`; `…` when too little is known.
    pub fn masked(&self) -> String {
        match (&self.start, &self.end) {
            (Some(start), Some(end)) => format!("{start}…{end}"),
            (Some(start), None) => format!("{start}…"),
            _ => "…".to_owned(),
        }
    }

    /// Lets a value of the store's own travel with the record: the row it was read from, for one. Handlers read it by
    /// `auth.attached::<T>()`.
    ///
    /// `Debug` of the record does not show it.
    pub fn attach<T: Send + Sync + 'static>(&mut self, value: T) {
        self.attached = Attached(Some(Arc::new(value)));
    }

    /// What was attached, if it was a `T`.
    ///
    /// # Errors
    /// When nothing was attached, or something of another type.
    pub fn attached<T: Send + Sync + 'static>(&self) -> Result<&T, NotAttached> {
        let attached = self.attached.0.as_deref().and_then(|value| value.downcast_ref());
        attached.ok_or_else(NotAttached::of::<T>)
    }
}

/// A value of a store's own, of which nothing is known, not even whether it may be printed.
#[derive(Clone)]
struct Attached(Option<Arc<dyn Any + Send + Sync>>);

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "…" } else { "none" })
    }
}

/// No value of that type is attached to the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no {wanted} is attached to the key's record")]
pub struct NotAttached {
    wanted: &'static str,
}

impl NotAttached {
    pub(crate) fn of<T>() -> Self {
        Self { wanted: std::any::type_name::<T>() }
    }
}

/// A record as sources hand it out: shared, cheap to clone, read by `Deref`.
#[derive(Clone)]
pub struct KeyRef(Arc<Shared>);

struct Shared {
    record: KeyRecord,
    /// What its requests are counted under, which each of them asks for.
    subject: Subject,
}

impl KeyRef {
    /// Where the record is in memory: the same for all that share it.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// What requests with this key are counted under.
    pub(crate) fn subject(&self) -> Subject {
        self.0.subject
    }
}

impl From<KeyRecord> for KeyRef {
    fn from(record: KeyRecord) -> Self {
        Self(Arc::new(Shared { subject: Subject::key(record.id.as_str()), record }))
    }
}

impl Deref for KeyRef {
    type Target = KeyRecord;

    fn deref(&self) -> &KeyRecord {
        &self.0.record
    }
}

impl fmt::Debug for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.record, f)
    }
}

/// Whose a key is: a user's, an organisation's, a user's within an organisation, or nobody's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyOwner {
    /// The user.
    #[serde(default)]
    pub user: Option<UserId>,
    /// The organisation.
    #[serde(default)]
    pub organization: Option<OrganizationId>,
}

impl KeyOwner {
    /// A user's own key.
    pub const fn user(user: UserId) -> Self {
        Self { user: Some(user), organization: None }
    }

    /// An organisation's key.
    pub const fn organization(organization: OrganizationId) -> Self {
        Self { user: None, organization: Some(organization) }
    }
}

/// What kind of key it is, which decides the [`AuthMethod`](crate::AuthMethod) it authenticates by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyClass {
    /// A key that was issued.
    #[default]
    Standard,
    /// The operator's own key, from the configuration.
    Admin,
    /// A client's key, from the configuration.
    Client,
}

/// A key has a successor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotation {
    /// When the successor was made.
    pub rotated_at: Timestamp,
    /// The successor.
    pub replaced_by: KeyId,
}

/// What a key is at some instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyState {
    /// It works.
    Active,
    /// It is refused until it is enabled again.
    Disabled,
    /// It works, has a successor, and will expire.
    Overlap,
    /// Its time is over.
    Expired,
    /// It was revoked, for good.
    Revoked,
}

impl KeyState {
    /// Whether a key in this state is let in.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Active | Self::Overlap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyHasher;

    fn record() -> KeyRecord {
        KeyRecord::new(KeyId::from_static("key_1"), KeyHasher::sha256().digest("secret"))
    }

    #[test]
    fn revoked_beats_expired_beats_disabled_beats_overlap() {
        let now = Timestamp::from_unix_seconds(1_000);
        let mut record = record();
        assert_eq!(record.state(now), KeyState::Active);
        record.rotation = Some(Rotation { rotated_at: now, replaced_by: KeyId::from_static("key_2") });
        assert_eq!(record.state(now), KeyState::Overlap);
        record.disabled = true;
        assert_eq!(record.state(now), KeyState::Disabled);
        record.expires_at = Some(now);
        assert_eq!(record.state(now), KeyState::Expired, "the instant of expiry is past the end");
        record.revoked_at = Some(now);
        assert_eq!(record.state(now), KeyState::Revoked);
    }

    #[test]
    fn debug_shows_no_digest() {
        let debug = format!("{:?}", KeyRef::from(record()));
        assert!(debug.contains("KeyDigest(Sha256, …)"), "{debug}");
    }

    #[test]
    fn a_value_of_the_stores_own_travels_along() {
        let mut record = record();
        record.attach(42_u64);
        assert_eq!(record.attached::<u64>(), Ok(&42));
        assert_eq!(
            record.attached::<String>().unwrap_err().to_string(),
            "no alloc::string::String is attached to the key's record"
        );
    }
}
