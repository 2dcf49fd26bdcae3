//! The way of a request, in order: the one place that knows the order.
//!
//! ```text
//! admit ─ public? ─ address ─ credential ─ find ─ found ─ usable? ─ charge ─ scopes? ─ credits ─ AuthContext
//!                      │          │          │                         │        │         │
//!                      └──────────┴── refuse, or fail if it was a guess ┴────────┴─────────┴─ Rejection
//! ```
//!
//! Every stage is a synchronous function of the facts before it, and answers at once if it can ([`Step::Done`]). A stage
//! that has to wait for a backend goes on in a future that calls the same ones.

mod judge;
mod limit;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use tokio::time::error::Elapsed;

use crate::audit::{AuditSink, AuthEvent};
use crate::clock::{Clock, Timestamp};
use crate::context::{AuthContext, AuthMethod, ContextRules, Principal};
use crate::credential::{Credentials, Presented};
use crate::error::{Chain, StoreError};
use crate::ip::{ClientIp, IpPolicy, TrustedProxies};
use crate::key::{Environment, KeyDigest, KeyRef, PresentedKey, Realm};
use crate::limit::{LimitReport, LimitState, Limits};
use crate::preflight::Preflights;
use crate::rejection::{Rejection, RejectionReason, Renderer};
use crate::reply::Reply;
use crate::request_id::RequestId;
use crate::route::{Openness, RouteTable, Ruling};
use crate::source::{BoxFuture, ErasedSource, KeyScheme, Lookup};
use crate::transport;

/// Everything that a layer was configured with. Shared by all services that it made.
pub(crate) struct Gate {
    pub(crate) source: Arc<dyn ErasedSource>,
    pub(crate) schemes: Vec<KeyScheme>,
    pub(crate) credentials: Credentials,
    pub(crate) keep_credentials: bool,
    pub(crate) routes: RouteTable,
    pub(crate) preflights: Preflights,
    pub(crate) proxies: TrustedProxies,
    pub(crate) ip_policy: Option<Arc<dyn IpPolicy>>,
    pub(crate) limits: Option<Limits>,
    pub(crate) realm: Option<Realm>,
    pub(crate) environment: Option<Environment>,
    pub(crate) rules: Arc<ContextRules>,
    pub(crate) renderer: Renderer,
    pub(crate) request_ids: bool,
    pub(crate) rotation_headers: bool,
    pub(crate) audit: Arc<dyn AuditSink>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) deadline: Duration,
    pub(crate) unavailable_for: Duration,
}

/// What is to become of a request.
pub(crate) enum Admission {
    /// On to the inner service. The context is in the extensions, unless the route is public.
    Forward,
    /// Back to the caller.
    Refuse(Rejection),
    /// A backend has to be asked first.
    Wait(BoxFuture<'static, Verdict>),
}

/// What is known of an attempt before it is known who makes it. Owned, so that it can wait.
struct Attempt {
    at: Timestamp,
    client: ClientIp,
    request_id: Option<RequestId>,
    origin: Option<HeaderValue>,
    ruling: Ruling,
}

impl Gate {
    /// Starts on a request: decides at once if all that is asked for is in memory.
    pub(crate) fn admit(self: &Arc<Self>, parts: &mut Parts, reply: &mut Reply) -> Admission {
        let ruling = self.rule(parts);
        if ruling.openness == Openness::Public || self.preflights.exempts(parts) {
            return Admission::Forward;
        }
        let client = self.proxies.client(transport::peer(&parts.extensions), &parts.headers);
        let at = self.clock.now();
        reply.attempt(at, client, parts);
        let origin = only_origin(&parts.headers).cloned();
        let attempt = Attempt { at, client, request_id: reply.request_id().cloned(), origin, ruling };
        match self.decide(parts, attempt) {
            Step::Done(verdict) => self.conclude(verdict, parts, reply),
            Step::Wait(waiting) => Admission::Wait(waiting),
        }
    }

    /// Ends what [`admit`](Self::admit) started: writes the event, and the context into the request.
    pub(crate) fn conclude(&self, verdict: Verdict, parts: &mut Parts, reply: &mut Reply) -> Admission {
        reply.limited(verdict.limit);
        match verdict.outcome {
            Ok(context) => {
                reply.accepted(&context);
                self.record(reply, None, Some(context.method()));
                parts.extensions.insert(context);
                Admission::Forward
            }
            Err(rejection) => {
                self.record_refusal(&rejection, reply);
                Admission::Refuse(rejection)
            }
        }
    }

    /// Writes the event of a refusal, by the gate or by the service behind it.
    pub(crate) fn record_refusal(&self, rejection: &Rejection, reply: &Reply) {
        self.record(reply, Some(rejection), None);
    }

    fn record(&self, reply: &Reply, rejection: Option<&Rejection>, auth_method: Option<AuthMethod>) {
        let Some(attempted) = reply.attempted() else { return };
        let presented = rejection.and_then(Rejection::key_id);
        self.audit.record(AuthEvent {
            at: attempted.at,
            rejection,
            auth_method,
            key_id: presented.or_else(|| attempted.key.as_ref().map(|key| &key.id)),
            client: attempted.client,
            method: &attempted.method,
            path: attempted.uri.path(),
            request_id: reply.request_id(),
        });
    }

    /// What the table of routes says of the path as the caller wrote it: routers above may have taken a prefix off.
    fn rule(&self, parts: &Parts) -> Ruling {
        let (path, original) = (parts.uri.path(), transport::original_uri(parts).path());
        let rewritten_to = if original.ends_with(path) { None } else { Some(path) };
        self.routes.rule(&parts.method, original, rewritten_to)
    }

    fn decide(self: &Arc<Self>, parts: &mut Parts, attempt: Attempt) -> Step {
        if let Err(reason) = self.judge_address(attempt.client) {
            return self.refuse(reason, attempt);
        }
        let presented = self.credentials.read(parts);
        self.put_away_credentials(parts);
        let anonymous = attempt.ruling.openness == Openness::Optional;
        match presented {
            _ if self.rules.unguarded => self.charge(Principal::Anonymous, attempt),
            Presented::Nothing if anonymous => self.charge(Principal::Anonymous, attempt),
            Presented::Nothing => self.refuse(RejectionReason::MissingKey, attempt),
            Presented::Ambiguous => self.fail(RejectionReason::AmbiguousCredentials, attempt),
            Presented::Malformed => self.fail(RejectionReason::InvalidKey, attempt),
            Presented::Key(key) => self.find(&key, attempt),
        }
    }

    pub(crate) fn put_away_credentials(&self, parts: &mut Parts) {
        if self.keep_credentials {
            self.credentials.mark_sensitive(&mut parts.headers);
        } else {
            self.credentials.strip(parts);
        }
    }

    /// Asks the source for each digest that the key may be known by: first what is in memory, and then, if that is not
    /// enough, in a future.
    fn find(self: &Arc<Self>, key: &PresentedKey, attempt: Attempt) -> Step {
        let mut digests = self.digests(key);
        while let Some(digest) = digests.next() {
            match self.source.find_now(&digest) {
                Lookup::Absent => {}
                Lookup::Found(found) => return self.found(found, &digest, attempt),
                Lookup::Ask => {
                    let remaining: Vec<_> = std::iter::once(digest).chain(digests).collect();
                    return Step::Wait(Box::pin(Arc::clone(self).find_later(remaining, attempt)));
                }
            }
        }
        self.fail(RejectionReason::InvalidKey, attempt)
    }

    async fn find_later(self: Arc<Self>, digests: Vec<KeyDigest>, attempt: Attempt) -> Verdict {
        // Who has guessed too often is not worth a question to the source.
        if let Some(verdict) = self.out_of_attempts(&attempt).await {
            return verdict;
        }
        let answer = self.timed(self.ask(&digests)).await;
        let found = answer.unwrap_or_else(|elapsed| Err(StoreError::new(self.source.name(), "find a key", elapsed)));
        match found {
            Ok(Some((digest, found))) => self.found(found, digest, attempt).resolve().await,
            Ok(None) => self.fail(RejectionReason::InvalidKey, attempt).resolve().await,
            Err(error) => self.refuse(self.unavailable(&error), attempt).resolve().await,
        }
    }

    async fn ask<'a>(&self, digests: &'a [KeyDigest]) -> Result<Option<(&'a KeyDigest, KeyRef)>, StoreError> {
        for digest in digests {
            let found = match self.source.find_now(digest) {
                Lookup::Found(found) => Some(found),
                Lookup::Absent => None,
                Lookup::Ask => self.source.find(digest).await?,
            };
            if let Some(found) = found {
                return Ok(Some((digest, found)));
            }
        }
        Ok(None)
    }

    /// Waits for a backend, but not for ever. Only Tokio's timer is known here; on another runtime a backend has to keep
    /// its own deadline.
    async fn timed<T>(&self, answer: impl Future<Output = T>) -> Result<T, Elapsed> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Ok(answer.await);
        }
        tokio::time::timeout(self.deadline, answer).await
    }

    /// The digests that the key may be known by, each once, and none for a key that has no known shape.
    fn digests<'a>(&'a self, key: &'a PresentedKey) -> impl Iterator<Item = KeyDigest> + 'a {
        let text = key.expose_secret();
        self.schemes.iter().enumerate().filter_map(move |(index, scheme)| {
            let earlier = self.schemes[..index].iter();
            let same = |other: &KeyScheme| other.algorithm() == scheme.algorithm() && other.digests_alike(scheme, text);
            if earlier.clone().any(same) { None } else { scheme.digest(text) }
        })
    }

    /// Goes on with a record: usable, within its limits, allowed here, and paid for.
    fn found(self: &Arc<Self>, key: KeyRef, digest: &KeyDigest, attempt: Attempt) -> Step {
        // Compared in constant time. A source that hands out another record than it was asked for cannot be believed.
        if key.digest != *digest {
            let error = StoreError::new(self.source.name(), "find a key", "the record found has another digest");
            return self.refuse(self.unavailable(&error), attempt);
        }
        match self.judge_use(&key, &attempt) {
            Ok(()) => self.charge(Principal::Key(key), attempt),
            // A key of somewhere else is as wrong here as one that nobody knows, and counts as such.
            Err(reason @ RejectionReason::InvalidKey) => self.fail(Rejection::from(reason).with_key(&key.id), attempt),
            Err(reason) => self.refuse(Rejection::from(reason).with_key(&key.id), attempt),
        }
    }

    fn context(&self, principal: Principal, attempt: Attempt, rate_limit: Option<LimitState>) -> AuthContext {
        AuthContext {
            principal,
            client: attempt.client,
            request_id: attempt.request_id,
            rate_limit,
            rules: Arc::clone(&self.rules),
        }
    }

    /// The cause goes to the log, and the caller learns only that it has to come again.
    fn unavailable(&self, error: &StoreError) -> RejectionReason {
        tracing::error!(
            target: "tower_api_key::store",
            backend = error.backend(),
            operation = error.operation(),
            error = %Chain(error),
            "a backend could not answer"
        );
        RejectionReason::Unavailable { retry_after: self.unavailable_for }
    }
}

/// The origin, if there is one and no other: a service may read the second of two.
fn only_origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut origins = headers.get_all(header::ORIGIN).into_iter();
    origins.next().filter(|_| origins.next().is_none())
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("source", &self.source.name()).finish_non_exhaustive()
    }
}

/// What was decided, and how the limit stands that the decision is about.
pub(crate) struct Verdict {
    outcome: Result<AuthContext, Rejection>,
    limit: Option<LimitReport>,
}

/// A stage's answer: a verdict, or that somebody has to be waited for.
enum Step {
    Done(Verdict),
    Wait(BoxFuture<'static, Verdict>),
}

impl Step {
    async fn resolve(self) -> Verdict {
        match self {
            Self::Done(verdict) => verdict,
            Self::Wait(waiting) => waiting.await,
        }
    }
}
