//! How often keys were used when, in a file beside that of the keys.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::NAME;
use super::disk;
use super::error::Kind;
use crate::key::KeyId;
use crate::private_file::beside;
use crate::source::store::Series;
use crate::source::{KeyUsage, MemoryKeys, UsagePoint, UsageRange};

/// The version of the form that is read and written here.
const VERSION: u64 = 1;

#[derive(Serialize, Deserialize)]
struct Content {
    version: u64,
    keys: HashMap<KeyId, Series>,
}

/// Adds uses of `keys` to the file beside that at `path`, and forgets keys that there are not any more. Never fails: the
/// uses are with the keys already, and would be counted twice.
pub(super) fn add(path: &Path, usage: &[KeyUsage], keys: &MemoryKeys) {
    if let Err(error) = try_add(path, usage, keys) {
        let file = place(path);
        let file = file.display();
        tracing::error!(target: "tower_api_key::store", backend = NAME, %file, %error, "the series of uses is not written");
    }
}

fn try_add(path: &Path, usage: &[KeyUsage], keys: &MemoryKeys) -> Result<(), Kind> {
    if usage.is_empty() {
        return Ok(());
    }
    let file = place(path);
    let mut content = read(&file)?;
    content.keys.retain(|id, _| keys.get_now(id).is_some());
    for used in usage.iter().filter(|used| keys.get_now(&used.id).is_some()) {
        let series = content.keys.entry(used.id.clone()).or_default();
        used.by_hour().for_each(|point| series.add(point.at, point.count));
    }
    // Nothing of a user's is in it that could not be written.
    let text = serde_json::to_vec(&content).map_err(|error| Kind::Syntax(error.to_string()))?;
    disk::replace(&file, &text).map(drop)
}

/// The uses of a key, from the file beside that at `path`.
pub(super) fn points(path: &Path, id: &KeyId, range: &UsageRange) -> Result<Vec<UsagePoint>, Kind> {
    let content = read(&place(path))?;
    Ok(content.keys.get(id).map(|series| series.points(range)).unwrap_or_default())
}

fn place(path: &Path) -> PathBuf {
    beside(path, ".usage")
}

fn read(file: &Path) -> Result<Content, Kind> {
    let Some((text, _)) = disk::read(file)? else { return Ok(Content { version: VERSION, keys: HashMap::new() }) };
    let content: Content = serde_json::from_slice(&text).map_err(|_| Kind::Series)?;
    if content.version == VERSION { Ok(content) } else { Err(Kind::Series) }
}
