//! Nodes that hear what others change.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tower_api_key::key::{KeyDigest, KeyRef};
use tower_api_key::source::cached::{Invalidation, Invalidations};
use tower_api_key::source::sql::SqlKeysError;
use tower_api_key::source::{
    Cached, IssuedKey, KeyRotation, KeyScheme, KeySource, KeyStore, KeySuccession, Lookup, NewKey, PostgresKeys,
};
use tower_api_key::testing::TestClock;

use super::support::*;

/// Connections on which changes are heard.
const LISTENERS: &str = "starts_with(query, 'LISTEN')";

/// A node with a cache that keeps records for a minute, hears the others, and has forgotten what it knew before it did.
async fn node(database: &TestDatabase) -> Cached<PostgresKeys> {
    let cache = Cached::new(database.keys().await);
    let before = database.listeners().await;
    tokio::spawn(cache.listen(cache.source().invalidations()));
    until(async || database.listeners().await > before).await;
    cache
}

impl TestDatabase {
    async fn listeners(&self) -> i64 {
        let others = "datname = current_database() AND pid <> pg_backend_pid()";
        let sql = format!("SELECT COUNT(*) FROM pg_stat_activity WHERE {others} AND {LISTENERS}");
        let pool = pool(self).await;
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap();
        pool.close().await;
        count
    }
}

async fn is_good(cache: &Cached<PostgresKeys>, digest: &KeyDigest) -> bool {
    cache.find(digest).await.unwrap().is_some_and(|key| key.revoked_at.is_none() && !key.disabled)
}

/// Has it in memory, whatever was forgotten lately.
async fn warm(cache: &Cached<PostgresKeys>, issued: &IssuedKey) {
    let digest = &issued.record.digest;
    until(async || is_good(cache, digest).await && matches!(cache.find_now(digest), Lookup::Found(_))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_on_one_node_is_seen_on_another_within_a_second() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    let (one, two) = (node(&database).await, node(&database).await);
    let mut longest = Duration::ZERO;
    for round in 0..20 {
        let issued = one.issue(NewKey::named("k")).await.unwrap();
        let digest = &issued.record.digest;
        warm(&one, &issued).await;
        warm(&two, &issued).await;
        match round % 3 {
            0 => drop(one.revoke(&issued.record.id, None).await.unwrap()),
            1 => drop(one.set_enabled(&issued.record.id, false).await.unwrap()),
            _ => drop(one.rotate(&issued.record.id, KeyRotation::at_once()).await.unwrap()),
        }
        assert!(!is_good(&one, digest).await, "in the same process at once");
        longest = longest.max(until(async || !is_good(&two, digest).await).await);
    }
    println!("on another node after {longest:?} at most");
    assert!(longest < seconds(1), "{longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_a_node_believed_not_to_exist_works_there_once_it_does() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    let (one, two) = (database.keys().await, node(&database).await);
    // Issued, but not yet committed, is what a key presented too early looks like: the row is hidden for the moment.
    let record = tower_api_key::key::KeyRecord::new(
        tower_api_key::key::KeyId::from_static("key_early"),
        tower_api_key::key::KeyHasher::sha256().digest("early"),
    );
    until(async || two.find(&record.digest).await.unwrap().is_none() && two.negative_len() == 1).await;
    let _ = one.adopt(record.clone()).await.unwrap();
    let waited = until(async || is_good(&two, &record.digest).await).await;
    assert!(waited < seconds(1), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_while_the_bus_was_cut_is_made_up_for() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    let (one, two) = (database.keys().await, node(&database).await);
    for _ in 0..3 {
        let issued = one.issue(NewKey::named("k")).await.unwrap();
        warm(&two, &issued).await;
        assert!(database.end_connections(LISTENERS).await >= 1);
        one.revoke(&issued.record.id, None).await.unwrap();
        let waited = until(async || !is_good(&two, &issued.record.digest).await).await;
        assert!(waited < seconds(2), "{waited:?}");
        until(async || database.listeners().await == 1).await;
    }
    // And it hears again.
    let issued = one.issue(NewKey::named("k")).await.unwrap();
    warm(&two, &issued).await;
    one.revoke(&issued.record.id, None).await.unwrap();
    let waited = until(async || !is_good(&two, &issued.record.digest).await).await;
    assert!(waited < seconds(1), "{waited:?}");
}

#[tokio::test]
async fn a_bus_that_falls_silent_is_found_out() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    let line = Line::new().await;
    let keys = PostgresKeys::connect(&database.url_at(line.port)).await.unwrap();
    let mut bus = keys.invalidations();
    assert_eq!(bus.next().await.unwrap(), Some(Invalidation::All), "what was said before is not known");
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    assert_eq!(bus.next().await.unwrap(), Some(Invalidation::Digest(issued.record.digest)));
    keys.revoke(&issued.record.id, None).await.unwrap();
    assert_eq!(bus.next().await.unwrap(), Some(Invalidation::Key(issued.record.id.clone())));
    line.fall_silent();
    let started = Instant::now();
    let lost = bus.next().await.unwrap_err();
    assert!(started.elapsed() < seconds(15), "{:?}", started.elapsed());
    assert_eq!(lost.to_string(), "notifications of changed keys cannot be heard");
    line.open();
    until(async || matches!(bus.next().await, Ok(Some(Invalidation::All)))).await;
}

#[tokio::test]
async fn without_a_bus_a_change_is_seen_within_the_time_to_live() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    let (one, clock) = (database.keys().await, TestClock::default());
    let two = Cached::builder(database.keys().await).ttl(seconds(30)).clock(clock.clone()).build().unwrap();
    let issued = one.issue(NewKey::named("k")).await.unwrap();
    assert!(is_good(&two, &issued.record.digest).await);
    one.revoke(&issued.record.id, None).await.unwrap();
    clock.advance(seconds(29));
    assert!(is_good(&two, &issued.record.digest).await, "nobody told it");
    clock.advance(seconds(1));
    assert!(!is_good(&two, &issued.record.digest).await);
}

/// Counts how often the store is asked.
struct Counted {
    keys: PostgresKeys,
    calls: Arc<AtomicUsize>,
}

impl KeySource for Counted {
    type Error = SqlKeysError;

    fn name(&self) -> &str {
        self.keys.name()
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        self.keys.schemes()
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, SqlKeysError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.keys.find(digest).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_for_one_cold_key_make_one_query() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    let keys = database.keys().await;
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let cache = Cached::new(Counted { keys, calls: Arc::clone(&calls) });
    let asked: Vec<_> = (0..1_000)
        .map(|_| {
            let (cache, digest) = (cache.clone(), issued.record.digest);
            tokio::spawn(async move { cache.find(&digest).await })
        })
        .collect();
    for found in asked {
        assert!(found.await.unwrap().unwrap().is_some());
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_change_that_is_not_committed_tells_nobody() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    let keys = database.keys().await;
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    let mut bus = keys.invalidations();
    assert_eq!(bus.next().await.unwrap(), Some(Invalidation::All));
    // Refused, unchanged, and given up before its end.
    let _ = keys.set_enabled(&issued.record.id, true).await.unwrap();
    let lock = "SELECT 1 FROM api_keys FOR UPDATE";
    let mut holder = keys.pool().begin().await.unwrap();
    sqlx::query(lock).execute(&mut *holder).await.unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(50), keys.revoke(&issued.record.id, None)).await;
    assert!(given_up.is_err());
    holder.rollback().await.unwrap();
    let rotated = keys.rotate(&issued.record.id, KeyRotation::overlap(seconds(60))).await.unwrap();
    let KeySuccession::Rotated { successor, predecessor } = rotated else { panic!("{rotated:?}") };
    assert_eq!(bus.next().await.unwrap(), Some(Invalidation::Digest(successor.record.digest)));
    assert_eq!(bus.next().await.unwrap(), Some(Invalidation::Key(predecessor.id.clone())));
}
