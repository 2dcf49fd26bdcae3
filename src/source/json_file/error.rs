//! Why a file of keys could not be read or written.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::key::{KeyId, ParseKeyDigestError};
use crate::private_file::NotLocked;
use crate::source::{KeyLifeRefusal, MemoryKeysError};

/// The file of keys could not be read or written. Displays the path and the reason, with the line and column of a
/// mistake in the file, and no content of it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct JsonFileError {
    path: PathBuf,
    kind: Kind,
}

impl JsonFileError {
    pub(super) fn new(path: &Path, kind: impl Into<Kind>) -> Self {
        Self { path: path.to_owned(), kind: kind.into() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the content of the file is at fault. It has to be repaired by hand, and is not written before.
    pub const fn is_broken(&self) -> bool {
        matches!(
            self.kind,
            Kind::Syntax(_) | Kind::Version(_) | Kind::Digest(..) | Kind::Duplicate(_) | Kind::Gone | Kind::Broken(_)
        )
    }

    /// Why the key that was to be issued cannot have the end that was asked for, if it is that.
    pub const fn life(&self) -> Option<KeyLifeRefusal> {
        match self.kind {
            Kind::Keys(MemoryKeysError::Life(refusal)) => Some(refusal),
            _ => None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Kind {
    #[error("it could not {0}: {1}")]
    Io(&'static str, io::Error),
    #[error("{0}")]
    Syntax(String),
    #[error("version {0} of the file is unknown, only 1 is")]
    Version(u64),
    #[error("key {0}: {1}")]
    Digest(KeyId, ParseKeyDigestError),
    #[error("key {0}: its id or its digest is listed twice")]
    Duplicate(KeyId),
    #[error("the file of uses beside it is not as this version of the crate writes it")]
    Series,
    #[error("it was there, and is gone")]
    Gone,
    #[error("it is not written until it is repaired: {0}")]
    Broken(Box<JsonFileError>),
    #[error("key {0}: its digest is one of this process alone")]
    Unstorable(KeyId),
    #[error("another process has kept it locked for {} seconds", crate::private_file::PATIENCE.as_secs())]
    Locked,
    #[error("the runtime ended before it was written")]
    Ended,
    #[error(transparent)]
    Keys(#[from] MemoryKeysError),
}

impl Kind {
    pub(super) fn io(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io(operation, error)
    }
}

impl From<NotLocked> for Kind {
    fn from(error: NotLocked) -> Self {
        match error {
            NotLocked::Taken => Self::Locked,
            NotLocked::Io(error) => Self::Io("be locked", error),
        }
    }
}

/// What is said in the log once, however often it is seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint(String);

impl Complaint {
    pub(super) fn of(error: &impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}
