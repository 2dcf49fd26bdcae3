//! A JWK set in a file, read again when it changes.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::thread;
use std::time::Duration;

use super::JwtAlgorithm;
use super::key_set::{KeySet, KeySetError};

/// How often a thread reads the file, so that no request waits for a disk. A set has some kilobytes.
const EVERY: Duration = Duration::from_millis(500);

/// The keys of a file, as they last made sense.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
    algorithms: Vec<JwtAlgorithm>,
    keys: RwLock<Arc<KeySet>>,
}

/// Why a file gives no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyFileError {
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
    #[error("{0}")]
    Unusable(KeySetError),
    #[error("cannot be watched: {0}")]
    Watch(std::io::Error),
}

impl KeyFile {
    pub(super) fn open(path: PathBuf, algorithms: Vec<JwtAlgorithm>) -> Result<Arc<Self>, KeyFileError> {
        let text = std::fs::read(&path).map_err(KeyFileError::Read)?;
        let keys = KeySet::parse(&text, &algorithms, true).map_err(KeyFileError::Unusable)?;
        let file = Arc::new(Self { path, algorithms, keys: RwLock::new(Arc::new(keys)) });
        let watched = Arc::downgrade(&file);
        let thread = thread::Builder::new().name("jwks-file".to_owned());
        thread.spawn(move || watch(&watched, text)).map_err(KeyFileError::Watch)?;
        Ok(file)
    }

    pub(super) fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the keys of the file if its text is another than `seen`.
    fn check(&self, seen: &mut Vec<u8>, complained: &mut bool) {
        let path = self.path.display();
        let problem = match std::fs::read(&self.path) {
            Ok(text) if text == *seen && !*complained => return,
            Ok(text) => match KeySet::parse(&text, &self.algorithms, true) {
                Ok(keys) => {
                    if text != *seen {
                        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                        *seen = text;
                        tracing::info!(target: "tower_api_key::session", backend = "jwks-file", %path, "the keys of tokens changed");
                    }
                    *complained = false;
                    return;
                }
                Err(error) => KeyFileError::Unusable(error),
            },
            Err(error) => KeyFileError::Read(error),
        };
        if !std::mem::replace(complained, true) {
            tracing::error!(
                target: "tower_api_key::session", backend = "jwks-file", %path, error = %problem,
                "the last good keys stay in use"
            );
        }
    }
}

/// Looks at the file until nobody asks for its keys any longer.
fn watch(watched: &Weak<KeyFile>, mut seen: Vec<u8>) {
    let mut complained = false;
    loop {
        thread::sleep(EVERY);
        let Some(file) = watched.upgrade() else { return };
        file.check(&mut seen, &mut complained);
    }
}
