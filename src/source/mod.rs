//! Where keys are kept.
//!
//! [`KeySource`] is the reading half, which the layer asks for each request; [`KeyStore`] adds the writing half. A source
//! that only reads never pretends to write.
//!
//! | source | keys | writes |
//! | --- | --- | --- |
//! | [`MemoryKeys`] | in this process | yes |
//! | [`EnvKeys`] | in environment variables, in plain text | no |
//! | [`JsonFileKeys`] | in a JSON file, as digests | yes |
//! | `SqliteKeys` (feature `sqlite`) | in a file of SQLite, as digests: for one machine | yes |
//! | `PostgresKeys` (feature `postgres`) | in Postgres, as digests: for any number of nodes | yes |
//! | `BetterAuthKeys` (features `sqlite`, `postgres`) | in Better Auth's own table | no |
//! | `Cached` (feature `cache`) | in memory for a while, in front of another source | if that does |
//! | [`Or`] | in one source, else in another ([`KeySource::or`]) | no |
//!
//! The features `sqlite` and `postgres` need Rust 1.94, as SQLx does. Compiling them needs no database.
//!
//! Keys that another system has issued move here by [`import`](mod@import).
//!
//! # Writing a source
//!
//! State which texts can be your keys and how they are digested, and find a record by its digest:
//!
//! ```
//! use tower_api_key::key::{DigestAlgorithm, KeyDigest, KeyFormat, KeyHasher, KeyRecord, KeyRef};
//! use tower_api_key::source::{KeyScheme, KeySource};
//! # struct Row { id: String }
//! # struct Database;
//! # impl Database {
//! #     async fn select_by_hash(&self, hash: &[u8]) -> Result<Option<Row>, std::io::Error> { Ok(None) }
//! # }
//!
//! struct TableKeys {
//!     database: Database,
//! }
//!
//! impl KeySource for TableKeys {
//!     type Error = std::io::Error;
//!
//!     fn name(&self) -> &str {
//!         "api_keys table"
//!     }
//!
//!     fn schemes(&self) -> Vec<KeyScheme> {
//!         vec![KeyScheme::new(KeyFormat::text(), KeyHasher::sha256())]
//!     }
//!
//!     async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, Self::Error> {
//!         if digest.algorithm() != DigestAlgorithm::Sha256 {
//!             return Ok(None); // the table has no others
//!         }
//!         let row = self.database.select_by_hash(digest.as_bytes()).await?;
//!         Ok(row.map(|row| KeyRecord::new(row.id.parse().expect("ids are checked on insert"), *digest).into()))
//!     }
//! }
//! ```

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod better_auth;
#[cfg(feature = "cache")]
pub mod cached;
mod env;
mod erased;
pub mod import;
mod json_file;
mod memory;
mod or;
mod row;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod sql;
mod store;

use std::future::Future;
use std::sync::Arc;

use crate::error::BoxError;
use crate::key::{DigestAlgorithm, KeyDigest, KeyFormat, KeyHasher, KeyRef};

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use better_auth::{BetterAuthKeys, BetterAuthKeysBuilder, BetterAuthKeysError};
#[cfg(feature = "cache")]
pub use cached::Cached;
pub use env::EnvKeys;
pub use json_file::{JsonFileError, JsonFileKeys, JsonFileKeysBuilder};
pub use memory::{DuplicateKey, MemoryKeys, MemoryKeysBuilder, MemoryKeysError};
pub use or::{EitherError, Or};
#[cfg(feature = "postgres")]
pub use sql::PostgresKeys;
#[cfg(feature = "sqlite")]
pub use sql::SqliteKeys;
pub use store::{
    InvalidCursor, IssuedKey, KeyAdoption, KeyChange, KeyCursor, KeyFilter, KeyLife, KeyLifeRefusal, KeyPage,
    KeyRehash, KeyRotation, KeyStore, KeySuccession, KeyUpdate, KeyUsage, NewKey, UsageBucket, UsagePoint, UsageRange,
};

#[cfg(feature = "management")]
pub(crate) use erased::ErasedStore;
pub(crate) use erased::{BoxFuture, ErasedSource, ErasedUsageStore};

/// Answers which record has a digest.
///
/// The answer is one of three, and they are never folded into two: found, not found, or an error that says that it could
/// not be told. An error becomes a 503, never a 401 and never a way in.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of keys",
    note = "implement `tower_api_key::source::KeySource`, or use `MemoryKeys`, `EnvKeys` or `JsonFileKeys`"
)]
pub trait KeySource: Send + Sync + 'static {
    /// Why it could not be told. Goes to the log alone.
    type Error: Into<BoxError>;

    /// What the source is called in the log, and in the `AuthContext` of a record that names no source itself.
    fn name(&self) -> &str;

    /// Which texts can be its keys, and how they are digested: every shape and every live pepper, the likeliest first.
    /// Asked once, when the layer is built.
    fn schemes(&self) -> Vec<KeyScheme>;

    /// The record that has this digest. The layer compares the record's digest with the one it asked for, in constant
    /// time, and judges whether the key may be used.
    ///
    /// # Errors
    /// When the source could not find out.
    fn find(&self, digest: &KeyDigest) -> impl Future<Output = Result<Option<KeyRef>, Self::Error>> + Send;

    /// The same without waiting, for what is in memory. A source that has to wait answers [`Lookup::Ask`], which is the
    /// default, and is then asked by [`find`](Self::find).
    fn find_now(&self, digest: &KeyDigest) -> Lookup {
        let _ = digest;
        Lookup::Ask
    }

    /// Forgets what it remembers of a digest: its record, or that it has none. Called when a key has got a new digest,
    /// with both. For sources that remember answers; the default is for those that do not, and does nothing.
    fn forget(&self, digest: &KeyDigest) {
        let _ = digest;
    }

    /// This source first, and `next` for keys that this one does not know.
    ///
    /// A record that is found decides, whether it is usable or not, and so does an error: `next` is asked only after a
    /// plain "not found". Put the source of the operator's own emergency key first.
    fn or<N: KeySource>(self, next: N) -> Or<Self, N>
    where
        Self: Sized,
    {
        Or::new(self, next)
    }
}

/// What a source knows without waiting.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Lookup {
    /// This record has the digest.
    Found(KeyRef),
    /// No record has it.
    Absent,
    /// Only [`KeySource::find`] can tell.
    Ask,
}

impl From<Option<KeyRef>> for Lookup {
    fn from(found: Option<KeyRef>) -> Self {
        found.map_or(Self::Absent, Self::Found)
    }
}

/// A shape of keys, and how keys of that shape are digested.
#[derive(Debug, Clone)]
pub struct KeyScheme {
    format: KeyFormat,
    hasher: KeyHasher,
}

impl KeyScheme {
    /// Keys of `format` are kept as digests by `hasher`.
    pub const fn new(format: KeyFormat, hasher: KeyHasher) -> Self {
        Self { format, hasher }
    }

    /// The digest of `key`, unless it has another shape.
    pub fn digest(&self, key: &str) -> Option<KeyDigest> {
        self.format.accepts(key).then(|| self.hasher.digest(self.format.digested(key)))
    }

    /// Whether both go by one algorithm and one pepper id, but not by one secret: then one of the two finds nothing.
    pub(crate) fn contradicts(&self, other: &Self) -> bool {
        self.algorithm() == other.algorithm() && self.hasher.digest("") != other.hasher.digest("")
    }

    /// Whether two schemes digest the same part of `key`, if both accept it.
    pub(crate) fn digests_alike(&self, other: &Self, key: &str) -> bool {
        self.format.accepts(key) && self.format.digested(key) == other.format.digested(key)
    }

    /// The shape.
    pub const fn format(&self) -> &KeyFormat {
        &self.format
    }

    /// How digests are made.
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.hasher.algorithm()
    }
}

impl<S: KeySource> KeySource for Arc<S> {
    type Error = S::Error;

    fn name(&self) -> &str {
        (**self).name()
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        (**self).schemes()
    }

    fn find(&self, digest: &KeyDigest) -> impl Future<Output = Result<Option<KeyRef>, Self::Error>> + Send {
        (**self).find(digest)
    }

    fn find_now(&self, digest: &KeyDigest) -> Lookup {
        (**self).find_now(digest)
    }

    fn forget(&self, digest: &KeyDigest) {
        (**self).forget(digest);
    }
}
