//! What spans of yours learn about the caller.
//!
//! When a request is decided on, the layer records on the span that is current, if that span declares them:
//!
//! | field | what |
//! | --- | --- |
//! | `outcome` | `accepted` or `refused` |
//! | `reason` | by what right it was let in, such as `api_key`, or the code of the refusal |
//! | `principal` | who is calling: `key`, `user`, `key_and_user` or `anonymous`; of accepted requests |
//! | `key_id` | the id of the key, also of a refusal if the secret was right |
//! | `user_id` | the person who is signed in, with control characters escaped |
//!
//! A span's fields are fixed when it is made: declare those that you want as [`field::Empty`](tracing::field::Empty). With
//! `tower_http::trace::TraceLayer` **outside** the gate, its span is current while the gate decides:
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use axum::Router;
//! use axum::routing::get;
//! use http::Request;
//! use tower_api_key::{ApiKeyLayer, source::MemoryKeys};
//! use tower_http::trace::TraceLayer;
//! use tracing::field::Empty;
//!
//! let auth = ApiKeyLayer::new(MemoryKeys::new());
//! let trace = TraceLayer::new_for_http().make_span_with(|request: &Request<_>| {
//!     tracing::info_span!(
//!         "request",
//!         method = %request.method(),
//!         outcome = Empty,
//!         reason = Empty,
//!         principal = Empty,
//!         key_id = Empty,
//!     )
//! });
//! let routes = Router::new().route("/", get(async || "hello"));
//! let app: Router = Router::new().fallback_service(auth.protect(routes)).layer(trace);
//! # }
//! ```
//!
//! **Inside** the gate a span begins after the decision, and only for requests that were let in. There,
//! [`AuthContext::record_on`] records the same fields:
//!
//! ```
//! # use http::Request;
//! # use tower_api_key::AuthContext;
//! # use tracing::field::Empty;
//! # let make_span_with = |request: &Request<()>| {
//! let span = tracing::info_span!("request", outcome = Empty, key_id = Empty);
//! if let Some(auth) = request.extensions().get::<AuthContext>() {
//!     auth.record_on(&span);
//! }
//! span
//! # };
//! # make_span_with(&Request::new(()));
//! ```
//!
//! On a public route nobody decides anything, and nothing is recorded. A refusal that a handler returns is recorded when it
//! comes out of the service, over what was recorded when the request was let in.

use tracing::Span;
use tracing::field::display;
use tracing::level_filters::LevelFilter;

use crate::audit::Escaped;
use crate::context::{AuthContext, Principal};
use crate::rejection::Rejection;

impl AuthContext {
    /// Records who is calling on `span`, in those of the [fields](crate::trace) that it declares.
    pub fn record_on(&self, span: &Span) {
        if span.is_disabled() {
            return;
        }
        span.record("outcome", "accepted").record("reason", self.method().as_str()).record("principal", self.kind());
        if let Some(key) = self.key() {
            span.record("key_id", key.id.as_str());
        }
        if let Some(user) = self.user() {
            span.record("user_id", display(Escaped(user.id.as_str())));
        }
    }

    fn kind(&self) -> &'static str {
        match self.principal() {
            Principal::Anonymous => "anonymous",
            Principal::Key(_) => "key",
            Principal::User(_) => "user",
            Principal::KeyAndUser(..) => "key_and_user",
        }
    }
}

/// A request was let in.
pub(crate) fn accepted(context: &AuthContext) {
    if is_on() {
        context.record_on(&Span::current());
    }
}

/// A request was refused.
pub(crate) fn refused(rejection: &Rejection) {
    if !is_on() {
        return;
    }
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    span.record("outcome", "refused").record("reason", rejection.code());
    if let Some(id) = rejection.key_id() {
        span.record("key_id", id.as_str());
    }
}

/// Whether anybody listens to spans: asked for less than what the current span costs.
fn is_on() -> bool {
    LevelFilter::current() != LevelFilter::OFF
}
