//! From a [`Rejection`] to a response.

use std::borrow::Cow;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use serde::ser::SerializeMap;

use super::details::Details;
use super::style::{Kind, Style};
use super::{Challenges, Rejection, RejectionReason};
use crate::request_id::{RequestId, X_REQUEST_ID};

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What the "quota exceeded" problem type of draft-ietf-httpapi-ratelimit-headers is called.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// Who reads the response. Kept while the inner service works, for the refusals that come out of it.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    head: bool,
    grpc: Option<&'static str>,
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
}

impl Renderer {
    pub(crate) const fn new(style: Style, challenges: Challenges, tells_wait: bool) -> Self {
        Self { style, challenges, tells_wait }
    }

    /// What has to be known of a request to answer it. Whoever renders refusals themselves gets a copy of the request,
    /// out of which `put_away` takes the credentials.
    pub(crate) fn audience(&self, parts: &Parts, put_away: impl FnOnce(&mut Parts)) -> Audience {
        let copy = || {
            let mut copy = Box::new(parts.clone());
            put_away(&mut copy);
            copy
        };
        let custom = matches!(self.style.0, Kind::Custom(_));
        Audience { head: parts.method == Method::HEAD, grpc: grpc_type(&parts.headers), parts: custom.then(copy) }
    }

    /// The response to a request that was refused.
    pub(crate) fn render(
        &self,
        rejection: Rejection,
        audience: Audience,
        request_id: Option<&RequestId>,
    ) -> Response<Bytes> {
        let reason = rejection.reason();
        let mut response = match (&self.style.0, audience.grpc) {
            (_, Some(content_type)) => return self.grpc(&rejection, content_type, request_id),
            (Kind::Custom(render), None) => {
                let mut parts = audience.parts.map_or_else(|| Request::new(()).into_parts().0, |parts| *parts);
                if let Some(id) = request_id {
                    parts.extensions.insert(id.clone());
                }
                render(&rejection, &parts)
            }
            (Kind::Lean, None) => json(reason.status(), JSON, lean_body(reason)),
            (Kind::Flat { code }, None) => {
                let body = Flat { reason, challenges: &self.challenges, request_id, code: *code };
                json(reason.status(), JSON, encode(&body))
            }
            (Kind::Envelope, None) => {
                let body = Envelope { reason, challenges: &self.challenges, request_id };
                json(reason.status(), JSON, encode(&body))
            }
            (Kind::Problem { types }, None) => {
                let body = Problem { reason, challenges: &self.challenges, request_id, types };
                json(reason.status(), PROBLEM, encode(&body))
            }
        };
        self.add_headers(&rejection, request_id, &mut response);
        if audience.head {
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

    fn add_headers(&self, rejection: &Rejection, request_id: Option<&RequestId>, response: &mut Response<Bytes>) {
        let headers = response.headers_mut();
        headers.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
        if let Some(id) = request_id {
            headers.insert(X_REQUEST_ID, id.to_header());
        }
        if let Some(seconds) = self.wait(rejection) {
            headers.entry(header::RETRY_AFTER).or_insert(seconds.into());
        }
        if !headers.contains_key(header::WWW_AUTHENTICATE) {
            self.challenges.append(rejection.reason(), headers);
        }
    }

    fn wait(&self, rejection: &Rejection) -> Option<u64> {
        let told = self.tells_wait || rejection.status() != StatusCode::TOO_MANY_REQUESTS;
        rejection.reason().retry_after_seconds().filter(|_| told)
    }

    /// Trailers-only: the status stands in the headers, and there is no body.
    fn grpc(
        &self,
        rejection: &Rejection,
        content_type: &'static str,
        request_id: Option<&RequestId>,
    ) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert("grpc-status", grpc_status(rejection.status()));
        let message = rejection.reason().message(&self.challenges);
        if let Ok(message) = HeaderValue::try_from(utf8_percent_encode(&message, GRPC_MESSAGE).to_string()) {
            headers.insert("grpc-message", message);
        }
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        if let Some(id) = request_id {
            headers.insert(X_REQUEST_ID, id.to_header());
        }
        if let Some(seconds) = self.wait(rejection) {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if !matches!(self.style.0, Kind::Lean) {
            response.extensions_mut().insert(rejection.clone());
        }
        response
    }
}

fn json(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// None of the bodies can fail to serialise: their keys are texts, and so are most of their values.
fn encode(body: &impl Serialize) -> Bytes {
    let mut text = Vec::with_capacity(256);
    match serde_json::to_writer(&mut text, body) {
        Ok(()) => text.into(),
        Err(_) => Bytes::from_static(b"{}"),
    }
}

struct Flat<'a> {
    reason: &'a RejectionReason,
    challenges: &'a Challenges,
    request_id: Option<&'a RequestId>,
    code: bool,
}

impl Serialize for Flat<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("error", self.reason.title())?;
        map.serialize_entry("message", &self.reason.message(self.challenges))?;
        if self.code {
            map.serialize_entry("code", self.reason.code())?;
            if self.reason.has_details(self.challenges) {
                let details = Details { reason: self.reason, challenges: self.challenges, request_id: None };
                map.serialize_entry("details", &details)?;
            }
        }
        if let Some(id) = self.request_id {
            map.serialize_entry("requestId", id)?;
        }
        if let Some(seconds) = self.reason.retry_after_seconds() {
            map.serialize_entry("retryAfter", &seconds)?;
        }
        map.end()
    }
}

struct Envelope<'a> {
    reason: &'a RejectionReason,
    challenges: &'a Challenges,
    request_id: Option<&'a RequestId>,
}

impl Serialize for Envelope<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Inner<'a> {
            code: &'a str,
            message: Cow<'a, str>,
            details: Details<'a>,
        }
        let message = match self.reason {
            RejectionReason::MissingKey => Cow::Borrowed("API key is required"),
            reason => reason.message(self.challenges),
        };
        let request_id = self.request_id.map(RequestId::as_str);
        let details = Details { reason: self.reason, challenges: self.challenges, request_id };
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("success", &false)?;
        map.serialize_entry("error", &Inner { code: self.reason.code(), message, details })?;
        map.end()
    }
}

struct Problem<'a> {
    reason: &'a RejectionReason,
    challenges: &'a Challenges,
    request_id: Option<&'a RequestId>,
    types: &'a str,
}

impl Serialize for Problem<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.reason {
            RejectionReason::RateLimited { .. } => map.serialize_entry("type", QUOTA_EXCEEDED)?,
            reason => {
                let code = reason.code().to_ascii_lowercase().replace('_', "-");
                map.serialize_entry("type", &format_args!("{}{code}", self.types))?;
            }
        }
        map.serialize_entry("title", self.reason.title())?;
        map.serialize_entry("status", &self.reason.status().as_u16())?;
        map.serialize_entry("detail", &self.reason.message(self.challenges))?;
        if let Some(id) = self.request_id {
            map.serialize_entry("instance", &format_args!("urn:request:{}", utf8_percent_encode(id.as_str(), URN)))?;
        }
        map.serialize_entry("code", self.reason.code())?;
        self.reason.write_details(self.challenges, &mut map)?;
        map.end()
    }
}

/// A body that was there before the request.
fn lean_body(reason: &RejectionReason) -> Bytes {
    macro_rules! bodies {
        ($($code:literal)*) => {
            match reason.code() {
                $($code => Bytes::from_static(concat!("{\"error\":\"", $code, "\"}").as_bytes()),)*
                other => Bytes::from(format!("{{\"error\":\"{other}\"}}")),
            }
        };
    }
    bodies!(
        "MISSING_API_KEY" "INVALID_API_KEY" "AMBIGUOUS_CREDENTIALS" "REVOKED_API_KEY" "DISABLED_API_KEY"
        "EXPIRED_API_KEY" "INVALID_SESSION" "INVALID_USER_TOKEN" "MISSING_USER_TOKEN" "IP_NOT_ALLOWED"
        "ORIGIN_NOT_ALLOWED" "INSUFFICIENT_SCOPE" "ORGANIZATION_MISMATCH" "CROSS_SITE_REQUEST" "RATE_LIMITED"
        "USAGE_EXCEEDED" "TOO_MANY_FAILURES" "AUTH_UNAVAILABLE" "FORBIDDEN" "AUTH_NOT_CONFIGURED"
    )
}

/// The gRPC protocol percent-encodes all but visible ASCII, and the percent sign.
const GRPC_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// RFC 8141 `NSS` lets these stand; the rest is encoded.
const URN: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The content type of the answer, if the request is gRPC's or gRPC-Web's.
fn grpc_type(headers: &HeaderMap) -> Option<&'static str> {
    let kind = headers.get(header::CONTENT_TYPE)?.as_bytes().strip_prefix(b"application/grpc")?;
    if kind.starts_with(b"-web-text") {
        Some("application/grpc-web-text+proto")
    } else if kind.starts_with(b"-web") {
        Some("application/grpc-web+proto")
    } else {
        matches!(kind.first(), None | Some(b'+' | b';' | b' ')).then_some("application/grpc")
    }
}

/// As the gRPC protocol maps HTTP's statuses to its own.
fn grpc_status(status: StatusCode) -> HeaderValue {
    HeaderValue::from_static(match status.as_u16() {
        400 | 422 => "3",
        401 => "16",
        403 => "7",
        404 => "5",
        409 | 412 => "9",
        429 => "8",
        502 | 503 => "14",
        504 => "4",
        500.. => "13",
        _ => "2",
    })
}
