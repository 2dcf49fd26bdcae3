//! Exactly the limit is admitted, by however many nodes, whatever happens to Redis meanwhile.

use std::io::BufRead;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tower_api_key::clock::{Clock, SystemClock, Timestamp};
use tower_api_key::limit::credits::Credits;
use tower_api_key::limit::redis::{Leases, RedisCredits, RedisLimiterError, RedisLinkError, RedisRateLimiter};
use tower_api_key::limit::{Algorithm, Charge, Detail, Quota, RateLimiter, Subject};
use tower_api_key::testing::conformance::{self, LimiterClock};

use super::credits::spend_all;
use super::support::*;

#[tokio::test]
async fn it_keeps_to_all_rules_for_limiters() {
    if !services() {
        return;
    }
    let server = Server::start();
    let number = std::sync::atomic::AtomicU32::new(0);
    conformance::rate_limiter(LimiterClock::Own, async || {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        server.limiter().prefix(format!("n{number}")).build().unwrap()
    })
    .await;
}

/// The quota that nodes are told by its name.
pub(crate) fn quota(name: &str, limit: u32) -> Quota {
    let algorithm = match name {
        "fixed" => Algorithm::FixedWindow,
        "sliding" => Algorithm::SlidingWindow,
        _ => Algorithm::Gcra,
    };
    Quota::per_day(limit).algorithm(algorithm)
}

/// Asks `calls` times for one permit, 32 at once, and says how many were admitted; what could not be told is no admission.
pub(crate) async fn hammer(limiter: &RedisRateLimiter, subject: &str, quota: &Quota, calls: u32) -> u32 {
    let mut tasks = JoinSet::new();
    for _ in 0..32 {
        let (limiter, subject, quota) = (limiter.clone(), Subject::key(subject), quota.clone());
        tasks.spawn(async move {
            let mut admitted = 0;
            for _ in 0..calls / 32 {
                let (charge, now) = ([Charge::new(subject, &quota)], SystemClock.now());
                let decision = match limiter.take_now(&charge, Detail::Closest, now) {
                    Some(decision) => Ok(decision),
                    None => limiter.take(&charge, Detail::Closest, now).await,
                };
                admitted += u32::from(decision.is_ok_and(|decision| decision.is_admitted()));
            }
            admitted
        });
    }
    tasks.join_all().await.into_iter().sum()
}

#[test]
fn a_part_in_another_process() {
    let (Ok(part), Ok(url)) = (std::env::var(PART), std::env::var(URL)) else { return };
    println!();
    let credits = RedisCredits::with(url.as_str(), "test", Duration::from_secs(5)).unwrap();
    let builder = RedisRateLimiter::builder(url).deadline(Duration::from_secs(5));
    let builder = if part == "leases" { builder.leases(Leases::new()) } else { builder };
    let limiter = builder.build().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    say("ready");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<_> = line.split(' ').collect();
        let &[kind, subject, limit, calls] = &words[..] else { panic!("{line:?} is no order") };
        let (limit, calls) = (limit.parse().unwrap(), calls.parse().unwrap());
        if kind == "credits" {
            let record = Credits::new(u64::from(limit)).starting(Timestamp::UNIX_EPOCH);
            say(runtime.block_on(spend_all(&credits, subject, &record, calls)));
            continue;
        }
        let quota = quota(kind, limit);
        say(runtime.block_on(hammer(&limiter, subject, &quota, calls)));
    }
}

#[test]
fn four_processes_are_admitted_exactly_the_limit_a_hundred_times_in_a_row_whatever_troubles_redis() {
    if !services() {
        return;
    }
    let server = Server::start();
    let mut nodes: Vec<_> = (0..4).map(|_| Node::start("exact", &server.url())).collect();
    for round in 0..100 {
        let kind = ["fixed", "sliding", "gcra"][round % 3];
        nodes.iter_mut().for_each(|node| node.tell(&format!("{kind} round-{round} 100 64")));
        server.trouble(round as u32);
        let admitted: u32 = nodes.iter_mut().map(Node::hear_number).sum();
        assert_eq!(admitted, 100, "{kind} in round {round}");
    }
}

#[test]
fn a_node_that_is_killed_leaves_the_limit_exact_for_the_others() {
    if !services() {
        return;
    }
    let server = Server::start();
    let mut nodes: Vec<_> = (0..3).map(|_| Node::start("exact", &server.url())).collect();
    for round in 0..10 {
        let mut doomed = Node::start("exact", &server.url());
        doomed.tell(&format!("fixed killed-{round} 1000 100000"));
        nodes.iter_mut().for_each(|node| node.tell(&format!("fixed killed-{round} 1000 3200")));
        std::thread::sleep(Duration::from_millis(round));
        drop(doomed);
        let admitted: u32 = nodes.iter_mut().map(Node::hear_number).sum();
        // The counter is right, and what the others had is what the dead one had not.
        assert!(admitted <= 1_000, "{admitted} in round {round}");
        nodes[0].tell(&format!("fixed killed-{round} 1000 320"));
        assert_eq!(nodes[0].hear_number(), 0, "all are used up");
    }
}

#[test]
fn a_stopped_redis_admits_nobody_twice_when_it_goes_on() {
    if !services() {
        return;
    }
    let server = Server::start();
    let mut nodes: Vec<_> = (0..4).map(|_| Node::start("exact", &server.url())).collect();
    for round in 0..5 {
        nodes.iter_mut().for_each(|node| node.tell(&format!("gcra stopped-{round} 1000 1600")));
        server.signal("-STOP");
        std::thread::sleep(Duration::from_millis(50));
        server.signal("-CONT");
        let admitted: u32 = nodes.iter_mut().map(Node::hear_number).sum();
        assert_eq!(admitted, 1_000);
    }
}

#[tokio::test]
async fn a_redis_that_loses_its_data_admits_at_most_twice_the_limit() {
    if !services() {
        return;
    }
    let mut server = Server::start();
    let limiter = server.limiter().deadline(Duration::from_millis(200)).build().unwrap();
    let quota = quota("fixed", 100);
    let before = hammer(&limiter, "k", &quota, 640).await;
    server.start_again();
    let (mut after, started) = (0, Instant::now());
    // The first calls find the connection lost, and Redis is left alone for a while then.
    while after < 100 {
        assert!(started.elapsed() < Duration::from_secs(10), "Redis is back, and nobody asks it");
        after += hammer(&limiter, "k", &quota, 320).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((before, after), (100, 100));
    assert_eq!(hammer(&limiter, "k", &quota, 320).await, 0);
}

#[tokio::test]
async fn every_counter_ends_by_itself() {
    if !services() {
        return;
    }
    let server = Server::start();
    let limiter = server.limiter().build().unwrap();
    // A hash is there until the last of its counters must be over, which is when the next day ends, and a minute more.
    let most = (2 * 86_400 + 60) * 1_000;
    for kind in ["fixed", "sliding", "gcra"] {
        server.command(&["FLUSHALL"]);
        // More than one call goes to each counter, and its time to live stays.
        hammer(&limiter, kind, &quota(kind, 100), 96).await;
        let redis::Value::Array(keys) = server.command(&["KEYS", "*"]) else { panic!("no list") };
        assert_eq!(keys.len(), 1, "{kind}");
        for key in keys {
            let key: Vec<u8> = redis::from_redis_value(key).unwrap();
            assert!(key.starts_with(b"{tower-api-key}:3:"), "{}", key.escape_ascii());
            let left: i64 = redis::from_redis_value(server.command(&["PTTL".as_bytes(), &key])).unwrap();
            assert!(left > 86_000_000 && left <= most, "{}: {left}", key.escape_ascii());
        }
    }
}

#[tokio::test]
async fn what_somebody_has_overwritten_is_an_error_and_no_permit() {
    if !services() {
        return;
    }
    let server = Server::start();
    let limiter = server.limiter().deadline(Duration::from_millis(200)).build().unwrap();
    let quota = quota("fixed", 10);
    let charge = [Charge::new(Subject::key("k"), &quota)];
    let ask = async || limiter.take(&charge, Detail::Closest, SystemClock.now()).await;
    let look = async || limiter.peek(&charge, Detail::Closest, SystemClock.now()).await;
    for damage in 0..5 {
        server.command(&["FLUSHALL"]);
        // After an error Redis is left alone for a while.
        let started = Instant::now();
        while !ask().await.is_ok_and(|decision| decision.is_admitted()) {
            assert!(started.elapsed() < Duration::from_secs(10), "Redis is not asked again");
        }
        let keys: Vec<Vec<u8>> = redis::from_redis_value(server.command(&["KEYS", "*"])).unwrap();
        let [key] = &keys[..] else { panic!("{} hashes", keys.len()) };
        let fields: Vec<Vec<u8>> = redis::from_redis_value(server.command(&["HKEYS".as_bytes(), key])).unwrap();
        let counter = fields.iter().find(|field| !field.is_empty()).unwrap();
        let text: &[u8] = &[b'x'; 24];
        match damage {
            0 => drop(server.command(&[b"SET", &key[..], text])),
            1 => drop(server.command(&[b"HSET", &key[..], counter, text])),
            2 => drop(server.command(&[b"HSET", &key[..], b"", text])),
            3 => drop(server.command(&[b"HDEL", &key[..], b""])),
            _ => {
                server.command(&[b"DEL", &key[..]]);
                server.command(&[b"RPUSH", &key[..], text]);
            }
        }
        let left = server.command(&["DUMP".as_bytes(), key]);
        for takes in [true, false] {
            let error = loop {
                let answer = if takes { ask().await } else { look().await };
                match answer.expect_err("an error, and no permit") {
                    RedisLimiterError::Unavailable(error) if matches!(*error, RedisLinkError::Resting(_)) => {}
                    error => break error,
                }
                assert!(started.elapsed() < Duration::from_secs(20), "Redis is not asked again");
            };
            let RedisLimiterError::Unavailable(error) = error else { panic!("{error}") };
            assert!(matches!(*error, RedisLinkError::Redis(_)), "damage {damage}: {error:?}");
        }
        assert_eq!(server.command(&["DUMP".as_bytes(), key]), left, "it is left alone");
    }
}
