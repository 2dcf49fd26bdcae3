//! Keys for the programs of a web application: some made over the API and kept in a file, some in the environment.
//!
//! ```sh
//! ADMIN_API_KEY=an-admin-key-of-at-least-32-characters cargo run --example workspace --features management
//! curl -H 'x-api-key: an-admin-key-of-at-least-32-characters' \
//!      --json '{"name":"ci"}' http://127.0.0.1:3000/account/api-keys                 # 201, the key this once
//! curl -H 'x-api-key: ak_live_…' \
//!      --json '{"workspaceId":"w1","question":"what is up?"}' http://127.0.0.1:3000/api/ask
//! ```
//!
//! | variable | meaning |
//! | --- | --- |
//! | `WORKSPACES_DIR` | the folder of `api-keys.json`, which lists keys by their digests; the working directory by default |
//! | `ADMIN_API_KEY` | the operator's key |
//! | `VALID_API_KEYS` | keys of clients, separated by commas |
//! | `API_RATE_LIMIT` | how often a client may call in an hour, 100 by default |
//! | `ALLOWED_IPS` | `*`, or addresses and CIDR blocks, separated by commas |
//! | `TRUSTED_PROXIES` | CIDR blocks of the proxies whose `X-Forwarded-For` or `X-Real-IP` is believed; none by default |

mod support;

use std::path::Path;
use std::process::ExitCode;

use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_api_key::ip::{ForwardedHeader, IpAllowlist, TrustedProxies};
use tower_api_key::key::KeyClass;
use tower_api_key::limit::{Limits, MemoryRateLimiter};
use tower_api_key::source::{EnvKeys, JsonFileKeys, KeySource};
use tower_api_key::{ApiKeyLayer, AuthContext, BoxError, ConfigError, management};

fn main() -> ExitCode {
    support::run(run)
}

async fn run() -> Result<(), BoxError> {
    let mut settings = support::Settings::default();
    let port = settings.parsed("PORT", 3000);
    let admin = settings.checked(EnvKeys::variable("ADMIN_API_KEY"));
    let clients = settings.checked(EnvKeys::list("VALID_API_KEYS"));
    let folder = settings.text("WORKSPACES_DIR").unwrap_or_else(|| ".".to_owned());
    let made = JsonFileKeys::open(Path::new(&folder).join("api-keys.json"));
    let made = settings.checked(made.map_err(|error| ConfigError::new("WORKSPACES_DIR", error)));
    let hourly = settings.per_hour("API_RATE_LIMIT", 100);
    let allowed = settings.parsed("ALLOWED_IPS", IpAllowlist::any());
    let proxies = settings.parsed("TRUSTED_PROXIES", TrustedProxies::none());
    settings.done()?;
    let (Some(admin), Some(clients), Some(made)) = (admin, clients, made) else { return Ok(()) };

    let auth = ApiKeyLayer::builder(made.clone().or(admin.class(KeyClass::Admin)).or(clients))
        .trusted_proxies(proxies.headers([ForwardedHeader::XForwardedFor, ForwardedHeader::XRealIp]))
        .ip_policy(allowed)
        .limits(Limits::new(MemoryRateLimiter::new()).per_key(hourly.clone()).failures(hourly))
        .build()?;

    let app = Router::new()
        .route("/api/ask", post(ask))
        .route("/api/whoami", get(whoami))
        .nest("/account/api-keys", management::router(made));
    let listener = support::listen(port).await?;
    Ok(axum::serve(listener, auth.protect(app)).with_graceful_shutdown(support::end()).await?)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    workspace_id: String,
    question: String,
}

async fn ask(Json(Question { workspace_id, question }): Json<Question>) -> Json<Value> {
    Json(json!({ "workspaceId": workspace_id, "answer": format!("You asked: {question}") }))
}

async fn whoami(auth: AuthContext) -> Json<AuthContext> {
    Json(auth)
}
