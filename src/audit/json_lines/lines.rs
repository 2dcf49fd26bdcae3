//! Lines, written and read again from their end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use super::Kind;
use crate::audit::event::AuditEvent;
use crate::audit::store::{AuditFilter, AuditPage, MOST_LOOKED_AT};

/// The longest line that is read: far longer than any that is written.
pub(super) const LONGEST: usize = 1 << 20;

/// How much of a file is read at once.
const BLOCK: usize = 64 * 1024;

/// By how much events of several processes may stand in another order than that in which they were recorded.
const DISORDER: Duration = Duration::from_secs(600);

/// The lines of events.
pub(super) fn written(events: &[AuditEvent]) -> Result<Vec<u8>, Kind> {
    let mut text = Vec::new();
    for event in events {
        serde_json::to_writer(&mut text, event).map_err(|_| Kind::Unwritable)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// The event of a line, if it is one.
pub(super) fn read(line: &[u8]) -> Option<AuditEvent> {
    serde_json::from_slice(line).ok()
}

/// The events of `files` that match, in the order of their ids, the latest first. The latest file comes first.
///
/// One process writes in that order, and several nearly do: what is looked for is looked for a while longer than it seems
/// to be needed. A batch that was written twice is read once.
pub(super) fn page(files: Vec<File>, filter: &AuditFilter) -> Result<AuditPage, Kind> {
    let mut found = BTreeMap::new();
    let mut looked_at = 0;
    'files: for file in files {
        for event in Backwards::new(file)? {
            let event = event?;
            if filter.cursor.is_some_and(|cursor| event.id >= cursor) {
                continue;
            }
            let (id, at) = (event.id, event.id.recorded_at());
            if filter.matches(&event) {
                found.insert(id, event);
                if found.len() > filter.limit.saturating_add(1) {
                    found.pop_first();
                }
            }
            let oldest = found.first_key_value().map(|(id, _)| id.recorded_at());
            if found.len() > filter.limit && oldest.is_some_and(|oldest| at < oldest.saturating_sub(DISORDER)) {
                break 'files;
            }
            looked_at += 1;
            if looked_at == MOST_LOOKED_AT && found.len() <= filter.limit {
                // The rest is for the next page, which begins where this one has stopped looking.
                return Ok(AuditPage::new(found.into_values().rev().collect(), Some(id)));
            }
        }
    }
    Ok(AuditPage::cut(found.into_values().rev().collect(), filter.limit))
}

/// The events of a file, the last one first.
pub(super) struct Backwards {
    file: File,
    /// Where what is in `text` begins.
    start: u64,
    /// What was read and not given out yet: whole lines, behind the end of one.
    text: Vec<u8>,
}

impl Backwards {
    pub(super) fn new(mut file: File) -> Result<Self, Kind> {
        let start = file.seek(SeekFrom::End(0)).map_err(Kind::io("be read"))?;
        Ok(Self { file, start, text: Vec::new() })
    }

    /// The last line that was not given out yet.
    fn line(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.text.iter().rposition(|byte| *byte == b'\n') {
                let line = self.text.split_off(end + 1);
                self.text.truncate(end);
                return Ok(Some(line));
            }
            if self.start == 0 {
                let line = std::mem::take(&mut self.text);
                return Ok((!line.is_empty()).then_some(line));
            }
            if self.text.len() > LONGEST {
                // No line of ours: what is left of it is passed over with the next one.
                self.text.clear();
            }
            self.more()?;
        }
    }

    /// Reads the block before what was read.
    fn more(&mut self) -> std::io::Result<()> {
        let length = self.start.min(BLOCK as u64);
        self.start -= length;
        self.file.seek(SeekFrom::Start(self.start))?;
        let mut block = Vec::with_capacity(BLOCK + self.text.len());
        self.file.by_ref().take(length).read_to_end(&mut block)?;
        block.append(&mut self.text);
        self.text = block;
        Ok(())
    }
}

impl Iterator for Backwards {
    type Item = Result<AuditEvent, Kind>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.line() {
                Ok(Some(line)) => {
                    if let Some(event) = read(&line) {
                        return Some(Ok(event));
                    }
                }
                Ok(None) => return None,
                Err(error) => return Some(Err(Kind::Io("be read", error))),
            }
        }
    }
}
