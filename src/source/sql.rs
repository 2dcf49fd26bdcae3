//! Keys in a database, through SQLx: what the databases have in common.

mod announcement;
mod audit;
mod builder;
mod change;
mod database;
mod error;
mod migration;
#[cfg(feature = "postgres")]
mod postgres;
mod row;
mod series;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statements;

use std::fmt;
use std::sync::Arc;

use self::change::Change;
use self::database::SqlDatabase;
use self::statements::Statements;
use super::store::{self, Issuer};
use super::{
    IssuedKey, KeyAdoption, KeyChange, KeyFilter, KeyLife, KeyPage, KeyRotation, KeyScheme, KeySource, KeyStore,
    KeySuccession, KeyUpdate, KeyUsage, NewKey, UsagePoint, UsageRange,
};
use crate::clock::Timestamp;
use crate::key::{KeyDigest, KeyId, KeyRecord, KeyRef};

pub use self::builder::SqlKeysBuilder;
pub use self::error::SqlKeysError;
pub use self::migration::PendingMigrations;
#[cfg(all(feature = "postgres", feature = "cache"))]
pub use self::postgres::{LostNotifications, PostgresInvalidations};
#[cfg(feature = "postgres")]
pub use self::postgres::{Postgres, PostgresKeys};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{Sqlite, SqliteKeys};

/// How many rows are read at once for a list that the database could not narrow down.
const BATCH: usize = 256;

/// A store of keys in a database: [`SqliteKeys`] or [`PostgresKeys`]. Clones share the connections.
///
/// - A lookup is one prepared statement by the digest, and no transaction.
/// - A change reads the record, decides and writes in one transaction, which others cannot come between.
/// - How often keys are used is known for 400 days, by the hour.
/// - It keeps [audit events](crate::audit::AuditStore), too, in a table of their own.
/// - The tables are made and migrated when the store is built, while no other process does the same. A database that a
///   newer version of this crate has migrated is refused.
pub struct SqlKeys<D>(Arc<Inner<D>>);

struct Inner<D> {
    database: D,
    issuer: Issuer,
    statements: Statements,
    table: String,
}

impl<D: SqlDatabase> SqlKeys<D> {
    /// The keys at `url`, in tables that are made and migrated if they have to be.
    ///
    /// # Errors
    /// When the URL is none, the database cannot be reached or made, or it is from a newer version of this crate.
    pub async fn connect(url: &str) -> Result<Self, SqlKeysError> {
        Self::builder(url).build().await
    }

    /// A store with other settings, at `url`.
    pub fn builder(url: &str) -> SqlKeysBuilder<D> {
        SqlKeysBuilder::at(url)
    }

    /// What [`connect`](Self::connect) would run to bring the database to the schema that is needed. Makes and changes
    /// nothing.
    ///
    /// # Errors
    /// When the URL is none, or the database cannot be read or is from a newer version of this crate.
    pub async fn migrations(url: &str) -> Result<PendingMigrations, SqlKeysError> {
        Self::builder(url).migrations().await
    }

    async fn begin(&self) -> Result<Change<'_, D>, SqlKeysError> {
        Change::begin(&self.0).await
    }

    /// Puts what `change` makes of a record in its place.
    async fn replace(
        &self,
        id: &KeyId,
        change: impl FnOnce(&KeyRef) -> Result<KeyRecord, KeyUpdate> + Send,
    ) -> Result<KeyUpdate, SqlKeysError> {
        let mut step = self.begin().await?;
        let Some(found) = step.find(id).await? else { return Ok(KeyUpdate::Absent) };
        match change(&found) {
            Ok(record) => {
                step.write(&record).await?;
                step.commit().await?;
                Ok(KeyUpdate::Changed(record.into()))
            }
            Err(unchanged) => Ok(unchanged),
        }
    }

    /// The keys that match `filter`, at most `limit` of them.
    async fn matching(&self, filter: &KeyFilter, limit: usize, now: Timestamp) -> Result<Vec<KeyRef>, SqlKeysError> {
        let failed = || SqlKeysError::database("list keys");
        let Inner { database, issuer, statements, .. } = &*self.0;
        let mut connection = database.read().await.map_err(failed())?;
        let (mut matching, mut place) = (Vec::new(), filter.cursor.clone());
        // What only the records tell may leave out any number of rows.
        let batch = if filter.scope.is_none() && filter.text.is_none() { limit } else { limit.max(BATCH) };
        loop {
            let statement = statements.list(filter, place.as_ref(), batch, now);
            let rows = D::rows(&mut connection, statement).await.map_err(failed())?;
            let is_last = rows.len() < batch;
            for row in rows {
                let record = row.into_record(issuer.name.clone())?;
                place = Some(store::place(&record));
                if filter.matches(&record, now) {
                    matching.push(record.into());
                }
                if matching.len() == limit {
                    return Ok(matching);
                }
            }
            if is_last {
                return Ok(matching);
            }
        }
    }
}

impl<D> SqlKeys<D> {
    fn database(&self) -> &D {
        &self.0.database
    }
}

impl<D: SqlDatabase> KeySource for SqlKeys<D> {
    type Error = SqlKeysError;

    fn name(&self) -> &str {
        &self.0.issuer.name
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        self.0.issuer.schemes()
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, SqlKeysError> {
        let failed = || SqlKeysError::database("find a key");
        let Inner { database, issuer, statements, .. } = &*self.0;
        let Some(digest) = digest.to_stored() else { return Ok(None) };
        let mut connection = database.read().await.map_err(failed())?;
        let row = D::row(&mut connection, statements.find(digest)).await.map_err(failed())?;
        row.map(|row| row.into_record(issuer.name.clone()).map(KeyRef::from)).transpose()
    }
}

impl<D: SqlDatabase> KeyStore for SqlKeys<D> {
    fn life(&self) -> KeyLife {
        self.0.issuer.life
    }

    async fn issue(&self, mut key: NewKey) -> Result<IssuedKey, SqlKeysError> {
        let issuer = &self.0.issuer;
        let now = issuer.now();
        key.expires_at = issuer.life.end(key.expires_at, now)?;
        let mut change = self.begin().await?;
        let issued = change.issue(|| issuer.make(key.clone(), now)).await?;
        change.commit().await?;
        Ok(issued)
    }

    async fn adopt(&self, mut record: KeyRecord) -> Result<KeyAdoption, SqlKeysError> {
        let issuer = &self.0.issuer;
        record.source = Some(issuer.name.clone());
        record.created_at.get_or_insert(issuer.now());
        let mut change = self.begin().await?;
        if !change.insert(&record).await? {
            return Ok(KeyAdoption::Taken);
        }
        change.commit().await?;
        Ok(KeyAdoption::Adopted(record.into()))
    }

    async fn get(&self, id: &KeyId) -> Result<Option<KeyRef>, SqlKeysError> {
        let failed = || SqlKeysError::database("read a key");
        let Inner { database, issuer, statements, .. } = &*self.0;
        let mut connection = database.read().await.map_err(failed())?;
        let row = D::row(&mut connection, statements.get(id)).await.map_err(failed())?;
        row.map(|row| row.into_record(issuer.name.clone()).map(KeyRef::from)).transpose()
    }

    async fn list(&self, filter: &KeyFilter) -> Result<KeyPage, SqlKeysError> {
        // One more than is asked for tells whether there are more.
        let mut items = self.matching(filter, filter.limit.saturating_add(1), self.0.issuer.now()).await?;
        let more = items.len() > filter.limit;
        items.truncate(filter.limit);
        let next = items.last().filter(|_| more).map(|last| store::place(last));
        Ok(KeyPage::new(items, next))
    }

    async fn update(&self, id: &KeyId, asked: KeyChange) -> Result<KeyUpdate, SqlKeysError> {
        let life = self.0.issuer.life;
        self.replace(id, |found| asked.applied(found, life)).await
    }

    async fn set_enabled(&self, id: &KeyId, enabled: bool) -> Result<KeyUpdate, SqlKeysError> {
        self.replace(id, |found| store::enabled(found, enabled)).await
    }

    async fn revoke(&self, id: &KeyId, reason: Option<String>) -> Result<Option<KeyRef>, SqlKeysError> {
        let mut change = self.begin().await?;
        let Some(found) = change.find(id).await? else { return Ok(None) };
        let Some(record) = store::revoked(&found, reason, self.0.issuer.now()) else { return Ok(Some(found)) };
        change.write(&record).await?;
        change.commit().await?;
        Ok(Some(record.into()))
    }

    async fn rotate(&self, id: &KeyId, rotation: KeyRotation) -> Result<KeySuccession, SqlKeysError> {
        let issuer = &self.0.issuer;
        let mut change = self.begin().await?;
        let Some(found) = change.find(id).await? else { return Ok(KeySuccession::Absent) };
        // Read after the wait for others.
        let now = issuer.now();
        if let Err(unchanged) = rotation.possible(&found, now) {
            return Ok(unchanged);
        }
        let mut predecessor = KeyRecord::clone(&found);
        let make = || {
            let (secret, mut successor) = issuer.make(rotation.heir(&found, issuer.life, now), now)?;
            predecessor = KeyRecord::clone(&found);
            rotation.link(&mut predecessor, &mut successor, now);
            Ok((secret, successor))
        };
        let successor = change.issue(make).await?;
        change.write(&predecessor).await?;
        change.commit().await?;
        Ok(KeySuccession::Rotated { successor, predecessor: predecessor.into() })
    }

    async fn purge(&self, before: Timestamp) -> Result<usize, SqlKeysError> {
        // No clock decides alone: what is not over yet stays, however late an instant is named.
        let before = before.min(self.0.issuer.now());
        let mut change = self.begin().await?;
        let purged = change.purge(before).await?;
        change.commit().await?;
        Ok(purged)
    }

    async fn record_usage(&self, usage: &[KeyUsage]) -> Result<(), SqlKeysError> {
        // In the order of ids, so that two who record at once do not wait for each other.
        let mut usage: Vec<_> = usage.iter().collect();
        usage.sort_by(|one, other| one.id.cmp(&other.id));
        let mut change = self.begin().await?;
        for used in usage.chunk_by(|one, other| one.id == other.id) {
            change.add_usage(used).await?;
        }
        change.forget_old_hours(self.0.issuer.now()).await?;
        change.commit().await
    }

    async fn usage_series(&self, id: &KeyId, range: &UsageRange) -> Result<Option<Vec<UsagePoint>>, SqlKeysError> {
        let failed = || SqlKeysError::database("read the usage of a key");
        let mut connection = self.0.database.read().await.map_err(failed())?;
        let points = D::pairs(&mut connection, series::points(&self.0.table, id, range)).await.map_err(failed())?;
        let point = |(index, uses)| UsagePoint::new(range.bucket.nth(index), u64::try_from(uses).unwrap_or(0));
        Ok(Some(points.into_iter().map(point).collect()))
    }
}

impl<D> Clone for SqlKeys<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D> fmt::Debug for SqlKeys<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlKeys")
            .field("name", &self.0.issuer.name)
            .field("table", &self.0.table)
            .finish_non_exhaustive()
    }
}
