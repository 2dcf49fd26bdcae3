//! The service that a layer makes: readiness and polling, no policy.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use crate::authenticate::{Admission, Gate};
use crate::body::ResponseBody;
use crate::future::ResponseFuture;
use crate::reply::Reply;

/// A service behind the gate of an [`ApiKeyLayer`](crate::ApiKeyLayer).
///
/// It is ready when the inner service is, and calls the very instance that said so. Errors are the inner service's alone:
/// a refusal is a response.
#[derive(Debug, Clone)]
pub struct ApiKeyService<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S> ApiKeyService<S> {
    pub(crate) const fn new(inner: S, gate: Arc<Gate>) -> Self {
        Self { inner, gate }
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
        let mut reply = Reply::new(Arc::clone(&self.gate), &parts);
        match self.gate.admit(&mut parts, &mut reply) {
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

impl<S: Clone> ApiKeyService<S> {
    /// The instance that is ready. Another one, that is yet to be polled, takes its place.
    fn take_ready(&mut self) -> S {
        let next = self.inner.clone();
        mem::replace(&mut self.inner, next)
    }
}
