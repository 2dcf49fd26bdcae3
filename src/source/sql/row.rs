//! A record as a row of a table.
//!
//! What lists are narrowed and sorted by, what decides whether a key is let in, and what counts up has a column of its
//! own, so that a person with a database client can read it and change it. The rest is one column of JSON. Nothing is
//! kept twice.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sqlx::{ColumnIndex, Decode, Row, Type};

use super::database::Value;
use super::error::SqlKeysError;
use crate::clock::Timestamp;
use crate::ip::IpBlocks;
use crate::key::{Environment, KeyClass, KeyId, KeyRecord, Realm, Rotation, ScopeSet};
use crate::limit::Quota;
use crate::limit::credits::CreditState;

/// The columns, in the order in which [`StoredRow`] reads them and [`values`] writes them. Instants are microseconds since
/// 1970-01-01T00:00:00Z.
pub(super) const COLUMNS: [&str; 17] = [
    "id",
    "digest",
    "name",
    "key_start",
    "user_id",
    "organization_id",
    "created_at",
    "expires_at",
    "disabled",
    "revoked_at",
    "rotated_at",
    "replaced_by",
    "last_used_at",
    "last_used_ip",
    "use_count",
    "version",
    "details",
];

/// What has no column of its own. An unknown field is an error, since it may be a restriction.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Details {
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
    class: KeyClass,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces: Option<KeyId>,
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
}

/// The values of a record, in the order of [`COLUMNS`].
pub(super) fn values(record: &KeyRecord) -> Result<Vec<Value>, SqlKeysError> {
    let owner = &record.owner;
    Ok(vec![
        Value::text(&record.id),
        digest(record)?,
        Value::text(&record.name),
        Value::optional(record.start.as_ref()),
        Value::optional(owner.user.as_ref()),
        Value::optional(owner.organization.as_ref()),
        instant(record.created_at),
        instant(record.expires_at),
        Value::Flag(record.disabled),
        instant(record.revoked_at),
        instant(record.rotation.as_ref().map(|rotation| rotation.rotated_at)),
        Value::optional(record.rotation.as_ref().map(|rotation| &rotation.replaced_by)),
        instant(record.last_used_at),
        Value::optional(record.last_used_ip),
        count(record.use_count),
        count(record.version),
        Value::Text(Some(details(record)?)),
    ])
}

/// An instant as it stands in its column.
pub(super) fn instant(time: Option<Timestamp>) -> Value {
    Value::Integer(time.map(Timestamp::unix_micros))
}

/// A count as it stands in its column; what is beyond 2⁶³ stays there.
pub(super) fn count(count: u64) -> Value {
    Value::Integer(Some(i64::try_from(count).unwrap_or(i64::MAX)))
}

/// A digest as it stands in its column.
pub(super) fn digest(record: &KeyRecord) -> Result<Value, SqlKeysError> {
    let stored = record.digest.to_stored().ok_or_else(|| SqlKeysError::Unstorable { id: record.id.clone() })?;
    Ok(Value::text(stored))
}

/// What has no column of its own, as the text of its column.
pub(super) fn details(record: &KeyRecord) -> Result<String, SqlKeysError> {
    let details = Details {
        end: record.end.clone(),
        prefix: record.prefix.clone(),
        environment: record.environment.clone(),
        realm: record.realm.clone(),
        scopes: record.scopes.clone(),
        class: record.class,
        revoked_reason: record.revoked_reason.clone(),
        replaces: record.replaces.clone(),
        allowed_ips: record.allowed_ips.clone(),
        allowed_origins: record.allowed_origins.clone(),
        rate_limits: record.rate_limits.clone(),
        plan: record.plan.clone(),
        credits: record.credits,
        metadata: record.metadata.clone(),
    };
    serde_json::to_string(&details).map_err(|_| SqlKeysError::Unstorable { id: record.id.clone() })
}

/// A row as the database gives it out, of which nothing is believed yet.
#[allow(missing_debug_implementations, reason = "it has a digest")]
pub struct StoredRow {
    id: String,
    digest: String,
    name: String,
    key_start: Option<String>,
    user_id: Option<String>,
    organization_id: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
    disabled: bool,
    revoked_at: Option<i64>,
    rotated_at: Option<i64>,
    replaced_by: Option<String>,
    last_used_at: Option<i64>,
    last_used_ip: Option<String>,
    use_count: i64,
    version: i64,
    details: String,
}

impl StoredRow {
    /// Reads the columns of [`COLUMNS`].
    pub(super) fn read<R>(row: &R) -> Result<Self, sqlx::Error>
    where
        R: Row,
        usize: ColumnIndex<R>,
        for<'r> String: Decode<'r, R::Database> + Type<R::Database>,
        for<'r> Option<String>: Decode<'r, R::Database> + Type<R::Database>,
        for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
        for<'r> Option<i64>: Decode<'r, R::Database> + Type<R::Database>,
        for<'r> bool: Decode<'r, R::Database> + Type<R::Database>,
    {
        Ok(Self {
            id: row.try_get(0)?,
            digest: row.try_get(1)?,
            name: row.try_get(2)?,
            key_start: row.try_get(3)?,
            user_id: row.try_get(4)?,
            organization_id: row.try_get(5)?,
            created_at: row.try_get(6)?,
            expires_at: row.try_get(7)?,
            disabled: row.try_get(8)?,
            revoked_at: row.try_get(9)?,
            rotated_at: row.try_get(10)?,
            replaced_by: row.try_get(11)?,
            last_used_at: row.try_get(12)?,
            last_used_ip: row.try_get(13)?,
            use_count: row.try_get(14)?,
            version: row.try_get(15)?,
            details: row.try_get(16)?,
        })
    }

    /// The record, if every column makes sense. What makes none is never read as a key without that restriction.
    pub(super) fn into_record(self, source: Cow<'static, str>) -> Result<KeyRecord, SqlKeysError> {
        let broken = |column| SqlKeysError::BrokenRow { id: shown(&self.id), column };
        let digest = self.digest.parse().map_err(|_| broken("digest"))?;
        let mut record = KeyRecord::new(self.id.parse().map_err(|_| broken("id"))?, digest);
        // An error of the parser could quote what stands there.
        let details: Details = serde_json::from_str(&self.details).map_err(|_| broken("details"))?;
        record.rotation = match (self.rotated_at, &self.replaced_by) {
            (Some(at), Some(by)) => {
                let replaced_by = by.parse().map_err(|_| broken("replaced_by"))?;
                Some(Rotation { rotated_at: Timestamp::from_unix_micros(at), replaced_by })
            }
            (None, None) => None,
            _ => return Err(broken("replaced_by")),
        };
        record.owner.user = parsed(self.user_id.as_ref()).map_err(|()| broken("user_id"))?;
        record.owner.organization = parsed(self.organization_id.as_ref()).map_err(|()| broken("organization_id"))?;
        record.last_used_ip = parsed::<IpAddr>(self.last_used_ip.as_ref()).map_err(|()| broken("last_used_ip"))?;
        record.use_count = u64::try_from(self.use_count).map_err(|_| broken("use_count"))?;
        record.version = u64::try_from(self.version).map_err(|_| broken("version"))?;
        record.source = Some(source);
        record.name = self.name;
        record.start = self.key_start;
        record.created_at = Some(Timestamp::from_unix_micros(self.created_at));
        record.expires_at = self.expires_at.map(Timestamp::from_unix_micros);
        record.disabled = self.disabled;
        record.revoked_at = self.revoked_at.map(Timestamp::from_unix_micros);
        record.last_used_at = self.last_used_at.map(Timestamp::from_unix_micros);
        details.apply(&mut record);
        Ok(record)
    }
}

impl Details {
    fn apply(self, record: &mut KeyRecord) {
        record.end = self.end;
        record.prefix = self.prefix;
        record.environment = self.environment;
        record.realm = self.realm;
        record.scopes = self.scopes;
        record.class = self.class;
        record.revoked_reason = self.revoked_reason;
        record.replaces = self.replaces;
        record.allowed_ips = self.allowed_ips;
        record.allowed_origins = self.allowed_origins;
        record.rate_limits = self.rate_limits;
        record.plan = self.plan;
        record.credits = self.credits;
        record.metadata = self.metadata;
    }
}

fn parsed<T: std::str::FromStr>(text: Option<&String>) -> Result<Option<T>, ()> {
    text.map(|text| text.parse().map_err(|_| ())).transpose()
}

/// An id for the log: what is no id may be anything.
fn shown(id: &str) -> String {
    id.parse::<KeyId>().map_or_else(|_| "?".to_owned(), |id| id.to_string())
}
