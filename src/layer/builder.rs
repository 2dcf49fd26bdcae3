//! The settings of the layer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::ApiKeyLayer;
use crate::audit::{AuditSink, AuditTrail, TracingAudit};
use crate::authenticate::{Gate, GateInstruments, LIMITER, Order};
use crate::clock::{Clock, SystemClock};
use crate::context::ContextRules;
use crate::credential::{CredentialLocation, Credentials};
use crate::cross_site::CrossSite;
use crate::error::ConfigError;
use crate::ip::{IpPolicy, TrustedProxies};
use crate::key::{Environment, Realm, ScopeHierarchy};
use crate::limit::Limits;
use crate::preflight::Preflights;
use crate::rejection::{Challenges, Renderer, Style};
use crate::route::{Entry, Methods, Openness, Route, RouteTable};
use crate::session::{ErasedSessions, SessionResolver, Sessions};
use crate::source::{ErasedSource, KeyScheme};
use crate::usage::{Recorder, Usage};

/// The settings of an [`ApiKeyLayer`].
#[must_use]
pub struct ApiKeyLayerBuilder {
    source: Arc<dyn ErasedSource>,
    credentials: Vec<CredentialLocation>,
    sessions: Vec<Arc<dyn ErasedSessions>>,
    order: Order,
    cookie_origins: Vec<String>,
    cross_site_cookies: bool,
    keep_credentials: bool,
    realm: Option<Realm>,
    environment: Option<Environment>,
    entries: Vec<Entry>,
    default_route: Route,
    hierarchy: ScopeHierarchy,
    preflights: Option<Vec<String>>,
    all_preflights: bool,
    unguarded: bool,
    proxies: TrustedProxies,
    ip_policy: Option<Arc<dyn IpPolicy>>,
    limits: Option<Limits>,
    style: Style,
    request_ids: bool,
    rotation_headers: bool,
    usage: Option<Usage>,
    audit: Arc<dyn AuditSink>,
    trail: Option<AuditTrail>,
    clock: Arc<dyn Clock>,
    deadline: Duration,
    unavailable_for: Duration,
}

impl fmt::Debug for ApiKeyLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyLayerBuilder").field("source", &self.source.name()).finish_non_exhaustive()
    }
}

impl ApiKeyLayerBuilder {
    pub(super) fn new(source: Arc<dyn ErasedSource>) -> Self {
        Self {
            source,
            credentials: vec![CredentialLocation::header("X-API-Key"), CredentialLocation::bearer()],
            sessions: Vec::new(),
            order: Order::KeyFirst,
            cookie_origins: Vec::new(),
            cross_site_cookies: false,
            keep_credentials: false,
            realm: None,
            environment: Some(Environment::LIVE),
            entries: Vec::new(),
            default_route: Route::new(),
            hierarchy: ScopeHierarchy::new(),
            preflights: None,
            all_preflights: false,
            unguarded: false,
            proxies: TrustedProxies::none(),
            ip_policy: None,
            limits: None,
            style: Style::default(),
            request_ids: true,
            rotation_headers: false,
            usage: None,
            audit: Arc::new(TracingAudit),
            trail: None,
            clock: Arc::new(SystemClock),
            deadline: Duration::from_secs(2),
            unavailable_for: Duration::from_secs(1),
        }
    }

    /// Where keys may stand in a request; `X-API-Key` and `Authorization: Bearer`, unless set. The first is the one that
    /// callers are told of first.
    pub fn credentials(mut self, locations: impl IntoIterator<Item = CredentialLocation>) -> Self {
        self.credentials = locations.into_iter().collect();
        self
    }

    /// Lets people in by their sessions, too. Called again, it adds another kind of session; the first that holds counts.
    ///
    /// Which routes take keys, people or both is said by [`Route::callers`]; where either will do, [`order`](Self::order)
    /// says which counts. Sessions are taken out of the request as keys are.
    pub fn sessions(mut self, resolver: impl SessionResolver) -> Self {
        self.sessions.push(Arc::new(resolver));
        self
    }

    /// Which credential is looked at first, where either will do; [`Order::KeyFirst`], unless set.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Web origins, such as `https://app.example.com`, whose pages may write with the cookies of their users; the
    /// service's own alone, unless set.
    ///
    /// Browsers send cookies along whichever site makes them send a request. So what a cookie authenticates (a session,
    /// or a key that travels in a cookie) is refused with 403 `CROSS_SITE_REQUEST` if the method is not safe, or it is a
    /// WebSocket handshake, and another site may have sent it: `Origin` on this list passes; else `Sec-Fetch-Site`
    /// decides; else `Origin` has to name the host of the request; and where neither header is, no browser sent it.
    ///
    /// A proxy that rewrites `Host` makes old browsers, which send no `Sec-Fetch-Site`, look as if they came from another
    /// site: name the service's own origin here then.
    pub fn allow_cookies_from(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.cookie_origins.extend(origins.into_iter().map(Into::into));
        self
    }

    /// Lets cookies authenticate requests from **every** site: for services that keep out forged requests in another way.
    pub fn insecure_cross_site_cookies(mut self) -> Self {
        self.cross_site_cookies = true;
        self
    }

    /// Leaves credentials in the request, marked as sensitive. They are taken out unless this is called.
    pub fn keep_credentials(mut self) -> Self {
        self.keep_credentials = true;
        self
    }

    /// The protection space (RFC 9110 §11.5): named in challenges, and a key that is bound to another one is refused.
    /// Unless set, challenges name `api`, and keys that are bound to any are refused.
    pub fn realm(mut self, realm: Realm) -> Self {
        self.realm = Some(realm);
        self
    }

    /// The environment whose keys are let in; `live`, unless set. Keys without one open every environment.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Lets in the keys of every environment.
    pub fn any_environment(mut self) -> Self {
        self.environment = None;
        self
    }

    /// A route without a gate: no key, no rule about addresses, no [`AuthContext`](crate::AuthContext), and credentials
    /// are left as they are. Patterns are written as axum's: exact, with `{name}` segments, or with `{*rest}` at the end.
    pub fn public(self, methods: impl Into<Methods>, pattern: impl Into<String>) -> Self {
        self.entry("public", methods.into(), pattern.into(), Openness::Public, Route::new())
    }

    /// A route that lets callers without a credential through as anonymous. Who presents one is authenticated, and
    /// refused if it is no good.
    pub fn optional(self, methods: impl Into<Methods>, pattern: impl Into<String>) -> Self {
        self.entry("optional", methods.into(), pattern.into(), Openness::Optional, Route::new())
    }

    /// What a route asks for, beyond a good key.
    pub fn route(self, methods: impl Into<Methods>, pattern: impl Into<String>, route: Route) -> Self {
        self.entry("route", methods.into(), pattern.into(), Openness::Guarded, route)
    }

    fn entry(
        mut self,
        setting: &'static str,
        methods: Methods,
        pattern: String,
        openness: Openness,
        route: Route,
    ) -> Self {
        self.entries.push(Entry { setting, methods, pattern, openness, route });
        self
    }

    /// What routes ask for that the table does not name; a good key alone, unless set.
    pub fn default_route(mut self, route: Route) -> Self {
        self.default_route = route;
        self
    }

    /// Which scopes include others.
    pub fn scope_hierarchy(mut self, hierarchy: ScopeHierarchy) -> Self {
        self.hierarchy = hierarchy;
        self
    }

    /// Lets true CORS preflights from these origins through without a key: `OPTIONS` with `Origin` and
    /// `Access-Control-Request-Method`. Any other `OPTIONS` needs one.
    pub fn allow_preflights_from(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.preflights = Some(origins.into_iter().map(Into::into).collect());
        self
    }

    /// Lets true CORS preflights from every origin through without a key.
    pub fn allow_preflights(mut self) -> Self {
        self.all_preflights = true;
        self
    }

    /// Lets **everybody** through as anonymous, whatever they present: for development without a key. Warns when the
    /// layer is built.
    pub fn insecure_anonymous(mut self) -> Self {
        self.unguarded = true;
        self
    }

    /// Which proxies' word is taken for where a request comes from; none's, unless set.
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Where requests may come from; anywhere, unless set.
    pub fn ip_policy(mut self, policy: impl IpPolicy) -> Self {
        self.ip_policy = Some(Arc::new(policy));
        self
    }

    /// How often callers may call; as often as they like, unless set.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// How refusals are written; [`Style::flat`], unless set.
    pub fn style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }

    /// Whether responses carry `X-Request-Id`; they do, unless this is set to `false`.
    pub fn request_ids(mut self, on: bool) -> Self {
        self.request_ids = on;
        self
    }

    /// Whether responses to a key in its overlap say so: `Deprecation: @<unix seconds of the rotation>` and
    /// `Sunset: <HTTP date of its end>`. They do not, unless this is set to `true`. RFC 9745 and RFC 8594 speak of
    /// resources; here the credential is what ends.
    pub fn rotation_headers(mut self, on: bool) -> Self {
        self.rotation_headers = on;
        self
    }

    /// Which store keeps what keys are used; none, unless set. Spawn [`ApiKeyLayer::background`], and call
    /// [`ApiKeyLayer::shutdown`] at the end: see [`usage`](crate::usage).
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// Who takes note of attempts; [`TracingAudit`], unless set.
    pub fn audit(mut self, sink: impl AuditSink) -> Self {
        self.audit = Arc::new(sink);
        self
    }

    /// Keeps attempts where they can be read again, beside whoever takes note of them ([`audit`](Self::audit)); nowhere,
    /// unless set. Spawn [`ApiKeyLayer::background`], and call [`ApiKeyLayer::shutdown`] at the end.
    pub fn audit_trail(mut self, trail: AuditTrail) -> Self {
        self.trail = Some(trail);
        self
    }

    /// Where the time comes from; the system's clock, unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How long a source or a limiter may take to answer before the request is answered with 503; two seconds, unless set.
    /// Kept by Tokio's timer, which the runtime must have enabled; outside Tokio there is no deadline.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What a 503 tells callers to wait; one second, unless set.
    pub fn unavailable_retry_after(mut self, wait: Duration) -> Self {
        self.unavailable_for = wait;
        self
    }

    /// The layer with all settings as they come. What would be mistakes stands in the log.
    pub(super) fn built(self) -> ApiKeyLayer {
        let schemes = self.source.schemes();
        for error in contradictions(&schemes) {
            tracing::error!(target: "tower_api_key::config", %error, "the layer cannot find all keys of its source");
        }
        self.assemble(schemes, Readers::default(), RouteTable::default())
    }

    /// The layer.
    ///
    /// # Errors
    /// Every mistake in the settings at once, each with the name of its setting.
    pub fn build(mut self) -> Result<ApiKeyLayer, ConfigError> {
        let mut mistakes = Vec::new();
        let mut credentials = noted(Credentials::new(&self.credentials), &mut mistakes).unwrap_or_default();
        let sessions = std::mem::take(&mut self.sessions);
        let sessions = noted(Sessions::new(sessions, credentials.reads_bearer()), &mut mistakes).unwrap_or_default();
        if sessions.reads_bearer() {
            credentials.share_bearer();
        }
        let cross_site = CrossSite::new(&self.cookie_origins, self.cross_site_cookies);
        let cross_site = noted(cross_site, &mut mistakes).unwrap_or_default();
        let entries = std::mem::take(&mut self.entries);
        let routes = noted(RouteTable::new(entries, std::mem::take(&mut self.default_route)), &mut mistakes);
        let preflights = match &self.preflights {
            _ if self.all_preflights => Preflights::ALL,
            None => Preflights::default(),
            Some(origins) => noted(Preflights::from(origins), &mut mistakes).unwrap_or_default(),
        };
        mistakes.extend(self.limits.iter().flat_map(Limits::validate).map(|error| ConfigError::new("limits", error)));
        mistakes.extend(routes.as_ref().and_then(|routes| routes.check_limits(self.limits.as_ref()).err()));
        if sessions.is_empty() {
            mistakes.extend(routes.as_ref().and_then(|routes| routes.check_callers().err()));
        }
        mistakes.extend(self.usage.iter().flat_map(Usage::validate));
        if self.deadline.is_zero() {
            mistakes.push(ConfigError::new("deadline", "a source that has no time to answer lets nobody in"));
        }
        let schemes = self.source.schemes();
        if !self.unguarded {
            mistakes.extend(contradictions(&schemes));
        }
        ConfigError::all(mistakes)?;
        // Nothing is missing: there would have been a mistake.
        let routes = routes.unwrap_or_default();
        Ok(self.assemble(schemes, Readers { credentials, sessions, cross_site, preflights }, routes))
    }

    fn assemble(self, schemes: Vec<KeyScheme>, readers: Readers, routes: RouteTable) -> ApiKeyLayer {
        let Readers { credentials, sessions, cross_site, preflights } = readers;
        if self.unguarded {
            tracing::warn!(target: "tower_api_key::config", "everybody is let in as anonymous: no key is asked for");
        }
        let named = self.realm.clone().unwrap_or(Realm::from_static("api"));
        let challenges = Challenges::new(&self.credentials, sessions.reads_bearer(), &named);
        let tells_wait = self.limits.as_ref().is_none_or(|limits| limits.limit_headers().tells_retry_after());
        let rules = ContextRules {
            hierarchy: self.hierarchy,
            source: self.source.name().to_owned(),
            unguarded: self.unguarded,
        };
        let limiter = self.limits.as_ref().map(|_| LIMITER);
        let instruments = GateInstruments::new(self.source.name(), sessions.names().chain(limiter));
        ApiKeyLayer {
            gate: Arc::new(Gate {
                instruments,
                schemes,
                source: self.source,
                credentials,
                sessions,
                order: self.order,
                cross_site,
                keep_credentials: self.keep_credentials,
                routes,
                preflights,
                proxies: self.proxies,
                ip_policy: self.ip_policy,
                limits: self.limits,
                realm: self.realm,
                environment: self.environment,
                rules: Arc::new(rules),
                renderer: Renderer::new(self.style, challenges, tells_wait),
                request_ids: self.request_ids,
                rotation_headers: self.rotation_headers,
                usage: self.usage.map(Recorder::new),
                audit: self.audit,
                trail: self.trail,
                clock: self.clock,
                deadline: self.deadline,
                unavailable_for: self.unavailable_for,
            }),
        }
    }
}

/// What reads requests, checked.
#[derive(Default)]
struct Readers {
    credentials: Credentials,
    sessions: Sessions,
    cross_site: CrossSite,
    preflights: Preflights,
}

/// What was made, or nothing and a note of the mistake.
fn noted<T>(made: Result<T, ConfigError>, mistakes: &mut Vec<ConfigError>) -> Option<T> {
    made.map_err(|mistake| mistakes.push(mistake)).ok()
}

/// What a source states of its keys, and cannot be.
fn contradictions(schemes: &[KeyScheme]) -> Vec<ConfigError> {
    if schemes.is_empty() {
        return vec![ConfigError::new("source", "it states no scheme, so it can have no keys")];
    }
    let pairs = schemes.iter().enumerate().flat_map(|(index, one)| schemes[..index].iter().map(move |two| (one, two)));
    let contradicting = pairs.into_iter().find(|(one, two)| one.contradicts(two));
    let error = |(one, _): (&KeyScheme, &KeyScheme)| {
        ConfigError::new("source", format_args!("two peppers have one id: {:?}", one.algorithm()))
    };
    contradicting.map(error).into_iter().collect()
}
