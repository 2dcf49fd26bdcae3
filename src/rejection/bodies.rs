//! The bodies of refusals.

use std::cell::RefCell;
use std::sync::OnceLock;

use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use serde::ser::SerializeMap;

use super::details::{Details, Message};
use super::style::Kind;
use super::{Challenges, RejectionReason};
use crate::request_id::RequestId;

/// What the "quota exceeded" problem type of draft-ietf-httpapi-ratelimit-headers is called.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// Bodies that differ in the id of the request alone, each written when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Bodies([OnceLock<Template>; RejectionReason::PLAIN]);

/// A body, and what stands before and behind the id in the body of a request that has one.
#[derive(Debug)]
struct Template {
    without: Bytes,
    around: Option<Around>,
}

/// What stands before the id, and what behind it.
#[derive(Debug)]
struct Around(Box<[u8]>, Box<[u8]>);

impl Bodies {
    /// The body in JSON.
    pub(super) fn body(
        &self,
        kind: &Kind,
        reason: &RejectionReason,
        challenges: &Challenges,
        id: Option<&RequestId>,
    ) -> Bytes {
        let write = |id: Option<&RequestId>| encoded(kind, reason, challenges, id);
        let Some(index) = reason.plain() else { return write(id) };
        let template = self.0[index].get_or_init(|| Template::new(write));
        match (id, &template.around) {
            (None, _) => template.without.clone(),
            (Some(id), Some(Around(before, after))) if is_the_same_in_all_encodings(id) => {
                let id = id.as_str().as_bytes();
                let mut body = Vec::with_capacity(before.len() + id.len() + after.len());
                for part in [before, id, after] {
                    body.extend_from_slice(part);
                }
                body.into()
            }
            (Some(_), _) => write(id),
        }
    }
}

impl Template {
    fn new(write: impl Fn(Option<&RequestId>) -> Bytes) -> Self {
        let id = RequestId::fresh();
        let body = write(Some(&id));
        let mut places = body.windows(id.as_str().len()).enumerate();
        let mut place = || places.find(|(_, text)| *text == id.as_str().as_bytes()).map(|(place, _)| place);
        let around = match (place(), place()) {
            (Some(place), None) => Some(Around(body[..place].into(), body[place + id.as_str().len()..].into())),
            _ => None,
        };
        Self { without: write(None), around }
    }
}

/// Whether neither JSON nor a URN writes any of its characters in another way.
fn is_the_same_in_all_encodings(id: &RequestId) -> bool {
    id.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn encoded(kind: &Kind, reason: &RejectionReason, challenges: &Challenges, request_id: Option<&RequestId>) -> Bytes {
    match kind {
        Kind::Flat { code } => encode(&Flat { reason, challenges, request_id, code: *code }),
        Kind::Envelope => encode(&Envelope { reason, challenges, request_id }),
        Kind::Problem { types } => encode(&Problem { reason, challenges, request_id, types }),
        Kind::Lean | Kind::Custom(_) => lean(reason),
    }
}

/// None of the bodies can fail to serialise: their keys are texts, and so are most of their values.
fn encode(body: &impl Serialize) -> Bytes {
    thread_local! {
        static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let write = |text: &mut Vec<u8>| {
        text.clear();
        match serde_json::to_writer(&mut *text, body) {
            Ok(()) => Bytes::copy_from_slice(text),
            Err(_) => Bytes::from_static(b"{}"),
        }
    };
    TEXT.try_with(|text| write(&mut text.borrow_mut())).unwrap_or_else(|_| write(&mut Vec::new()))
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
            message: Message<'a>,
            details: Details<'a>,
        }
        let message = match self.reason {
            RejectionReason::MissingKey => Message::of("API key is required"),
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
fn lean(reason: &RejectionReason) -> Bytes {
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
