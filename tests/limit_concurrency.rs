//! Exactness when many ask at once.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use tower_api_key::clock::Timestamp;
use tower_api_key::limit::{Algorithm, Charge, Detail, MemoryRateLimiter, Quota, RateLimiter, Subject};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_768_413_600);

fn admits(limiter: &MemoryRateLimiter, charges: &[Charge<'_>]) -> bool {
    limiter.take_now(charges, Detail::Closest, NOW).expect("memory answers at once").is_admitted()
}

#[test]
fn sixty_four_threads_on_one_key_are_admitted_exactly_the_limit_a_thousand_times_in_a_row() {
    const THREADS: usize = 64;
    let limiter = MemoryRateLimiter::with_capacity(10_000);
    let barrier = Barrier::new(THREADS);
    let admitted: Vec<AtomicU32> = (0..1_000).map(|_| AtomicU32::new(0)).collect();
    let quotas = [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::Gcra]
        .map(|algorithm| Quota::per_hour(50).algorithm(algorithm));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for (round, admitted) in admitted.iter().enumerate() {
                    let charge = Charge::new(Subject::key(&round.to_string()), &quotas[round % 3]);
                    barrier.wait();
                    if admits(&limiter, &[charge]) {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(admitted.iter().all(|count| count.load(Ordering::Relaxed) == 50));
}

#[test]
fn several_limits_in_any_order_never_block_each_other_and_are_never_half_taken() {
    let limiter = MemoryRateLimiter::with_capacity(10_000);
    let (narrow, wide) = (Quota::per_hour(100), Quota::per_hour(1_000_000));
    let subjects: Vec<_> = (0..16).map(|n| Subject::key(&n.to_string())).collect();
    let admitted = AtomicU32::new(0);
    thread::scope(|scope| {
        for thread in 0..8 {
            let (limiter, subjects, narrow, wide, admitted) = (&limiter, &subjects, &narrow, &wide, &admitted);
            scope.spawn(move || {
                for round in 0..2_000 {
                    let mut charges: Vec<_> = subjects.iter().map(|subject| Charge::new(*subject, wide)).collect();
                    charges.push(Charge::new(Subject::owner("o"), narrow));
                    charges.rotate_left((thread * 5 + round) % 17);
                    if admits(limiter, &charges) {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 100);
    for subject in subjects {
        let state = limiter.peek_now(&[Charge::new(subject, &wide)], Detail::Closest, NOW).unwrap();
        assert_eq!(state.state().unwrap().remaining, 999_900, "a refused request has taken nothing");
    }
}
