//! Why Better Auth's table could not tell.

use crate::source::import::FieldProblem;

/// Better Auth's keys could not be read. Shows no key and no digest.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BetterAuthKeysError(#[from] Kind);

#[derive(Debug, thiserror::Error)]
pub(super) enum Kind {
    #[error("`{0}` is no name of a table: letters, digits and underscores")]
    TableName(String),
    #[error("the address of the database must begin with `sqlite:` or `postgres:`, and the feature be switched on")]
    Url,
    #[error("the database could not be opened")]
    Open(#[source] sqlx::Error),
    #[error("there is no table `{0}` with the columns of Better Auth's API keys")]
    NoTable(String, #[source] sqlx::Error),
    #[error("the table could not be read")]
    Query(#[source] sqlx::Error),
    #[cfg(feature = "postgres")]
    #[error("the row came in a form that cannot be read")]
    Row,
    #[error("the row {id} cannot be read, {field}: {problem}")]
    Field { id: String, field: String, problem: FieldProblem },
    #[error("several rows have the same key")]
    Several,
}
