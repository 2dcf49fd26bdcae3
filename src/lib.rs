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
//! | Who is calling? | [`AuthContext`], [`Principal`] |
//! | How does a refusal look, and how do I change that? | [`rejection`] |
//! | Where does a request come from, behind proxies? | [`ip`] |
//! | How often may a caller call? | [`limit`] |
//! | What is written to the log? | [`audit`] |
//! | How do I test my handlers? | `testing`, with the feature of that name |
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
//! credential           one key, or 401                                         credential
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
//! | `management` | | a REST router over a key store |
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
pub mod clock;
mod context;
pub mod credential;
mod error;
mod future;
pub mod ip;
pub mod key;
mod layer;
pub mod limit;
#[cfg(feature = "management")]
pub mod management;
mod preflight;
pub mod rejection;
mod reply;
mod request_id;
mod require;
pub mod route;
mod service;
pub mod source;
#[cfg(feature = "testing")]
pub mod testing;
mod transport;

pub use body::ResponseBody;
pub use context::{AuthContext, AuthMethod, Principal, User};
pub use error::{BoxError, ConfigError, ConfigProblem, StoreError};
pub use future::ResponseFuture;
pub use layer::{ApiKeyLayer, ApiKeyLayerBuilder};
pub use request_id::RequestId;
pub use require::{RequireScopes, RequireScopesFuture, RequireScopesService};
pub use service::ApiKeyService;
pub use transport::PeerAddr;

/// Compiles the examples of the README.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
