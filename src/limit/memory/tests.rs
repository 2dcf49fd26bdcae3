use std::net::IpAddr;

use super::*;
use crate::limit::{Algorithm, Quota, Subject};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_768_413_600);

#[cfg(not(shuttle))]
fn after(seconds: u64) -> Timestamp {
    NOW.saturating_add(std::time::Duration::from_secs(seconds))
}

fn take(limiter: &MemoryRateLimiter, charges: &[Charge<'_>], now: Timestamp) -> Decision {
    limiter.take_at_once(charges, Detail::Each, now)
}

#[cfg(not(shuttle))]
mod plain {
    use super::*;

    #[test]
    fn a_quota_that_makes_no_sense_admits_nothing_and_an_unlimited_one_everything() {
        let limiter = MemoryRateLimiter::with_capacity(10);
        let wrong = [
            Quota::per_hour(0),
            Quota::new(5, std::time::Duration::ZERO),
            Quota::new(5, std::time::Duration::MAX),
            Quota::per_hour(5).algorithm(Algorithm::Gcra).burst(0),
        ];
        for quota in &wrong {
            let decision = take(&limiter, &[Charge::new(Subject::key("k"), quota)], NOW);
            assert!(!decision.is_admitted());
            assert!(decision.retry_after_seconds() >= Some(1));
        }
        let without = Quota::UNLIMITED;
        let unlimited = [Charge::new(Subject::key("k"), &without).cost(u32::MAX)];
        assert!(take(&limiter, &unlimited, NOW).is_admitted() && take(&limiter, &unlimited, NOW).is_admitted());
        assert!(!take(&limiter, &[unlimited[0], Charge::new(Subject::key("k"), &wrong[0])], NOW).is_admitted());
        assert_eq!(limiter.entries(), 0);
    }

    #[test]
    fn a_refusal_and_a_peek_leave_no_trace() {
        let limiter = MemoryRateLimiter::with_capacity(10);
        let quota = Quota::per_hour(2);
        let charge = Charge::new(Subject::key("k"), &quota);
        assert!(!take(&limiter, &[charge.cost(3)], NOW).is_admitted());
        assert!(take(&limiter, &[charge.cost(0)], NOW).is_admitted());
        assert!(limiter.peek_now(&[charge], Detail::Closest, NOW).unwrap().is_admitted());
        assert_eq!(limiter.entries(), 0);
        let _ = take(&limiter, &[charge], NOW);
        assert_eq!(limiter.peek_now(&[charge], Detail::Closest, NOW).unwrap().state().unwrap().remaining, 1);
        assert_eq!(limiter.entries(), 1);
    }

    #[test]
    fn quotas_and_subjects_are_counted_apart() {
        let limiter = MemoryRateLimiter::with_capacity(100);
        let quotas = [
            Quota::per_hour(1),
            Quota::per_minute(1),
            Quota::per_hour(1).named("other"),
            Quota::per_hour(1).algorithm(Algorithm::Gcra),
            Quota::per_hour(1).algorithm(Algorithm::SlidingWindow),
        ];
        for subject in [Subject::key("a"), Subject::key("b"), Subject::owner("a"), Subject::user("a")] {
            for quota in &quotas {
                assert!(take(&limiter, &[Charge::new(subject, quota)], NOW).is_admitted(), "{subject:?} {quota:?}");
                assert!(!take(&limiter, &[Charge::new(subject, quota)], NOW).is_admitted(), "{subject:?} {quota:?}");
            }
        }
    }

    #[test]
    fn a_changed_limit_reaches_a_running_window_at_once() {
        for algorithm in [Algorithm::FixedWindow, Algorithm::SlidingWindow] {
            let limiter = MemoryRateLimiter::with_capacity(10);
            let of = |limit| Quota::per_hour(limit).algorithm(algorithm);
            let remaining = |quota: &Quota| {
                let decision = take(&limiter, &[Charge::new(Subject::key("k"), quota)], NOW);
                (decision.is_admitted(), decision.state().unwrap().remaining)
            };
            assert_eq!(remaining(&of(3)), (true, 2));
            assert_eq!(remaining(&of(3)), (true, 1));
            assert_eq!(remaining(&of(1)), (false, 0));
            assert_eq!(remaining(&of(10)), (true, 7));
        }
    }

    #[test]
    fn two_charges_on_one_counter_are_taken_together_or_not_at_all() {
        let limiter = MemoryRateLimiter::with_capacity(10);
        let quota = Quota::per_hour(5);
        let charge = Charge::new(Subject::key("k"), &quota);
        assert!(!take(&limiter, &[charge.cost(3), charge.cost(3)], NOW).is_admitted());
        let decision = take(&limiter, &[charge.cost(2), charge.cost(3)], NOW);
        assert_eq!((decision.is_admitted(), decision.state().unwrap().remaining), (true, 0));
    }

    fn address(number: u32) -> Subject {
        Subject::address(IpAddr::from(number.to_be_bytes()))
    }

    #[test]
    fn a_flood_of_addresses_stays_within_the_bound_and_changes_nothing_for_who_was_there() {
        let limiter = MemoryRateLimiter::with_capacity(10_000);
        assert!(limiter.max_entries() < 27_000, "{}", limiter.max_entries());
        let quota = Quota::per_hour(3);
        let victim = Charge::new(Subject::address("2001:db8::1".parse().unwrap()), &quota);
        assert!(take(&limiter, &[victim.cost(3)], NOW).is_admitted());
        for number in 0..1_000_000 {
            let _ = take(&limiter, &[Charge::new(address(number), &quota)], NOW);
        }
        assert!(limiter.entries() <= limiter.max_entries(), "{}", limiter.entries());
        assert!(!take(&limiter, &[victim], after(3_599)).is_admitted(), "what was used is not forgotten");
        assert!(take(&limiter, &[victim], after(3_600)).is_admitted());
        for n in 0..1_000 {
            let key = Charge::new(Subject::key(&n.to_string()), &quota);
            assert!(take(&limiter, &[key.cost(3)], NOW).is_admitted(), "keys have room of their own");
        }
        let fresh = (2_000_000..2_001_000)
            .filter(|n| take(&limiter, &[Charge::new(address(*n), &quota)], after(3_600)).is_admitted());
        assert_eq!(fresh.count(), 1_000, "when the flood is over, so is its effect");
    }

    #[test]
    fn who_shares_a_counter_gets_no_second_one_while_it_lasts() {
        let limiter = MemoryRateLimiter::with_capacities(1, 1);
        let (hourly, minutely) = (Quota::per_hour(2), Quota::per_minute(9));
        // The only place of one's own is taken for a minute.
        assert!(take(&limiter, &[Charge::new(address(1), &minutely)], NOW).is_admitted());
        let late = Charge::new(address(2), &hourly);
        assert!(take(&limiter, &[late.cost(2)], NOW).is_admitted());
        assert!(!take(&limiter, &[late], after(60)).is_admitted(), "there is room now, but two were taken");
        assert!(!take(&limiter, &[late], after(3_599)).is_admitted());
        assert!(take(&limiter, &[late], after(3_600)).is_admitted());
    }

    #[test]
    fn a_caller_whose_clock_is_behind_does_not_open_a_forgotten_window_early() {
        let limiter = MemoryRateLimiter::with_capacities(1, 1);
        let quota = Quota::per_minute(1);
        let (first, second) = (Charge::new(address(1), &quota), Charge::new(address(2), &quota));
        assert!(take(&limiter, &[first], NOW).is_admitted());
        assert!(take(&limiter, &[second], after(60)).is_admitted(), "in the place of the first, whose minute is over");
        let behind = take(&limiter, &[first], after(59));
        assert_eq!((behind.is_admitted(), behind.state().unwrap().reset), (true, after(120)));
        assert!(!take(&limiter, &[first], after(119)).is_admitted());
    }

    #[test]
    fn who_finds_no_counter_at_all_is_told_when_there_is_one() {
        let limiter = MemoryRateLimiter::with_capacities(1, 1);
        let quotas = [Quota::per_hour(1), Quota::per_minute(1), Quota::per_day(1)];
        for (number, quota) in (0..).zip(&quotas[..2]) {
            assert!(take(&limiter, &[Charge::new(address(number), quota)], NOW).is_admitted());
        }
        let refused = take(&limiter, &[Charge::new(address(9), &quotas[2])], NOW);
        assert_eq!(refused.retry_after_seconds(), Some(60));
        assert!(take(&limiter, &[Charge::new(address(9), &quotas[2])], after(60)).is_admitted());
    }
}

/// Every order in which three threads can take the last two permits, in one call each with a second limit beside it.
#[cfg(shuttle)]
#[test]
fn no_order_of_steps_admits_more_than_the_limit() {
    shuttle::check_random(
        || {
            let limiter = shuttle::sync::Arc::new(MemoryRateLimiter::with_capacity(1_000));
            let admitted = shuttle::sync::Arc::new(shuttle::sync::atomic::AtomicU32::new(0));
            let threads: Vec<_> = (0..3u32)
                .map(|thread| {
                    let (limiter, admitted) = (limiter.clone(), admitted.clone());
                    shuttle::thread::spawn(move || {
                        let (hourly, daily) = (Quota::per_hour(2), Quota::per_day(10).algorithm(Algorithm::Gcra));
                        let address = Subject::address(IpAddr::from(thread.to_be_bytes()));
                        let mut charges = [
                            Charge::new(Subject::key("k"), &hourly),
                            Charge::new(address, &daily),
                            Charge::new(Subject::owner("o"), &daily),
                        ];
                        charges.rotate_left(thread as usize);
                        if take(&limiter, &charges, NOW).is_admitted() {
                            admitted.fetch_add(1, shuttle::sync::atomic::Ordering::SeqCst);
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(admitted.load(shuttle::sync::atomic::Ordering::SeqCst), 2);
            let daily = Quota::per_day(10).algorithm(Algorithm::Gcra);
            let owner = limiter.peek_now(&[Charge::new(Subject::owner("o"), &daily)], Detail::Closest, NOW).unwrap();
            assert_eq!(owner.state().unwrap().remaining, 8, "a refused request has taken nothing");
        },
        10_000,
    );
}
