//! A header that says that the request is another one.

use http::{Method, Request};
use tower_api_key::ApiKeyLayer;
use tower_api_key::key::{Scope, ScopeSet};
use tower_api_key::route::Route;

use crate::support::{key_of, memory, record, send};

const NAMES: [&str; 40] = [
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-override-url",
    "x-forwarded-prefix",
    "x-forwarded-path",
    "x-forwarded-uri",
    "x-forwarded-host",
    "x-forwarded-server",
    "x-forwarded-proto",
    "x-forwarded-method",
    "x-forwarded-for",
    "x-forwarded-user",
    "x-forwarded-preferred-username",
    "x-real-ip",
    "x-client-ip",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-middleware-subrequest",
    "x-middleware-invoke",
    "x-middleware-rewrite",
    "x-internal",
    "x-internal-request",
    "x-envoy-internal",
    "x-envoy-original-path",
    "x-auth-request-user",
    "x-authenticated-user",
    "x-remote-user",
    "remote-user",
    "x-user-id",
    "x-key-id",
    "x-identity",
    "x-scopes",
    "x-debug",
    "x-public",
    "forwarded",
    "host",
];

const VALUES: [&str; 16] = [
    "/api/status",
    "http://localhost/api/status",
    "GET",
    "POST",
    "OPTIONS",
    "1",
    "true",
    "admin",
    "127.0.0.1",
    "for=127.0.0.1;host=localhost;proto=https",
    "middleware:middleware:middleware:middleware:middleware",
    "src/middleware:src/middleware:src/middleware:src/middleware:src/middleware",
    "key_admin",
    "*",
    "",
    "/",
];

/// CVE-2025-29927: `x-middleware-subrequest` made a framework skip its middleware, and so its authentication.
#[test]
fn no_header_that_looks_internal_switches_the_gate_off() {
    let key = key_of("live");
    let mut reader = record("key_reader", &key);
    reader.scopes = ScopeSet::from(Scope::from_static("read"));
    let auth = ApiKeyLayer::builder(memory([reader]))
        .public(Method::GET, "/api/status")
        .route(Method::POST, "/v1/keys", Route::new().scopes(Scope::from_static("admin")))
        .allow_preflights()
        .build()
        .unwrap();
    for name in NAMES {
        for value in VALUES {
            let what = (name, value);
            send(&auth, Request::get("/secret").header(name, value)).assert_refused("MISSING_API_KEY", what);
            send(&auth, Request::options("/secret").header(name, value)).assert_refused("MISSING_API_KEY", what);
            send(&auth, Request::post("/api/status").header(name, value)).assert_refused("MISSING_API_KEY", what);
            let keys = Request::post("/v1/keys").header("x-api-key", &key).header(name, value);
            send(&auth, keys).assert_refused("INSUFFICIENT_SCOPE", what);
            // Nor does one close what is open.
            assert!(send(&auth, Request::get("/api/status").header(name, value)).was_let_in(), "{what:?}");
            assert!(send(&auth, Request::get("/v1/keys").header("x-api-key", &key).header(name, value)).was_let_in());
        }
    }
}

/// CVE-2026-39409 and its like: what a stranger writes about where it comes from is not believed.
#[test]
fn a_forged_address_is_not_believed() {
    let (keys, key) = crate::support::one_key();
    let allowlist = tower_api_key::ip::IpAllowlist::parse("10.0.0.1").unwrap();
    let auth = ApiKeyLayer::builder(keys).ip_policy(allowlist).build().unwrap();
    let from = |peer: &str| {
        let peer = tower_api_key::PeerAddr(format!("{peer}:9").parse().unwrap());
        Request::get("/").header("x-api-key", &key).extension(peer)
    };
    assert!(send(&auth, from("10.0.0.1")).was_let_in());
    assert!(send(&auth, from("[::ffff:10.0.0.1]")).was_let_in());
    for name in ["x-forwarded-for", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip", "forwarded"] {
        for value in ["10.0.0.1", "for=10.0.0.1", "10.0.0.1, 192.0.2.1", "::ffff:10.0.0.1"] {
            send(&auth, from("192.0.2.1").header(name, value)).assert_refused("IP_NOT_ALLOWED", (name, value));
            let nowhere = Request::get("/").header("x-api-key", &key).header(name, value);
            send(&auth, nowhere).assert_refused("IP_NOT_ALLOWED", (name, value));
        }
    }
}

/// CVE-2026-31838: only the first of several values was checked, and the service read another.
#[test]
fn an_origin_that_is_sent_twice_is_not_judged_by_its_first_value() {
    let key = key_of("live");
    let mut web = record("key_web", &key);
    web.allowed_origins = Some(vec!["https://app.example.com".into()]);
    let auth = ApiKeyLayer::new(memory([web]));
    let origins = |origins: &[&str]| {
        let request = Request::get("/").header("x-api-key", &key);
        origins.iter().fold(request, |request, origin| request.header("origin", *origin))
    };
    assert!(send(&auth, origins(&["https://app.example.com"])).was_let_in());
    for twice in [
        &["https://app.example.com", "https://evil.example"][..],
        &["https://evil.example", "https://app.example.com"],
        &["https://app.example.com", "https://app.example.com"],
        &["https://app.example.com, https://evil.example"],
        &["https://app.example.com.evil.example"],
        &["https://APP.example.com"],
        &["https://app.example.com/"],
        &["https://app.example.com:443"],
        &["http://app.example.com"],
        &["null"],
        &[""],
        &[],
    ] {
        send(&auth, origins(twice)).assert_refused("ORIGIN_NOT_ALLOWED", twice);
    }
}
