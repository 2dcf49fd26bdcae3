//! Answers with keys in them.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::precondition::etag;
use super::refusal;
use crate::clock::Timestamp;
use crate::key::{KeyObject, KeyRecord};
use crate::rejection::Rejection;

/// The key object of `record`, and its version as `ETag`.
pub(super) fn key(record: &KeyRecord, now: Timestamp) -> Result<Response, Rejection> {
    let mut response = json(StatusCode::OK, &KeyObject::new(record, now))?;
    response.headers_mut().insert(header::ETAG, etag(record.version));
    Ok(response)
}

/// The same for a key that was just made, with its secret.
pub(super) fn issued(record: &KeyRecord, secret: &str, now: Timestamp) -> Result<Response, Rejection> {
    made(
        StatusCode::CREATED,
        Issued { object: KeyObject::new(record, now), key: Some(secret), key_note: None },
        record.version,
    )
}

/// Why the answer to a repeated call has no secret.
pub(super) const NOTE: &str = "The key was shown when it was made, and is not kept";

/// What a repeated call is answered with: the key that the first one made, without its secret.
pub(super) fn repeated(record: &KeyRecord, now: Timestamp) -> Result<Response, Rejection> {
    made(
        StatusCode::OK,
        Issued { object: KeyObject::new(record, now), key: None, key_note: Some(NOTE) },
        record.version,
    )
}

/// A key object with the secret, or with why there is none.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Issued<'a> {
    #[serde(flatten)]
    object: KeyObject<'a>,
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_note: Option<&'static str>,
}

fn made(status: StatusCode, issued: Issued<'_>, version: u64) -> Result<Response, Rejection> {
    let mut response = json(status, &issued)?;
    response.headers_mut().insert(header::ETAG, etag(version));
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
