//! Prints what a request costs, in nanoseconds and allocations: `cargo test --release --test figures -- --nocapture`.
//!
//! The times are for reading. The allocations are pinned, since they do not depend on the machine.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use http::{Method, Request, Response};
use tower::{Layer, Service};
use tower_api_key::audit::{AuditTrail, AuthEvent, MemoryAudit};
use tower_api_key::clock::Timestamp;
use tower_api_key::ip::IpAllowlist;
use tower_api_key::key::{Environment, KeyFormat, Scope, UserId};
use tower_api_key::limit::{LimitHeaders, Limits, MemoryRateLimiter, Quota, ResetFormat};
use tower_api_key::rejection::Style;
use tower_api_key::route::Route;
use tower_api_key::session::{
    PresentedSession, Session, SessionAnswer, SessionLocation, SessionProblem, SessionResolver,
};
use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
use tower_api_key::usage::Usage;
use tower_api_key::{ApiKeyLayer, ApiKeyLayerBuilder, ApiKeyService, PeerAddr, User};

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

/// Knows one session, without waiting.
struct Ann(Arc<Session>);

impl SessionResolver for Ann {
    type Error = Infallible;

    fn name(&self) -> &str {
        "ann"
    }

    fn locations(&self) -> Vec<SessionLocation> {
        vec![SessionLocation::cookie("sid"), SessionLocation::cookie("__Secure-sid")]
    }

    async fn resolve(&self, _: &PresentedSession, _: Timestamp) -> Result<SessionAnswer, Infallible> {
        Ok(SessionAnswer::Absent)
    }

    fn resolve_now(&self, presented: &PresentedSession, _: Timestamp) -> Option<SessionAnswer> {
        let known = presented.expose_secret() == "ann";
        Some(if known { SessionAnswer::Valid(Arc::clone(&self.0)) } else { SessionProblem::Unknown.into() })
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
            let request = request.extension(PeerAddr(([192, 0, 2, 1], 1).into()));
            if key.is_empty() { request } else { request.header("x-api-key", &key) }.body(()).unwrap()
        }
    };
    let plain = |builder: ApiKeyLayerBuilder| builder.request_ids(false);
    let scoped = |builder: ApiKeyLayerBuilder| builder.route(Method::GET, "/v1", Route::new().scopes(READ));
    let used = |builder: ApiKeyLayerBuilder| plain(builder).usage(Usage::new(keys.clone()));
    // Nobody writes these trails: one has room for every request that is measured, and the other for none.
    let trailed = |capacity| {
        let (trail, plain) = (AuditTrail::builder(MemoryAudit::new()).capacity(capacity).build().unwrap(), &plain);
        move |builder: ApiKeyLayerBuilder| plain(builder).audit_trail(trail.clone())
    };
    let all = |builder: ApiKeyLayerBuilder| {
        let quota = Quota::per_hour(1_000_000);
        let headers = LimitHeaders::new().reset(ResetFormat::EpochSeconds);
        let limits = Limits::new(MemoryRateLimiter::new()).per_key(quota.clone()).failures(quota).headers(headers);
        let allowed: IpAllowlist = "192.0.2.0/24".parse().unwrap();
        scoped(builder).limits(limits).ip_policy(allowed)
    };
    let all_used = |builder: ApiKeyLayerBuilder| all(builder).usage(Usage::new(keys.clone()));
    let lean = |builder: ApiKeyLayerBuilder| builder.request_ids(false).style(Style::lean());
    let used_up = |builder: ApiKeyLayerBuilder| {
        let headers = LimitHeaders::new().reset(ResetFormat::EpochSeconds);
        builder.limits(Limits::new(MemoryRateLimiter::new()).per_key(Quota::per_day(1)).headers(headers))
    };
    let lean_used_up = |builder: ApiKeyLayerBuilder| lean(used_up(builder));

    let people = |builder: ApiKeyLayerBuilder| {
        plain(builder).sessions(Ann(Arc::new(Session::of(User::new(UserId::from_static("ann"))))))
    };
    let with_cookies = |cookies: &str, key: &str| {
        let (cookies, plain) = (cookies.to_owned(), with("/", key));
        move || {
            let mut request = plain();
            request.headers_mut().insert("cookie", cookies.parse().unwrap());
            request
        }
    };
    let unrelated: Vec<_> = (0..200).map(|number| format!("other{number}=x")).collect();
    let unrelated = unrelated.join("; ");

    // An id or a long number takes two more where it begins a chunk of those that share memory: one request in many.
    println!("{:<44} {:>8} {:>12}", "", "ns", "allocations");
    let print = |name: &str, (nanoseconds, allocations): (f64, u64), most: u64| {
        println!("{name:<44} {nanoseconds:>8.0} {allocations:>12}");
        assert!(allocations <= most, "{name}: {allocations} allocations, {most} are stated");
    };
    print("bare service", measure(Bare, with("/", &good)), 0);
    print("public", measure(layer(&keys, plain), with("/public", "")), 0);
    print("accepted", measure(layer(&keys, plain), with("/", &good)), 1);
    print("accepted, scope and request id", measure(layer(&keys, scoped), with("/v1", &good)), 5);
    print("accepted, usage", measure(layer(&keys, used), with("/", &good)), 1);
    print("accepted, audit trail", measure(layer(&keys, trailed(1 << 20)), with("/", &good)), 3);
    print("accepted, audit trail that is full", measure(layer(&keys, trailed(1)), with("/", &good)), 1);
    print("accepted, all but usage", measure(layer(&keys, all), with("/v1", &good)), 5);
    print("accepted, all", measure(layer(&keys, all_used), with("/v1", &good)), 5);
    print("accepted, sessions asked for", measure(layer(&keys, people), with("/", &good)), 1);
    print("accepted, 200 unrelated cookies", measure(layer(&keys, people), with_cookies(&unrelated, &good)), 1);
    print("accepted, a session", measure(layer(&keys, people), with_cookies("a=1; sid=ann", "")), 7);
    print("refused, missing", measure(layer(&keys, |b| b), with("/", "")), 9);
    print("refused, bad checksum", measure(layer(&keys, |b| b), with("/", &bad)), 9);
    print("refused, unknown", measure(layer(&keys, |b| b), with("/", &unknown)), 9);
    print("refused, limited", measure(layer(&keys, used_up), with("/", &good)), 8);
    print("refused, lean, limited", measure(layer(&keys, lean_used_up), with("/", &good)), 4);
    print("refused, lean, missing", measure(layer(&keys, lean), with("/", "")), 3);
    print("refused, lean, unknown", measure(layer(&keys, lean), with("/", &unknown)), 3);

    // With an exporter that counts.
    #[cfg(feature = "metrics")]
    {
        let exporter = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let counted = |set: &dyn Fn(ApiKeyLayerBuilder) -> ApiKeyLayerBuilder| {
            metrics::with_local_recorder(&exporter, || layer(&keys, set))
        };
        print("accepted, metrics", measure(counted(&plain), with("/", &good)), 1);
        print("accepted, all, metrics", measure(counted(&all_used), with("/v1", &good)), 9);
        print("refused, lean, missing, metrics", measure(counted(&lean), with("/", "")), 3);
        let decisions = exporter.handle().render();
        assert!(decisions.contains("reason=\"MISSING_API_KEY\",source=\"none\"} 9"), "{decisions}");
    }
}
