//! Whether the pages on troubleshooting have every code that the crate can answer with, and the bodies that it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_api_key::clock::Timestamp;
use tower_api_key::key::{KeyId, Scope, ScopeRequirement, ScopeSet};
use tower_api_key::rejection::{Rejection, RejectionReason};
use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
use tower_api_key::{ApiKeyLayer, management};

use super::pattern;

const PAGES: [&str; 2] = ["docs/guide/troubleshooting.md", "docs/guide/troubleshooting-management.md"];

/// What a page says of a code.
struct Entry {
    status: u16,
    body: String,
}

/// Entries begin with a line such as ``### `FORBIDDEN`, 403``, and the body follows in backticks.
fn entries() -> BTreeMap<String, Entry> {
    let mut entries = BTreeMap::new();
    for page in PAGES {
        let text = super::read(super::root().join(page));
        for section in text.split("\n### `").skip(1) {
            let (code, rest) = section.split_once("`, ").expect("a status stands behind the code");
            let status = rest[..3].parse().expect("a status is a number");
            let body = rest.lines().find_map(|line| line.strip_prefix('`')?.strip_suffix('`'));
            let body = body.unwrap_or_else(|| panic!("{code} has no body")).to_owned();
            assert!(entries.insert(code.to_owned(), Entry { status, body }).is_none(), "{code} stands there twice");
        }
    }
    entries
}

/// The codes that stand in the source: those of [`RejectionReason`], and those that [`Rejection::new`] is given.
fn codes() -> BTreeSet<String> {
    let reasons = super::read(super::root().join("src/rejection/mod.rs"));
    let (_, rest) = reasons.split_once("pub fn code(&self) -> &'static str {\n        match self {").unwrap();
    let (matched, _) = rest.split_once("Self::Other").unwrap();
    let mut codes: BTreeSet<_> = literals(matched).map(str::to_owned).collect();
    for file in super::files_below(&super::root().join("src"), "rs") {
        let source = super::read(&file);
        let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code: String = lines.flat_map(|line| [line, "\n"]).collect();
        codes.extend(code.split("Rejection::new(").skip(1).filter_map(|call| Some(literals(call).next()?.to_owned())));
    }
    codes
}

/// The literals of a source that are written as codes are.
fn literals(source: &str) -> impl Iterator<Item = &str> {
    let is_code = |text: &&str| text.len() > 3 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    source.split('"').filter(is_code)
}

#[test]
fn every_code_is_explained_and_no_other() {
    let (codes, explained) = (codes(), entries().into_keys().collect::<BTreeSet<_>>());
    assert!(codes.len() > 25, "codes are not found in the source: {codes:?}");
    let missing: Vec<_> = codes.difference(&explained).collect();
    assert!(missing.is_empty(), "no entry explains {missing:?}");
    let invented: Vec<_> = explained.difference(&codes).collect();
    assert!(invented.is_empty(), "nothing answers with {invented:?}");
}

/// A layer over one key, and that key.
async fn gate() -> (ApiKeyLayer, MemoryKeys, String) {
    let keys = MemoryKeys::new();
    let issued = keys.issue(NewKey::named("first").scopes([Scope::from_static("admin")])).await.unwrap();
    (ApiKeyLayer::new(keys.clone()), keys, issued.secret.expose_secret().to_owned())
}

fn check(entries: &BTreeMap<String, Entry>, code: &str, status: StatusCode, body: &str) {
    let entry = entries.get(code).unwrap_or_else(|| panic!("no entry explains {code}"));
    assert_eq!(entry.status, status.as_u16(), "{code}");
    assert!(pattern::matches(&entry.body, body), "{code}: the page shows\n{}\nand callers see\n{body}", entry.body);
}

#[tokio::test]
async fn bodies_of_the_gate_are_what_callers_see() {
    let retry_after = Duration::from_secs(30);
    let write = Scope::from_static("write");
    let (required, granted) = (ScopeRequirement::from(write), ScopeSet::from([Scope::from_static("read")]));
    let key_id = KeyId::from_static("key_2fC9sKq7XbT4mWzR8vYh");
    let reasons = [
        RejectionReason::MissingKey,
        RejectionReason::InvalidKey,
        RejectionReason::AmbiguousCredentials,
        RejectionReason::RevokedKey { key_id: key_id.clone() },
        RejectionReason::DisabledKey { key_id },
        RejectionReason::ExpiredKey { expired_at: Timestamp::from_unix_seconds(1_768_413_600) },
        RejectionReason::InvalidSession,
        RejectionReason::InvalidUserToken,
        RejectionReason::MissingUserToken,
        RejectionReason::IpNotAllowed,
        RejectionReason::OriginNotAllowed,
        RejectionReason::InsufficientScope { required, granted },
        RejectionReason::OrganizationMismatch,
        RejectionReason::CrossSiteRequest,
        RejectionReason::RateLimited { limit: 100, period: Duration::from_secs(3_600), retry_after },
        RejectionReason::UsageExceeded { retry_after: None },
        RejectionReason::TooManyFailures { retry_after },
        RejectionReason::Unavailable { retry_after: Duration::from_secs(1) },
        RejectionReason::Forbidden,
        RejectionReason::NotConfigured,
    ];
    let (entries, (auth, _, key)) = (entries(), gate().await);
    for reason in reasons {
        let code = reason.code();
        let rejection = Rejection::from(reason);
        let inner =
            service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(rejection.clone().into_response()));
        let request = Request::get("/").header("x-api-key", &key).body(()).unwrap();
        let (parts, body) = auth.layer(inner).oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        check(&entries, code, parts.status, std::str::from_utf8(&body).unwrap());
    }
}

#[tokio::test]
async fn bodies_of_the_management_api_are_what_callers_see() {
    let (entries, (auth, keys, key)) = (entries(), gate().await);
    let made = keys.issue(NewKey::named("ci")).await.unwrap();
    let (id, large) = (made.record.id.clone(), "x".repeat(70_000));
    let app = auth.protect(axum::Router::new().nest("/v1/keys", management::router(keys)));
    let json = ("content-type", "application/json");
    for (code, method, path, header, body) in [
        ("MALFORMED_REQUEST", "POST", "/v1/keys".to_owned(), json, "{"),
        ("PAYLOAD_TOO_LARGE", "POST", "/v1/keys".to_owned(), json, &large),
        ("UNSUPPORTED_MEDIA_TYPE", "POST", "/v1/keys".to_owned(), ("content-type", "text/plain"), "{}"),
        ("VALIDATION_FAILED", "POST", "/v1/keys".to_owned(), json, r#"{"name":"ci","scope":"read"}"#),
        ("KEY_NOT_FOUND", "GET", "/v1/keys/key_of_nobody".to_owned(), json, ""),
        ("NOT_FOUND", "GET", format!("/v1/keys/{id}/secret"), json, ""),
        ("METHOD_NOT_ALLOWED", "PUT", "/v1/keys".to_owned(), json, ""),
        ("PRECONDITION_FAILED", "PATCH", format!("/v1/keys/{id}"), ("if-match", "\"99\""), r#"{"name":"new"}"#),
        ("", "POST", format!("/v1/keys/{id}/rotate"), json, "{}"),
        ("CONFLICT", "POST", format!("/v1/keys/{id}/rotate"), json, "{}"),
    ] {
        let request = Request::builder().method(method).uri(path).header("x-api-key", &key).header(header.0, header.1);
        let request = if header.0 == json.0 { request } else { request.header(json.0, json.1) };
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        if parts.status == StatusCode::METHOD_NOT_ALLOWED {
            assert!(parts.headers.contains_key("allow"), "the page says that `Allow` names the methods");
        }
        if code.is_empty() {
            assert_eq!(parts.status, StatusCode::CREATED);
        } else {
            check(&entries, code, parts.status, std::str::from_utf8(&body).unwrap());
        }
    }
}
