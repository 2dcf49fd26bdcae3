//! The layer and its settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::audit::{AuditSink, TracingAudit};
use crate::authenticate::Gate;
use crate::clock::{Clock, SystemClock};
use crate::context::ContextRules;
use crate::credential::{CredentialLocation, Credentials};
use crate::error::ConfigError;
use crate::ip::{IpPolicy, TrustedProxies};
use crate::key::{Environment, Realm, ScopeHierarchy};
use crate::limit::Limits;
use crate::preflight::Preflights;
use crate::rejection::{Challenges, Renderer, Style};
use crate::route::{Entry, Methods, Openness, Route, RouteTable};
use crate::service::ApiKeyService;
use crate::source::{ErasedSource, KeyScheme, KeySource};

/// Lets requests with a good key through to the service behind it, with an [`AuthContext`](crate::AuthContext) in their
/// extensions, and answers all others itself.
///
/// Has no type parameters and is cheap to clone. Wrap services of axum with [`protect`](Self::protect) or
/// `Router::layer`, others with `ServiceBuilder`, or tonic's `Server::layer`.
///
/// # What is decided, in this order
///
/// 1. A route that is public, or a preflight that is let through, goes straight on.
/// 2. An address that may not call is answered with 403.
/// 3. No credential: 401, or on as anonymous where the route makes credentials optional. Several: 401.
/// 4. A credential that no key can be, has a wrong checksum, or is unknown: 401, and a failed attempt of its address. Who
///    has made too many gets 429, but for keys that memory knows.
/// 5. A source that cannot tell: 503.
/// 6. A key of another realm or environment, or one that is revoked, expired or disabled: 401.
/// 7. A key that may not be used from this address or origin: 403.
/// 8. A limit of the key, its owner, its address or the route that is reached: 429.
/// 9. A key that lacks a scope of the route: 403. The request has used its quotas by then, but no credit.
/// 10. A key without credits left: 429.
/// 11. Everything else goes on, without the credential.
///
/// # Deployment caveat
///
/// The table of routes is read on the path as the gate sees it. A proxy in front that rewrites paths, or a service behind
/// that reads them in another way than axum does (a gateway, for one), can make a route of another. Restrictions hold for
/// every usual spelling, and permissions for the exact one alone: see [`route`](crate::route).
///
/// # Example
///
/// ```
/// use http::{Method, Request, StatusCode};
/// use tower::{Layer, ServiceExt};
/// use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
/// use tower_api_key::{ApiKeyLayer, AuthContext};
///
/// # tokio_test::block_on(async {
/// let keys = MemoryKeys::new();
/// let issued = keys.issue(NewKey::named("ci")).await?;
/// let auth = ApiKeyLayer::builder(keys).public(Method::GET, "/health").build()?;
///
/// let service = auth.layer(tower::service_fn(|request: Request<()>| async move {
///     let caller = request.extensions().get::<AuthContext>().and_then(|auth| auth.key());
///     Ok::<_, std::convert::Infallible>(http::Response::new(caller.map(|key| key.name.clone())))
/// }));
///
/// let allowed = Request::get("/").header("x-api-key", issued.secret.expose_secret()).body(())?;
/// assert_eq!(service.clone().oneshot(allowed).await?.status(), StatusCode::OK);
///
/// let refused = Request::get("/").header("x-api-key", "ak_live_made_up").body(())?;
/// assert_eq!(service.clone().oneshot(refused).await?.status(), StatusCode::UNAUTHORIZED);
///
/// let public = Request::get("/health").body(())?;
/// assert_eq!(service.oneshot(public).await?.status(), StatusCode::OK);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct ApiKeyLayer {
    pub(crate) gate: Arc<Gate>,
}

impl ApiKeyLayer {
    /// A layer that asks for a key of `source` on every route, in `X-API-Key` or `Authorization: Bearer`.
    ///
    /// What [`build`](ApiKeyLayerBuilder::build) would say is wrong with the source stands in the log; such a source lets
    /// in fewer than it could, and nobody else.
    pub fn new(source: impl KeySource) -> Self {
        let builder = Self::builder(source);
        let schemes = builder.source.schemes();
        for error in contradictions(&schemes) {
            tracing::error!(target: "tower_api_key::config", %error, "the layer cannot find all keys of its source");
        }
        builder.assemble(schemes, Credentials::default(), RouteTable::default(), Preflights::default())
    }

    /// The same, with settings.
    pub fn builder(source: impl KeySource) -> ApiKeyLayerBuilder {
        ApiKeyLayerBuilder::new(Arc::new(source))
    }
}

impl<S> Layer<S> for ApiKeyLayer {
    type Service = ApiKeyService<S>;

    fn layer(&self, inner: S) -> ApiKeyService<S> {
        ApiKeyService::new(inner, Arc::clone(&self.gate))
    }
}

/// The settings of an [`ApiKeyLayer`].
#[must_use]
pub struct ApiKeyLayerBuilder {
    source: Arc<dyn ErasedSource>,
    credentials: Vec<CredentialLocation>,
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
    audit: Arc<dyn AuditSink>,
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
    fn new(source: Arc<dyn ErasedSource>) -> Self {
        Self {
            source,
            credentials: vec![CredentialLocation::header("X-API-Key"), CredentialLocation::bearer()],
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
            audit: Arc::new(TracingAudit),
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

    /// Who takes note of attempts; [`TracingAudit`], unless set.
    pub fn audit(mut self, sink: impl AuditSink) -> Self {
        self.audit = Arc::new(sink);
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

    /// The layer.
    ///
    /// # Errors
    /// Every mistake in the settings at once, each with the name of its setting.
    pub fn build(mut self) -> Result<ApiKeyLayer, ConfigError> {
        let mut mistakes = Vec::new();
        let credentials = noted(Credentials::new(&self.credentials), &mut mistakes);
        let entries = std::mem::take(&mut self.entries);
        let routes = noted(RouteTable::new(entries, std::mem::take(&mut self.default_route)), &mut mistakes);
        let preflights = match &self.preflights {
            _ if self.all_preflights => Preflights::ALL,
            None => Preflights::default(),
            Some(origins) => noted(Preflights::from(origins), &mut mistakes).unwrap_or_default(),
        };
        mistakes.extend(self.limits.iter().flat_map(Limits::validate).map(|error| ConfigError::new("limits", error)));
        mistakes.extend(routes.as_ref().and_then(|routes| routes.check_limits(self.limits.as_ref()).err()));
        if self.deadline.is_zero() {
            mistakes.push(ConfigError::new("deadline", "a source that has no time to answer lets nobody in"));
        }
        let schemes = self.source.schemes();
        if !self.unguarded {
            mistakes.extend(contradictions(&schemes));
        }
        ConfigError::all(mistakes)?;
        // Neither is missing: there would have been a mistake.
        Ok(self.assemble(schemes, credentials.unwrap_or_default(), routes.unwrap_or_default(), preflights))
    }

    fn assemble(
        self,
        schemes: Vec<KeyScheme>,
        credentials: Credentials,
        routes: RouteTable,
        preflights: Preflights,
    ) -> ApiKeyLayer {
        if self.unguarded {
            tracing::warn!(target: "tower_api_key::config", "everybody is let in as anonymous: no key is asked for");
        }
        let named = self.realm.clone().unwrap_or(Realm::from_static("api"));
        let challenges = Challenges::new(&self.credentials, &named);
        let tells_wait = self.limits.as_ref().is_none_or(|limits| limits.limit_headers().tells_retry_after());
        let rules = ContextRules {
            hierarchy: self.hierarchy,
            source: self.source.name().to_owned(),
            unguarded: self.unguarded,
        };
        ApiKeyLayer {
            gate: Arc::new(Gate {
                schemes,
                source: self.source,
                credentials,
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
                audit: self.audit,
                clock: self.clock,
                deadline: self.deadline,
                unavailable_for: self.unavailable_for,
            }),
        }
    }
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
