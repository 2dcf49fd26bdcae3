//! The layer.

mod builder;
mod not_written;

use std::sync::Arc;

use tower_layer::Layer;

use crate::authenticate::Gate;
use crate::service::ApiKeyService;
use crate::source::KeySource;
use crate::usage::UsageNotWritten;

pub use builder::ApiKeyLayerBuilder;
pub use not_written::NotWritten;

/// Lets requests with a good key through to the service behind it, with an [`AuthContext`](crate::AuthContext) in their
/// extensions, and answers all others itself.
///
/// Has no type parameters and is cheap to clone. Wrap services of axum with [`protect`](Self::protect) or
/// `Router::layer`, others with `ServiceBuilder`, or tonic's `Server::layer`.
///
/// # What is decided, in this order
///
/// 1. A route that is public, or a preflight that is let through, goes straight on.
/// 2. An address that may not call is answered with 403.
/// 3. No credential: 401, or on as anonymous where the route makes credentials optional. Several keys: 401. Where
///    [sessions](ApiKeyLayerBuilder::sessions) count, one that holds lets its user in: before a key or in place of one, as
///    the layer's [order](ApiKeyLayerBuilder::order) says, or with one, if the route asks for both. Not from another site.
/// 4. A credential that no key can be, has a wrong checksum, or is unknown: 401, and a failed attempt of its address. Who
///    has made too many gets 429, but for keys that memory knows.
/// 5. A source that cannot tell: 503.
/// 6. A key of another realm or environment, or one that is revoked, expired or disabled: 401.
/// 7. A key that may not be used from this address or origin: 403.
/// 8. A limit of the key, its owner, its address or the route that is reached: 429.
/// 9. A key that lacks a scope of the route: 403. The request has used its quotas by then, but no credit.
/// 10. A key without credits left: 429.
/// 11. Everything else goes on, without the credential.
///
/// # Deployment caveat
///
/// The table of routes is read on the path as the gate sees it. A proxy in front that rewrites paths, or a service behind
/// that reads them in another way than axum does (a gateway, for one), can make a route of another. Restrictions hold for
/// every usual spelling, and permissions for the exact one alone: see [`route`](crate::route).
///
/// # Example
///
/// ```
/// use http::{Method, Request, StatusCode};
/// use tower::{Layer, ServiceExt};
/// use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
/// use tower_api_key::{ApiKeyLayer, AuthContext};
///
/// # tokio_test::block_on(async {
/// let keys = MemoryKeys::new();
/// let issued = keys.issue(NewKey::named("ci")).await?;
/// let auth = ApiKeyLayer::builder(keys).public(Method::GET, "/health").build()?;
///
/// let service = auth.layer(tower::service_fn(|request: Request<()>| async move {
///     let caller = request.extensions().get::<AuthContext>().and_then(|auth| auth.key());
///     Ok::<_, std::convert::Infallible>(http::Response::new(caller.map(|key| key.name.clone())))
/// }));
///
/// let allowed = Request::get("/").header("x-api-key", issued.secret.expose_secret()).body(())?;
/// assert_eq!(service.clone().oneshot(allowed).await?.status(), StatusCode::OK);
///
/// let refused = Request::get("/").header("x-api-key", "ak_live_made_up").body(())?;
/// assert_eq!(service.clone().oneshot(refused).await?.status(), StatusCode::UNAUTHORIZED);
///
/// let public = Request::get("/health").body(())?;
/// assert_eq!(service.oneshot(public).await?.status(), StatusCode::OK);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct ApiKeyLayer {
    pub(crate) gate: Arc<Gate>,
}

impl ApiKeyLayer {
    /// A layer that asks for a key of `source` on every route, in `X-API-Key` or `Authorization: Bearer`.
    ///
    /// What [`build`](ApiKeyLayerBuilder::build) would say is wrong with the source stands in the log; such a source lets
    /// in fewer than it could, and nobody else.
    pub fn new(source: impl KeySource) -> Self {
        Self::builder(source).built()
    }

    /// The same, with settings.
    pub fn builder(source: impl KeySource) -> ApiKeyLayerBuilder {
        ApiKeyLayerBuilder::new(Arc::new(source))
    }

    /// Writes what keys are used and the events of the [audit trail](ApiKeyLayerBuilder::audit_trail), at intervals and
    /// until [`shutdown`](Self::shutdown): a future to be spawned on Tokio. Without it the notes of uses wait until
    /// [`flush`](Self::flush) or `shutdown`, and a line in the log says so once. Ends at once if the layer records neither.
    ///
    /// # Panics
    /// When polled outside a Tokio runtime that has its timer enabled.
    pub fn background(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        Arc::clone(&self.gate).write_at_intervals()
    }

    /// Hands the notes of uses that there are now to their store. A store that takes too long is not waited for
    /// ([`Usage::deadline`](crate::usage::Usage::deadline)).
    ///
    /// # Errors
    /// When the store did not take them all. What it said that it has not written is kept, to be handed over again.
    pub async fn flush(&self) -> Result<(), UsageNotWritten> {
        self.gate.flush_usage().await
    }

    /// Sets the gauges that no request sets, of limiters in memory and of keys that are about to expire: to be called
    /// before a scrape is answered. [`background`](Self::background) does it as well. See [`metrics`](crate::metrics).
    ///
    /// Walks over the tables of the limiter and the notes of uses, which takes milliseconds where there are many.
    #[cfg(feature = "metrics")]
    pub fn refresh_gauges(&self) {
        self.gate.refresh_gauges();
    }

    /// Lets [`background`](Self::background) end, and hands over what there still is, uses within
    /// [`Usage::shutdown_within`](crate::usage::Usage::shutdown_within), and events within the trail's own
    /// [`shutdown_within`](crate::audit::AuditTrailBuilder::shutdown_within). To be called when the server has served its
    /// last request.
    ///
    /// # Errors
    /// When not everything could be written. The error says how much was not.
    pub async fn shutdown(&self) -> Result<(), NotWritten> {
        let (uses, events) = self.gate.shut_down().await;
        NotWritten::of(uses.err(), events.err())
    }
}

impl<S> Layer<S> for ApiKeyLayer {
    type Service = ApiKeyService<S>;

    fn layer(&self, inner: S) -> ApiKeyService<S> {
        ApiKeyService::new(inner, Arc::clone(&self.gate))
    }
}
