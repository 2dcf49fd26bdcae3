//! How a store in files is set up.

use std::path::PathBuf;

use super::files::Files;
use super::{JsonLinesAudit, JsonLinesError, Kind};
use crate::error::ConfigError;

/// Settings of [`JsonLinesAudit`].
#[derive(Debug)]
#[must_use]
pub struct JsonLinesAuditBuilder {
    path: PathBuf,
    most_bytes: u64,
    daily: bool,
    kept: usize,
}

impl JsonLinesAuditBuilder {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, most_bytes: 16 << 20, daily: false, kept: 10 }
    }

    /// How many bytes a file may have before another is begun; 16 MiB, unless set. A batch is not torn apart: one that is
    /// larger has a larger file of its own.
    pub const fn rotate_at(mut self, bytes: u64) -> Self {
        self.most_bytes = bytes;
        self
    }

    /// Begins another file when a day (UTC) is over, too. It does not, unless this is called.
    pub const fn rotate_daily(mut self) -> Self {
        self.daily = true;
        self
    }

    /// How many files are kept beside the one that is being written; ten, unless set. With none, what is rotated is gone.
    pub const fn keep_files(mut self, files: usize) -> Self {
        self.kept = files;
        self
    }

    /// The store. Reads and writes nothing yet.
    ///
    /// # Errors
    /// When a setting makes no sense, or there is not even a folder for the file.
    pub fn open(self) -> Result<JsonLinesAudit, JsonLinesError> {
        if self.most_bytes == 0 {
            let error = ConfigError::new("rotate_at", "must be more than zero");
            return Err(JsonLinesError::new(&self.path, Kind::Config(error)));
        }
        JsonLinesAudit::start(Files::new(self.path, self.most_bytes, self.daily, self.kept))
    }
}
