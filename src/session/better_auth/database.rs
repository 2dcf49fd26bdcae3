//! The database of Better Auth, which is only read.

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use std::sync::Arc;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use sqlx::AssertSqlSafe;

use super::BetterAuthError;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use super::statement::{Dialect, Naming, Tables};

/// Connections, and the statement that finds a session.
pub(super) enum Database {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool, Arc<str>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool, Arc<str>),
}

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
impl Database {
    /// Without a feature for one there is no database.
    pub(super) async fn find(&self, _token: &str) -> Result<Option<String>, BetterAuthError> {
        match *self {}
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl Database {
    /// The session of this token and its user, in the shape that `document` says; `None` if there is none.
    pub(super) async fn find(&self, token: &str) -> Result<Option<String>, BetterAuthError> {
        // All rows, not the first: a statement that is not read to its end keeps a lock on the file of SQLite.
        let found: Result<Vec<String>, BetterAuthError> = match *self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(ref pool, ref statement) => {
                let query = sqlx::query_scalar(AssertSqlSafe(Arc::clone(statement))).bind(token);
                query.fetch_all(pool).await.map_err(failed)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(ref pool, ref statement) => {
                let query = sqlx::query_scalar(AssertSqlSafe(Arc::clone(statement))).bind(token);
                query.fetch_all(pool).await.map_err(failed)
            }
        };
        found.map(|rows| rows.into_iter().next())
    }
}

#[cfg(feature = "sqlite")]
impl Database {
    /// Opens a file, for reading alone.
    pub(super) async fn open_sqlite(url: &str, naming: Naming) -> Result<Self, BetterAuthError> {
        let options: sqlx::sqlite::SqliteConnectOptions = url.parse().map_err(failed)?;
        let options = options.read_only(true).create_if_missing(false);
        let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(4).connect_with(options).await;
        Self::sqlite(pool.map_err(failed)?, naming).await
    }

    pub(super) async fn sqlite(pool: sqlx::SqlitePool, naming: Naming) -> Result<Self, BetterAuthError> {
        let mut tables = Tables::new(Dialect::Sqlite, naming);
        for table in tables.each() {
            let columns = sqlx::query_scalar("SELECT name FROM pragma_table_info($1)").bind(table.name());
            table.found(columns.fetch_all(&pool).await.map_err(failed)?);
        }
        Ok(Self::Sqlite(pool, tables.statement()?.into()))
    }
}

#[cfg(feature = "postgres")]
impl Database {
    pub(super) async fn open_postgres(url: &str, naming: Naming) -> Result<Self, BetterAuthError> {
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(10).connect(url).await;
        Self::postgres(pool.map_err(failed)?, naming).await
    }

    pub(super) async fn postgres(pool: sqlx::PgPool, naming: Naming) -> Result<Self, BetterAuthError> {
        let mut tables = Tables::new(Dialect::Postgres, naming);
        for table in tables.each() {
            // The table that its bare name stands for, in whichever schema the search path finds it.
            let columns = sqlx::query_scalar(
                "SELECT attname::text FROM pg_attribute \
                 WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
            );
            let columns = columns.bind(format!("\"{}\"", table.name()));
            table.found(columns.fetch_all(&pool).await.map_err(failed)?);
        }
        Ok(Self::Postgres(pool, tables.statement()?.into()))
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn failed(error: sqlx::Error) -> BetterAuthError {
    BetterAuthError::Database(error.into())
}
