//! Revocations that nodes hear over Redis pub/sub.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tower_api_key::clock::Timestamp;
use tower_api_key::key::{KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord, KeyRef};
use tower_api_key::source::cached::{Invalidation, Invalidations, RedisInvalidations};
use tower_api_key::source::{Cached, KeyScheme, KeySource, Lookup};

use super::support::*;

/// What all nodes read from. Always has to be waited for.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<HashMap<KeyDigest, KeyRef>>>);

impl Store {
    fn put(&self, name: &str, revoked: bool) {
        let mut record = KeyRecord::new(id(name), digest(name));
        record.revoked_at = revoked.then_some(Timestamp::UNIX_EPOCH);
        self.0.lock().unwrap().insert(digest(name), record.into());
    }
}

impl KeySource for Store {
    type Error = Infallible;

    fn name(&self) -> &str {
        "store"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        vec![KeyScheme::new(KeyFormat::default(), KeyHasher::sha256())]
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, Infallible> {
        Ok(self.0.lock().unwrap().get(digest).cloned())
    }
}

fn id(name: &str) -> KeyId {
    KeyId::new(format!("key_{name}")).unwrap()
}

fn digest(name: &str) -> KeyDigest {
    KeyHasher::sha256().digest(name)
}

fn node(store: &Store, server: &Server, ttl: Duration) -> Cached<Store> {
    let cache = Cached::builder(store.clone()).ttl(ttl).build().unwrap();
    // A bus of its own, and so connections of its own.
    tokio::spawn(cache.listen(RedisInvalidations::connect(server.url()).unwrap().subscribe()));
    cache
}

async fn is_revoked(cache: &Cached<Store>, name: &str) -> bool {
    cache.find(&digest(name)).await.unwrap().unwrap().revoked_at.is_some()
}

/// Waits until so many hear.
async fn listened_to(server: &Server, by: i64) {
    let started = Instant::now();
    loop {
        let heard = server.command(&["PUBSUB", "NUMSUB", "tower-api-key:invalidations"]);
        let redis::Value::Array(heard) = heard else { panic!("{heard:?}") };
        if heard[1] == redis::Value::Int(by) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{heard:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_is_heard_by_all_others_within_a_second_a_hundred_times_in_a_row() {
    if !services() {
        return;
    }
    let (server, store) = (Server::start(), Store::default());
    let nodes: Vec<_> = (0..4).map(|_| node(&store, &server, HOUR)).collect();
    listened_to(&server, 4).await;
    let bus = RedisInvalidations::connect(server.url()).unwrap();
    for round in 0..100 {
        let name = format!("round-{round}");
        store.put(&name, false);
        for node in &nodes {
            assert!(!is_revoked(node, &name).await);
        }
        store.put(&name, true);
        assert!(!is_revoked(&nodes[1], &name).await, "it is cached");
        nodes[0].invalidate(&id(&name));
        assert_eq!(bus.send(&Invalidation::Key(id(&name))).await.unwrap(), 4);
        let sent = Instant::now();
        for node in &nodes {
            while !is_revoked(node, &name).await {
                assert!(sent.elapsed() < Duration::from_secs(1), "in round {round}");
                tokio::task::yield_now().await;
            }
        }
    }
}

#[tokio::test]
async fn what_was_said_while_the_bus_was_cut_is_heard_as_everything() {
    if !services() {
        return;
    }
    let (server, store) = (Server::start(), Store::default());
    let cache = node(&store, &server, HOUR);
    listened_to(&server, 1).await;
    for round in 0..5 {
        let name = format!("round-{round}");
        store.put(&name, false);
        assert!(!is_revoked(&cache, &name).await);
        store.put(&name, true);
        server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        let cut = Instant::now();
        while !is_revoked(&cache, &name).await {
            assert!(cut.elapsed() < Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        listened_to(&server, 1).await;
        // What is asked for before the bus is back is forgotten when it is.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_bus_that_is_silent_and_dead_is_noticed() {
    if !services() {
        return;
    }
    let server = Server::start();
    let mut subscription = RedisInvalidations::connect(server.url()).unwrap().subscribe();
    assert_eq!(subscription.next().await.unwrap(), Some(Invalidation::All));
    server.signal("-STOP");
    let heard = tokio::time::timeout(Duration::from_secs(4), subscription.next()).await;
    assert!(heard.expect("silence is not taken for life").is_err());
    server.signal("-CONT");
    let again = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            if let Ok(heard) = subscription.next().await {
                return heard;
            }
        }
    });
    assert_eq!(again.await.unwrap(), Some(Invalidation::All), "something may have been missed");
}

#[tokio::test]
async fn without_a_bus_a_revocation_is_seen_within_the_time_to_live() {
    if !services() {
        return;
    }
    let (mut server, store) = (Server::start(), Store::default());
    let ttl = Duration::from_millis(300);
    let cache = node(&store, &server, ttl);
    listened_to(&server, 1).await;
    server.kill();
    let bus = RedisInvalidations::connect(server.url()).unwrap();
    assert!(bus.send(&Invalidation::All).await.is_err(), "whoever tells nobody hears so");
    store.put("k", false);
    assert!(!is_revoked(&cache, "k").await);
    store.put("k", true);
    let revoked = Instant::now();
    while !is_revoked(&cache, "k").await {
        assert!(revoked.elapsed() < ttl + Duration::from_millis(300));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn noise_makes_a_cache_forget_and_nothing_worse() {
    if !services() {
        return;
    }
    let (server, store) = (Server::start(), Store::default());
    let cache = node(&store, &server, HOUR);
    listened_to(&server, 1).await;
    for noise in ["", "2 key key_k", "1 key", "\u{0}\u{1}\u{7f}", "{\"key\":\"k\"}"] {
        store.put("k", false);
        assert!(!is_revoked(&cache, "k").await);
        server.command(&["PUBLISH", "tower-api-key:invalidations", noise]);
        let sent = Instant::now();
        while !matches!(cache.find_now(&digest("k")), Lookup::Ask) {
            assert!(sent.elapsed() < Duration::from_secs(5), "{noise:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    store.put("k", true);
    let bus = RedisInvalidations::connect(server.url()).unwrap();
    assert_eq!(bus.send(&Invalidation::Digest(digest("k"))).await.unwrap(), 1, "it goes on listening");
}
