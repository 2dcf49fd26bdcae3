//! From a [`Rejection`] to a response.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use super::bodies::Bodies;
use super::challenge::Error;
use super::grpc::{self, Grpc};
use super::head::{Facts, Heads};
use super::style::{Kind, Style};
use super::{Challenges, Rejection, RejectionReason};
use crate::fields::Glance;
use crate::limit::{self, LimitHeaders, LimitReport, LimitValues};
use crate::request_id::{RequestId, X_REQUEST_ID};

pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Who reads the response. Kept while the inner service works, for the refusals that come out of it.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    head: bool,
    grpc: Option<Grpc>,
    /// The request, for those who render refusals themselves.
    parts: Option<Box<Parts>>,
}

/// Renders in one style.
#[derive(Debug)]
pub(crate) struct Renderer {
    style: Style,
    challenges: Challenges,
    /// Whether a 429 says when to come again; a 503 always does.
    tells_wait: bool,
    bodies: Bodies,
    heads: Heads,
}

/// How a limit stands, and the fields that tell of it.
pub(crate) type Limit<'a> = Option<(&'a LimitHeaders, &'a LimitReport)>;

impl Renderer {
    pub(crate) fn new(style: Style, challenges: Challenges, tells_wait: bool) -> Self {
        Self { style, challenges, tells_wait, bodies: Bodies::default(), heads: Heads::default() }
    }

    /// What has to be known of a request to answer it. Whoever renders refusals themselves gets a copy of the request,
    /// out of which `put_away` takes the credentials.
    pub(crate) fn audience(&self, parts: &Parts, glance: Glance, put_away: impl FnOnce(&mut Parts)) -> Audience {
        let copy = || {
            let mut copy = Box::new(parts.clone());
            put_away(&mut copy);
            copy
        };
        let custom = matches!(self.style.0, Kind::Custom(_));
        let grpc = if glance.content_type { Grpc::of(&parts.headers) } else { None };
        Audience { head: parts.method == Method::HEAD, grpc, parts: custom.then(copy) }
    }

    /// The response to a request that was refused.
    pub(crate) fn render(
        &self,
        rejection: Rejection,
        audience: Audience,
        request_id: Option<&RequestId>,
        limit: Limit<'_>,
    ) -> Response<Bytes> {
        let is_grpc = audience.grpc.is_some();
        let mut response = match (&self.style.0, audience.grpc) {
            (_, Some(grpc)) => self.grpc(&rejection, grpc),
            (Kind::Custom(render), None) => {
                let mut parts = audience.parts.map_or_else(|| Request::new(()).into_parts().0, |parts| *parts);
                if let Some(id) = request_id {
                    parts.extensions.insert(id.clone());
                }
                render(&rejection, &parts)
            }
            (kind, None) => {
                let id = request_id.filter(|_| !matches!(kind, Kind::Lean));
                let mut response = Response::new(self.bodies.body(kind, rejection.reason(), &self.challenges, id));
                *response.status_mut() = rejection.status();
                response
            }
        };
        let own = !is_grpc && !matches!(self.style.0, Kind::Custom(_));
        match self.facts(&rejection, request_id, limit).filter(|_| own) {
            Some(facts) => *response.headers_mut() = self.heads.fields(self.content_type(), &self.challenges, facts),
            None => {
                if own {
                    response.headers_mut().insert(header::CONTENT_TYPE, self.content_type().clone());
                }
                self.add_headers(&rejection, !is_grpc, request_id, response.headers_mut());
                if let Some((headers, report)) = limit {
                    headers.write(report, response.headers_mut());
                }
            }
        }
        if audience.head && !is_grpc {
            // RFC 9110 §9.3.2: as GET has it, and no content. Set here, since the length of no body says nothing.
            let length = response.body().len();
            response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length.into());
            *response.body_mut() = Bytes::new();
        }
        if !matches!(self.style.0, Kind::Lean) {
            response.extensions_mut().insert(rejection);
        }
        response
    }

    const fn content_type(&self) -> &'static HeaderValue {
        static JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
        static PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json; charset=utf-8");
        if matches!(self.style.0, Kind::Problem { .. }) { &PROBLEM } else { &JSON }
    }

    /// What the fields say, if they are of a kind that many refusals have.
    fn facts<'a>(&self, rejection: &Rejection, id: Option<&'a RequestId>, limit: Limit<'_>) -> Option<Facts<'a>> {
        if matches!(rejection.reason(), RejectionReason::InsufficientScope { .. }) {
            return None;
        }
        let values = match limit {
            Some((headers, report)) => headers.values(report)?,
            None => LimitValues::default(),
        };
        let wait = self.wait(rejection).or(values.retry_after);
        Some(Facts { challenges: Error::of(rejection.reason()), id, wait, limit: values.x_ratelimit })
    }

    fn add_headers(
        &self,
        rejection: &Rejection,
        challenged: bool,
        request_id: Option<&RequestId>,
        headers: &mut HeaderMap,
    ) {
        // Only somebody's own style can have set any of them.
        let custom = matches!(self.style.0, Kind::Custom(_));
        if !custom || !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, NO_STORE);
        }
        if let Some(id) = request_id {
            headers.insert(X_REQUEST_ID, id.to_header());
        }
        if let Some(seconds) = self.wait(rejection)
            && (!custom || !headers.contains_key(header::RETRY_AFTER))
        {
            headers.insert(header::RETRY_AFTER, limit::header_number(seconds));
        }
        if challenged && (!custom || !headers.contains_key(header::WWW_AUTHENTICATE)) {
            self.challenges.append(rejection.reason(), headers);
        }
    }

    fn wait(&self, rejection: &Rejection) -> Option<u64> {
        let told = self.tells_wait || rejection.status() != StatusCode::TOO_MANY_REQUESTS;
        rejection.reason().retry_after_seconds().filter(|_| told)
    }

    /// Trailers-only: the status stands in the headers, and there is no body.
    fn grpc(&self, rejection: &Rejection, grpc: Grpc) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, grpc.content_type());
        headers.insert("grpc-status", grpc::status(rejection.status()));
        if let Some(message) = grpc::message(&rejection.reason().message(&self.challenges).to_string()) {
            headers.insert("grpc-message", message);
        }
        response
    }
}
