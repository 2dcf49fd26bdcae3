//! The script against the limiter in memory, told the same times.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::limit::{Algorithm, Subject};

mod generations;

/// Whether there is a Redis to test with. With `TEST_SERVICES=1`, one that is missing is a failure.
fn services() -> bool {
    std::env::var("TEST_SERVICES").is_ok_and(|on| on == "1")
}

/// Counters that nobody else has.
fn limiter() -> RedisRateLimiter {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let prefix =
        format!("unit-{:016x}-{number}", std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), number));
    let builder = RedisRateLimiter::builder(address()).prefix(prefix).deadline(Duration::from_secs(10));
    builder.build().unwrap()
}

fn address() -> String {
    std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned())
}

/// An instant at which periods of an hour, and of what an hour is a multiple of, begin.
const NOON: i64 = 1_768_413_600_000_000;

fn set_time(redis: &RedisRateLimiter, micros: i64) {
    *redis.0.desk.time.lock().unwrap() = Some(micros);
}

/// Tasks run in the order that they were started in, and Redis is asked when all of them have.
fn one_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn runner(cases: u32) -> proptest::test_runner::TestRunner {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config)
}

fn quotas() -> impl Strategy<Value = Quota> {
    let limit = prop_oneof![6 => 1u32..12, 1 => 1u32..=u32::MAX];
    let period = prop_oneof![6 => 1u64..10_000, 1 => 1u64..=31_622_400_000_000];
    (0..3usize, limit, period, prop::option::of(1u32..20)).prop_map(|(kind, limit, period, burst)| {
        let algorithm = [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::Gcra][kind];
        let quota = Quota::new(limit, Duration::from_micros(period)).algorithm(algorithm);
        let with_burst = burst.filter(|_| algorithm == Algorithm::Gcra).map(|burst| quota.clone().burst(burst));
        with_burst.filter(|quota| quota.validate().is_ok()).unwrap_or(quota)
    })
}

/// Steps of time, and what is charged to whom. Time does not go back: where it does, the limiter in memory may count from
/// the latest instant by which it has forgotten a counter, and Redis has none to forget.
type Call = (i64, bool, Vec<(usize, usize, u32)>);

fn calls(most: usize) -> impl Strategy<Value = Vec<Call>> {
    let step = prop_oneof![4 => 0i64..2_000, 2 => 0i64..10, 1 => 0i64..20_000];
    let cost = prop_oneof![8 => Just(1u32), 3 => 0u32..6, 1 => any::<u32>()];
    let charges = prop::collection::vec((0..2usize, 0..3usize, cost), 1..6);
    prop::collection::vec((step, any::<bool>(), charges), 1..most)
}

fn same(made: &[Quota], calls: &[Call], runtime: &tokio::runtime::Runtime) -> Result<(), TestCaseError> {
    let (redis, memory) = (limiter(), MemoryRateLimiter::with_capacity(1_000));
    let quotas: Vec<_> = made.iter().enumerate().map(|(n, quota)| quota.clone().named(format!("q{n}"))).collect();
    let subjects = [Subject::key("a"), Subject::address([192, 0, 2, 1].into())];
    let mut now = NOON;
    for (step, takes, wanted) in calls {
        now += step;
        set_time(&redis, now);
        let charges: Vec<_> =
            wanted.iter().map(|(s, q, cost)| Charge::new(subjects[*s], &quotas[*q]).cost(*cost)).collect();
        let now = Timestamp::from_unix_micros(now);
        let (theirs, ours) = if *takes {
            (memory.take_now(&charges, Detail::Each, now), runtime.block_on(redis.take(&charges, Detail::Each, now)))
        } else {
            (memory.peek_now(&charges, Detail::Each, now), runtime.block_on(redis.peek(&charges, Detail::Each, now)))
        };
        let (theirs, ours) = (theirs.unwrap(), ours.unwrap());
        prop_assert_eq!(&theirs, &ours, "{:?} at {:?}", charges, now);
    }
    Ok(())
}

#[test]
fn redis_decides_as_memory_does() {
    if !services() {
        return;
    }
    let runtime = one_thread();
    runner(300)
        .run(&(prop::collection::vec(quotas(), 3), calls(40)), |(quotas, calls)| same(&quotas, &calls, &runtime))
        .unwrap();
}

/// More instants than a sliding window tells apart, and pauses after which they are over one by one.
#[test]
fn a_crowded_sliding_window_is_condensed_as_in_memory() {
    if !services() {
        return;
    }
    let runtime = one_thread();
    let quota = Quota::new(10_000, Duration::from_micros(6_301)).algorithm(Algorithm::SlidingWindow);
    let step = prop_oneof![6 => 0i64..60, 2 => 0i64..10];
    let crowd = prop::collection::vec((step, 1u32..9), 200..400);
    let pause = (6_100i64..6_290, prop::collection::vec((0i64..20, 1u32..9), 20));
    let crowds = (crowd.clone(), pause.clone(), crowd, pause);
    runner(10)
        .run(&crowds, |(first, (long, few), second, (longer, last))| {
            let parts = [first, vec![(long, 1)], few, second, vec![(longer, 1)], last].concat();
            let calls: Vec<Call> = parts.into_iter().map(|(step, cost)| (step, true, vec![(0, 0, cost)])).collect();
            same(std::slice::from_ref(&quota), &calls, &runtime)
        })
        .unwrap();
}

/// Steps of time, and what is charged at once then: to whom, under which quota, and how much.
type AtOnce = (i64, Vec<(usize, usize, u32)>);

/// Two limits of one counter, another quota of the same period, and one of another period.
fn related(limits: [u32; 2]) -> [Quota; 4] {
    let [one, other] = limits.map(|limit| Quota::new(limit, Duration::from_micros(5_000)).named("q"));
    [one.clone(), other, one.named("r"), Quota::new(12, Duration::from_micros(7_000)).named("s")]
}

async fn at_once(quotas: [Quota; 4], batches: &[AtOnce]) -> Result<(), TestCaseError> {
    let (redis, memory) = (limiter(), MemoryRateLimiter::with_capacity(1_000));
    let subjects = ["a", "b", "c"].map(Subject::key);
    let mut micros = NOON;
    for (step, wanted) in batches {
        micros += step;
        set_time(&redis, micros);
        let now = Timestamp::from_unix_micros(micros);
        let ask = |(subject, quota, cost): &(usize, usize, u32)| {
            let (redis, subject, quota, cost) = (redis.clone(), subjects[*subject], quotas[*quota].clone(), *cost);
            tokio::spawn(async move { redis.take(&[Charge::new(subject, &quota).cost(cost)], Detail::Each, now).await })
        };
        let tasks: Vec<_> = wanted.iter().map(ask).collect();
        for ((subject, quota, cost), task) in wanted.iter().zip(tasks) {
            let charge = Charge::new(subjects[*subject], &quotas[*quota]).cost(*cost);
            let theirs = memory.take_now(&[charge], Detail::Each, now).unwrap();
            prop_assert_eq!(&theirs, &task.await.unwrap().unwrap(), "{:?} at {:?}", charge, now);
        }
    }
    Ok(())
}

#[test]
fn charges_that_go_out_in_one_call_are_decided_in_the_order_they_came_in() {
    if !services() {
        return;
    }
    let runtime = one_thread();
    let mut runner = runner(200);
    // No cost is above the limit: what can never be met is only looked at, by the other script.
    let charges = prop::collection::vec((0..3usize, 0..4usize, 0..10u32), 1..40);
    // A period on, windows end exactly then.
    let step = prop_oneof![3 => 0i64..4_000, 1 => Just(5_000)];
    let batches = prop::collection::vec((step, charges), 1..8);
    runner
        .run(&((10..30u32, 10..30u32), batches), |((one, other), batches)| {
            runtime.block_on(at_once(related([one, other]), &batches))
        })
        .unwrap();
}

/// More periods than one call has.
#[test]
fn charges_of_many_periods_are_decided_whether_they_come_at_once_or_in_one_request() {
    if !services() {
        return;
    }
    let (redis, subject, now) = (limiter(), Subject::key("a"), Timestamp::from_unix_micros(NOON));
    let quotas: Vec<_> = (1..=40).map(|hours| Quota::new(2, Duration::from_secs(3_600 * hours))).collect();
    one_thread().block_on(async {
        for admitted in [true, false] {
            let ask = |quota: &Quota| {
                let (redis, quota) = (redis.clone(), quota.clone());
                tokio::spawn(async move { redis.take(&[Charge::new(subject, &quota)], Detail::Closest, now).await })
            };
            for task in quotas.iter().map(ask).collect::<Vec<_>>() {
                assert_eq!(task.await.unwrap().unwrap().is_admitted(), admitted);
            }
            let charges: Vec<_> = quotas.iter().map(|quota| Charge::new(subject, quota)).collect();
            let decision = redis.take(&charges, Detail::Closest, now).await.unwrap();
            assert_eq!(decision.is_admitted(), admitted);
        }
    });
}

#[test]
fn a_request_may_have_as_many_charges_as_a_call_has_counters_and_no_more() {
    if !services() {
        return;
    }
    let (redis, now) = (limiter(), Timestamp::from_unix_micros(NOON));
    set_time(&redis, NOON);
    let runtime = one_thread();
    for algorithm in [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::Gcra] {
        let quota = Quota::per_hour(1).algorithm(algorithm);
        let charges: Vec<_> = (0..=1_024).map(|n: u32| Charge::new(Subject::key(&n.to_string()), &quota)).collect();
        runtime.block_on(async {
            assert!(redis.take(&charges[..1_024], Detail::Closest, now).await.unwrap().is_admitted());
            assert!(!redis.take(&charges[1_000..1_024], Detail::Closest, now).await.unwrap().is_admitted());
            let error = redis.take(&charges, Detail::Closest, now).await.unwrap_err();
            assert!(matches!(error, RedisLimiterError::TooManyCharges(1_024)), "{error:?}");
        });
    }
}
