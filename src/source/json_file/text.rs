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
        _ => Kind::Syntax(error),
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
    let mut text = serde_json::to_vec_pretty(&Content { version: VERSION, keys })?;
    text.push(b'\n');
    Ok(text)
}
