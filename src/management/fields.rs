//! Reads fields one by one and remembers everything that is wrong with them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::refusal;
use crate::rejection::Rejection;

/// The fields of a body, or the parameters of a query. Each is taken once; those that nobody takes are unknown.
#[derive(Debug)]
#[must_use]
pub(super) struct Fields {
    unread: Map<String, Value>,
    problems: BTreeMap<String, String>,
}

impl Fields {
    pub(super) const fn new(fields: Map<String, Value>) -> Self {
        Self { unread: fields, problems: BTreeMap::new() }
    }

    /// The parameters of a query, as texts. One that stands twice is refused.
    pub(super) fn of_query(parameters: Vec<(String, String)>) -> Self {
        let mut fields = Self::new(Map::new());
        for (name, value) in parameters {
            if fields.unread.insert(name.clone(), Value::String(value)).is_some() {
                fields.refuse(&name, "is given twice");
            }
        }
        fields
    }

    /// Whether the field is there and not null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.unread.get(name).is_some_and(|value| !value.is_null())
    }

    /// Whether the field is there, be it null.
    pub(super) fn names(&self, name: &str) -> bool {
        self.unread.contains_key(name)
    }

    /// A field that may be absent or null. `None` as well when it is wrong, which [`finish`](Self::finish) reports.
    pub(super) fn optional<T>(&mut self, name: &str, read: impl FnOnce(Value) -> Result<T, String>) -> Option<T> {
        let value = self.unread.remove(name).filter(|value| !value.is_null())?;
        read(value).map_err(|problem| self.refuse(name, problem)).ok()
    }

    /// A field that must be there. A stand-in when it is not or is wrong, which [`finish`](Self::finish) reports.
    pub(super) fn required<T: Default>(&mut self, name: &str, read: impl FnOnce(Value) -> Result<T, String>) -> T {
        if !self.has(name) {
            self.refuse(name, "is required");
        }
        self.optional(name, read).unwrap_or_default()
    }

    /// Takes note that a field is wrong.
    pub(super) fn refuse(&mut self, name: &str, problem: impl Into<String>) {
        self.problems.entry(name.to_owned()).or_insert_with(|| problem.into());
    }

    /// Goes on only if everything was known and right.
    ///
    /// # Errors
    /// 422 with all that was not.
    pub(super) fn finish(mut self) -> Result<(), Rejection> {
        for name in std::mem::take(&mut self.unread).keys() {
            self.refuse(name, "is unknown, or cannot be set");
        }
        if self.problems.is_empty() { Ok(()) } else { Err(refusal::invalid(self.problems)) }
    }
}
