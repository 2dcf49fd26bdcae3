//! An event as it is kept.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::AuthEvent;
use super::id::AuditEventId;
use crate::clock::Timestamp;
use crate::context::AuthMethod;
use crate::key::{KeyId, KeyOwner, UserId};

/// The longest path and method that are kept, in characters; what is longer ends in `…`.
const MOST: usize = 512;

/// An attempt to get in, or something that was done to a key, as it is kept and read back. Serialises to JSON without any
/// secret:
///
/// ```json
/// { "id": "evt_006485ce071a8001a2b3c4d", "at": "2026-01-14T18:00:00.000Z", "action": "key.update",
///   "outcome": "accepted", "reason": "session", "actor": { "method": "session", "user": "u1", "keyId": null },
///   "keyId": "key_…", "owner": { "user": null, "organization": "org_1" }, "clientIp": "203.0.113.9",
///   "newAddress": false, "method": "PATCH", "path": "/v1/keys/key_…", "requestId": "…",
///   "changes": { "name": { "before": "a", "after": "b" } } }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AuditEvent {
    /// Its id, which also says where it stands among others: see [`AuditEventId`].
    pub id: AuditEventId,
    /// When: for an attempt, when the request arrived.
    pub at: Timestamp,
    /// What was attempted.
    pub action: AuditAction,
    /// What became of it.
    pub outcome: AuditOutcome,
    /// The code of the refusal, such as `EXPIRED_API_KEY`, or the method by which it was let in, such as `api_key`.
    pub reason: Cow<'static, str>,
    /// Who it was.
    pub actor: AuditActor,
    /// The key that was presented, or for what was done to a key, that key. `None`: it is not known.
    pub key_id: Option<KeyId>,
    /// Whose that key is.
    pub owner: KeyOwner,
    /// From where.
    pub client_ip: Option<IpAddr>,
    /// Whether the key was let in from an address that it was not seen from lately.
    pub new_address: bool,
    /// The method of the request, at most 512 characters.
    pub method: String,
    /// Its path without the query, at most 512 characters.
    pub path: String,
    /// The id of the request.
    pub request_id: Option<String>,
    /// What has changed of a key, by the names of the management API's fields. Holds no secret and no digest.
    pub changes: Option<BTreeMap<String, AuditChange>>,
}

/// What was attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AuditAction {
    /// To get in.
    #[serde(rename = "authenticate")]
    Authenticate,
    /// To make a key.
    #[serde(rename = "key.create")]
    Create,
    /// To change a key.
    #[serde(rename = "key.update")]
    Update,
    /// To refuse a key until it is enabled again.
    #[serde(rename = "key.disable")]
    Disable,
    /// To let a key in again.
    #[serde(rename = "key.enable")]
    Enable,
    /// To refuse a key for good.
    #[serde(rename = "key.revoke")]
    Revoke,
    /// To make the successor of a key, with an overlap.
    #[serde(rename = "key.rotate")]
    Rotate,
    /// To make the successor of a key in its place.
    #[serde(rename = "key.regenerate")]
    Regenerate,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditOutcome {
    /// It was let in, or done.
    Accepted,
    /// It was not.
    Refused,
}

/// Who attempted something. All of it is `None` of somebody unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AuditActor {
    /// By what right.
    pub method: Option<AuthMethod>,
    /// The person who was signed in.
    pub user: Option<UserId>,
    /// The key that was presented.
    pub key_id: Option<KeyId>,
}

/// A field of a key before and after.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditChange {
    /// What it was; null if there was no key.
    pub before: Value,
    /// What it is.
    pub after: Value,
}

impl AuditEvent {
    /// An event of which no more is known than what was attempted, when, and that it was not let in. Made for tests, and
    /// for stores of your own.
    pub fn new(id: AuditEventId, at: Timestamp, action: AuditAction) -> Self {
        Self {
            id,
            at,
            action,
            outcome: AuditOutcome::Refused,
            reason: Cow::Borrowed(""),
            actor: AuditActor::default(),
            key_id: None,
            owner: KeyOwner::default(),
            client_ip: None,
            new_address: false,
            method: String::new(),
            path: String::new(),
            request_id: None,
            changes: None,
        }
    }

    /// An attempt to get in, without an id.
    pub(super) fn of(event: &AuthEvent<'_>) -> Self {
        let rejected = event.rejection.is_some();
        Self {
            outcome: if rejected { AuditOutcome::Refused } else { AuditOutcome::Accepted },
            reason: Cow::Borrowed(event.reason()),
            actor: AuditActor {
                method: event.auth_method,
                user: event.user_id.cloned(),
                key_id: event.key_id.cloned(),
            },
            key_id: event.key_id.cloned(),
            owner: event.owner.cloned().unwrap_or_default(),
            client_ip: event.client.address(),
            new_address: event.new_address,
            method: shortened(event.method.as_str()),
            path: shortened(event.path),
            request_id: event.request_id.map(|id| id.as_str().to_owned()),
            ..Self::new(AuditEventId::NONE, event.at, AuditAction::Authenticate)
        }
    }

    /// About how many bytes of memory it takes.
    pub(super) fn weight(&self) -> usize {
        let texts = [self.method.len(), self.path.len(), self.request_id.as_ref().map_or(0, String::len)];
        let change =
            |(name, change): (&String, &AuditChange)| 96 + name.len() + size(&change.before) + size(&change.after);
        let changes = self.changes.iter().flatten().map(change).sum::<usize>();
        size_of::<Self>() + texts.iter().sum::<usize>() + changes
    }
}

impl AuditAction {
    /// The name that JSON and stores have for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Create => "key.create",
            Self::Update => "key.update",
            Self::Disable => "key.disable",
            Self::Enable => "key.enable",
            Self::Revoke => "key.revoke",
            Self::Rotate => "key.rotate",
            Self::Regenerate => "key.regenerate",
        }
    }

    /// Every action.
    pub const ALL: [Self; 8] = [
        Self::Authenticate,
        Self::Create,
        Self::Update,
        Self::Disable,
        Self::Enable,
        Self::Revoke,
        Self::Rotate,
        Self::Regenerate,
    ];
}

impl AuditOutcome {
    /// The name that JSON and stores have for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
        }
    }
}

impl AuditChange {
    /// From `before` to `after`.
    pub const fn new(before: Value, after: Value) -> Self {
        Self { before, after }
    }
}

macro_rules! named {
    ($name:ident, $rule:literal, $all:expr) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownAuditName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $all.into_iter().find(|known| known.as_str() == text).ok_or(UnknownAuditName($rule))
            }
        }
    };
}

named!(
    AuditAction,
    "must be authenticate or one of key.create, key.update, key.disable, key.enable, key.revoke, key.rotate and key.regenerate",
    AuditAction::ALL
);
named!(AuditOutcome, "must be accepted or refused", [AuditOutcome::Accepted, AuditOutcome::Refused]);

/// The text names no action, or no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnknownAuditName(&'static str);

/// The beginning of a text of the caller's, which can be of any length.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// About how many bytes of memory a value takes.
fn size(value: &Value) -> usize {
    let own = size_of::<Value>();
    own + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| 48 + name.len() + size(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_names_that_texts_are_read_by() {
        for action in AuditAction::ALL {
            assert_eq!(serde_json::to_value(action).unwrap(), action.as_str());
            assert_eq!(action.as_str().parse(), Ok(action));
        }
        for outcome in [AuditOutcome::Accepted, AuditOutcome::Refused] {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
        assert!("key.delete".parse::<AuditAction>().is_err());
    }

    #[test]
    fn what_a_caller_sends_is_kept_up_to_a_length() {
        assert_eq!(shortened("/a"), "/a");
        assert_eq!(shortened(&"ä".repeat(60_000)).chars().count(), MOST + 1);
    }
}
