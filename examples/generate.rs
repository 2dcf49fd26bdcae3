//! Keys with scopes and environments, and the router that manages them.
//!
//! ```sh
//! ADMIN_API_KEY=an-admin-key-of-at-least-32-characters cargo run --example generate --features management
//! curl -H 'Authorization: Bearer an-admin-key-of-at-least-32-characters' \
//!      --json '{"name":"ci","scopes":["read"]}' http://127.0.0.1:3000/v1/keys        # 201, the key this once
//! curl -H 'Authorization: Bearer ak_live_…' --json '{"prompt":"hello"}' http://127.0.0.1:3000/v1/generate
//! curl -X PUT -H 'Authorization: Bearer ak_live_…' --json '{}' http://127.0.0.1:3000/v1/resources/1   # 403
//! curl -H 'Authorization: Bearer an-admin-key-of-at-least-32-characters' http://127.0.0.1:3000/v1/keys
//! ```
//!
//! `API_ENVIRONMENT` (`live`, `test`) is the one whose keys this server takes and makes, `API_RATE_LIMIT` how often a key
//! may call in an hour, 100 by default. `DATA_DIR` is the folder of `keys.json`, which keeps the digests of keys that were
//! made, and when and how often they were used; the working directory by default. `AUDIT_DIR` is that of `audit.jsonl`, which
//! tells who did what; `DATA_DIR` by default. A key that is used at an age of more than 90 days is named in the log, once a
//! day.
//!
//! Built with the feature `metrics`, and with `METRICS_PORT` set, it serves what Prometheus scrapes at
//! `http://127.0.0.1:<METRICS_PORT>/metrics`: on a port of its own, which the outside does not reach.

mod support;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use axum::extract::Path as Segment;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::Method;
use serde_json::{Value, json};
use tower_api_key::audit::{AuditTrail, JsonLinesAudit};
use tower_api_key::credential::CredentialLocation;
use tower_api_key::key::{Environment, KeyClass, Scope, ScopeHierarchy};
use tower_api_key::limit::{Limits, MemoryRateLimiter};
use tower_api_key::management::Management;
use tower_api_key::rejection::Style;
use tower_api_key::route::{Methods, Route};
use tower_api_key::source::{EnvKeys, JsonFileKeys, KeySource};
use tower_api_key::usage::Usage;
use tower_api_key::{ApiKeyLayer, AuthContext, BoxError, ConfigError};

/// Read data, generate content.
const READ: Scope = Scope::from_static("read");
/// Create and update.
const WRITE: Scope = Scope::from_static("write");
/// Everything.
const ADMIN: Scope = Scope::from_static("admin");
/// Manage webhooks.
const WEBHOOK: Scope = Scope::from_static("webhook");

/// From this age on, people are reminded to rotate a key.
const OLD: Duration = Duration::from_secs(90 * 86_400);

fn main() -> ExitCode {
    support::run(run)
}

async fn run() -> Result<(), BoxError> {
    let mut settings = support::Settings::default();
    let port = settings.parsed("PORT", 3000);
    let admin = settings.checked(EnvKeys::variable("ADMIN_API_KEY"));
    let environment = settings.parsed("API_ENVIRONMENT", Environment::LIVE);
    if ![Environment::LIVE, Environment::TEST].contains(&environment) {
        settings.wrong("API_ENVIRONMENT", format_args!("\"{environment}\" is neither live nor test"));
    }
    let hourly = settings.per_hour("API_RATE_LIMIT", 100);
    let metrics_port = settings.metrics_port();
    let folder = settings.text("DATA_DIR").unwrap_or_else(|| ".".to_owned());
    let keys = JsonFileKeys::open(Path::new(&folder).join("keys.json"));
    let keys = settings.checked(keys.map_err(|error| ConfigError::new("DATA_DIR", error)));
    let (setting, folder) = settings.text("AUDIT_DIR").map_or(("DATA_DIR", folder), |own| ("AUDIT_DIR", own));
    let events = JsonLinesAudit::open(Path::new(&folder).join("audit.jsonl"));
    let events = settings.checked(events.map_err(|error| ConfigError::new(setting, error)));
    settings.done()?;
    let (Some(admin), Some(keys), Some(events)) = (admin, keys, events) else { return Ok(()) };
    #[cfg(feature = "metrics")]
    let exporter = metrics_port.map(|port| support::metrics::install().map(|exporter| (port, exporter))).transpose()?;
    #[cfg(not(feature = "metrics"))]
    let _ = metrics_port;
    let trail = AuditTrail::new(events);
    if admin.is_empty() {
        tracing::warn!("ADMIN_API_KEY is not set: nobody can make keys");
    }

    let admin = admin.class(KeyClass::Admin).scopes([ADMIN]);
    let auth = ApiKeyLayer::builder(admin.or(keys.clone()))
        .credentials([CredentialLocation::bearer()])
        .environment(environment.clone())
        .scope_hierarchy(ScopeHierarchy::new().implies(ADMIN, [READ, WRITE, WEBHOOK]))
        .route(Method::POST, "/v1/generate", Route::new().scopes(READ))
        .route(Method::PUT, "/v1/resources/{id}", Route::new().scopes(WRITE))
        .route(Methods::ANY, "/v1/keys", Route::new().scopes(ADMIN))
        .route(Methods::ANY, "/v1/keys/{*rest}", Route::new().scopes(ADMIN))
        .route(Methods::ANY, "/v1/webhooks", Route::new().scopes(WEBHOOK))
        .limits(Limits::new(MemoryRateLimiter::new()).per_key(hourly.clone()).failures(hourly))
        .rotation_headers(true)
        .usage(Usage::new(keys.clone()).remind_after(OLD))
        .audit_trail(trail.clone())
        .style(Style::envelope())
        .build()?;

    let app = Router::new()
        .route("/v1/generate", post(generate))
        .route("/v1/resources/{id}", put(update))
        .route("/v1/webhooks", get(webhooks))
        .route("/api/whoami", get(whoami))
        .nest("/v1/keys", Management::new(keys).environment(environment).audit(trail).router());
    let app = auth.protect(app);
    #[cfg(feature = "metrics")]
    if let Some((port, exporter)) = exporter {
        support::metrics::serve(port, exporter, &auth).await?;
    }
    support::serve(port, &auth, |listener| axum::serve(listener, app).with_graceful_shutdown(support::end())).await
}

async fn generate(Json(body): Json<Value>) -> Json<Value> {
    Json(json!({ "success": true, "data": { "generated": body } }))
}

async fn update(Segment(id): Segment<String>, Json(body): Json<Value>) -> Json<Value> {
    Json(json!({ "success": true, "data": { "id": id, "resource": body } }))
}

async fn webhooks() -> Json<Value> {
    Json(json!({ "success": true, "data": [] }))
}

async fn whoami(auth: AuthContext) -> Json<AuthContext> {
    Json(auth)
}
