//! The tables, and how they came to be what they are.
//!
//! Each version is a script that is never changed once it was released. They run in one transaction, while no other process
//! may do the same.

use std::fmt;

use super::database::{SqlDatabase, Statement, Value};
use super::error::SqlKeysError;

/// One version of the schema. `{table}` stands for the name of the table.
#[derive(Debug)]
pub struct Migration {
    pub(super) version: i64,
    pub(super) sql: &'static str,
}

/// What would be run to bring a database to the schema that this version of the crate needs. Displays as SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingMigrations {
    found: i64,
    needed: i64,
    scripts: Vec<String>,
}

impl PendingMigrations {
    /// The version of the schema that was found; 0 if there is none.
    pub const fn found(&self) -> i64 {
        self.found
    }

    /// The version that this version of the crate needs.
    pub const fn needed(&self) -> i64 {
        self.needed
    }

    /// The scripts that would be run, one a version, in their order.
    pub fn scripts(&self) -> &[String] {
        &self.scripts
    }

    /// Whether there is nothing to run.
    pub const fn is_empty(&self) -> bool {
        self.scripts.is_empty()
    }

    /// What there is to do for a table of version `found`.
    pub(super) fn after<D: SqlDatabase>(table: &str, found: i64) -> Result<Self, SqlKeysError> {
        let known = D::MIGRATIONS.last().map_or(0, |last| last.version);
        if found > known {
            return Err(SqlKeysError::SchemaTooNew { table: table.to_owned(), found, known });
        }
        let pending = D::MIGRATIONS.iter().filter(|migration| migration.version > found);
        let script = |migration: &Migration| {
            let script = migration.sql.replace("{table}", table);
            format!("{script}INSERT INTO {table}_schema (version) VALUES ({});\n", migration.version)
        };
        Ok(Self { found, needed: known, scripts: pending.map(script).collect() })
    }
}

impl fmt::Display for PendingMigrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.scripts.iter().try_for_each(|script| f.write_str(script))
    }
}

/// What is to be run on a database.
pub(super) async fn pending<D: SqlDatabase>(database: &D, table: &str) -> Result<PendingMigrations, SqlKeysError> {
    let mut connection = database.read().await.map_err(SqlKeysError::database("be reached"))?;
    PendingMigrations::after::<D>(table, version::<D>(&mut connection, table).await?)
}

/// Brings a database to the schema that is needed, unless it has it.
pub(super) async fn run<D: SqlDatabase>(database: &D, table: &str) -> Result<(), SqlKeysError> {
    if pending(database, table).await?.is_empty() {
        return Ok(());
    }
    let failed = || SqlKeysError::database("be migrated");
    let (mut transaction, _turn) = database.change().await.map_err(failed())?;
    D::lock_schema(&mut transaction).await.map_err(failed())?;
    // Somebody else may have been first.
    let pending = PendingMigrations::after::<D>(table, version::<D>(&mut transaction, table).await?)?;
    for script in &pending.scripts {
        D::script(&mut transaction, script.clone()).await.map_err(failed())?;
    }
    transaction.commit().await.map_err(failed())?;
    tracing::info!(
        target: "tower_api_key::store",
        backend = D::NAME,
        table,
        from = pending.found,
        to = pending.needed,
        "the schema was migrated"
    );
    Ok(())
}

/// Sees that a database has the schema that is needed.
pub(super) async fn check<D: SqlDatabase>(database: &D, table: &str) -> Result<(), SqlKeysError> {
    let PendingMigrations { found, needed, scripts } = pending(database, table).await?;
    if scripts.is_empty() {
        return Ok(());
    }
    Err(SqlKeysError::SchemaTooOld { table: table.to_owned(), found, needed })
}

/// The version of the schema of `table`; 0 if there is none.
async fn version<D: SqlDatabase>(
    connection: &mut <D::Driver as sqlx::Database>::Connection,
    table: &str,
) -> Result<i64, SqlKeysError> {
    let failed = || SqlKeysError::database("tell the version of its schema");
    let has_table = Statement::new(D::HAS_TABLE, [Value::text(format_args!("{table}_schema"))]);
    if D::number(connection, has_table).await.map_err(failed())? == 0 {
        return Ok(0);
    }
    let latest = Statement::new(format!("SELECT COALESCE(MAX(version), 0) FROM {table}_schema"), []);
    D::number(connection, latest).await.map_err(failed())
}
