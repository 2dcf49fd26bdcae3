//! Postgres is away, and comes back.

use std::time::Instant;

use http::{Request, StatusCode};
use tower::{Layer, Service, ServiceExt};
use tower_api_key::source::{Cached, IssuedKey, KeyStore, NewKey, PostgresKeys};
use tower_api_key::testing::TestClock;
use tower_api_key::{ApiKeyLayer, AuthContext};

use super::support::*;

/// What a layer over `cache` answers to a key, and its code if it was refused.
async fn answer(cache: &Cached<PostgresKeys>, issued: &IssuedKey) -> (StatusCode, bool) {
    let service = tower::service_fn(async |request: Request<String>| {
        assert!(request.extensions().get::<AuthContext>().is_some());
        Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
    });
    let mut service = ApiKeyLayer::new(cache.clone()).layer(service);
    let request = Request::get("/").header("x-api-key", issued.secret.expose_secret()).body(String::new()).unwrap();
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    let rejection = response.extensions().get::<tower_api_key::rejection::Rejection>();
    (response.status(), rejection.is_some_and(|rejection| rejection.code() == "AUTH_UNAVAILABLE"))
}

const GOOD: (StatusCode, bool) = (StatusCode::OK, false);
const AWAY: (StatusCode, bool) = (StatusCode::SERVICE_UNAVAILABLE, true);

/// Two keys, of which one is known to a cache that may use it for five minutes if it cannot ask.
async fn set_up(url: &str) -> (Cached<PostgresKeys>, TestClock, [IssuedKey; 2]) {
    let keys = PostgresKeys::connect(url).await.unwrap();
    let known = keys.issue(NewKey::named("known")).await.unwrap();
    let cold = keys.issue(NewKey::named("cold")).await.unwrap();
    let clock = TestClock::default();
    let cache = Cached::builder(keys).ttl(seconds(60)).stale_on_error(seconds(300)).clock(clock.clone());
    let cache = cache.build().unwrap();
    assert_eq!(answer(&cache, &known).await, GOOD);
    (cache, clock, [known, cold])
}

async fn works_within_bounds(cache: &Cached<PostgresKeys>, clock: &TestClock, [known, cold]: &[IssuedKey; 2]) {
    let timed = async |issued, expected| {
        let started = Instant::now();
        assert_eq!(answer(cache, issued).await, expected);
        assert!(started.elapsed() < seconds(3), "{:?}", started.elapsed());
    };
    timed(known, GOOD).await;
    timed(cold, AWAY).await;
    clock.advance(seconds(61));
    timed(known, GOOD).await;
    clock.advance(seconds(300));
    timed(known, AWAY).await;
}

async fn recovers(cache: &Cached<PostgresKeys>, issued: &[IssuedKey; 2]) {
    for issued in issued {
        let waited = until(async || answer(cache, issued).await == GOOD).await;
        println!("good again after {waited:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_refuses_connections_cached_keys_work_within_their_bound_and_all_recovers_by_itself() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    let (cache, clock, issued) = set_up(&database.url()).await;
    database.allow_connections(false).await;
    works_within_bounds(&cache, &clock, &issued).await;
    database.allow_connections(true).await;
    recovers(&cache, &issued).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_is_silent_cached_keys_work_within_their_bound_and_all_recovers_by_itself() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    let line = Line::new().await;
    let (cache, clock, issued) = set_up(&database.url_at(line.port)).await;
    line.fall_silent();
    works_within_bounds(&cache, &clock, &issued).await;
    line.open();
    recovers(&cache, &issued).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nobody_answers_cached_keys_work_within_their_bound_and_all_recovers_by_itself() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    let line = Line::new().await;
    let (cache, clock, issued) = set_up(&database.url_at(line.port)).await;
    line.close();
    works_within_bounds(&cache, &clock, &issued).await;
    line.open();
    recovers(&cache, &issued).await;
}
