//! What a request costs with many keys and on several threads, and what keys cost in memory: `cargo bench --bench scale`.
//! `KEYS=10000000` goes on to so many keys; a million, unless set. Writes `docs/plots/keys.svg` and `docs/plots/threads.svg`.

mod support;

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{HeaderValue, Request, Response};
use support::allocations::resident;
use support::fixture::{Asked, Bare, record, secret, wide};
use support::floor::{self, Floor};
use support::plot::{Line, plot};
use support::rounds::{Case, finish, measure, quantile};
use tower::{Layer, Service};
use tower_api_key::ApiKeyLayer;
use tower_api_key::audit::AuthEvent;
use tower_api_key::clock::{Clock, SystemClock};
use tower_api_key::key::{KeyHasher, KeyRef};
use tower_api_key::limit::{
    Charge, Detail, LimitHeaders, Limits, MemoryRateLimiter, RateLimiter, ResetFormat, Subject,
};
use tower_api_key::source::MemoryKeys;

fn main() {
    let most: usize = std::env::var("KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    // First, because memory that was freed before would not be counted.
    memory(most);
    by_keys(most);
    by_threads();
}

/// Bytes a key, and the longest that an insertion took.
fn memory(count: usize) {
    let made = |number: usize| record(number, &KeyHasher::sha256(), &format!("ak_live_{number:040}"));
    // The records alone, as whatever holds them has to. Never freed, since freed memory would be used again below.
    let (sample, before) = (count / 4, resident());
    let mut records: Vec<KeyRef> = Vec::with_capacity(sample);
    records.extend((0..sample).map(|number| KeyRef::from(made(number))));
    let carried = (resident() - before) / sample - size_of::<KeyRef>();
    std::mem::forget(records);
    let (keys, before) = (MemoryKeys::new(), resident());
    let inserted = pauses((0..count).map(made), |record| {
        let _ = keys.insert(record).unwrap_or_else(|error| panic!("{error}"));
    });
    let indexed = ((resident() - before) / count).saturating_sub(carried);
    let (limiter, before, now) = (MemoryRateLimiter::new(), resident(), SystemClock.now());
    let counted = pauses((0..count).map(|number| made(number).id), |id| {
        let _ = limiter.take_now(&[Charge::new(Subject::key(id.as_str()), &wide())], Detail::Closest, now);
    });
    let limited = (resident() - before) / count;
    println!("{count} keys: {carried} bytes a record, and {} more:", indexed + limited);
    println!("  {indexed} for the ways to it: {inserted}");
    println!("  {limited} for its limit: {counted}");
}

/// How long the longest of many steps took, and how many took over a millisecond: what the scheduler takes away as well.
fn pauses<T>(inputs: impl Iterator<Item = T>, mut step: impl FnMut(T)) -> String {
    let (mut longest, mut long) = (Duration::ZERO, 0);
    for input in inputs {
        let begun = Instant::now();
        step(input);
        let took = begun.elapsed();
        longest = longest.max(took);
        long += usize::from(took > Duration::from_millis(1));
    }
    format!("the longest addition took {longest:?}, and {long} took over a millisecond")
}

/// The cost of a request by the number of keys, of which each request presents another.
fn by_keys(most: usize) {
    let (mut guarded, mut least) = (Vec::new(), Vec::new());
    let mut count = 1_000;
    println!("{:>10} {:>14} {:>14} {:>8}", "keys", "all asked for", "floor", "ratio");
    while count <= most {
        let secrets: Vec<&'static str> = (0..count).map(|_| &*secret().expose_secret().to_owned().leak()).collect();
        let keys = MemoryKeys::new();
        for (number, secret) in secrets.iter().enumerate() {
            let record = record(number, &KeyHasher::sha256(), secret);
            keys.insert(record).unwrap_or_else(|error| panic!("{error}"));
        }
        let floor = Floor::new(Bare::<Body>::new(), floor::keys(secrets.iter().copied()), true);
        let layer = limited(&keys).layer(Bare::<Body>::new());
        let mut cases = [
            case("bare", Bare::<Body>::new(), secrets.clone()),
            case("floor", floor, secrets.clone()),
            case("layer", layer, secrets),
        ];
        let costs = measure(&mut cases, 15, 200);
        let (floor, layer) = (costs[1].added, costs[2].added);
        println!("{count:>10} {layer:>11.0} ns {floor:>11.0} ns {:>8.2}", layer / floor);
        guarded.push(((count as f64).log10(), layer));
        least.push(((count as f64).log10(), floor));
        count *= 10;
    }
    plot(
        "docs/plots/keys.svg",
        "What a request costs, by the number of keys",
        ("keys, as a power of ten", "nanoseconds added"),
        &[Line { name: "the layer, with a limit", points: guarded }, Line { name: "floor", points: least }],
    );
}

/// How much more is done by more threads that all present the same key.
fn by_threads() {
    let secret = secret();
    let keys = MemoryKeys::new();
    let stored = record(0, &KeyHasher::sha256(), secret.expose_secret());
    keys.insert(stored).unwrap_or_else(|error| panic!("{error}"));
    let plain = ApiKeyLayer::builder(keys.clone()).audit(|_: AuthEvent<'_>| {}).request_ids(false);
    let plain = plain.build().unwrap_or_else(|error| panic!("{error}")).layer(Bare::<Body>::new());
    let limited = limited(&keys).layer(Bare::<Body>::new());
    let floor = Floor::new(Bare::<Body>::new(), floor::keys([secret.expose_secret()]), false);
    let asked = Asked::get("/v1/items", secret.expose_secret());
    let mut lines = Vec::new();
    println!("{:<28} {:>16} {:>16} {:>8}", "one key, requests a second", "1 thread", "2 threads", "ratio");
    for (name, rates) in [
        ("bare service", rates(&Bare::<Body>::new(), &asked)),
        ("floor", rates(&floor, &asked)),
        ("the layer", rates(&plain, &asked)),
        ("the layer, with a limit", rates(&limited, &asked)),
    ] {
        println!("{name:<28} {:>16.0} {:>16.0} {:>8.2}", rates[0], rates[1], rates[1] / rates[0]);
        lines.push(Line { name, points: (1..).map(f64::from).zip(rates.map(|rate| rate / 1e6)).collect() });
    }
    plot("docs/plots/threads.svg", "One hot key", ("threads", "million requests a second"), &lines);
}

fn limited(keys: &MemoryKeys) -> ApiKeyLayer {
    let headers = LimitHeaders::new().reset(ResetFormat::EpochSeconds);
    let limits = Limits::new(MemoryRateLimiter::new()).per_key(wide()).headers(headers);
    let builder = ApiKeyLayer::builder(keys.clone()).audit(|_: AuthEvent<'_>| {}).request_ids(false).limits(limits);
    builder.build().unwrap_or_else(|error| panic!("{error}"))
}

/// Each request presents a key that is chosen at random.
fn case<S, R>(name: &str, mut service: S, secrets: Vec<&'static str>) -> Case
where
    S: Service<Request<Body>, Response = Response<R>, Error = Infallible> + 'static,
    R: 'static,
{
    let asked = Asked::get("/v1/items", "");
    let chosen = std::cell::Cell::new(1_u64);
    let request = move || {
        let next = chosen.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        chosen.set(next);
        let mut request = asked.request();
        let secret = secrets[(next >> 33) as usize % secrets.len()];
        request.headers_mut().insert("x-api-key", HeaderValue::from_static(secret));
        request
    };
    Case::new(name, 0, request, move |request| drop(black_box(finish(service.call(request)))))
}

/// Requests a second on one thread and on two: the medians over rounds.
fn rates<S, R>(service: &S, asked: &Asked) -> [f64; 2]
where
    S: Service<Request<Body>, Response = Response<R>, Error = Infallible> + Clone + Send + Sync,
{
    const REQUESTS: usize = 200_000;
    [1, 2].map(|threads| {
        let round = || {
            let barrier = Barrier::new(threads);
            let run = || {
                // As a server has them: a service for each connection, and parts of requests that are no other thread's.
                let (mut service, asked) = (service.clone(), asked.apart());
                barrier.wait();
                let begun = Instant::now();
                for _ in 0..REQUESTS {
                    drop(black_box(finish(service.call(asked.request()))));
                }
                begun.elapsed().as_secs_f64()
            };
            let slowest = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap_or(f64::NAN)).fold(0.0, f64::max)
            });
            (threads * REQUESTS) as f64 / slowest
        };
        quantile((0..15).map(|_| round()).collect(), 0.5)
    })
}
