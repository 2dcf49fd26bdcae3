//! How often keys were used in which hour, in a table beside that of the keys.

use std::time::Duration;

use super::database::{Statement, Value};
use super::row::count;
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::source::{UsageBucket, UsagePoint, UsageRange};

/// How long hours are kept.
pub(super) const KEPT: Duration = Duration::from_secs(400 * 86_400);

/// How many old hours are forgotten at once.
const AT_ONCE: u64 = 1_000;

/// Adds the uses of an hour. Hours are numbered from 1970-01-01T00:00:00Z.
pub(super) fn add(table: &str, id: &KeyId, uses: &UsagePoint) -> Statement {
    let add = format!(
        "INSERT INTO {table}_usage (key_id, hour, uses) VALUES ($1, $2, $3) \
         ON CONFLICT (key_id, hour) DO UPDATE SET uses = {table}_usage.uses + excluded.uses"
    );
    Statement::new(add, [Value::text(id), hour(uses.at), count(uses.count)])
}

/// The number of each bucket of the range in which there are uses, and how many there are.
pub(super) fn points(table: &str, id: &KeyId, range: &UsageRange) -> Statement {
    let within = range.indices();
    let (bucket, hours) = match range.bucket {
        UsageBucket::Hour => ("hour", 1),
        UsageBucket::Day => ("hour / 24", 24),
    };
    let places = [within.start, within.end].map(|index| Value::Integer(Some(index.saturating_mul(hours))));
    let [from, to] = places;
    let select = format!(
        "SELECT {bucket}, CAST(SUM(uses) AS BIGINT) FROM {table}_usage \
         WHERE key_id = $1 AND hour >= $2 AND hour < $3 GROUP BY {bucket} ORDER BY {bucket}"
    );
    Statement::new(select, [Value::text(id), from, to])
}

/// Forgets some of the hours that are too old, in the order in which others do.
pub(super) fn forget(table: &str, now: Timestamp, for_update: &str) -> Statement {
    let old = format!(
        "SELECT key_id, hour FROM {table}_usage WHERE hour < $1 ORDER BY key_id, hour LIMIT {AT_ONCE}{for_update}"
    );
    let forget = format!("DELETE FROM {table}_usage WHERE (key_id, hour) IN ({old})");
    Statement::new(forget, [hour(now.saturating_sub(KEPT))])
}

/// Forgets the hours of a key that is purged.
pub(super) fn forget_key(table: &str, id: &str) -> Statement {
    Statement::new(format!("DELETE FROM {table}_usage WHERE key_id = $1"), [Value::text(id)])
}

fn hour(at: Timestamp) -> Value {
    Value::Integer(Some(UsageBucket::Hour.index(at)))
}
