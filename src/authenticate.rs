//! The way of a request, in order: the one place that knows the order.
//!
//! ```text
//! admit ─ public? ─ address ─ credential ─┬─ find ─ found ─ usable? ─┬─ charge ─ scopes? ─ credits ─ AuthContext
//!                      │          │        └─ resolve ─ cross-site? ──┤     │        │         │
//!                      └──────────┴── refuse, or fail if it was a guess ────┴────────┴─────────┴─ Rejection
//! ```
//!
//! Whether a key or a session is looked at first, or both are, is the layer's order and the route's demand.
//!
//! Every stage is a synchronous function of the facts before it, and answers at once if it can ([`Step::Done`]). A stage
//! that has to wait for a backend goes on in a future that calls the same ones.

mod background;
mod find;
mod instruments;
mod judge;
mod limit;
mod people;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, header};

use crate::audit::{AuditSink, AuditTrail, AuthEvent};
use crate::clock::{Clock, Timestamp};
use crate::context::{AuthContext, AuthMethod, ContextRules, Principal};
use crate::credential::{Credentials, Presented};
use crate::cross_site::CrossSite;
use crate::error::{Chain, StoreError};
use crate::fields::Glance;
use crate::instruments::{Sample, Watch};
use crate::ip::{ClientIp, IpPolicy, TrustedProxies};
use crate::key::{Environment, KeyDigest, KeyRef, Realm};
use crate::limit::credits::CreditLedger;
use crate::limit::{LimitReport, Limits};
use crate::preflight::Preflights;
use crate::rejection::{Rejection, RejectionReason, Renderer};
use crate::reply::Reply;
use crate::route::{Callers, Openness, RouteTable, Ruling};
use crate::session::{PresentedSessions, Sessions};
use crate::source::{BoxFuture, ErasedSource, KeyScheme};
use crate::trace;
use crate::transport;
use crate::usage::Recorder;

pub(crate) use self::instruments::GateInstruments;
use self::instruments::{KnownBy, Stage};
pub(crate) use self::limit::LIMITER;
use self::people::Alternative;

/// Everything that a layer was configured with. Shared by all services that it made.
pub(crate) struct Gate {
    pub(crate) source: Arc<dyn ErasedSource>,
    pub(crate) schemes: Vec<KeyScheme>,
    pub(crate) credentials: Credentials,
    pub(crate) sessions: Sessions,
    pub(crate) order: Order,
    pub(crate) cross_site: CrossSite,
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
    pub(crate) usage: Option<Recorder>,
    pub(crate) audit: Arc<dyn AuditSink>,
    pub(crate) trail: Option<AuditTrail>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) deadline: Duration,
    pub(crate) unavailable_for: Duration,
    pub(crate) instruments: GateInstruments,
}

/// A gate and its rules, under a count of holders that only some of them share.
#[derive(Clone)]
pub(crate) struct SharedGate(Arc<Shared>);

struct Shared {
    gate: Arc<Gate>,
    #[allow(clippy::redundant_allocation, reason = "the outer count is what only some holders share")]
    rules: Arc<Arc<ContextRules>>,
}

impl SharedGate {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        let rules = Arc::new(Arc::clone(&gate.rules));
        Self(Arc::new(Shared { gate, rules }))
    }

    /// The same under another count.
    pub(crate) fn apart(&self) -> Self {
        Self::new(Arc::clone(&self.0.gate))
    }

    /// For the context of a request.
    #[allow(clippy::redundant_allocation, reason = "the outer count is what only some holders share")]
    fn rules(&self) -> Arc<Arc<ContextRules>> {
        Arc::clone(&self.0.rules)
    }
}

impl Deref for SharedGate {
    type Target = Arc<Gate>;

    fn deref(&self) -> &Arc<Gate> {
        &self.0.gate
    }
}

impl fmt::Debug for SharedGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.gate, f)
    }
}

/// Which credential is looked at first, where either will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// A key that is presented decides alone, good or bad. Sessions are for requests without one. The default.
    KeyFirst,
    /// A session that holds wins, and no key is looked at. One that does not hold gives way to a key, and to nothing else.
    SessionFirst,
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

/// What is known of an attempt apart from who makes it. Handed from stage to stage, each of which adds to it.
struct Attempt {
    at: Timestamp,
    client: ClientIp,
    origin: Option<Box<HeaderValue>>,
    ruling: Ruling,
    callers: Callers,
    people: PresentedSessions,
    /// A cookie may have been sent along by a browser that another site made send the request.
    cross_site: bool,
    /// The digest that the key should have, if it was found by an older one.
    rehash: Option<Box<KeyDigest>>,
    /// How the limit stands that the decision is about.
    limit: Option<LimitReport>,
    /// Whether the stages are timed that need not wait.
    sample: Sample,
    /// The source that knows the key.
    known_by: KnownBy,
}

impl Attempt {
    /// The same for a future, which keeps it while it waits. Nothing is asked of what is left.
    fn take(&mut self) -> Self {
        Self {
            origin: self.origin.take(),
            ruling: self.ruling.take(),
            people: std::mem::replace(&mut self.people, PresentedSessions::Nothing),
            rehash: self.rehash.take(),
            limit: self.limit.take(),
            ..*self
        }
    }
}

impl Gate {
    /// Starts on a request: decides at once if all that is asked for is in memory.
    pub(crate) fn admit(self: &Arc<Self>, parts: &mut Parts, glance: Glance, reply: &mut Reply) -> Admission {
        let ruling = self.rule(parts);
        if ruling.openness == Openness::Public || self.preflights.exempts(parts) {
            return Admission::Forward;
        }
        let sample = Sample::next();
        let watch = sample.watch();
        let client = self.proxies.client(transport::peer(&parts.extensions), &parts.headers);
        let at = self.clock.now();
        reply.attempt(at, client, parts);
        let origin = if glance.origin { only_origin(&parts.headers).cloned().map(Box::new) } else { None };
        let (callers, people, cross_site) = self.people(parts, glance, &ruling);
        let mut attempt = Attempt {
            at,
            client,
            origin,
            ruling,
            callers,
            people,
            cross_site,
            rehash: None,
            limit: None,
            sample,
            known_by: KnownBy::default(),
        };
        match self.decide(parts, glance, &mut attempt) {
            Step::Done(outcome) => {
                // Who is refused gets no further, and neither do their credentials.
                if outcome.is_ok() {
                    self.put_away_credentials(parts, glance);
                }
                self.instruments.at_once(Stage::Decision, watch);
                self.end(outcome, &mut attempt, parts, reply)
            }
            Step::Wait(waiting) => {
                self.put_away_credentials(parts, glance);
                reply.waits(Watch::started());
                Admission::Wait(waiting)
            }
        }
    }

    /// Ends what [`admit`](Self::admit) started and had to wait for.
    pub(crate) fn conclude(&self, verdict: Verdict, parts: &mut Parts, reply: &mut Reply) -> Admission {
        let Verdict { outcome, mut attempt } = verdict;
        self.end(outcome, &mut attempt, parts, reply)
    }

    /// Notes the use, and writes the event, and the context into the request.
    fn end(&self, outcome: Outcome, attempt: &mut Attempt, parts: &mut Parts, reply: &mut Reply) -> Admission {
        let mut rate_limit = None;
        if let Some(report) = attempt.limit.take() {
            rate_limit = Some(report.state);
            reply.limited(report);
        }
        self.instruments.waited(Stage::Decision, reply.waited());
        match outcome {
            Ok(principal) => {
                let path = transport::original_uri(parts).path();
                reply.accepted(&principal, &parts.method, path);
                let new_address = self.note_use(principal.key(), reply, attempt.rehash.take());
                self.record(reply, None, Some(principal.method()), new_address, &parts.method, path);
                if let Some(attempted) = reply.attempted() {
                    let context = AuthContext {
                        principal,
                        client: attempted.client,
                        request_id: reply.request_id().cloned(),
                        rate_limit,
                        rules: reply.gate().rules(),
                    };
                    self.instruments.accepted(&context, attempt.known_by);
                    trace::accepted(&context);
                    parts.extensions.insert(context);
                }
                Admission::Forward
            }
            Err(rejection) => {
                self.instruments.refused(&rejection, attempt.known_by);
                let path = transport::original_uri(parts).path();
                self.record_refusal(&rejection, reply, &parts.method, path);
                Admission::Refuse(rejection)
            }
        }
    }

    /// Writes the event of a refusal by the service behind the gate.
    pub(crate) fn refused_by_handler(&self, rejection: &Rejection, reply: &Reply, method: &Method, path: &str) {
        self.instruments.refused_by_handler(rejection);
        self.record_refusal(rejection, reply, method, path);
    }

    fn record_refusal(&self, rejection: &Rejection, reply: &Reply, method: &Method, path: &str) {
        trace::refused(rejection);
        self.record(reply, Some(rejection), None, false, method, path);
    }

    /// Whether the key comes from a new address.
    fn note_use(&self, key: Option<&KeyRef>, reply: &Reply, rehash: Option<Box<KeyDigest>>) -> bool {
        let (Some(usage), Some(key), Some(attempted)) = (&self.usage, key, reply.attempted()) else {
            return false;
        };
        usage.note(key, attempted.at, attempted.client, rehash)
    }

    fn record(
        &self,
        reply: &Reply,
        rejection: Option<&Rejection>,
        auth_method: Option<AuthMethod>,
        new_address: bool,
        method: &Method,
        path: &str,
    ) {
        let Some(attempted) = reply.attempted() else { return };
        let key = rejection.and_then(Rejection::key).or_else(|| attempted.key());
        let event = AuthEvent {
            at: attempted.at,
            rejection,
            auth_method,
            key_id: key.map(|key| &key.id),
            owner: key.map(|key| &key.owner),
            user_id: attempted.user().map(|user| &user.id),
            client: attempted.client,
            new_address,
            method,
            path,
            request_id: reply.request_id(),
        };
        self.audit.record(event);
        if let Some(trail) = &self.trail {
            trail.record(event);
        }
    }

    fn credit_ledger(&self) -> Option<&CreditLedger> {
        self.limits.as_ref().map(Limits::credits)
    }

    /// What the table of routes says of the path as the caller wrote it: routers above may have taken a prefix off.
    fn rule(&self, parts: &Parts) -> Ruling {
        if self.routes.is_empty() {
            return Ruling::GUARDED;
        }
        let (path, original) = (parts.uri.path(), transport::original_uri(parts).path());
        let rewritten_to = if original.ends_with(path) { None } else { Some(path) };
        self.routes.rule(&parts.method, original, rewritten_to)
    }

    fn decide(self: &Arc<Self>, parts: &Parts, glance: Glance, attempt: &mut Attempt) -> Step {
        if let Err(reason) = self.judge_address(attempt.client) {
            return self.refuse(reason, attempt);
        }
        let watch = attempt.sample.watch();
        let presented = self.credentials.read(parts, glance);
        self.instruments.at_once(Stage::Credential, watch);
        if self.rules.unguarded {
            return self.charge(Principal::Anonymous, attempt);
        }
        // Whatever else there is: what was meant cannot be told.
        let of_people = matches!(attempt.people, PresentedSessions::Ambiguous);
        if of_people || (matches!(presented, Presented::Ambiguous) && attempt.callers != Callers::User) {
            return self.fail(RejectionReason::AmbiguousCredentials, attempt);
        }
        match (attempt.callers, self.order) {
            (Callers::Key | Callers::KeyAndUser, _) => self.by_key(presented, attempt),
            (Callers::User, _) => self.by_session(Alternative::MissingUser, attempt),
            (Callers::Either, Order::SessionFirst) => self.by_session(Alternative::Key(presented), attempt),
            (Callers::Either, Order::KeyFirst) => match presented {
                Presented::Nothing => self.by_session(Alternative::MissingKey, attempt),
                presented => self.by_key(presented, attempt),
            },
        }
    }

    /// Goes on with what was presented as a key.
    fn by_key(self: &Arc<Self>, presented: Presented<'_>, attempt: &mut Attempt) -> Step {
        match presented {
            Presented::Nothing => self.nobody(RejectionReason::MissingKey, attempt),
            Presented::Ambiguous => self.fail(RejectionReason::AmbiguousCredentials, attempt),
            Presented::Malformed => self.fail(RejectionReason::InvalidKey, attempt),
            Presented::KeyInCookie(_) if attempt.cross_site => self.refuse(RejectionReason::CrossSiteRequest, attempt),
            Presented::Key(key) | Presented::KeyInCookie(key) => self.find(key.expose_secret(), attempt),
        }
    }

    /// Nothing was presented that counts here.
    fn nobody(self: &Arc<Self>, missing: RejectionReason, attempt: &mut Attempt) -> Step {
        match (attempt.ruling.openness, &attempt.people) {
            (Openness::Optional, PresentedSessions::Nothing) => self.charge(Principal::Anonymous, attempt),
            _ => self.refuse(missing, attempt),
        }
    }

    pub(crate) fn put_away_credentials(&self, parts: &mut Parts, glance: Glance) {
        if self.keep_credentials {
            self.credentials.mark_sensitive(&mut parts.headers);
            self.sessions.mark_sensitive(&mut parts.headers);
        } else {
            self.credentials.strip(parts, glance);
            self.sessions.strip(&mut parts.headers, glance);
        }
    }

    /// The cause goes to the log, and the caller learns only that it has to come again.
    fn unavailable(&self, error: &StoreError) -> RejectionReason {
        self.instruments.backend_failed(error);
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

/// Who is let in, or why nobody is.
type Outcome = Result<Principal, Rejection>;

/// What was decided after waiting.
pub(crate) struct Verdict {
    outcome: Outcome,
    attempt: Attempt,
}

/// A stage's answer: what was decided, or that somebody has to be waited for.
enum Step {
    Done(Outcome),
    Wait(BoxFuture<'static, Verdict>),
}

impl Step {
    /// The answer for a future, which keeps the attempt itself.
    async fn resolve(self, attempt: Attempt) -> Verdict {
        match self {
            Self::Done(outcome) => Verdict { outcome, attempt },
            Self::Wait(waiting) => waiting.await,
        }
    }
}
