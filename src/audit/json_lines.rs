//! Events as lines of JSON in files.

mod builder;
mod files;
mod lines;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use self::files::Files;
use super::event::AuditEvent;
use super::store::{AuditFilter, AuditPage, AuditStore};
use crate::clock::Timestamp;
use crate::private_file::{NotLocked, PATIENCE, folder};

pub use self::builder::JsonLinesAuditBuilder;

/// Events in a file, each an [`AuditEvent`] as JSON on a line of its own. Clones share the file.
///
/// ```
/// use tower_api_key::audit::{AuditTrail, JsonLinesAudit};
///
/// # let folder = std::env::temp_dir();
/// let file = folder.join("audit.jsonl");
/// let trail = AuditTrail::new(JsonLinesAudit::open(file)?);
/// # let _ = trail;
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
///
/// - **The file is made with the first event**, for its owner's eyes alone (mode 0600). It is only ever appended to, and a
///   batch that was answered is on the disk.
/// - **It is rotated** before it would grow beyond a size (16 MiB, unless set), and if asked to, when a day (UTC) is over:
///   `audit.jsonl` becomes `audit.jsonl.1`, that becomes `audit.jsonl.2`, and so on. Ten such files are kept, unless set;
///   the oldest one goes.
/// - **All files are read back**, the latest event first, from their ends: the files as they were when reading began,
///   whatever is rotated meanwhile. A line that is no event, such as the last one of a process that was killed, is passed
///   over.
/// - **Processes may write at once**, under a lock on `<file>.lock`.
/// - **Old events go with their file**: once the latest event of a rotated file is old
///   ([`keep_for`](super::AuditTrailBuilder::keep_for)), the file is removed. What is in the file that is being written stays.
///
/// In a Tokio runtime the disk is waited for on the threads for blocking work, else on the calling one.
#[derive(Clone)]
pub struct JsonLinesAudit(Arc<Inner>);

struct Inner {
    files: Files,
    /// Held by one writer of this process at a time, which then waits for those of other processes.
    turn: Mutex<()>,
}

impl JsonLinesAudit {
    /// The events of the file at `path`, rotated at 16 MiB, with ten files kept beside it. Reads and writes nothing yet.
    ///
    /// # Errors
    /// When there is not even a folder for it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, JsonLinesError> {
        Self::builder(path).open()
    }

    /// A store with other settings.
    pub fn builder(path: impl Into<PathBuf>) -> JsonLinesAuditBuilder {
        JsonLinesAuditBuilder::new(path.into())
    }

    fn start(files: Files) -> Result<Self, JsonLinesError> {
        if !folder(files.path()).is_dir() {
            return Err(JsonLinesError::new(
                files.path(),
                Kind::Io("be opened, for it has no folder", io::ErrorKind::NotFound.into()),
            ));
        }
        Ok(Self(Arc::new(Inner { files, turn: Mutex::default() })))
    }

    /// The file that is being written.
    pub fn path(&self) -> &Path {
        self.0.files.path()
    }

    /// The outcome of `work`, which waits for a disk.
    async fn wait<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Kind> + Send + 'static,
    ) -> Result<T, JsonLinesError> {
        let inner = Arc::clone(&self.0);
        let failed = |kind| JsonLinesError::new(self.path(), kind);
        if tokio::runtime::Handle::try_current().is_err() {
            return work(&inner).map_err(failed);
        }
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(outcome) => outcome.map_err(failed),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(failed(Kind::Ended)),
            },
        }
    }
}

impl Inner {
    /// Does `write` while nobody else writes.
    fn alone<T>(&self, write: impl FnOnce(&Files) -> Result<T, Kind>) -> Result<T, Kind> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock = self.files.lock()?;
        write(&self.files)
    }
}

impl AuditStore for JsonLinesAudit {
    type Error = JsonLinesError;

    fn name(&self) -> &str {
        "json-lines"
    }

    async fn append(&self, events: &[AuditEvent]) -> Result<(), JsonLinesError> {
        let Some(last) = events.last() else { return Ok(()) };
        let (text, at) = (lines::written(events), last.id.recorded_at());
        self.wait(move |inner| inner.alone(|files| files.append(&text?, at))).await
    }

    async fn events(&self, filter: &AuditFilter) -> Result<AuditPage, JsonLinesError> {
        let filter = filter.clone();
        self.wait(move |inner| lines::page(inner.files.opened()?, &filter)).await
    }

    /// Removes the oldest file, if all of it is old. Its events go together, however many.
    async fn purge_events(&self, before: Timestamp, _most: usize) -> Result<usize, JsonLinesError> {
        self.wait(move |inner| inner.alone(|files| files.remove_old(before))).await
    }
}

impl fmt::Debug for JsonLinesAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLinesAudit").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// The files of events could not be read or written. Displays the path and the reason, and nothing that is in them.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct JsonLinesError {
    path: PathBuf,
    kind: Kind,
}

impl JsonLinesError {
    fn new(path: &Path, kind: Kind) -> Self {
        Self { path: path.to_owned(), kind }
    }

    /// The file that was to be written.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error(transparent)]
    Config(#[from] crate::error::ConfigError),
    #[error("it could not {0}: {1}")]
    Io(&'static str, io::Error),
    #[error("another process has kept it locked for {} seconds", PATIENCE.as_secs())]
    Locked,
    #[error("an event could not be written as JSON")]
    Unwritable,
    #[error("the runtime ended before it was written")]
    Ended,
}

impl Kind {
    fn io(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
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
