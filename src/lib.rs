//! API-key authentication for axum, tower, hyper and tonic: one layer, pluggable stores, precise refusals.

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
