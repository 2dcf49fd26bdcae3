//! A key for the organisation and a token for the user, who has to belong to it.
//!
//! ```sh
//! ORGANIZATION_API_KEYS=acme:0123456789012345678901234567890123456789 JWT_SECRET=a-secret-of-at-least-32-characters \
//!   JWT_ISSUER=https://issuer.example JWT_AUDIENCE=https://api.example \
//!   cargo run --example organization --features management,jwt
//! curl -H 'X-Organization-Api-Key: 0123456789012345678901234567890123456789' -H 'Authorization: Bearer eyJ…' \
//!      http://127.0.0.1:3000/api/projects
//! curl -H 'Authorization: Bearer eyJ…' http://127.0.0.1:3000/api/organization/api-keys        # masked, for every member
//! curl -X POST -H 'Authorization: Bearer eyJ…' --json '{"overlapSeconds":3600}' \
//!      http://127.0.0.1:3000/api/organization/api-keys/key_…/regenerate                       # 201, for its admins
//! ```
//!
//! | variable | meaning |
//! | --- | --- |
//! | `ORGANIZATION_API_KEYS` | the first keys, `<organisation>:<40 letters and digits>`, separated by commas; an organisation that has had a key gets none by this |
//! | `JWT_SECRET` or `JWT_JWKS_FILE` | what tokens are checked with |
//! | `JWT_ALGORITHMS` | by what they may be signed, separated by commas; `HS256` for a secret by default, `RS256,ES256,EdDSA` for a file |
//! | `JWT_ISSUER`, `JWT_AUDIENCE` | whom they have to be by, and for whom |
//! | `DATA_DIR` | the folder of `organization-keys.json`, which keeps the digests of keys, and of `audit.jsonl`, which tells who did what; the working directory by default |
//!
//! A token says who the user is: `sub`, the organisations in `org_id` (a text or a list), and `role`.

mod support;

use std::path::Path;
use std::process::ExitCode;

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use support::Settings;
use tower_api_key::audit::{AuditTrail, JsonLinesAudit};
use tower_api_key::credential::CredentialLocation;
use tower_api_key::key::{Environment, KeyFormat, KeyHasher, KeyId, KeyOwner, KeyRecord, OrganizationId};
use tower_api_key::management::{Management, OrganizationAuthority};
use tower_api_key::route::{Callers, Methods, Route};
use tower_api_key::session::{JwtAlgorithm, JwtKeys, JwtSessions};
use tower_api_key::source::{JsonFileKeys, KeyFilter, KeyStore};
use tower_api_key::usage::Usage;
use tower_api_key::{ApiKeyLayer, AuthContext, BoxError, ConfigError};

fn main() -> ExitCode {
    support::run(run)
}

async fn run() -> Result<(), BoxError> {
    let mut settings = Settings::default();
    let port = settings.parsed("PORT", 3000);
    let format = KeyFormat::alphanumeric(40)?;
    let people = people(&mut settings);
    let seeds = seeds(&mut settings, &format)?;
    let folder = settings.text("DATA_DIR").unwrap_or_else(|| ".".to_owned());
    let keys = JsonFileKeys::builder(Path::new(&folder).join("organization-keys.json")).format(format).open();
    let keys = settings.checked(keys.map_err(|error| ConfigError::new("DATA_DIR", error)));
    let events = JsonLinesAudit::open(Path::new(&folder).join("audit.jsonl"));
    let events = settings.checked(events.map_err(|error| ConfigError::new("DATA_DIR", error)));
    settings.done()?;
    let (Some(people), Some(keys), Some(events)) = (people, keys, events) else { return Ok(()) };
    let trail = AuditTrail::new(events);
    for seed in seeds {
        let mut filter = KeyFilter::default();
        filter.organization.clone_from(&seed.owner.organization);
        if keys.list(&filter).await?.items.is_empty() {
            let _ = keys.adopt(seed).await?;
        }
    }

    let user = Route::new().callers(Callers::User);
    let auth = ApiKeyLayer::builder(keys.clone())
        .credentials([CredentialLocation::header("X-Organization-Api-Key")])
        .sessions(people)
        .default_route(Route::new().callers(Callers::KeyAndUser))
        .route(Methods::ANY, "/api/organization/api-keys", user.clone())
        .route(Methods::ANY, "/api/organization/api-keys/{*rest}", user)
        .usage(Usage::new(keys.clone()))
        .audit_trail(trail.clone())
        .build()?;

    let members = OrganizationAuthority::of_session().members_may_read();
    let management = Management::new(keys).authority(members).single_key().audit(trail);
    let app = Router::new()
        .route("/api/whoami", get(whoami))
        .route("/api/projects", get(projects))
        .nest("/api/organization/api-keys", management.router());
    let app = auth.protect(app);
    support::serve(port, &auth, |listener| axum::serve(listener, app).with_graceful_shutdown(support::end())).await
}

/// How tokens are checked. Never by an algorithm that the token itself names.
fn people(settings: &mut Settings) -> Option<JwtSessions> {
    let (keys, algorithms) = match (settings.text("JWT_SECRET"), settings.text("JWT_JWKS_FILE")) {
        (Some(secret), None) => (JwtKeys::secret(secret), "HS256"),
        (None, Some(file)) => (JwtKeys::jwks_file(file), "RS256,ES256,EdDSA"),
        _ => {
            settings.wrong("JWT_SECRET", "either this or JWT_JWKS_FILE says what tokens are checked with");
            return None;
        }
    };
    let algorithms = settings.text("JWT_ALGORITHMS").unwrap_or_else(|| algorithms.to_owned());
    let algorithms =
        algorithms.split(',').map(|name| name.trim().parse::<JwtAlgorithm>()).collect::<Result<Vec<_>, _>>();
    let algorithms = settings.checked(algorithms.map_err(|error| ConfigError::new("JWT_ALGORITHMS", error)))?;
    let mut claim = |name| {
        settings.text(name).or_else(|| {
            settings.wrong(name, "is not set");
            None
        })
    };
    let (issuer, audience) = (claim("JWT_ISSUER"), claim("JWT_AUDIENCE"));
    let people = JwtSessions::builder(keys).algorithms(algorithms).issuer(issuer?).audience(audience?);
    settings.checked(people.build())
}

/// The records of the first keys.
fn seeds(settings: &mut Settings, format: &KeyFormat) -> Result<Vec<KeyRecord>, BoxError> {
    const NAME: &str = "ORGANIZATION_API_KEYS";
    let text = settings.text(NAME).unwrap_or_default();
    let mut seeds: Vec<KeyRecord> = Vec::new();
    for (index, entry) in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).enumerate() {
        let parsed = entry.split_once(':').filter(|(_, key)| format.accepts(key));
        let parsed = parsed.and_then(|(organization, key)| Some((OrganizationId::new(organization).ok()?, key)));
        let Some((organization, key)) = parsed else {
            settings.wrong(NAME, format_args!("entry {}: is not <organisation>:<40 letters and digits>", index + 1));
            continue;
        };
        if seeds.iter().any(|seed| seed.owner.organization.as_ref() == Some(&organization)) {
            settings.wrong(NAME, format_args!("entry {}: {organization} has an earlier one", index + 1));
            continue;
        }
        let mut record = KeyRecord::new(KeyId::generate()?, KeyHasher::sha256().digest(key));
        record.name = "first".to_owned();
        record.start = format.start(key);
        record.end = KeyFormat::end(key).map(str::to_owned);
        record.environment = Some(Environment::LIVE);
        record.owner = KeyOwner::organization(organization);
        seeds.push(record);
    }
    Ok(seeds)
}

async fn projects(auth: AuthContext) -> Json<Value> {
    Json(json!({ "organization": auth.organization(), "projects": ["one", "two"] }))
}

async fn whoami(auth: AuthContext) -> Json<AuthContext> {
    Json(auth)
}
