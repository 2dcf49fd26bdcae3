//! The text of the file, and the keys that it lists.

use serde::{Deserialize, Serialize};

use super::NAME;
use super::error::Kind;
use crate::source::MemoryKeys;
use crate::source::row::KeyRow;

/// The version of the form that is read and written here.
const VERSION: u64 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u64,
    keys: Vec<KeyRow>,
}

/// Only the version, so that a newer form is called that, whatever else it has.
#[derive(Deserialize)]
struct Version {
    version: u64,
}

/// The keys that `text` lists, in a store with the settings of `like`.
pub(super) fn parse(text: &[u8], like: &MemoryKeys) -> Result<MemoryKeys, Kind> {
    let content: Content = serde_json::from_slice(text).map_err(|error| match serde_json::from_slice(text) {
        Ok(Version { version }) if version != VERSION => Kind::Version(version),
        _ => Kind::Syntax(unquoted(&error)),
    })?;
    if content.version != VERSION {
        return Err(Kind::Version(content.version));
    }
    let keys = like.emptied();
    for row in content.keys {
        let id = row.id.clone();
        let record = row.into_record(NAME).map_err(|error| Kind::Digest(id.clone(), error))?;
        keys.insert(record).map_err(|_| Kind::Duplicate(id))?;
    }
    Ok(keys)
}

/// The text that lists `keys`, the oldest first.
pub(super) fn write(keys: &MemoryKeys) -> Result<Vec<u8>, Kind> {
    let row = |record: &crate::key::KeyRef| KeyRow::of(record).ok_or_else(|| Kind::Unstorable(record.id.clone()));
    let keys = keys.oldest_first().iter().map(row).collect::<Result<_, _>>()?;
    let written = serde_json::to_vec_pretty(&Content { version: VERSION, keys });
    let mut text = written.map_err(|error| Kind::Syntax(unquoted(&error)))?;
    text.push(b'\n');
    Ok(text)
}

/// The error without what it quotes of the file, since somebody may have written a key there. Names in backticks stay if
/// they look like a name.
fn unquoted(error: &serde_json::Error) -> String {
    let (message, mut shown) = (error.to_string(), String::new());
    let mut rest = message.as_str();
    while let Some(start) = rest.find(['"', '`']) {
        let (before, quoted) = rest.split_at(start);
        let (quote, inside) = quoted.split_at(1);
        let end = inside.rfind(quote).filter(|_| quote == "\"").or_else(|| inside.find(quote)).unwrap_or(inside.len());
        let named = quote == "`" && end <= 24 && inside[..end].bytes().all(|byte| byte.is_ascii_alphabetic());
        shown.push_str(before);
        shown.push_str(quote);
        shown.push_str(if named { &inside[..end] } else { "…" });
        shown.push_str(quote);
        rest = inside.get(end + 1..).unwrap_or_default();
    }
    shown + rest
}
