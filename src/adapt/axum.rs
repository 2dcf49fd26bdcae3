//! axum: extractors, responses, and [`protect`](ApiKeyLayer::protect).
//!
//! | extractor | without the layer | on a public route | anonymous on an optional route |
//! | --- | --- | --- | --- |
//! | [`AuthContext`] | 500 `AUTH_NOT_CONFIGURED`, and the log says so | the same | the context, anonymous |
//! | `Option<AuthContext>` | `None` | `None` | the context, anonymous |

use std::any::Any;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready as poll_ready};

use axum::body::Body;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use http::Request;
use http::request::Parts;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::ResponseBody;
use crate::context::AuthContext;
use crate::future::ResponseFuture;
use crate::layer::ApiKeyLayer;
use crate::rejection::{Rejection, RejectionReason};
use crate::service::ApiKeyService;
use crate::transport::PeerAddr;

impl<S: Sync> FromRequestParts<S> for AuthContext {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        match parts.extensions.get::<Self>() {
            Some(context) => Ok(context.clone()),
            None => {
                tracing::error!(
                    target: "tower_api_key::config",
                    method = %parts.method,
                    "a handler takes AuthContext, but no ApiKeyLayer guards its route"
                );
                Err(RejectionReason::NotConfigured.into())
            }
        }
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for AuthContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

/// A response that the layer is to write in its own style. Without a layer around, it is a flat JSON body.
impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.into_unrendered().map(Body::from)
    }
}

impl ApiKeyLayer {
    /// Wraps a whole router (or any service of axum's) and serves as it does: `axum::serve(listener, auth.protect(app))`.
    ///
    /// Costs less than `Router::layer`, whose routes each get a layer of their own and whose bodies are boxed; also
    /// guards what the router answers with 404, and lets nothing be merged in behind its back. Knows the address of the
    /// connection without `into_make_service_with_connect_info`.
    pub fn protect<S>(&self, service: S) -> Protected<S> {
        Protected { service: self.layer(service), peer: None }
    }
}

/// A service of axum's behind the gate. Made by [`ApiKeyLayer::protect`].
#[derive(Debug, Clone)]
pub struct Protected<S> {
    service: ApiKeyService<S>,
    peer: Option<PeerAddr>,
}

impl<S> Service<Request<Body>> for Protected<S>
where
    S: Service<Request<Body>, Response = Response> + Clone,
{
    type Response = Response;
    type Error = S::Error;
    type Future = ProtectedFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> ProtectedFuture<S> {
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        ProtectedFuture { future: self.service.call(request) }
    }
}

/// Makes the service of a connection, for `axum::serve`.
impl<L, S> Service<IncomingStream<'_, L>> for Protected<S>
where
    L: Listener,
    S: Clone,
{
    type Response = Self;
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, stream: IncomingStream<'_, L>) -> Self::Future {
        // A listener on a Unix socket has no such address.
        let peer = (stream.remote_addr() as &dyn Any).downcast_ref::<SocketAddr>().copied();
        ready(Ok(Self { service: self.service.apart(), peer: peer.map(PeerAddr) }))
    }
}

pin_project! {
    /// The response of a [`Protected`] service, on its way.
    pub struct ProtectedFuture<S>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        future: ResponseFuture<S, Body>,
    }
}

impl<S> Future for ProtectedFuture<S>
where
    S: Service<Request<Body>, Response = Response>,
{
    type Output = Result<Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = poll_ready!(self.project().future.poll(cx))?;
        // The inner body goes on as it is; only a refusal's is boxed.
        Poll::Ready(Ok(response.map(|body| ResponseBody::into_inner(body).unwrap_or_else(Body::new))))
    }
}
