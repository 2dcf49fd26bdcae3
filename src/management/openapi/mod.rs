//! The management API as an OpenAPI 3.1 document, and where to read it.
//!
//! The document is made of what the program is: its calls of [`ROUTES`], its security schemes of where the
//! layer reads credentials, and the bodies of its refusals are written by the layer itself, in its own style.
//!
//! ```
//! use axum::Router;
//! use http::Method;
//! use tower_api_key::ApiKeyLayer;
//! use tower_api_key::management::{Management, openapi};
//! use tower_api_key::source::MemoryKeys;
//!
//! let keys = MemoryKeys::new();
//! let auth = ApiKeyLayer::builder(keys.clone()).public(Method::GET, "/openapi.json").build()?;
//! let management = Management::new(keys);
//!
//! // The document of the application's own routes, from utoipa's macros or built by hand.
//! let mut document = utoipa::openapi::OpenApi::default();
//! openapi::guard(&mut document, &auth);
//! document.merge(management.openapi(&auth, "/v1/keys"));
//!
//! let app = Router::new()
//!     .merge(openapi::router("/openapi.json", &document))
//!     .nest("/v1/keys", management.router());
//! let app = auth.protect(app);
//! # Ok::<(), tower_api_key::ConfigError>(())
//! ```
//!
//! `cargo run --example openapi --features docs-page -- openapi.json` writes such a document into a file.

mod calls;
mod examples;
mod guard;
#[cfg(feature = "docs-page")]
mod page;
mod samples;
mod schemas;
mod security;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{HeaderValue, header};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{Components, Info, OpenApi, OpenApiBuilder, PathItem, Paths, Required};

pub use guard::guard;
#[cfg(feature = "docs-page")]
pub use page::docs_page;

use super::Management;
use super::route::{Endpoint, ROUTES};
use crate::layer::ApiKeyLayer;

impl Management {
    /// The API as OpenAPI 3.1 describes it, guarded by `auth` and nested at `base`: `/v1/keys`, or
    /// `/api/organizations/{org}/api-keys`. [`OpenApi::merge`] takes it into a document of the application's own.
    pub fn openapi(&self, auth: &ApiKeyLayer, base: &str) -> OpenApi {
        let base = base.trim_end_matches('/');
        let mut paths = Paths::new();
        for endpoint in ROUTES {
            let Some(method) = guard::method(&endpoint.method) else { continue };
            let operation = calls::operation(endpoint, self, auth, &parameters(base, endpoint));
            let item = PathItem::new(method, operation);
            let path = path(base, endpoint);
            match paths.paths.get_mut(&path) {
                Some(known) => known.merge_operations(item),
                None => drop(paths.paths.insert(path, item)),
            }
        }
        let mut components = Components::new();
        components.schemas.extend(schemas::all(self.0.choice_of_days.as_deref()));
        let info = Info::new("API keys", env!("CARGO_PKG_VERSION"));
        let mut document = OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).build();
        guard(&mut document, auth);
        document
    }
}

/// Answers `GET` at `path` with the document. It needs a credential, unless the layer makes the path public.
pub fn router(path: &str, document: &OpenApi) -> Router {
    let text = text(document);
    Router::new().route(path, get(async move || text))
}

/// The document as it is sent.
#[derive(Debug, Clone)]
pub(super) struct Text(axum::body::Bytes);

pub(super) fn text(document: &OpenApi) -> Text {
    // Its keys are texts, and its numbers are finite.
    Text(document.to_pretty_json().unwrap_or_default().into())
}

impl IntoResponse for Text {
    fn into_response(self) -> axum::response::Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        (headers, self.0).into_response()
    }
}

/// Where the call is made. axum answers the root of a nested router without a slash at its end.
fn path(base: &str, endpoint: &Endpoint) -> String {
    let path = format!("{base}{}", endpoint.path);
    if base.is_empty() { path } else { path.trim_end_matches('/').to_owned() }
}

/// The parameters of the path, those of the base included.
fn parameters(base: &str, endpoint: &Endpoint) -> Vec<Parameter> {
    let path = path(base, endpoint);
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name: &str| {
        let told = if name == super::route::KEY_ID { "The id of a key" } else { "Whose keys the call is about" };
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(told))
            .schema(Some(schemas::text().min_length(Some(1))))
            .build()
    };
    names.map(parameter).collect()
}
