//! One call, however many wait.

use std::error::Error;

use tower_api_key::source::KeySource;

use super::support::*;

#[tokio::test]
async fn a_thousand_who_ask_for_one_cold_key_make_one_call() {
    let source = Fake::slow();
    let one = source.put("one");
    let (cache, _clock) = cache(&source);
    let asked: Vec<_> = (0..1_000).map(|_| ask(&cache, one)).collect();
    source.has_read().await;
    settle().await;
    source.let_pass();
    for asked in asked {
        assert!(asked.await.unwrap().unwrap().is_some());
    }
    assert_eq!(source.calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stampede_on_several_threads_makes_one_call() {
    for round in 0..50 {
        let source = Fake::new();
        let one = source.put(&round.to_string());
        let (cache, _clock) = cache(&source);
        let asked: Vec<_> = (0..1_000).map(|_| ask(&cache, one)).collect();
        for asked in asked {
            assert!(asked.await.unwrap().unwrap().is_some());
        }
        assert_eq!(source.calls(), 1);
    }
}

#[tokio::test]
async fn unlike_keys_do_not_wait_for_each_other() {
    let source = Fake::slow();
    let (one, two) = (source.put("one"), source.put("two"));
    let (cache, _clock) = cache(&source);
    let asked = [ask(&cache, one), ask(&cache, two)];
    source.has_read().await;
    source.has_read().await;
    source.let_pass();
    source.let_pass();
    for asked in asked {
        asked.await.unwrap().unwrap();
    }
    assert_eq!(source.calls(), 2);
}

#[tokio::test]
async fn no_more_digests_are_asked_for_at_once_than_may_be() {
    let source = Fake::slow();
    let (cache, _clock) = cache_with(&source, |builder| builder.max_loads(3));
    let asked: Vec<_> = (0..50).map(|number| ask(&cache, source.put(&number.to_string()))).collect();
    for done in 0..50 {
        settle().await;
        assert_eq!(source.calls(), (done + 3).min(50), "a place that is left is taken");
        source.let_pass();
    }
    for asked in asked {
        assert!(asked.await.unwrap().unwrap().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_turn_counts_against_the_deadline_and_gives_the_turn_back() {
    let source = Fake::slow();
    let (one, two) = (source.put("one"), source.put("two"));
    let (cache, _clock) = cache_with(&source, |builder| builder.max_loads(1));
    let first = ask(&cache, one);
    tokio::time::sleep(seconds(1) / 2).await;
    let started = tokio::time::Instant::now();
    let second = ask(&cache, two);
    assert!(first.await.unwrap().unwrap_err().is_timeout());
    assert!(second.await.unwrap().unwrap_err().is_timeout());
    assert!(started.elapsed() < seconds(1) * 5 / 4, "{:?}", started.elapsed());
    source.let_pass();
    assert!(cache.find(&two).await.unwrap().is_some(), "nobody holds a turn for nothing");
}

#[tokio::test]
async fn if_the_one_who_asks_goes_away_another_takes_over() {
    let source = Fake::slow();
    let one = source.put("one");
    let (cache, _clock) = cache(&source);
    let first = ask(&cache, one);
    source.has_read().await;
    let others: Vec<_> = (0..100).map(|_| ask(&cache, one)).collect();
    settle().await;
    assert_eq!(source.calls(), 1);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    source.has_read().await;
    source.let_pass();
    for other in others {
        assert!(other.await.unwrap().unwrap().is_some());
    }
    assert_eq!(source.calls(), 2, "one of the hundred asked again");
}

#[tokio::test]
async fn an_error_is_told_to_all_who_wait_and_the_next_call_asks_again() {
    let source = Fake::slow();
    let one = source.put("one");
    let (cache, _clock) = cache(&source);
    source.set_away(Some("connection refused"));
    let asked: Vec<_> = (0..10).map(|_| ask(&cache, one)).collect();
    source.has_read().await;
    settle().await;
    source.let_pass();
    for asked in asked {
        let error = asked.await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the source fake failed");
        assert_eq!(error.source().unwrap().to_string(), "connection refused");
    }
    assert_eq!(source.calls(), 1);
    source.set_away(None);
    source.let_pass();
    assert!(cache.find(&one).await.unwrap().is_some(), "it recovers by itself");
    assert_eq!(source.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_does_not_answer_is_given_up() {
    let source = Fake::slow();
    let one = source.put("one");
    let (cache, _clock) = cache(&source);
    let error = tokio::time::timeout(seconds(2), cache.find(&one)).await.expect("it gives up by itself").unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.to_string(), "the source fake did not answer within 1s");
}
