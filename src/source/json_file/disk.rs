//! The file itself: read whole, and replaced whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use fs4::FileExt;

use super::error::Kind;

/// How long a writer waits for another process.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How often it looks whether the other is done.
const PAUSE: Duration = Duration::from_micros(500);

/// A change within this time of another may leave the same stamp, since clocks of file systems are coarse.
const COARSE: Duration = Duration::from_secs(2);

/// What tells a file from the one that was there before, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self { modified: metadata.modified().ok(), length: metadata.len(), inode }
    }

    /// Whether the file could change and keep this stamp.
    fn is_fresh(&self) -> bool {
        let age = self.modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        age.is_none_or(|age| age < COARSE)
    }
}

/// Whether the file at `path` may be another than that of `known`.
pub(super) fn may_have_changed(path: &Path, known: Option<&Stamp>) -> bool {
    let found = fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata));
    found.as_ref() != known || found.is_some_and(|stamp| stamp.is_fresh())
}

/// The content of the file, and the stamp of what was read; `None` if there is no file.
pub(super) fn read(path: &Path) -> Result<Option<(Vec<u8>, Stamp)>, Kind> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Kind::Io("be opened", error)),
    };
    // Before reading: a write in between then makes a stamp that differs.
    let stamp = Stamp::of(&file.metadata().map_err(Kind::io("be examined"))?);
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(Kind::io("be read"))?;
    Ok(Some((text, stamp)))
}

/// Where the file really is, so that a link to it stays one.
pub(super) fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Puts `text` in the place of the file, all at once and for good: whoever reads the file, be it after a crash at any
/// instant, finds the old text or the new one.
pub(super) fn replace(path: &Path, text: &[u8]) -> Result<Stamp, Kind> {
    let fresh = beside(path, ".tmp");
    let written = write(&fresh, path, text).and_then(|stamp| {
        fs::rename(&fresh, path).map_err(Kind::io("be replaced"))?;
        Ok(stamp)
    });
    if written.is_err() {
        // What is left of it is in nobody's way: the next writer begins by removing it.
        let _ = fs::remove_file(&fresh);
        return written;
    }
    sync_folder(path).map_err(Kind::io("be replaced for good"))?;
    written
}

/// Writes a file that takes the place of the one at `old`.
fn write(fresh: &Path, old: &Path, text: &[u8]) -> Result<Stamp, Kind> {
    match fs::remove_file(fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Kind::Io("be prepared", error)),
        _ => {}
    }
    let mut file = private().write(true).create_new(true).open(fresh).map_err(Kind::io("be prepared"))?;
    if let Ok(metadata) = fs::metadata(old) {
        // The operator may have let others read it.
        file.set_permissions(metadata.permissions()).map_err(Kind::io("keep its permissions"))?;
    }
    file.write_all(text).map_err(Kind::io("be written"))?;
    file.sync_all().map_err(Kind::io("be written"))?;
    Ok(Stamp::of(&file.metadata().map_err(Kind::io("be examined"))?))
}

/// A rename is for good only once the folder is on the disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder(path))?.sync_all() } else { Ok(()) }
}

/// The folder that a file is in.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The exclusive right to write, among processes. Ends when it is dropped, and with the process.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the right to write the file at `path`.
    ///
    /// It is a lock on a file of its own: the file of keys is replaced, and a lock on what was replaced is worth nothing.
    pub(super) fn acquire(path: &Path) -> Result<Self, Kind> {
        let mut options = private();
        let file = options.read(true).write(true).create(true).truncate(false).open(beside(path, ".lock"));
        let file = file.map_err(Kind::io("be locked"))?;
        let start = Instant::now();
        loop {
            match FileExt::try_lock(&file) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(fs4::TryLockError::WouldBlock) if start.elapsed() < PATIENCE => thread::sleep(PAUSE),
                Err(fs4::TryLockError::WouldBlock) => return Err(Kind::Locked),
                Err(fs4::TryLockError::Error(error)) => return Err(Kind::Io("be locked", error)),
            }
        }
    }
}

/// Files that nobody else may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
