//! How a store in a database is set up.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::database::SqlDatabase;
use super::migration::{self, PendingMigrations};
use super::statements::Statements;
use super::{Inner, SqlKeys, SqlKeysError};
use crate::clock::Clock;
use crate::error::ConfigError;
use crate::key::{KeyFormat, KeyHasher};
use crate::source::{KeyLife, MemoryKeys, MemoryKeysBuilder};

/// The longest name of a table: what is made of it stays within the 63 bytes of Postgres.
const LONGEST_TABLE: usize = 40;

/// Settings of [`SqliteKeys`](super::SqliteKeys) and `PostgresKeys`.
#[must_use]
pub struct SqlKeysBuilder<D> {
    place: Place<D>,
    keys: MemoryKeysBuilder,
    name: Option<Cow<'static, str>>,
    table: String,
    migrate: bool,
}

enum Place<D> {
    Url(String),
    Database(D),
}

impl<D: SqlDatabase> SqlKeysBuilder<D> {
    pub(super) fn at(url: &str) -> Self {
        Self::with(Place::Url(url.to_owned()))
    }

    pub(super) fn of(database: D) -> Self {
        Self::with(Place::Database(database))
    }

    fn with(place: Place<D>) -> Self {
        Self { place, keys: MemoryKeys::builder(), name: None, table: "api_keys".to_owned(), migrate: true }
    }

    /// The shape of new keys; `ak_<environment>_…`, unless set.
    pub fn format(mut self, format: KeyFormat) -> Self {
        self.keys = self.keys.format(format);
        self
    }

    /// Another shape in which keys are accepted.
    pub fn add_format(mut self, format: KeyFormat) -> Self {
        self.keys = self.keys.add_format(format);
        self
    }

    /// How new keys are digested; SHA-256, unless set. With a pepper here, digests without one open nothing.
    pub fn hasher(mut self, hasher: KeyHasher) -> Self {
        self.keys = self.keys.hasher(hasher);
        self
    }

    /// Another digest that keys are accepted by: an older pepper.
    pub fn add_hasher(mut self, hasher: KeyHasher) -> Self {
        self.keys = self.keys.add_hasher(hasher);
        self
    }

    /// Where the time of issuing, revoking and expiring comes from; the system's clock, unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.keys = self.keys.clock(clock);
        self
    }

    /// How long keys may live; as long as they like, unless set.
    pub fn life(mut self, life: KeyLife) -> Self {
        self.keys = self.keys.life(life);
        self
    }

    /// What the store is called in the log and in records; `sqlite` or `postgres`, unless set.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The table that the keys are in, `api_keys` by default; what else is made has a name that begins with it. 1 to 40
    /// lower-case ASCII letters, digits and `_`, not a digit first.
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = name.into();
        self
    }

    /// Whether the schema is made and brought up to date, which it is by default. If not, [`build`](Self::build) fails
    /// where that would be needed.
    pub const fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// What [`build`](Self::build) would run to bring the database to the schema that is needed. Makes and changes nothing.
    ///
    /// # Errors
    /// When a setting is wrong, or the database cannot be read or is from a newer version of this crate.
    pub async fn migrations(self) -> Result<PendingMigrations, SqlKeysError> {
        check_table(&self.table)?;
        let database = match self.place {
            Place::Url(url) => D::look(&url)?,
            Place::Database(database) => Some(database),
        };
        match database {
            Some(database) => migration::pending(&database, &self.table).await,
            None => PendingMigrations::after::<D>(&self.table, 0),
        }
    }

    /// The store, with a database that has answered and has the schema that is needed.
    ///
    /// # Errors
    /// When a setting is wrong, the database cannot be reached, or it is from a newer version of this crate; without
    /// [`migrate`](Self::migrate) also when it is older.
    pub async fn build(self) -> Result<SqlKeys<D>, SqlKeysError> {
        let issuer = self.keys.issuer(self.name.unwrap_or(D::NAME.into()));
        ConfigError::all([check_table(&self.table), issuer.life.validate()].into_iter().filter_map(Result::err))?;
        let database = match self.place {
            Place::Url(url) => D::open(&url)?,
            Place::Database(database) => database,
        };
        if self.migrate {
            migration::run(&database, &self.table).await?;
        } else {
            migration::check(&database, &self.table).await?;
        }
        let statements = Statements::new(&self.table, D::FOR_UPDATE);
        Ok(SqlKeys(Arc::new(Inner { database, issuer, statements, table: self.table })))
    }
}

fn check_table(name: &str) -> Result<(), ConfigError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let starts_well = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if starts_well && name.len() <= LONGEST_TABLE && name.bytes().all(allowed) {
        return Ok(());
    }
    let rule = "must have 1 to 40 lower-case ASCII letters, digits and `_`, and not a digit first";
    Err(ConfigError::new("table", rule))
}

/// Shows no URL, which may hold a password.
impl<D> fmt::Debug for SqlKeysBuilder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlKeysBuilder")
            .field("keys", &self.keys)
            .field("table", &self.table)
            .field("migrate", &self.migrate)
            .finish_non_exhaustive()
    }
}
