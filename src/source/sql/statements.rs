//! The statements, in the words that both databases read.

use std::sync::Arc;

use super::database::{Statement, Value};
use super::error::SqlKeysError;
use super::row::{COLUMNS, count, details, digest, instant, values};
use crate::clock::Timestamp;
use crate::key::{KeyId, KeyRecord, KeyState};
use crate::source::{KeyCursor, KeyFilter};

/// Statements on one table. Their text is made once, so that a lookup only refers to it.
pub(super) struct Statements {
    table: String,
    find: Arc<str>,
    get: Arc<str>,
    get_for_update: Arc<str>,
    insert: Arc<str>,
    write: Arc<str>,
    write_usage: Arc<str>,
    purge: Arc<str>,
}

impl Statements {
    /// Statements on `table`, the name of which was checked; `for_update` ends those that read what is to be changed.
    pub(super) fn new(table: &str, for_update: &str) -> Self {
        let columns = COLUMNS.join(", ");
        let places: Vec<_> = (1..=COLUMNS.len()).map(|number| format!("${number}")).collect();
        let set: Vec<_> =
            COLUMNS.iter().zip(&places).skip(1).map(|(column, place)| format!("{column} = {place}")).collect();
        // In the order of ids, in which usage is written, too: so that no two wait for each other.
        let over = "(revoked_at IS NOT NULL AND revoked_at < $1) OR (revoked_at IS NULL AND expires_at < $1)";
        let over = format!("SELECT id FROM {table} WHERE {over} ORDER BY id{for_update}");
        Self {
            table: table.to_owned(),
            find: format!("SELECT {columns} FROM {table} WHERE digest = $1").into(),
            get: format!("SELECT {columns} FROM {table} WHERE id = $1").into(),
            get_for_update: format!("SELECT {columns} FROM {table} WHERE id = $1{for_update}").into(),
            insert: format!("INSERT INTO {table} ({columns}) VALUES ({}) ON CONFLICT DO NOTHING", places.join(", "))
                .into(),
            write: format!("UPDATE {table} SET {} WHERE id = $1", set.join(", ")).into(),
            write_usage: format!(
                "UPDATE {table} SET use_count = $2, last_used_at = $3, last_used_ip = $4, digest = $5, details = $6 \
                 WHERE id = $1"
            )
            .into(),
            purge: format!("DELETE FROM {table} WHERE id IN ({over}) RETURNING id").into(),
        }
    }

    /// The record of a digest in its stored form.
    pub(super) fn find(&self, digest: String) -> Statement {
        Statement::new(Arc::clone(&self.find), [Value::Text(Some(digest))])
    }

    pub(super) fn get(&self, id: &KeyId) -> Statement {
        Statement::new(Arc::clone(&self.get), [Value::text(id)])
    }

    /// The same, and nobody else may change it until the transaction ends.
    pub(super) fn get_for_update(&self, id: &KeyId) -> Statement {
        Statement::new(Arc::clone(&self.get_for_update), [Value::text(id)])
    }

    /// Adds a record; nothing, if there is one of its id or digest.
    pub(super) fn insert(&self, record: &KeyRecord) -> Result<Statement, SqlKeysError> {
        Ok(Statement::new(Arc::clone(&self.insert), values(record)?))
    }

    /// Puts a record in place of the one of its id.
    pub(super) fn write(&self, record: &KeyRecord) -> Result<Statement, SqlKeysError> {
        Ok(Statement::new(Arc::clone(&self.write), values(record)?))
    }

    /// Writes what recording usage can change of a record: its use, its digest, and the balance of its credits.
    pub(super) fn write_usage(&self, record: &KeyRecord) -> Result<Statement, SqlKeysError> {
        let used = [
            Value::text(&record.id),
            count(record.use_count),
            instant(record.last_used_at),
            Value::optional(record.last_used_ip),
            digest(record)?,
            Value::Text(Some(details(record)?)),
        ];
        Ok(Statement::new(Arc::clone(&self.write_usage), used))
    }

    /// Removes what was over before that instant, and returns its ids.
    pub(super) fn purge(&self, before: Timestamp) -> Statement {
        Statement::new(Arc::clone(&self.purge), [instant(Some(before))])
    }

    /// Up to `limit` keys behind `place`, the newest first, of which those of another owner or state are left out. What
    /// else a filter says has to be looked at in the records: databases do not agree on the case of letters.
    pub(super) fn list(
        &self,
        filter: &KeyFilter,
        place: Option<&KeyCursor>,
        limit: usize,
        now: Timestamp,
    ) -> Statement {
        let mut values = Vec::new();
        let mut place_of = |value| {
            values.push(value);
            format!("${}", values.len())
        };
        let mut conditions = vec!["TRUE".to_owned()];
        if let Some(user) = &filter.user {
            conditions.push(format!("user_id = {}", place_of(Value::text(user))));
        }
        if let Some(organization) = &filter.organization {
            conditions.push(format!("organization_id = {}", place_of(Value::text(organization))));
        }
        if let Some(state) = filter.state {
            conditions.push(in_state(state, || place_of(instant(Some(now)))));
        }
        if let Some(KeyCursor { created_at, id }) = place {
            let (created_at, id) = (place_of(instant(Some(*created_at))), place_of(Value::text(id)));
            conditions.push(format!("(created_at, id) < ({created_at}, {id})"));
        }
        let limit = place_of(count(limit as u64));
        let (columns, table, conditions) = (COLUMNS.join(", "), &self.table, conditions.join(" AND "));
        let order = "ORDER BY created_at DESC, id DESC";
        Statement::new(format!("SELECT {columns} FROM {table} WHERE {conditions} {order} LIMIT {limit}"), values)
    }
}

/// What [`KeyRecord::state`] says, of the columns.
fn in_state(state: KeyState, now: impl FnOnce() -> String) -> String {
    match state {
        KeyState::Revoked => "revoked_at IS NOT NULL".to_owned(),
        KeyState::Expired => format!("revoked_at IS NULL AND expires_at <= {}", now()),
        KeyState::Disabled => not_over("disabled", &now()),
        KeyState::Overlap => not_over("NOT disabled AND rotated_at IS NOT NULL", &now()),
        KeyState::Active => not_over("NOT disabled AND rotated_at IS NULL", &now()),
    }
}

fn not_over(rest: &str, now: &str) -> String {
    format!("revoked_at IS NULL AND (expires_at IS NULL OR expires_at > {now}) AND {rest}")
}
