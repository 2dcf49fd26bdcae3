//! Keys in a file of SQLite.

use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::error::DatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqliteConnection, SqlitePool, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::announcement::Announcement;
use super::database::{SqlDatabase, Statement, bound, driver};
use super::migration::Migration;
use super::row::StoredRow;
use super::{SqlKeys, SqlKeysBuilder, SqlKeysError};
use crate::error::ConfigError;

/// How long a change waits for those of other processes.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long until a file is tried again that others had to themselves.
const PAUSE: Duration = Duration::from_millis(5);

/// A database of SQLite, the half of [`SqliteKeys`] that knows its dialect.
#[derive(Debug, Clone)]
pub struct Sqlite {
    pool: SqlitePool,
    /// One change at a time, so that those who wait for it do not hold the connections that readers need.
    turn: Arc<Semaphore>,
}

/// Keys in a file of SQLite: for one machine, however many processes.
///
/// ```no_run
/// # async fn run() -> Result<(), tower_api_key::BoxError> {
/// use tower_api_key::source::{KeyStore, NewKey, SqliteKeys};
///
/// let keys = SqliteKeys::connect("sqlite://keys.db").await?;
/// let issued = keys.issue(NewKey::named("ci")).await?;
/// # Ok(()) }
/// ```
///
/// - **A change that was answered is on the disk**, whatever happens to the process or the machine (`synchronous = FULL`).
/// - **Nobody who looks a key up waits for a change** (`journal_mode = WAL`). Changes wait for each other, those of other
///   processes up to 10 seconds.
/// - The file is made if it is missing, for its owner's eyes alone (mode 0600), unless the URL says `mode=rw` or `mode=ro`.
///   `sqlite::memory:` is a database of this value alone.
///
/// A lookup takes some 20 microseconds on a thread of its connection; with [`Cached`](crate::source::cached) in front, what
/// other processes change is seen after the time to live, since SQLite tells nobody.
pub type SqliteKeys = SqlKeys<Sqlite>;

impl SqlKeys<Sqlite> {
    /// A store in a database that the application has opened. The settings of its connections stay what they are: without
    /// `synchronous = FULL` and a `busy_timeout`, changes can be lost with the power, or fail while others make theirs.
    pub fn from_pool(pool: SqlitePool) -> SqlKeysBuilder<Sqlite> {
        SqlKeysBuilder::of(Sqlite::new(pool))
    }

    /// The connections.
    pub fn pool(&self) -> &SqlitePool {
        &self.database().pool
    }
}

impl Sqlite {
    fn new(pool: SqlitePool) -> Self {
        Self { pool, turn: Arc::new(Semaphore::new(1)) }
    }
}

fn options(url: &str) -> Result<SqliteConnectOptions, SqlKeysError> {
    let options = url.starts_with("sqlite:").then(|| SqliteConnectOptions::from_str(url).ok()).flatten();
    let options = options.ok_or_else(|| ConfigError::new("url", "must be of the form sqlite://<path>"))?;
    let options = options.busy_timeout(PATIENCE).foreign_keys(true);
    Ok(options.synchronous(SqliteSynchronous::Full))
}

fn pool(options: SqliteConnectOptions, url: &str) -> SqlitePool {
    let pool = SqlitePoolOptions::new().test_before_acquire(false);
    if is_in_memory(url) {
        // The database lives as long as its connection.
        let pool = pool.max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None);
        return pool.connect_lazy_with(options);
    }
    let writes = mode(url).is_none_or(|mode| mode != "ro");
    pool.connect_lazy_with(if writes { options.journal_mode(SqliteJournalMode::Wal) } else { options })
}

fn mode(url: &str) -> Option<&str> {
    let (_, parameters) = url.split_once('?')?;
    parameters.split('&').find_map(|parameter| parameter.strip_prefix("mode="))
}

fn is_in_memory(url: &str) -> bool {
    url.contains(":memory:") || mode(url) == Some("memory")
}

fn makes_file(url: &str) -> bool {
    !is_in_memory(url) && mode(url).is_none_or(|mode| mode == "rwc")
}

/// Makes an empty file, which is an empty database, unless there is one. What SQLite puts beside it gets its mode.
fn make(path: &std::path::Path) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new();
    file.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    match file.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Tries again while others have the file to themselves. `busy_timeout` does not wait for all of them: of two connections
/// that make a new file one with a write-ahead log, one is told at once that the file is locked.
async fn patiently<T, F>(attempt: impl Fn() -> F) -> Result<T, sqlx::Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let start = Instant::now();
    loop {
        match attempt().await {
            Err(error) if is_busy(&error) && start.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
}

/// Whether the low byte of the [result code](https://www.sqlite.org/rescode.html) is `SQLITE_BUSY`.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xFF == 5)
}

impl SqlDatabase for Sqlite {
    type Driver = sqlx::Sqlite;
    type Turn = Option<OwnedSemaphorePermit>;

    const NAME: &'static str = "sqlite";
    const FOR_UPDATE: &'static str = "";
    const MIGRATIONS: &'static [Migration] = &[
        Migration { version: 1, sql: include_str!("migrations/sqlite_1.sql") },
        Migration { version: 2, sql: include_str!("migrations/sqlite_2.sql") },
    ];
    const HAS_TABLE: &'static str = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = $1";

    fn open(url: &str) -> Result<Self, SqlKeysError> {
        let options = options(url)?;
        if makes_file(url) {
            make(options.get_filename()).map_err(SqlKeysError::File)?;
        }
        Ok(Self::new(pool(options, url)))
    }

    fn look(url: &str) -> Result<Option<Self>, SqlKeysError> {
        let options = options(url)?;
        if is_in_memory(url) || !options.get_filename().exists() {
            return Ok(None);
        }
        Ok(Some(Self::new(SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options))))
    }

    async fn read(&self) -> Result<PoolConnection<sqlx::Sqlite>, sqlx::Error> {
        patiently(|| self.pool.acquire()).await
    }

    async fn change(&self) -> Result<(Transaction<'static, sqlx::Sqlite>, Self::Turn), sqlx::Error> {
        // Never closed.
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok();
        // A transaction that begins by reading can find that it may not write any more.
        Ok((patiently(|| self.pool.begin_with("BEGIN IMMEDIATE")).await?, turn))
    }

    async fn lock_schema(_connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        // `BEGIN IMMEDIATE` has done so.
        Ok(())
    }

    async fn announce(_: &mut SqliteConnection, _table: &str, _: &[Announcement]) -> Result<(), sqlx::Error> {
        // SQLite has nobody to tell.
        Ok(())
    }

    driver!(sqlx::Sqlite, SqliteConnection);
}
