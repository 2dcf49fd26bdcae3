//! One key in front of everything under `/api`, but for a list of public routes.
//!
//! ```sh
//! NEXTELEVEN_API_KEY=a-secret-of-at-least-32-characters cargo run --example chat
//! curl http://127.0.0.1:3000/api/system/env-status                                       # 200, no key needed
//! curl http://127.0.0.1:3000/api/whoami                                                  # 401
//! curl -H 'X-API-Key: a-secret-of-at-least-32-characters' http://127.0.0.1:3000/api/whoami
//! curl -H 'Authorization: Bearer a-secret-of-at-least-32-characters' \
//!      --json '{"message":"hello"}' http://127.0.0.1:3000/api/chat
//! ```
//!
//! `APP_ENV=development` without a key lets everybody through as anonymous. In production, which is the default, the
//! program refuses to start without one. `API_RATE_LIMIT` is how often a client may call in an hour, 100 by default; failed
//! attempts count against the address they come from, with the same limit.

mod support;

use std::net::SocketAddr;
use std::process::ExitCode;

use axum::routing::{get, post};
use axum::{Json, Router};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_api_key::limit::{Limits, MemoryRateLimiter};
use tower_api_key::rejection::Style;
use tower_api_key::source::EnvKeys;
use tower_api_key::{ApiKeyLayer, AuthContext, BoxError};

fn main() -> ExitCode {
    support::run(run)
}

async fn run() -> Result<(), BoxError> {
    let mut settings = support::Settings::default();
    let port = settings.parsed("PORT", 3000);
    let keys = settings.checked(EnvKeys::variable("NEXTELEVEN_API_KEY"));
    let development = settings.text("APP_ENV").as_deref() == Some("development");
    if keys.as_ref().is_some_and(EnvKeys::is_empty) && !development {
        settings.wrong("NEXTELEVEN_API_KEY", "is needed, unless APP_ENV is development");
    }
    let hourly = settings.per_hour("API_RATE_LIMIT", 100);
    settings.done()?;
    let Some(keys) = keys else { return Ok(()) };

    let open = keys.is_empty();
    // A client is the key, or the address of whoever has none; failed attempts count against the address apart.
    let limits =
        Limits::new(MemoryRateLimiter::new()).per_key(hourly.clone()).anonymous(hourly.clone()).failures(hourly);
    let mut auth = ApiKeyLayer::builder(keys)
        .public(Method::GET, "/api/system/env-status")
        .limits(limits)
        .style(Style::flat_without_code());
    if open {
        auth = auth.insecure_anonymous();
    }
    let auth = auth.build()?;

    let api = Router::new()
        .route("/system/env-status", get(env_status))
        .route("/whoami", get(whoami))
        .route("/chat", post(chat));
    // A service rather than a nested router, so that what the API does not know is guarded too.
    let app = Router::new().nest_service("/api", auth.protect(api));
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    support::serve(port, &auth, |listener| axum::serve(listener, app).with_graceful_shutdown(support::end())).await
}

async fn env_status() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

async fn whoami(auth: AuthContext) -> Json<AuthContext> {
    Json(auth)
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

async fn chat(auth: AuthContext, Json(Message { message }): Json<Message>) -> Json<Value> {
    Json(json!({ "reply": format!("You said: {message}"), "method": auth.method() }))
}
