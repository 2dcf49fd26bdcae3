//! What is shown of a key.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Environment, KeyId, KeyOwner, KeyRecord, KeyState, ScopeSet};
use crate::clock::Timestamp;
use crate::ip::IpBlocks;
use crate::limit::Quota;

/// A key as people and programs see it: without digest and secret. What the management API answers with, and what the
/// command line prints by `--json`.
///
/// ```
/// use tower_api_key::clock::Timestamp;
/// use tower_api_key::key::{KeyHasher, KeyId, KeyObject, KeyRecord};
///
/// let record = KeyRecord::new(KeyId::from_static("key_1"), KeyHasher::sha256().digest("secret"));
/// let object = serde_json::to_value(KeyObject::new(&record, Timestamp::UNIX_EPOCH))?;
/// assert_eq!(object["state"], "active");
/// assert!(object.get("digest").is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyObject<'a> {
    id: &'a KeyId,
    name: &'a str,
    start: Option<&'a str>,
    masked: String,
    prefix: Option<&'a str>,
    environment: Option<&'a Environment>,
    scopes: &'a ScopeSet,
    owner: &'a KeyOwner,
    state: KeyState,
    created_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    revoked_reason: Option<&'a str>,
    last_used_at: Option<Timestamp>,
    last_used_ip: Option<IpAddr>,
    use_count: u64,
    allowed_ips: Option<&'a IpBlocks>,
    allowed_origins: Option<&'a [String]>,
    rate_limits: &'a [Quota],
    metadata: &'a Map<String, Value>,
    replaces: Option<&'a KeyId>,
    replaced_by: Option<&'a KeyId>,
}

impl<'a> KeyObject<'a> {
    /// What is shown of `record`, in the state that it has at `now`.
    pub fn new(record: &'a KeyRecord, now: Timestamp) -> Self {
        Self {
            id: &record.id,
            name: &record.name,
            start: record.start.as_deref(),
            masked: record.masked(),
            prefix: record.prefix.as_deref(),
            environment: record.environment.as_ref(),
            scopes: &record.scopes,
            owner: &record.owner,
            state: record.state(now),
            created_at: record.created_at,
            expires_at: record.expires_at,
            revoked_at: record.revoked_at,
            revoked_reason: record.revoked_reason.as_deref(),
            last_used_at: record.last_used_at,
            last_used_ip: record.last_used_ip,
            use_count: record.use_count,
            allowed_ips: record.allowed_ips.as_ref(),
            allowed_origins: record.allowed_origins.as_deref(),
            rate_limits: &record.rate_limits,
            metadata: &record.metadata,
            replaces: record.replaces.as_ref(),
            replaced_by: record.rotation.as_ref().map(|rotation| &rotation.replaced_by),
        }
    }
}
