//! Taking over keys that another system has issued: their digests move, and the keys go on working.
//!
//! ```
//! # tokio_test::block_on(async {
//! use tower_api_key::key::{KeyFormat, KeyHasher};
//! use tower_api_key::source::MemoryKeys;
//! use tower_api_key::source::import::{ImportFormat, import};
//!
//! // What the store looks for has to be what is imported: shape and digest.
//! let keys = MemoryKeys::builder().add_format(KeyFormat::django_rest()).add_hasher(KeyHasher::sha512()).build();
//! let rows = serde_json::from_str::<Vec<serde_json::Value>>(r#"[{
//!     "prefix": "awGOhJfO", "name": "ci", "revoked": false, "created": "2026-11-21 22:54:27.750978",
//!     "hashed_key": "pbkdf2_sha256$1000000$lOkfbdvXWODF7yiIEchpqp$TZ8k1CWj4JxcjRHGZo/1g68caXToyCCS9m7X1vUFc6o="
//! }]"#)?;
//! let report = import(&keys, &ImportFormat::django_rest(), rows).await?;
//! for refused in &report.refused {
//!     eprintln!("{refused}"); // row 0 (awGOhJfO), hashed_key: it is a salted password hash (pbkdf2_sha256), …
//! }
//! # assert_eq!(report.refused.len(), 1);
//! # Ok::<(), tower_api_key::BoxError>(())
//! # }).unwrap();
//! ```
//!
//! Rows are JSON objects with the columns of the table that they were exported from.
//!
//! | system | [`ImportFormat`] | the store needs |
//! | --- | --- | --- |
//! | Unkey | [`unkey`](ImportFormat::unkey) | [`KeyFormat::unkey`](crate::key::KeyFormat::unkey), SHA-256 |
//! | Laravel Sanctum | [`sanctum`](ImportFormat::sanctum) | [`KeyFormat::sanctum`](crate::key::KeyFormat::sanctum), SHA-256 |
//! | djangorestframework-api-key | [`django_rest`](ImportFormat::django_rest) | [`KeyFormat::django_rest`](crate::key::KeyFormat::django_rest), [`KeyHasher::sha512`](crate::key::KeyHasher::sha512) |
//! | Better Auth | `better_auth` (features `sqlite`, `postgres`) | [`KeyFormat::better_auth`](crate::key::KeyFormat::better_auth), SHA-256 |
//! | a table of your own | [`plain`](ImportFormat::plain) | [`KeyFormat::text`](crate::key::KeyFormat::text), the same digest |
//!
//! Salted password hashes (PBKDF2, bcrypt, scrypt, Argon2) cannot be looked up by, and SHA-1 is broken: such rows are
//! refused by name, and their keys have to be issued anew.

mod digest;
mod field;
mod format;

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use super::{KeyAdoption, KeyStore};
use crate::key::KeyRef;

pub use field::FieldProblem;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) use field::{Fields, Refused, malformed, missing};
pub use format::ImportFormat;

/// What came of an import.
#[derive(Debug, Clone, Default)]
#[must_use = "rows may have been refused"]
#[non_exhaustive]
pub struct ImportReport {
    /// The records that the store has now, in the order of their rows.
    pub adopted: Vec<KeyRef>,
    /// The rows that were refused, and why.
    pub refused: Vec<RefusedRow>,
}

/// Why a row was not imported. Shows neither digests nor keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct RefusedRow {
    /// The number of the row, from 0.
    pub row: usize,
    /// What names the row: its id, its name or its prefix.
    pub name: Option<String>,
    /// The column at fault.
    pub field: String,
    /// What is wrong with it.
    pub problem: FieldProblem,
}

impl fmt::Display for RefusedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}", self.row)?;
        if let Some(name) = &self.name {
            write!(f, " ({})", name.escape_debug())?;
        }
        write!(f, ", {}: {}", self.field, self.problem)
    }
}

/// Has `store` take in the rows of another system's table, each by itself: rows that cannot be imported are reported, and
/// the others are imported. Importing again is safe: what is there already is reported as taken, and stays.
///
/// # Errors
/// When the store could not write. The rows before that are imported; importing all again brings in the rest.
pub async fn import<S: KeyStore>(
    store: &S,
    format: &ImportFormat,
    rows: impl IntoIterator<Item = Value>,
) -> Result<ImportReport, S::Error> {
    let known: HashSet<_> = store.schemes().iter().map(super::KeyScheme::algorithm).collect();
    let mut report = ImportReport::default();
    for (number, row) in rows.into_iter().enumerate() {
        let refused = |(field, problem): (String, FieldProblem)| RefusedRow {
            row: number,
            name: format.name_of(&row),
            field,
            problem,
        };
        let record = match format.record(&row) {
            Ok(record) if known.contains(&record.digest.algorithm()) => record,
            Ok(record) => {
                let problem = FieldProblem::NotLookedFor(record.digest.algorithm());
                report.refused.push(refused((format.digest_field().to_owned(), problem)));
                continue;
            }
            Err(problem) => {
                report.refused.push(refused(problem));
                continue;
            }
        };
        match store.adopt(record).await? {
            KeyAdoption::Adopted(record) => report.adopted.push(record),
            KeyAdoption::Taken => report.refused.push(refused(("id".to_owned(), FieldProblem::Taken))),
        }
    }
    Ok(report)
}
