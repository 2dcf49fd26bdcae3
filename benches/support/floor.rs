//! The floor: the least that a guard has to do, written by hand for this one purpose.
//!
//! It takes the key out of its header, digests it by SHA-256, looks the digest up in a map that takes it for its hash,
//! compares it in constant time, and puts a context into the extensions. In full it also takes a permit by GCRA on one
//! atomic number, and writes three `X-RateLimit` headers. It has no checksum, no settings, no routes, no log, and takes
//! no credential out of the request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use pin_project_lite::pin_project;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tower::Service;

/// The keys that the floor knows.
pub type Keys = Arc<HashMap<[u8; 32], Arc<Record>, BuildHasherDefault<Prefix>>>;

/// What the floor knows of a key.
#[allow(dead_code, reason = "a handler would read them")]
pub struct Record {
    digest: [u8; 32],
    pub name: String,
    /// When all permits are back, in microseconds since 1970.
    full_at: AtomicI64,
}

/// What the floor puts into the extensions.
#[derive(Clone)]
#[allow(dead_code, reason = "a handler would read it")]
pub struct Caller(pub Arc<Record>);

/// Eight bytes of a digest are its hash.
#[derive(Default)]
pub struct Prefix(u64);

impl Hasher for Prefix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.first_chunk().map_or(self.0, |first| u64::from_le_bytes(*first));
    }

    fn write_usize(&mut self, _: usize) {}
}

pub fn keys<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Keys {
    let record = |secret: &str| {
        let digest: [u8; 32] = Sha256::digest(secret).into();
        (digest, Arc::new(Record { digest, name: "ci".to_owned(), full_at: AtomicI64::new(0) }))
    };
    Arc::new(secrets.into_iter().map(record).collect())
}

/// The service.
#[derive(Clone)]
pub struct Floor<S> {
    inner: S,
    keys: Keys,
    full: bool,
}

impl<S> Floor<S> {
    /// `full`: with a limit and its headers.
    pub fn new(inner: S, keys: Keys, full: bool) -> Self {
        Self { inner, keys, full }
    }

    fn caller<B>(&self, request: &Request<B>) -> Option<&Arc<Record>> {
        let key = request.headers().get(&X_API_KEY)?;
        let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let record = self.keys.get(&digest)?;
        bool::from(record.digest.ct_eq(&digest)).then_some(record)
    }
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// 9,000 permits a millisecond, as in the fixture: no bench uses them up.
const PERMITS: i64 = 9_000;
const PERIOD: i64 = 1_000;
/// 2026-01-01T00:00:00Z, in microseconds.
const BEGIN: i64 = 1_767_225_600_000_000;

/// How many permits are left, and when all are back.
fn take(record: &Record) -> Option<(i64, i64)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
    // In parts of a microsecond, of which a permit has as many as the period has microseconds. Counted from this year on,
    // since 64 bits do not hold more.
    let now = (now - BEGIN) * PERMITS;
    let mut full_at = record.full_at.load(Ordering::Relaxed);
    loop {
        let next = full_at.max(now) + PERIOD;
        let left = PERMITS * PERIOD - (next - now);
        if left < 0 {
            return None;
        }
        match record.full_at.compare_exchange_weak(full_at, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Some((left / PERIOD, next / PERMITS + BEGIN)),
            Err(other) => full_at = other,
        }
    }
}

/// The same second is written many times.
fn seconds(micros: i64) -> HeaderValue {
    thread_local! {
        static LATEST: RefCell<(i64, HeaderValue)> = const { RefCell::new((0, HeaderValue::from_static("0"))) };
    }
    let seconds = micros / 1_000_000 + 1;
    LATEST.with_borrow_mut(|(of, value)| {
        if *of != seconds {
            (*of, *value) = (seconds, HeaderValue::from(seconds));
        }
        value.clone()
    })
}

static DIGITS: [[u8; 4]; 10_000] = {
    let mut digits = [[b'0'; 4]; 10_000];
    let mut number = 0;
    while number < 10_000 {
        digits[number] = [
            b'0' + (number / 1_000) as u8,
            b'0' + (number / 100 % 10) as u8,
            b'0' + (number / 10 % 10) as u8,
            b'0' + (number % 10) as u8,
        ];
        number += 1;
    }
    digits
};

fn small(number: i64) -> HeaderValue {
    let number = number.clamp(0, 9_999) as usize;
    let skip = 3 - number.max(1).ilog10() as usize;
    HeaderValue::from_static(std::str::from_utf8(&DIGITS[number][skip..]).unwrap_or("0"))
}

impl<S, B, R> Service<Request<B>> for Floor<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: From<&'static str>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = FloorFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(record) = self.caller(&request) else { return FloorFuture::Refused };
        let mut limit = None;
        if self.full {
            limit = take(record);
            if limit.is_none() {
                return FloorFuture::Refused;
            }
        }
        let caller = Caller(Arc::clone(record));
        request.extensions_mut().insert(caller);
        FloorFuture::Inner { future: self.inner.call(request), limit }
    }
}

pin_project! {
    #[project = Projection]
    pub enum FloorFuture<F> {
        Refused,
        Inner { #[pin] future: F, limit: Option<(i64, i64)> },
    }
}

impl<F, R, E> Future for FloorFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: From<&'static str>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Projection::Refused => {
                let mut response = Response::new(R::from("{\"error\":\"INVALID_API_KEY\"}"));
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Poll::Ready(Ok(response))
            }
            Projection::Inner { future, limit } => {
                let mut response = ready!(future.poll(context))?;
                if let Some((left, full_at)) = limit {
                    let headers = response.headers_mut();
                    headers.insert(LIMIT, small(PERMITS));
                    headers.insert(REMAINING, small(*left));
                    headers.insert(RESET, seconds(*full_at));
                }
                Poll::Ready(Ok(response))
            }
        }
    }
}
