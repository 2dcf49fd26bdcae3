//! The way of a request, in order: the one place that knows the order.
//!
//! ```text
//! admit ─ public? ─ address ─ credential ─ digests ─┬─ in memory: judge ──────────┬─ AuthContext
//!                                                   └─ elsewhere: wait, then judge ┘   or Rejection
//! ```
//!
//! Every stage is a synchronous function of the facts before it. The waiting path calls the same ones.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};

use crate::audit::{AuditSink, AuthEvent};
use crate::clock::{Clock, Timestamp};
use crate::context::{AuthContext, AuthMethod, ContextRules, Principal};
use crate::credential::{Credentials, Presented};
use crate::error::{Chain, StoreError};
use crate::ip::{ClientIp, IpPolicy, IpVerdict, TrustedProxies};
use crate::key::{Environment, KeyDigest, KeyId, KeyRecord, KeyRef, KeyState, PresentedKey, Realm};
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
    pub(crate) realm: Option<Realm>,
    pub(crate) environment: Option<Environment>,
    pub(crate) rules: Arc<ContextRules>,
    pub(crate) renderer: Renderer,
    pub(crate) request_ids: bool,
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
    Wait(BoxFuture<'static, Result<AuthContext, Rejection>>),
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
        reply.identify(at, client);
        let origin = only_origin(&parts.headers).cloned();
        let attempt = Attempt { at, client, request_id: reply.request_id().cloned(), origin, ruling };
        match self.decide(parts, attempt) {
            Decision::Now(verdict) => self.conclude(verdict, parts, reply),
            Decision::Later(waiting) => Admission::Wait(waiting),
        }
    }

    /// Ends what [`admit`](Self::admit) started: writes the event, and the context into the request.
    pub(crate) fn conclude(
        &self,
        verdict: Result<AuthContext, Rejection>,
        parts: &mut Parts,
        reply: &mut Reply,
    ) -> Admission {
        match verdict {
            Ok(context) => {
                reply.accepted(&context);
                self.record(reply, None, Some(context.method()), context.key().map(|key| &key.id));
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
        self.record(reply, Some(rejection), None, rejection.key_id().or_else(|| reply.key_id()));
    }

    fn record(
        &self,
        reply: &Reply,
        rejection: Option<&Rejection>,
        auth_method: Option<AuthMethod>,
        key_id: Option<&KeyId>,
    ) {
        self.audit.record(AuthEvent {
            at: reply.at(),
            rejection,
            auth_method,
            key_id,
            client: reply.client(),
            method: reply.method(),
            path: reply.path(),
            request_id: reply.request_id(),
        });
    }

    /// What the table of routes says of the path as the caller wrote it: routers above may have taken a prefix off.
    fn rule(&self, parts: &Parts) -> Ruling {
        let (path, original) = (parts.uri.path(), transport::original_uri(parts).path());
        let rewritten_to = if original.ends_with(path) { None } else { Some(path) };
        self.routes.rule(&parts.method, original, rewritten_to)
    }

    fn decide(self: &Arc<Self>, parts: &mut Parts, attempt: Attempt) -> Decision {
        if let Err(rejection) = self.judge_address(attempt.client) {
            return Decision::Now(Err(rejection));
        }
        let presented = self.credentials.read(parts);
        self.put_away_credentials(parts);
        if self.rules.unguarded {
            return Decision::Now(Ok(self.context(Principal::Anonymous, attempt)));
        }
        match presented {
            Presented::Nothing if attempt.ruling.openness == Openness::Optional => {
                Decision::Now(Ok(self.context(Principal::Anonymous, attempt)))
            }
            Presented::Nothing => Decision::Now(Err(RejectionReason::MissingKey.into())),
            Presented::Ambiguous => Decision::Now(Err(RejectionReason::AmbiguousCredentials.into())),
            Presented::Malformed => Decision::Now(Err(RejectionReason::InvalidKey.into())),
            Presented::Key(key) => self.find(&key, attempt),
        }
    }

    fn judge_address(&self, client: ClientIp) -> Result<(), Rejection> {
        match self.ip_policy.as_ref().map(|policy| policy.judge(client)) {
            None | Some(IpVerdict::Allow) => Ok(()),
            Some(IpVerdict::Deny) => Err(RejectionReason::IpNotAllowed.into()),
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
    fn find(self: &Arc<Self>, key: &PresentedKey, attempt: Attempt) -> Decision {
        let mut digests = self.digests(key);
        while let Some(digest) = digests.next() {
            match self.source.find_now(&digest) {
                Lookup::Absent => {}
                Lookup::Found(found) => return Decision::Now(self.judge_found(found, &digest, attempt)),
                Lookup::Ask => {
                    let remaining: Vec<_> = std::iter::once(digest).chain(digests).collect();
                    return Decision::Later(Box::pin(self.clone().find_later(remaining, attempt)));
                }
            }
        }
        Decision::Now(Err(RejectionReason::InvalidKey.into()))
    }

    async fn find_later(self: Arc<Self>, digests: Vec<KeyDigest>, attempt: Attempt) -> Result<AuthContext, Rejection> {
        let found = self.within_deadline(self.ask(&digests)).await;
        match found.map_err(|error| self.unavailable(&error))? {
            Some((digest, found)) => self.judge_found(found, digest, attempt),
            None => Err(RejectionReason::InvalidKey.into()),
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

    async fn within_deadline<T>(&self, answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        // Only Tokio's timer is known here; on another runtime the source has to keep its own deadline.
        if tokio::runtime::Handle::try_current().is_err() {
            return answer.await;
        }
        match tokio::time::timeout(self.deadline, answer).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(StoreError::new(self.source.name(), "find a key", elapsed)),
        }
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

    fn judge_found(&self, found: KeyRef, digest: &KeyDigest, attempt: Attempt) -> Result<AuthContext, Rejection> {
        // Compared in constant time. A source that hands out another record than it was asked for cannot be believed.
        if found.digest != *digest {
            let error = StoreError::new(self.source.name(), "find a key", "the record found has another digest");
            return Err(self.unavailable(&error));
        }
        self.judge(&found, &attempt).map_err(|reason| Rejection::from(reason).with_key(&found.id))?;
        Ok(self.context(Principal::Key(found), attempt))
    }

    /// Whether the key, known by now to be presented by somebody who has it, may be used for this request.
    fn judge(&self, key: &KeyRecord, attempt: &Attempt) -> Result<(), RejectionReason> {
        let elsewhere = key.realm.as_ref().is_some_and(|realm| Some(realm) != self.realm.as_ref())
            || self.environment.as_ref().is_some_and(|ours| key.environment.as_ref().is_some_and(|its| its != ours));
        if elsewhere {
            return Err(RejectionReason::InvalidKey);
        }
        match key.state(attempt.at) {
            KeyState::Active | KeyState::Overlap => {}
            KeyState::Revoked => return Err(RejectionReason::RevokedKey { key_id: key.id.clone() }),
            KeyState::Disabled => return Err(RejectionReason::DisabledKey { key_id: key.id.clone() }),
            KeyState::Expired => {
                return Err(RejectionReason::ExpiredKey { expired_at: key.expires_at.unwrap_or(attempt.at) });
            }
        }
        if let Some(blocks) = &key.allowed_ips
            && !attempt.client.address().is_some_and(|address| blocks.contains(address))
        {
            return Err(RejectionReason::IpNotAllowed);
        }
        if let Some(origins) = &key.allowed_origins
            && !attempt.origin.as_ref().is_some_and(|origin| origins.iter().any(|allowed| origin == allowed.as_str()))
        {
            return Err(RejectionReason::OriginNotAllowed);
        }
        let unmet =
            |required: &&_| !crate::key::ScopeRequirement::is_met_by(required, &key.scopes, &self.rules.hierarchy);
        match self.routes.routes(&attempt.ruling).filter_map(|route| route.required_scopes()).find(unmet) {
            None => Ok(()),
            Some(required) => {
                Err(RejectionReason::InsufficientScope { required: required.clone(), granted: key.scopes.clone() })
            }
        }
    }

    fn context(&self, principal: Principal, attempt: Attempt) -> AuthContext {
        AuthContext {
            principal,
            client: attempt.client,
            request_id: attempt.request_id,
            rules: Arc::clone(&self.rules),
        }
    }

    /// The cause goes to the log, and the caller learns only that it has to come again.
    fn unavailable(&self, error: &StoreError) -> Rejection {
        tracing::error!(
            target: "tower_api_key::store",
            backend = error.backend(),
            operation = error.operation(),
            error = %Chain(error),
            "a backend could not answer"
        );
        RejectionReason::Unavailable { retry_after: self.unavailable_for }.into()
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

enum Decision {
    Now(Result<AuthContext, Rejection>),
    Later(BoxFuture<'static, Result<AuthContext, Rejection>>),
}
