//! What callers of the API are refused with.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::Value;

use crate::rejection::{Rejection, RejectionReason};
use crate::source::KeyLifeRefusal;

pub(super) fn malformed(message: &'static str) -> Rejection {
    Rejection::new(StatusCode::BAD_REQUEST, "MALFORMED_REQUEST", "Malformed request", message)
}

pub(super) fn too_large() -> Rejection {
    let message = "The body of the request is too large; send at most 64 KiB";
    Rejection::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", "Payload too large", message)
}

pub(super) fn unsupported_media_type() -> Rejection {
    let message = "Send the body as application/json";
    Rejection::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", "Unsupported media type", message)
}

/// `problems`: the reason for each field that is invalid or unknown.
pub(super) fn invalid(problems: BTreeMap<String, String>) -> Rejection {
    let message = "The request has fields that are invalid or unknown";
    let fields: Value = problems.into_iter().collect();
    Rejection::new(StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_FAILED", "Validation failed", message)
        .detail("fields", fields)
}

/// `problems`: the reason for each field that asks for more than the caller may give.
pub(super) fn beyond(problems: &BTreeMap<&str, &str>) -> Rejection {
    let fields: Value = problems.iter().map(|(name, reason)| (*name, *reason)).collect();
    let message = "A key cannot be given more than its maker may give";
    Rejection::new(StatusCode::FORBIDDEN, "FORBIDDEN", "Forbidden", message).detail("fields", fields)
}

pub(super) fn no_such_key() -> Rejection {
    Rejection::new(StatusCode::NOT_FOUND, "KEY_NOT_FOUND", "API key not found", "There is no such API key")
}

pub(super) fn outdated() -> Rejection {
    let message = "The API key has changed since; read it again";
    Rejection::new(StatusCode::PRECONDITION_FAILED, "PRECONDITION_FAILED", "Precondition failed", message)
}

/// What the key is does not allow the call.
pub(super) fn conflict(message: &'static str) -> Rejection {
    Rejection::new(StatusCode::CONFLICT, "CONFLICT", "Conflict", message)
}

/// The `Idempotency-Key` was sent with another request already.
pub(super) fn key_reused() -> Rejection {
    invalid(BTreeMap::from([("Idempotency-Key".to_owned(), "was sent with another body".to_owned())]))
}

/// The life that was asked for in `field` is too short or too long for the store.
pub(super) fn life(field: &str, refusal: KeyLifeRefusal) -> Rejection {
    invalid(BTreeMap::from([(field.to_owned(), refusal.to_string())]))
}

pub(super) fn no_such_call() -> Rejection {
    Rejection::new(StatusCode::NOT_FOUND, "NOT_FOUND", "Not found", "There is nothing at this path")
}

pub(super) fn method_not_allowed() -> Rejection {
    let message = "This path does not take this method";
    Rejection::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "Method not allowed", message)
}

/// More requests are under way than can be told apart.
pub(super) fn busy() -> Rejection {
    RejectionReason::Unavailable { retry_after: std::time::Duration::from_secs(1) }.into()
}

/// A call that did not come to its end: the store has panicked.
pub(super) fn broken(error: &tokio::task::JoinError) -> Rejection {
    tracing::error!(target: "tower_api_key::store", %error, "a call was not brought to an end");
    internal("The call was not brought to an end")
}

/// An answer that does not go into JSON. None of ours can do that, and a store's metadata is JSON already.
pub(super) fn unwritable(error: &serde_json::Error) -> Rejection {
    tracing::error!(target: "tower_api_key::store", %error, "an answer could not be written");
    internal("The answer could not be written")
}

pub(super) fn internal(message: &'static str) -> Rejection {
    Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "Internal error", message)
}
