//! Counting, flushing, failing and ending.

use std::time::Duration;

use http::StatusCode;
use tower_api_key::ApiKeyLayer;
use tower_api_key::clock::Clock;
use tower_api_key::key::KeyFormat;
use tower_api_key::source::{EnvKeys, KeySource, KeyStore, MemoryKeys, NewKey};
use tower_api_key::testing::TestClock;
use tower_api_key::usage::Usage;
use tracing::Level;

use crate::support::{Fault, Log, Moody, call, call_from, one_key, until, uses};

#[tokio::test]
async fn uses_are_noted_and_written_with_the_flush() {
    let (keys, issued, key) = one_key().await;
    let clock = TestClock::default();
    let auth = ApiKeyLayer::builder(keys.clone()).clock(clock.clone()).usage(Usage::new(keys.clone())).build().unwrap();
    for address in ["192.0.2.1", "2001:db8::1", "192.0.2.2"] {
        clock.advance(Duration::from_secs(1));
        assert_eq!(call_from(&auth, &key, address).await, StatusCode::OK);
    }
    let last = clock.now();
    assert_eq!(uses(&keys, &issued.record.id).await, 0, "no request writes to the store");
    for _ in 0..2 {
        auth.flush().await.unwrap();
        let record = keys.get(&issued.record.id).await.unwrap().unwrap();
        let ip = Some("192.0.2.2".parse().unwrap());
        assert_eq!((record.use_count, record.last_used_at, record.last_used_ip), (3, Some(last), ip));
        assert_eq!(record.version, 0);
    }
}

#[tokio::test]
async fn a_refused_request_is_no_use_of_a_key() {
    let (keys, issued, key) = one_key().await;
    let auth = ApiKeyLayer::builder(keys.clone()).usage(Usage::new(keys.clone())).build().unwrap();
    let _ = keys.set_enabled(&issued.record.id, false).await.unwrap();
    assert_eq!(call(&auth, &key).await, StatusCode::UNAUTHORIZED);
    assert_eq!(call(&auth, "ak_live_made_up").await, StatusCode::UNAUTHORIZED);
    auth.flush().await.unwrap();
    let record = keys.get(&issued.record.id).await.unwrap().unwrap();
    assert_eq!((record.use_count, record.last_used_at), (0, None));
}

#[tokio::test]
async fn keys_of_other_sources_in_the_chain_are_passed_over() {
    let (keys, issued, key) = one_key().await;
    let admin = "an-admin-key-of-at-least-32-characters";
    let chain = EnvKeys::from_value("ADMIN_API_KEY", admin).unwrap().or(keys.clone());
    let auth = ApiKeyLayer::builder(chain).usage(Usage::new(keys.clone())).build().unwrap();
    for key in [admin, &key] {
        assert_eq!(call(&auth, key).await, StatusCode::OK);
    }
    auth.flush().await.unwrap();
    assert_eq!((uses(&keys, &issued.record.id).await, keys.len()), (1, 1));
}

#[tokio::test]
async fn what_the_store_refuses_is_kept_and_counted_once() {
    let store = Moody::new(MemoryKeys::builder().format(KeyFormat::default()).build(), Fault::After(1));
    let mut issued = Vec::new();
    for number in 0..5 {
        issued.push(store.issue(NewKey::named(number.to_string())).await.unwrap());
    }
    let auth = ApiKeyLayer::builder(store.clone()).usage(Usage::new(store.clone()).batch(2)).build().unwrap();
    let call_all = async || {
        for key in &issued {
            assert_eq!(call(&auth, key.secret.expose_secret()).await, StatusCode::OK);
        }
    };
    call_all().await;
    let error = auth.flush().await.unwrap_err();
    assert_eq!((error.kept(), error.in_doubt()), (3, 0));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "moody could not record usage");
    call_all().await;
    assert_eq!(auth.flush().await.unwrap_err().kept(), 8);
    store.set(Fault::None);
    auth.flush().await.unwrap();
    for key in &issued {
        assert_eq!(uses(&store, &key.record.id).await, 2);
    }
    assert!(store.batches.lock().unwrap().iter().all(|keys| *keys <= 2));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_gets_no_answer_is_not_handed_over_again() {
    let (keys, issued, key) = one_key().await;
    let store = Moody::new(keys, Fault::Silent);
    let usage = Usage::new(store.clone()).deadline(Duration::from_secs(3));
    let auth = ApiKeyLayer::builder(store.clone()).usage(usage).build().unwrap();
    call(&auth, &key).await;
    let error = auth.flush().await.unwrap_err();
    assert_eq!((error.kept(), error.in_doubt()), (0, 1));
    store.set(Fault::None);
    auth.flush().await.unwrap();
    assert_eq!(uses(&store, &issued.record.id).await, 1, "it was written the first time");
}

#[tokio::test(start_paused = true)]
async fn the_background_writes_at_intervals_until_the_end() {
    let (keys, issued, key) = one_key().await;
    let auth = ApiKeyLayer::builder(keys.clone()).usage(Usage::new(keys.clone())).build().unwrap();
    let background = tokio::spawn(auth.background());
    for count in 1..4 {
        call(&auth, &key).await;
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!(uses(&keys, &issued.record.id).await, count - 1, "not before the interval is over");
        tokio::time::sleep(Duration::from_secs(1)).await;
        until(async || uses(&keys, &issued.record.id).await == count).await;
        // Back to the beginning of an interval.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    call(&auth, &key).await;
    auth.shutdown().await.unwrap();
    assert_eq!(uses(&keys, &issued.record.id).await, 4);
    background.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_ever_and_says_what_is_not_written() {
    let (keys, _, key) = one_key().await;
    let store = Moody::new(keys, Fault::Silent);
    let auth = ApiKeyLayer::builder(store.clone()).usage(Usage::new(store.clone())).build().unwrap();
    let background = tokio::spawn(auth.background());
    call(&auth, &key).await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    call(&auth, &key).await;
    // One use is with the store, which does not answer, and one is in the book.
    let begun = tokio::time::Instant::now();
    let error = auth.shutdown().await.unwrap_err();
    assert!(begun.elapsed() <= Duration::from_secs(6), "{:?}", begun.elapsed());
    let uses = error.usage().unwrap();
    assert_eq!((uses.kept(), uses.in_doubt()), (1, 1));
    assert_eq!(error.to_string(), "1 uses of keys are not written, and of 1 it is not known");
    background.abort();
    let alone = Moody::new(one_key().await.0, Fault::After(0));
    let nothing = ApiKeyLayer::builder(alone.clone()).usage(Usage::new(alone)).build().unwrap();
    nothing.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_book_that_fills_up_is_written_before_its_time() {
    let keys = MemoryKeys::new();
    let usage = Usage::new(keys.clone()).capacity(8).flush_every(Duration::from_secs(3_600));
    let auth = ApiKeyLayer::builder(keys.clone()).usage(usage).build().unwrap();
    tokio::spawn(auth.background());
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    call(&auth, issued.secret.expose_secret()).await;
    until(async || uses(&keys, &issued.record.id).await == 1).await;
}

#[tokio::test]
async fn without_a_background_the_book_stays_bounded_and_the_log_says_so_once() {
    let (log, _listening) = Log::listen(Level::INFO);
    let (keys, _, key) = one_key().await;
    let clock = TestClock::default();
    let auth = ApiKeyLayer::builder(keys.clone()).clock(clock.clone()).usage(Usage::new(keys.clone())).build().unwrap();
    call(&auth, &key).await;
    assert!(log.new_lines("background").is_empty());
    for _ in 0..10 {
        clock.advance(Duration::from_secs(60));
        call(&auth, &key).await;
    }
    assert_eq!(log.new_lines("spawn ApiKeyLayer::background()").len(), 1);

    let small = Usage::new(keys.clone()).capacity(1);
    let auth = ApiKeyLayer::builder(keys.clone()).usage(small).build().unwrap();
    let others = [keys.issue(NewKey::named("2")).await.unwrap(), keys.issue(NewKey::named("3")).await.unwrap()];
    for key in [&key, others[0].secret.expose_secret(), others[1].secret.expose_secret()] {
        assert_eq!(call(&auth, key).await, StatusCode::OK);
    }
    auth.flush().await.unwrap();
    let lines = log.new_lines("the book was full");
    assert!(lines.len() == 1 && lines[0].contains("uses=2"), "{lines:?}");
}

#[test]
fn settings_that_make_no_sense_are_all_named() {
    let keys = MemoryKeys::new();
    let usage = Usage::new(keys.clone()).flush_every(Duration::ZERO).batch(0).capacity(0).deadline(Duration::ZERO);
    let error = ApiKeyLayer::builder(keys).usage(usage.shutdown_within(Duration::ZERO)).build().unwrap_err();
    let names: Vec<_> = error.problems().iter().map(|problem| problem.setting.as_str()).collect();
    assert_eq!(
        names,
        ["flush_every", "batch", "capacity", "deadline", "shutdown_within"].map(|name| format!("usage.{name}"))
    );
}

#[tokio::test]
async fn a_layer_without_usage_has_nothing_to_do_in_the_background() {
    let (keys, ..) = one_key().await;
    let auth = ApiKeyLayer::new(keys);
    auth.background().await;
    auth.flush().await.unwrap();
    auth.shutdown().await.unwrap();
}
