//! A requirement of scopes that stands beside the route, instead of in the layer's table.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::ResponseBody;
use crate::context::AuthContext;
use crate::key::ScopeRequirement;
use crate::rejection::{Rejection, RejectionReason};

/// Lets requests through whose caller has the scopes. Goes behind an [`ApiKeyLayer`](crate::ApiKeyLayer), which writes
/// the refusal; without one, every request is answered with 500.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, routing::put};
/// use tower_api_key::key::Scope;
/// use tower_api_key::RequireScopes;
///
/// const WRITE: Scope = Scope::from_static("write");
///
/// let app: Router = Router::new()
///     .route("/v1/resources/{id}", put(async || "updated"))
///     .route_layer(RequireScopes::new(WRITE));
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RequireScopes(Arc<ScopeRequirement>);

impl RequireScopes {
    /// Asks for these scopes. An array stands for all of its scopes.
    pub fn new(requirement: impl Into<ScopeRequirement>) -> Self {
        Self(Arc::new(requirement.into()))
    }
}

impl<S> Layer<S> for RequireScopes {
    type Service = RequireScopesService<S>;

    fn layer(&self, inner: S) -> RequireScopesService<S> {
        RequireScopesService { inner, required: Arc::clone(&self.0) }
    }
}

/// A service behind [`RequireScopes`].
#[derive(Debug, Clone)]
pub struct RequireScopesService<S> {
    inner: S,
    required: Arc<ScopeRequirement>,
}

impl<S, B, R> Service<Request<B>> for RequireScopesService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = RequireScopesFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let verdict = match request.extensions().get::<AuthContext>() {
            Some(context) => context.require((*self.required).clone()),
            None => {
                tracing::error!(
                    target: "tower_api_key::config",
                    method = %request.method(),
                    "RequireScopes asks for scopes, but no ApiKeyLayer guards its route"
                );
                Err(RejectionReason::NotConfigured.into())
            }
        };
        match verdict {
            Ok(()) => RequireScopesFuture { state: State::Inner { future: self.inner.call(request) } },
            Err(rejection) => RequireScopesFuture { state: State::Refused { rejection: Some(rejection) } },
        }
    }
}

pin_project! {
    /// The response of a [`RequireScopesService`], on its way.
    pub struct RequireScopesFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Inner { #[pin] future: F },
        Refused { rejection: Option<Rejection> },
    }
}

impl<F, R, E> Future for RequireScopesFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Inner { future } => {
                let response = ready!(future.poll(cx))?;
                Poll::Ready(Ok(response.map(ResponseBody::inner)))
            }
            StateProjection::Refused { rejection } => {
                let rejection = rejection.take().unwrap_or_else(Rejection::forbidden);
                Poll::Ready(Ok(rejection.into_unrendered().map(ResponseBody::refusal)))
            }
        }
    }
}
