//! Since when, and as which file, a repository has a blob.

use std::collections::HashMap;
use std::path::Path;

use super::process::Git;
use crate::commands::scan::finding::Finding;
use crate::failure::Failure;

/// Gives each finding in a blob the first commit that has the blob, and its path there. Only asked if something was found.
pub(super) fn name(found: &mut [Finding], repository: &Git, prefix: &Path) -> Result<(), Failure> {
    let blobs = found.iter().filter(|finding| finding.place.commit.is_none());
    let mut origins: HashMap<String, Option<(String, String)>> =
        blobs.filter_map(|finding| Some((finding.place.object.clone()?, None))).collect();
    if origins.is_empty() {
        return Ok(());
    }
    let mut log = Log::default();
    let arguments = [
        "log",
        "--all",
        "--reflog",
        "--topo-order",
        "--reverse",
        "-m",
        "--root",
        "--raw",
        "-z",
        "--no-abbrev",
        "--no-renames",
        "--format=%x01%H",
    ];
    repository.lines(&arguments, 0, |token| {
        let Some((blob, path)) = log.read(token) else { return };
        if let Some(origin @ None) = origins.get_mut(&blob) {
            *origin = Some((log.commit.clone(), prefix.join(path).to_string_lossy().into_owned()));
        }
    })?;
    for finding in found {
        let origin = finding.place.object.as_ref().and_then(|object| origins.get(object).cloned().flatten());
        if let Some((commit, path)) = origin {
            (finding.place.commit, finding.place.path) = (Some(commit), Some(path));
        }
    }
    Ok(())
}

/// Reads `git log --raw -z`: `\x01<commit>`, and for each file `:<modes> <old> <new> <status>` and its path.
#[derive(Default)]
struct Log {
    commit: String,
    /// The new blob of the file whose path is next.
    blob: Option<String>,
}

impl Log {
    fn read(&mut self, token: &[u8]) -> Option<(String, String)> {
        if let Some(blob) = self.blob.take() {
            return Some((blob, String::from_utf8_lossy(token).into_owned()));
        }
        let token = String::from_utf8_lossy(token);
        let token = token.trim_start_matches('\n');
        if let Some(commit) = token.strip_prefix('\x01') {
            commit.trim_end().clone_into(&mut self.commit);
        } else if token.starts_with(':') {
            self.blob = token.split(' ').nth(3).map(str::to_owned);
        }
        None
    }
}
