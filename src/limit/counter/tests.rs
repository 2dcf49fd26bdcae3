use super::*;

const HOUR: i64 = 3_600_000_000;

fn rule(limit: u32, capacity: u32, period: i64) -> Rule {
    Rule { limit, capacity, period }
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(micros)
}

const ALL: [Algorithm; 3] = [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::Gcra];

#[test]
fn a_fixed_window_begins_with_the_first_request() {
    let (rule, mut counter) = (rule(100, 100, HOUR), Counter::new(Algorithm::FixedWindow));
    let first = counter.take(&rule, 1, at(17));
    assert_eq!((first.remaining, first.reset), (99, at(17 + HOUR)));
    let last = counter.take(&rule, 99, at(17 + HOUR - 1));
    assert_eq!((last.remaining, last.reset), (0, at(17 + HOUR)));
    let wait = Duration::from_micros(1);
    assert_eq!(counter.look(&rule, 1, at(16 + HOUR)).verdict, Verdict::Refused { wait });
    assert_eq!(counter.look(&rule, 100, at(17 + HOUR)).verdict, Verdict::Admitted);
}

#[test]
fn gcra_gives_every_permit_back_exactly_in_time_when_the_limit_does_not_divide_the_period() {
    // A third of a second is no whole number of microseconds: after a million of them, not one is lost or gained.
    let (rule, mut counter) = (rule(3, 1, 1_000_000), Counter::new(Algorithm::Gcra));
    for permit in 0..1_000_000i64 {
        let due = (permit * 1_000_000 + 2) / 3;
        if permit > 0 {
            assert_ne!(counter.look(&rule, 1, at(due - 1)).verdict, Verdict::Admitted, "permit {permit}");
        }
        assert_eq!(counter.look(&rule, 1, at(due)).verdict, Verdict::Admitted, "permit {permit}");
        // Taken as late as can be without losing time: the next is due by the exact third.
        let _ = counter.take(&rule, 1, at(permit * 1_000_000 / 3));
    }
}

#[test]
fn a_full_sliding_log_stays_bounded_and_gives_nothing_back_early() {
    let (rule, mut window) = (rule(100_000, 100_000, HOUR), SlidingWindow::default());
    for second in 0..7_200 {
        let state = window.take(&rule, 1, second * 1_000_000);
        let exact = 100_000 - u32::try_from(second + 1).unwrap().min(3_600);
        assert!(state.remaining <= exact && exact - state.remaining <= 3_600 / 63 + 1, "{second}: {state:?}");
    }
    assert!(format!("{window:?}").matches("Taken {").count() <= 64);
}

#[test]
fn an_earlier_now_neither_panics_nor_gives_back() {
    for algorithm in ALL {
        let (rule, mut counter) = (rule(2, 2, HOUR), Counter::new(algorithm));
        let _ = counter.take(&rule, 2, at(10 * HOUR));
        for earlier in [i64::MIN, 0, 9 * HOUR, 10 * HOUR] {
            let state = counter.look(&rule, 1, at(earlier));
            assert!(
                matches!(state.verdict, Verdict::Refused { wait } if wait > Duration::ZERO),
                "{algorithm} {state:?}"
            );
        }
    }
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    let longest = i64::try_from(Quota::MAX_PERIOD.as_micros()).unwrap();
    for algorithm in ALL {
        for (limit, period) in [(u32::MAX, longest), (u32::MAX, 1), (1, longest), (1, 1)] {
            let (rule, mut counter) = (rule(limit, limit, period), Counter::new(algorithm));
            for now in [Timestamp::UNIX_EPOCH, Timestamp::MAX, at(i64::MIN)] {
                if counter.look(&rule, u64::from(limit), now).verdict == Verdict::Admitted {
                    let _ = counter.take(&rule, limit, now);
                }
                let _ = counter.look(&rule, u64::MAX, now);
            }
        }
    }
}

#[test]
fn a_cost_above_the_capacity_is_never_met_and_the_wait_is_until_full() {
    for algorithm in ALL {
        let state = Counter::new(algorithm).look(&rule(10, 5, HOUR), 6, at(0));
        assert_eq!(state.verdict, Verdict::Never { window: Duration::from_secs(1_800) }, "{algorithm}");
    }
}

#[test]
fn what_is_admitted_without_a_look_is_what_a_look_admits() {
    for algorithm in ALL {
        for (limit, capacity, period) in [(3, 1, 1_000_000), (100, 7, HOUR), (9_000, 9_000, 1_000), (1, 1, 1)] {
            let (rule, mut counter) = (rule(limit, capacity, period), Counter::new(algorithm));
            let mut now = 0;
            for step in 0..2_000_i64 {
                now += (step * step * 7_919) % (period / 2 + 2) - period / 16;
                for cost in [0, 1, 2, u64::from(capacity), u64::from(capacity) + 1, u64::from(u32::MAX)] {
                    let looked = counter.look(&rule, cost, at(now)).verdict == Verdict::Admitted;
                    assert_eq!(counter.admits(&rule, cost, at(now)), looked, "{algorithm:?} {step} {cost}");
                }
                if counter.admits(&rule, 1, at(now)) {
                    let _ = counter.take(&rule, 1, at(now));
                }
            }
        }
    }
}
