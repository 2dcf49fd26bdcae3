//! The file itself: read whole, and replaced whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::error::Kind;
use crate::private_file::{self, beside, folder};

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
    let mut file = private_file::options().write(true).create_new(true).open(fresh).map_err(Kind::io("be prepared"))?;
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
