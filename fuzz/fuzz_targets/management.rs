//! Calls of the management API with bodies and queries out of any bytes, by a key with limits: it never breaks, and makes
//! no key that is stronger than itself.

#![no_main]

use std::sync::LazyLock;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Request, Uri, header};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;
use tower_api_key::ApiKeyLayer;
use tower_api_key::clock::Timestamp;
use tower_api_key::ip::IpBlocks;
use tower_api_key::key::{Environment, KeyFormat, KeyHasher, KeyId, KeyRecord, Scope, ScopeSet};
use tower_api_key::management::{Management, ROUTES};
use tower_api_key::source::MemoryKeys;

const KEY: &str = "ak_live_0123456789abcdefghijABCDEFGHIJ0123000000";
const END: i64 = 4_000_000_000;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_all().build().unwrap());

fn record(id: &'static str, key: &str, scopes: [&'static str; 2]) -> KeyRecord {
    let mut record = KeyRecord::new(KeyId::from_static(id), KeyHasher::sha256().digest(key));
    record.scopes = scopes.map(Scope::from_static).into_iter().collect::<ScopeSet>();
    record.environment = Some(Environment::LIVE);
    record.expires_at = Some(Timestamp::from_unix_seconds(END));
    record.allowed_ips = Some(IpBlocks::parse("10.0.0.0/8").unwrap());
    record
}

fn app() -> Router {
    let keys = MemoryKeys::builder().add_format(KeyFormat::text()).build();
    let mut maker = record("key_maker", KEY, ["admin", "read"]);
    maker.allowed_ips = None;
    keys.insert(maker).unwrap();
    keys.insert(record("key_other", "another-key-of-somebody-else-altogether", ["read", "write"])).unwrap();
    let auth = ApiKeyLayer::builder(keys.clone()).build().unwrap();
    Router::new().nest("/keys", Management::new(keys).router()).layer(auth)
}

async fn call(app: &Router, request: Request<Body>) -> (u16, Value) {
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fuzz_target!(|data: &[u8]| {
    let Some((which, rest)) = data.split_first() else { return };
    let endpoint = &ROUTES[usize::from(*which) % ROUTES.len()];
    let (query, body) =
        rest.iter().position(|byte| *byte == b'\n').map_or((&b""[..], rest), |at| (&rest[..at], &rest[at + 1..]));
    let Ok(query) = std::str::from_utf8(query) else { return };
    let path = endpoint.path.replace("{key_id}", "key_other");
    let Ok(uri) = Uri::try_from(format!("/keys{}?{query}", path.trim_end_matches('/'))) else { return };
    let request = |key: Option<&str>| {
        let request = Request::builder().method(endpoint.method.clone()).uri(uri.clone());
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let request = key.into_iter().fold(request, |request, key| request.header("x-api-key", key));
        request.body(Body::from(body.to_vec())).unwrap()
    };
    RUNTIME.block_on(async {
        let app = app();
        let (status, told) = call(&app, request(None)).await;
        assert_eq!(status, 401, "{told}");
        let (status, told) = call(&app, request(Some(KEY))).await;
        assert!(status < 500 && status != 401, "{status} {told}");
        if status == 201 {
            let scopes = told["scopes"].as_array().expect("a key has scopes");
            assert!(scopes.iter().all(|scope| scope == "admin" || scope == "read"), "{told}");
            let end: Timestamp = told["expiresAt"].as_str().expect("it ends with its maker").parse().unwrap();
            assert!(end <= Timestamp::from_unix_seconds(END), "{told}");
            assert_eq!(told["environment"], "live");
            assert!(told["owner"]["user"].is_null() && told["owner"]["organization"].is_null(), "{told}");
        }
    });
});
