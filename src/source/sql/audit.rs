//! Audit events in a table beside that of the keys.
//!
//! The id of an event says when it was recorded, so that its order is that of time. What lists are narrowed by has a column
//! of its own; the event itself is one column of JSON. Rows are added and removed, and never changed.

use std::fmt::Write as _;

use super::database::{SqlDatabase, Statement, Value};
use super::row::{count, instant};
use super::{SqlKeys, SqlKeysError};
use crate::audit::{AuditEvent, AuditEventId, AuditFilter, AuditPage, AuditStore, MOST_LOOKED_AT};
use crate::clock::Timestamp;

/// How many rows are added by one statement. Only these numbers, so that there are few statements to prepare.
const ROWS: [usize; 3] = [64, 8, 1];

/// How many rows are read at once where only the events tell whether they match.
const BATCH: usize = 512;

const COLUMNS: [&str; 8] = ["id", "at", "action", "outcome", "key_id", "user_id", "organization_id", "event"];

/// In the table `<table>_audit`. Its columns are for lists and for people with a database client; instants are
/// microseconds since 1970-01-01T00:00:00Z.
impl<D: SqlDatabase> AuditStore for SqlKeys<D> {
    type Error = SqlKeysError;

    fn name(&self) -> &str {
        &self.0.issuer.name
    }

    async fn append(&self, events: &[AuditEvent]) -> Result<(), SqlKeysError> {
        let failed = || SqlKeysError::database("keep events");
        let (mut transaction, _turn) = self.0.database.change().await.map_err(failed())?;
        let mut rest = events;
        while let Some(rows) = ROWS.into_iter().find(|rows| *rows <= rest.len()) {
            let (some, others) = rest.split_at(rows);
            D::execute(&mut transaction, insert(&self.0.table, some)?).await.map_err(failed())?;
            rest = others;
        }
        transaction.commit().await.map_err(failed())
    }

    async fn events(&self, filter: &AuditFilter) -> Result<AuditPage, SqlKeysError> {
        let failed = || SqlKeysError::database("read events");
        let mut connection = self.0.database.read().await.map_err(failed())?;
        let (mut items, mut cursor, mut looked_at) = (Vec::new(), filter.cursor, 0);
        let wanted = filter.limit.saturating_add(1);
        let batch = if filter.text.is_none() { wanted } else { wanted.max(BATCH) };
        loop {
            let statement = select(&self.0.table, filter, cursor, batch);
            let rows = D::texts(&mut connection, statement).await.map_err(failed())?;
            let is_last = rows.len() < batch;
            looked_at += rows.len();
            for row in rows {
                let Some(event) = read(&row, &mut cursor) else { continue };
                if filter.matches(&event) {
                    items.push(event);
                }
                if items.len() == wanted {
                    return Ok(AuditPage::cut(items, filter.limit));
                }
            }
            if is_last {
                return Ok(AuditPage::new(items, None));
            }
            if looked_at >= MOST_LOOKED_AT {
                return Ok(AuditPage::new(items, cursor));
            }
        }
    }

    async fn purge_events(&self, before: Timestamp, most: usize) -> Result<usize, SqlKeysError> {
        let failed = || SqlKeysError::database("purge events");
        let table = &self.0.table;
        let old = format!("SELECT id FROM {table}_audit WHERE id < $1 ORDER BY id LIMIT $2{}", D::FOR_UPDATE);
        let values = [Value::text(AuditEventId::new(before, 0)), count(most as u64)];
        let purge = Statement::new(format!("DELETE FROM {table}_audit WHERE id IN ({old})"), values);
        let (mut transaction, _turn) = self.0.database.change().await.map_err(failed())?;
        let purged = D::execute(&mut transaction, purge).await.map_err(failed())?;
        transaction.commit().await.map_err(failed())?;
        Ok(usize::try_from(purged).unwrap_or(usize::MAX))
    }
}

fn insert(table: &str, events: &[AuditEvent]) -> Result<Statement, SqlKeysError> {
    let mut sql = format!("INSERT INTO {table}_audit ({}) VALUES ", COLUMNS.join(", "));
    let mut values = Vec::with_capacity(events.len() * COLUMNS.len());
    for event in events {
        let text = serde_json::to_string(event).map_err(|_| SqlKeysError::UnstorableEvent { id: event.id })?;
        sql.push_str(if values.is_empty() { "(" } else { ", (" });
        for (index, value) in [
            Value::text(event.id),
            instant(Some(event.at)),
            Value::text(event.action),
            Value::text(event.outcome),
            Value::optional(event.key_id.as_ref()),
            Value::optional(event.owner.user.as_ref()),
            Value::optional(event.owner.organization.as_ref()),
            Value::Text(Some(text)),
        ]
        .into_iter()
        .enumerate()
        {
            values.push(value);
            // Writing to a text cannot fail.
            let _ = write!(sql, "{}${}", if index == 0 { "" } else { ", " }, values.len());
        }
        sql.push(')');
    }
    sql.push_str(" ON CONFLICT DO NOTHING");
    Ok(Statement::new(sql, values))
}

/// Up to `limit` events recorded before that of the cursor, the latest first.
fn select(table: &str, filter: &AuditFilter, cursor: Option<AuditEventId>, limit: usize) -> Statement {
    let columns = [
        ("organization_id =", filter.organization.as_ref().map(Value::text)),
        ("user_id =", filter.user.as_ref().map(Value::text)),
        ("key_id =", filter.key_id.as_ref().map(Value::text)),
        ("action =", filter.action.map(Value::text)),
        ("outcome =", filter.outcome.map(Value::text)),
        ("id <", cursor.map(Value::text)),
    ];
    let (mut conditions, mut values) = (vec!["TRUE".to_owned()], Vec::new());
    for (condition, value) in columns {
        if let Some(value) = value {
            values.push(value);
            conditions.push(format!("{condition} ${}", values.len()));
        }
    }
    values.push(count(limit as u64));
    let (conditions, place) = (conditions.join(" AND "), values.len());
    // With its id in front, so that what cannot be read is passed over all the same.
    Statement::new(
        format!("SELECT id || event FROM {table}_audit WHERE {conditions} ORDER BY id DESC LIMIT ${place}"),
        values,
    )
}

/// The event of a row, if it can be read; the cursor goes there in any case.
fn read(row: &str, cursor: &mut Option<AuditEventId>) -> Option<AuditEvent> {
    let (id, event) = row.split_at_checked(row.find('{')?)?;
    *cursor = id.parse().ok().or(*cursor);
    let read = serde_json::from_str(event).ok();
    if read.is_none() {
        tracing::warn!(target: "tower_api_key::audit_trail", id, "an event cannot be read, and is left out");
    }
    read
}
