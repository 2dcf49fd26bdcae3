//! The queue, its bounds, and what becomes of it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tower_api_key::ApiKeyLayer;
use tower_api_key::audit::{AuditAction, AuditFilter, AuditStore, AuditTrail, MemoryAudit};
use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
use tower_api_key::testing::TestClock;
use tracing::Level;

use super::support::{Gated, Log, at, call, event};

/// The number that a line of the log has for a field.
fn number(line: &str, field: &str) -> u64 {
    let (_, rest) = line.split_once(&format!("{field}=")).unwrap_or_else(|| panic!("{line}"));
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

/// 100,000 requests while the store has not answered once: all of them are let in, the queue keeps to its bound, and every
/// event is kept, or counted and told.
#[tokio::test]
async fn no_request_waits_for_a_store_that_does_not_answer_and_every_drop_is_counted() {
    const REQUESTS: u64 = 100_000;
    const CAPACITY: usize = 1_000;
    let (log, _guard) = Log::listen(Level::INFO);
    let (keys, clock, store) = (MemoryKeys::new(), TestClock::default(), Gated::new(3));
    let key = keys.issue(NewKey::named("k")).await.unwrap().secret;
    let trail = AuditTrail::builder(store.clone()).capacity(CAPACITY).batch(100).clock(clock.clone()).build().unwrap();
    let quiet = |_: tower_api_key::audit::AuthEvent<'_>| {};
    let auth = ApiKeyLayer::builder(keys).audit(quiet).audit_trail(trail.clone()).clock(clock.clone()).build().unwrap();
    let background = tokio::spawn(auth.background());
    let mut most = 0;
    for number in 0..REQUESTS {
        assert_eq!(call(&auth, key.expose_secret()).await, 200);
        most = most.max(trail.waiting());
        if number % 1_000 == 0 {
            // The store has its chance, and takes three batches of all that there will be.
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(1));
        }
    }
    let begun = store.begun.load(Ordering::SeqCst);
    assert!((1..=4).contains(&begun), "all requests are through, and the store is at its batch number {begun}");
    assert!(most <= CAPACITY, "{most} events waited");
    assert!(trail.dropped() >= REQUESTS - CAPACITY as u64 - 300, "{trail:?}");
    assert_eq!(trail.written() + trail.dropped() + trail.waiting() as u64, REQUESTS, "{trail:?}");
    let told = log.lines("WARN");
    assert!((2..=12).contains(&told.len()), "once in ten seconds, of a hundred: {}", told.len());
    store.open();
    auth.shutdown().await.unwrap();
    background.await.unwrap();
    assert_eq!((trail.waiting(), trail.written() + trail.dropped()), (0, REQUESTS));
    assert_eq!(store.kept.all().len() as u64, trail.written(), "what is written is what is there");
    let told = log.lines("WARN");
    assert_eq!(
        told.iter().map(|line| number(line, "dropped")).sum::<u64>(),
        trail.dropped(),
        "every drop is told once"
    );
    assert_eq!(number(told.last().unwrap(), "total"), trail.dropped());
}

#[tokio::test]
async fn a_batch_that_the_store_did_not_take_waits_and_comes_first() {
    let store = Gated::new(0);
    store.open();
    let trail = AuditTrail::builder(store.clone()).batch(2).capacity(4).build().unwrap();
    for seconds in 0..3 {
        trail.note(event(seconds));
    }
    store.failing.store(2, Ordering::SeqCst);
    for _ in 0..2 {
        let error = trail.flush().await.unwrap_err();
        assert_eq!((error.waiting(), error.to_string().as_str()), (3, "3 audit events are not written"));
        assert!(std::error::Error::source(&error).is_some_and(|cause| cause.to_string().contains("gated")));
    }
    trail.note(event(3));
    trail.note(event(4));
    assert_eq!((trail.waiting(), trail.dropped()), (4, 1), "the room of a failed batch is still its own");
    trail.flush().await.unwrap();
    let seconds: Vec<_> = store.kept.all().iter().map(|event| event.at).collect();
    assert_eq!(seconds, [at(0), at(1), at(2), at(3)]);
    assert!(store.kept.all().iter().is_sorted_by_key(|event| event.id));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_ever_and_says_what_is_not_written() {
    let (log, _guard) = Log::listen(Level::INFO);
    let (keys, store) = (MemoryKeys::new(), Gated::new(1));
    let key = keys.issue(NewKey::named("k")).await.unwrap().secret;
    let trail = AuditTrail::builder(store.clone()).batch(2).build().unwrap();
    let auth = ApiKeyLayer::builder(keys).audit_trail(trail.clone()).build().unwrap();
    let background = tokio::spawn(auth.background());
    for _ in 0..5 {
        assert_eq!(call(&auth, key.expose_secret()).await, 200);
    }
    // By its own timer, two are written, two are with the store, which does not answer, and one waits.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((trail.written(), trail.waiting()), (2, 3));
    let begun = tokio::time::Instant::now();
    let error = auth.shutdown().await.unwrap_err();
    assert!(begun.elapsed() <= Duration::from_secs(6), "{:?}", begun.elapsed());
    assert!(error.usage().is_none());
    assert_eq!((error.audit().unwrap().waiting(), error.to_string().as_str()), (3, "3 audit events are not written"));
    assert!(!log.lines("waiting=3").is_empty());
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_too_slow_for_a_batch_gets_it_again() {
    let store = Gated::new(0);
    let trail = AuditTrail::builder(store.clone()).deadline(Duration::from_secs(3)).build().unwrap();
    trail.note(event(0));
    assert!(trail.flush().await.is_err());
    store.open();
    trail.flush().await.unwrap();
    assert_eq!((trail.waiting(), trail.written(), store.kept.all().len()), (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn old_events_are_forgotten_an_hour_apart() {
    let (clock, store) = (TestClock::at(at(86_400)), MemoryAudit::new());
    let day = Duration::from_secs(86_400);
    let trail = AuditTrail::builder(store.clone()).keep_for(day).clock(clock.clone()).build().unwrap();
    store.append(&(0..2_500).map(event).collect::<Vec<_>>()).await.unwrap();
    let background = tokio::spawn(trail.background());
    let left = async || {
        tokio::time::sleep(Duration::from_secs(5)).await;
        store.all().len()
    };
    assert_eq!(left().await, 2_500);
    clock.set(at(86_400 + 2_200));
    assert_eq!(left().await, 2_500, "the hour is not over");
    clock.set(at(86_400 + 3_600));
    assert_eq!(left().await, 0);
    store.append(&[event(86_400 + 3_600)]).await.unwrap();
    clock.set(at(2 * 86_400 + 3_600));
    assert_eq!(left().await, 1, "it is a day old, and not older");
    trail.shutdown().await.unwrap();
    background.await.unwrap();
}

#[tokio::test]
async fn an_application_notes_acts_of_its_own() {
    let trail = AuditTrail::new(MemoryAudit::new());
    let mut own = event(0);
    own.action = AuditAction::Revoke;
    own.id = event(999).id;
    trail.note(own.clone());
    trail.note(own.clone());
    trail.flush().await.unwrap();
    let read = trail.events(&AuditFilter::default()).await.unwrap().items;
    assert!(read[0].id > read[1].id && read.iter().all(|event| event.id != own.id), "each has an id of the trail");
    assert!(read.iter().all(|event| (event.at, event.action) == (own.at, own.action)));
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let zero = Duration::ZERO;
    let builder = AuditTrail::builder(MemoryAudit::new()).capacity(0).batch(0).flush_every(zero);
    let error = builder.deadline(zero).shutdown_within(zero).keep_for(zero).build().unwrap_err();
    let settings: Vec<_> = error.problems().iter().map(|problem| problem.setting.as_str()).collect();
    let names = ["flush_every", "batch", "capacity", "deadline", "shutdown_within", "keep_for"];
    assert_eq!(settings, names.map(|name| format!("audit_trail.{name}")));
}

/// Without anybody who writes, memory is bounded all the same, and the log says what is missing.
#[tokio::test]
async fn a_trail_that_nobody_writes_says_so() {
    let (log, _guard) = Log::listen(Level::INFO);
    let trail = AuditTrail::builder(MemoryAudit::new()).capacity(2).build().unwrap();
    for seconds in 0..5 {
        trail.note(event(seconds));
    }
    assert_eq!((trail.waiting(), trail.dropped()), (2, 3));
    assert_eq!(log.lines("spawn ApiKeyLayer::background()").len(), 1);
}
