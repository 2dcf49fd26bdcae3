//! Why a request was refused, as data. A [`Style`] makes a response of it.

mod bodies;
mod challenge;
mod details;
mod grpc;
mod head;
mod render;
mod style;
mod template;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::clock::Timestamp;
use crate::key::{KeyId, KeyRef, Realm, ScopeRequirement, ScopeSet};

pub use style::Style;

pub(crate) use challenge::Challenges;
pub(crate) use render::{Audience, Renderer};

/// A request was refused.
///
/// Handlers get one from [`AuthContext::require`](crate::AuthContext::require) and from the extractors, or make one with
/// [`Rejection::new`], and return it as their response. The layer then renders it in its own style, with the request's
/// id and the challenges, and writes the audit event. Outer layers find it in the response's extensions.
#[derive(Clone)]
pub struct Rejection {
    reason: RejectionReason,
    key: Option<KeyRef>,
}

impl Rejection {
    /// A refusal of the application's own, in the style of the layer's. `code` is for programs, `UPPER_SNAKE_CASE`;
    /// `title` and `message` are for people, and say what happened, and what to do.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        title: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        RejectionReason::Other(Box::new(Other {
            status,
            code,
            title: title.into(),
            message: message.into(),
            details: serde_json::Map::new(),
        }))
        .into()
    }

    /// The caller is known, and may not do this: 403 `FORBIDDEN`.
    pub fn forbidden() -> Self {
        RejectionReason::Forbidden.into()
    }

    /// Adds a fact to the `details` of a refusal made by [`Rejection::new`]; others keep theirs.
    #[must_use]
    pub fn detail(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        if let RejectionReason::Other(other) = &mut self.reason {
            other.details.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Why.
    pub const fn reason(&self) -> &RejectionReason {
        &self.reason
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        self.reason.status()
    }

    /// The reason for programs, such as `INVALID_API_KEY`.
    pub fn code(&self) -> &'static str {
        self.reason.code()
    }

    /// How long to wait before trying again, if that helps.
    pub fn retry_after(&self) -> Option<Duration> {
        self.reason.retry_after()
    }

    /// The key that was refused, for the log: only known when its secret was right.
    pub fn key_id(&self) -> Option<&KeyId> {
        self.key.as_ref().map(|key| &key.id)
    }

    /// The record of that key.
    pub(crate) const fn key(&self) -> Option<&KeyRef> {
        self.key.as_ref()
    }

    /// A response that stands for this refusal until the layer has written it; in flat JSON, should there be no layer.
    pub(crate) fn into_unrendered(self) -> Response<Bytes> {
        static RENDERER: LazyLock<Renderer> = LazyLock::new(|| {
            Renderer::new(Style::flat(), Challenges::new(&[], false, &Realm::from_static("api")), true)
        });
        let mut response = RENDERER.render(self.clone(), Audience::default(), None, None);
        response.extensions_mut().insert(Unrendered(self));
        response
    }

    pub(crate) fn with_key(mut self, key: &KeyRef) -> Self {
        self.key = Some(key.clone());
        self
    }
}

impl PartialEq for Rejection {
    fn eq(&self, other: &Self) -> bool {
        self.reason == other.reason && self.key_id() == other.key_id()
    }
}

impl From<RejectionReason> for Rejection {
    fn from(reason: RejectionReason) -> Self {
        Self { reason, key: None }
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection").field("reason", &self.reason).field("key_id", &self.key_id()).finish()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status().as_u16(), self.code())
    }
}

impl Error for Rejection {}

/// Marks a response as a refusal that the layer has still to write.
#[derive(Debug, Clone)]
pub(crate) struct Unrendered(pub(crate) Rejection);

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RejectionReason {
    /// Nothing was presented.
    MissingKey,
    /// Malformed, with a bad checksum, unknown, wrong, or of another environment or realm: nobody is told which.
    InvalidKey,
    /// Several different credentials, one header twice, or a list.
    AmbiguousCredentials,
    /// The key was revoked.
    RevokedKey {
        /// The key.
        key_id: KeyId,
    },
    /// The key is disabled.
    DisabledKey {
        /// The key.
        key_id: KeyId,
    },
    /// The key has expired.
    ExpiredKey {
        /// When.
        expired_at: Timestamp,
    },
    /// A session is needed, and the one presented is no good.
    InvalidSession,
    /// A user's token is needed, and the one presented is no good.
    InvalidUserToken,
    /// A user is needed, and no session or token was presented.
    MissingUserToken,
    /// The address may not call. It is logged, and not echoed.
    IpNotAllowed,
    /// The key may not be used from this web origin.
    OriginNotAllowed,
    /// The key lacks a scope.
    InsufficientScope {
        /// What is needed.
        required: ScopeRequirement,
        /// What the key has.
        granted: ScopeSet,
    },
    /// The user does not belong to the key's organisation.
    OrganizationMismatch,
    /// Another web site made a browser send this, with the cookies of its user.
    CrossSiteRequest,
    /// A limit is reached.
    RateLimited {
        /// How many requests are allowed,
        limit: u32,
        /// in how long.
        period: Duration,
        /// When the next request may be admitted.
        retry_after: Duration,
    },
    /// The key's credits are used up.
    UsageExceeded {
        /// When there are more, if ever.
        retry_after: Option<Duration>,
    },
    /// Too many failed attempts came from this address.
    TooManyFailures {
        /// When the next attempt may be made.
        retry_after: Duration,
    },
    /// A backend could not say.
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// The caller is known, and may not do this.
    Forbidden,
    /// A handler needs the layer, and the request did not come through one.
    NotConfigured,
    /// The application's own, made by [`Rejection::new`].
    Other(Box<Other>),
}

/// A refusal of the application's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Other {
    status: StatusCode,
    code: &'static str,
    title: Cow<'static, str>,
    message: Cow<'static, str>,
    details: serde_json::Map<String, serde_json::Value>,
}

impl RejectionReason {
    /// How many reasons have bodies that differ in a few words alone. Those of a limit that is reached are apart.
    const SLOTS: usize = 22;

    /// The number of such a reason. To wait for one second and for more are two, since they are said differently.
    fn slot(&self) -> Option<usize> {
        let later = usize::from(!self.is_in_one_second());
        Some(match self {
            Self::MissingKey => 0,
            Self::InvalidKey => 1,
            Self::AmbiguousCredentials => 2,
            Self::InvalidSession => 3,
            Self::InvalidUserToken => 4,
            Self::MissingUserToken => 5,
            Self::IpNotAllowed => 6,
            Self::OriginNotAllowed => 7,
            Self::OrganizationMismatch => 8,
            Self::CrossSiteRequest => 9,
            Self::UsageExceeded { retry_after: None } => 10,
            Self::Forbidden => 11,
            Self::NotConfigured => 12,
            Self::RevokedKey { .. } => 13,
            Self::DisabledKey { .. } => 14,
            Self::ExpiredKey { .. } => 15,
            Self::UsageExceeded { retry_after: Some(_) } => 16 + later,
            Self::TooManyFailures { .. } => 18 + later,
            Self::Unavailable { .. } => 20 + later,
            Self::RateLimited { .. } | Self::InsufficientScope { .. } | Self::Other(_) => return None,
        })
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::MissingKey
            | Self::InvalidKey
            | Self::AmbiguousCredentials
            | Self::RevokedKey { .. }
            | Self::DisabledKey { .. }
            | Self::ExpiredKey { .. }
            | Self::InvalidSession
            | Self::InvalidUserToken
            | Self::MissingUserToken => StatusCode::UNAUTHORIZED,
            Self::IpNotAllowed
            | Self::OriginNotAllowed
            | Self::InsufficientScope { .. }
            | Self::OrganizationMismatch
            | Self::CrossSiteRequest
            | Self::Forbidden => StatusCode::FORBIDDEN,
            Self::RateLimited { .. } | Self::UsageExceeded { .. } | Self::TooManyFailures { .. } => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotConfigured => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Other(other) => other.status,
        }
    }

    /// The reason for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingKey => "MISSING_API_KEY",
            Self::InvalidKey => "INVALID_API_KEY",
            Self::AmbiguousCredentials => "AMBIGUOUS_CREDENTIALS",
            Self::RevokedKey { .. } => "REVOKED_API_KEY",
            Self::DisabledKey { .. } => "DISABLED_API_KEY",
            Self::ExpiredKey { .. } => "EXPIRED_API_KEY",
            Self::InvalidSession => "INVALID_SESSION",
            Self::InvalidUserToken => "INVALID_USER_TOKEN",
            Self::MissingUserToken => "MISSING_USER_TOKEN",
            Self::IpNotAllowed => "IP_NOT_ALLOWED",
            Self::OriginNotAllowed => "ORIGIN_NOT_ALLOWED",
            Self::InsufficientScope { .. } => "INSUFFICIENT_SCOPE",
            Self::OrganizationMismatch => "ORGANIZATION_MISMATCH",
            Self::CrossSiteRequest => "CROSS_SITE_REQUEST",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::UsageExceeded { .. } => "USAGE_EXCEEDED",
            Self::TooManyFailures { .. } => "TOO_MANY_FAILURES",
            Self::Unavailable { .. } => "AUTH_UNAVAILABLE",
            Self::Forbidden => "FORBIDDEN",
            Self::NotConfigured => "AUTH_NOT_CONFIGURED",
            Self::Other(other) => other.code,
        }
    }

    /// What happened, in a few words.
    pub fn title(&self) -> &str {
        match self {
            Self::MissingKey => "Authentication required",
            Self::InvalidKey => "Invalid API key",
            Self::AmbiguousCredentials => "Ambiguous credentials",
            Self::RevokedKey { .. } => "API key revoked",
            Self::DisabledKey { .. } => "API key disabled",
            Self::ExpiredKey { .. } => "API key expired",
            Self::InvalidSession => "Invalid session",
            Self::InvalidUserToken => "Invalid user token",
            Self::MissingUserToken => "Sign-in required",
            Self::IpNotAllowed => "Access denied from this IP address",
            Self::OriginNotAllowed => "Access denied from this origin",
            Self::InsufficientScope { .. } => "Insufficient scope",
            Self::OrganizationMismatch => "Organization mismatch",
            Self::CrossSiteRequest => "Cross-site request refused",
            Self::RateLimited { .. } => "Rate limit exceeded",
            Self::UsageExceeded { .. } => "Usage exceeded",
            Self::TooManyFailures { .. } => "Too many failed attempts",
            Self::Unavailable { .. } => "Authentication unavailable",
            Self::Forbidden => "Forbidden",
            Self::NotConfigured => "Authentication not configured",
            Self::Other(other) => &other.title,
        }
    }

    /// How long to wait before trying again, if that helps.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. }
            | Self::TooManyFailures { retry_after }
            | Self::Unavailable { retry_after } => Some(*retry_after),
            Self::UsageExceeded { retry_after } => *retry_after,
            _ => None,
        }
    }

    /// The same in whole seconds, rounded up, at least 1.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after().map(|wait| wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1))
    }
}
