//! Sessions for the people of a web application, and keys for its programs: some made by the people over the API and kept
//! in a file, some in the environment.
//!
//! ```sh
//! ADMIN_API_KEY=an-admin-key-of-at-least-32-characters NEXTAUTH_SECRET=the-secret-of-the-web-application \
//!   cargo run --example workspace --features dashboard,sessions-authjs
//! curl -H 'x-api-key: an-admin-key-of-at-least-32-characters' \
//!      --json '{"name":"ci"}' http://127.0.0.1:3000/account/api-keys                 # 201, the key this once
//! curl -H 'x-api-key: ak_live_…' \
//!      --json '{"workspaceId":"w1","question":"what is up?"}' http://127.0.0.1:3000/api/ask
//! curl -b 'authjs.session-token=eyJ…' http://127.0.0.1:3000/account/api-keys               # a person's own keys
//! curl -b 'authjs.session-token=eyJ…' http://127.0.0.1:3000/account/api-keys/audit         # and what became of them
//! ```
//!
//! `/dashboard/security` is a page on which people manage their keys.
//!
//! A session that holds wins; then a key that was made here, then the operator's, then a client's.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `NEXTAUTH_SECRET` | the secret of NextAuth 4 or Auth.js 5, whose sessions let people in; nobody's do by default |
//! | `SIGN_IN_URL` | where people sign in, which the page links to whoever is not |
//! | `WORKSPACES_DIR` | the folder of `api-keys.json`, which lists keys by their digests, and of `audit.jsonl`, which tells who did what; the working directory by default |
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
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_api_key::audit::{AuditTrail, JsonLinesAudit};
use tower_api_key::dashboard::Dashboard;
use tower_api_key::ip::{ForwardedHeader, IpAllowlist, TrustedProxies};
use tower_api_key::key::KeyClass;
use tower_api_key::limit::{Limits, MemoryRateLimiter};
use tower_api_key::management::Management;
use tower_api_key::session::AuthJsSessions;
use tower_api_key::source::{EnvKeys, JsonFileKeys, KeySource};
use tower_api_key::usage::Usage;
use tower_api_key::{ApiKeyLayer, ApiKeyLayerBuilder, AuthContext, BoxError, ConfigError, Order};

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
    let events = JsonLinesAudit::open(Path::new(&folder).join("audit.jsonl"));
    let events = settings.checked(events.map_err(|error| ConfigError::new("WORKSPACES_DIR", error)));
    let hourly = settings.per_hour("API_RATE_LIMIT", 100);
    let allowed = settings.parsed("ALLOWED_IPS", IpAllowlist::any());
    let proxies = settings.parsed("TRUSTED_PROXIES", TrustedProxies::none());
    let secret = settings.text("NEXTAUTH_SECRET");
    let sessions = secret.map(|secret| settings.checked(AuthJsSessions::new(secret)));
    let page = Dashboard::new("/account/api-keys");
    let page = settings.text("SIGN_IN_URL").into_iter().fold(page, Dashboard::sign_in);
    let page = settings.checked(page.router());
    settings.done()?;
    let (Some(admin), Some(clients), Some(made), Some(page)) = (admin, clients, made, page) else { return Ok(()) };
    let Some(trail) = events.map(AuditTrail::new) else { return Ok(()) };

    let auth = ApiKeyLayer::builder(made.clone().or(admin.class(KeyClass::Admin)).or(clients))
        .trusted_proxies(proxies.headers([ForwardedHeader::XForwardedFor, ForwardedHeader::XRealIp]))
        .ip_policy(allowed)
        .limits(Limits::new(MemoryRateLimiter::new()).per_key(hourly.clone()).failures(hourly))
        .usage(Usage::new(made.clone()))
        .audit_trail(trail.clone())
        .public(Method::GET, "/dashboard/security")
        .public(Method::GET, "/dashboard/security/{*rest}")
        .order(Order::SessionFirst);
    let auth = sessions.flatten().into_iter().fold(auth, ApiKeyLayerBuilder::sessions).build()?;

    let app = Router::new()
        .route("/api/ask", post(ask))
        .route("/api/whoami", get(whoami))
        .nest("/dashboard/security", page)
        .nest("/account/api-keys", Management::new(made).audit(trail).router());
    let app = auth.protect(app);
    support::serve(port, &auth, |listener| axum::serve(listener, app).with_graceful_shutdown(support::end())).await
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
