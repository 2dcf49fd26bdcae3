//! Keys in Postgres.

#[cfg(feature = "cache")]
mod invalidations;

use std::str::FromStr;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool, Transaction};

use super::announcement::Announcement;
use super::database::{SqlDatabase, Statement, Value, bound, driver};
use super::migration::Migration;
use super::row::StoredRow;
use super::{SqlKeys, SqlKeysBuilder, SqlKeysError};
use crate::error::ConfigError;

#[cfg(feature = "cache")]
pub use self::invalidations::{LostNotifications, PostgresInvalidations};

/// How long a lookup waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection may have been idle before it is tested.
const TRUSTED: Duration = Duration::from_secs(1);

/// How long a connection may take to show that it still works.
const TEST: Duration = Duration::from_secs(2);

/// Held while tables are made: `api_keys` in ASCII.
const SCHEMA_LOCK: i64 = 0x6170_695f_6b65_7973;

/// A database of Postgres, the half of [`PostgresKeys`] that knows its dialect.
#[derive(Debug, Clone)]
pub struct Postgres {
    pool: PgPool,
}

/// Keys in Postgres: for any number of nodes.
///
/// ```no_run
/// # async fn run() -> Result<(), tower_api_key::BoxError> {
/// use tower_api_key::source::{KeyStore, NewKey, PostgresKeys};
///
/// let keys = PostgresKeys::connect("postgres://app@localhost/app").await?;
/// let issued = keys.issue(NewKey::named("ci")).await?;
/// # Ok(()) }
/// ```
///
/// - **Two who change a key at once have the outcome of one after the other** (`SELECT … FOR UPDATE`), and readers wait for
///   neither.
/// - **A change tells the other nodes** (`NOTIFY` in its transaction): with the feature `cache`, `invalidations` brings that
///   to a [`Cached`](crate::source::cached).
/// - Up to 10 connections, which are tested after a second of idleness; those that a pause of the network has made useless
///   are replaced. Use [`from_pool`](Self::from_pool) for other numbers.
///
/// The tables are where the `search_path` of the connection points; `?options=-c%20search_path%3Dauth` in the URL names a
/// schema. With the feature `postgres-tls`, connections are encrypted where the server can do that; `?sslmode=verify-full`
/// insists, and on a certificate that the system trusts.
pub type PostgresKeys = SqlKeys<Postgres>;

impl SqlKeys<Postgres> {
    /// A store in a database that the application has connections to. Their settings stay what they are.
    pub fn from_pool(pool: PgPool) -> SqlKeysBuilder<Postgres> {
        SqlKeysBuilder::of(Postgres { pool })
    }

    /// The connections.
    pub fn pool(&self) -> &PgPool {
        &self.database().pool
    }
}

fn options(url: &str) -> Result<PgConnectOptions, SqlKeysError> {
    let is_url = url.starts_with("postgres:") || url.starts_with("postgresql:");
    let options = is_url.then(|| PgConnectOptions::from_str(url).ok()).flatten();
    options.ok_or_else(|| ConfigError::new("url", "must be of the form postgres://<user>@<host>/<database>").into())
}

/// Whether a connection still works. One that does not say so soon is closed without a word, so that it does not keep its
/// place for as long as the network waits.
async fn works(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let tested = tokio::time::timeout(TEST, connection.ping()).await;
    tested.map_err(|_| sqlx::Error::PoolTimedOut)?.map(|()| true)
}

fn pool() -> PgPoolOptions {
    let pool = PgPoolOptions::new().max_connections(10).acquire_timeout(PATIENCE).test_before_acquire(false);
    let pool = pool.before_acquire(|connection, idle| {
        Box::pin(async move { if idle.idle_for < TRUSTED { Ok(true) } else { works(connection).await } })
    });
    pool.after_release(|connection, _| Box::pin(works(connection)))
}

/// The channel on which changes of the keys in `table` are told.
fn channel(table: &str) -> String {
    format!("{table}_changes")
}

impl SqlDatabase for Postgres {
    type Driver = sqlx::Postgres;
    type Turn = ();

    const NAME: &'static str = "postgres";
    const FOR_UPDATE: &'static str = " FOR UPDATE";
    const MIGRATIONS: &'static [Migration] = &[
        Migration { version: 1, sql: include_str!("migrations/postgres_1.sql") },
        Migration { version: 2, sql: include_str!("migrations/postgres_2.sql") },
    ];
    const HAS_TABLE: &'static str = "SELECT COUNT(to_regclass($1))";

    fn open(url: &str) -> Result<Self, SqlKeysError> {
        Ok(Self { pool: pool().connect_lazy_with(options(url)?) })
    }

    fn look(url: &str) -> Result<Option<Self>, SqlKeysError> {
        Self::open(url).map(Some)
    }

    async fn read(&self) -> Result<PoolConnection<sqlx::Postgres>, sqlx::Error> {
        self.pool.acquire().await
    }

    async fn change(&self) -> Result<(Transaction<'static, sqlx::Postgres>, ()), sqlx::Error> {
        Ok((self.pool.begin().await?, ()))
    }

    async fn lock_schema(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let lock = Statement::new("SELECT pg_advisory_xact_lock($1)", [Value::Integer(Some(SCHEMA_LOCK))]);
        Self::execute(connection, lock).await.map(drop)
    }

    async fn announce(
        connection: &mut PgConnection,
        table: &str,
        announcements: &[Announcement],
    ) -> Result<(), sqlx::Error> {
        for announcement in announcements {
            let values = [Value::Text(Some(channel(table))), Value::text(announcement)];
            Self::execute(connection, Statement::new("SELECT pg_notify($1, $2)", values)).await?;
        }
        Ok(())
    }

    driver!(sqlx::Postgres, PgConnection);
}
