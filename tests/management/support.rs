//! An API to call, and what every answer of it must have.

use std::collections::BTreeSet;
use std::convert::Infallible;

use axum::body::{Body, to_bytes};
use axum::response::Response;
use axum::{Extension, Router};
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;
use tower_api_key::audit::{AuditTrail, MemoryAudit};
use tower_api_key::key::{KeyClass, KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord, KeyRef, Scope, UserId};
use tower_api_key::management::{Action, Endpoint, Management, StandardAuthority};
use tower_api_key::source::{KeySource, KeyStore, MemoryKeys, NewKey};
use tower_api_key::testing::{self, TestClock};
use tower_api_key::{ApiKeyLayer, AuthContext};

pub(crate) const ADMIN: Scope = Scope::from_static("admin");
pub(crate) const READ: Scope = Scope::from_static("read");
pub(crate) const WRITE: Scope = Scope::from_static("write");

pub(crate) type App = BoxCloneSyncService<Request<Body>, Response, Infallible>;

/// A store, the API over it behind the gate, and a clock for both.
pub(crate) struct Api {
    pub(crate) keys: MemoryKeys,
    pub(crate) clock: TestClock,
    pub(crate) events: MemoryAudit,
    pub(crate) trail: AuditTrail,
    pub(crate) app: App,
}

impl Api {
    pub(crate) fn new() -> Self {
        let clock = TestClock::default();
        let keys = MemoryKeys::builder().clock(clock.clone()).build();
        let events = MemoryAudit::new();
        let trail = AuditTrail::new(events.clone());
        let management = Management::new(keys.clone()).clock(clock.clone()).audit(trail.clone());
        let auth = ApiKeyLayer::builder(keys.clone()).clock(clock.clone()).audit_trail(trail.clone());
        let app = boxed(auth.build().unwrap().protect(Router::new().nest("/v1/keys", management.router())));
        Self { keys, clock, events, trail, app }
    }

    /// The API as `context` sees it: for people, who do not come through the layer here.
    pub(crate) fn seen_by(&self, context: AuthContext) -> App {
        self.seen_with(context, StandardAuthority::new().grantable([READ]))
    }

    pub(crate) fn seen_with(&self, context: AuthContext, authority: StandardAuthority) -> App {
        let management = Management::new(self.keys.clone()).clock(self.clock.clone()).authority(authority);
        let management = management.audit(self.trail.clone());
        boxed(Router::new().nest("/v1/keys", management.router()).layer(Extension(context)))
    }

    /// Issues a key past the API, and gives its secret and record.
    pub(crate) async fn issue(&self, key: NewKey) -> (String, KeyRef) {
        let issued = self.keys.issue(key).await.unwrap();
        (issued.secret.expose_secret().to_owned(), issued.record)
    }

    pub(crate) async fn admin(&self) -> String {
        self.issue(NewKey::named("admin").scopes([ADMIN])).await.0
    }

    pub(crate) async fn all(&self) -> Vec<KeyRef> {
        let mut filter = tower_api_key::source::KeyFilter::default();
        filter.limit = 10_000;
        self.keys.list(&filter).await.unwrap().items
    }
}

pub(crate) fn guarded(source: impl KeySource, clock: &TestClock, router: Router) -> App {
    let auth = ApiKeyLayer::builder(source).clock(clock.clone()).build().unwrap();
    boxed(auth.protect(Router::new().nest("/v1/keys", router)))
}

pub(crate) fn boxed<S>(service: S) -> App
where
    S: tower::Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(service)
}

pub(crate) fn user(id: &'static str) -> AuthContext {
    testing::context().user(UserId::from_static(id)).build()
}

/// The context of a caller with a key whose record `change` has changed.
pub(crate) fn maker(change: impl FnOnce(&mut KeyRecord)) -> AuthContext {
    let digest: KeyDigest = KeyHasher::sha256().digest("maker");
    let mut record = KeyRecord::new(KeyId::from_static("key_maker"), digest);
    record.scopes = [ADMIN].into();
    record.class = KeyClass::Standard;
    change(&mut record);
    testing::context().record(record).build()
}

/// An answer, read to its end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// The fields that are named as wrong.
    pub(crate) fn fields(&self) -> BTreeSet<&str> {
        let fields = self.body["details"]["fields"].as_object();
        fields.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    /// The same without what differs from request to request.
    pub(crate) fn without_request_id(mut self) -> Self {
        self.headers.remove("x-request-id");
        self.body.as_object_mut().unwrap().remove("requestId");
        self
    }
}

pub(crate) fn request(method: &Method, path: &str, key: Option<&str>, body: Option<Value>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    match body {
        None => request.body(Body::empty()).unwrap(),
        Some(body) => {
            request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap()
        }
    }
}

/// Sends a request. Whatever becomes of it, the answer is JSON, is not cached, and shows no digest.
pub(crate) async fn send(app: &App, request: Request<Body>) -> Answer {
    let head = request.method() == Method::HEAD;
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let text = to_bytes(body, usize::MAX).await.unwrap();
    assert_eq!(parts.headers[header::CACHE_CONTROL], "no-store", "{parts:?}");
    assert_eq!(parts.headers[header::CONTENT_TYPE], "application/json; charset=utf-8", "{parts:?}");
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert!(!text.contains("sha256") && !text.contains("\"digest\":\""), "{text}");
    let body = if head { Value::Null } else { serde_json::from_str(&text).unwrap() };
    Answer { status: parts.status, headers: parts.headers, body }
}

pub(crate) async fn post(app: &App, key: &str, body: Value) -> Answer {
    send(app, request(&Method::POST, "/v1/keys", Some(key), Some(body))).await
}

pub(crate) async fn get(app: &App, key: &str, path: &str) -> Answer {
    send(app, request(&Method::GET, path, Some(key), None)).await
}

/// The path of a call about the key `id`, with the router at `/v1/keys`.
pub(crate) fn path(endpoint: &Endpoint, id: &str) -> String {
    format!("/v1/keys{}", endpoint.path.replace("{key_id}", id)).trim_end_matches('/').to_owned()
}

/// A body that a call of this kind takes. A new kind needs an arm here, and so gets into every table.
pub(crate) fn body(action: Action) -> Option<Value> {
    match action {
        Action::Issue => Some(json!({"name": "new"})),
        Action::Update => Some(json!({"name": "changed"})),
        Action::Revoke => Some(json!({"reason": "lost"})),
        Action::Rotate | Action::Regenerate => Some(json!({"overlapSeconds": 60})),
        Action::Enable | Action::Disable | Action::List | Action::Read | Action::Usage | Action::Audit => None,
        other => panic!("{other:?} needs a body for the tables"),
    }
}

/// What can be seen of a key to have changed.
pub(crate) fn face(record: &KeyRecord) -> (u64, String, bool, bool) {
    (record.version, record.name.clone(), record.revoked_at.is_some(), record.disabled)
}

pub(crate) fn accepts(key: &str) -> bool {
    KeyFormat::default().accepts(key)
}
