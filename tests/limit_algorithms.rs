//! Each algorithm against a plain model of it: a list of all that was admitted, gone through anew for every decision.

use std::time::Duration;

use proptest::prelude::*;
use tower_api_key::clock::Timestamp;
use tower_api_key::limit::{Algorithm, Charge, Decision, Detail, MemoryRateLimiter, Quota, RateLimiter, Subject};

/// What was admitted, and when, in microseconds.
#[derive(Default, Clone)]
struct History(Vec<(i64, u64)>);

/// How many permits are left at `now`, in parts of which a permit has as many as the period has microseconds.
type Left = fn(&History, &Quota, i64) -> i128;

fn period(quota: &Quota) -> i64 {
    i64::try_from(quota.period().as_micros()).unwrap()
}

fn whole(quota: &Quota, used: u64) -> i128 {
    (i128::from(quota.capacity()) - i128::from(used)) * i128::from(period(quota))
}

fn fixed_window(history: &History, quota: &Quota, now: i64) -> i128 {
    let (mut end, mut used) = (i64::MIN, 0);
    for (at, cost) in &history.0 {
        if *at >= end {
            (end, used) = (at + period(quota), 0);
        }
        used += cost;
    }
    whole(quota, if now < end { used } else { 0 })
}

fn sliding_window(history: &History, quota: &Quota, now: i64) -> i128 {
    let now = history.0.iter().map(|(at, _)| *at).max().map_or(now, |latest| latest.max(now));
    let recent = history.0.iter().filter(|(at, _)| at + period(quota) > now);
    whole(quota, recent.map(|(_, cost)| cost).sum())
}

fn gcra(history: &History, quota: &Quota, now: i64) -> i128 {
    let (mut missing, mut last) = (0i128, i64::MIN);
    let back = |missing: i128, since: i64, until: i64| {
        (missing - (i128::from(until) - i128::from(since)) * i128::from(quota.limit())).max(0)
    };
    for (at, cost) in &history.0 {
        missing = back(missing, last, *at) + i128::from(*cost) * i128::from(period(quota));
        last = *at;
    }
    whole(quota, 0) - back(missing, last, now)
}

/// Whether a charge of `cost` is admitted, and how many permits are left.
fn verdict(left: Left, history: &History, quota: &Quota, cost: u64, now: i64) -> bool {
    left(history, quota, now) >= i128::from(cost) * i128::from(period(quota))
}

fn remaining(left: Left, history: &History, quota: &Quota, now: i64) -> u32 {
    u32::try_from(left(history, quota, now).max(0) / i128::from(period(quota))).unwrap()
}

/// Whether fixed windows, wherever they begin, can have admitted this: `n` periods touch at most `n + 1` windows.
fn fits_in_windows(history: &History, quota: &Quota, now: i64) -> bool {
    (1..10).all(|periods| {
        let recent = history.0.iter().filter(|(at, _)| *at > now - periods * period(quota));
        recent.map(|(_, cost)| i64::try_from(*cost).unwrap()).sum::<i64>() <= (periods + 1) * i64::from(quota.limit())
    })
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(micros)
}

fn take(limiter: &MemoryRateLimiter, charges: &[Charge<'_>], now: i64) -> Decision {
    limiter.take_now(charges, Detail::Each, at(now)).expect("memory answers at once")
}

fn peek(limiter: &MemoryRateLimiter, charges: &[Charge<'_>], now: i64) -> Decision {
    limiter.peek_now(charges, Detail::Each, at(now)).expect("memory answers at once")
}

const MODELS: [(Algorithm, Left); 3] =
    [(Algorithm::FixedWindow, fixed_window), (Algorithm::SlidingWindow, sliding_window), (Algorithm::Gcra, gcra)];

/// The quotas under names of their own.
fn named(made: &[(Quota, Left)]) -> Vec<Quota> {
    made.iter().enumerate().map(|(n, (quota, _))| quota.clone().named(format!("q{n}"))).collect()
}

/// Steps of time that often are a whole period or next to it, and sometimes go back.
fn steps() -> impl Strategy<Value = Vec<(i64, u32)>> {
    let step = prop_oneof![4 => 0i64..2_000, 2 => 0i64..10, 1 => -20i64..0, 1 => 0i64..20_000];
    prop::collection::vec((step, prop_oneof![8 => Just(1u32), 3 => 0u32..6]), 1..60)
}

fn quotas() -> impl Strategy<Value = (Quota, Left)> {
    (0..3usize, 1u32..12, 1u64..10_000, prop::option::of(1u32..20)).prop_map(|(kind, limit, period, burst)| {
        let (algorithm, left) = MODELS[kind];
        let quota = Quota::new(limit, Duration::from_micros(period)).algorithm(algorithm);
        match (algorithm, burst) {
            (Algorithm::Gcra, Some(burst)) => (quota.burst(burst), left),
            _ => (quota, left),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_decision_is_the_models((quota, left) in quotas(), steps in steps()) {
        let limiter = MemoryRateLimiter::with_capacity(10);
        let mut history = History::default();
        let mut now = 1_000_000;
        for (step, cost) in steps {
            now += step;
            let charges = [Charge::new(Subject::key("k"), &quota).cost(cost)];
            let admitted = cost == 0 || verdict(left, &history, &quota, u64::from(cost), now);
            prop_assert_eq!(peek(&limiter, &charges, now).is_admitted(), admitted);
            let decision = take(&limiter, &charges, now);
            prop_assert_eq!(decision.is_admitted(), admitted);
            if admitted && cost > 0 {
                // A sliding window takes an earlier instant for the latest one.
                let latest = history.0.iter().map(|(at, _)| *at).max().unwrap_or(now);
                let counted = if quota.counting() == Algorithm::SlidingWindow { latest.max(now) } else { now };
                history.0.push((counted, u64::from(cost)));
            }
            prop_assert_eq!(decision.state().unwrap().remaining, remaining(left, &history, &quota, now));
        }
    }

    #[test]
    fn who_waits_as_told_is_admitted_and_no_sooner((quota, left) in quotas(), steps in steps()) {
        let limiter = MemoryRateLimiter::with_capacity(10);
        let mut now = 1_000_000;
        let _ = left;
        for (step, cost) in steps {
            now += step;
            let charges = [Charge::new(Subject::key("k"), &quota).cost(cost.min(quota.capacity()))];
            let decision = take(&limiter, &charges, now);
            if let Some(wait) = decision.retry_after() {
                let micros = i64::try_from(wait.as_micros()).unwrap();
                let seconds = i64::try_from(decision.retry_after_seconds().unwrap()).unwrap();
                prop_assert!(peek(&limiter, &charges, now + micros).is_admitted());
                prop_assert!(!peek(&limiter, &charges, now + micros - 1).is_admitted());
                prop_assert!(seconds >= 1 && seconds * 1_000_000 >= micros);
                prop_assert!(peek(&limiter, &charges, now + seconds * 1_000_000).is_admitted());
            }
            // When it says that all is back, all is back.
            let reset = decision.state().unwrap().reset.unix_micros().max(now);
            prop_assert_eq!(peek(&limiter, &charges, reset).state().unwrap().remaining, quota.capacity());
        }
    }

    #[test]
    fn several_charges_are_taken_together_or_not_at_all(
        made in prop::collection::vec(quotas(), 3),
        calls in {
            let charge = (0..3usize, 0..3usize, 1u32..4);
            prop::collection::vec((0i64..500, prop::collection::vec(charge, 0..10)), 1..40)
        },
    ) {
        let limiter = MemoryRateLimiter::with_capacity(100);
        let quotas = named(&made);
        let subjects = [Subject::key("a"), Subject::owner("b"), Subject::address([192, 0, 2, 1].into())];
        let mut histories = vec![History::default(); 9];
        let mut now = 1_000_000;
        for (step, wanted) in calls {
            now += step;
            let charges: Vec<_> =
                wanted.iter().map(|(s, q, cost)| Charge::new(subjects[*s], &quotas[*q]).cost(*cost)).collect();
            let before = histories.clone();
            let mut admitted = true;
            for (s, q, cost) in &wanted {
                let history = &mut histories[s * 3 + q];
                admitted &= verdict(made[*q].1, history, &quotas[*q], u64::from(*cost), now);
                history.0.push((now, u64::from(*cost)));
            }
            if !admitted {
                histories = before;
            }
            let decision = take(&limiter, &charges, now);
            prop_assert_eq!(decision.is_admitted(), admitted);
            for (index, state) in decision.each().into_iter().flatten().enumerate() {
                let (s, q, _) = wanted[index];
                prop_assert_eq!(state.remaining, remaining(made[q].1, &histories[s * 3 + q], &quotas[q], now));
            }
        }
    }

    /// However little room there is, and so however many have to share counters.
    #[test]
    fn a_crowd_never_gets_anyone_more_than_the_quota(
        made in prop::collection::vec(quotas(), 2), room in 1usize..12,
        calls in prop::collection::vec((0i64..300, 0u32..40, 0..2usize, 1u32..4), 1..200),
    ) {
        let limiter = MemoryRateLimiter::with_capacity(room);
        let quotas = named(&made);
        let mut histories = vec![History::default(); 80];
        let mut now = 1_000_000;
        for (step, who, q, cost) in calls {
            now += step;
            let subject = Subject::address(who.to_be_bytes().into());
            let history = &mut histories[who as usize * 2 + q];
            if take(&limiter, &[Charge::new(subject, &quotas[q]).cost(cost)], now).is_admitted() {
                let within = verdict(made[q].1, history, &quotas[q], u64::from(cost), now);
                history.0.push((now, u64::from(cost)));
                // A shared window may have begun before the newcomer's first request, but it is a window still.
                let fixed = quotas[q].counting() == Algorithm::FixedWindow;
                let allowed = if fixed { fits_in_windows(history, &quotas[q], now) } else { within };
                prop_assert!(allowed);
            }
            prop_assert!(limiter.entries() <= limiter.max_entries());
        }
    }

    /// With more instants than a sliding window tells apart.
    #[test]
    fn a_sliding_window_is_late_by_less_than_a_63rd_and_never_early(
        limit in 60u32..2_000, steps in prop::collection::vec((0i64..60, 1u32..9), 100..600),
    ) {
        let quota = Quota::new(limit, Duration::from_micros(6_300)).algorithm(Algorithm::SlidingWindow);
        let limiter = MemoryRateLimiter::with_capacity(10);
        let mut history = History::default();
        let mut now = 0;
        for (step, cost) in steps {
            now += step;
            let charges = [Charge::new(Subject::key("k"), &quota).cost(cost)];
            if take(&limiter, &charges, now).is_admitted() {
                prop_assert!(verdict(sliding_window, &history, &quota, u64::from(cost), now));
                history.0.push((now, u64::from(cost)));
            } else {
                let used: u64 = history.0.iter().filter(|(at, _)| at + 6_300 + 100 > now).map(|(_, cost)| cost).sum();
                prop_assert!(used + u64::from(cost) > u64::from(limit));
            }
        }
    }
}
