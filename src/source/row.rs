//! The form in which stores write records down.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ip::IpBlocks;
use crate::key::{Environment, KeyClass, KeyId, KeyOwner, KeyRecord, ParseKeyDigestError, Realm, Rotation, ScopeSet};
use crate::limit::Quota;
use crate::limit::credits::CreditState;

/// A [`KeyRecord`] as text, with its digest. Apart from the record, so that nobody serialises a digest by mistake.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct KeyRow {
    pub(super) id: KeyId,
    digest: String,
    #[serde(default)]
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<Environment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    realm: Option<Realm>,
    #[serde(default)]
    scopes: ScopeSet,
    #[serde(default)]
    owner: KeyOwner,
    #[serde(default)]
    class: KeyClass,
    #[serde(default, with = "exact", skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    #[serde(default, with = "exact", skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(default)]
    disabled: bool,
    #[serde(default, with = "exact", skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotation: Option<RotationRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces: Option<KeyId>,
    #[serde(default, with = "exact", skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_used_ip: Option<IpAddr>,
    #[serde(default)]
    use_count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allowed_ips: Option<IpBlocks>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allowed_origins: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rate_limits: Vec<Quota>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credits: Option<CreditState>,
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    metadata: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    version: u64,
}

/// A [`Rotation`] as text.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RotationRow {
    #[serde(with = "exact")]
    rotated_at: Option<Timestamp>,
    replaced_by: KeyId,
}

impl RotationRow {
    fn of(rotation: &Rotation) -> Self {
        Self { rotated_at: Some(rotation.rotated_at), replaced_by: rotation.replaced_by.clone() }
    }

    fn into_rotation(self) -> Rotation {
        Rotation { rotated_at: self.rotated_at.unwrap_or_default(), replaced_by: self.replaced_by }
    }
}

/// Instants to the microsecond, so that a record that is read back is the one that was written.
mod exact {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::clock::Timestamp;

    pub(super) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(Timestamp::exact).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Option::deserialize(deserializer)
    }
}

impl KeyRow {
    /// The row of a record; `None` if its digest may not be stored.
    pub(super) fn of(record: &KeyRecord) -> Option<Self> {
        Some(Self {
            id: record.id.clone(),
            digest: record.digest.to_stored()?,
            name: record.name.clone(),
            start: record.start.clone(),
            end: record.end.clone(),
            prefix: record.prefix.clone(),
            environment: record.environment.clone(),
            realm: record.realm.clone(),
            scopes: record.scopes.clone(),
            owner: record.owner.clone(),
            class: record.class,
            created_at: record.created_at,
            expires_at: record.expires_at,
            disabled: record.disabled,
            revoked_at: record.revoked_at,
            revoked_reason: record.revoked_reason.clone(),
            rotation: record.rotation.as_ref().map(RotationRow::of),
            replaces: record.replaces.clone(),
            last_used_at: record.last_used_at,
            last_used_ip: record.last_used_ip,
            use_count: record.use_count,
            allowed_ips: record.allowed_ips.clone(),
            allowed_origins: record.allowed_origins.clone(),
            rate_limits: record.rate_limits.clone(),
            plan: record.plan.clone(),
            credits: record.credits,
            metadata: record.metadata.clone(),
            version: record.version,
        })
    }

    pub(super) fn into_record(self, source: &'static str) -> Result<KeyRecord, ParseKeyDigestError> {
        let mut record = KeyRecord::new(self.id, self.digest.parse()?);
        record.source = Some(source.into());
        record.name = self.name;
        record.start = self.start;
        record.end = self.end;
        record.prefix = self.prefix;
        record.environment = self.environment;
        record.realm = self.realm;
        record.scopes = self.scopes;
        record.owner = self.owner;
        record.class = self.class;
        record.created_at = self.created_at;
        record.expires_at = self.expires_at;
        record.disabled = self.disabled;
        record.revoked_at = self.revoked_at;
        record.revoked_reason = self.revoked_reason;
        record.rotation = self.rotation.map(RotationRow::into_rotation);
        record.replaces = self.replaces;
        record.last_used_at = self.last_used_at;
        record.last_used_ip = self.last_used_ip;
        record.use_count = self.use_count;
        record.allowed_ips = self.allowed_ips;
        record.allowed_origins = self.allowed_origins;
        record.rate_limits = self.rate_limits;
        record.plan = self.plan;
        record.credits = self.credits;
        record.metadata = self.metadata;
        record.version = self.version;
        Ok(record)
    }
}
