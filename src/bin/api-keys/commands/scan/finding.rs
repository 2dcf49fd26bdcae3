//! What was found, and where.

use sha2::{Digest, Sha256};
use tower_api_key::key::{KeyRef, SecretKey};
use tower_api_key::scan::FoundKey;

/// All that came of a scan.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) found: Vec<Finding>,
    /// What could not be read, and why.
    pub(super) troubles: Vec<String>,
    pub(super) files: u64,
    /// Blobs, commits and tags of repositories.
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

impl Findings {
    pub(super) fn merge(&mut self, other: Self) {
        self.found.extend(other.found);
        self.troubles.extend(other.troubles);
        self.files += other.files;
        self.objects += other.objects;
        self.bytes += other.bytes;
    }
}

/// A key somewhere.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) place: Place,
    pub(super) secret: SecretKey,
    pub(super) masked: String,
    pub(super) fingerprint: String,
    pub(super) offset: u64,
    pub(super) length: usize,
    pub(super) line: u64,
    pub(super) column: u64,
    /// What the store knows of it.
    pub(super) key: Option<KeyRef>,
}

impl Finding {
    pub(super) fn new(place: Place, found: FoundKey) -> Self {
        Self {
            place,
            fingerprint: fingerprint(found.secret.expose_secret()),
            secret: found.secret,
            masked: found.masked,
            offset: found.offset,
            length: found.length,
            line: found.line,
            column: found.column,
            key: None,
        }
    }
}

/// Where a key was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The file; of an object, where it was first; `None` for an object that no commit has as a file.
    pub(super) path: Option<String>,
    /// The first commit with it, or itself, if it was found in the words of a commit.
    pub(super) commit: Option<String>,
    /// The object of a repository.
    pub(super) object: Option<String>,
}

impl Place {
    pub(super) fn file(path: String) -> Self {
        Self { path: Some(path), ..Self::default() }
    }
}

/// Names a key without being it, and without being a digest that a store keeps.
fn fingerprint(secret: &str) -> String {
    let digest = Sha256::new().chain_update(b"api-keys scan\0").chain_update(secret).finalize();
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
