//! Columns of a row, read strictly.

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::key::{DigestAlgorithm, Scope, ScopeSet};

/// What is wrong with a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldProblem {
    /// The row is no object.
    #[error("it is no object with columns")]
    NoRow,
    /// The column is needed.
    #[error("it is missing")]
    Missing,
    /// It has another type or shape.
    #[error("it must be {0}")]
    Malformed(&'static str),
    /// It is no digest of this length, in hexadecimal digits, base64 or base64url.
    #[error("it must be a digest of {bytes} bytes, in hexadecimal digits, base64 or base64url")]
    NoDigest {
        /// How long it has to be.
        bytes: usize,
    },
    /// Nothing can be looked up by such a hash.
    #[error("it is a salted password hash ({0}), which keys cannot be found by: issue the key anew")]
    PasswordHash(&'static str),
    /// It has the length of a SHA-1 digest.
    #[error("it is a SHA-1 digest, which is broken: issue the key anew")]
    Sha1,
    /// The store would never look for it.
    #[error("the store has no scheme with {0:?}, so that the key would never be found")]
    NotLookedFor(DigestAlgorithm),
    /// The store has a record of that id or digest.
    #[error("there is a record with this id or digest already")]
    Taken,
}

/// What is wrong, and with which column.
pub(in crate::source) type Refused = (String, FieldProblem);

/// The columns of a row.
pub(in crate::source) struct Fields<'r>(pub(in crate::source) &'r Map<String, Value>);

impl<'r> Fields<'r> {
    /// The first of these columns that is there and not null.
    pub(in crate::source) fn any(&self, columns: &[&'static str]) -> Option<(&'static str, &'r Value)> {
        columns.iter().find_map(|column| Some((*column, self.0.get(*column).filter(|value| !value.is_null())?)))
    }

    pub(in crate::source) fn text(&self, columns: &[&'static str]) -> Result<Option<&'r str>, Refused> {
        match self.any(columns) {
            None => Ok(None),
            Some((column, value)) => value.as_str().map(Some).ok_or_else(|| malformed(column, "a text")),
        }
    }

    /// A text, or a whole number as text.
    pub(in crate::source) fn id(&self, columns: &[&'static str]) -> Result<Option<String>, Refused> {
        match self.any(columns) {
            None => Ok(None),
            Some((_, Value::String(text))) => Ok(Some(text.clone())),
            Some((_, Value::Number(number))) if !number.is_f64() => Ok(Some(number.to_string())),
            Some((column, _)) => Err(malformed(column, "a text or a whole number")),
        }
    }

    /// `true` or `false`, or 1 or 0, as SQLite writes them.
    pub(in crate::source) fn flag(&self, columns: &[&'static str]) -> Result<Option<bool>, Refused> {
        match self.any(columns) {
            None => Ok(None),
            Some((_, Value::Bool(flag))) => Ok(Some(*flag)),
            Some((column, value)) => match value.as_u64() {
                Some(number @ 0..=1) => Ok(Some(number == 1)),
                _ => Err(malformed(column, "true or false")),
            },
        }
    }

    pub(in crate::source) fn count(&self, columns: &[&'static str]) -> Result<Option<u64>, Refused> {
        match self.any(columns) {
            None => Ok(None),
            Some((column, value)) => {
                value.as_u64().map(Some).ok_or_else(|| malformed(column, "a whole number, 0 or more"))
            }
        }
    }

    /// ISO 8601, with a `T` or a space, in UTC unless it says otherwise; or milliseconds since 1970.
    pub(in crate::source) fn instant(&self, columns: &[&'static str]) -> Result<Option<Timestamp>, Refused> {
        let Some((column, value)) = self.any(columns) else { return Ok(None) };
        let instant = match value {
            Value::String(text) => instant(text),
            Value::Number(number) => number.as_i64().map(Timestamp::from_unix_millis),
            _ => None,
        };
        instant.map(Some).ok_or_else(|| malformed(column, "a date and time, or milliseconds since 1970"))
    }

    /// A list of texts, or a text with such a list as JSON in it. What is no scope is an error: a permission that is left
    /// out by mistake breaks its caller.
    pub(in crate::source) fn scopes(&self, columns: &[&'static str]) -> Result<ScopeSet, Refused> {
        let Some((column, value)) = self.any(columns) else { return Ok(ScopeSet::EMPTY) };
        let inner = value.as_str().map(serde_json::from_str::<Value>);
        let list = match &inner {
            Some(Ok(list)) => list,
            Some(Err(_)) => return Err(malformed(column, "a list of scopes")),
            None => value,
        };
        let names = list.as_array().ok_or_else(|| malformed(column, "a list of scopes"))?;
        let scope = |name: &Value| name.as_str().and_then(|name| Scope::new(name).ok());
        names.iter().map(scope).collect::<Option<_>>().ok_or_else(|| malformed(column, "a list of scopes"))
    }

    /// An object, or a text with one as JSON in it; or, as some have written it by mistake, a text with such a text in it.
    pub(in crate::source) fn object(&self, columns: &[&'static str]) -> Result<Map<String, Value>, Refused> {
        let Some((column, value)) = self.any(columns) else { return Ok(Map::new()) };
        let unwrapped = |value: &Value| value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let inner = unwrapped(value).map(|inner| unwrapped(&inner).unwrap_or(inner));
        match inner.as_ref().unwrap_or(value) {
            Value::Object(object) => Ok(object.clone()),
            Value::Null => Ok(Map::new()),
            _ => Err(malformed(column, "an object")),
        }
    }
}

pub(in crate::source) fn malformed(column: &str, expected: &'static str) -> Refused {
    (column.to_owned(), FieldProblem::Malformed(expected))
}

pub(in crate::source) fn missing(column: &str) -> Refused {
    (column.to_owned(), FieldProblem::Missing)
}

/// An instant as databases write it.
pub(in crate::source) fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| format!("{}Z", text.replacen(' ', "T", 1)).parse().ok()).or_else(|| {
        let civil = text.replacen(' ', "T", 1);
        // Postgres shortens offsets: `2026-11-21 22:54:27+00`.
        format!("{civil}:00").parse().ok().or_else(|| civil.parse().ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_read_as_databases_write_it() {
        for text in [
            "2026-11-21 22:54:27.750978",
            "2026-11-21T22:54:27.750978Z",
            "2026-11-21 22:54:27.750978+00",
            "2026-11-21 22:54:27.750978+00:00",
            "2026-11-21T23:54:27.750978+01:00",
        ] {
            assert_eq!(instant(text).map(Timestamp::unix_micros), Some(1_795_301_667_750_978), "{text}");
        }
        for text in ["", "2026-11-21", "tomorrow", "22:54:27", "2026-11-21 22:54:27 PST"] {
            assert_eq!(instant(text), None, "{text}");
        }
    }
}
