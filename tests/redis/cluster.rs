//! Redis Cluster: three nodes of it, and a slot that moves.

use std::time::{Duration, Instant};

use redis::{Value, from_redis_value};
use tower_api_key::clock::{Clock, SystemClock, Timestamp};
use tower_api_key::limit::credits::Credits;
use tower_api_key::limit::redis::{Leases, RedisCredits, RedisRateLimiter, RedisRateLimiterBuilder};
use tower_api_key::limit::{Charge, Detail, RateLimiter, Subject};

use super::credits::spend_all;
use super::exact::{hammer, quota};
use super::support::*;

const SLOTS: [(u16, u16); 3] = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];

struct Cluster([Server; 3]);

impl Cluster {
    fn start() -> Self {
        let cluster = Self(std::array::from_fn(|_| {
            let bus = free_port().to_string();
            Server::start_with(&["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "2000"])
        }));
        let [first, ..] = &cluster.0;
        for (number, (server, (from, to))) in cluster.0.iter().zip(SLOTS).enumerate() {
            server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
            server.command(&["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]);
            let bus: Vec<String> = from_redis_value(server.command(&["CONFIG", "GET", "cluster-port"])).unwrap();
            first.command(&["CLUSTER", "MEET", "127.0.0.1", &server.port.to_string(), &bus[1]]);
        }
        let started = Instant::now();
        while !cluster.0.iter().all(knows_all) {
            assert!(started.elapsed() < Duration::from_secs(20), "they do not find each other");
            std::thread::sleep(Duration::from_millis(20));
        }
        cluster
    }

    fn urls(&self) -> Vec<String> {
        self.0.iter().map(Server::url).collect()
    }

    fn limiter(&self) -> RedisRateLimiterBuilder {
        RedisRateLimiter::cluster(self.urls()).deadline(Duration::from_secs(5))
    }

    /// Moves the slot of `key` with all that is in it from the node that has it to the next one.
    fn move_slot_of(&self, key: &str) {
        let slot: u16 = from_redis_value(self.0[0].command(&["CLUSTER", "KEYSLOT", key])).unwrap();
        let owner = SLOTS.iter().position(|(from, to)| (from..=to).contains(&&slot)).unwrap();
        let (from, to) = (&self.0[owner], &self.0[(owner + 1) % 3]);
        let id = |server: &Server| from_redis_value::<String>(server.command(&["CLUSTER", "MYID"])).unwrap();
        let (slot, from_id, to_id) = (slot.to_string(), id(from), id(to));
        to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
        from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
        let keys = from.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "1000"]);
        for key in from_redis_value::<Vec<Vec<u8>>>(keys).unwrap() {
            let port = to.port.to_string();
            let words: [&[u8]; 6] = [b"MIGRATE", b"127.0.0.1", port.as_bytes(), &key, b"0", b"5000"];
            from.command(&words);
        }
        for server in [to, from] {
            server.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
        }
    }
}

fn knows_all(server: &Server) -> bool {
    let info: String = from_redis_value(server.command(&["CLUSTER", "INFO"])).unwrap();
    let Value::Array(ranges) = server.command(&["CLUSTER", "SLOTS"]) else { return false };
    info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3") && ranges.len() == 3
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_exactly_the_limit_is_admitted_also_when_its_slot_has_moved() {
    if !services() {
        return;
    }
    let cluster = Cluster::start();
    for prefix in ["a", "b", "c", "d"] {
        let nodes: Vec<_> = (0..2).map(|_| cluster.limiter().prefix(prefix).build().unwrap()).collect();
        for (kind, number) in [("fixed", 1), ("sliding", 2), ("gcra", 3)] {
            let (subject, quota) = (format!("k{number}"), quota(kind, 100));
            let (one, other) =
                tokio::join!(hammer(&nodes[0], &subject, &quota, 320), hammer(&nodes[1], &subject, &quota, 320));
            assert_eq!(one + other, 100, "{kind} under {prefix}");
        }
        let quota = quota("fixed", 100);
        assert_eq!(hammer(&nodes[0], "moving", &quota, 64).await, 64);
        cluster.move_slot_of(&format!("{{{prefix}}}"));
        assert_eq!(hammer(&nodes[0], "moving", &quota, 320).await, 36, "the counter has moved as well");
        assert_eq!(hammer(&nodes[1], "moving", &quota, 320).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_several_subjects_are_charged_in_one_step_and_leases_hold() {
    if !services() {
        return;
    }
    let cluster = Cluster::start();
    let limiter = cluster.limiter().build().unwrap();
    let (wide, narrow) = (quota("fixed", 1_000), quota("sliding", 30));
    let charges = [Charge::new(Subject::key("k"), &wide), Charge::new(Subject::owner("o"), &narrow)];
    for call in 0..40 {
        let decision = limiter.take(&charges, Detail::Closest, SystemClock.now()).await.unwrap();
        assert_eq!(decision.is_admitted(), call < 30);
    }
    let look = limiter.peek(&charges[..1], Detail::Closest, SystemClock.now()).await.unwrap();
    assert_eq!(look.state().unwrap().remaining, 970);

    let nodes: Vec<_> = (0..2).map(|_| cluster.limiter().leases(Leases::new()).build().unwrap()).collect();
    let quota = quota("fixed", 5_000);
    let (one, other) = tokio::join!(hammer(&nodes[0], "l", &quota, 6_400), hammer(&nodes[1], "l", &quota, 6_400));
    assert!((4_000..=5_000).contains(&(one + other)), "{one} + {other}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_each_credit_is_spent_once() {
    if !services() {
        return;
    }
    let cluster = Cluster::start();
    let nodes: Vec<_> =
        (0..2).map(|_| RedisCredits::cluster(cluster.urls(), "test", Duration::from_secs(5)).unwrap()).collect();
    let record = Credits::new(100).starting(Timestamp::UNIX_EPOCH);
    for key in ["a", "b", "c", "d", "e", "f"] {
        let (one, other) =
            tokio::join!(spend_all(&nodes[0], key, &record, 160), spend_all(&nodes[1], key, &record, 160));
        assert_eq!(one + other, 100, "{key}");
    }
}

#[tokio::test]
async fn a_cluster_without_nodes_is_a_wrong_setting() {
    assert!(RedisRateLimiter::cluster(Vec::<String>::new()).build().is_err());
    let error = RedisRateLimiter::cluster(["redis://:a-password@"]).prefix("").build().unwrap_err().to_string();
    assert!(!error.contains("a-password"), "{error}");
}
