//! Whole requests, through layers of several nodes.

use std::time::Duration;

use http::{Request, Response, StatusCode};
use tower::{Layer, ServiceExt, service_fn};
use tower_api_key::clock::Timestamp;
use tower_api_key::key::{KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord, KeyRef};
use tower_api_key::limit::credits::{CreditState, Credits};
use tower_api_key::limit::redis::{Leases, RedisCredits, RedisRateLimiterBuilder};
use tower_api_key::limit::{Limits, MemoryRateLimiter, Quota};
use tower_api_key::rejection::Rejection;
use tower_api_key::source::{KeyScheme, KeySource, KeyStore, MemoryKeys};
use tower_api_key::usage::Usage;
use tower_api_key::{ApiKeyLayer, PeerAddr};

use super::support::*;

/// A source that has to be waited for, as those that guesses are kept from.
struct Waiting(MemoryKeys);

impl KeySource for Waiting {
    type Error = <MemoryKeys as KeySource>::Error;

    fn name(&self) -> &str {
        "waiting"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        self.0.schemes()
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, Self::Error> {
        self.0.find(digest).await
    }
}

fn layer(limits: Limits) -> ApiKeyLayer {
    let hasher = KeyHasher::sha256();
    let mut record = KeyRecord::new(KeyId::from_static("key_1"), hasher.digest("a-secret-of-32-characters-or-more"));
    record.credits = Some(Credits::new(6).starting(Timestamp::UNIX_EPOCH));
    let keys = MemoryKeys::builder().format(KeyFormat::text()).hasher(hasher).build();
    keys.insert(record).unwrap();
    ApiKeyLayer::builder(Waiting(keys)).limits(limits).build().unwrap()
}

fn limits(limiter: RedisRateLimiterBuilder) -> Limits {
    Limits::new(limiter.build().unwrap())
}

async fn call(layer: &ApiKeyLayer, key: &str) -> (StatusCode, Option<&'static str>) {
    let service =
        service_fn(async |_: Request<String>| Ok::<_, std::convert::Infallible>(Response::new(String::new())));
    let mut request = Request::get("/v1").header("x-api-key", key).body(String::new()).unwrap();
    request.extensions_mut().insert(PeerAddr(([192, 0, 2, 1], 4_000).into()));
    let response = layer.layer(service).oneshot(request).await.unwrap();
    (response.status(), response.extensions().get::<Rejection>().map(Rejection::code))
}

const KEY: &str = "a-secret-of-32-characters-or-more";

#[tokio::test]
async fn a_key_that_is_used_on_all_nodes_has_one_limit_and_one_balance() {
    if !services() {
        return;
    }
    let server = Server::start();
    let node = |number: u32| {
        let credits = RedisCredits::with(server.url(), "credits", Duration::from_secs(5)).unwrap();
        let limiter = server.limiter().prefix("requests");
        let limiter = if number == 0 { limiter.leases(Leases::new()) } else { limiter };
        layer(limits(limiter).per_key(Quota::per_day(8)).credits_in_redis(credits))
    };
    let nodes = [node(0), node(1), node(2)];
    let mut answers = Vec::new();
    for number in 0..10 {
        answers.push(call(&nodes[number % 3], KEY).await.1);
    }
    let mut expected = vec![None; 6];
    expected.extend([Some("USAGE_EXCEEDED"); 2]);
    expected.extend([Some("RATE_LIMITED"); 2]);
    assert_eq!(answers, expected);
}

#[tokio::test]
async fn failed_attempts_count_on_all_nodes_together() {
    if !services() {
        return;
    }
    let server = Server::start();
    let node = || layer(limits(server.limiter()).failures(Quota::per_hour(5)));
    let nodes = [node(), node(), node()];
    let mut answers = Vec::new();
    for number in 0..8 {
        answers.push(call(&nodes[number % 3], &format!("a-guess-of-32-characters-or-more-{number}")).await.1.unwrap());
    }
    assert_eq!(answers[..5], ["INVALID_API_KEY"; 5]);
    assert_eq!(answers[5..], ["TOO_MANY_FAILURES"; 3]);
}

#[tokio::test]
async fn without_redis_requests_are_refused_as_unavailable() {
    if !services() {
        return;
    }
    let mut server = Server::start();
    let credits = || RedisCredits::with(server.url(), "credits", Duration::from_millis(100)).unwrap();
    let by_limit = layer(limits(server.limiter().deadline(Duration::from_millis(100))).per_key(Quota::per_day(9)));
    let by_credit = layer(limits(server.limiter()).credits_in_redis(credits()));
    assert_eq!(call(&by_credit, KEY).await, (StatusCode::OK, None));
    server.kill();
    for layer in [by_limit, by_credit] {
        assert_eq!(call(&layer, KEY).await, (StatusCode::SERVICE_UNAVAILABLE, Some("AUTH_UNAVAILABLE")));
    }
}

/// A node over keys that all nodes share, with credits in Redis that it writes to the records, too.
fn writing(server: &Server, keys: &MemoryKeys) -> ApiKeyLayer {
    let credits = RedisCredits::with(server.url(), "written", Duration::from_secs(5)).unwrap();
    let limits = Limits::new(MemoryRateLimiter::new()).credits_in_redis(credits);
    ApiKeyLayer::builder(keys.clone()).limits(limits).usage(Usage::new(keys.clone())).build().unwrap()
}

async fn admitted(nodes: &[ApiKeyLayer], calls: usize) -> usize {
    let mut admitted = 0;
    for number in 0..calls {
        admitted += usize::from(call(&nodes[number % nodes.len()], KEY).await.0 == StatusCode::OK);
    }
    admitted
}

/// How many credits are left on the record, and how many were spent, when all nodes have written.
async fn written(nodes: &[ApiKeyLayer], keys: &MemoryKeys) -> (u64, u64) {
    let mut tasks = tokio::task::JoinSet::new();
    for node in nodes {
        let node = node.clone();
        tasks.spawn(async move { node.flush().await });
    }
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    let record = keys.get(&KeyId::from_static("key_1")).await.unwrap().unwrap();
    record.credits.map(|state| (state.remaining, state.spent)).unwrap()
}

#[tokio::test]
async fn what_nodes_spend_is_on_the_record_and_a_redis_that_loses_its_data_restores_only_what_is_not() {
    if !services() {
        return;
    }
    let server = Server::start();
    let all_keys = || MemoryKeys::builder().format(KeyFormat::text()).hasher(KeyHasher::sha256()).build();
    let mut record = KeyRecord::new(KeyId::from_static("key_1"), KeyHasher::sha256().digest(KEY));
    record.credits = Some(Credits::new(20).starting(Timestamp::UNIX_EPOCH));
    let keys = all_keys();
    keys.insert(record).unwrap();
    let nodes: Vec<_> = (0..3).map(|_| writing(&server, &keys)).collect();

    assert_eq!(admitted(&nodes, 9).await, 9);
    assert_eq!(written(&nodes, &keys).await, (11, 9));
    assert_eq!(written(&nodes, &keys).await, (11, 9), "nothing is written twice");
    assert_eq!(admitted(&nodes, 2).await, 2);
    server.command(&["FLUSHALL"]);
    assert_eq!(admitted(&nodes, 20).await, 11, "all but what was not written yet is still spent");
    assert_eq!(written(&nodes, &keys).await, (0, 22));

    // Somebody has set the balance.
    let known = keys.get(&KeyId::from_static("key_1")).await.unwrap().unwrap();
    let mut record = KeyRecord::clone(&known);
    record.credits = record.credits.map(|state| CreditState { remaining: 100, generation: 1, ..state });
    let keys = all_keys();
    keys.insert(record).unwrap();
    let nodes: Vec<_> = (0..3).map(|_| writing(&server, &keys)).collect();
    assert_eq!(admitted(&nodes, 6).await, 6);
    assert_eq!(written(&nodes, &keys).await, (94, 28), "it owes nothing of what was spent before");
}
