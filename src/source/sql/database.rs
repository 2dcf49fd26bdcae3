//! What a database has to be able to do for keys to be kept in it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Database, Encode, Transaction, Type};

use super::announcement::Announcement;
use super::error::SqlKeysError;
use super::migration::Migration;
use super::row::StoredRow;

/// A database that keys can be kept in. Sealed: [`Sqlite`](super::Sqlite) and [`Postgres`](super::Postgres) are all.
pub trait SqlDatabase: Clone + Send + Sync + 'static {
    /// What SQLx calls it.
    type Driver: Database;
    /// What is held while something is changed, beside the transaction.
    type Turn: Send;

    /// What the source is called, unless it is told otherwise.
    const NAME: &'static str;
    /// What keeps others from changing the rows that a `SELECT` of a change has read.
    const FOR_UPDATE: &'static str;
    /// How the schema came to be, the oldest version first.
    const MIGRATIONS: &'static [Migration];
    /// Asks for 1 if there is the table `$1`, else for 0.
    const HAS_TABLE: &'static str;

    /// The database at `url`, which is made if it can be. Connects later.
    ///
    /// # Errors
    /// When the URL is none, or what has to be made could not be.
    fn open(url: &str) -> Result<Self, SqlKeysError>;

    /// The same, to read it alone; `None` if it is not there yet.
    ///
    /// # Errors
    /// When the URL is none.
    fn look(url: &str) -> Result<Option<Self>, SqlKeysError>;

    /// A connection to read by.
    fn read(&self) -> impl Future<Output = Result<PoolConnection<Self::Driver>, sqlx::Error>> + Send;

    /// A transaction that nothing can get in the way of once it has begun.
    fn change(
        &self,
    ) -> impl Future<Output = Result<(Transaction<'static, Self::Driver>, Self::Turn), sqlx::Error>> + Send;

    /// Keeps other processes from migrating until the transaction ends.
    fn lock_schema(
        connection: &mut <Self::Driver as Database>::Connection,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Tells others what is going to have changed, once the transaction is committed.
    fn announce(
        connection: &mut <Self::Driver as Database>::Connection,
        table: &str,
        announcements: &[Announcement],
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// The rows that a statement selects.
    fn rows(
        connection: &mut <Self::Driver as Database>::Connection,
        statement: Statement,
    ) -> impl Future<Output = Result<Vec<StoredRow>, sqlx::Error>> + Send;

    /// The one row that a statement selects, if there is one.
    fn row(
        connection: &mut <Self::Driver as Database>::Connection,
        statement: Statement,
    ) -> impl Future<Output = Result<Option<StoredRow>, sqlx::Error>> + Send;

    /// The number that a statement asks for.
    fn number(
        connection: &mut <Self::Driver as Database>::Connection,
        statement: Statement,
    ) -> impl Future<Output = Result<i64, sqlx::Error>> + Send;

    /// The first column of the rows that a statement selects.
    fn texts(
        connection: &mut <Self::Driver as Database>::Connection,
        statement: Statement,
    ) -> impl Future<Output = Result<Vec<String>, sqlx::Error>> + Send;

    /// The first two columns of the rows that a statement selects.
    fn pairs(
        connection: &mut <Self::Driver as Database>::Connection,
        statement: Statement,
    ) -> impl Future<Output = Result<Vec<(i64, i64)>, sqlx::Error>> + Send;

    /// How many rows a statement has changed.
    fn execute(
        connection: &mut <Self::Driver as Database>::Connection,
        statement: Statement,
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;

    /// Runs statements without parameters.
    fn script(
        connection: &mut <Self::Driver as Database>::Connection,
        sql: String,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// A statement and its parameters. Both databases read `$1`.
#[allow(missing_debug_implementations, reason = "a parameter may be a digest")]
pub struct Statement {
    sql: Arc<str>,
    values: Vec<Value>,
}

impl Statement {
    /// `sql` consists of text of this crate and of names that were checked, never of values.
    pub(super) fn new(sql: impl Into<Arc<str>>, values: impl Into<Vec<Value>>) -> Self {
        Self { sql: sql.into(), values: values.into() }
    }
}

/// A parameter of a statement.
#[derive(Clone)]
pub(super) enum Value {
    Text(Option<String>),
    Integer(Option<i64>),
    Flag(bool),
}

impl Value {
    pub(super) fn text(text: impl fmt::Display) -> Self {
        Self::Text(Some(text.to_string()))
    }

    pub(super) fn optional(text: Option<impl fmt::Display>) -> Self {
        Self::Text(text.map(|text| text.to_string()))
    }
}

/// What is asked of both drivers in the same words. A macro, because the bounds of SQLx on a driver of any type would have
/// to be repeated wherever one is used.
macro_rules! driver {
    ($driver:ty, $connection:ty) => {
        async fn rows(connection: &mut $connection, statement: Statement) -> Result<Vec<StoredRow>, sqlx::Error> {
            let rows = bound::<$driver>(statement).fetch_all(connection).await?;
            rows.iter().map(StoredRow::read).collect()
        }

        async fn row(connection: &mut $connection, statement: Statement) -> Result<Option<StoredRow>, sqlx::Error> {
            let row = bound::<$driver>(statement).fetch_optional(connection).await?;
            row.as_ref().map(StoredRow::read).transpose()
        }

        async fn number(connection: &mut $connection, statement: Statement) -> Result<i64, sqlx::Error> {
            sqlx::Row::try_get(&bound::<$driver>(statement).fetch_one(connection).await?, 0)
        }

        async fn texts(connection: &mut $connection, statement: Statement) -> Result<Vec<String>, sqlx::Error> {
            let rows = bound::<$driver>(statement).fetch_all(connection).await?;
            rows.iter().map(|row| sqlx::Row::try_get(row, 0)).collect()
        }

        async fn pairs(connection: &mut $connection, statement: Statement) -> Result<Vec<(i64, i64)>, sqlx::Error> {
            let rows = bound::<$driver>(statement).fetch_all(connection).await?;
            rows.iter().map(|row| Ok((sqlx::Row::try_get(row, 0)?, sqlx::Row::try_get(row, 1)?))).collect()
        }

        async fn execute(connection: &mut $connection, statement: Statement) -> Result<u64, sqlx::Error> {
            Ok(bound::<$driver>(statement).execute(connection).await?.rows_affected())
        }

        async fn script(connection: &mut $connection, sql: String) -> Result<(), sqlx::Error> {
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.map(drop)
        }
    };
}

pub(super) use driver;

/// A statement with its parameters, as SQLx takes it. Prepared once a connection.
pub(super) fn bound<D: Database>(statement: Statement) -> sqlx::query::Query<'static, D, D::Arguments>
where
    for<'q> Option<String>: Encode<'q, D> + Type<D>,
    for<'q> Option<i64>: Encode<'q, D> + Type<D>,
    for<'q> bool: Encode<'q, D> + Type<D>,
{
    let query = sqlx::query(AssertSqlSafe(statement.sql));
    statement.values.into_iter().fold(query, |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Integer(integer) => query.bind(integer),
        Value::Flag(flag) => query.bind(flag),
    })
}
