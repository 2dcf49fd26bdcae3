//! Decisions a second with a Redis of its own, beside a bare script and a bare round trip. Run it with
//! `cargo bench --bench redis --features redis`. Needs `redis-server`.
//!
//! The floor is a script that does GCRA for one key and nothing else, sent by the same client over the same kind of
//! connection. All of it shares this machine with Redis, so ratios say more than figures, and so does the processor time that
//! each side takes for a call: `redis` and `node`, in microseconds.

use std::future::Future;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tower_api_key::clock::{Clock, SystemClock};
use tower_api_key::limit::redis::{Leases, RedisRateLimiter};
use tower_api_key::limit::{Algorithm, Charge, Charges, Detail, MemoryRateLimiter, Quota, RateLimiter, Subject};

const BARE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full_at = tonumber(redis.call('GET', KEYS[1]) or '0')
if full_at < now then full_at = now end
local emission, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
if full_at + emission - now > emission * burst then return {0, full_at - now} end
redis.call('SET', KEYS[1], string.format('%d', full_at + emission), 'PX', ARGV[3])
return {1, full_at - now}";

const KEYS: u32 = 10_000;

struct Server(Child, String);

impl Server {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server can be started");
        let server = Self(child, format!("redis://127.0.0.1:{port}"));
        let client = redis::Client::open(server.1.as_str()).expect("an address");
        for _ in 0..1_000 {
            if client.get_connection().is_ok() {
                return server;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("Redis does not answer")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Calls a second, with so many at once: the best of several rounds.
fn rate<F: Future<Output = ()> + Send + 'static>(
    (runtime, server): (&Runtime, &Server),
    name: &str,
    in_flight: u32,
    calls: u32,
    call: impl Fn(u32) -> F + Clone + Send + Sync + 'static,
) -> f64 {
    let mut best = 0f64;
    const ROUNDS: u32 = 4;
    let (redis, node) = (processor_time(server.0.id()), processor_time(std::process::id()));
    for _ in 0..ROUNDS {
        let call = call.clone();
        let started = Instant::now();
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for task in 0..in_flight {
                let call = call.clone();
                tasks.spawn(async move {
                    for number in 0..calls / in_flight {
                        call(task * (calls / in_flight) + number).await;
                    }
                });
            }
            tasks.join_all().await;
        });
        best = best.max(f64::from(calls) / started.elapsed().as_secs_f64());
    }
    let each = |since: f64, process: u32| (processor_time(process) - since) * 1e6 / f64::from(ROUNDS * calls);
    let (redis, node) = (each(redis, server.0.id()), each(node, std::process::id()));
    println!("{name:<66} {best:>11.0}/s, redis {redis:.2} us, node {node:.2} us");
    best
}

/// What a process has had of processors, in seconds; 0 where `/proc` does not tell.
fn processor_time(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let ticks = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn connect(runtime: &Runtime, server: &Server) -> MultiplexedConnection {
    let client = redis::Client::open(server.1.as_str()).expect("an address");
    runtime.block_on(client.get_multiplexed_async_connection()).expect("Redis is there")
}

fn bare_script(runtime: &Runtime, server: &Server) -> f64 {
    let script = redis::Script::new(BARE);
    let (connection, hash) = (connect(runtime, server), script.get_hash().to_owned());
    let mut loading = connection.clone();
    runtime.block_on(script.load_async(&mut loading)).expect("the script is loaded");
    rate((runtime, server), "bare script, 128 in flight", 128, 65_536, move |number| {
        let (mut connection, hash) = (connection.clone(), hash.clone());
        async move {
            let mut command = redis::cmd("EVALSHA");
            command.arg(hash).arg(1).arg(format!("bare:{}", number % KEYS)).arg(3_600).arg(1_000_000).arg("3600000");
            command.query_async::<(i64, i64)>(&mut connection).await.expect("Redis answers");
        }
    })
}

fn bare_round_trip(runtime: &Runtime, server: &Server) -> f64 {
    let connection = connect(runtime, server);
    rate((runtime, server), "bare round trip (PING), 128 in flight", 128, 65_536, move |_| {
        let mut connection = connection.clone();
        async move { redis::cmd("PING").exec_async(&mut connection).await.expect("Redis answers") }
    })
}

fn exact(runtime: &Runtime, server: &Server, name: &str, in_flight: u32, quotas: &[Quota]) -> f64 {
    let limiter = RedisRateLimiter::builder(server.1.as_str()).deadline(Duration::from_secs(5)).build();
    let limiter = limiter.expect("the settings are right");
    let quotas: Arc<[Quota]> = quotas.into();
    let subjects: Arc<[Subject]> = (0..KEYS).map(|key| Subject::route(&number_text(key))).collect();
    rate((runtime, server), name, in_flight, 262_144, move |number| {
        let (limiter, quotas, subject) = (limiter.clone(), quotas.clone(), subjects[(number % KEYS) as usize]);
        async move {
            let charges: Charges<'_> = quotas.iter().map(|quota| Charge::new(subject, quota)).collect();
            let decision = limiter.take(&charges, Detail::Closest, SystemClock.now()).await;
            assert!(decision.expect("Redis answers").is_admitted());
        }
    })
}

fn number_text(number: u32) -> String {
    number.to_string()
}

fn leases(server: &Server, name: &str, threads: usize, keys: u32) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut best = 0f64;
    let mut worst_share = 0f64;
    for round in 0..3 {
        let limiter = RedisRateLimiter::builder(server.1.as_str())
            .prefix(format!("leases-{threads}-{keys}-{round}"))
            .deadline(Duration::from_secs(5))
            .leases(Leases::new())
            .build()
            .expect("the settings are right");
        const CALLS: u32 = 6_000_000;
        let started = Instant::now();
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for task in 0..8 * threads as u32 {
                let limiter = limiter.clone();
                tasks.spawn(async move {
                    let quota = Quota::per_hour(u32::MAX);
                    let subjects: Vec<_> = (0..keys).map(|key| Subject::key(&number_text(key))).collect();
                    for number in 0..CALLS / (8 * threads as u32) {
                        let charge = [Charge::new(subjects[((number + task * 7) % keys) as usize], &quota)];
                        let now = SystemClock.now();
                        let decision = match limiter.take_now(&charge, Detail::Closest, now) {
                            Some(decision) => decision,
                            None => limiter.take(&charge, Detail::Closest, now).await.expect("Redis answers"),
                        };
                        assert!(decision.is_admitted());
                        // As a server does between requests.
                        if number % 64 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                });
            }
            tasks.join_all().await;
        });
        best = best.max(f64::from(CALLS) / started.elapsed().as_secs_f64());
        worst_share = worst_share.max(limiter.asked() as f64 / f64::from(CALLS));
    }
    println!("{name:<66} {best:>11.0}/s, {:.3} % asked Redis", worst_share * 100.0);
    best
}

fn memory() {
    let (limiter, quota) = (MemoryRateLimiter::new(), Quota::per_hour(u32::MAX));
    let subjects: Vec<_> = (0..KEYS).map(|key| Subject::key(&number_text(key))).collect();
    let started = Instant::now();
    for number in 0..4_000_000u32 {
        let charge = [Charge::new(subjects[(number % KEYS) as usize], &quota)];
        let _ = std::hint::black_box(limiter.take_now(&charge, Detail::Closest, SystemClock.now()));
    }
    let rate = 4e6 / started.elapsed().as_secs_f64();
    println!("{:<66} {rate:>11.0}/s", "memory, one thread");
}

fn main() {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    memory();
    let _ = bare_round_trip(&runtime, &server);
    let bare = bare_script(&runtime, &server);
    let gcra = Quota::new(1_000_000, Duration::from_secs(3_600)).algorithm(Algorithm::Gcra);
    let fixed = Quota::per_hour(1_000_000);
    let sliding = Quota::per_hour(1_000_000).algorithm(Algorithm::SlidingWindow);
    let mut ratios = Vec::new();
    for (name, quotas) in [
        ("fixed window", vec![fixed.clone()]),
        ("sliding window", vec![sliding]),
        ("GCRA", vec![gcra.clone()]),
        ("three quotas a request", vec![fixed.clone(), gcra.clone(), Quota::per_day(1_000_000)]),
    ] {
        let rate = exact(&runtime, &server, &format!("exact, 128 in flight, {name}"), 128, &quotas);
        ratios.push(format!("{name} {:.2}", rate / bare));
    }
    for in_flight in [1_024, 4_096] {
        let name = format!("exact, {in_flight} in flight, many keys in one call, fixed window");
        let rate = exact(&runtime, &server, &name, in_flight, std::slice::from_ref(&fixed));
        ratios.push(format!("{in_flight} in flight {:.2}", rate / bare));
    }
    drop(runtime);
    for (threads, keys) in [(1, 1), (1, 1_000), (2, 1), (2, 1_000)] {
        let rate = leases(&server, &format!("leases, {threads} thread(s), {keys} key(s)"), threads, keys);
        ratios.push(format!("leases {threads}x{keys} {:.1}", rate / bare));
    }
    println!("against the bare script: {}", ratios.join(", "));
}
