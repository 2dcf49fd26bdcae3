//! The bodies of refusals.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use serde::ser::SerializeMap;

use super::details::{Details, Message};
use super::style::Kind;
use super::template::{Slot, Words};
use super::{Challenges, RejectionReason};
use crate::request_id::RequestId;

/// What the "quota exceeded" problem type of draft-ietf-httpapi-ratelimit-headers is called.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// How many quotas have their bodies kept. A service has few of them; refusals by others are written each time.
const QUOTAS: usize = 16;

/// Bodies of reasons that are alike but for a few words, each kept when it was first needed.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    by_reason: [Slot; RejectionReason::SLOTS],
    by_quota: [OnceLock<OfQuota>; QUOTAS],
}

/// The bodies of those who reached one limit.
#[derive(Debug)]
struct OfQuota {
    limit: u32,
    period: Duration,
    in_one_second: Slot,
    later: Slot,
}

impl Bodies {
    /// The body in JSON.
    pub(super) fn body(
        &self,
        kind: &Kind,
        reason: &RejectionReason,
        challenges: &Challenges,
        id: Option<&RequestId>,
    ) -> Bytes {
        if matches!(kind, Kind::Lean) {
            return lean(reason);
        }
        let write = |reason: &RejectionReason, id: Option<&RequestId>| encoded(kind, reason, challenges, id);
        let filled = || self.slot(reason)?.fill(&Words::of(reason, id)?, reason, write);
        filled().unwrap_or_else(|| write(reason, id))
    }

    fn slot(&self, reason: &RejectionReason) -> Option<&Slot> {
        let RejectionReason::RateLimited { limit, period, .. } = reason else {
            return reason.slot().map(|index| &self.by_reason[index]);
        };
        let mut kept = self.by_quota.iter().map(|of| of.get_or_init(|| OfQuota::new(*limit, *period)));
        let kept = kept.find(|of| of.limit == *limit && of.period == *period)?;
        Some(if reason.is_in_one_second() { &kept.in_one_second } else { &kept.later })
    }
}

impl OfQuota {
    fn new(limit: u32, period: Duration) -> Self {
        Self { limit, period, in_one_second: Slot::default(), later: Slot::default() }
    }
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
    let body = match reason {
        RejectionReason::MissingKey => r#"{"error":"MISSING_API_KEY"}"#,
        RejectionReason::InvalidKey => r#"{"error":"INVALID_API_KEY"}"#,
        RejectionReason::AmbiguousCredentials => r#"{"error":"AMBIGUOUS_CREDENTIALS"}"#,
        RejectionReason::RevokedKey { .. } => r#"{"error":"REVOKED_API_KEY"}"#,
        RejectionReason::DisabledKey { .. } => r#"{"error":"DISABLED_API_KEY"}"#,
        RejectionReason::ExpiredKey { .. } => r#"{"error":"EXPIRED_API_KEY"}"#,
        RejectionReason::InvalidSession => r#"{"error":"INVALID_SESSION"}"#,
        RejectionReason::InvalidUserToken => r#"{"error":"INVALID_USER_TOKEN"}"#,
        RejectionReason::MissingUserToken => r#"{"error":"MISSING_USER_TOKEN"}"#,
        RejectionReason::IpNotAllowed => r#"{"error":"IP_NOT_ALLOWED"}"#,
        RejectionReason::OriginNotAllowed => r#"{"error":"ORIGIN_NOT_ALLOWED"}"#,
        RejectionReason::InsufficientScope { .. } => r#"{"error":"INSUFFICIENT_SCOPE"}"#,
        RejectionReason::OrganizationMismatch => r#"{"error":"ORGANIZATION_MISMATCH"}"#,
        RejectionReason::CrossSiteRequest => r#"{"error":"CROSS_SITE_REQUEST"}"#,
        RejectionReason::RateLimited { .. } => r#"{"error":"RATE_LIMITED"}"#,
        RejectionReason::UsageExceeded { .. } => r#"{"error":"USAGE_EXCEEDED"}"#,
        RejectionReason::TooManyFailures { .. } => r#"{"error":"TOO_MANY_FAILURES"}"#,
        RejectionReason::Unavailable { .. } => r#"{"error":"AUTH_UNAVAILABLE"}"#,
        RejectionReason::Forbidden => r#"{"error":"FORBIDDEN"}"#,
        RejectionReason::NotConfigured => r#"{"error":"AUTH_NOT_CONFIGURED"}"#,
        RejectionReason::Other(other) => return Bytes::from(format!("{{\"error\":\"{}\"}}", other.code)),
    };
    Bytes::from_static(body.as_bytes())
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::clock::Timestamp;
    use crate::credential::CredentialLocation;
    use crate::fields::Glance;
    use crate::key::{KeyId, Realm, ScopeSet};
    use crate::request_id::X_REQUEST_ID;

    fn id(text: &'static str) -> RequestId {
        let headers: HeaderMap = [(X_REQUEST_ID, HeaderValue::from_static(text))].into_iter().collect();
        RequestId::of(&headers, Glance::at(&headers))
    }

    fn reasons(seconds: u64, fact: &'static str) -> Vec<RejectionReason> {
        let wait = Duration::from_secs(seconds);
        let limited = |limit, period| {
            let period = Duration::from_secs(period);
            RejectionReason::RateLimited { limit, period, retry_after: wait }
        };
        vec![
            RejectionReason::MissingKey,
            RejectionReason::InvalidKey,
            RejectionReason::AmbiguousCredentials,
            RejectionReason::RevokedKey { key_id: KeyId::from_static(fact) },
            RejectionReason::DisabledKey { key_id: KeyId::from_static(fact) },
            RejectionReason::ExpiredKey { expired_at: Timestamp::from_unix_seconds(seconds as i64 - 10) },
            RejectionReason::InvalidSession,
            RejectionReason::InvalidUserToken,
            RejectionReason::MissingUserToken,
            RejectionReason::IpNotAllowed,
            RejectionReason::OriginNotAllowed,
            RejectionReason::InsufficientScope {
                required: crate::key::Scope::from_static("write").into(),
                granted: ScopeSet::EMPTY,
            },
            RejectionReason::OrganizationMismatch,
            RejectionReason::CrossSiteRequest,
            limited(5, 60),
            limited(98_765, 98_765_432_109),
            RejectionReason::UsageExceeded { retry_after: None },
            RejectionReason::UsageExceeded { retry_after: Some(wait) },
            RejectionReason::TooManyFailures { retry_after: wait },
            RejectionReason::Unavailable { retry_after: wait },
            RejectionReason::Forbidden,
            RejectionReason::NotConfigured,
        ]
    }

    #[test]
    fn a_body_out_of_a_template_is_the_one_that_would_be_written() {
        let locations = [CredentialLocation::header("X-API-Key"), CredentialLocation::bearer()];
        let challenges = Challenges::new(&locations, false, &Realm::from_static("api"));
        let ids = [Some(id("r1")), None, Some(RequestId::fresh()), Some(id("a\"b<\\")), Some(id("429"))];
        for kind in [
            Kind::Flat { code: true },
            Kind::Flat { code: false },
            Kind::Envelope,
            Kind::Problem { types: Arc::from("urn:x:") },
            Kind::Lean,
        ] {
            let bodies = Bodies::default();
            for (seconds, fact) in [(60, "key_1"), (1, "key_2"), (2, "a\"\\<key>"), (1, "3"), (86_400, "key_1")] {
                for (reason, id) in
                    reasons(seconds, fact).iter().flat_map(|reason| ids.iter().map(move |id| (reason, id)))
                {
                    let body = bodies.body(&kind, reason, &challenges, id.as_ref());
                    let id = id.as_ref().filter(|_| !matches!(kind, Kind::Lean));
                    assert_eq!(body, encoded(&kind, reason, &challenges, id), "{reason:?}");
                    if matches!(kind, Kind::Lean) {
                        assert_eq!(body, format!("{{\"error\":\"{}\"}}", reason.code()));
                    }
                }
            }
        }
    }

    #[test]
    fn more_quotas_than_are_kept_are_written_all_the_same() {
        let challenges = Challenges::new(&[], false, &Realm::from_static("api"));
        let (bodies, kind) = (Bodies::default(), Kind::Flat { code: true });
        for limit in (1..100).chain(1..100) {
            let wait = Duration::from_secs(u64::from(limit));
            let reason = RejectionReason::RateLimited { limit, period: Duration::from_secs(60), retry_after: wait };
            assert_eq!(bodies.body(&kind, &reason, &challenges, None), encoded(&kind, &reason, &challenges, None));
        }
    }
}
