//! What a service would use instead, each as its documentation sets it up, and two guards written by hand.

use std::collections::HashMap;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum_login::{AuthManagerLayerBuilder, AuthUser, AuthnBackend, UserId};
use http::{HeaderMap, HeaderValue, StatusCode};
use rand::Rng;
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tower::{Layer, Service, ServiceExt};
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::KeyExtractor;
use tower_governor::{GovernorError, GovernorLayer};
use tower_sessions_0_14::cookie::Key;
use tower_sessions_0_14::{MemoryStore, SessionManagerLayer};

use super::fixture::Bare;

/// A service that can be guarded.
pub trait Inner:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> Inner for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

/// A service that is.
pub trait Guarded:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S> Guarded for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

/// What hand-written guards know of a key.
#[derive(Clone)]
pub struct Known {
    digest: [u8; 32],
    pub name: String,
    pub scopes: Vec<String>,
}

/// `from_fn` the good way: a shared map by digest, and a context that is shared.
pub fn good_from_fn<S: Inner>(secrets: &[String], inner: S) -> impl Guarded + use<S> {
    type Keys = Arc<HashMap<[u8; 32], Arc<Known>>>;
    async fn guard(State(keys): State<Keys>, mut request: Request, next: Next) -> Response {
        let digest = request.headers().get("x-api-key").map(|key| <[u8; 32]>::from(Sha256::digest(key.as_bytes())));
        let known = digest.and_then(|digest| keys.get(&digest).filter(|known| bool::from(known.digest.ct_eq(&digest))));
        let Some(known) = known else {
            return (StatusCode::UNAUTHORIZED, "{\"error\":\"INVALID_API_KEY\"}").into_response();
        };
        request.extensions_mut().insert(Arc::clone(known));
        next.run(request).await
    }
    let keys: Keys = Arc::new(secrets.iter().map(|secret| known(secret)).map(|it| (it.digest, Arc::new(it))).collect());
    from_fn_with_state(keys, guard).layer(inner)
}

/// All of it the way it is usually written: hexadecimal digests in a locked map of rows that are cloned, a limiter behind
/// one lock, headers out of `format!`, ids out of a random generator, and bodies out of `json!`.
pub fn usual_from_fn<S: Inner>(secrets: &[String], inner: S) -> impl Guarded + use<S> {
    #[derive(Clone)]
    struct Shared {
        keys: Arc<RwLock<HashMap<String, Known>>>,
        windows: Arc<Mutex<HashMap<String, (Instant, u32)>>>,
    }
    fn refused(status: StatusCode, code: &str, id: &str) -> Response {
        let body = json!({"error": "Unauthorized", "message": "The API key is invalid", "code": code, "requestId": id});
        let mut response = (status, axum::Json(body)).into_response();
        response.headers_mut().insert("x-request-id", id.parse().expect("it is visible ASCII"));
        response
    }
    async fn guard(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
        let id = format!("{:032x}", rand::rng().next_u64());
        let presented = {
            let headers = request.headers();
            let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
            header("x-api-key").or(bearer)
        };
        let Some(key) = presented else {
            return refused(StatusCode::UNAUTHORIZED, "MISSING_API_KEY", &id);
        };
        let digest: String = Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let known = shared.keys.read().expect("nobody panics").get(&digest).cloned();
        let Some(known) = known else {
            return refused(StatusCode::UNAUTHORIZED, "INVALID_API_KEY", &id);
        };
        if !known.scopes.iter().any(|scope| scope == "read") {
            return refused(StatusCode::FORBIDDEN, "INSUFFICIENT_SCOPE", &id);
        }
        let remaining = {
            let mut windows = shared.windows.lock().expect("nobody panics");
            let window = windows.entry(digest.clone()).or_insert_with(|| (Instant::now(), 0));
            if window.0.elapsed().as_secs() >= 3_600 {
                *window = (Instant::now(), 0);
            }
            window.1 += 1;
            1_000_000_000_u32.saturating_sub(window.1)
        };
        if remaining == 0 {
            return refused(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", &id);
        }
        request.extensions_mut().insert(known);
        let mut response = next.run(request).await;
        let reset = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs() + 3_600;
        let headers = response.headers_mut();
        for (name, value) in [
            ("x-ratelimit-limit", 1_000_000_000.to_string()),
            ("x-ratelimit-remaining", remaining.to_string()),
            ("x-ratelimit-reset", reset.to_string()),
            ("x-request-id", id),
        ] {
            headers.insert(name, HeaderValue::from_str(&value).expect("it is visible ASCII"));
        }
        response
    }
    let keys = secrets.iter().map(|secret| (hex(&Sha256::digest(secret)), known(secret))).collect();
    let shared = Shared { keys: Arc::new(RwLock::new(keys)), windows: Arc::default() };
    from_fn_with_state(shared, guard).layer(inner)
}

fn known(secret: &str) -> Known {
    Known { digest: Sha256::digest(secret).into(), name: "ci".to_owned(), scopes: vec!["read".to_owned()] }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Counts by the text of the key.
#[derive(Debug, Clone)]
struct ByKey;

impl KeyExtractor for ByKey {
    type Key = HeaderValue;

    fn extract<T>(&self, request: &http::Request<T>) -> Result<HeaderValue, GovernorError> {
        request.headers().get("x-api-key").cloned().ok_or(GovernorError::UnableToExtractKey)
    }
}

/// tower_governor, which limits and does not authenticate.
pub fn governor() -> impl Service<Request, Response = Response, Error = Infallible> + Clone {
    let mut config = GovernorConfigBuilder::default();
    let config = config.per_nanosecond(1).burst_size(NonZeroU32::MAX.get() / 2);
    let config = config.key_extractor(ByKey).use_headers().finish().expect("the settings are right");
    GovernorLayer::new(config).layer(Bare::<Body>::new())
}

#[derive(Debug, Clone)]
struct Person;

impl AuthUser for Person {
    type Id = u64;

    fn id(&self) -> u64 {
        1
    }

    fn session_auth_hash(&self) -> &[u8] {
        b"hash"
    }
}

#[derive(Debug, Clone)]
struct Everybody;

impl AuthnBackend for Everybody {
    type User = Person;
    type Credentials = ();
    type Error = Infallible;

    async fn authenticate(&self, (): ()) -> Result<Option<Person>, Infallible> {
        Ok(Some(Person))
    }

    async fn get_user(&self, _: &UserId<Self>) -> Result<Option<Person>, Infallible> {
        Ok(Some(Person))
    }
}

type AuthSession = axum_login::AuthSession<Everybody>;

/// axum-login with its session in memory, and the headers of somebody who is signed in. Its handler asks who it is.
pub async fn axum_login() -> (impl Service<Request, Response = Response, Error = Infallible> + Clone, HeaderMap) {
    let handler = tower::service_fn(|request: Request| async move {
        let mut session = request.extensions().get::<AuthSession>().cloned().expect("the layer is there");
        if request.uri().path() == "/login" {
            session.login(&Person).await.expect("the store is in memory");
        } else if session.user.is_none() {
            return Ok::<_, Infallible>(StatusCode::UNAUTHORIZED.into_response());
        }
        Ok(Response::new(Body::empty()))
    });
    let sessions = SessionManagerLayer::new(MemoryStore::default()).with_signed(Key::generate()).with_secure(false);
    let service = AuthManagerLayerBuilder::new(Everybody, sessions).build().layer(handler);
    let login = Request::post("/login").body(Body::empty()).expect("the request is well-formed");
    let answer = service.clone().oneshot(login).await.expect("it has no errors");
    let cookie = answer.headers()["set-cookie"].to_str().expect("it is text").split(';').next().unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.insert("cookie", cookie.parse().expect("it is text"));
    (service, headers)
}
