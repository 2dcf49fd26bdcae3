//! One request through a gate, and what came of it.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::request::{Builder, Parts};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt};
use tower_api_key::clock::{Clock, Timestamp};
use tower_api_key::key::{KeyFormat, KeyHasher, KeyId, KeyRecord};
use tower_api_key::source::MemoryKeys;
use tower_api_key::{ApiKeyLayer, AuthContext, ResponseBody};

/// A key of the default format, whose checksum is right.
pub(crate) fn key_of(environment: &'static str) -> String {
    let environment = tower_api_key::key::Environment::from_static(environment);
    KeyFormat::default().generate(&environment).unwrap().expose_secret().to_owned()
}

/// The record of `key` as a store of SHA-256 digests has it.
pub(crate) fn record(id: &'static str, key: &str) -> KeyRecord {
    KeyRecord::new(KeyId::from_static(id), KeyHasher::sha256().digest(key))
}

/// A store that knows these records.
pub(crate) fn memory(records: impl IntoIterator<Item = KeyRecord>) -> MemoryKeys {
    let keys = MemoryKeys::new();
    for record in records {
        keys.insert(record).unwrap();
    }
    keys
}

/// A store with one good key, and the key.
pub(crate) fn one_key() -> (MemoryKeys, String) {
    let key = key_of("live");
    (memory([record("key_good", &key)]), key)
}

/// Time that stands still until it is told otherwise.
#[derive(Debug, Clone)]
pub(crate) struct StoppedClock(Arc<AtomicI64>);

impl StoppedClock {
    pub(crate) fn at(seconds: i64) -> Self {
        Self(Arc::new(AtomicI64::new(seconds)))
    }

    pub(crate) fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.0.load(Ordering::Relaxed))
    }
}

/// A service that hands back the request that reached it, in the extensions of its response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mirror;

/// The request as the inner service saw it.
#[derive(Debug, Clone)]
pub(crate) struct Reached(pub(crate) Parts);

impl<B> Service<Request<B>> for Mirror {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, _) = request.into_parts();
        let mut response = Response::new(Full::default());
        response.extensions_mut().insert(Reached(parts));
        ready(Ok(response))
    }
}

/// What a request came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) reached: Option<Parts>,
}

impl Outcome {
    pub(crate) async fn of(response: Response<ResponseBody<Full<Bytes>>>) -> Self {
        let (mut parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
            reached: parts.extensions.remove::<Reached>().map(|Reached(parts)| parts),
        }
    }

    pub(crate) fn was_let_in(&self) -> bool {
        self.reached.is_some()
    }

    pub(crate) fn context(&self) -> &AuthContext {
        self.reached.as_ref().unwrap().extensions.get().unwrap()
    }

    /// The code of a refusal in flat JSON.
    pub(crate) fn code(&self) -> String {
        let json: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        json["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts a refusal of this code, and that nothing got to the inner service.
    #[track_caller]
    pub(crate) fn assert_refused(&self, code: &str, what: impl std::fmt::Debug) {
        assert!(!self.was_let_in(), "let in: {what:?}");
        assert_eq!(self.code(), code, "{what:?}: {} {}", self.status, self.body);
    }
}

/// Sends a request through a gate whose source answers at once: no runtime, no waiting.
#[track_caller]
pub(crate) fn send(auth: &ApiKeyLayer, request: Builder) -> Outcome {
    send_request(auth, request.body(()).unwrap())
}

#[track_caller]
pub(crate) fn send_request(auth: &ApiKeyLayer, request: Request<()>) -> Outcome {
    now(async { Outcome::of(auth.layer(Mirror).oneshot(request).await.unwrap()).await })
}

/// Runs a future that needs no waiting.
#[track_caller]
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("this source is in memory, and yet the request waits"),
    }
}

/// SplitMix64: the same numbers in every run.
#[derive(Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((value ^ (value >> 31)) % limit as u64).unwrap()
    }

    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}
