//! Changes of a key.

use super::{KeyLife, KeyLifeRefusal};
use crate::clock::Timestamp;
use crate::ip::IpBlocks;
use crate::key::{KeyRecord, KeyRef, ScopeSet};
use crate::limit::Quota;

/// What is to be changed of a key. A field that is `None` stays as it is; `Some(None)` takes a restriction or an end
/// away.
///
/// ```
/// use tower_api_key::key::Scope;
/// use tower_api_key::source::KeyChange;
///
/// let change = KeyChange::new().name("deploy").scopes([Scope::from_static("write")]).expires_at(None);
/// assert_eq!(change.expires_at, Some(None));
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct KeyChange {
    /// What people call it.
    pub name: Option<String>,
    /// What it may do.
    pub scopes: Option<ScopeSet>,
    /// The addresses it may be used from.
    pub allowed_ips: Option<Option<IpBlocks>>,
    /// The web origins it may be used from.
    pub allowed_origins: Option<Option<Vec<String>>>,
    /// Quotas of its own; none, to have those of its plan or of the layer again.
    pub rate_limits: Option<Vec<Quota>>,
    /// From when on it is refused.
    pub expires_at: Option<Option<Timestamp>>,
    /// Facts of the application's own, all of them.
    pub metadata: Option<serde_json::Map<String, serde_json::Value>>,
    /// The version that the record must have for the change to be made; any, unless set.
    pub expected_version: Option<u64>,
}

impl KeyChange {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new name.
    pub fn rename(name: impl Into<String>) -> Self {
        Self::new().name(name)
    }

    /// What people call it.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What it may do.
    #[must_use]
    pub fn scopes(mut self, scopes: impl Into<ScopeSet>) -> Self {
        self.scopes = Some(scopes.into());
        self
    }

    /// The addresses it may be used from; `None` is everywhere.
    #[must_use]
    pub fn allowed_ips(mut self, blocks: Option<IpBlocks>) -> Self {
        self.allowed_ips = Some(blocks);
        self
    }

    /// The web origins it may be used from; `None` is everywhere, and an empty list nowhere.
    #[must_use]
    pub fn allowed_origins(mut self, origins: Option<Vec<String>>) -> Self {
        self.allowed_origins = Some(origins);
        self
    }

    /// Quotas of its own.
    #[must_use]
    pub fn rate_limits(mut self, quotas: impl IntoIterator<Item = Quota>) -> Self {
        self.rate_limits = Some(quotas.into_iter().collect());
        self
    }

    /// From when on it is refused; `None` is never.
    #[must_use]
    pub const fn expires_at(mut self, end: Option<Timestamp>) -> Self {
        self.expires_at = Some(end);
        self
    }

    /// Facts of the application's own, in place of all that there are.
    #[must_use]
    pub fn metadata(mut self, metadata: serde_json::Map<String, serde_json::Value>) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Makes the change only if the record still has this version.
    #[must_use]
    pub const fn expected_version(mut self, version: u64) -> Self {
        self.expected_version = Some(version);
        self
    }

    /// Whether it is about anything but the name and the metadata, which revoked keys may get as well.
    fn is_more_than_a_note(&self) -> bool {
        let Self { scopes, allowed_ips, allowed_origins, rate_limits, expires_at, .. } = self;
        let powers = scopes.is_some() || rate_limits.is_some() || expires_at.is_some();
        powers || allowed_ips.is_some() || allowed_origins.is_some()
    }

    /// The record after this change, with a version of its own; or why it cannot be made.
    pub(crate) fn applied(self, found: &KeyRef, life: KeyLife) -> Result<KeyRecord, KeyUpdate> {
        if self.expected_version.is_some_and(|version| version != found.version) {
            return Err(KeyUpdate::Outdated);
        }
        let barred = found.revoked_at.is_some() && self.is_more_than_a_note();
        if barred || self.expires_at.is_some_and(|end| gains_time_after_rotation(found, end)) {
            return Err(KeyUpdate::Conflict(found.clone()));
        }
        let mut record = KeyRecord::clone(found);
        if let Some(end) = self.expires_at {
            record.expires_at = end;
            if let (Some(made), None) = (record.created_at, &record.rotation) {
                record.expires_at = life.end(end, made).map_err(KeyUpdate::Refused)?;
            }
        }
        set(&mut record.name, self.name);
        set(&mut record.scopes, self.scopes);
        set(&mut record.allowed_ips, self.allowed_ips);
        set(&mut record.allowed_origins, self.allowed_origins);
        set(&mut record.rate_limits, self.rate_limits);
        set(&mut record.metadata, self.metadata);
        record.version += 1;
        Ok(record)
    }
}

/// `found` let in again, or refused until it is enabled again; the answer, if there is nothing to change.
pub(crate) fn enabled(found: &KeyRef, enabled: bool) -> Result<KeyRecord, KeyUpdate> {
    if found.revoked_at.is_some() {
        return Err(KeyUpdate::Conflict(found.clone()));
    }
    if found.disabled != enabled {
        return Err(KeyUpdate::Changed(found.clone()));
    }
    let mut record = KeyRecord::clone(found);
    record.disabled = !enabled;
    record.version += 1;
    Ok(record)
}

/// `found` refused from `now` on, for good; `None` if it is already.
pub(crate) fn revoked(found: &KeyRef, reason: Option<String>, now: Timestamp) -> Option<KeyRecord> {
    if found.revoked_at.is_some() {
        return None;
    }
    let mut record = KeyRecord::clone(found);
    record.revoked_at = Some(now);
    record.revoked_reason = reason;
    record.version += 1;
    Some(record)
}

/// The end of an overlap is a promise to whoever made the successor.
fn gains_time_after_rotation(found: &KeyRecord, end: Option<Timestamp>) -> bool {
    let later = || match (found.expires_at, end) {
        (Some(current), Some(end)) => end > current,
        (Some(_), None) => true,
        (None, _) => false,
    };
    found.rotation.is_some() && later()
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
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
    /// What the key is does not allow the change: it is revoked, and more than its name and metadata would change, or it
    /// has a successor and would gain time. Nothing was changed.
    Conflict(KeyRef),
    /// The end that was asked for is too early or too late. Nothing was changed.
    Refused(KeyLifeRefusal),
    /// There is no such key.
    Absent,
}
