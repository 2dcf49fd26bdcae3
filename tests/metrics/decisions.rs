//! Decisions, stages and errors of backends.

use std::convert::Infallible;

use axum::Router;
use axum::routing::get;
use http::{Method, Request};
use metrics::set_default_local_recorder;
use tower::ServiceExt;
use tower_api_key::key::{KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord, KeyRef, Scope};
use tower_api_key::limit::{Limits, MemoryRateLimiter, Quota};
use tower_api_key::rejection::Rejection;
use tower_api_key::route::Route;
use tower_api_key::source::{KeyScheme, KeySource, KeyStore, Lookup, MemoryKeys, NewKey};
use tower_api_key::{ApiKeyLayer, metrics as names};

use crate::page::{Page, call, exporter};

const DECISIONS: &str = names::DECISIONS;

/// A source that has to be waited for, and has two keys, one from elsewhere, or nothing to say.
struct Slow(bool);

const OWN: &str = "a-key-of-the-slow-source-0123456789abcdef";
const FOREIGN: &str = "a-key-from-elsewhere-0123456789abcdefgh";

impl KeySource for Slow {
    type Error = &'static str;

    fn name(&self) -> &'static str {
        "slow"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        vec![KeyScheme::new(KeyFormat::text(), KeyHasher::sha256())]
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, &'static str> {
        if self.0 {
            return Err("connection refused");
        }
        let record = |id: &str, key: &str| {
            let its = KeyHasher::sha256().digest(key);
            (its == *digest).then(|| KeyRecord::new(KeyId::new(id).unwrap(), its))
        };
        let foreign = record("key_2", FOREIGN).map(|mut record| {
            record.source = Some("elsewhere".into());
            record
        });
        Ok(record("key_1", OWN).or(foreign).map(KeyRef::from))
    }

    fn find_now(&self, _: &KeyDigest) -> Lookup {
        Lookup::Ask
    }
}

#[tokio::test]
async fn each_decision_is_counted_once_by_outcome_reason_and_source() {
    let exporter = exporter();
    let _guard = set_default_local_recorder(&exporter);
    let keys = MemoryKeys::new();
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    let revoked = keys.issue(NewKey::named("r")).await.unwrap();
    keys.revoke(&revoked.record.id, None).await.unwrap();
    let (good, revoked) = (issued.secret.expose_secret(), revoked.secret.expose_secret());
    let limits = Limits::new(MemoryRateLimiter::new()).per_key(Quota::per_hour(5));
    let auth = ApiKeyLayer::builder(keys)
        .limits(limits)
        .public(Method::GET, "/public")
        .route(Method::GET, "/write", Route::new().scopes(Scope::from_static("write")))
        .build()
        .unwrap();

    // All series are there from the start, so that the first event is seen as an increase.
    let start = Page::of(&exporter);
    assert!(start.series().any(|series| series.contains("REVOKED_API_KEY") && series.contains("memory")));
    assert!(start.series().any(|series| series.contains("INVALID_API_KEY") && series.contains("none")));
    assert_eq!(start.sum(DECISIONS, &[]), 0.0);

    let made_up = format!("{}x", "ak_live_made_up".repeat(3));
    for (path, key, status) in [
        ("/", Some(good), 200),
        ("/", Some(good), 200),
        ("/write", Some(good), 403),
        ("/", None, 401),
        ("/", Some(made_up.as_str()), 401),
        ("/", Some(revoked), 401),
        ("/", Some(good), 200),
        ("/", Some(good), 200),
        ("/", Some(good), 429),
        ("/public", None, 200),
    ] {
        assert_eq!(call(&auth, path, key).await, status, "{path}");
    }
    let page = Page::of(&exporter);
    let expected = [
        ("accepted", "api_key", "memory", 4.0),
        ("refused", "INSUFFICIENT_SCOPE", "memory", 1.0),
        ("refused", "MISSING_API_KEY", "none", 1.0),
        ("refused", "INVALID_API_KEY", "none", 1.0),
        ("refused", "REVOKED_API_KEY", "memory", 1.0),
        ("refused", "RATE_LIMITED", "memory", 1.0),
    ];
    for (outcome, reason, source, count) in expected {
        let labels = [("outcome", outcome), ("reason", reason), ("source", source)];
        assert_eq!(page.sum(DECISIONS, &labels), count, "{labels:?}");
    }
    assert_eq!(page.sum(DECISIONS, &[]), 9.0, "a public route is none");
}

#[tokio::test]
async fn what_had_to_wait_is_timed_each_time_and_what_did_not_one_time_in_64() {
    let exporter = exporter();
    let _guard = set_default_local_recorder(&exporter);
    let count = |stage: &str, from: &str| {
        let name = format!("{}_count", names::STAGE_DURATION);
        Page::of(&exporter).sum(&name, &[("stage", stage), ("from", from)])
    };
    let waiting = ApiKeyLayer::new(Slow(false));
    for _ in 0..10 {
        assert_eq!(call(&waiting, "/", Some(OWN)).await, 200);
    }
    assert_eq!((count("source", "backend"), count("decision", "backend")), (10.0, 10.0));
    assert_eq!((count("source", "memory"), count("decision", "memory")), (0.0, 0.0));

    let keys = MemoryKeys::new();
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    let limits = Limits::new(MemoryRateLimiter::new()).per_key(Quota::per_hour(1_000));
    let auth = ApiKeyLayer::builder(keys).limits(limits).build().unwrap();
    for _ in 0..640 {
        assert_eq!(call(&auth, "/", Some(issued.secret.expose_secret())).await, 200);
    }
    for stage in ["source", "limiter", "decision"] {
        assert_eq!(count(stage, "memory"), 10.0, "{stage}");
    }
    // Of the requests that had to wait, the reading of the credential did not.
    assert!((10.0..=11.0).contains(&count("credential", "memory")));
    let sum = format!("{}_sum", names::STAGE_DURATION);
    assert!(Page::of(&exporter).sum(&sum, &[("stage", "decision")]) > 0.0);
}

#[tokio::test]
async fn a_backend_that_fails_is_counted_by_its_name_and_records_keep_their_source() {
    let exporter = exporter();
    let _guard = set_default_local_recorder(&exporter);
    let auth = ApiKeyLayer::new(Slow(true));
    assert_eq!(Page::of(&exporter).sum(names::BACKEND_ERRORS, &[("backend", "slow")]), 0.0);
    assert_eq!(call(&auth, "/", Some(OWN)).await, 503);
    let page = Page::of(&exporter);
    assert_eq!(page.sum(names::BACKEND_ERRORS, &[("backend", "slow")]), 1.0);
    assert_eq!(page.sum(DECISIONS, &[("reason", "AUTH_UNAVAILABLE"), ("source", "none")]), 1.0);

    let auth = ApiKeyLayer::new(Slow(false));
    assert_eq!(call(&auth, "/", Some(FOREIGN)).await, 200);
    assert_eq!(Page::of(&exporter).sum(DECISIONS, &[("outcome", "accepted"), ("source", "elsewhere")]), 1.0);
}

#[tokio::test]
async fn nothing_that_callers_send_or_handlers_say_becomes_a_label() {
    let exporter = exporter();
    let _guard = set_default_local_recorder(&exporter);
    let keys = MemoryKeys::new();
    let issued = keys.issue(NewKey::named("a-name")).await.unwrap();
    let auth = ApiKeyLayer::new(keys);
    let conflict = async || Rejection::new(http::StatusCode::CONFLICT, "A_CODE_OF_THE_HANDLERS", "", "");
    let app = auth.protect(Router::new().route("/handler", get(conflict)));
    let before = Page::of(&exporter).series().count();
    for number in 0..1_000 {
        let request =
            Request::get(format!("/path-{number}?query-{number}")).header("x-api-key", format!("key-{number}"));
        let request = request.header("user-agent", format!("agent-{number}"));
        let response = app.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(response.unwrap_or_else(|never: Infallible| match never {}).status(), 401);
    }
    let request = Request::get("/handler").header("x-api-key", issued.secret.expose_secret());
    let response = app.oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 409);

    let page = Page::of(&exporter);
    let text = format!("{page:?}");
    for text_of_theirs in ["path-", "query-", "key-1", "agent-", "A_CODE", "a-name", issued.record.id.as_str()] {
        assert!(!text.contains(text_of_theirs), "{text_of_theirs}");
    }
    assert_eq!(page.sum(names::HANDLER_REFUSALS, &[("reason", "APPLICATION")]), 1.0);
    assert_eq!(page.sum(DECISIONS, &[("outcome", "refused")]), 1_000.0, "the handler's is not the gate's");
    // Nothing but the first sample of each histogram is new.
    let buckets = names::STAGE_BUCKETS.len() + 3;
    assert!(page.series().count() <= before + 12 * buckets, "{} series", page.series().count());
}
