//! Finds keys where they should not be: in files, logs, images of disks, and the history of repositories.
//!
//! ```
//! use tower_api_key::key::{Environment, KeyFormat};
//! use tower_api_key::scan::KeyScanner;
//!
//! let format = KeyFormat::prefixed("ak")?;
//! let key = format.generate(&Environment::LIVE)?;
//! let text = format!("[api]\nkey = \"{}\"\n", key.expose_secret());
//!
//! let mut found = Vec::new();
//! KeyScanner::new([format])?.scan(text.as_bytes(), |key| found.push(key))?;
//! assert_eq!(found.len(), 1);
//! assert_eq!((found[0].line, found[0].column), (2, 8));
//! # Ok::<(), tower_api_key::BoxError>(())
//! ```

mod place;
mod spelling;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use aho_corasick::AhoCorasick;

use self::place::Place;
use self::spelling::Spelling;
use crate::error::ConfigError;
use crate::key::{KeyFormat, SecretKey};

/// How much is held in memory of what is scanned, in bytes.
const BUFFER: usize = 256 * 1024;

/// Finds keys of certain formats in bytes of any kind.
///
/// - A prefix is searched for, and then the checksum decides: a text that only looks like a key is one by chance in four
///   thousand million cases. So nothing needs to stand around a key: it is found between letters, as in files of
///   databases, which put one text behind the other.
/// - Keys are found in ASCII, in what contains it (UTF-8, Latin-1), and in UTF-16 of either byte order. What was compressed,
///   encrypted or encoded has to be unpacked first.
/// - What is scanned is read once, and 256 KiB of it are in memory, however long it is. A key across the borders of reads
///   is found.
///
/// A clone has a buffer of its own, for another thread.
pub struct KeyScanner {
    needles: AhoCorasick,
    spellings: Arc<[Spelling]>,
    /// How many bytes the longest key can have.
    longest: usize,
    buffer: Vec<u8>,
}

impl KeyScanner {
    /// A scanner for keys of any of these formats.
    ///
    /// # Errors
    /// When there is no format, or one without prefix and checksum to be found by: all but
    /// [`KeyFormat::prefixed`] are.
    pub fn new(formats: impl IntoIterator<Item = KeyFormat>) -> Result<Self, ConfigError> {
        Self::with_buffer(formats, BUFFER)
    }

    fn with_buffer(formats: impl IntoIterator<Item = KeyFormat>, size: usize) -> Result<Self, ConfigError> {
        let mut spellings = Vec::new();
        for format in formats {
            spellings.extend(Spelling::of(&format).ok_or_else(|| {
                ConfigError::new("format", "only keys with a prefix and a checksum can be told from other texts")
            })?);
        }
        if spellings.is_empty() {
            return Err(ConfigError::new("format", "at least one is needed"));
        }
        let needles = AhoCorasick::new(spellings.iter().map(|spelling| &spelling.needle));
        let needles = needles.map_err(|error| ConfigError::new("format", error))?;
        let longest = spellings.iter().map(|spelling| spelling.longest).max().unwrap_or_default();
        Ok(Self { needles, spellings: spellings.into(), longest, buffer: vec![0; size.max(2 * longest)] })
    }

    /// Calls `found` for each key in `content`, in their order, and says how many bytes it has read.
    ///
    /// # Errors
    /// When `content` could not be read. What was found before has been told.
    pub fn scan(&mut self, mut content: impl Read, mut found: impl FnMut(FoundKey)) -> io::Result<u64> {
        let (mut place, mut total, mut held) = (Place::default(), 0, 0);
        loop {
            let read = fill(&mut content, &mut self.buffer[held..])?;
            held += read;
            total += read as u64;
            let is_last = held < self.buffer.len();
            // A key that begins behind this may go on behind the buffer.
            let end = if is_last { held } else { held - self.longest };
            let seen = self.search(held, end, &mut place, &mut found);
            if is_last {
                return Ok(total);
            }
            // What is behind a key that was found is not searched again.
            let kept = end.max(seen);
            place.advance(&self.buffer[seen..kept]);
            self.buffer.copy_within(kept..held, 0);
            held -= kept;
        }
    }

    /// Tells of the keys that begin before `end`. `place` is that of the byte whose index is returned.
    fn search(&self, held: usize, end: usize, place: &mut Place, found: &mut impl FnMut(FoundKey)) -> usize {
        let bytes = &self.buffer[..held];
        let (mut from, mut placed) = (0, 0);
        while let Some(candidate) = self.needles.find(&bytes[from..]) {
            let start = from + candidate.start();
            if start >= end {
                break;
            }
            let key = self.spellings.iter().find_map(|spelling| Some((spelling, spelling.read(&bytes[start..])?)));
            let Some((spelling, (secret, length))) = key else {
                from = start + 1;
                continue;
            };
            place.advance(&bytes[placed..start]);
            found(FoundKey {
                masked: spelling.format.mask(secret.expose_secret()),
                secret,
                offset: place.offset,
                length,
                line: place.line,
                column: place.column,
            });
            from = start + length;
            place.advance(&bytes[start..from]);
            placed = from;
        }
        placed
    }
}

/// Has a buffer of its own.
impl Clone for KeyScanner {
    fn clone(&self) -> Self {
        let Self { needles, spellings, longest, buffer } = self;
        Self {
            needles: needles.clone(),
            spellings: Arc::clone(spellings),
            longest: *longest,
            buffer: vec![0; buffer.len()],
        }
    }
}

impl fmt::Debug for KeyScanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let formats: Vec<_> = self.spellings.iter().map(|spelling| &spelling.format).collect();
        f.debug_struct("KeyScanner").field("formats", &formats).finish_non_exhaustive()
    }
}

/// A key that was found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FoundKey {
    /// The key itself. `Debug` shows nothing of it.
    pub secret: SecretKey,
    /// What it can be shown as: `ak_live_3fX9…k2Qd`.
    pub masked: String,
    /// How many bytes stand before it.
    pub offset: u64,
    /// How many bytes it has where it was found: in UTF-16, almost two a character.
    pub length: usize,
    /// The line it stands in, from 1. Lines end with a line feed.
    pub line: u64,
    /// The character of that line it begins at, from 1: a code point of UTF-8.
    pub column: u64,
}

/// Reads until `buffer` is full or there is no more.
fn fill(content: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match content.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
