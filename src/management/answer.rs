//! Answers with keys in them.

use std::net::IpAddr;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

use super::precondition::etag;
use super::refusal;
use crate::clock::Timestamp;
use crate::ip::IpBlocks;
use crate::key::{Environment, KeyId, KeyOwner, KeyRecord, KeyState, ScopeSet};
use crate::limit::Quota;
use crate::rejection::Rejection;

/// A key as callers see it: without digest and secret.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyObject<'a> {
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
    pub(super) fn new(record: &'a KeyRecord, now: Timestamp) -> Self {
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

/// The key object of `record`, and its version as `ETag`.
pub(super) fn key(record: &KeyRecord, now: Timestamp) -> Result<Response, Rejection> {
    let mut response = json(StatusCode::OK, &KeyObject::new(record, now))?;
    response.headers_mut().insert(header::ETAG, etag(record.version));
    Ok(response)
}

/// The same for a key that was just made, with its secret.
pub(super) fn issued(record: &KeyRecord, secret: &str, now: Timestamp) -> Result<Response, Rejection> {
    #[derive(Serialize)]
    struct Issued<'a> {
        #[serde(flatten)]
        object: KeyObject<'a>,
        key: &'a str,
    }
    let object = KeyObject::new(record, now);
    let mut response = json(StatusCode::CREATED, &Issued { object, key: secret })?;
    response.headers_mut().insert(header::ETAG, etag(record.version));
    Ok(response)
}

/// JSON that no cache keeps.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Result<Response, Rejection> {
    let text = serde_json::to_vec(value).map_err(|error| refusal::unwritable(&error))?;
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
