//! API-key authentication for axum, tower, hyper and tonic: one layer, pluggable stores, precise refusals.
//!
//! An [`ApiKeyLayer`] lets requests with a good key through, with an [`AuthContext`] in their extensions, and answers all
//! others itself: 401, 403, 429, or 503 when it cannot tell, with a JSON body that says why.
//!
//! ```no_run
//! # #[cfg(feature = "axum")] {
//! use axum::{Router, routing::{get, post}};
//! use http::Method;
//! use tower_api_key::key::Scope;
//! use tower_api_key::route::Route;
//! use tower_api_key::source::{KeySource, EnvKeys, JsonFileKeys};
//! use tower_api_key::{ApiKeyLayer, AuthContext};
//!
//! const READ: Scope = Scope::from_static("read");
//!
//! # async fn run() -> Result<(), tower_api_key::BoxError> {
//! let keys = JsonFileKeys::open("api-keys.json")?.or(EnvKeys::variable("ADMIN_API_KEY")?);
//! let auth = ApiKeyLayer::builder(keys)
//!     .public(Method::GET, "/health")
//!     .route(Method::POST, "/v1/generate", Route::new().scopes(READ))
//!     .build()?; // every mistake in the settings at once
//!
//! let app = Router::new()
//!     .route("/health", get(async || "ok"))
//!     .route("/v1/generate", post(generate));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, auth.protect(app)).await?;
//! # Ok(()) }
//!
//! async fn generate(auth: AuthContext) -> String {
//!     format!("for {:?}", auth.key().map(|key| &key.name))
//! }
//! # }
//! ```
//!
//! # Where to read on
//!
//! | question | answer |
//! | --- | --- |
//! | What is decided, and in which order? | [`ApiKeyLayer`] |
//! | What do keys look like, and what is kept of them? | [`key`] |
//! | Where are keys kept, and how do I write a store of my own? | [`source`] |
//! | Which headers are read, and what is ambiguous? | [`credential`] |
//! | Which routes are public, and which need scopes? | [`route`] |
//! | How are people let in, by session or token? | [`session`], [`Order`], [`route::Callers`] |
//! | Who is calling? | [`AuthContext`], [`Principal`] |
//! | How does a service behind a gateway learn that? | [`identity`] |
//! | How does a refusal look, and how do I change that? | [`rejection`] |
//! | Where does a request come from, behind proxies? | [`ip`] |
//! | How often may a caller call? | [`limit`] |
//! | When and how often was a key used? | [`usage`] |
//! | Where do people manage their keys? | `management`, and `dashboard` for a page, with the features of these names |
//! | What is written to the log, and what can be read again later? | [`audit`] |
//! | What do spans learn about the caller? | [`trace`] |
//! | What is counted and timed? | `metrics`, with the feature of that name; `docs/observability.md`, in the package |
//! | What is to be done when something is wrong? | `docs/runbooks`, in the package |
//! | How is it done, step by step? | `docs/guide/`, in the package |
//! | What is guaranteed, and which test holds it? | `SECURITY.md`, in the package |
//! | What does each step from one process to many nodes and regions cost? | `docs/scaling.md`, in the package |
//! | How do I test my handlers? | `testing`, with the feature of that name |
//!
//! # In the background
//!
//! A layer spawns nothing. If it records [`usage`], spawn [`ApiKeyLayer::background`], which writes what was used every ten
//! seconds, and wait for [`ApiKeyLayer::shutdown`] after the server has ended, which writes the rest.
//!
//! # The way of a request
//!
//! ```text
//! request
//!   │ public?          straight through                                        route
//!   ▼
//! client address       through trusted proxies alone                           ip
//!   │ allowed?         403, before any secret is looked at
//!   ▼
//! credential           one key, a session, or 401                              credential, session
//!   │ well-formed?     shape and checksum: garbage costs no lookup             key
//!   ▼
//! digest               SHA-256, or HMAC-SHA-256 under a pepper
//!   │ known?           401; 503 if the source cannot tell                      source
//!   ▼
//! record
//!   │ usable?          realm, environment, state, address, origin
//!   │ within limits?   429; a failed attempt counts against its address        limit
//!   │ allowed here?    403 without the scopes of the route                     route
//!   ▼
//! AuthContext          in the request's extensions; the credential is gone     AuthContext
//!   ▼
//! inner service
//! ```
//!
//! # Features
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `axum` | yes | extractors, `protect`, `Rejection` as a response, the peer's address |
//! | `cache` | | `source::Cached`: a cache in front of a source that has to wait |
//! | `redis` | | `limit::redis`: limits and credits that nodes share, in Redis or Valkey; with `cache`, `RedisInvalidations` |
//! | `redis-cluster` | | the same in a Redis Cluster |
//! | `redis-tls` | | the same over TLS: `rediss://` |
//! | `sqlite` | | `source::SqliteKeys`: keys in a file of SQLite; needs Rust 1.94 |
//! | `postgres` | | `source::PostgresKeys`: keys in Postgres, and what other nodes change; needs Rust 1.94 |
//! | `postgres-tls` | | the same over TLS, with the certificates that the system trusts |
//! | `management` | | a REST router over a key store |
//! | `dashboard` | | a page over that router, on which people manage their keys |
//! | `openapi` | | that router, and routes behind the layer, as an OpenAPI 3.1 document |
//! | `docs-page` | | a page to read and try an API by, bundled with the program |
//! | `jwt` | | `session::JwtSessions`: signed tokens of users |
//! | `jwks` | | key sets of tokens by HTTPS; implies `jwt` |
//! | `sessions-authjs` | | `session::AuthJsSessions`: the sessions of Auth.js and NextAuth |
//! | `sessions-better-auth` | | `session::BetterAuthSessions`: the sessions of Better Auth, in the databases above |
//! | `tower-sessions` | | `session::TowerSessions`: the sessions of tower-sessions, and through it of axum-login |
//! | `metrics` | | counters, gauges and histograms of what the layer does, through the facade of that name |
//! | `scan` | | `scan::KeyScanner`: finds keys in files, by format and checksum |
//! | `cli` | | the operators' command line, `api-keys`; implies `scan`, `sqlite` and `postgres-tls` |
//! | `tonic` | | the peer's address of tonic's servers |
//! | `testing` | | a clock for tests, contexts for handlers under test, suites for stores of your own |
//! | `full` | | all of them |
//!
//! Features add items, and change nothing that is there without them.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod adapt;
pub mod audit;
mod authenticate;
mod body;
mod chunk;
pub mod clock;
mod context;
pub mod credential;
mod cross_site;
#[cfg(feature = "dashboard")]
pub mod dashboard;
mod error;
mod fields;
mod future;
pub mod identity;
mod instruments;
pub mod ip;
pub mod key;
mod layer;
pub mod limit;
#[cfg(feature = "management")]
pub mod management;
#[cfg(feature = "metrics")]
pub mod metrics;
mod preflight;
mod private_file;
#[cfg(feature = "redis")]
mod redis_link;
pub mod rejection;
mod reply;
mod request_id;
mod require;
pub mod route;
#[cfg(feature = "scan")]
pub mod scan;
mod service;
pub mod session;
pub mod source;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trace;
mod transport;
pub mod usage;

pub use authenticate::Order;
pub use body::ResponseBody;
pub use context::{AuthContext, AuthMethod, Principal};
pub use error::{BoxError, ConfigError, ConfigProblem, StoreError};
pub use future::ResponseFuture;
pub use layer::{ApiKeyLayer, ApiKeyLayerBuilder, NotWritten};
pub use request_id::RequestId;
pub use require::{RequireScopes, RequireScopesFuture, RequireScopesService};
pub use service::ApiKeyService;
pub use session::User;
pub use transport::PeerAddr;

/// Compiles the examples of the README.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// Compiles the example of the runbook for the first keys.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../docs/runbooks/first-keys.md")]
struct FirstKeys;
