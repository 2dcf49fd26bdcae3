//! Which keys to list, and a page of them.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::key::{KeyId, KeyRecord, KeyRef, KeyState, OrganizationId, Scope, ScopeHierarchy, UserId};

/// Which keys to list.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeyFilter {
    /// Those of this user.
    pub user: Option<UserId>,
    /// Those of this organisation.
    pub organization: Option<OrganizationId>,
    /// Those in this state.
    pub state: Option<KeyState>,
    /// Those that have this scope or one above it.
    pub scope: Option<Scope>,
    /// Those that have this text in their name, id or start, whatever its case.
    pub text: Option<String>,
    /// How many at most; 50, unless set.
    pub limit: usize,
    /// Where the last page ended.
    pub cursor: Option<KeyCursor>,
}

impl Default for KeyFilter {
    fn default() -> Self {
        Self { user: None, organization: None, state: None, scope: None, text: None, limit: 50, cursor: None }
    }
}

impl KeyFilter {
    /// Whether `record` is among the keys that are asked for; leaves out limit and cursor.
    pub fn matches(&self, record: &KeyRecord, now: Timestamp) -> bool {
        let contains = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
        self.user.as_ref().is_none_or(|user| record.owner.user.as_ref() == Some(user))
            && self.organization.as_ref().is_none_or(|id| record.owner.organization.as_ref() == Some(id))
            && self.state.is_none_or(|state| record.state(now) == state)
            && self.scope.as_ref().is_none_or(|scope| ScopeHierarchy::new().grants(&record.scopes, scope))
            && self.text.as_ref().is_none_or(|text| {
                contains(&record.name, text)
                    || contains(record.id.as_str(), text)
                    || record.start.as_ref().is_some_and(|start| contains(start, text))
            })
    }
}

/// Some of the keys.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct KeyPage {
    /// The keys, newest first.
    pub items: Vec<KeyRef>,
    /// Where to go on, if there are more.
    pub next_cursor: Option<KeyCursor>,
}

impl KeyPage {
    /// A page of keys.
    pub const fn new(items: Vec<KeyRef>, next_cursor: Option<KeyCursor>) -> Self {
        Self { items, next_cursor }
    }
}

/// A place in the list of all keys, newest first: behind the key of this time and id. Opaque text to clients.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyCursor {
    /// When the last key before this place was made.
    pub created_at: Timestamp,
    /// Its id.
    pub id: KeyId,
}

impl fmt::Display for KeyCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{}", self.created_at.unix_micros(), self.id);
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(text))
    }
}

impl FromStr for KeyCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor(()))?;
        let text = String::from_utf8(bytes).map_err(|_| InvalidCursor(()))?;
        let (micros, id) = text.split_once('.').ok_or(InvalidCursor(()))?;
        let micros = micros.parse().map_err(|_| InvalidCursor(()))?;
        let id = KeyId::new(id).map_err(|_| InvalidCursor(()))?;
        Ok(Self { created_at: Timestamp::from_unix_micros(micros), id })
    }
}

/// Where a record stands in the list of all keys.
pub(crate) fn place(record: &KeyRecord) -> KeyCursor {
    KeyCursor { created_at: record.created_at.unwrap_or(Timestamp::UNIX_EPOCH), id: record.id.clone() }
}

/// The text is no cursor that a list has given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a cursor from an earlier answer")]
pub struct InvalidCursor(());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_anything_else_is_refused() {
        let cursor =
            KeyCursor { created_at: Timestamp::from_unix_micros(1_234_567), id: KeyId::from_static("key_1.2") };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "!", "MTIz", "LmtleQ", &"a".repeat(1_000)] {
            assert_eq!(text.parse::<KeyCursor>(), Err(InvalidCursor(())), "{text}");
        }
    }
}
