//! Keys in a JSON file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use serde::Deserialize;

use super::row::KeyRow;
use super::{KeyScheme, KeySource, Lookup, MemoryKeys};
use crate::key::{KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRef, ParseKeyDigestError, RandomError};

/// Keys that a JSON file lists by their digests. Reads the file, and never writes it.
///
/// ```json
/// {
///   "version": 1,
///   "keys": [
///     {
///       "id": "key_ci",
///       "name": "ci",
///       "digest": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
///       "scopes": ["read"],
///       "expiresAt": "2027-01-01T00:00:00Z"
///     }
///   ]
/// }
/// ```
///
/// `id` and `digest` are needed; an unknown field is an error, since it may be a restriction that was misspelt.
/// `printf %s "$KEY" | sha256sum` prints the digest of a key.
#[derive(Debug)]
pub struct JsonFileKeys {
    path: PathBuf,
    formats: Vec<KeyFormat>,
    hashers: Vec<KeyHasher>,
    keys: RwLock<MemoryKeys>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u64,
    keys: Vec<KeyRow>,
}

impl JsonFileKeys {
    /// Reads the keys of the file at `path`, which may have any visible ASCII text, digested by SHA-256.
    ///
    /// # Errors
    /// When the file cannot be read, is not as above, or lists an id or a digest twice.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, JsonFileError> {
        Self::open_with(path, [KeyFormat::text()], [KeyHasher::sha256()])
    }

    /// The same for keys of these shapes, and digests by these hashers.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(
        path: impl Into<PathBuf>,
        formats: impl IntoIterator<Item = KeyFormat>,
        hashers: impl IntoIterator<Item = KeyHasher>,
    ) -> Result<Self, JsonFileError> {
        let path = path.into();
        let keys = RwLock::new(load(&path)?);
        Ok(Self { path, formats: formats.into_iter().collect(), hashers: hashers.into_iter().collect(), keys })
    }

    /// Reads the file again. Requests see the old keys or the new ones, never a part.
    ///
    /// # Errors
    /// As [`open`](Self::open). The keys that were read last stay.
    pub fn reload(&self) -> Result<(), JsonFileError> {
        let fresh = load(&self.path)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// How many keys there are, in any state.
    pub fn len(&self) -> usize {
        self.keys().len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn keys(&self) -> MemoryKeys {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl KeySource for JsonFileKeys {
    type Error = RandomError;

    fn name(&self) -> &str {
        "json-file"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        let with_each = |format: &KeyFormat| {
            let format = format.clone();
            self.hashers.iter().map(move |hasher| KeyScheme::new(format.clone(), hasher.clone()))
        };
        self.formats.iter().flat_map(with_each).collect()
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, RandomError> {
        Ok(self.keys().lookup(digest))
    }

    fn find_now(&self, digest: &KeyDigest) -> Lookup {
        self.keys().find_now(digest)
    }
}

fn load(path: &Path) -> Result<MemoryKeys, JsonFileError> {
    let failed = |kind| JsonFileError { path: path.to_owned(), kind };
    let text = fs::read(path).map_err(|error| failed(Kind::Io(error)))?;
    let file: File = serde_json::from_slice(&text).map_err(|error| failed(Kind::Syntax(error)))?;
    if file.version != 1 {
        return Err(failed(Kind::Version(file.version)));
    }
    let keys = MemoryKeys::new();
    for row in file.keys {
        let id = row.id.clone();
        let record = row.into_record("json-file").map_err(|error| failed(Kind::Digest(id.clone(), error)))?;
        keys.insert(record).map_err(|_| failed(Kind::Duplicate(id)))?;
    }
    Ok(keys)
}

/// The file of keys could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct JsonFileError {
    path: PathBuf,
    #[source]
    kind: Kind,
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("{0}")]
    Io(io::Error),
    #[error("{0}")]
    Syntax(serde_json::Error),
    #[error("version {0} of the file is unknown, only 1 is")]
    Version(u64),
    #[error("key {0}: {1}")]
    Digest(KeyId, ParseKeyDigestError),
    #[error("key {0}: its id or its digest is listed twice")]
    Duplicate(KeyId),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of `abc`.
    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    fn knows_abc(keys: &JsonFileKeys) -> bool {
        matches!(keys.find_now(&keys.schemes()[0].digest("abc").unwrap()), Lookup::Found(_))
    }

    #[test]
    fn a_key_is_found_by_its_digest() {
        let file = file(&format!(r#"{{"version":1,"keys":[{{"id":"key_1","digest":"{ABC}","scopes":["read"]}}]}}"#));
        let keys = JsonFileKeys::open(file.path()).unwrap();
        assert!(knows_abc(&keys));
        assert_eq!(keys.len(), 1);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let one = format!(r#"{{"id":"key_1","digest":"{ABC}"}}"#);
        for (text, problem) in [
            ("".to_owned(), "EOF"),
            (r#"{"version":2,"keys":[]}"#.to_owned(), "version 2"),
            (r#"{"version":1}"#.to_owned(), "missing field `keys`"),
            (format!(r#"{{"version":1,"keys":[{one},{one}]}}"#), "listed twice"),
            (r#"{"version":1,"keys":[{"id":"key_9","digest":"abc"}]}"#.to_owned(), "key key_9"),
            (
                format!(r#"{{"version":1,"keys":[{{"id":"k","digest":"{ABC}","expiry":"x"}}]}}"#),
                "unknown field `expiry`",
            ),
        ] {
            let file = file(&text);
            let error = JsonFileKeys::open(file.path()).unwrap_err().to_string();
            assert!(error.contains(problem) && error.starts_with(file.path().to_str().unwrap()), "{error}");
        }
        let missing = JsonFileKeys::open("/a/file/that/is/missing").unwrap_err().to_string();
        assert!(missing.starts_with("/a/file/that/is/missing: "), "{missing}");
    }

    #[test]
    fn a_broken_edit_keeps_the_last_good_keys() {
        let file = file(&format!(r#"{{"version":1,"keys":[{{"id":"key_1","digest":"{ABC}"}}]}}"#));
        let keys = JsonFileKeys::open(file.path()).unwrap();
        fs::write(file.path(), "{").unwrap();
        assert!(keys.reload().is_err());
        assert!(knows_abc(&keys));
        fs::write(file.path(), r#"{"version":1,"keys":[]}"#).unwrap();
        keys.reload().unwrap();
        assert!(!knows_abc(&keys));
    }
}
