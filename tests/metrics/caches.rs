//! Caches and limiters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use metrics::set_default_local_recorder;
use tower_api_key::key::{KeyDigest, KeyRef};
use tower_api_key::limit::{Limits, MemoryRateLimiter, Quota};
use tower_api_key::source::cached::{Invalidation, Invalidations};
use tower_api_key::source::{Cached, KeyScheme, KeySource, KeyStore, Lookup, MemoryKeys, NewKey};
use tower_api_key::testing::TestClock;
use tower_api_key::{ApiKeyLayer, BoxError, metrics as names};

use crate::page::{Page, call, exporter};

/// Keys that have to be waited for, while their store is there.
struct Remote(MemoryKeys, Arc<AtomicBool>);

impl KeySource for Remote {
    type Error = BoxError;

    fn name(&self) -> &'static str {
        "remote"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        self.0.schemes()
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, BoxError> {
        if self.1.load(Ordering::SeqCst) {
            return Err("away".into());
        }
        Ok(self.0.find(digest).await?)
    }

    fn find_now(&self, _: &KeyDigest) -> Lookup {
        Lookup::Ask
    }
}

/// A bus that brings what it is given, and then is lost.
struct Bus(Vec<Invalidation>);

impl Invalidations for Bus {
    type Error = &'static str;

    async fn next(&mut self) -> Result<Option<Invalidation>, &'static str> {
        match self.0.pop() {
            Some(invalidation) => Ok(Some(invalidation)),
            None => Err("lost"),
        }
    }
}

#[tokio::test]
async fn a_cache_tells_its_hits_its_loads_and_what_it_holds() {
    let exporter = exporter();
    let _guard = set_default_local_recorder(&exporter);
    let (keys, clock, away) =
        (MemoryKeys::new(), TestClock::at(SystemTime::now().into()), Arc::new(AtomicBool::new(false)));
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    let key = issued.secret.expose_secret();
    let unknown = MemoryKeys::new().issue(NewKey::named("u")).await.unwrap();
    let remote = Remote(keys, Arc::clone(&away));
    let cached = Cached::builder(remote).clock(clock.clone()).stale_on_error(Duration::from_secs(600));
    let cached = cached.build().unwrap();
    let auth = ApiKeyLayer::builder(cached.clone()).clock(clock.clone()).build().unwrap();

    for _ in 0..3 {
        assert_eq!(call(&auth, "/", Some(key)).await, 200);
        assert_eq!(call(&auth, "/", Some(unknown.secret.expose_secret())).await, 401);
    }
    away.store(true, Ordering::SeqCst);
    clock.advance(Duration::from_secs(61));
    assert_eq!(call(&auth, "/", Some(key)).await, 200);
    assert_eq!(call(&auth, "/", Some(unknown.secret.expose_secret())).await, 503);
    let page = Page::of(&exporter);
    let lookups = |result| page.sum(names::CACHE_LOOKUPS, &[("source", "remote"), ("result", result)]);
    assert_eq!((lookups("hit"), lookups("absent")), (2.0, 2.0));
    let loads = |result| page.sum(names::CACHE_LOADS, &[("source", "remote"), ("result", result)]);
    let ends = ["found", "absent", "stale", "failed", "overtaken"].map(loads);
    assert_eq!(ends, [1.0, 1.0, 1.0, 1.0, 0.0]);
    let entries = |kind| page.sum(names::CACHE_ENTRIES, &[("source", "remote"), ("kind", kind)]);
    assert_eq!((entries("record"), entries("absence")), (1.0, 1.0));
    // What a stale record answers for is an error of the backend all the same.
    assert_eq!(page.sum(names::BACKEND_ERRORS, &[("backend", "remote")]), 2.0);

    cached.invalidate_all();
    let page = Page::of(&exporter);
    assert_eq!(page.sum(names::CACHE_INVALIDATIONS, &[("what", "all")]), 1.0);
    assert_eq!(page.sum(names::CACHE_ENTRIES, &[]), 0.0);
    drop((auth, cached));
}

#[tokio::test(start_paused = true)]
async fn a_lost_bus_is_seen() {
    let exporter = exporter();
    let _guard = set_default_local_recorder(&exporter);
    let cached = Cached::new(MemoryKeys::new());
    let connected = || Page::of(&exporter).sum(names::CACHE_BUS_CONNECTED, &[("source", "memory")]);
    assert!(!Page::of(&exporter).series().any(|series| series.starts_with(names::CACHE_BUS_CONNECTED)));
    let listening = cached.listen(Bus(vec![Invalidation::Absent]));
    let _ = tokio::time::timeout(Duration::from_millis(10), listening).await;
    assert_eq!(connected(), 0.0);
    assert!(Page::of(&exporter).series().any(|series| series.starts_with(names::CACHE_BUS_CONNECTED)));
    assert_eq!(Page::of(&exporter).sum(names::CACHE_INVALIDATIONS, &[("what", "absent")]), 1.0);
}

#[tokio::test]
async fn limiters_in_memory_tell_how_full_they_are_and_take_it_with_them() {
    let exporter = exporter();
    let _guard = set_default_local_recorder(&exporter);
    let layer = async |keys: usize| {
        let store = MemoryKeys::new();
        let limits = Limits::new(MemoryRateLimiter::with_capacity(100)).per_key(Quota::per_hour(5));
        let auth = ApiKeyLayer::builder(store.clone()).limits(limits).build().unwrap();
        for _ in 0..keys {
            let issued = store.issue(NewKey::named("k")).await.unwrap();
            assert_eq!(call(&auth, "/", Some(issued.secret.expose_secret())).await, 200);
        }
        auth.refresh_gauges();
        auth
    };
    let (first, second) = (layer(3).await, layer(4).await);
    let entries = || Page::of(&exporter).sum(names::LIMITER_ENTRIES, &[]);
    assert_eq!(entries(), 7.0);
    assert!(Page::of(&exporter).sum(names::LIMITER_CAPACITY, &[]) >= 400.0);
    first.refresh_gauges();
    assert_eq!(entries(), 7.0, "the same once more");
    drop(first);
    assert_eq!(entries(), 4.0);
    drop(second);
    assert_eq!(entries(), 0.0);
}
