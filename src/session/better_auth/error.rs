//! Why a session could not be looked up.

use crate::error::{BoxError, ConfigError};

/// Better Auth's sessions could not be set up, or its database could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BetterAuthError {
    /// A setting is wrong.
    #[error("the settings are wrong")]
    Config(#[from] ConfigError),
    /// The database cannot be reached, or refuses the query.
    #[error("the database did not answer")]
    Database(#[source] BoxError),
    /// The database is not one of Better Auth's, or its tables have other names.
    #[error("the table {table} has no column {column}")]
    NoColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// The database holds what Better Auth does not write there.
    #[error("{column} of a session is not readable")]
    Unreadable {
        /// Where it stands.
        column: &'static str,
    },
}
