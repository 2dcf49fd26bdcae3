use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::limit::{Algorithm, Detail, MemoryRateLimiter, Quota, RateLimiter, Subject};

/// The fields after `requests` requests at this instant, in one string.
fn fields(headers: &LimitHeaders, quotas: &[Quota], requests: u32, now: Timestamp) -> Vec<String> {
    let limiter = MemoryRateLimiter::with_capacity(100);
    let charges: Vec<_> = quotas.iter().map(|quota| Charge::new(Subject::key("k"), quota)).collect();
    let detail = if headers.lists_each() { Detail::Each } else { Detail::Closest };
    let decision =
        (0..requests).filter_map(|_| limiter.take_now(&charges, detail, now)).reduce(|_, latest| latest).unwrap();
    let mut map = HeaderMap::new();
    headers.apply(&mut map, &charges, &decision, now);
    map.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
}

const SIX: Timestamp = Timestamp::from_unix_micros(1_768_413_600_000_001);

#[test]
fn each_family_is_written_as_its_definition_says() {
    let hourly = [Quota::per_hour(100).named("hourly")];
    assert_eq!(
        fields(&LimitHeaders::new(), &hourly, 58, SIX),
        ["x-ratelimit-limit: 100", "x-ratelimit-remaining: 42", "x-ratelimit-reset: 2026-01-14T19:00:00.001Z"]
    );
    let reset = |format| fields(&LimitHeaders::new().reset(format), &hourly, 1, SIX).swap_remove(2);
    assert_eq!(reset(ResetFormat::EpochSeconds), "x-ratelimit-reset: 1768417201");
    assert_eq!(reset(ResetFormat::DeltaSeconds), "x-ratelimit-reset: 3600");
    let two = [hourly[0].clone(), Quota::per_second(60).algorithm(Algorithm::Gcra).burst(120)];
    assert_eq!(
        fields(&LimitHeaders::none().ietf(true), &two, 58, SIX),
        [
            "ratelimit-policy: \"hourly\";q=100;w=3600, \"per-second\";q=120;w=2",
            "ratelimit: \"hourly\";r=42;t=3600, \"per-second\";r=62;t=1"
        ]
    );
    assert_eq!(fields(&LimitHeaders::none(), &hourly, 58, SIX), [""; 0]);
}

#[test]
fn only_a_refusal_tells_when_to_come_again() {
    let quota = [Quota::new(2, Duration::from_millis(1_500))];
    let headers = LimitHeaders::new().reset(ResetFormat::DeltaSeconds);
    assert_eq!(fields(&headers, &quota, 2, SIX).len(), 3);
    assert_eq!(
        fields(&headers, &quota, 3, SIX),
        ["x-ratelimit-limit: 2", "x-ratelimit-remaining: 0", "x-ratelimit-reset: 2", "retry-after: 2"]
    );
    assert_eq!(fields(&headers.retry_after(false), &quota, 3, SIX).len(), 3);
}

#[test]
fn limits_of_one_name_are_one_item_the_one_that_matters_most() {
    let (wide, narrow) = (Quota::per_hour(100), Quota::per_hour(10));
    let limiter = MemoryRateLimiter::with_capacity(100);
    let charges = [Charge::new(Subject::owner("o"), &wide), Charge::new(Subject::key("k"), &narrow)];
    let decision = limiter.take_now(&charges, Detail::Each, SIX).unwrap();
    let mut map = HeaderMap::new();
    LimitHeaders::none().ietf(true).apply(&mut map, &charges, &decision, SIX);
    assert_eq!(map["ratelimit"], "\"hourly\";r=9;t=3600");
    assert_eq!(map["ratelimit-policy"], "\"hourly\";q=10;w=3600");
}

#[test]
fn a_name_that_is_no_header_value_makes_no_field() {
    let quota = [Quota::per_hour(100).named("a\r\nset-cookie: b")];
    assert_eq!(fields(&LimitHeaders::none().ietf(true), &quota, 1, SIX), [""; 0]);
}

#[test]
fn what_a_handler_has_set_is_neither_overwritten_nor_contradicted() {
    let quota = Quota::per_hour(1);
    let limiter = MemoryRateLimiter::with_capacity(100);
    let charges = [Charge::new(Subject::key("k"), &quota)];
    let _ = limiter.take_now(&charges, Detail::Each, SIX);
    let refused = limiter.take_now(&charges, Detail::Each, SIX).unwrap();
    for (own, absent) in [
        ("x-ratelimit-remaining", "x-ratelimit-limit"),
        ("ratelimit", "ratelimit-policy"),
        ("retry-after", "nothing-else"),
    ] {
        let mut map = HeaderMap::new();
        map.insert(own, HeaderValue::from_static("mine"));
        LimitHeaders::new().ietf(true).apply(&mut map, &charges, &refused, SIX);
        assert_eq!(map[own], "mine");
        assert!(!map.contains_key(absent), "{absent}");
        assert!(map.len() >= 4, "the other families are there: {map:?}");
    }
}

#[test]
fn every_field_that_can_be_sent_is_listed_for_browsers() {
    let names = |headers: LimitHeaders| headers.names().map(|name| name.to_string()).collect::<Vec<_>>();
    let x = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
    assert_eq!(names(LimitHeaders::new()), [&x[..], &["retry-after"]].concat());
    assert_eq!(names(LimitHeaders::none().ietf(true)), ["ratelimit-policy", "ratelimit"]);
    assert_eq!(names(LimitHeaders::none()), [""; 0]);
}

fn number(map: &HeaderMap, name: &str) -> u64 {
    map[name].to_str().unwrap().parse().unwrap()
}

/// The value of a parameter in a list of one item.
fn parameter(map: &HeaderMap, name: &str, key: char) -> u64 {
    let text = map[name].to_str().unwrap();
    let found = text.split(';').find_map(|part| part.strip_prefix(key)?.strip_prefix('='));
    found.unwrap().parse().unwrap()
}

proptest! {
    #[test]
    fn the_fields_never_contradict_one_another(
        limit in 1u32..20, period in 1u64..20_000_000, algorithm in 0..3usize, burst in 1u32..40,
        steps in prop::collection::vec((0i64..4_000_000, 1u32..4), 1..60),
    ) {
        let algorithm = [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::Gcra][algorithm];
        let mut quota = Quota::new(limit, Duration::from_micros(period)).algorithm(algorithm);
        if algorithm == Algorithm::Gcra {
            quota = quota.burst(burst);
        }
        let limiter = MemoryRateLimiter::with_capacity(10);
        let mut now = SIX;
        let mut last: Option<(Timestamp, u64)> = None;
        for (step, cost) in steps {
            now = now.saturating_add(Duration::from_micros(step.unsigned_abs()));
            let charges = [Charge::new(Subject::key("k"), &quota).cost(cost.min(quota.capacity()))];
            let decision = limiter.take_now(&charges, Detail::Each, now).unwrap();
            let apply = |headers: LimitHeaders| {
                let mut map = HeaderMap::new();
                headers.ietf(true).apply(&mut map, &charges, &decision, now);
                map
            };
            let delta = apply(LimitHeaders::new().reset(ResetFormat::DeltaSeconds));
            let epoch = apply(LimitHeaders::new().reset(ResetFormat::EpochSeconds));
            let iso = apply(LimitHeaders::new());
            let reset = number(&delta, "x-ratelimit-reset");
            let remaining = number(&delta, "x-ratelimit-remaining");
            prop_assert!(remaining <= number(&delta, "x-ratelimit-limit"));
            prop_assert_eq!(remaining, parameter(&delta, "ratelimit", 'r'));
            prop_assert_eq!(number(&delta, "x-ratelimit-limit"), parameter(&delta, "ratelimit-policy", 'q'));
            prop_assert_eq!(reset, parameter(&delta, "ratelimit", 't'));
            prop_assert!(reset <= parameter(&delta, "ratelimit-policy", 'w'));
            let at: Timestamp = iso["x-ratelimit-reset"].to_str().unwrap().parse().unwrap();
            let rounded_up = at.saturating_add(Duration::from_micros(999_999)).unix_seconds();
            prop_assert_eq!(rounded_up as u64, number(&epoch, "x-ratelimit-reset"));
            prop_assert!(at.since(now) <= Duration::from_secs(reset) + Duration::from_millis(1));
            prop_assert_eq!(delta.contains_key("retry-after"), !decision.is_admitted());
            if !decision.is_admitted() {
                let wait = number(&delta, "retry-after");
                prop_assert!(wait >= 1 && wait <= reset);
                if algorithm == Algorithm::FixedWindow {
                    prop_assert_eq!(wait, reset);
                }
            }
            if algorithm == Algorithm::FixedWindow {
                if let Some((until, before)) = last && now < until {
                    prop_assert!(remaining <= before, "remaining went up before the reset");
                }
                last = Some((decision.state().unwrap().reset, remaining));
            }
        }
    }
}
