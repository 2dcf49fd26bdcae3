//! Keys, layers and requests: each kind of request that the benches ask about.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::marker::PhantomData;
use std::task::{Context, Poll};
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use tower::Service;
use tower_api_key::audit::AuthEvent;
use tower_api_key::clock::Timestamp;
use tower_api_key::ip::IpAllowlist;
use tower_api_key::key::{Environment, KeyFormat, KeyHasher, KeyId, KeyRecord, Pepper, PepperId, Scope, SecretKey};
use tower_api_key::limit::{Algorithm, LimitHeaders, Limits, MemoryRateLimiter, Quota, ResetFormat};
use tower_api_key::rejection::Style;
use tower_api_key::route::Route;
use tower_api_key::source::{MemoryKeys, NewKey};
use tower_api_key::usage::Usage;
use tower_api_key::{ApiKeyLayer, ApiKeyLayerBuilder, PeerAddr};

use super::people::Ann;

const READ: Scope = Scope::from_static("read");

/// A store, and the secrets of its keys.
pub struct Fixture {
    pub keys: MemoryKeys,
    pub secrets: Vec<String>,
    /// The same keys, digested under a pepper.
    pub peppered: MemoryKeys,
    expired: String,
    limited: String,
}

/// A layer, and a request for it.
pub struct Setting {
    pub name: &'static str,
    pub layer: ApiKeyLayer,
    pub asked: Asked,
}

/// A request, to be made again and again.
#[derive(Clone)]
pub struct Asked(Parts);

impl Fixture {
    /// The same with this key among them, the one that requests present.
    pub fn with_secret(count: usize, secret: &str) -> Self {
        let mut fixture = Self::new(count);
        let place = fixture.secrets.len() / 2;
        let stored = record(count + 2, &KeyHasher::sha256(), secret);
        fixture.keys.insert(stored).expect("no two keys are alike");
        secret.clone_into(&mut fixture.secrets[place]);
        fixture
    }

    /// So many keys, each with one scope, and one key each that has expired and that has used up its limit.
    pub fn new(count: usize) -> Self {
        let keys = MemoryKeys::new();
        let pepper = Pepper::new(PepperId(1), [7; 32]).expect("the pepper is long enough");
        let (plain, hmac) = (KeyHasher::sha256(), KeyHasher::hmac_sha256(&pepper));
        let peppered = MemoryKeys::builder().hasher(hmac.clone()).build();
        let mut secrets = Vec::with_capacity(count);
        for number in 0..count {
            let secret = secret();
            keys.insert(record(number, &plain, secret.expose_secret())).expect("no two keys are alike");
            peppered.insert(record(number, &hmac, secret.expose_secret())).expect("no two keys are alike");
            secrets.push(secret.expose_secret().to_owned());
        }
        let (expired, limited) = (secret(), secret());
        let mut record_of_expired = record(count, &plain, expired.expose_secret());
        record_of_expired.expires_at = Some(Timestamp::from_unix_seconds(1_700_000_000));
        let mut record_of_limited = record(count + 1, &plain, limited.expose_secret());
        record_of_limited.rate_limits = vec![Quota::per_day(1)];
        keys.insert(record_of_expired).expect("no two keys are alike");
        keys.insert(record_of_limited).expect("no two keys are alike");
        let [expired, limited] = [expired, limited].map(|secret| secret.expose_secret().to_owned());
        Self { keys, secrets, peppered, expired, limited }
    }

    /// The requests that are asked about.
    pub fn settings(&self) -> Vec<Setting> {
        let (keys, good) = (&self.keys, self.secrets[self.secrets.len() / 2].as_str());
        let unknown = secret();
        let last = if good.ends_with('0') { '1' } else { '0' };
        let bad = format!("{}{last}", &good[..good.len() - 1]);
        let quiet = || ApiKeyLayer::builder(keys.clone()).audit(|_: AuthEvent<'_>| {});
        let bare = || quiet().request_ids(false);
        let lean = || bare().style(Style::lean());
        let limited = |reset| bare().limits(limits(reset));
        let peppered = ApiKeyLayer::builder(self.peppered.clone()).audit(|_: AuthEvent<'_>| {}).request_ids(false);
        let all = || {
            let allowed: IpAllowlist = "192.0.2.0/24, 127.0.0.1".parse().expect("it is a block");
            quiet()
                .public(Method::GET, "/health")
                .route(Method::GET, "/v1/items", Route::new().scopes(READ))
                .limits(limits(ResetFormat::EpochSeconds).failures(wide()))
                .ip_policy(allowed)
                .usage(Usage::new(keys.clone()))
        };
        let setting = |name, builder: ApiKeyLayerBuilder, asked| Setting {
            name,
            layer: builder.build().expect("the settings are right"),
            asked,
        };
        let get = |key: &str| Asked::get("/v1/items", key);
        vec![
            setting("public", bare().public(Method::GET, "/v1/items"), get("")),
            setting("accepted", bare(), get(good)),
            setting("accepted, pepper", peppered, get(good)),
            setting("accepted, limit, epoch", limited(ResetFormat::EpochSeconds), get(good)),
            setting("accepted, limit, ISO 8601", limited(ResetFormat::Iso8601Millis), get(good)),
            setting("accepted, all", all(), get(good).with_peer()),
            setting("accepted, a session", bare().sessions(Ann::new()), get("").cookie("a=1; sid=ann")),
            setting("refused, missing", quiet(), get("")),
            setting("refused, bad checksum", quiet(), get(&bad)),
            setting("refused, unknown", quiet(), get(unknown.expose_secret())),
            setting("refused, expired", quiet(), get(&self.expired)),
            setting("refused, limited", quiet().limits(limits(ResetFormat::EpochSeconds)), get(&self.limited)),
            setting("lean, missing", lean(), get("")),
            setting("lean, bad checksum", lean(), get(&bad)),
            setting("lean, unknown", lean(), get(unknown.expose_secret())),
            setting("lean, limited", lean().limits(limits(ResetFormat::EpochSeconds)), get(&self.limited)),
        ]
    }

    pub fn setting(&self, name: &str) -> Setting {
        self.settings().into_iter().find(|setting| setting.name == name).expect("there is such a setting")
    }
}

impl Asked {
    /// A request with the headers that most clients send, and a key if it is not empty.
    pub fn get(path: &'static str, key: &str) -> Self {
        let request = Request::get(path)
            .header("host", "api.example.com")
            .header("user-agent", "bench/1.0")
            .header("accept", "*/*");
        let request = if key.is_empty() { request } else { request.header("x-api-key", key) };
        Self(request.body(()).expect("the request is well-formed").into_parts().0)
    }

    /// The same, with a cookie.
    pub fn cookie(mut self, cookie: &'static str) -> Self {
        self.0.headers.insert("cookie", HeaderValue::from_static(cookie));
        self
    }

    /// The same, with more headers.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.0.headers.extend(headers);
        self
    }

    /// The same, with the address of the connection.
    pub fn with_peer(mut self) -> Self {
        self.0.extensions.insert(PeerAddr(([192, 0, 2, 1], 443).into()));
        self
    }

    /// The same, with memory of its own.
    pub fn apart(&self) -> Self {
        let mut apart = self.clone();
        for value in apart.0.headers.values_mut() {
            *value = HeaderValue::from_bytes(value.as_bytes()).expect("it was one");
        }
        apart.0.uri = self.0.uri.to_string().parse().expect("it was one");
        apart
    }

    /// The request. Its parts share their memory with those of other requests, as the parts of one that was read from a
    /// connection do.
    pub fn request<B: Default>(&self) -> Request<B> {
        Request::from_parts(self.0.clone(), B::default())
    }
}

/// The service behind the guard.
pub struct Bare<R>(PhantomData<fn() -> R>);

impl<R> Bare<R> {
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<R> Clone for Bare<R> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<B, R: Default> Service<Request<B>> for Bare<R> {
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Ready<Result<Response<R>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        black_box(&request);
        ready(Ok(Response::new(R::default())))
    }
}

/// Whether a bench of this name is about requests that are not let in.
pub fn is_refused(name: &str) -> bool {
    ["lean", "missing", "refused", "unknown"].iter().any(|word| name.contains(word))
}

/// 9,000 permits a millisecond, which no bench uses up.
pub fn wide() -> Quota {
    Quota::new(9_000, Duration::from_millis(1)).algorithm(Algorithm::Gcra)
}

fn limits(reset: ResetFormat) -> Limits {
    Limits::new(MemoryRateLimiter::new()).per_key(wide()).headers(LimitHeaders::new().reset(reset))
}

pub fn secret() -> SecretKey {
    KeyFormat::default().generate(&Environment::LIVE).expect("the system has random numbers")
}

/// A record as stores make them for keys that were issued.
pub fn record(number: usize, hasher: &KeyHasher, secret: &str) -> KeyRecord {
    let id = KeyId::new(format!("key_{number:020}")).expect("it is an id");
    let new = NewKey::named("ci").scopes([READ]);
    KeyRecord::issued(id, hasher.digest(secret), &KeyFormat::default(), secret, new)
}
