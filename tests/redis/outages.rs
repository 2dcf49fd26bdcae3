//! Redis away: what becomes of requests, how soon, and what the log is told.

use std::time::{Duration, Instant};

use tower_api_key::clock::{Clock, SystemClock};
use tower_api_key::limit::redis::{OnUnavailable, RedisLimiterError, RedisRateLimiter};
use tower_api_key::limit::{Charge, Decision, Detail, Quota, RateLimiter, Subject};

use tracing::Level;

use super::log::Log;
use super::support::*;

const DEADLINE: Duration = Duration::from_millis(100);
/// For machines that are busy with something else.
const LATE: Duration = Duration::from_millis(400);

fn limiter(server: &Server, what: OnUnavailable) -> RedisRateLimiter {
    server.limiter().deadline(DEADLINE).on_unavailable(what).build().unwrap()
}

/// One permit, and how long that took.
async fn take(limiter: &RedisRateLimiter, quota: &Quota) -> (Result<Decision, RedisLimiterError>, Duration) {
    let started = Instant::now();
    let charge = [Charge::new(Subject::key("k"), quota)];
    let decision = limiter.take(&charge, Detail::Closest, SystemClock.now()).await;
    (decision, started.elapsed())
}

/// Asks until Redis decides again, without a restart.
async fn recovers(limiter: &RedisRateLimiter, quota: &Quota) {
    let asked = Instant::now();
    loop {
        let (decision, _) = take(limiter, quota).await;
        // Neither an unlimited nor a local decision is one of Redis.
        if decision.is_ok_and(|decision| decision.state().is_some_and(|state| state.limit == quota.limit())) {
            return;
        }
        assert!(asked.elapsed() < Duration::from_secs(10), "Redis is back, and nobody asks it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Each mode, with a Redis that does not answer and one that is not there.
async fn away(what: OnUnavailable, expect: impl Fn(u32, Result<Decision, RedisLimiterError>)) {
    let quota = Quota::per_day(30);
    for stopped in [true, false] {
        let mut server = Server::start();
        let limiter = limiter(&server, what);
        assert!(take(&limiter, &quota).await.0.unwrap().is_admitted());
        if stopped {
            server.signal("-STOP");
        } else {
            server.kill();
        }
        for number in 0..20 {
            let (decision, time) = take(&limiter, &quota).await;
            assert!(time < DEADLINE + LATE, "{time:?} in call {number}");
            expect(number, decision);
        }
        if stopped {
            server.signal("-CONT");
        } else {
            server.start_again();
        }
        recovers(&limiter, &quota).await;
    }
}

#[tokio::test]
async fn requests_are_refused_with_an_error_unless_told_otherwise() {
    if services() {
        assert_eq!(OnUnavailable::default(), OnUnavailable::Refuse);
        away(OnUnavailable::Refuse, |_, decision| assert!(decision.is_err())).await;
    }
}

#[tokio::test]
async fn requests_are_allowed_without_limits_if_asked_for() {
    if services() {
        away(OnUnavailable::Allow, |_, decision| assert_eq!(decision.unwrap(), Decision::UNLIMITED)).await;
    }
}

#[tokio::test]
async fn requests_are_counted_locally_by_the_share_of_a_node_if_asked_for() {
    if services() {
        away(OnUnavailable::CountLocally { nodes: 3 }, |number, decision| {
            let decision = decision.unwrap();
            assert_eq!(decision.is_admitted(), number < 10, "call {number}");
            assert_eq!(decision.state().unwrap().limit, 10);
        })
        .await;
    }
}

#[tokio::test]
async fn many_requests_at_once_wait_no_longer_than_one() {
    if !services() {
        return;
    }
    let server = Server::start();
    let limiter = limiter(&server, OnUnavailable::Refuse);
    let quota = Quota::per_day(1_000);
    assert!(take(&limiter, &quota).await.0.is_ok());
    server.signal("-STOP");
    let mut tasks = tokio::task::JoinSet::new();
    let started = Instant::now();
    for _ in 0..12_000 {
        let (limiter, quota) = (limiter.clone(), quota.clone());
        tasks.spawn(async move { take(&limiter, &quota).await.0.is_err() });
    }
    assert!(tasks.join_all().await.into_iter().all(|failed| failed));
    assert!(started.elapsed() < 2 * (DEADLINE + LATE), "{:?}", started.elapsed());
    server.signal("-CONT");
    recovers(&limiter, &quota).await;
}

/// Two runtimes, of which one has all calls.
#[test]
fn who_waits_for_a_call_of_a_runtime_that_ends_is_told() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("redis://{}", silent.local_addr().unwrap());
    let limiter = RedisRateLimiter::builder(address).deadline(Duration::from_secs(60)).build().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (one, other) = (runtime(), runtime());
    let ask = |limiter: RedisRateLimiter| async move { take(&limiter, &Quota::per_day(1_000)).await.0 };
    let turns = async || {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    };
    // As many calls as there are at once.
    for _ in 0..2 {
        one.spawn(ask(limiter.clone()));
        one.block_on(turns());
    }
    let waiting = other.spawn(ask(limiter));
    other.block_on(turns());
    drop(one);
    let answer = other.block_on(async { tokio::time::timeout(Duration::from_secs(20), waiting).await });
    assert!(matches!(answer.expect("an answer").unwrap(), Err(RedisLimiterError::GivenUp)));
}

#[tokio::test]
async fn a_node_can_start_before_redis() {
    if !services() {
        return;
    }
    let mut server = Server::start();
    server.kill();
    let limiter = limiter(&server, OnUnavailable::Refuse);
    let quota = Quota::per_day(1_000);
    assert!(take(&limiter, &quota).await.0.is_err());
    server.start_again();
    recovers(&limiter, &quota).await;
}

#[tokio::test]
async fn a_script_that_was_flushed_and_a_connection_that_was_cut_cost_nothing_that_was_counted() {
    if !services() {
        return;
    }
    let server = Server::start();
    let limiter = limiter(&server, OnUnavailable::Refuse);
    let quota = Quota::per_day(10);
    for _ in 0..5 {
        server.command(&["SCRIPT", "FLUSH"]);
        assert!(take(&limiter, &quota).await.0.unwrap().is_admitted());
    }
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    recovers(&limiter, &quota).await;
    let charge = [Charge::new(Subject::key("k"), &quota)];
    let look = limiter.peek(&charge, Detail::Closest, SystemClock.now()).await.unwrap();
    assert_eq!(look.state().unwrap().remaining, 4);
}

#[test]
fn an_outage_is_told_once_and_its_end_once() {
    if !services() {
        return;
    }
    let (log, _guard) = Log::listen(Level::INFO);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut server = Server::start();
        let limiter = limiter(&server, OnUnavailable::Allow);
        let quota = Quota::per_day(1_000);
        server.kill();
        for _ in 0..100 {
            let _ = take(&limiter, &quota).await;
        }
        server.start_again();
        recovers(&limiter, &quota).await;
        for _ in 0..100 {
            let _ = take(&limiter, &quota).await;
        }
    });
    let lines = log.lines("tower_api_key");
    let text = lines.join("\n");
    assert_eq!(text.matches("Redis does not decide on limits").count(), 1, "{text}");
    assert_eq!(text.matches("Redis decides on limits again").count(), 1, "{text}");
    assert!(lines.iter().all(|line| line.contains("tower_api_key::limit:")), "{text}");
    assert!(text.contains("on_unavailable=Allow") && text.contains("requests="), "{text}");
}
