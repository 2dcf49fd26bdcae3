//! The gate and its limits: what is counted, for whom, in which order, and what callers are told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use tower::{Layer, ServiceExt, service_fn};
use tower_api_key::audit::AuthEvent;
use tower_api_key::clock::{Clock, Timestamp};
use tower_api_key::key::{KeyDigest, KeyFormat, KeyHasher, KeyId, KeyOwner, KeyRecord, KeyRef, Scope, UserId};
use tower_api_key::limit::credits::Credits;
use tower_api_key::limit::{Charge, Decision, Detail, Limits, MemoryRateLimiter, Quota, RateLimiter};
use tower_api_key::rejection::Rejection;
use tower_api_key::route::Route;
use tower_api_key::source::{KeyScheme, KeySource, KeyStore, MemoryKeys, NewKey};
use tower_api_key::{ApiKeyLayer, ApiKeyLayerBuilder, AuthContext, BoxError, PeerAddr};

const READ: Scope = Scope::from_static("read");
const WRITE: Scope = Scope::from_static("write");

#[derive(Clone)]
struct StoppedClock(Arc<AtomicI64>);

impl StoppedClock {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_768_413_600_000_000)))
    }

    fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.load(Ordering::SeqCst))
    }
}

/// What a caller is told.
#[derive(Debug, PartialEq)]
struct Told {
    status: StatusCode,
    code: Option<&'static str>,
    remaining: Option<u64>,
    retry_after: Option<u64>,
}

impl Told {
    fn of<B>(response: &Response<B>) -> Self {
        let number = |name: &str| response.headers().get(name)?.to_str().ok()?.parse().ok();
        Self {
            status: response.status(),
            code: response.extensions().get::<Rejection>().map(Rejection::code),
            remaining: number("x-ratelimit-remaining"),
            retry_after: number("retry-after"),
        }
    }
}

const fn ok(remaining: u64) -> Told {
    Told { status: StatusCode::OK, code: None, remaining: Some(remaining), retry_after: None }
}

fn told(status: u16, code: &'static str, remaining: Option<u64>, retry_after: Option<u64>) -> Told {
    Told { status: StatusCode::from_u16(status).unwrap(), code: Some(code), remaining, retry_after }
}

async fn call(auth: &ApiKeyLayer, method: Method, path: &str, key: &str, peer: &str) -> Told {
    let peer: SocketAddr = if peer.contains(']') { peer.parse() } else { format!("{peer}:1").parse() }.unwrap();
    let request = Request::builder().method(method).uri(path).extension(PeerAddr(peer));
    let request = if key.is_empty() { request } else { request.header("x-api-key", key) };
    let inner = service_fn(|request: Request<()>| async move {
        let _ = request.extensions().get::<AuthContext>();
        Ok::<_, Infallible>(Response::new(()))
    });
    Told::of(&auth.layer(inner).oneshot(request.body(()).unwrap()).await.unwrap())
}

async fn get(auth: &ApiKeyLayer, key: &str) -> Told {
    call(auth, Method::GET, "/", key, "192.0.2.1").await
}

fn layer(
    keys: impl KeySource,
    limits: Limits,
    set: impl FnOnce(ApiKeyLayerBuilder) -> ApiKeyLayerBuilder,
) -> (ApiKeyLayer, StoppedClock) {
    let clock = StoppedClock::new();
    let builder = ApiKeyLayer::builder(keys).limits(limits).clock(clock.clone()).audit(|_: AuthEvent<'_>| {});
    (set(builder).build().unwrap(), clock)
}

async fn issued(keys: &MemoryKeys, key: NewKey) -> String {
    keys.issue(key).await.unwrap().secret.expose_secret().to_owned()
}

fn memory() -> Limits {
    Limits::new(MemoryRateLimiter::with_capacity(1_000))
}

/// A record with a key that is known when the test is written.
fn record(keys: &MemoryKeys, text: &str, set: impl FnOnce(&mut KeyRecord)) {
    let digest = KeyHasher::sha256().digest(text);
    let mut record = KeyRecord::new(KeyId::new(format!("key_{text}")).unwrap(), digest);
    set(&mut record);
    keys.insert(record).unwrap();
}

fn texts() -> MemoryKeys {
    MemoryKeys::builder().format(KeyFormat::text()).build()
}

#[tokio::test]
async fn a_client_that_waits_as_told_is_admitted() {
    let keys = MemoryKeys::new();
    let key = issued(&keys, NewKey::named("a")).await;
    let (auth, clock) = layer(keys, memory().per_key(Quota::per_minute(2)), |builder| builder);
    assert_eq!(get(&auth, &key).await, ok(1));
    clock.advance(Duration::from_millis(10_500));
    assert_eq!(get(&auth, &key).await, ok(0));
    assert_eq!(get(&auth, &key).await, told(429, "RATE_LIMITED", Some(0), Some(50)));
    clock.advance(Duration::from_secs(49));
    assert_eq!(get(&auth, &key).await, told(429, "RATE_LIMITED", Some(0), Some(1)));
    clock.advance(Duration::from_secs(1));
    assert_eq!(get(&auth, &key).await, ok(1));
}

#[tokio::test]
async fn each_key_has_its_own_limit_and_a_header_buys_no_other() {
    let keys = MemoryKeys::new();
    let (one, two) = (issued(&keys, NewKey::named("1")).await, issued(&keys, NewKey::named("2")).await);
    let (auth, _) = layer(keys, memory().per_key(Quota::per_hour(1)), |builder| builder);
    assert_eq!(get(&auth, &one).await, ok(0));
    assert_eq!(get(&auth, &two).await, ok(0));
    assert_eq!(call(&auth, Method::GET, "/", &one, "198.51.100.7").await.code, Some("RATE_LIMITED"));
}

#[tokio::test]
async fn a_refusal_by_scope_uses_the_quota_and_no_credit() {
    let keys = texts();
    record(&keys, "reader", |record| {
        record.scopes = READ.into();
        record.credits = Some(Credits::new(1).starting(Timestamp::UNIX_EPOCH));
    });
    let (auth, _) = layer(keys, memory().per_key(Quota::per_hour(3)), |builder| {
        builder.route(Method::PUT, "/", Route::new().scopes(WRITE))
    });
    let put = call(&auth, Method::PUT, "/", "reader", "192.0.2.1").await;
    assert_eq!(put, told(403, "INSUFFICIENT_SCOPE", Some(2), None));
    assert_eq!(get(&auth, "reader").await, ok(1));
    assert_eq!(get(&auth, "reader").await, told(429, "USAGE_EXCEEDED", Some(0), None));
}

#[tokio::test]
async fn a_limit_that_is_reached_takes_no_credit() {
    let keys = texts();
    record(&keys, "key", |record| record.credits = Some(Credits::new(2).starting(Timestamp::UNIX_EPOCH)));
    let (auth, clock) = layer(keys, memory().per_key(Quota::per_hour(1)), |builder| builder);
    assert_eq!(get(&auth, "key").await, ok(0));
    for _ in 0..5 {
        assert_eq!(get(&auth, "key").await.code, Some("RATE_LIMITED"));
    }
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(get(&auth, "key").await, ok(0));
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(get(&auth, "key").await.code, Some("USAGE_EXCEEDED"));
}

#[tokio::test]
async fn routes_have_costs_and_quotas_in_every_spelling() {
    let keys = MemoryKeys::new();
    let key = issued(&keys, NewKey::named("a")).await;
    let (auth, _) = layer(keys, memory().per_key(Quota::per_hour(100)), |builder| {
        builder.route(Method::POST, "/generate", Route::new().cost(40)).route(
            Method::POST,
            "/export",
            Route::new().quota(Quota::per_day(2).named("exports")),
        )
    });
    let post = |path: &'static str| call(&auth, Method::POST, path, &key, "192.0.2.1");
    assert_eq!(post("/generate").await, ok(60));
    assert_eq!(post("/GENERATE/").await, ok(20));
    assert_eq!(post("/generate").await.code, Some("RATE_LIMITED"));
    assert_eq!(post("/export").await.status, StatusCode::OK);
    assert_eq!(post("/exp%6Frt").await.status, StatusCode::OK);
    assert_eq!(post("//export").await.code, Some("RATE_LIMITED"));
    assert_eq!(get(&auth, &key).await, ok(17));
}

#[tokio::test]
async fn records_beat_plans_and_plans_beat_the_layer() {
    let keys = texts();
    record(&keys, "plain", |_| {});
    record(&keys, "pro", |record| record.plan = Some("pro".to_owned()));
    record(&keys, "own", |record| {
        record.plan = Some("pro".to_owned());
        record.rate_limits = vec![Quota::per_hour(7)];
    });
    record(&keys, "free", |record| record.rate_limits = vec![Quota::UNLIMITED]);
    let limits = memory().per_key(Quota::per_hour(3)).plan("pro", [Quota::per_hour(5)]);
    let (auth, _) = layer(keys, limits, |builder| builder);
    for (key, remaining) in [("plain", Some(2)), ("pro", Some(4)), ("own", Some(6)), ("free", None)] {
        assert_eq!(get(&auth, key).await.remaining, remaining, "{key}");
    }
}

#[tokio::test]
async fn owners_share_a_limit_over_all_their_keys() {
    let keys = texts();
    for key in ["one", "two"] {
        record(&keys, key, |record| record.owner = KeyOwner::user(UserId::from_static("u")));
    }
    let (auth, _) = layer(keys, memory().per_owner(Quota::per_hour(2)), |builder| builder);
    assert_eq!(get(&auth, "one").await, ok(1));
    assert_eq!(get(&auth, "two").await, ok(0));
    assert_eq!(get(&auth, "one").await.code, Some("RATE_LIMITED"));
}

#[tokio::test]
async fn security_22_a_neighbour_behind_the_same_address_is_not_locked_out() {
    let keys = MemoryKeys::new();
    let key = issued(&keys, NewKey::named("neighbour")).await;
    let (auth, _) = layer(keys, memory().failures(Quota::per_hour(2)), |builder| builder);
    assert_eq!(get(&auth, "wrong").await, told(401, "INVALID_API_KEY", Some(1), None));
    assert_eq!(get(&auth, "wrong").await, told(401, "INVALID_API_KEY", Some(0), None));
    assert_eq!(get(&auth, "wrong").await, told(429, "TOO_MANY_FAILURES", Some(0), Some(3_600)));
    assert_eq!(get(&auth, "").await, told(401, "MISSING_API_KEY", Some(0), None));
    assert_eq!(get(&auth, &key).await.status, StatusCode::OK);
    let elsewhere = call(&auth, Method::GET, "/", "wrong", "192.0.2.2").await;
    assert_eq!(elsewhere, told(401, "INVALID_API_KEY", Some(1), None));
}

#[tokio::test]
async fn failures_of_ipv6_count_by_network_and_mapped_addresses_as_ipv4() {
    let (auth, _) = layer(MemoryKeys::new(), memory().failures(Quota::per_hour(1)), |builder| builder);
    for (peer, code) in [
        ("[2001:db8::1]:1", "INVALID_API_KEY"),
        ("[2001:db8::2]:1", "TOO_MANY_FAILURES"),
        ("[2001:db8:0:1::1]:1", "INVALID_API_KEY"),
        ("192.0.2.9", "INVALID_API_KEY"),
        ("[::ffff:192.0.2.9]:1", "TOO_MANY_FAILURES"),
    ] {
        assert_eq!(call(&auth, Method::GET, "/", "wrong", peer).await.code, Some(code), "{peer}");
    }
}

/// A source that is asked over a network, and counts how often.
struct Remote(Arc<AtomicUsize>);

impl KeySource for Remote {
    type Error = BoxError;

    fn name(&self) -> &str {
        "remote"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        vec![KeyScheme::new(KeyFormat::text(), KeyHasher::sha256())]
    }

    async fn find(&self, _: &KeyDigest) -> Result<Option<KeyRef>, BoxError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        Ok(None)
    }
}

#[tokio::test]
async fn an_address_out_of_attempts_gets_no_more_calls_to_the_source() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (auth, clock) = layer(Remote(asked.clone()), memory().failures(Quota::per_hour(3)), |builder| builder);
    for _ in 0..10 {
        let _ = get(&auth, "wrong").await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(get(&auth, "wrong").await.code, Some("INVALID_API_KEY"));
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

/// A limiter that is asked over a network, and may be away.
struct Shared {
    memory: MemoryRateLimiter,
    away: bool,
}

impl RateLimiter for Shared {
    type Error = BoxError;

    async fn take(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Result<Decision, BoxError> {
        tokio::task::yield_now().await;
        if self.away { Err("no route to host".into()) } else { Ok(self.memory.take(charges, detail, now).await?) }
    }

    async fn peek(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Result<Decision, BoxError> {
        tokio::task::yield_now().await;
        if self.away { Err("no route to host".into()) } else { Ok(self.memory.peek(charges, detail, now).await?) }
    }
}

#[tokio::test]
async fn a_limiter_that_has_to_wait_decides_as_one_in_memory_does() {
    let keys = MemoryKeys::new();
    let key = issued(&keys, NewKey::named("a")).await;
    let shared = |away| Limits::new(Shared { memory: MemoryRateLimiter::with_capacity(10), away });
    let limits = shared(false).per_key(Quota::per_hour(1)).failures(Quota::per_hour(1));
    let (auth, _) = layer(keys.clone(), limits, |builder| builder);
    assert_eq!(get(&auth, &key).await, ok(0));
    assert_eq!(get(&auth, &key).await, told(429, "RATE_LIMITED", Some(0), Some(3_600)));
    assert_eq!(get(&auth, "").await, told(401, "MISSING_API_KEY", Some(1), None));
    assert_eq!(get(&auth, "wrong").await, told(401, "INVALID_API_KEY", Some(0), None));
    assert_eq!(get(&auth, "wrong").await, told(429, "TOO_MANY_FAILURES", Some(0), Some(3_600)));

    let limits = shared(true).per_key(Quota::per_hour(1)).failures(Quota::per_hour(1));
    let (auth, _) = layer(keys, limits, |builder| builder);
    assert_eq!(get(&auth, &key).await, told(503, "AUTH_UNAVAILABLE", None, Some(1)));
    assert_eq!(get(&auth, "wrong").await, told(503, "AUTH_UNAVAILABLE", None, Some(1)));
    assert_eq!(get(&auth, "").await, told(401, "MISSING_API_KEY", None, None));
}

#[tokio::test]
async fn anonymous_callers_are_limited_by_address_and_apart_from_keys() {
    let keys = MemoryKeys::new();
    let key = issued(&keys, NewKey::named("a")).await;
    let limits = memory().per_key(Quota::per_hour(9)).anonymous(Quota::per_hour(2));
    let (auth, _) = layer(keys, limits, |builder| builder.optional(Method::GET, "/"));
    assert_eq!(get(&auth, "").await, ok(1));
    assert_eq!(get(&auth, &key).await, ok(8));
    assert_eq!(get(&auth, "").await, ok(0));
    assert_eq!(get(&auth, "").await.code, Some("RATE_LIMITED"));
    assert_eq!(get(&auth, &key).await, ok(7));
}

#[tokio::test]
async fn a_key_with_quotas_is_not_let_in_by_a_layer_that_counts_none() {
    let keys = texts();
    record(&keys, "quota", |record| record.rate_limits = vec![Quota::per_hour(1)]);
    record(&keys, "credits", |record| record.credits = Some(Credits::new(1).starting(Timestamp::UNIX_EPOCH)));
    let auth = ApiKeyLayer::new(keys);
    for key in ["quota", "credits"] {
        assert_eq!(get(&auth, key).await.code, Some("AUTH_NOT_CONFIGURED"), "{key}");
    }
}

#[test]
fn limits_that_cannot_work_are_errors_of_configuration() {
    let build = |limits: Option<Limits>, route: Route| {
        let builder = ApiKeyLayer::builder(MemoryKeys::new()).route(Method::GET, "/a", route);
        let builder = match limits {
            Some(limits) => builder.limits(limits),
            None => builder,
        };
        builder.build().map(|_| ()).map_err(|error| error.to_string())
    };
    for (limits, route, problem) in [
        (Some(memory().per_key(Quota::per_hour(0))), Route::new(), "per_key"),
        (Some(memory().failures(Quota::new(1, Duration::ZERO))), Route::new(), "failures"),
        (Some(memory().per_key(Quota::per_hour(5))), Route::new().cost(6), "cost"),
        (None, Route::new().quota(Quota::per_hour(1)), "needs `limits`"),
        (None, Route::new().cost(2), "needs `limits`"),
    ] {
        let error = build(limits, route).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
    assert_eq!(build(Some(memory().per_key(Quota::per_hour(5))), Route::new().cost(5)), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn security_24_no_more_than_the_limit_get_in_at_once() {
    let keys = MemoryKeys::new();
    let key = issued(&keys, NewKey::named("hot")).await;
    let (auth, _) = layer(keys, memory().per_key(Quota::per_hour(100)), |builder| builder);
    let calls = (0..400).map(|_| {
        let (auth, key) = (auth.clone(), key.clone());
        tokio::spawn(async move { get(&auth, &key).await.status == StatusCode::OK })
    });
    let mut admitted = 0;
    for call in calls.collect::<Vec<_>>() {
        admitted += usize::from(call.await.unwrap());
    }
    assert_eq!(admitted, 100);
}
