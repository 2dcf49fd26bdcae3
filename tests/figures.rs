//! Prints what a request costs, in nanoseconds and allocations: `cargo test --release --test figures -- --nocapture`.
//!
//! The times are for reading. The allocations are pinned, since they do not depend on the machine.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use http::{Method, Request, Response};
use tower::{Layer, Service};
use tower_api_key::audit::AuthEvent;
use tower_api_key::key::{Environment, KeyFormat, Scope};
use tower_api_key::rejection::Style;
use tower_api_key::route::Route;
use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
use tower_api_key::{ApiKeyLayer, ApiKeyLayerBuilder, ApiKeyService};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: hands everything to the system's allocator, and counts beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Clone)]
struct Bare;

impl Service<Request<()>> for Bare {
    type Response = Response<&'static str>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        black_box(&request);
        ready(Ok(Response::new("ok")))
    }
}

const BATCHES: u32 = 300;
const BATCH: u32 = 32;
const READ: Scope = Scope::from_static("read");

/// Nanoseconds and allocations of a call, without those of making the request.
fn measure<S, R>(mut service: S, request: impl Fn() -> Request<()>) -> (f64, u64)
where
    S: Service<Request<()>, Response = R, Error = Infallible>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut call = |request: Request<()>| {
        let mut future = std::pin::pin!(service.call(request));
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(response) => drop(black_box(response)),
            Poll::Pending => panic!("nothing here has to wait"),
        }
    };
    for _ in 0..100 {
        call(request());
    }
    let sample = request();
    let before = ALLOCATIONS.with(Cell::get);
    call(sample);
    let allocations = ALLOCATIONS.with(Cell::get) - before;
    let mut best = f64::MAX;
    for _ in 0..BATCHES {
        // Few enough to stay in the cache, as the requests of a server do.
        let mut requests: Vec<_> = (0..BATCH).map(|_| request()).collect();
        let started = Instant::now();
        while let Some(request) = requests.pop() {
            call(request);
        }
        best = best.min(started.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH));
    }
    (best, allocations)
}

fn layer(keys: &MemoryKeys, set: impl Fn(ApiKeyLayerBuilder) -> ApiKeyLayerBuilder) -> ApiKeyService<Bare> {
    let quiet = ApiKeyLayer::builder(keys.clone()).audit(|_: AuthEvent<'_>| {}).public(Method::GET, "/public");
    set(quiet).build().unwrap().layer(Bare)
}

#[tokio::test]
async fn a_request_costs_no_more_allocations_than_stated() {
    let keys = MemoryKeys::new();
    for count in 0..1_000 {
        let _ = keys.issue(NewKey::named(format!("key {count}"))).await.unwrap();
    }
    let issued = keys.issue(NewKey::named("hot").scopes([READ])).await.unwrap();
    let good = issued.secret.expose_secret().to_owned();
    let unknown = KeyFormat::default().generate(&Environment::LIVE).unwrap();
    let unknown = unknown.expose_secret().to_owned();
    let bad = format!("{}0", &good[..47]);
    let bad = if bad == good { format!("{}1", &good[..47]) } else { bad };

    let with = |path: &'static str, key: &str| {
        let key = key.to_owned();
        move || {
            let request = Request::get(path);
            if key.is_empty() { request } else { request.header("x-api-key", &key) }.body(()).unwrap()
        }
    };
    let plain = |builder: ApiKeyLayerBuilder| builder.request_ids(false);
    let scoped = |builder: ApiKeyLayerBuilder| builder.route(Method::GET, "/v1", Route::new().scopes(READ));
    let lean = |builder: ApiKeyLayerBuilder| builder.request_ids(false).style(Style::lean());

    println!("{:<44} {:>8} {:>12}", "", "ns", "allocations");
    let print = |name: &str, (nanoseconds, allocations): (f64, u64), most: u64| {
        println!("{name:<44} {nanoseconds:>8.0} {allocations:>12}");
        assert!(allocations <= most, "{name}: {allocations} allocations, {most} are stated");
    };
    print("bare service", measure(Bare, with("/", &good)), 0);
    print("public", measure(layer(&keys, plain), with("/public", "")), 0);
    print("accepted", measure(layer(&keys, plain), with("/", &good)), 3);
    print("accepted, scope and request id", measure(layer(&keys, scoped), with("/v1", &good)), 8);
    print("refused, missing", measure(layer(&keys, |b| b), with("/", "")), 13);
    print("refused, bad checksum", measure(layer(&keys, |b| b), with("/", &bad)), 10);
    print("refused, unknown", measure(layer(&keys, |b| b), with("/", &unknown)), 10);
    print("refused, lean, missing", measure(layer(&keys, lean), with("/", "")), 3);
    print("refused, lean, unknown", measure(layer(&keys, lean), with("/", &unknown)), 3);
}
