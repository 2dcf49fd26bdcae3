//! What has changed of a key.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::event::AuditChange;
use crate::clock::Timestamp;
use crate::key::{KeyObject, KeyRecord};

/// What is told of a key, by the names of its fields: what can be changed of it, and what changes with that.
const TOLD: [&str; 14] = [
    "name",
    "environment",
    "scopes",
    "owner",
    "state",
    "expiresAt",
    "revokedAt",
    "revokedReason",
    "allowedIps",
    "allowedOrigins",
    "rateLimits",
    "metadata",
    "replaces",
    "replacedBy",
];

/// A value that is longer than this as JSON is told by its length alone.
const LONGEST: usize = 1024;

impl AuditChange {
    /// What differs between a key before and after, in the state that it has at `now`, by the names that fields have in a
    /// [`KeyObject`]: neither secret nor digest is among that. `before` is `None` for a key that was made.
    pub fn between(before: Option<&KeyRecord>, after: &KeyRecord, now: Timestamp) -> BTreeMap<String, Self> {
        let face = |record| match serde_json::to_value(KeyObject::new(record, now)) {
            Ok(Value::Object(object)) => object,
            _ => Map::new(),
        };
        let (mut before, mut after) = (before.map(face).unwrap_or_default(), face(after));
        let mut changes = BTreeMap::new();
        for name in TOLD {
            let value = |object: &mut Map<String, Value>| object.remove(name).unwrap_or_default();
            let (before, after) = (value(&mut before), value(&mut after));
            if before != after && !(is_nothing(&before) && is_nothing(&after)) {
                changes.insert(name.to_owned(), Self::new(bounded(before), bounded(after)));
            }
        }
        changes
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn bounded(value: Value) -> Value {
    match value.to_string().len() {
        0..=LONGEST => value,
        length => Value::String(format!("({length} bytes)")),
    }
}
