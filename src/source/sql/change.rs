//! A change: one transaction, and what it tells others.

use sqlx::Transaction;

use super::Inner;
use super::announcement::Announcement;
use super::database::SqlDatabase;
use super::error::SqlKeysError;
use super::series;
use crate::clock::Timestamp;
use crate::key::{KeyDigest, KeyId, KeyRecord, KeyRef, RandomError, SecretKey};
use crate::source::{IssuedKey, KeyUsage};

/// How many keys are named to others one by one when they are purged.
const NAMED: usize = 1_000;

/// A change under way. Dropped before it is committed, it has changed nothing.
pub(super) struct Change<'a, D: SqlDatabase> {
    keys: &'a Inner<D>,
    // Ends before its turn does.
    transaction: Transaction<'static, D::Driver>,
    _turn: D::Turn,
    announcements: Vec<Announcement>,
}

impl<'a, D: SqlDatabase> Change<'a, D> {
    pub(super) async fn begin(keys: &'a Inner<D>) -> Result<Self, SqlKeysError> {
        let begun = keys.database.change().await;
        let (transaction, turn) = begun.map_err(SqlKeysError::database("begin a change"))?;
        Ok(Self { keys, transaction, _turn: turn, announcements: Vec::new() })
    }

    /// The record of a key, which nobody else may change from here on.
    pub(super) async fn find(&mut self, id: &KeyId) -> Result<Option<KeyRef>, SqlKeysError> {
        let statement = self.keys.statements.get_for_update(id);
        let row = D::row(&mut self.transaction, statement).await;
        let row = row.map_err(SqlKeysError::database("read a key"))?;
        row.map(|row| row.into_record(self.keys.issuer.name.clone()).map(KeyRef::from)).transpose()
    }

    /// Adds a record, unless there is one of its id or digest.
    pub(super) async fn insert(&mut self, record: &KeyRecord) -> Result<bool, SqlKeysError> {
        let statement = self.keys.statements.insert(record)?;
        let added = D::execute(&mut self.transaction, statement).await;
        let is_added = added.map_err(SqlKeysError::database("add a key"))? > 0;
        if is_added {
            self.announcements.push(Announcement::Issued(record.digest));
        }
        Ok(is_added)
    }

    /// Adds a key that `make` makes.
    pub(super) async fn issue(
        &mut self,
        mut make: impl FnMut() -> Result<(SecretKey, KeyRecord), RandomError> + Send,
    ) -> Result<IssuedKey, SqlKeysError> {
        loop {
            let (secret, record) = make()?;
            // An id or a secret that exists already is as good as impossible, and another one is at hand.
            if self.insert(&record).await? {
                return Ok(IssuedKey { secret, record: record.into() });
            }
        }
    }

    /// Puts a record in place of the one of its id.
    pub(super) async fn write(&mut self, record: &KeyRecord) -> Result<(), SqlKeysError> {
        let statement = self.keys.statements.write(record)?;
        let written = D::execute(&mut self.transaction, statement).await;
        written.map_err(SqlKeysError::database("write a key"))?;
        self.announcements.push(Announcement::Changed(record.id.clone()));
        Ok(())
    }

    /// Adds what one key was used, if there is such a key. Others are told of a new digest alone.
    pub(super) async fn add_usage(&mut self, usage: &[&KeyUsage]) -> Result<(), SqlKeysError> {
        let failed = || SqlKeysError::database("record usage");
        let Some(first) = usage.first() else { return Ok(()) };
        let Some(found) = self.find(&first.id).await? else { return Ok(()) };
        let mut record = KeyRecord::clone(&found);
        usage.iter().for_each(|used| used.add_to(&mut record));
        if record.digest != found.digest {
            if self.is_taken(&record.digest).await.map_err(failed())? {
                record.digest = found.digest;
            } else {
                self.announcements.push(Announcement::Changed(record.id.clone()));
                self.announcements.push(Announcement::Issued(record.digest));
            }
        }
        let statement = self.keys.statements.write_usage(&record)?;
        D::execute(&mut self.transaction, statement).await.map_err(failed())?;
        for point in usage.iter().flat_map(|used| used.by_hour()) {
            let statement = series::add(&self.keys.table, &record.id, &point);
            D::execute(&mut self.transaction, statement).await.map_err(failed())?;
        }
        Ok(())
    }

    /// Forgets in which hours keys were used long ago.
    pub(super) async fn forget_old_hours(&mut self, now: Timestamp) -> Result<(), SqlKeysError> {
        let statement = series::forget(&self.keys.table, now, D::FOR_UPDATE);
        let forgotten = D::execute(&mut self.transaction, statement).await;
        forgotten.map(drop).map_err(SqlKeysError::database("forget old usage"))
    }

    /// Whether there is a record of this digest, or cannot be one: such a digest is not kept.
    async fn is_taken(&mut self, digest: &KeyDigest) -> Result<bool, sqlx::Error> {
        let Some(stored) = digest.to_stored() else { return Ok(true) };
        let row = D::row(&mut self.transaction, self.keys.statements.find(stored)).await?;
        Ok(row.is_some())
    }

    /// Removes what was over before that instant, and says how many keys that were.
    pub(super) async fn purge(&mut self, before: Timestamp) -> Result<usize, SqlKeysError> {
        let purged = D::texts(&mut self.transaction, self.keys.statements.purge(before)).await;
        let purged = purged.map_err(SqlKeysError::database("purge keys"))?;
        for id in &purged {
            let forgotten = D::execute(&mut self.transaction, series::forget_key(&self.keys.table, id)).await;
            forgotten.map_err(SqlKeysError::database("purge usage"))?;
        }
        if purged.len() > NAMED {
            self.announcements.push(Announcement::All);
        } else {
            self.announcements.extend(purged.iter().filter_map(|id| id.parse().ok()).map(Announcement::Changed));
        }
        Ok(purged.len())
    }

    /// Makes it so, and tells others.
    pub(super) async fn commit(mut self) -> Result<(), SqlKeysError> {
        let failed = || SqlKeysError::database("commit a change");
        if !self.announcements.is_empty() {
            let Inner { table, .. } = self.keys;
            D::announce(&mut self.transaction, table, &self.announcements).await.map_err(failed())?;
        }
        self.transaction.commit().await.map_err(failed())
    }
}
