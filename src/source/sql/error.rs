//! Why a database of keys could not do what it was asked to.

use crate::audit::AuditEventId;
use crate::error::ConfigError;
use crate::key::{KeyId, RandomError};
use crate::source::KeyLifeRefusal;

/// A store of keys in a database could not do what it was asked to. Never shows a key, a digest, or the address of the
/// database, which may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqlKeysError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database failed, refused, or could not be reached.
    #[error("it could not {operation}")]
    Database {
        /// What was tried: a verb phrase such as `read a key`.
        operation: &'static str,
        /// Why it failed.
        source: sqlx::Error,
    },
    /// The file could not be made.
    #[error("the file could not be made")]
    File(#[source] std::io::Error),
    /// A newer version of this crate has changed the tables, and this one would misread them.
    #[error("the table {table} has schema version {found}, and this version of the crate knows {known} at most")]
    SchemaTooNew {
        /// The table.
        table: String,
        /// The version of its schema.
        found: i64,
        /// The latest version that is known here.
        known: i64,
    },
    /// The tables are missing or older than this version of the crate needs, and it was told not to change them.
    #[error("the table {table} has schema version {found}, and {needed} is needed: migrations are to be run first")]
    SchemaTooOld {
        /// The table.
        table: String,
        /// The version of its schema; 0 if there is none.
        found: i64,
        /// The version that is needed.
        needed: i64,
    },
    /// A row is not as this crate writes rows. It is to be repaired by hand.
    #[error("the column {column} of the key {id} makes no sense")]
    BrokenRow {
        /// The key.
        id: String,
        /// The first column that makes no sense.
        column: &'static str,
    },
    /// The record cannot be written down: its digest is one of this process alone.
    #[error("the key {id} cannot be stored: its digest is one of this process alone")]
    Unstorable {
        /// The key.
        id: KeyId,
    },
    /// The audit event cannot be written as JSON.
    #[error("the event {id} cannot be stored")]
    UnstorableEvent {
        /// The event.
        id: AuditEventId,
    },
    /// No secret could be made.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The key cannot have the end that was asked for.
    #[error(transparent)]
    Life(#[from] KeyLifeRefusal),
}

impl SqlKeysError {
    /// For `map_err`: what the database could not do.
    pub(super) fn database(operation: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { operation, source }
    }
}
