//! How gRPC has refusals: HTTP 200, and the status in the headers.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Which of gRPC's kinds of messages a caller reads.
#[derive(Debug, Clone, Copy)]
pub(super) enum Grpc {
    Plain,
    Web,
    WebText,
}

impl Grpc {
    /// The caller's, if the request is gRPC's or gRPC-Web's.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let kind = headers.get(header::CONTENT_TYPE)?.as_bytes().strip_prefix(b"application/grpc")?;
        if kind.starts_with(b"-web-text") {
            Some(Self::WebText)
        } else if kind.starts_with(b"-web") {
            Some(Self::Web)
        } else {
            matches!(kind.first(), None | Some(b'+' | b';' | b' ')).then_some(Self::Plain)
        }
    }

    /// The content type of the answer.
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Plain => "application/grpc",
            Self::Web => "application/grpc-web+proto",
            Self::WebText => "application/grpc-web-text+proto",
        })
    }
}

/// The gRPC protocol percent-encodes all but visible ASCII, and the percent sign.
pub(super) fn message(text: &str) -> Option<HeaderValue> {
    const ENCODED: &AsciiSet = &CONTROLS.add(b'%');
    HeaderValue::try_from(utf8_percent_encode(text, ENCODED).to_string()).ok()
}

/// As the gRPC protocol maps HTTP's statuses to its own.
pub(super) fn status(status: StatusCode) -> HeaderValue {
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
