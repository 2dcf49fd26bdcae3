//! The instruments of a gate.

use ::metrics::{Counter, Histogram};

use super::Stage;
use crate::context::{AuthContext, AuthMethod};
use crate::error::StoreError;
use crate::instruments::{Named, Share, Watch, counter, gauge, histogram};
use crate::key::KeyRecord;
use crate::limit::Occupancy;
use crate::metrics;
use crate::rejection::{Rejection, RejectionReason};

/// The instruments of a layer.
pub(crate) struct GateInstruments {
    source: Box<str>,
    known: Named<Decisions>,
    unknown: Decisions,
    by_handlers: [Counter; REASONS.len()],
    backends: Named<Counter>,
    stages: [Timings; STAGES.len()],
    entries: Share,
    capacity: Share,
}

/// Which source knows the key or the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct KnownBy(Option<u8>);

/// The counters of one source.
struct Decisions {
    accepted: [Counter; METHODS.len()],
    refused: [Counter; REASONS.len()],
}

/// How long a stage takes, from memory and from a backend.
struct Timings {
    memory: Histogram,
    backend: Histogram,
}

const METHODS: [AuthMethod; 6] = [
    AuthMethod::Session,
    AuthMethod::ApiKey,
    AuthMethod::AdminKey,
    AuthMethod::ClientKey,
    AuthMethod::ApiKeyAndUser,
    AuthMethod::Anonymous,
];

const REASONS: [&str; 21] = [
    "MISSING_API_KEY",
    "INVALID_API_KEY",
    "AMBIGUOUS_CREDENTIALS",
    "REVOKED_API_KEY",
    "DISABLED_API_KEY",
    "EXPIRED_API_KEY",
    "INVALID_SESSION",
    "INVALID_USER_TOKEN",
    "MISSING_USER_TOKEN",
    "IP_NOT_ALLOWED",
    "ORIGIN_NOT_ALLOWED",
    "INSUFFICIENT_SCOPE",
    "ORGANIZATION_MISMATCH",
    "CROSS_SITE_REQUEST",
    "RATE_LIMITED",
    "USAGE_EXCEEDED",
    "TOO_MANY_FAILURES",
    "AUTH_UNAVAILABLE",
    "FORBIDDEN",
    "AUTH_NOT_CONFIGURED",
    "APPLICATION",
];

const STAGES: [(Stage, &str); 6] = [
    (Stage::Credential, "credential"),
    (Stage::Source, "source"),
    (Stage::Session, "session"),
    (Stage::Limiter, "limiter"),
    (Stage::Credits, "credits"),
    (Stage::Decision, "decision"),
];

impl GateInstruments {
    /// `backends` are the names of those that can fail, so that their counters begin at zero.
    pub(crate) fn new<'a>(source: &'a str, backends: impl IntoIterator<Item = &'a str>) -> Self {
        metrics::describe();
        let instruments = Self {
            source: source.into(),
            known: Named::new(Decisions::of),
            unknown: Decisions::of("none"),
            by_handlers: REASONS.map(|reason| counter(metrics::HANDLER_REFUSALS, &[("reason", reason)])),
            backends: Named::new(|name| counter(metrics::BACKEND_ERRORS, &[("backend", name)])),
            stages: STAGES.map(|(stage, name)| Timings::of(stage, name)),
            entries: Share::of(gauge(metrics::LIMITER_ENTRIES, &[])),
            capacity: Share::of(gauge(metrics::LIMITER_CAPACITY, &[])),
        };
        instruments.known.place(source);
        for backend in backends.into_iter().chain([source]) {
            instruments.backends.place(backend);
        }
        instruments
    }

    pub(crate) fn known_by(&self, key: &KeyRecord) -> KnownBy {
        self.place(key.source.as_deref().unwrap_or(&self.source))
    }

    pub(crate) fn accepted(&self, context: &AuthContext, known_by: KnownBy) {
        // Who comes without a key was found by a resolver, or is nobody.
        let known_by = match context.session() {
            Some(session) if context.key().is_none() => self.place(&session.source),
            _ => known_by,
        };
        self.of(known_by).accepted[method(context.method())].increment(1);
    }

    pub(crate) fn refused(&self, rejection: &Rejection, known_by: KnownBy) {
        self.of(known_by).refused[reason(rejection.reason())].increment(1);
    }

    pub(crate) fn refused_by_handler(&self, rejection: &Rejection) {
        self.by_handlers[reason(rejection.reason())].increment(1);
    }

    pub(crate) fn backend_failed(&self, error: &StoreError) {
        self.backends.of(error.backend()).increment(1);
    }

    /// A stage ended that was answered from memory.
    pub(crate) fn at_once(&self, stage: Stage, watch: Watch) {
        watch.stop(&self.stages[stage as usize].memory);
    }

    /// A stage ended that had to wait.
    pub(crate) fn waited(&self, stage: Stage, watch: Watch) {
        watch.stop(&self.stages[stage as usize].backend);
    }

    pub(crate) fn limiter(&self, occupancy: Option<Occupancy>) {
        let Occupancy { entries, capacity } = occupancy.unwrap_or_default();
        self.entries.set(entries as u64);
        self.capacity.set(capacity as u64);
    }

    fn place(&self, source: &str) -> KnownBy {
        KnownBy(u8::try_from(self.known.place(source)).ok())
    }

    fn of(&self, known_by: KnownBy) -> &Decisions {
        known_by.0.map_or(&self.unknown, |place| self.known.at(usize::from(place)))
    }
}

impl Decisions {
    fn of(source: &str) -> Self {
        let made = |outcome, reason| {
            counter(metrics::DECISIONS, &[("outcome", outcome), ("reason", reason), ("source", source)])
        };
        Self {
            accepted: METHODS.map(|method| made("accepted", method.as_str())),
            refused: REASONS.map(|reason| made("refused", reason)),
        }
    }
}

impl Timings {
    fn of(stage: Stage, name: &str) -> Self {
        let made = |from| histogram(metrics::STAGE_DURATION, &[("stage", name), ("from", from)]);
        let memory = made("memory");
        // A credential is there or not: nobody has to be asked.
        Self { memory, backend: if stage == Stage::Credential { Histogram::noop() } else { made("backend") } }
    }
}

fn method(method: AuthMethod) -> usize {
    match method {
        AuthMethod::Session => 0,
        AuthMethod::ApiKey => 1,
        AuthMethod::AdminKey => 2,
        AuthMethod::ClientKey => 3,
        AuthMethod::ApiKeyAndUser => 4,
        AuthMethod::Anonymous => 5,
    }
}

fn reason(reason: &RejectionReason) -> usize {
    match reason {
        RejectionReason::MissingKey => 0,
        RejectionReason::InvalidKey => 1,
        RejectionReason::AmbiguousCredentials => 2,
        RejectionReason::RevokedKey { .. } => 3,
        RejectionReason::DisabledKey { .. } => 4,
        RejectionReason::ExpiredKey { .. } => 5,
        RejectionReason::InvalidSession => 6,
        RejectionReason::InvalidUserToken => 7,
        RejectionReason::MissingUserToken => 8,
        RejectionReason::IpNotAllowed => 9,
        RejectionReason::OriginNotAllowed => 10,
        RejectionReason::InsufficientScope { .. } => 11,
        RejectionReason::OrganizationMismatch => 12,
        RejectionReason::CrossSiteRequest => 13,
        RejectionReason::RateLimited { .. } => 14,
        RejectionReason::UsageExceeded { .. } => 15,
        RejectionReason::TooManyFailures { .. } => 16,
        RejectionReason::Unavailable { .. } => 17,
        RejectionReason::Forbidden => 18,
        RejectionReason::NotConfigured => 19,
        RejectionReason::Other(_) => 20,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Timestamp;
    use crate::key::{KeyId, ScopeRequirement, ScopeSet};

    #[test]
    fn every_reason_is_counted_under_its_own_code() {
        let key_id = KeyId::new("key_1").unwrap();
        let retry_after = Duration::ZERO;
        let reasons = [
            RejectionReason::MissingKey,
            RejectionReason::InvalidKey,
            RejectionReason::AmbiguousCredentials,
            RejectionReason::RevokedKey { key_id: key_id.clone() },
            RejectionReason::DisabledKey { key_id },
            RejectionReason::ExpiredKey { expired_at: Timestamp::UNIX_EPOCH },
            RejectionReason::InvalidSession,
            RejectionReason::InvalidUserToken,
            RejectionReason::MissingUserToken,
            RejectionReason::IpNotAllowed,
            RejectionReason::OriginNotAllowed,
            RejectionReason::InsufficientScope {
                required: ScopeRequirement::from(crate::key::Scope::from_static("read")),
                granted: ScopeSet::EMPTY,
            },
            RejectionReason::OrganizationMismatch,
            RejectionReason::CrossSiteRequest,
            RejectionReason::RateLimited { limit: 0, period: retry_after, retry_after },
            RejectionReason::UsageExceeded { retry_after: None },
            RejectionReason::TooManyFailures { retry_after },
            RejectionReason::Unavailable { retry_after },
            RejectionReason::Forbidden,
            RejectionReason::NotConfigured,
        ];
        for (place, of) in reasons.iter().enumerate() {
            assert_eq!((reason(of), REASONS[place]), (place, of.code()));
        }
        let own = Rejection::new(http::StatusCode::CONFLICT, "THE_CALLERS_TEXT", "", "");
        assert_eq!(REASONS[reason(own.reason())], "APPLICATION");
    }

    #[test]
    fn every_method_and_stage_has_a_place_of_its_own() {
        METHODS.iter().enumerate().for_each(|(place, of)| assert_eq!(method(*of), place));
        STAGES.iter().enumerate().for_each(|(place, (stage, _))| assert_eq!(*stage as usize, place));
    }
}
