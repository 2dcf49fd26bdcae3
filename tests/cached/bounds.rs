//! How long and how much.

use tower_api_key::source::{Cached, KeySource, Lookup};

use super::support::*;

#[tokio::test]
async fn a_record_is_used_for_its_time_and_then_asked_for_again() {
    let source = Fake::new();
    let one = source.put("one");
    let (cache, clock) = cache(&source);
    assert!(matches!(cache.find_now(&one), Lookup::Ask));
    assert!(cache.find(&one).await.unwrap().is_some());
    clock.advance(seconds(60) - std::time::Duration::from_micros(1));
    assert!(matches!(cache.find_now(&one), Lookup::Found(key) if key.id == id("one")));
    clock.advance(std::time::Duration::from_micros(1));
    assert!(matches!(cache.find_now(&one), Lookup::Ask));
    source.revoke("one");
    assert!(is_revoked(&cache.find(&one).await));
    assert_eq!(source.calls(), 2);
    assert_eq!(cache.len(), 1, "the old record has been replaced");
}

#[tokio::test]
async fn the_time_of_a_record_counts_from_the_question() {
    let source = Fake::slow();
    let one = source.put("one");
    let (cache, clock) = cache(&source);
    let asked = ask(&cache, one);
    source.has_read().await;
    clock.advance(seconds(59));
    source.let_pass();
    asked.await.unwrap().unwrap();
    assert!(matches!(cache.find_now(&one), Lookup::Found(_)));
    clock.advance(seconds(1));
    assert!(matches!(cache.find_now(&one), Lookup::Ask), "what it says was read a minute ago");
}

#[tokio::test]
async fn an_absence_is_believed_for_its_own_time() {
    let source = Fake::new();
    let (cache, clock) = cache(&source);
    assert!(cache.find(&digest("new")).await.unwrap().is_none());
    clock.advance(seconds(9));
    assert!(matches!(cache.find_now(&digest("new")), Lookup::Absent));
    source.put("new");
    clock.advance(seconds(1));
    assert!(matches!(cache.find_now(&digest("new")), Lookup::Ask));
    assert!(cache.find(&digest("new")).await.unwrap().is_some());
    assert_eq!((cache.len(), cache.negative_len()), (1, 0));
}

#[tokio::test]
async fn a_flood_of_made_up_keys_evicts_no_real_one_and_stays_within_its_bounds() {
    let source = Fake::new();
    let (cache, _clock) = cache_with(&source, |builder| builder.capacity(1_000).negative_capacity(2_000));
    let real: Vec<_> = (0..500).map(|number| source.put(&format!("real{number}"))).collect();
    for digest in &real {
        cache.find(digest).await.unwrap();
    }
    for number in 0..100_000 {
        let made_up = digest(&format!("made-up{number}"));
        assert!(matches!(cache.find_now(&made_up), Lookup::Ask));
        assert!(cache.find(&made_up).await.unwrap().is_none());
        assert!(matches!(cache.find_now(&made_up), Lookup::Absent), "no second call for it");
    }
    assert_eq!(source.calls(), 100_500);
    assert!(real.iter().all(|digest| matches!(cache.find_now(digest), Lookup::Found(_))));
    assert_eq!(source.calls(), 100_500, "real keys are not asked for again");
    assert!((1_000..2_100).contains(&cache.negative_len()), "{}", cache.negative_len());
}

#[tokio::test]
async fn records_stay_within_their_bounds() {
    let source = Fake::new();
    let (cache, _clock) = cache_with(&source, |builder| builder.capacity(1));
    for number in 0..100 {
        let one = source.put(&number.to_string());
        assert!(cache.find(&one).await.unwrap().is_some());
    }
    assert_eq!(cache.len(), 1);
}

#[tokio::test]
async fn a_record_of_another_digest_is_not_kept() {
    let source = Fake::new();
    let (cache, _clock) = cache(&source);
    let mut foreign = record("foreign");
    let asked = source.put_record(foreign.clone());
    foreign.digest = digest("other");
    source.put_under(asked, foreign);
    assert!(cache.find(&asked).await.unwrap().is_some_and(|key| key.digest != asked), "for the gate to refuse");
    assert!(matches!(cache.find_now(&asked), Lookup::Ask));
    assert_eq!(cache.len(), 0);
}

#[test]
fn every_setting_that_makes_no_sense_is_named() {
    let zero = seconds(0);
    let error = Cached::builder(Fake::new())
        .capacity(0)
        .negative_capacity(usize::MAX)
        .ttl(zero)
        .negative_ttl(zero)
        .stale_on_error(zero)
        .deadline(zero)
        .max_loads(0)
        .build()
        .unwrap_err();
    let settings: Vec<_> = error.problems().iter().map(|problem| problem.setting.as_str()).collect();
    let expected = ["capacity", "negative_capacity", "max_loads", "ttl", "negative_ttl", "stale_on_error", "deadline"];
    assert_eq!(settings, expected);
    let cache = Cached::new(Fake::new());
    assert_eq!((cache.name(), cache.schemes().len()), ("fake", 1));
    assert_eq!(format!("{cache:?}"), r#"Cached { source: "fake", len: 0, negative_len: 0, .. }"#);
}
