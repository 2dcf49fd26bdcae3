use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{from_value, json, to_value};

use super::*;
use crate::limit::Subject;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn monthly(since: &str) -> CreditState {
    Credits::new(5).refill(Refill::new(10, RefillInterval::Monthly)).starting(at(since))
}

#[test]
fn credits_without_a_refill_are_used_up_for_good() {
    let now = at("2026-01-01T00:00:00Z");
    let state = Credits::new(2).starting(now);
    let spent = spend(&spend(&state, 1, now).unwrap(), 1, now).unwrap();
    assert_eq!((spent.remaining, spent.spent), (0, 2));
    assert_eq!(spend(&spent, 1, Timestamp::MAX), Err(Exhausted { remaining: 0, refill_at: None }));
    assert_eq!(spend(&spent, 0, now), Ok(spent));
}

#[test]
fn a_monthly_refill_comes_on_the_same_day_or_the_last_of_a_short_month() {
    let mut state = monthly("2026-01-31T09:00:00Z");
    let mut seen = Vec::new();
    for _ in 0..5 {
        let next = state.next_refill(state.refilled_at).unwrap();
        seen.push(next.to_string()[..10].to_owned());
        let just_before = next.saturating_sub(Duration::from_micros(1));
        assert_eq!(state.refilled(just_before), state);
        state = state.refilled(next);
        assert_eq!(state.refilled_at, next);
    }
    assert_eq!(seen, ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31", "2026-06-30"]);
    assert_eq!(
        monthly("2028-01-30T00:00:00Z").refilled(at("2028-03-01T00:00:00Z")).refilled_at,
        at("2028-02-29T00:00:00Z")
    );
}

#[test]
fn a_daily_refill_comes_at_midnight_in_utc() {
    let state = Credits::new(0).refill(Refill::new(10, RefillInterval::Daily)).starting(at("2026-01-14T23:00:00Z"));
    assert_eq!(state.next_refill(at("2026-01-14T23:30:00Z")), Some(at("2026-01-15T00:00:00Z")));
    assert_eq!(spend(&state, 1, at("2026-01-14T23:59:59Z")).unwrap_err().refill_at, Some(at("2026-01-15T00:00:00Z")));
    assert_eq!(spend(&state, 1, at("2026-01-20T12:00:00Z")).unwrap().refilled_at, at("2026-01-20T00:00:00Z"));
}

#[test]
fn a_refill_neither_adds_up_nor_takes_away() {
    let every = RefillInterval::Every(Duration::from_secs(60));
    let start = Timestamp::UNIX_EPOCH;
    let poor = Credits::new(0).refill(Refill::new(10, every)).starting(start);
    let later = poor.refilled(Timestamp::from_unix_seconds(601));
    assert_eq!((later.remaining, later.refilled_at), (10, Timestamp::from_unix_seconds(600)));
    let rich = Credits::new(100).refill(Refill::new(10, every)).starting(start);
    assert_eq!(rich.refilled(Timestamp::from_unix_seconds(61)).remaining, 100);
}

#[test]
fn a_cost_above_the_refill_is_never_promised() {
    let now = at("2026-01-31T09:00:00Z");
    assert_eq!(spend(&monthly("2026-01-31T09:00:00Z"), 11, now).unwrap_err().refill_at, None);
    assert!(spend(&monthly("2026-01-31T09:00:00Z"), 10, now).unwrap_err().refill_at.is_some());
}

#[test]
fn credits_are_written_as_the_api_says_and_read_back() {
    let credits = Credits::new(5).refill(Refill::new(10, RefillInterval::Monthly));
    let written = json!({"remaining": 5, "refill": {"amount": 10, "every": "monthly"}});
    assert_eq!(to_value(credits).unwrap(), written);
    assert_eq!(from_value::<Credits>(written).unwrap(), credits);
    assert_eq!(from_value::<Credits>(json!({"remaining": 5})).unwrap(), Credits::new(5));
    let every = from_value::<RefillInterval>(json!(60)).unwrap();
    assert_eq!(every, RefillInterval::Every(Duration::from_secs(60)));
    assert_eq!(to_value(every).unwrap(), json!(60));
    for wrong in [json!(0), json!(-1), json!("weekly"), json!(null), json!(1.5)] {
        assert!(from_value::<RefillInterval>(wrong.clone()).is_err(), "{wrong}");
    }
    assert!(from_value::<Credits>(json!({"remaining": 5, "balance": 9})).is_err());
}

proptest! {
    #[test]
    fn what_is_refused_is_there_at_the_refill_and_not_before(
        kind in 0..3usize, since in -4_000_000_000_000i64..4_000_000_000_000_000,
        seconds in 1u64..100_000_000, later in 0i64..100_000_000_000_000,
    ) {
        let every = RefillInterval::Every(Duration::from_secs(seconds));
        let every = [every, RefillInterval::Daily, RefillInterval::Monthly];
        let since = Timestamp::from_unix_micros(since);
        let state = Credits::new(0).refill(Refill::new(3, every[kind])).starting(since);
        let now = Timestamp::from_unix_micros(since.unix_micros() + later);
        let (Ok(spent) | Err((spent, _))) = spend(&state, 3, now).map_err(|error| (state.refilled(now), error));
        let refused = spend(&spent, 1, now).unwrap_err();
        let at = refused.refill_at.unwrap();
        prop_assert!(at > now);
        prop_assert!(spend(&spent, 3, at).is_ok());
        prop_assert!(spend(&spent, 1, at.saturating_sub(Duration::from_micros(1))).is_err());
        prop_assert!(spend(&spent, 1, Timestamp::UNIX_EPOCH.saturating_sub(Duration::MAX)).is_err());
    }
}

#[test]
fn no_credit_is_spent_twice_and_a_refusal_spends_none() {
    let book = CreditBook::with_capacity(10);
    let (key, state) = (Subject::key("k"), Credits::new(10_000).starting(Timestamp::UNIX_EPOCH));
    let (spent, reported) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for cost in [1, 2, 3, 7] {
            let (book, spent) = (&book, &spent);
            scope.spawn(move || {
                while book.spend(key, &state, cost, Timestamp::UNIX_EPOCH).is_ok() {
                    spent.fetch_add(cost, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            for round in 0..1_000 {
                for change in book.changes(10) {
                    if round % 2 == 0 {
                        book.failed(&change);
                    } else {
                        reported.fetch_add(change.spent, Ordering::Relaxed);
                        book.stored(&change);
                    }
                }
            }
        });
    });
    for change in book.changes(10) {
        reported.fetch_add(change.spent, Ordering::Relaxed);
    }
    let left = book.balance(key, &state, Timestamp::UNIX_EPOCH).remaining;
    assert_eq!((spent.load(Ordering::Relaxed), left), (10_000, 0));
    assert_eq!(reported.load(Ordering::Relaxed), 10_000, "every credit is reported once, whatever failed");
}

#[test]
fn a_record_that_is_behind_gives_nothing_back_and_a_balance_set_by_hand_counts() {
    let book = CreditBook::with_capacity(10);
    let (key, stale, now) = (Subject::key("k"), Credits::new(3).starting(Timestamp::UNIX_EPOCH), Timestamp::UNIX_EPOCH);
    for left in [2, 1, 0] {
        assert_eq!(book.spend(key, &stale, 1, now).unwrap().remaining, left);
    }
    assert!(matches!(book.spend(key, &stale, 1, now), Err(CreditRefusal::Exhausted(_))));
    let set = CreditState { remaining: 100, generation: 1, ..stale };
    assert_eq!(book.balance(key, &set, now).remaining, 97, "what is not stored yet is spent from the new balance");
    assert_eq!(book.balance(key, &stale, now).remaining, 97);
}

#[test]
fn a_full_book_drops_only_what_is_stored_seen_and_idle() {
    let book = CreditBook::with_capacity(1);
    let (a, b, state) = (Subject::key("a"), Subject::key("b"), Credits::new(3).starting(Timestamp::UNIX_EPOCH));
    let (now, later) = (Timestamp::UNIX_EPOCH, Timestamp::from_unix_seconds(7_200));
    let left = book.spend(a, &state, 1, now).unwrap();
    assert_eq!(book.spend(b, &state, 1, later), Err(CreditRefusal::Full), "not stored");
    let changes = book.changes(10);
    assert_eq!(book.spend(b, &state, 1, later), Err(CreditRefusal::Full), "being stored");
    book.stored(&changes[0]);
    assert_eq!(book.spend(b, &state, 1, later), Err(CreditRefusal::Full), "not seen on a record");
    assert_eq!(book.balance(a, &left, now), left);
    assert_eq!(book.spend(b, &state, 1, now), Err(CreditRefusal::Full), "used lately");
    assert_eq!(book.spend(b, &state, 1, later).unwrap().remaining, 2);
    assert_eq!(book.accounts(), 1);
    assert!(matches!(book.spend(a, &left, 9, later), Err(CreditRefusal::Full)));
}
