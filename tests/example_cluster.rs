//! The example `cluster`, as the processes that it is, with a Postgres database and a Redis of its own.

mod support;

use std::io::Read;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use support::{Program, get, json, send};

const ADMIN: &str = "an-admin-key-of-at-least-32-characters";

/// Whether servers are there to test with. With `TEST_SERVICES=1`, one that is missing is a failure.
fn services() -> bool {
    std::env::var("TEST_SERVICES").is_ok_and(|on| on == "1")
}

fn bearer(key: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {key}"))
}

async fn administer(sql: String) {
    let mut administrator = PgConnection::connect("postgres://postgres@127.0.0.1:5432/postgres").await.unwrap();
    administrator.execute(AssertSqlSafe(sql)).await.unwrap();
}

/// Stores of one's own: dropped and ended with this value.
struct Stores {
    redis: Child,
    port: u16,
    database: String,
}

impl Stores {
    async fn start(name: &str) -> Self {
        let database = format!("tower_api_key_cluster_{name}_{}", std::process::id());
        administer(format!("CREATE DATABASE {database}")).await;
        let port = free_port();
        Self { redis: start_redis(port), port, database }
    }

    fn settings(&self) -> [(String, String); 3] {
        let redis = format!("redis://127.0.0.1:{}", self.port);
        let database = format!("postgres://postgres@127.0.0.1:5432/{}", self.database);
        [("REDIS_URL", redis), ("DATABASE_URL", database), ("ADMIN_API_KEY", ADMIN.to_owned())]
            .map(|(name, value)| (name.to_owned(), value))
    }

    /// The example with these stores, and where its nodes are.
    fn nodes(&self, settings: &[(&str, &str)], count: usize) -> (Program, Vec<String>) {
        let mut command = support::command("cluster", settings);
        command.envs(self.settings()).env("RUST_LOG", "off");
        let mut program = Program::run(command);
        let first = program.url.clone();
        let mut others = (1..count).map(|_| program.line()).collect::<Vec<_>>();
        for line in &mut others {
            *line = line.strip_prefix("listening on ").unwrap().to_owned();
        }
        (program, [vec![first], others].concat())
    }

    fn stop_redis(&mut self) {
        let _ = self.redis.kill();
        let _ = self.redis.wait();
    }

    /// Waits until so many nodes hear what others change: what they have read before is forgotten by then.
    async fn are_heard_by(&self, nodes: i64) {
        let mut database = PgConnection::connect("postgres://postgres@127.0.0.1:5432/postgres").await.unwrap();
        let listening = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = $1 AND query LIKE 'LISTEN%'";
        let started = Instant::now();
        loop {
            let count = sqlx::query_scalar(listening).bind(&self.database).fetch_one(&mut database);
            if count.await.is_ok_and(|count: i64| count == nodes) {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "not all of {nodes} nodes listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn allow_connections(&self, allowed: bool) {
        administer(format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allowed}", self.database)).await;
        if !allowed {
            let of = &self.database;
            let end = format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{of}'");
            administer(end).await;
        }
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        self.stop_redis();
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database);
        std::thread::spawn(move || tokio::runtime::Runtime::new().unwrap().block_on(administer(drop))).join().unwrap();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start_redis(port: u16) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server can be started")
}

/// Makes a key on the node, and returns it with its id.
async fn make_key(node: &str, name: &str) -> (String, String) {
    let (header, admin) = bearer(ADMIN);
    let body = json!({ "name": name, "scopes": ["read"] }).to_string();
    let made = send("POST", &format!("{node}/v1/keys"), &[(header, &admin)], &body).await;
    assert_eq!(made.status(), StatusCode::CREATED, "{}", made.body());
    let made = json(&made);
    let id = made["id"].as_str().or(made["data"]["id"].as_str()).unwrap();
    let key = made["key"].as_str().or(made["data"]["key"].as_str()).unwrap();
    (key.to_owned(), id.to_owned())
}

async fn whoami(node: &str, key: &str) -> StatusCode {
    let (header, key) = bearer(key);
    get(&format!("{node}/api/whoami"), &[(header, &key)]).await.status()
}

/// Waits until the node answers so, and says how long that took.
async fn answers(node: &str, key: &str, status: StatusCode, within: Duration) -> Duration {
    let started = Instant::now();
    loop {
        let answer = whoami(node, key).await;
        if answer == status {
            return started.elapsed();
        }
        assert!(started.elapsed() < within, "{node} still answers {answer}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Asks all nodes at once, and says how many were admitted; the others were refused for their number.
async fn admitted(nodes: &[String], key: &str, calls: usize) -> usize {
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..12 {
        let (node, key) = (nodes[task % nodes.len()].clone(), key.to_owned());
        tasks.spawn(async move {
            let mut admitted = 0;
            for _ in 0..calls / 12 {
                match whoami(&node, &key).await {
                    StatusCode::OK => admitted += 1,
                    status => assert_eq!(status, StatusCode::TOO_MANY_REQUESTS),
                }
            }
            admitted
        });
    }
    tasks.join_all().await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_nodes_share_keys_limits_and_revocations() {
    if !services() {
        return;
    }
    let stores = Stores::start("shared").await;
    let (program, nodes) = stores.nodes(&[("API_RATE_LIMIT", "500"), ("NODES", "4")], 4);
    let (key, _) = make_key(&nodes[0], "ci").await;
    for node in &nodes {
        let (header, value) = bearer(&key);
        let answer = send("POST", &format!("{node}/v1/generate"), &[(header, &value)], r#"{"prompt":"hello"}"#).await;
        assert_eq!(json(&answer)["data"]["generated"]["prompt"], "hello");
        let refused = get(&format!("{node}/v1/keys"), &[(header, &value)]).await;
        assert_eq!(
            (refused.status(), &json(&refused)["error"]["code"]),
            (StatusCode::FORBIDDEN, &json!("INSUFFICIENT_SCOPE"))
        );
    }
    let (key, _) = make_key(&nodes[1], "counted").await;
    assert_eq!(admitted(&nodes, &key, 1_200).await, 500, "over all nodes");

    for round in 0..100 {
        let (key, id) = make_key(&nodes[round % 4], &format!("round-{round}")).await;
        for node in &nodes {
            assert_eq!(whoami(node, &key).await, StatusCode::OK);
        }
        let (header, admin) = bearer(ADMIN);
        let revoked = send("DELETE", &format!("{}/v1/keys/{id}", nodes[0]), &[(header, &admin)], "").await;
        assert!(revoked.status().is_success(), "{}", revoked.body());
        assert_eq!(whoami(&nodes[0], &key).await, StatusCode::UNAUTHORIZED);
        for node in &nodes[1..] {
            answers(node, &key, StatusCode::UNAUTHORIZED, Duration::from_secs(1)).await;
        }
    }
    assert_eq!(program.terminate().code(), Some(0));
    for node in &nodes {
        let address = node.strip_prefix("http://").unwrap();
        assert!(std::net::TcpStream::connect(address).is_err(), "{node} still listens");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_leases_never_is_more_admitted_than_the_limit() {
    if !services() {
        return;
    }
    let stores = Stores::start("leases").await;
    let (_program, nodes) = stores.nodes(&[("LIMIT_MODE", "leases"), ("API_RATE_LIMIT", "300"), ("NODES", "2")], 2);
    let (key, _) = make_key(&nodes[0], "ci").await;
    let admitted = admitted(&nodes, &key, 600).await;
    assert!((200..=300).contains(&admitted), "{admitted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_outlive_both_stores() {
    if !services() {
        return;
    }
    let mut stores = Stores::start("outage").await;
    let (_program, nodes) = stores.nodes(&[("NODES", "2"), ("API_RATE_LIMIT", "100000")], 2);
    stores.are_heard_by(2).await;
    let (key, _) = make_key(&nodes[0], "known").await;
    let (unknown, _) = make_key(&nodes[0], "known to the first node alone").await;
    for node in &nodes {
        assert_eq!(whoami(node, &key).await, StatusCode::OK);
    }
    stores.allow_connections(false).await;
    let away = Instant::now();
    while away.elapsed() < Duration::from_secs(2) {
        assert_eq!(whoami(&nodes[1], &key).await, StatusCode::OK, "a key that is known works without Postgres");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(whoami(&nodes[1], &unknown).await, StatusCode::SERVICE_UNAVAILABLE);
    stores.allow_connections(true).await;
    answers(&nodes[1], &unknown, StatusCode::OK, Duration::from_secs(20)).await;

    stores.stop_redis();
    let refused = {
        let (header, value) = bearer(&key);
        get(&format!("{}/api/whoami", nodes[0]), &[(header, &value)]).await
    };
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"), "{refused:?}");
    assert_eq!(json(&refused)["error"]["code"], "AUTH_UNAVAILABLE");
    stores.redis = start_redis(stores.port);
    for node in &nodes {
        answers(node, &key, StatusCode::OK, Duration::from_secs(20)).await;
    }
}

#[tokio::test]
async fn nodes_end_with_the_process_that_started_them_however_it_ends() {
    if !services() {
        return;
    }
    let stores = Stores::start("killed").await;
    let (program, nodes) = stores.nodes(&[("NODES", "2")], 2);
    // Killed, it can tell nobody.
    drop(program);
    let started = Instant::now();
    for node in &nodes {
        while std::net::TcpStream::connect(node.strip_prefix("http://").unwrap()).is_ok() {
            assert!(started.elapsed() < Duration::from_secs(10), "{node} still listens");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The exit code, and what stands on stderr, of a start that fails.
fn failed_start(settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = support::command("cluster", settings);
    let mut child = command.env("RUST_LOG", "off").stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    child.stderr.take().unwrap().read_to_string(&mut line).unwrap();
    (child.wait().unwrap().code(), line)
}

#[test]
fn what_is_missing_at_the_start_is_named_without_its_password() {
    let closed = free_port();
    let redis = format!("redis://:a-password@127.0.0.1:{closed}");
    let database = format!("postgres://app:a-password@127.0.0.1:{closed}/app");
    let settings =
        [("REDIS_URL", &*redis), ("DATABASE_URL", &*database), ("ADMIN_API_KEY", ADMIN), ("WAIT_SECONDS", "1")];
    let (code, line) = failed_start(&settings);
    assert_eq!((code, line.lines().count()), (Some(2), 1), "{line}");
    assert!(line.contains("REDIS_URL: ") && line.contains("DATABASE_URL: "), "{line}");
    assert!(!line.contains("a-password") && !line.contains(ADMIN), "{line}");
}

#[test]
fn wrong_settings_are_named_all_at_once() {
    let (code, line) = failed_start(&[("LIMIT_MODE", "both"), ("NODES", "0"), ("API_RATE_LIMIT", "0")]);
    assert_eq!((code, line.lines().count()), (Some(2), 1), "{line}");
    for name in ["REDIS_URL", "DATABASE_URL", "LIMIT_MODE", "NODES", "API_RATE_LIMIT"] {
        assert!(line.contains(&format!("{name}: ")), "{line}");
    }
    let url = [("REDIS_URL", "http://user:a-password@x"), ("DATABASE_URL", "mysql://user:a-password@x")];
    let (code, line) = failed_start(&[&url[..], &[("WAIT_SECONDS", "0")]].concat());
    assert_eq!(code, Some(2), "{line}");
    assert!(line.contains("REDIS_URL: ") && !line.contains("a-password"), "{line}");
}
