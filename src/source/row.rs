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
    #[serde(default)]
    start: Option<String>,
    #[serde(default)]
    end: Option<String>,
    #[serde(default)]
    prefix: Option<String>,
    #[serde(default)]
    environment: Option<Environment>,
    #[serde(default)]
    realm: Option<Realm>,
    #[serde(default)]
    scopes: ScopeSet,
    #[serde(default)]
    owner: KeyOwner,
    #[serde(default)]
    class: KeyClass,
    #[serde(default)]
    created_at: Option<Timestamp>,
    #[serde(default)]
    expires_at: Option<Timestamp>,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    revoked_at: Option<Timestamp>,
    #[serde(default)]
    revoked_reason: Option<String>,
    #[serde(default)]
    rotation: Option<Rotation>,
    #[serde(default)]
    replaces: Option<KeyId>,
    #[serde(default)]
    last_used_at: Option<Timestamp>,
    #[serde(default)]
    last_used_ip: Option<IpAddr>,
    #[serde(default)]
    use_count: u64,
    #[serde(default)]
    allowed_ips: Option<IpBlocks>,
    #[serde(default)]
    allowed_origins: Option<Vec<String>>,
    #[serde(default)]
    rate_limits: Vec<Quota>,
    #[serde(default)]
    plan: Option<String>,
    #[serde(default)]
    credits: Option<CreditState>,
    #[serde(default)]
    metadata: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    version: u64,
}

impl KeyRow {
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
        record.rotation = self.rotation;
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
