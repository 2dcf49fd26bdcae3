//! What the layer adds to every call behind it.

use http::Method;
use std::time::Duration;

use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::{OpenApi, PathItem, RefOr};

use super::examples;
use super::security::Schemes;
use crate::authenticate::Gate;
use crate::clock::Timestamp;
use crate::key::{KeyId, Scope};
use crate::layer::ApiKeyLayer;
use crate::rejection::{Rejection, RejectionReason};

/// Adds to a document what `auth` is to its calls: the security schemes, which of them and which scopes a call needs, and
/// the refusals, with examples in the layer's style. Public routes stay as they are, and so does what the document says
/// of these already.
pub fn guard(document: &mut OpenApi, auth: &ApiKeyLayer) {
    let gate = &*auth.gate;
    let schemes = Schemes::of(gate);
    let responses = examples::responses(gate, refusals(gate));
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            let Some(needed) = schemes.requirements(gate, &method, path) else { continue };
            operation.security.get_or_insert(needed);
            for (status, response) in &responses {
                let known = &mut operation.responses.responses;
                known.entry(status.clone()).or_insert_with(|| RefOr::T(response.clone()));
            }
        }
    }
    let components = document.components.get_or_insert_default();
    for (name, scheme) in schemes.all() {
        components.security_schemes.entry(name).or_insert(RefOr::T(scheme));
    }
}

/// Every refusal of the gate itself.
pub(super) fn refusals(gate: &Gate) -> Vec<Rejection> {
    use RejectionReason as Why;
    let key_id = KeyId::from_static("key_2vR8mQ1xT7nB4kLw");
    let retry_after = Duration::from_secs(30);
    let mut reasons = vec![
        Why::MissingKey,
        Why::InvalidKey,
        Why::AmbiguousCredentials,
        Why::RevokedKey { key_id: key_id.clone() },
        Why::DisabledKey { key_id },
        Why::ExpiredKey { expired_at: Timestamp::from_unix_seconds(1_768_413_600) },
        Why::IpNotAllowed,
        Why::OriginNotAllowed,
        Why::InsufficientScope {
            required: Scope::from_static("write").into(),
            granted: [Scope::from_static("read")].into(),
        },
        Why::Forbidden,
        Why::RateLimited { limit: 100, period: Duration::from_secs(3_600), retry_after },
        Why::UsageExceeded { retry_after: Some(retry_after) },
        Why::TooManyFailures { retry_after },
        Why::Unavailable { retry_after: gate.unavailable_for },
    ];
    if !gate.sessions.is_empty() {
        reasons.extend([Why::InvalidSession, Why::InvalidUserToken, Why::MissingUserToken, Why::OrganizationMismatch]);
    }
    if !gate.sessions.is_empty() || gate.credentials.reads_cookies() {
        reasons.push(Why::CrossSiteRequest);
    }
    reasons.into_iter().map(Rejection::from).collect()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = item;
    let all = [
        (Method::GET, get),
        (Method::PUT, put),
        (Method::POST, post),
        (Method::DELETE, delete),
        (Method::OPTIONS, options),
        (Method::HEAD, head),
        (Method::PATCH, patch),
        (Method::TRACE, trace),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The method as OpenAPI names it.
pub(super) fn method(method: &Method) -> Option<HttpMethod> {
    Some(match *method {
        Method::GET => HttpMethod::Get,
        Method::PUT => HttpMethod::Put,
        Method::POST => HttpMethod::Post,
        Method::DELETE => HttpMethod::Delete,
        Method::OPTIONS => HttpMethod::Options,
        Method::HEAD => HttpMethod::Head,
        Method::PATCH => HttpMethod::Patch,
        Method::TRACE => HttpMethod::Trace,
        _ => return None,
    })
}
