//! The message of a refusal, and the facts that it gives to programs.

use std::borrow::Cow;

use serde::Serializer;
use serde::ser::SerializeMap;

use super::{Challenges, RejectionReason};

impl RejectionReason {
    /// What happened and what to do, in one sentence, for the styles that are read by people.
    pub(super) fn message(&self, challenges: &Challenges) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::MissingKey => return format!("Provide API key via {}", challenges.phrase).into(),
            Self::InvalidKey => "The provided API key is invalid",
            Self::AmbiguousCredentials => "Send one API key, once",
            Self::RevokedKey { .. } => "The API key has been revoked",
            Self::DisabledKey { .. } => "The API key is disabled",
            Self::ExpiredKey { .. } => "The API key has expired",
            Self::InvalidSession => "The session is not valid; sign in again",
            Self::InvalidUserToken => "The user token is not valid; sign in again",
            Self::MissingUserToken => "Send a user token beside the API key",
            Self::IpNotAllowed => "Requests from this address are not allowed",
            Self::OriginNotAllowed => "The API key may not be used from this origin",
            Self::InsufficientScope { required, .. } => {
                return format!("This request needs the scope {required}").into();
            }
            Self::OrganizationMismatch => "The user does not belong to the API key's organization",
            Self::CrossSiteRequest => "Requests from other sites are not accepted with cookies; send an API key",
            Self::RateLimited { limit, .. } => {
                return format!("Too many requests. Limit: {limit}. {}", self.try_again()).into();
            }
            Self::UsageExceeded { retry_after: None } => "The API key has no requests left",
            Self::UsageExceeded { .. } => {
                return format!("The API key has no requests left. {}", self.try_again()).into();
            }
            Self::TooManyFailures { .. } => {
                return format!("Too many failed attempts from this address. {}", self.try_again()).into();
            }
            Self::Unavailable { .. } => {
                return format!("Authentication is temporarily unavailable. {}", self.try_again()).into();
            }
            Self::Forbidden => "The caller may not do this",
            Self::NotConfigured => "The service does not authenticate this route",
            Self::Other(other) => &other.message,
        })
    }

    fn try_again(&self) -> String {
        match self.retry_after_seconds().unwrap_or(1) {
            1 => "Try again in 1 second.".to_owned(),
            seconds => format!("Try again in {seconds} seconds."),
        }
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
            Self::RateLimited { limit, .. } => map.serialize_entry("limit", limit)?,
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

impl serde::Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.reason.write_details(self.challenges, &mut map)?;
        if let Some(id) = self.request_id {
            map.serialize_entry("request_id", id)?;
        }
        map.end()
    }
}
