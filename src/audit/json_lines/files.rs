//! The file that is being written, and those that it was rotated into.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::Kind;
use super::lines::{self, Backwards};
use crate::clock::Timestamp;
use crate::private_file::{self, Lock, beside};

const DAY: i64 = 86_400;

/// `<path>`, and from the latest to the oldest `<path>.1`, `<path>.2`, …
pub(super) struct Files {
    path: PathBuf,
    most_bytes: u64,
    daily: bool,
    kept: usize,
}

impl Files {
    pub(super) const fn new(path: PathBuf, most_bytes: u64, daily: bool, kept: usize) -> Self {
        Self { path, most_bytes, daily, kept }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The right to write, among processes.
    pub(super) fn lock(&self) -> Result<Lock, Kind> {
        Ok(Lock::acquire(&self.path)?)
    }

    /// Writes lines, the last of which is of this instant, behind those that there are, and onto the disk.
    pub(super) fn append(&self, text: &[u8], at: Timestamp) -> Result<(), Kind> {
        let mut file = self.current()?;
        let length = file.metadata().map_err(Kind::io("be examined"))?.len();
        if length > 0 && (length + text.len() as u64 > self.most_bytes || self.is_of_another_day(&mut file, at)?) {
            self.rotate()?;
            file = self.current()?;
        }
        // A process that was killed may have left half a line.
        let torn = ends_within_a_line(&mut file).map_err(Kind::io("be read"))?;
        let start = if torn { &b"\n"[..] } else { b"" };
        file.write_all(&[start, text].concat()).and_then(|()| file.sync_data()).map_err(Kind::io("be written"))
    }

    /// The files as they are now, the latest first. They stay readable, whatever is rotated afterwards.
    pub(super) fn opened(&self) -> Result<Vec<File>, Kind> {
        let _lock = match self.lock() {
            // Who may only read waits for nobody, at the price that a file which is rotated just now is read twice.
            Err(Kind::Io(_, error)) if is_forbidden(&error) => None,
            other => Some(other?),
        };
        let mut files = Vec::new();
        for number in 0..=self.kept {
            match File::open(self.numbered(number)) {
                Ok(file) => files.push(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Kind::Io("be opened", error)),
            }
        }
        Ok(files)
    }

    /// Removes the oldest file, if its latest event is from before that instant, and says how many events that were.
    pub(super) fn remove_old(&self, before: Timestamp) -> Result<usize, Kind> {
        let rotated = (1..=self.kept).rev().map(|number| self.numbered(number));
        let Some(oldest) = rotated.into_iter().find(|path| path.exists()) else { return Ok(0) };
        let mut events = 0;
        for event in Backwards::new(File::open(&oldest).map_err(Kind::io("be opened"))?)? {
            if event?.at >= before {
                return Ok(0);
            }
            events += 1;
        }
        fs::remove_file(&oldest).map_err(Kind::io("be removed"))?;
        // A file of nothing that is understood is old, too.
        Ok(events.max(1))
    }

    fn current(&self) -> Result<File, Kind> {
        let mut options = private_file::options();
        options.read(true).append(true).create(true).open(&self.path).map_err(Kind::io("be opened"))
    }

    fn numbered(&self, number: usize) -> PathBuf {
        if number == 0 { self.path.clone() } else { beside(&self.path, &format!(".{number}")) }
    }

    /// Moves every file on by one, and the last one out.
    fn rotate(&self) -> Result<(), Kind> {
        let gone = |outcome: io::Result<()>| match outcome {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Kind::Io("be rotated", error)),
            _ => Ok(()),
        };
        gone(fs::remove_file(self.numbered(self.kept)))?;
        for number in (0..self.kept).rev() {
            gone(fs::rename(self.numbered(number), self.numbered(number + 1)))?;
        }
        Ok(())
    }

    /// Whether the first event of the file is of another day than this instant.
    fn is_of_another_day(&self, file: &mut File, at: Timestamp) -> Result<bool, Kind> {
        if !self.daily {
            return Ok(false);
        }
        let mut first = String::new();
        file.rewind().map_err(Kind::io("be read"))?;
        // A line that is no event says no day, and the file goes on until it is full.
        let line = BufReader::new(&mut *file).take(lines::LONGEST as u64).read_line(&mut first);
        let first = line.ok().and_then(|_| lines::read(first.as_bytes()));
        Ok(first.is_some_and(|first| day(first.id.recorded_at()) != day(at)))
    }
}

fn day(at: Timestamp) -> i64 {
    at.unix_seconds().div_euclid(DAY)
}

fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
