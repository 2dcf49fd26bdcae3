//! The management API, its OpenAPI document, and a page to try it by.
//!
//! ```sh
//! cargo run --example openapi --features docs-page -- openapi.json    # writes the document into a file, and ends
//! ADMIN_API_KEY=an-admin-key-of-at-least-32-characters cargo run --example openapi --features docs-page
//! ```
//!
//! The second line serves the page at `http://127.0.0.1:3000/docs`, and the document at `/openapi.json`.

mod support;

use std::process::ExitCode;

use axum::Router;
use http::Method;
use tower_api_key::key::KeyClass;
use tower_api_key::limit::{Limits, MemoryRateLimiter};
use tower_api_key::management::{Management, openapi};
use tower_api_key::source::{EnvKeys, KeySource, MemoryKeys};
use tower_api_key::{ApiKeyLayer, BoxError};

fn main() -> ExitCode {
    support::run(run)
}

async fn run() -> Result<(), BoxError> {
    let mut settings = support::Settings::default();
    let port = settings.parsed("PORT", 3000);
    let admin = settings.checked(EnvKeys::variable("ADMIN_API_KEY"));
    let hourly = settings.per_hour("API_RATE_LIMIT", 100);
    settings.done()?;
    let Some(admin) = admin else { return Ok(()) };

    let keys = MemoryKeys::new();
    let auth = ApiKeyLayer::builder(admin.class(KeyClass::Admin).or(keys.clone()))
        .public(Method::GET, "/openapi.json")
        .public(Method::GET, "/docs")
        .public(Method::GET, "/docs/{*rest}")
        .limits(Limits::new(MemoryRateLimiter::new()).per_key(hourly.clone()).failures(hourly))
        .build()?;
    let management = Management::new(keys);
    let document = management.openapi(&auth, "/v1/keys");
    if let Some(path) = std::env::args_os().nth(1) {
        return Ok(std::fs::write(path, document.to_pretty_json()?)?);
    }

    let app = Router::new()
        .merge(openapi::router("/openapi.json", &document))
        .nest("/docs", openapi::docs_page(&document))
        .nest("/v1/keys", management.router());
    let app = auth.protect(app);
    support::serve(port, &auth, |listener| axum::serve(listener, app).with_graceful_shutdown(support::end())).await
}
