//! Nodes that take permits by the batch: never more than the limit, and hardly ever asking.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tower_api_key::clock::{Clock, SystemClock};
use tower_api_key::limit::redis::{Leases, RedisRateLimiter};
use tower_api_key::limit::{Algorithm, Charge, Decision, Detail, Quota, RateLimiter, Subject};
use tower_api_key::testing::conformance::{self, LimiterClock};

use super::exact::{hammer, quota};
use super::support::*;

fn node(server: &Server) -> RedisRateLimiter {
    server.limiter().leases(Leases::new()).build().unwrap()
}

async fn take(limiter: &RedisRateLimiter, charges: &[Charge<'_>]) -> Decision {
    match limiter.take_now(charges, Detail::Closest, SystemClock.now()) {
        Some(decision) => decision,
        None => limiter.take(charges, Detail::Closest, SystemClock.now()).await.unwrap(),
    }
}

#[tokio::test]
async fn it_keeps_to_all_rules_for_limiters() {
    if !services() {
        return;
    }
    let server = Server::start();
    let number = AtomicU32::new(0);
    conformance::rate_limiter(LimiterClock::Own, async || {
        let number = number.fetch_add(1, Ordering::Relaxed);
        server.limiter().prefix(format!("n{number}")).leases(Leases::new()).build().unwrap()
    })
    .await;
}

#[test]
fn four_processes_are_never_admitted_more_than_the_limit_and_seldom_much_less_a_hundred_times_in_a_row() {
    if !services() {
        return;
    }
    let server = Server::start();
    let mut nodes: Vec<_> = (0..4).map(|_| Node::start("leases", &server.url())).collect();
    let mut all = 0;
    for round in 0..100 {
        nodes.iter_mut().for_each(|node| node.tell(&format!("fixed round-{round} 10000 6400")));
        server.trouble(round);
        let admitted: u32 = nodes.iter_mut().map(Node::hear_number).sum();
        assert!(admitted <= 10_000, "{admitted} in round {round}");
        // A node that has asked its last may hold some that the others miss; the others used up theirs.
        assert!(admitted >= 8_000, "{admitted} in round {round}");
        all += admitted;
    }
    println!("{:.2} % of the limit was admitted", f64::from(all) / 10_000.0);
    assert!(all >= 950_000, "{all} of a million");
}

#[test]
fn what_a_dead_node_held_is_lost_and_no_more() {
    if !services() {
        return;
    }
    let server = Server::start();
    let mut nodes: Vec<_> = (0..2).map(|_| Node::start("leases", &server.url())).collect();
    let mut doomed = Node::start("leases", &server.url());
    doomed.tell("fixed k 20000 3200");
    let before = doomed.hear_number();
    drop(doomed);
    nodes.iter_mut().for_each(|node| node.tell("fixed k 20000 25600"));
    let admitted = before + nodes.iter_mut().map(Node::hear_number).sum::<u32>();
    assert_eq!(before, 3_200);
    assert!(admitted <= 20_000, "{admitted}");
    // A batch is at most an eighth of what is left, and a quarter of one before it may be left over.
    assert!(admitted >= 20_000 - 20_000 * 5 / 32, "{admitted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_many_windows_no_window_has_more_than_the_limit() {
    if !services() {
        return;
    }
    const LIMIT: u32 = 2_000;
    const PERIOD: Duration = Duration::from_millis(150);
    let server = Server::start();
    let quota = Quota::new(LIMIT, PERIOD);
    let (started, is_over, admitted) = (Instant::now(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let (node, quota) = (node(&server), quota.clone());
        let (is_over, admitted) = (Arc::clone(&is_over), Arc::clone(&admitted));
        nodes.push(tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                for _ in 0..100 {
                    if take(&node, &[Charge::new(Subject::key("k"), &quota)]).await.is_admitted() {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
                tokio::task::yield_now().await;
            }
        }));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    is_over.store(true, Ordering::Relaxed);
    for node in nodes {
        node.await.unwrap();
    }
    // A window begins when the one before is over, at the earliest.
    let windows = u32::try_from(started.elapsed().as_micros() / PERIOD.as_micros() + 1).unwrap();
    let admitted = admitted.load(Ordering::Relaxed);
    assert!(admitted <= windows * LIMIT, "{admitted} in {windows} windows");
    assert!(admitted >= windows * LIMIT / 2, "{admitted} in {windows} windows: hardly any were given out");
}

#[tokio::test]
async fn nearly_all_is_decided_without_asking_and_at_once() {
    if !services() {
        return;
    }
    let server = Server::start();
    let node = node(&server);
    let quotas = [quota("fixed", 100_000_000), Quota::per_hour(100_000_000)];
    let charges = [Charge::new(Subject::key("k"), &quotas[0]), Charge::new(Subject::owner("o"), &quotas[1])];
    let mut last = u32::MAX;
    for number in 0..200_000 {
        let decision = take(&node, &charges).await;
        let state = *decision.state().unwrap();
        assert!(decision.is_admitted() && state.remaining < last, "what is left never rises: {state:?} after {last}");
        last = state.remaining;
        if number % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(last, 100_000_000 - 200_000, "alone, a node knows exactly");
    assert!(node.asked() * 50 < 200_000, "asked {} times", node.asked());
}

#[tokio::test]
async fn a_subject_that_is_refused_is_refused_without_asking_until_its_window_ends() {
    if !services() {
        return;
    }
    let server = Server::start();
    let (one, other) = (node(&server), node(&server));
    let quota = quota("fixed", 100);
    assert_eq!(hammer(&one, "k", &quota, 320).await, 100);
    assert_eq!(hammer(&other, "k", &quota, 32).await, 0);
    let asked = other.asked();
    assert_eq!(hammer(&other, "k", &quota, 3_200).await, 0);
    assert_eq!(other.asked(), asked);
}

#[tokio::test]
async fn leases_give_nothing_of_a_request_that_redis_refuses() {
    if !services() {
        return;
    }
    let server = Server::start();
    let node = node(&server);
    // The sliding window is decided by Redis each time, the fixed one here.
    let (wide, narrow) = (quota("fixed", 1_000), quota("sliding", 300));
    let charges = [Charge::new(Subject::key("k"), &wide), Charge::new(Subject::owner("o"), &narrow)];
    for _ in 0..300 {
        assert!(take(&node, &charges).await.is_admitted());
    }
    for _ in 0..50 {
        let decision = take(&node, &charges).await;
        assert_eq!((decision.is_admitted(), decision.charge()), (false, Some(1)));
    }
    let look = node.peek(&charges[..1], Detail::Closest, SystemClock.now()).await.unwrap();
    assert_eq!(look.state().unwrap().remaining, 700);
    assert_eq!(hammer(&node, "k", &wide, 1_600).await, 700);
    assert_eq!(narrow.counting(), Algorithm::SlidingWindow);
}

#[tokio::test]
async fn what_is_held_is_used_while_redis_is_away_and_no_more_than_that() {
    if !services() {
        return;
    }
    let mut server = Server::start();
    let node = server.limiter().deadline(Duration::from_millis(100)).leases(Leases::new()).build().unwrap();
    let quota = quota("fixed", 10_000);
    assert_eq!(hammer(&node, "k", &quota, 3_200).await, 3_200);
    server.kill();
    let mut admitted = 0;
    while let Some(decision) =
        node.take_now(&[Charge::new(Subject::key("k"), &quota)], Detail::Closest, SystemClock.now())
    {
        assert!(decision.is_admitted());
        admitted += 1;
    }
    assert!(admitted > 0 && admitted <= 10_000 / 8, "{admitted}");
    let without = node.take(&[Charge::new(Subject::key("k"), &quota)], Detail::Closest, SystemClock.now()).await;
    assert!(without.is_err());
}
