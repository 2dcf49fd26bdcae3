//! Files that nobody else may read, and the right to write them, among processes.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use fs4::FileExt;

/// How long a writer waits for another process.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How often it looks whether the other is done.
const PAUSE: Duration = Duration::from_micros(500);

/// The exclusive right to write, among processes. Ends when it is dropped, and with the process.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// There is no such right just now.
#[derive(Debug)]
pub(crate) enum NotLocked {
    /// Another process has had it for longer than [`PATIENCE`].
    Taken,
    /// It cannot be asked for.
    Io(io::Error),
}

impl Lock {
    /// Waits for the right to write the file at `path`.
    ///
    /// It is a lock on a file of its own: the file itself is replaced, and a lock on what was replaced is worth nothing.
    pub(crate) fn acquire(path: &Path) -> Result<Self, NotLocked> {
        let mut options = options();
        let file = options.read(true).write(true).create(true).truncate(false).open(beside(path, ".lock"));
        let file = file.map_err(NotLocked::Io)?;
        let start = Instant::now();
        loop {
            match FileExt::try_lock(&file) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(fs4::TryLockError::WouldBlock) if start.elapsed() < PATIENCE => thread::sleep(PAUSE),
                Err(fs4::TryLockError::WouldBlock) => return Err(NotLocked::Taken),
                Err(fs4::TryLockError::Error(error)) => return Err(NotLocked::Io(error)),
            }
        }
    }
}

/// Opens files that nobody else may read.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The path with this ending.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The folder that a file is in.
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
