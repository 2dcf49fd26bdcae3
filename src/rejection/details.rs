//! The message of a refusal, and the facts that it gives to programs.

use std::fmt;
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Challenges, RejectionReason};
use crate::key::ScopeRequirement;
use crate::limit::Quota;

/// What happened and what to do, in one sentence, for the styles that are read by people.
pub(super) struct Message<'a>(Said<'a>);

enum Said<'a> {
    Fixed(&'a str),
    Missing(&'a Challenges),
    Scope(&'a ScopeRequirement),
    Limited { limit: u32, period: Duration, seconds: u64 },
    Later { what: &'static str, seconds: u64 },
}

impl<'a> Message<'a> {
    pub(super) const fn of(text: &'a str) -> Self {
        Self(Said::Fixed(text))
    }
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = match &self.0 {
            Said::Fixed(text) => return f.write_str(text),
            Said::Missing(challenges) => return write!(f, "Provide API key via {}", challenges.phrase),
            Said::Scope(required) => return write!(f, "This request needs the scope {required}"),
            Said::Limited { limit, period, seconds } => {
                write!(f, "Too many requests. Limit: {}. ", Quota::new(*limit, *period))?;
                seconds
            }
            Said::Later { what, seconds } => {
                write!(f, "{what}. ")?;
                seconds
            }
        };
        match seconds {
            1 => f.write_str("Try again in 1 second."),
            seconds => write!(f, "Try again in {seconds} seconds."),
        }
    }
}

impl Serialize for Message<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Said::Fixed(text) => serializer.serialize_str(text),
            _ => serializer.collect_str(self),
        }
    }
}

impl RejectionReason {
    pub(super) fn message<'a>(&'a self, challenges: &'a Challenges) -> Message<'a> {
        let seconds = self.retry_after_seconds().unwrap_or(1);
        Message(match self {
            Self::MissingKey => Said::Missing(challenges),
            Self::InsufficientScope { required, .. } => Said::Scope(required),
            Self::RateLimited { limit, period, .. } => Said::Limited { limit: *limit, period: *period, seconds },
            Self::UsageExceeded { retry_after: Some(_) } => {
                Said::Later { what: "The API key has no requests left", seconds }
            }
            Self::TooManyFailures { .. } => Said::Later { what: "Too many failed attempts from this address", seconds },
            Self::Unavailable { .. } => Said::Later { what: "Authentication is temporarily unavailable", seconds },
            Self::InvalidKey => Said::Fixed("The provided API key is invalid"),
            Self::AmbiguousCredentials => Said::Fixed("Send one API key, once"),
            Self::RevokedKey { .. } => Said::Fixed("The API key has been revoked"),
            Self::DisabledKey { .. } => Said::Fixed("The API key is disabled"),
            Self::ExpiredKey { .. } => Said::Fixed("The API key has expired"),
            Self::InvalidSession => Said::Fixed("The session is not valid; sign in again"),
            Self::InvalidUserToken => Said::Fixed("The user token is not valid; sign in again"),
            Self::MissingUserToken => Said::Fixed("This request needs a user who is signed in"),
            Self::IpNotAllowed => Said::Fixed("Requests from this address are not allowed"),
            Self::OriginNotAllowed => Said::Fixed("The API key may not be used from this origin"),
            Self::OrganizationMismatch => Said::Fixed("The user does not belong to the API key's organization"),
            Self::CrossSiteRequest => {
                Said::Fixed("Requests from other sites are not accepted with cookies; send an API key")
            }
            Self::UsageExceeded { retry_after: None } => Said::Fixed("The API key has no requests left"),
            Self::Forbidden => Said::Fixed("The caller may not do this"),
            Self::NotConfigured => Said::Fixed("The service does not authenticate this route"),
            Self::Other(other) => Said::Fixed(&other.message),
        })
    }

    /// Whether there are facts at all.
    pub(super) fn has_details(&self, challenges: &Challenges) -> bool {
        match self {
            Self::MissingKey => !challenges.headers.is_empty(),
            Self::RevokedKey { .. }
            | Self::DisabledKey { .. }
            | Self::ExpiredKey { .. }
            | Self::InsufficientScope { .. }
            | Self::RateLimited { .. }
            | Self::TooManyFailures { .. }
            | Self::Unavailable { .. } => true,
            Self::UsageExceeded { retry_after } => retry_after.is_some(),
            Self::Other(other) => !other.details.is_empty(),
            _ => false,
        }
    }

    /// Writes the facts as entries of a map.
    pub(super) fn write_details<M: SerializeMap>(&self, challenges: &Challenges, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::MissingKey => {
                if let Some(first) = challenges.headers.first() {
                    map.serialize_entry("header", first)?;
                }
                if challenges.headers.len() > 1 {
                    map.serialize_entry("headers", &challenges.headers)?;
                }
            }
            Self::RevokedKey { key_id } | Self::DisabledKey { key_id } => map.serialize_entry("key_id", key_id)?,
            Self::ExpiredKey { expired_at } => map.serialize_entry("expired_at", expired_at)?,
            Self::InsufficientScope { required, granted } => {
                map.serialize_entry("required", &required.scopes())?;
                map.serialize_entry("granted", granted)?;
            }
            Self::RateLimited { limit, period, .. } => {
                map.serialize_entry("limit", &format_args!("{}", Quota::new(*limit, *period)))?;
            }
            Self::Other(other) => {
                for (name, value) in &other.details {
                    map.serialize_entry(name, value)?;
                }
            }
            _ => {}
        }
        match self.retry_after_seconds() {
            Some(seconds) => map.serialize_entry("retry_after", &seconds),
            None => Ok(()),
        }
    }
}

/// The facts as a map, for serde.
pub(super) struct Details<'a> {
    pub(super) reason: &'a RejectionReason,
    pub(super) challenges: &'a Challenges,
    pub(super) request_id: Option<&'a str>,
}

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.reason.write_details(self.challenges, &mut map)?;
        if let Some(id) = self.request_id {
            map.serialize_entry("request_id", id)?;
        }
        map.end()
    }
}
