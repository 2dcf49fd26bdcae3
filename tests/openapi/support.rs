//! An API to describe, and a server for those who call it over a socket.

use axum::Router;
use http::Method;
use serde_json::Value;
use tower_api_key::audit::{AuditTrail, MemoryAudit};
use tower_api_key::key::Scope;
use tower_api_key::management::{Management, openapi};
use tower_api_key::rejection::Style;
use tower_api_key::source::{KeySource, KeyStore, MemoryKeys, NewKey};
use tower_api_key::{ApiKeyLayer, ApiKeyLayerBuilder};

pub(crate) fn layer(keys: &MemoryKeys, set: impl FnOnce(ApiKeyLayerBuilder) -> ApiKeyLayerBuilder) -> ApiKeyLayer {
    set(ApiKeyLayer::builder(keys.clone())).build().unwrap()
}

/// The document of the API as it comes, in this style.
pub(crate) fn document(style: Style) -> Value {
    let keys = MemoryKeys::new();
    let auth = layer(&keys, |builder| builder.style(style));
    serde_json::to_value(Management::new(keys).openapi(&auth, "/v1/keys")).unwrap()
}

/// Where the whole of it is served until the runtime ends, and the key that manages all keys.
pub(crate) async fn serve(style: Style) -> (String, String) {
    // Not among the keys that it manages, so that nobody revokes it.
    let operators = MemoryKeys::new();
    let (admin, read) = (Scope::from_static("admin"), Scope::from_static("read"));
    let first = operators.issue(NewKey::named("first").scopes([admin, read])).await.unwrap();
    let keys = MemoryKeys::new();
    let builder = ApiKeyLayer::builder(operators.or(keys.clone())).style(style).public(Method::GET, "/openapi.json");
    let builder = builder.public(Method::GET, "/docs").public(Method::GET, "/docs/{*rest}");
    let auth = builder.build().unwrap();
    let management = Management::new(keys).audit(AuditTrail::new(MemoryAudit::new()));
    let document = management.openapi(&auth, "/v1/keys");
    let app = Router::new()
        .merge(openapi::router("/openapi.json", &document))
        .nest("/docs", openapi::docs_page(&document))
        .nest("/v1/keys", management.router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, auth.protect(app)).await });
    (format!("http://{address}"), first.secret.expose_secret().to_owned())
}

pub(crate) fn wanted() -> bool {
    std::env::var_os("TEST_SERVICES").is_some_and(|value| value == "1")
}
