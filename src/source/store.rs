//! The writing half of a source of keys.

use std::fmt;
use std::future::Future;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::KeySource;
use crate::clock::Timestamp;
use crate::ip::IpBlocks;
use crate::key::{
    Environment, KeyDigest, KeyFormat, KeyId, KeyOwner, KeyRecord, KeyRef, KeyState, OrganizationId, Realm, Scope,
    ScopeHierarchy, ScopeSet, SecretKey, UserId,
};
use crate::limit::Quota;

/// A source that keys can be issued from and changed in.
///
/// Who may call these is not its business: the management router (feature `management`) decides that.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no store of keys",
    note = "implement `tower_api_key::source::KeyStore`, or use `MemoryKeys`"
)]
pub trait KeyStore: KeySource {
    /// Makes a key. Its secret is in the answer, and nowhere else afterwards.
    ///
    /// # Errors
    /// When the store could not write. Nothing was made then.
    fn issue(&self, key: NewKey) -> impl Future<Output = Result<IssuedKey, Self::Error>> + Send;

    /// The record of a key, whatever its state.
    ///
    /// # Errors
    /// When the store could not tell.
    fn get(&self, id: &KeyId) -> impl Future<Output = Result<Option<KeyRef>, Self::Error>> + Send;

    /// The keys that match `filter`, newest first, a page at a time.
    ///
    /// # Errors
    /// When the store could not tell.
    fn list(&self, filter: &KeyFilter) -> impl Future<Output = Result<KeyPage, Self::Error>> + Send;

    /// Changes what may be changed of a key. Whether the record still has the version that the change expects, if it
    /// expects any, is looked at and the change made as one step.
    ///
    /// # Errors
    /// When the store could not write. Nothing was changed then.
    fn update(&self, id: &KeyId, change: KeyChange) -> impl Future<Output = Result<KeyUpdate, Self::Error>> + Send;

    /// Refuses a key from now on, for good. Revoking again changes nothing and gives the same answer. `None`: there is
    /// no such key.
    ///
    /// # Errors
    /// When the store could not write. Nothing was changed then.
    fn revoke(
        &self,
        id: &KeyId,
        reason: Option<String>,
    ) -> impl Future<Output = Result<Option<KeyRef>, Self::Error>> + Send;
}

/// What a new key is to be.
///
/// ```
/// use tower_api_key::key::Scope;
/// use tower_api_key::source::NewKey;
///
/// let key = NewKey::named("ci").scopes([Scope::from_static("read")]);
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct NewKey {
    /// What people call it.
    pub name: String,
    /// What it may do; nothing, unless set.
    pub scopes: ScopeSet,
    /// Whose it is.
    pub owner: KeyOwner,
    /// The part of the deployment that it is for; `live`, unless set.
    pub environment: Option<Environment>,
    /// The protection space that it is bound to.
    pub realm: Option<Realm>,
    /// From when on it is refused; never, unless set.
    pub expires_at: Option<Timestamp>,
    /// The addresses it may be used from.
    pub allowed_ips: Option<IpBlocks>,
    /// The web origins it may be used from.
    pub allowed_origins: Option<Vec<String>>,
    /// Quotas of its own.
    pub rate_limits: Vec<Quota>,
    /// The plan whose quotas it has.
    pub plan: Option<String>,
    /// Facts of the application's own.
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

impl NewKey {
    /// A key with a name, no scopes, no owner and no end.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// What it may do.
    #[must_use]
    pub fn scopes(mut self, scopes: impl Into<ScopeSet>) -> Self {
        self.scopes = scopes.into();
        self
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(mut self, owner: KeyOwner) -> Self {
        self.owner = owner;
        self
    }

    /// The part of the deployment that it is for.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// From when on it is refused.
    #[must_use]
    pub fn expires_at(mut self, end: Timestamp) -> Self {
        self.expires_at = Some(end);
        self
    }

    /// The addresses it may be used from.
    #[must_use]
    pub fn allowed_ips(mut self, blocks: IpBlocks) -> Self {
        self.allowed_ips = Some(blocks);
        self
    }

    /// The web origins it may be used from.
    #[must_use]
    pub fn allowed_origins(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allowed_origins = Some(origins.into_iter().map(Into::into).collect());
        self
    }
}

impl KeyRecord {
    /// The record of a key that was just made: `text` is the key itself, of which only what people recognise it by is
    /// kept.
    pub fn issued(id: KeyId, digest: KeyDigest, format: &KeyFormat, text: &str, key: NewKey) -> Self {
        let mut record = Self::new(id, digest);
        record.name = key.name;
        record.start = format.start(text);
        record.end = KeyFormat::end(text).map(str::to_owned);
        record.prefix = format.prefix().map(str::to_owned);
        record.environment = key.environment.or_else(|| format.has_environment().then_some(Environment::LIVE));
        record.realm = key.realm;
        record.scopes = key.scopes;
        record.owner = key.owner;
        record.expires_at = key.expires_at;
        record.allowed_ips = key.allowed_ips;
        record.allowed_origins = key.allowed_origins;
        record.rate_limits = key.rate_limits;
        record.plan = key.plan;
        record.metadata = key.metadata;
        record
    }
}

/// A key that was made: the only time that its secret is seen.
#[derive(Debug)]
#[must_use = "the secret cannot be had again"]
pub struct IssuedKey {
    /// The key itself, to be handed to its owner once.
    pub secret: SecretKey,
    /// What the store keeps.
    pub record: KeyRef,
}

/// What is to be changed of a key. A field that is `None` stays as it is.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct KeyChange {
    /// What people call it.
    pub name: Option<String>,
    /// The version that the record must have for the change to be made; any, unless set.
    pub expected_version: Option<u64>,
}

impl KeyChange {
    /// A new name.
    pub fn rename(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// Makes the change only if the record still has this version.
    #[must_use]
    pub const fn expected_version(mut self, version: u64) -> Self {
        self.expected_version = Some(version);
        self
    }
}

/// What became of a [`KeyChange`].
#[derive(Debug, Clone)]
#[must_use]
pub enum KeyUpdate {
    /// The key is now as this record says.
    Changed(KeyRef),
    /// The record has another version than was expected. Nothing was changed.
    Outdated,
    /// There is no such key.
    Absent,
}

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
