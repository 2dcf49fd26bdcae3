//! The future of a service behind the gate.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::authenticate::{Admission, Verdict};
use crate::body::ResponseBody;
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::source::BoxFuture;

pin_project! {
    /// The response of an [`ApiKeyService`](crate::ApiKeyService), on its way.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B>,
        reply: Reply,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B>
    where
        S: Service<Request<B>>,
    {
        /// A backend is asked. Service and request stay outside the boxed future, so that nothing is asked of their types.
        Waiting { waiting: BoxFuture<'static, Verdict>, held: Option<(S, Request<B>)> },
        Refused { rejection: Option<Rejection> },
        Inner { #[pin] future: S::Future },
    }
}

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    pub(crate) const fn forward(future: S::Future, reply: Reply) -> Self {
        Self { state: State::Inner { future }, reply }
    }

    pub(crate) const fn refuse(rejection: Rejection, reply: Reply) -> Self {
        Self { state: State::Refused { rejection: Some(rejection) }, reply }
    }

    pub(crate) const fn wait(
        waiting: BoxFuture<'static, Verdict>,
        service: S,
        request: Request<B>,
        reply: Reply,
    ) -> Self {
        Self { state: State::Waiting { waiting, held: Some((service, request)) }, reply }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Inner { future } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(this.reply.finish(response)));
                }
                StateProjection::Refused { rejection } => {
                    return Poll::Ready(Ok(this.reply.refuse(taken(rejection))));
                }
                StateProjection::Waiting { waiting, held } => {
                    let verdict = ready!(waiting.as_mut().poll(cx));
                    let (mut service, request) = taken(held);
                    let (mut parts, body) = request.into_parts();
                    let gate = this.reply.gate().clone();
                    match gate.conclude(verdict, &mut parts, this.reply) {
                        Admission::Refuse(rejection) => State::Refused { rejection: Some(rejection) },
                        _ => State::Inner { future: service.call(Request::from_parts(parts, body)) },
                    }
                }
            };
            this.state.set(next);
        }
    }
}

/// What is taken once, when the future completes. Like every future it must not be polled again after that.
fn taken<T>(value: &mut Option<T>) -> T {
    value.take().unwrap_or_else(|| panic!("a ResponseFuture was polled after it had completed"))
}
