//! The service that a layer makes: readiness and polling, no policy.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use crate::authenticate::{Admission, Gate, SharedGate};
use crate::body::ResponseBody;
use crate::fields::Glance;
use crate::future::ResponseFuture;
use crate::reply::Reply;

/// A service behind the gate of an [`ApiKeyLayer`](crate::ApiKeyLayer).
///
/// It is ready when the inner service is, and calls the very instance that said so. Errors are the inner service's alone:
/// a refusal is a response.
#[derive(Debug)]
pub struct ApiKeyService<S> {
    inner: S,
    gate: SharedGate,
    called: Called,
}

/// How often this instance was called.
#[derive(Debug, Clone, Copy)]
enum Called {
    Never,
    Once,
    Often,
}

impl<S> ApiKeyService<S> {
    pub(crate) fn new(inner: S, gate: Arc<Gate>) -> Self {
        Self { inner, gate: SharedGate::new(gate), called: Called::Never }
    }

    /// The same service for another connection, with a count of its own of those who hold the gate.
    #[cfg(feature = "axum")]
    pub(crate) fn apart(&self) -> Self
    where
        S: Clone,
    {
        Self { inner: self.inner.clone(), gate: self.gate.apart(), called: Called::Never }
    }

    /// The gate for one request. An instance that is called again gets a count of its own: one that processors share
    /// would cost each of them several times as much. Most servers clone a service for each request, which is then not
    /// worth it.
    fn gate(&mut self) -> SharedGate {
        self.called = match self.called {
            Called::Never => Called::Once,
            Called::Once => {
                self.gate = self.gate.apart();
                Called::Often
            }
            Called::Often => Called::Often,
        };
        self.gate.clone()
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, without the gate.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for ApiKeyService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let glance = Glance::at(&parts.headers);
        let mut reply = Reply::new(self.gate(), &parts, glance);
        match self.gate.admit(&mut parts, glance, &mut reply) {
            Admission::Forward => ResponseFuture::forward(self.inner.call(Request::from_parts(parts, body)), reply),
            Admission::Refuse(rejection) => {
                // What readiness took, a permit for one, is given back now and not with the next request.
                drop(self.take_ready());
                ResponseFuture::refuse(rejection, reply)
            }
            Admission::Wait(waiting) => {
                ResponseFuture::wait(waiting, self.take_ready(), Request::from_parts(parts, body), reply)
            }
        }
    }
}

impl<S: Clone> Clone for ApiKeyService<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), gate: self.gate.clone(), called: Called::Never }
    }
}

impl<S: Clone> ApiKeyService<S> {
    /// The instance that is ready. Another one, that is yet to be polled, takes its place.
    fn take_ready(&mut self) -> S {
        let next = self.inner.clone();
        mem::replace(&mut self.inner, next)
    }
}
