//! Three nodes over Postgres and Redis, and all that can be taken from them.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use tower_api_key::source::{KeyFilter, KeyStore, PostgresKeys};

use crate::process::{Database, Process, Redis, example};
use crate::report;
use crate::site::Site;
use crate::traffic::Traffic;

const NODES: usize = 3;

/// How often a key may call in an hour. Met soon by the one that is hammered, and by no other.
const LIMIT: u64 = 900;

/// Between two faults.
const CALM: Duration = Duration::from_secs(3);

/// Within these times all nodes work again, without a restart.
const AFTER_REDIS: Duration = Duration::from_secs(10);
const AFTER_POSTGRES: Duration = Duration::from_secs(20);
const AFTER_RESTART: Duration = Duration::from_secs(20);

/// Within this time nodes hear each other again that can reach Postgres: they ask for that every five seconds at least.
const HEARD_AGAIN: Duration = Duration::from_secs(8);

/// Within this time a node serves what it has begun, writes its uses, and ends.
const END: Duration = Duration::from_secs(10);

/// What a killed node can lose, in seconds of uses: one interval of ten, the time of a batch, and one interval more where
/// the last batch could not be written.
const LOST: u64 = 24;

struct Cluster {
    site: Arc<Site>,
    database: Database,
    redis: Redis,
}

/// Runs the cluster for so long.
pub(crate) async fn soak(time: Duration, seed: u64) -> Vec<String> {
    let (database, redis) = (Database::create().await, Redis::start());
    let nodes = (1..=NODES).map(|number| Process::start(node(number, &database, &redis))).collect();
    let site = Arc::new(Site::new(nodes));
    let mut cluster = Cluster { site, database, redis };
    cluster.run(time, seed).await
}

fn node(number: usize, database: &Database, redis: &Redis) -> Command {
    let mut command = example("cluster");
    command.env("CLUSTER_NODE", number.to_string()).env("DATABASE_URL", database.url());
    command.env("REDIS_URL", format!("redis://127.0.0.1:{}", redis.port));
    command.env("API_RATE_LIMIT", LIMIT.to_string());
    command
}

impl Cluster {
    async fn run(&mut self, time: Duration, seed: u64) -> Vec<String> {
        let site = Arc::clone(&self.site);
        site.recovers("start", AFTER_RESTART).await;
        let hammered = site.make(0, None).await.expect("all works at the start");
        let traffic = Traffic::start(&site, hammered, seed);
        let end = Instant::now() + time;
        for fault in (0..6).cycle() {
            tokio::time::sleep(CALM).await;
            if Instant::now() >= end {
                break;
            }
            site.warm_up(time / 5);
            match fault {
                0 => self.pause_redis().await,
                1 => self.empty_redis().await,
                2 => self.kill_a_node().await,
                3 => self.end_a_node().await,
                4 => self.cut_postgres().await,
                _ => self.refuse_by_postgres().await,
            }
        }
        site.stop();
        traffic.end().await;
        self.check().await;
        report::print("cluster", &site);
        std::mem::take(&mut site.tally().violations)
    }

    async fn pause_redis(&self) {
        self.redis.signal("-STOP");
        let key = self.site.board().live.last().cloned();
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(2) {
            if let Some(key) = &key
                && let Some(status) = self.site.whoami(0, &key.text).await
                && status == StatusCode::OK
                && since.elapsed() > Duration::from_millis(500)
            {
                self.site.violated("a request is let in that nobody has counted".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.redis.signal("-CONT");
        self.site.recovers("Redis stood still", AFTER_REDIS).await;
    }

    async fn empty_redis(&mut self) {
        self.site.lose_counters();
        self.redis.kill();
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.redis.start_again();
        self.site.recovers("Redis was killed", AFTER_REDIS).await;
    }

    async fn kill_a_node(&self) {
        let node_1 = self.site.take(1);
        node_1.signal("-KILL");
        let _ = node_1.ended(END).await;
        self.site.killed(1, LOST);
        self.start(1);
        self.site.recovers("a node was killed", AFTER_RESTART).await;
    }

    async fn end_a_node(&self) {
        self.end_node(2).await;
        self.start(2);
        self.site.recovers("a node was replaced", AFTER_RESTART).await;
    }

    async fn end_node(&self, slot: usize) {
        let node = self.site.take(slot);
        node.signal("-TERM");
        let status = node.ended(END).await;
        if status.and_then(|status| status.code()) != Some(0) {
            self.site.violated(format!("node {slot} ends with {status:?}"));
        }
    }

    fn start(&self, slot: usize) {
        self.site.put(slot, Process::start(node(slot + 1, &self.database, &self.redis)));
    }

    async fn cut_postgres(&self) {
        self.untold().await;
        self.database.end_connections().await;
        self.site.recovers("connections to Postgres were cut", AFTER_POSTGRES).await;
        self.told();
    }

    /// What nodes know works without Postgres.
    async fn refuse_by_postgres(&self) {
        let known = self.site.make(0, None).await;
        for slot in self.site.up() {
            if let Some(key) = &known {
                self.site.whoami(slot, &key.text).await;
            }
        }
        self.untold().await;
        self.database.allow_connections(false).await;
        self.database.end_connections().await;
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(3) {
            for slot in self.site.up() {
                if let Some(key) = &known
                    && self.site.whoami(slot, &key.text).await == Some(StatusCode::UNAUTHORIZED)
                {
                    self.site.violated(format!("node {slot} takes a key for wrong that it cannot look up"));
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.database.allow_connections(true).await;
        self.site.recovers("Postgres refused connections", AFTER_POSTGRES).await;
        self.told();
    }

    /// From here on nodes may not hear what others change.
    async fn untold(&self) {
        self.site.board().untold.push((Instant::now(), None));
    }

    fn told(&self) {
        if let Some(last) = self.site.board().untold.last_mut() {
            last.1 = Some(Instant::now() + HEARD_AGAIN);
        }
    }

    /// No more was let in than the limit, which a Redis without its data begins anew.
    fn check_limit(&self) {
        let hammered = std::mem::take(&mut self.site.tally().hammered);
        println!("let in with one key, before Redis first lost its data and after each loss: {hammered:?}");
        let most = hammered.values().max().copied().unwrap_or_default();
        if most > LIMIT {
            self.site.violated(format!("{most} calls are let in under a limit of {LIMIT}"));
        }
        // What Redis counted, and said too late, is missing.
        if most < LIMIT * 9 / 10 {
            self.site.violated(format!("the limit of {LIMIT} was never met: {most}"));
        }
    }

    /// What has to hold of the whole run.
    async fn check(&self) {
        report::check_figures(&self.site, 0);
        for slot in self.site.up() {
            self.end_node(slot).await;
        }
        self.check_limit();
        let keys = PostgresKeys::connect(&self.database.url()).await.unwrap();
        report::check_uses(&self.site, uses(&keys).await);
    }
}

/// How often all keys of a store were used.
pub(crate) async fn uses<S: KeyStore>(keys: &S) -> u64 {
    let (mut filter, mut uses) = (KeyFilter::default(), 0);
    filter.limit = 100;
    loop {
        let page = keys.list(&filter).await.map_err(Into::into).unwrap();
        uses += page.items.iter().map(|record| record.use_count).sum::<u64>();
        let Some(cursor) = page.next_cursor else { return uses };
        filter.cursor = Some(cursor);
    }
}
