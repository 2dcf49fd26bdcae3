//! The faces of a refusal.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::request::Parts;

use super::Rejection;

/// How refusals are written. Requests of gRPC get theirs as gRPC has it, whatever the style:
/// HTTP 200, `grpc-status` and `grpc-message` in the headers.
#[derive(Clone)]
pub struct Style(pub(super) Kind);

type Renderer = dyn Fn(&Rejection, &Parts) -> Response<Bytes> + Send + Sync;

#[derive(Clone)]
pub(super) enum Kind {
    Flat { code: bool },
    Envelope,
    Problem { types: Arc<str> },
    Lean,
    Custom(Arc<Renderer>),
}

impl Style {
    /// ```json
    /// {"error":"Invalid API key","message":"The provided API key is invalid","code":"INVALID_API_KEY","requestId":"…"}
    /// ```
    ///
    /// with `details` where there are some, and `retryAfter` on 429 and 503. The default.
    pub const fn flat() -> Self {
        Self(Kind::Flat { code: true })
    }

    /// [`flat`](Self::flat) without `code` and `details`: `error`, `message`, `requestId`, and `retryAfter` on 429 and
    /// 503.
    pub const fn flat_without_code() -> Self {
        Self(Kind::Flat { code: false })
    }

    /// ```json
    /// {"success":false,"error":{"code":"INVALID_API_KEY","message":"The provided API key is invalid","details":{"request_id":"…"}}}
    /// ```
    pub const fn envelope() -> Self {
        Self(Kind::Envelope)
    }

    /// `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `detail`, `instance`, `code` and the
    /// details. The type is `urn:tower-api-key:` and the code, as in `urn:tower-api-key:invalid-api-key`.
    pub fn problem() -> Self {
        Self::problem_with_types("urn:tower-api-key:")
    }

    /// [`problem`](Self::problem) with types of your own: `base` stands before the code, as in
    /// `https://errors.example.com/invalid-api-key`.
    pub fn problem_with_types(base: impl Into<Arc<str>>) -> Self {
        Self(Kind::Problem { types: base.into() })
    }

    /// `{"error":"INVALID_API_KEY"}`: a body that is there already, no request id in it, and no [`Rejection`] in the
    /// extensions. For services that are flooded.
    pub const fn lean() -> Self {
        Self(Kind::Lean)
    }

    /// A face of your own. The layer adds `X-Request-Id`, `Cache-Control`, `Retry-After` and the challenges to the
    /// response where it has no such header, and takes the body away for HEAD. Credentials are no longer among the
    /// parts; the [`RequestId`](crate::RequestId) is in their extensions.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::Response;
    /// use tower_api_key::rejection::Style;
    ///
    /// let style = Style::custom(|rejection, _request| {
    ///     let mut response = Response::new(Bytes::from(rejection.code()));
    ///     *response.status_mut() = rejection.status();
    ///     response
    /// });
    /// ```
    pub fn custom(render: impl Fn(&Rejection, &Parts) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        Self(Kind::Custom(Arc::new(render)))
    }
}

impl Default for Style {
    fn default() -> Self {
        Self::flat()
    }
}

impl fmt::Debug for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Flat { code: true } => "Style::flat",
            Kind::Flat { code: false } => "Style::flat_without_code",
            Kind::Envelope => "Style::envelope",
            Kind::Problem { .. } => "Style::problem",
            Kind::Lean => "Style::lean",
            Kind::Custom(_) => "Style::custom",
        })
    }
}
