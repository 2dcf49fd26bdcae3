//! A source that is away.

use tower_api_key::source::{KeySource, Lookup};

use super::support::*;

#[tokio::test]
async fn cached_keys_work_within_their_bound_while_the_source_is_away_and_others_get_an_error() {
    let source = Fake::new();
    let (one, two) = (source.put("one"), source.put("two"));
    let (cache, clock) = cache(&source);
    cache.find(&one).await.unwrap();
    source.set_away(Some("gone"));
    clock.advance(seconds(59));
    assert!(matches!(cache.find_now(&one), Lookup::Found(_)));
    assert!(cache.find(&two).await.is_err());
    clock.advance(seconds(1));
    assert!(cache.find(&one).await.is_err(), "stale records are used only when that was asked for");
    source.set_away(None);
    assert!(cache.find(&one).await.unwrap().is_some());
    assert!(cache.find(&two).await.unwrap().is_some());
}

#[tokio::test]
async fn a_record_past_its_time_is_used_only_while_the_source_errs_and_only_for_so_long() {
    let source = Fake::new();
    let one = source.put("one");
    let (cache, clock) = cache_with(&source, |builder| builder.stale_on_error(seconds(300)));
    cache.find(&one).await.unwrap();
    clock.advance(seconds(60));
    source.set_away(Some("gone"));
    assert!(matches!(cache.find_now(&one), Lookup::Ask), "the source is asked first");
    assert!(cache.find(&one).await.unwrap().is_some());
    assert!(matches!(cache.find_now(&one), Lookup::Found(_)), "and then left alone for a second");
    clock.advance(seconds(1));
    assert!(matches!(cache.find_now(&one), Lookup::Ask));
    assert_eq!(source.calls(), 2);
    clock.advance(seconds(298) + std::time::Duration::from_millis(500));
    assert!(cache.find(&one).await.unwrap().is_some(), "359.5 s after it was read");
    clock.advance(std::time::Duration::from_millis(500));
    assert!(matches!(cache.find_now(&one), Lookup::Ask), "the second ends with the bound");
    assert!(cache.find(&one).await.is_err(), "360 s after it was read");
    source.set_away(None);
    source.revoke("one");
    assert!(is_revoked(&cache.find(&one).await));
}

#[tokio::test]
async fn no_record_is_used_past_an_invalidation_that_was_heard() {
    let source = Fake::slow();
    let one = source.put("one");
    let (cache, clock) = cache_with(&source, |builder| builder.stale_on_error(seconds(300)));
    source.let_pass();
    cache.find(&one).await.unwrap();
    source.has_read().await;
    clock.advance(seconds(61));
    source.set_away(Some("gone"));
    let asked = ask(&cache, one);
    source.has_read().await;
    cache.invalidate(&id("one"));
    source.let_pass();
    assert!(asked.await.unwrap().is_err(), "revoked while the source was failing");
    source.let_pass();
    assert!(cache.find(&one).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_a_source_that_errs() {
    let source = Fake::slow();
    let one = source.put("one");
    let (cache, clock) = cache_with(&source, |builder| builder.stale_on_error(seconds(300)));
    source.let_pass();
    cache.find(&one).await.unwrap();
    clock.advance(seconds(61));
    assert!(cache.find(&one).await.unwrap().is_some());
}
