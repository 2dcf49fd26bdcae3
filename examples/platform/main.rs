//! A gateway to a service that knows no keys: programs with a key or people with a session of Better Auth come in, and the
//! service behind learns who is calling, signed.
//!
//! ```sh
//! UPSTREAM_URL=http://127.0.0.1:4000 IDENTITY_SECRET=a-secret-of-at-least-32-characters \
//!   BETTER_AUTH_SECRET=the-secret-of-better-auth BETTER_AUTH_DATABASE=sqlite:auth.db \
//!   cargo run --example platform --features dashboard,docs-page,sessions-better-auth,sqlite,postgres
//! curl -b 'better-auth.session_token=…' --json '{"name":"ci","expiresInDays":30}' \
//!      http://127.0.0.1:3000/api/organizations/acme/api-keys                                    # 201, the key this once
//! curl -H 'x-api-key: ak_live_…' 'http://127.0.0.1:3000/api/run/anything?and=more'
//! ```
//!
//! `/settings/api-keys` is a page on which members manage the keys of their organisations, `/docs` one to try the keys' API by, `/openapi.json` what it is made of.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `UPSTREAM_URL` | the service behind, which `/api/run/…` is passed on to |
//! | `UPSTREAM_TIMEOUT_MS` | how long it may be silent, 30000 by default: 504 then, and 502 if it cannot be reached |
//! | `IDENTITY_SECRET` | what `X-Identity` is signed under |
//! | `BETTER_AUTH_SECRET`, `BETTER_AUTH_DATABASE` | the secret of Better Auth, and its database: `sqlite:PATH`, or a URL of Postgres |
//! | `ALLOWED_ORIGINS` | origins, separated by commas, whose pages may call with credentials |
//! | `SIGN_IN_URL` | where people sign in, which the page of the keys links to whoever is not |
//! | `DATA_DIR` | the folder of `keys.db`, which has the keys, and for a year who did what; the working directory by default |
//! | `API_RATE_LIMIT` | how often a key or a person may call in an hour, 1000 by default |

mod cors;
mod gateway;
#[path = "../support/mod.rs"]
mod support;
mod upload;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::{any, get};
use axum::{Json, Router, middleware};
use http::{HeaderValue, Method, Uri};
use support::Settings;
use tower_api_key::audit::AuditTrail;
use tower_api_key::dashboard::{self, Dashboard};
use tower_api_key::identity::IdentitySigner;
use tower_api_key::limit::{Limits, MemoryRateLimiter};
use tower_api_key::management::{Management, OrganizationAuthority, openapi};
use tower_api_key::session::BetterAuthSessions;
use tower_api_key::source::SqliteKeys;
use tower_api_key::usage::Usage;
use tower_api_key::{ApiKeyLayer, AuthContext, BoxError, ConfigError};

/// The lives of keys in days that there are to choose from; a date, or no end, is another choice.
const DAYS: [u32; 4] = [7, 30, 90, 365];

/// How long it is kept who did what.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn main() -> ExitCode {
    support::run(run)
}

async fn run() -> Result<(), BoxError> {
    let mut settings = Settings::default();
    let port = settings.parsed("PORT", 3000);
    let gateway = gateway(&mut settings);
    let origins = origins(&mut settings);
    let hourly = settings.per_hour("API_RATE_LIMIT", 1000);
    let folder = settings.text("DATA_DIR").unwrap_or_else(|| ".".to_owned());
    let page = page(&mut settings);
    let people = people(&mut settings).await;
    settings.done()?;
    let (Some(gateway), Some(page), Some(people)) = (gateway, page, people) else { return Ok(()) };
    let keys = SqliteKeys::connect(&format!("sqlite:{folder}/keys.db")).await;
    let keys = keys.map_err(|error| ConfigError::new("DATA_DIR", told(&error)))?;

    let trail = AuditTrail::builder(keys.clone()).keep_for(YEAR).build()?;
    let listed: Vec<_> = origins.iter().filter_map(|origin| origin.to_str().ok()).collect();
    let mut auth = ApiKeyLayer::builder(keys.clone())
        .sessions(people)
        .allow_cookies_from(listed.iter().copied())
        .limits(Limits::new(MemoryRateLimiter::new()).per_key(hourly.clone()).failures(hourly))
        .usage(Usage::new(keys.clone()))
        .audit_trail(trail.clone())
        .public(Method::GET, "/openapi.json")
        .public(Method::GET, "/docs")
        .public(Method::GET, "/docs/{*rest}")
        .public(Method::GET, "/settings/api-keys")
        .public(Method::GET, "/settings/api-keys/{*rest}");
    if !listed.is_empty() {
        auth = auth.allow_preflights_from(listed.iter().copied());
    }
    let auth = auth.build()?;

    let members = OrganizationAuthority::named_by("org").managers(["admin", "developer"]);
    let management = Management::new(keys).authority(members).choice_of_days(DAYS).audit(trail);
    let document = management.openapi(&auth, "/api/organizations/{org}/api-keys");
    let app = Router::new()
        .route("/api/run/", any(gateway::forward).with_state(gateway.clone()))
        .route("/api/run/{*path}", any(gateway::forward).with_state(gateway))
        .route("/api/whoami", get(whoami))
        .merge(openapi::router("/openapi.json", &document))
        .nest("/docs", openapi::docs_page(&document))
        .nest("/settings/api-keys", page)
        .route("/api/organizations", get(dashboard::organizations))
        .nest("/api/organizations/{org}/api-keys", management.router());
    // The gate knows what a preflight is; around it, pages are told who may read its answers.
    let guarded = auth.protect(Router::new().fallback_service(app).layer(middleware::from_fn(cors::preflight)));
    let app = Router::new()
        .fallback_service(guarded)
        .layer(middleware::from_fn_with_state(Arc::from(origins), cors::allow))
        .into_make_service_with_connect_info::<SocketAddr>();
    support::serve(port, &auth, |listener| axum::serve(listener, app).with_graceful_shutdown(support::end())).await
}

async fn people(settings: &mut Settings) -> Option<BetterAuthSessions> {
    let mut needed = |name| {
        let text = settings.text(name).ok_or_else(|| ConfigError::new(name, "is not set"));
        settings.checked(text)
    };
    let (secret, database) = (needed("BETTER_AUTH_SECRET"), needed("BETTER_AUTH_DATABASE"));
    let people = BetterAuthSessions::connect(secret?, database?).await;
    settings.checked(people.map_err(|error| ConfigError::new("BETTER_AUTH_DATABASE", told(&error))))
}

fn page(settings: &mut Settings) -> Option<Router> {
    let page = Dashboard::new("/api/organizations/{org}/api-keys").organizations("/api/organizations");
    let page = settings.text("SIGN_IN_URL").into_iter().fold(page.choice_of_days(DAYS), Dashboard::sign_in);
    settings.checked(page.router())
}

/// An error and its cause, on one line.
fn told(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn gateway(settings: &mut Settings) -> Option<gateway::Gateway> {
    let upstream = settings.parsed("UPSTREAM_URL", Uri::from_static("/"));
    let patience: u64 = settings.parsed("UPSTREAM_TIMEOUT_MS", 30_000);
    if patience == 0 {
        settings.wrong("UPSTREAM_TIMEOUT_MS", "0 is no time to answer in");
    }
    let signer = IdentitySigner::new(&settings.text("IDENTITY_SECRET").unwrap_or_default());
    let signer = settings.checked(signer.map_err(|error| ConfigError::new("IDENTITY_SECRET", error)));
    let upstream = gateway::Upstream::new(&upstream, Duration::from_millis(patience));
    let upstream = settings.checked(upstream.map_err(|problem| ConfigError::new("UPSTREAM_URL", problem)));
    Some(gateway::Gateway { upstream: upstream?, signer: signer? })
}

fn origins(settings: &mut Settings) -> Vec<HeaderValue> {
    let text = settings.text("ALLOWED_ORIGINS").unwrap_or_default();
    let mut origins = Vec::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        match origin(entry) {
            Some(origin) => origins.push(origin),
            None => settings
                .wrong("ALLOWED_ORIGINS", format_args!("{entry:?} is no origin such as https://app.example.com")),
        }
    }
    origins
}

/// As browsers write it: a scheme, a host in small letters, a port unless it is the scheme's own.
fn origin(entry: &str) -> Option<HeaderValue> {
    let uri: Uri = entry.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?.as_str());
    let whole = format!("{scheme}://{authority}") == entry && !entry.contains(['@', '*']);
    HeaderValue::try_from(entry.to_ascii_lowercase()).ok().filter(|_| whole)
}

async fn whoami(auth: AuthContext) -> Json<AuthContext> {
    Json(auth)
}
