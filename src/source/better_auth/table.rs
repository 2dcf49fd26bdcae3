//! Rows of the table, as JSON, so that one reader does for both databases and for every generation of columns.

use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;

use super::error::Kind;

/// The table, in whichever database.
pub(super) struct Table {
    pool: Pool,
    name: String,
}

enum Pool {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
}

type Row = Map<String, Value>;

impl Table {
    /// Opens the database, for reading alone, and makes sure that the table is there.
    pub(super) async fn connect(url: &str, name: String) -> Result<Self, Kind> {
        let table = Self { pool: Pool::open(url).await?, name };
        match table.rows("").await {
            Err(Kind::Query(error)) => Err(Kind::NoTable(table.name, error)),
            Err(other) => Err(other),
            Ok(_) => Ok(table),
        }
    }

    /// The rows with this text in the column `key`: none, one, or two of several.
    pub(super) async fn rows(&self, key: &str) -> Result<Vec<Row>, Kind> {
        let name = &self.name;
        match &self.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(pool) => {
                let sql = AssertSqlSafe(format!("SELECT * FROM \"{name}\" WHERE \"key\" = ? LIMIT 2"));
                let rows = sqlx::query(sql).bind(key).fetch_all(pool).await.map_err(Kind::Query)?;
                rows.iter().map(sqlite::object).collect()
            }
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => {
                let sql = format!("SELECT to_jsonb(k)::text FROM \"{name}\" k WHERE k.\"key\" = $1 LIMIT 2");
                let rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).bind(key).fetch_all(pool).await;
                let rows = rows.map_err(Kind::Query)?;
                rows.iter().map(|text| serde_json::from_str(text).map_err(|_| Kind::Row)).collect()
            }
        }
    }

    /// What stands in the columns `key` and `start` of every row.
    pub(super) async fn texts(&self) -> Result<Vec<(String, Option<String>)>, Kind> {
        let sql = AssertSqlSafe(format!("SELECT \"key\", \"start\" FROM \"{}\"", self.name));
        let texts = match &self.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(pool) => sqlx::query_as(sql).fetch_all(pool).await,
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => sqlx::query_as(sql).fetch_all(pool).await,
        };
        texts.map_err(Kind::Query)
    }
}

impl Pool {
    async fn open(url: &str) -> Result<Self, Kind> {
        #[cfg(feature = "sqlite")]
        if url.starts_with("sqlite:") {
            let options: sqlx::sqlite::SqliteConnectOptions = url.parse().map_err(Kind::Open)?;
            let options = options.read_only(true).create_if_missing(false);
            return sqlx::SqlitePool::connect_with(options).await.map(Self::Sqlite).map_err(Kind::Open);
        }
        #[cfg(feature = "postgres")]
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options: sqlx::postgres::PgConnectOptions = url.parse().map_err(Kind::Open)?;
            let options = options.options([("default_transaction_read_only", "on")]);
            return sqlx::PgPool::connect_with(options).await.map(Self::Postgres).map_err(Kind::Open);
        }
        Err(Kind::Url)
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use serde_json::Value;
    use sqlx::sqlite::SqliteRow;
    use sqlx::{Column, Row as _, TypeInfo, ValueRef};

    use super::{Kind, Row};

    /// The columns by the type of what stands in them: SQLite lets a column of dates hold text or numbers.
    pub(super) fn object(row: &SqliteRow) -> Result<Row, Kind> {
        let mut object = Row::new();
        for column in row.columns() {
            let place = column.ordinal();
            let raw = row.try_get_raw(place).map_err(Kind::Query)?;
            let value = match raw.type_info().name() {
                _ if raw.is_null() => Value::Null,
                "INTEGER" | "BOOLEAN" => {
                    row.try_get_unchecked::<i64, _>(place).map(Value::from).map_err(Kind::Query)?
                }
                "REAL" => row.try_get_unchecked::<f64, _>(place).map(Value::from).map_err(Kind::Query)?,
                _ => row.try_get_unchecked::<String, _>(place).map(Value::from).map_err(Kind::Query)?,
            };
            object.insert(column.name().to_owned(), value);
        }
        Ok(object)
    }
}
