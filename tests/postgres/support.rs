//! A database of its own for each test, and a way to cut the connections to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_api_key::source::PostgresKeys;

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Whether tests that need a server are to run. With it set, a server that is missing is a failure.
pub(crate) fn wanted() -> bool {
    std::env::var("TEST_SERVICES").is_ok_and(|value| value == "1")
}

/// A database that is dropped with this value.
pub(crate) struct TestDatabase {
    pub(crate) name: String,
}

impl TestDatabase {
    pub(crate) async fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        let name = format!("tower_api_key_{}_{number}", std::process::id());
        administer(format!("CREATE DATABASE {name}")).await;
        Self { name }
    }

    pub(crate) fn url(&self) -> String {
        self.url_at(5432)
    }

    pub(crate) fn url_at(&self, port: u16) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/{}", self.name)
    }

    pub(crate) async fn keys(&self) -> PostgresKeys {
        PostgresKeys::connect(&self.url()).await.unwrap()
    }

    /// Ends connections to the database of which `condition` is true, and says how many those were.
    pub(crate) async fn end_connections(&self, condition: &str) -> i64 {
        let ended = format!(
            "SELECT COUNT(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
             WHERE datname = '{}' AND pid <> pg_backend_pid() AND ({condition})",
            self.name
        );
        sqlx::query_scalar(AssertSqlSafe(ended)).fetch_one(&mut administrator().await).await.unwrap()
    }

    pub(crate) async fn allow_connections(&self, allowed: bool) {
        administer(format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allowed}", self.name)).await;
        if !allowed {
            self.end_connections("TRUE").await;
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        std::thread::spawn(move || tokio::runtime::Runtime::new().unwrap().block_on(administer(drop))).join().unwrap();
    }
}

async fn administrator() -> PgConnection {
    let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(5432);
    PgConnection::connect_with(&options.username("postgres").database("postgres")).await.expect("Postgres answers")
}

async fn administer(sql: String) {
    administrator().await.execute(AssertSqlSafe(sql)).await.unwrap();
}

/// A pool of a few connections, for what a test asks past the store.
pub(crate) async fn pool(database: &TestDatabase) -> PgPool {
    PgPoolOptions::new().max_connections(2).connect(&database.url()).await.unwrap()
}

/// Waits until it is so, and says how long that took.
pub(crate) async fn until(mut so: impl AsyncFnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !so().await {
        assert!(start.elapsed() < seconds(20), "it never came");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    start.elapsed()
}

const OPEN: u8 = 0;
const SILENT: u8 = 1;
const CLOSED: u8 = 2;

/// A line to the server that can fall silent, as a network does, or be closed.
pub(crate) struct Line {
    pub(crate) port: u16,
    state: Arc<AtomicU8>,
}

impl Line {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(AtomicU8::new(OPEN));
        let shown = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let state = Arc::clone(&shown);
                tokio::spawn(async move {
                    if state.load(Ordering::SeqCst) == CLOSED {
                        return;
                    }
                    let Ok(far) = TcpStream::connect(("127.0.0.1", 5432)).await else { return };
                    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                    tokio::select! {
                        () = carry(near_in, far_out, Arc::clone(&state)) => {}
                        () = carry(far_in, near_out, state) => {}
                    }
                });
            }
        });
        Self { port, state }
    }

    pub(crate) fn fall_silent(&self) {
        self.state.store(SILENT, Ordering::SeqCst);
    }

    pub(crate) fn close(&self) {
        self.state.store(CLOSED, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        self.state.store(OPEN, Ordering::SeqCst);
    }
}

/// Carries bytes while the line is open; what is said on a silent line never arrives.
async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    state: Arc<AtomicU8>,
) {
    let mut bytes = vec![0; 16_384];
    let mut cut = false;
    loop {
        let read = tokio::time::timeout(Duration::from_millis(5), from.read(&mut bytes)).await;
        match (state.load(Ordering::SeqCst), read) {
            (CLOSED, _) | (_, Ok(Err(_) | Ok(0))) => return,
            (SILENT, Ok(Ok(_))) => cut = true,
            (_, Ok(Ok(count))) if !cut && to.write_all(&bytes[..count]).await.is_err() => return,
            _ => {}
        }
    }
}
