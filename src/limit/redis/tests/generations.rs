//! Counters when the generation of their hashes turns.

use std::collections::HashMap;

use super::*;
use crate::limit::Verdict;
use crate::limit::counter::{Counter, Rule};

const PERIOD: i64 = 1_000_000;

/// A limiter, and what it is asked from.
struct Scene {
    redis: RedisRateLimiter,
    runtime: tokio::runtime::Runtime,
    quota: Quota,
}

impl Scene {
    fn new() -> Self {
        let quota = Quota::new(3, Duration::from_micros(PERIOD.unsigned_abs()));
        Self { redis: limiter(), runtime: one_thread(), quota }
    }

    fn take(&self, subject: &str, micros: i64) -> Decision {
        self.take_all(&[Charge::new(Subject::key(subject), &self.quota)], micros)
    }

    fn take_all(&self, charges: &[Charge<'_>], micros: i64) -> Decision {
        set_time(&self.redis, micros);
        let now = Timestamp::from_unix_micros(micros);
        self.runtime.block_on(self.redis.take(charges, Detail::Each, now)).unwrap()
    }

    /// How many of ten are admitted.
    fn admitted(&self, subject: &str, micros: i64) -> usize {
        (0..10).filter(|_| self.take(subject, micros).is_admitted()).count()
    }

    /// How long each hash of the limiter is kept, in milliseconds.
    fn kept(&self) -> Vec<i64> {
        let mut connection = redis::Client::open(address()).unwrap().get_connection().unwrap();
        let pattern = format!("{{{}}}*", self.redis.0.desk.prefix);
        let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg(pattern).query(&mut connection).unwrap();
        let kept = |key| redis::cmd("PTTL").arg(key).query(&mut connection).unwrap();
        keys.into_iter().map(kept).collect()
    }
}

fn end_of(decision: &Decision) -> i64 {
    decision.each().unwrap()[0].reset.unix_micros()
}

#[test]
fn a_window_that_spans_a_turn_keeps_its_count_and_ends_when_it_would() {
    if !services() {
        return;
    }
    let day = Quota::per_day(1_000);
    for after in [0, 1, 900_000, PERIOD - 1] {
        let scene = Scene::new();
        let (begun, end) = (NOON + after, NOON + after + PERIOD);
        // The last microsecond, for the window that ends with the generation it begins in.
        let turn = (NOON + PERIOD).min(end - 1);
        let both = [Charge::new(Subject::key("a"), &scene.quota), Charge::new(Subject::key("a"), &day)];
        assert!(scene.take("a", begun).is_admitted());
        // Each script counts on what the other one has counted, on both sides of the turn.
        assert!(scene.take_all(&both, turn - 1).is_admitted(), "{after} before the turn");
        assert_eq!(scene.admitted("a", turn), 1, "{after} at the turn");
        assert!(!scene.take_all(&both, end - 1).is_admitted(), "{after} before the end");
        assert_eq!(end_of(&scene.take("a", end - 1)), end);
        assert!(scene.take_all(&both, end).is_admitted(), "{after} at the end");
        assert_eq!(scene.admitted("a", end), 2, "{after} at the end");
    }
}

#[test]
fn a_counter_that_was_not_asked_for_since_the_turn_is_found_and_a_generation_later_it_is_new() {
    if !services() {
        return;
    }
    let scene = Scene::new();
    assert_eq!(scene.admitted("a", NOON + 500_000), 3);
    // Another counter has begun the next generation.
    assert_eq!(scene.admitted("b", NOON + PERIOD), 3);
    assert_eq!(scene.admitted("a", NOON + PERIOD + 499_999), 0);
    assert_eq!(scene.admitted("a", NOON + PERIOD + 500_000), 3);
    assert_eq!(scene.admitted("b", NOON + 4 * PERIOD), 3, "after generations in which nobody asked");
    assert_eq!(scene.admitted("a", NOON + 4 * PERIOD), 3);
}

#[test]
fn a_clock_that_steps_back_over_turns_brings_no_window_back() {
    if !services() {
        return;
    }
    for turns in 1..=7 {
        let scene = Scene::new();
        let (early, late) = (NOON + 300_000, NOON + 300_000 + turns * PERIOD);
        assert!(scene.take("a", early).is_admitted());
        assert_eq!(scene.admitted("a", late), 3, "the next window");
        assert_eq!(scene.admitted("a", early + 1), 0, "{turns} turns back");
        // A counter that begins now counts when the clock is right again.
        assert_eq!(scene.admitted("b", early + 1), 3);
        assert_eq!(scene.admitted("b", early + PERIOD), 0);
        assert_eq!(scene.admitted("a", late + 1), 0);
        assert_eq!(scene.admitted("a", late + PERIOD - 1), 0);
        assert_eq!(scene.admitted("a", late + PERIOD), 3, "{turns} turns");
    }
}

#[test]
fn what_is_over_is_freed_and_what_is_kept_ends_by_itself() {
    if !services() {
        return;
    }
    let scene = Scene::new();
    // Some turns in a row, some a generation and more apart, and a step back.
    for turn in [0, 1, 2, 3, 5, 6, 9, 13, 11, 14, 20] {
        assert!(scene.take("a", NOON + turn * PERIOD + 1).is_admitted(), "{turn}");
        let kept = scene.kept();
        assert!(!kept.is_empty() && kept.len() <= 2, "{} hashes in turn {turn}", kept.len());
        let most = 2 * PERIOD / 1_000 + 60_000;
        assert!(kept.iter().all(|left| (1..=most).contains(left)), "{kept:?} in turn {turn}");
    }
}

/// How the clock goes, for which of two counters, and whether both scripts are asked.
type Step = (i64, bool, bool);

/// Of no window are more taken than there are, and no window is opened before the one before has ended by some clock.
fn never_twice(steps: &[Step]) -> Result<(), TestCaseError> {
    let scene = Scene::new();
    let other = Quota::per_day(u32::MAX);
    let (mut now, mut latest) = (NOON, NOON);
    let mut windows: HashMap<&str, (i64, u32)> = HashMap::new();
    for (step, is_first, is_mixed) in steps {
        now += step;
        latest = latest.max(now);
        let subject = if *is_first { "a" } else { "b" };
        let all = [Charge::new(Subject::key(subject), &scene.quota), Charge::new(Subject::key(subject), &other)];
        let decision = scene.take_all(if *is_mixed { &all } else { &all[..1] }, now);
        if !decision.is_admitted() {
            continue;
        }
        let end = end_of(&decision);
        let (known, used) = windows.entry(subject).or_insert((i64::MIN, 0));
        if end != *known {
            prop_assert!(*known <= latest, "a window until {} while one until {} is open at {}", end, known, latest);
            (*known, *used) = (end, 0);
        }
        *used += 1;
        prop_assert!(*used <= scene.quota.limit());
    }
    Ok(())
}

#[test]
fn however_the_clock_steps_no_permit_is_taken_twice() {
    if !services() {
        return;
    }
    let step = prop_oneof![
        4 => 0..PERIOD / 4,
        2 => -PERIOD / 2..PERIOD,
        1 => -5 * PERIOD..8 * PERIOD,
    ];
    let steps = prop::collection::vec((step, any::<bool>(), any::<bool>()), 1..60);
    runner(100).run(&steps, |steps| never_twice(&steps)).unwrap();
}

/// Counters that are over are forgotten some time or other, and begin anew; all others are as they were left, whatever the
/// clock does.
fn as_left(quota: &Quota, steps: &[Step]) -> Result<(), TestCaseError> {
    let scene = Scene::new();
    let rule = Rule::of(quota).unwrap();
    let (mut now, mut latest) = (NOON, NOON);
    let mut counters: HashMap<&str, Counter> = HashMap::new();
    for (step, is_first, is_greedy) in steps {
        now += step;
        latest = latest.max(now);
        let (subject, cost) = (if *is_first { "a" } else { "b" }, if *is_greedy { 3 } else { 1 });
        let counter = counters.entry(subject).or_insert_with(|| Counter::new(quota.counting()));
        let said = scene.take_all(&[Charge::new(Subject::key(subject), quota).cost(cost)], now);
        let said = said.each().unwrap()[0];
        let at = Timestamp::from_unix_micros(now);
        let (stood, is_over) = (counter.look(&rule, u64::from(cost), at), counter.free_at() <= latest);
        let charge = |counter: &mut Counter| match counter.look(&rule, u64::from(cost), at) {
            state if state.verdict == Verdict::Admitted => counter.take(&rule, cost, at),
            state => state,
        };
        if charge(counter) != said {
            prop_assert!(is_over, "{:?} where {:?} was expected at {}", said, stood, now);
            *counter = Counter::new(quota.counting());
            prop_assert_eq!(charge(counter), said, "at {}, of a new counter", now);
        }
    }
    Ok(())
}

#[test]
fn whatever_the_algorithm_and_however_the_clock_steps_what_is_not_over_is_as_it_was_left() {
    if !services() {
        return;
    }
    let period = Duration::from_micros(PERIOD.unsigned_abs());
    let gcra = Quota::new(5, period).algorithm(Algorithm::Gcra);
    let quotas = [
        Quota::new(5, period),
        Quota::new(5, period).algorithm(Algorithm::SlidingWindow),
        gcra.clone(),
        gcra.clone().burst(3),
        gcra.burst(23),
    ];
    let step = prop_oneof![
        6 => 0..PERIOD / 4,
        2 => -PERIOD / 2..PERIOD,
        1 => -5 * PERIOD..12 * PERIOD,
    ];
    let steps = prop::collection::vec((step, any::<bool>(), any::<bool>()), 1..60);
    runner(150).run(&(prop::sample::select(quotas.to_vec()), steps), |(quota, steps)| as_left(&quota, &steps)).unwrap();
}

#[test]
fn a_burst_that_is_changed_a_little_keeps_its_counter() {
    if !services() {
        return;
    }
    let scene = Scene::new();
    let gcra = |limit, burst| Quota::new(limit, Duration::from_secs(1)).algorithm(Algorithm::Gcra).burst(burst);
    let left = |quota: &Quota| {
        let decision = scene.take_all(&[Charge::new(Subject::key("a"), quota)], NOON);
        decision.each().unwrap()[0].remaining
    };
    assert_eq!(left(&gcra(10, 10)), 9);
    assert_eq!(left(&gcra(10, 5)), 3, "a tenth of a second is one permit");
    assert_eq!(left(&gcra(20, 20)), 15, "two tenths are four");
    assert_eq!(left(&gcra(10, 15)), 14, "it takes more than a period to come back: another counter");
    assert_eq!(left(&gcra(10, 20)), 18);
    assert_eq!(left(&gcra(10, 25)), 24, "and more than two");
    assert_eq!(left(&gcra(10, 40)), 38, "as this does");
}
