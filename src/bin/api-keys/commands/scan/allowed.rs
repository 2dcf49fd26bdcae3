//! Keys that are known to be where they are.

use std::collections::HashSet;
use std::path::Path;

use crate::failure::Failure;

/// Fingerprints that are not reported.
#[derive(Debug, Default)]
pub(super) struct Allowed(HashSet<String>);

impl Allowed {
    /// One a line, with comments behind `#`.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let named = |problem: &str| format!("--allow, {}: {problem}", file.display());
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::unavailable(named("it could not be read"), &error))?;
        let entries = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let mut fingerprints = HashSet::new();
        for (number, entry) in entries.enumerate().filter(|(_, entry)| !entry.is_empty()) {
            let shaped = entry.len() == 32 && entry.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if !shaped {
                return Err(Failure::usage(named(&format!("line {} is no fingerprint", number + 1))));
            }
            fingerprints.insert(entry.to_owned());
        }
        Ok(Self(fingerprints))
    }

    pub(super) fn holds(&self, fingerprint: &str) -> bool {
        self.0.contains(fingerprint)
    }
}
