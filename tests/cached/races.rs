//! Invalidations that come while the source is asked.

use tower_api_key::source::cached::Invalidation;
use tower_api_key::source::{KeySource, Lookup};

use super::support::*;

#[tokio::test]
async fn a_revocation_during_a_load_is_what_all_who_wait_see() {
    let source = Fake::slow();
    let one = source.put("one");
    for invalidation in [Invalidation::Key(id("one")), Invalidation::Digest(one), Invalidation::All] {
        let (cache, _clock) = cache(&source);
        source.put("one");
        let asked = [ask(&cache, one), ask(&cache, one)];
        source.has_read().await; // a good record, on its way
        source.revoke("one");
        cache.apply(invalidation);
        let later = ask(&cache, one);
        settle().await;
        source.let_pass();
        source.has_read().await; // asked again
        assert!(matches!(cache.find_now(&one), Lookup::Ask), "the first answer has not been kept");
        source.let_pass();
        for asked in asked.into_iter().chain([later]) {
            assert!(is_revoked(&asked.await.unwrap()));
        }
        assert!(matches!(cache.find_now(&one), Lookup::Found(key) if key.revoked_at.is_some()));
    }
    assert_eq!(source.calls(), 6);
}

#[tokio::test]
async fn an_invalidation_of_another_key_repeats_nothing() {
    let source = Fake::slow();
    let one = source.put("one");
    let (cache, _clock) = cache(&source);
    let asked = ask(&cache, one);
    source.has_read().await;
    cache.invalidate(&id("two"));
    cache.invalidate_digest(&digest("two"));
    cache.invalidate_absent();
    source.let_pass();
    assert!(asked.await.unwrap().unwrap().is_some());
    assert_eq!(source.calls(), 1);
}

#[tokio::test]
async fn a_load_that_is_overtaken_twice_is_an_error_and_the_next_call_asks_again() {
    let source = Fake::slow();
    let one = source.put("one");
    let (cache, _clock) = cache(&source);
    let asked = [ask(&cache, one), ask(&cache, one)];
    for _ in 0..2 {
        source.has_read().await;
        cache.invalidate(&id("one"));
        source.let_pass();
    }
    for asked in asked {
        assert!(asked.await.unwrap().unwrap_err().is_overtaken());
    }
    assert!(matches!(cache.find_now(&one), Lookup::Ask));
    source.let_pass();
    assert!(cache.find(&one).await.unwrap().is_some());
    assert_eq!(source.calls(), 3);
}

#[tokio::test]
async fn a_key_that_is_made_during_a_load_is_found() {
    let source = Fake::slow();
    let one = digest("one");
    for invalidation in [Invalidation::Key(id("one")), Invalidation::Digest(one), Invalidation::Absent] {
        let source = source.clone();
        let (cache, _clock) = cache(&source);
        source.remove(&one);
        let asked = ask(&cache, one);
        source.has_read().await; // no such key
        source.put("one");
        cache.apply(invalidation);
        source.let_pass();
        source.has_read().await;
        source.let_pass();
        assert!(asked.await.unwrap().unwrap().is_some());
        assert!(matches!(cache.find_now(&one), Lookup::Found(_)));
    }
}

/// The one who waits has been woken, but has not run when the invalidation comes.
#[tokio::test]
async fn a_revocation_after_a_load_reaches_those_who_still_wait() {
    let source = Fake::slow();
    let one = source.put("one");
    let (cache, _clock) = cache(&source);
    let mut first = tokio_test::task::spawn(cache.find(&one));
    let mut second = tokio_test::task::spawn(cache.find(&one));
    assert!(first.poll().is_pending());
    assert!(second.poll().is_pending());
    source.let_pass();
    assert!(first.poll().is_ready());
    source.revoke("one");
    cache.invalidate(&id("one"));
    source.let_pass();
    let std::task::Poll::Ready(found) = second.poll() else { panic!("the source has answered") };
    assert!(is_revoked(&found));
    assert_eq!(source.calls(), 2);
}
