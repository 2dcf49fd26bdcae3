//! Credits that nodes share are spent once.

use std::time::Duration;

use proptest::prelude::*;
use tokio::task::JoinSet;
use tower_api_key::clock::Timestamp;
use tower_api_key::limit::Subject;
use tower_api_key::limit::credits::{
    CreditRefusal, CreditState, Credits, Exhausted, Refill, RefillInterval, spend as spent_in_memory,
};
use tower_api_key::limit::redis::{RedisCreditError, RedisCredits};

use super::support::*;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_768_413_600);

fn node(server: &Server) -> RedisCredits {
    RedisCredits::with(server.url(), "test", Duration::from_secs(5)).unwrap()
}

fn refusal(error: RedisCreditError) -> CreditRefusal {
    match error {
        RedisCreditError::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// Spends one by one, and says how many were.
pub(crate) async fn spend_all(node: &RedisCredits, subject: &str, record: &CreditState, calls: u32) -> u32 {
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let (node, subject, record) = (node.clone(), Subject::key(subject), *record);
        tasks.spawn(async move {
            let mut spent = 0;
            for _ in 0..calls / 16 {
                spent += u32::from(node.spend(subject, &record, 1, NOW).await.is_ok());
            }
            spent
        });
    }
    tasks.join_all().await.into_iter().sum()
}

#[test]
fn four_processes_spend_each_credit_once() {
    if !services() {
        return;
    }
    let server = Server::start();
    let mut nodes: Vec<_> = (0..4).map(|_| Node::start("credits", &server.url())).collect();
    for round in 0..20 {
        nodes.iter_mut().for_each(|node| node.tell(&format!("credits round-{round} 500 320")));
        assert_eq!(nodes.iter_mut().map(Node::hear_number).sum::<u32>(), 500, "in round {round}");
    }
}

#[tokio::test]
async fn a_refusal_spends_none_and_says_when_to_come_again() {
    if !services() {
        return;
    }
    let server = Server::start();
    let (one, other, key) = (node(&server), node(&server), Subject::key("k"));
    let record = Credits::new(5).refill(Refill::new(9, RefillInterval::Daily)).starting(NOW);
    assert_eq!(one.spend(key, &record, 4, NOW).await.unwrap().remaining, 1);
    let midnight: Timestamp = "2026-01-15T00:00:00Z".parse().unwrap();
    let refused = refusal(other.spend(key, &record, 2, NOW).await.unwrap_err());
    assert_eq!(refused, CreditRefusal::Exhausted(Exhausted { remaining: 1, refill_at: Some(midnight) }));
    assert_eq!(other.spend(key, &record, 1, NOW).await.unwrap().remaining, 0);
    assert_eq!(one.spend(key, &record, 2, midnight).await.unwrap().remaining, 7, "refilled once");
    assert_eq!(other.spend(key, &record, 2, midnight).await.unwrap().remaining, 5);
    assert!(one.spend(key, &record, u64::MAX, midnight).await.is_err());
}

#[tokio::test]
async fn a_balance_set_by_hand_counts_less_what_is_not_stored_yet() {
    if !services() {
        return;
    }
    let server = Server::start();
    let (node, key) = (node(&server), Subject::key("k"));
    let record = Credits::new(3).starting(NOW);
    assert_eq!(node.spend(key, &record, 2, NOW).await.unwrap().remaining, 1);
    let set = CreditState { remaining: 100, generation: 1, ..record };
    assert_eq!(node.spend(key, &set, 1, NOW).await.unwrap().remaining, 97);
    assert_eq!(node.spend(key, &record, 1, NOW).await.unwrap().remaining, 96, "an old record is no news");
}

#[tokio::test]
async fn each_node_reports_what_it_has_spent_once() {
    if !services() {
        return;
    }
    let server = Server::start();
    let nodes = [node(&server), node(&server)];
    let record = Credits::new(1_000).starting(NOW);
    for (node, calls) in nodes.iter().zip([160, 320]) {
        assert_eq!(spend_all(node, "k", &record, calls).await, calls);
        let changes = node.changes(10);
        assert_eq!((changes.len(), changes[0].spent), (1, u64::from(calls)));
        assert!(node.changes(10).is_empty());
        node.failed(&changes[0]);
        assert_eq!(node.changes(10), changes);
    }
}

#[tokio::test]
async fn without_redis_no_credit_is_spent() {
    if !services() {
        return;
    }
    let mut server = Server::start();
    let node = node(&server);
    let record = Credits::new(5).starting(NOW);
    assert!(node.spend(Subject::key("k"), &record, 1, NOW).await.is_ok());
    server.kill();
    let error = node.spend(Subject::key("k"), &record, 1, NOW).await.unwrap_err();
    assert!(matches!(error, RedisCreditError::Unavailable(_)), "{error:?}");
}

#[test]
fn redis_spends_as_memory_does() {
    if !services() {
        return;
    }
    let server = Server::start();
    let node = node(&server);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let number = std::cell::Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..Default::default()
    });
    let calls = prop::collection::vec((0i64..5_000_000_000_000, 0u64..8), 1..20);
    let refill = prop::option::of((0u64..12, 0..3usize, 1u64..10_000_000));
    runner
        .run(&(0u64..20, refill, calls), |(credits, refill, calls)| {
            let refill = refill.map(|(amount, kind, seconds)| {
                let every = RefillInterval::Every(Duration::from_secs(seconds));
                Refill::new(amount, [every, RefillInterval::Daily, RefillInterval::Monthly][kind])
            });
            let record = CreditState { refill, ..Credits::new(credits).starting(NOW) };
            number.set(number.get() + 1);
            let (key, mut kept, mut now) = (Subject::key(&number.get().to_string()), record, NOW);
            for (step, cost) in calls {
                now = Timestamp::from_unix_micros(now.unix_micros() + step);
                let ours = runtime.block_on(node.spend(key, &record, cost, now)).map_err(refusal);
                let theirs = spent_in_memory(&kept, cost, now);
                prop_assert_eq!(&ours, &theirs.map_err(CreditRefusal::from));
                kept = theirs.unwrap_or(kept);
            }
            Ok(())
        })
        .unwrap();
}
