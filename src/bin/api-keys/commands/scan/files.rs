//! Keys in files.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use ignore::{WalkBuilder, WalkState};
use tower_api_key::scan::KeyScanner;

use super::finding::{Finding, Findings, Place};
use super::progress::Progress;

/// How folders are gone through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    pub(super) hidden: bool,
    pub(super) no_ignore: bool,
    pub(super) threads: usize,
}

/// How many files a thread looks at before it tells how far it is.
const TOLD: usize = 64;

pub(super) fn standard_input(scanner: &KeyScanner, findings: &mut Findings) {
    let place = Place::file("-".to_owned());
    let read = scanner.clone().scan(io::stdin().lock(), |key| findings.found.push(Finding::new(place.clone(), key)));
    note("-", read, findings);
}

/// The files are listed first, so that it is known how many there are, and then looked at by all threads.
pub(super) fn scan(paths: &[PathBuf], walk: Walk, scanner: &KeyScanner, progress: &Progress, findings: &mut Findings) {
    progress.begin("Looking for files");
    let mut files = list(paths, walk, progress, findings);
    files.sort_unstable();
    files.dedup();
    progress.begin_all("Files", files.len() as u64);
    let next = AtomicUsize::new(0);
    let mut parts: Vec<Findings> = thread::scope(|scope| {
        let work = || part(&files, &next, scanner.clone(), progress);
        let threads: Vec<_> = (0..walk.threads.min(files.len())).map(|_| scope.spawn(work)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    for part in &mut parts {
        findings.merge(std::mem::take(part));
    }
    findings.found.sort_by(|one, other| (&one.place, one.offset).cmp(&(&other.place, other.offset)));
    findings.troubles.sort_unstable();
}

/// What one thread finds.
fn part(files: &[PathBuf], next: &AtomicUsize, mut scanner: KeyScanner, progress: &Progress) -> Findings {
    let mut findings = Findings::default();
    loop {
        let first = next.fetch_add(TOLD, Ordering::Relaxed);
        let Some(some) = files.get(first..files.len().min(first + TOLD)).filter(|some| !some.is_empty()) else {
            return findings;
        };
        for path in some {
            file(path, &mut scanner, &mut findings);
        }
        progress.add(some.len() as u64);
    }
}

fn file(path: &Path, scanner: &mut KeyScanner, findings: &mut Findings) {
    let read = File::open(path)
        .and_then(|file| scanner.scan(file, |key| findings.found.push(Finding::new(Place::file(shown(path)), key))));
    note(&shown(path), read, findings);
}

fn note(name: &str, read: io::Result<u64>, findings: &mut Findings) {
    match read {
        Ok(bytes) => {
            findings.files += 1;
            findings.bytes += bytes;
        }
        Err(error) => findings.troubles.push(format!("{name}: {error}")),
    }
}

/// Without the `./` of the folder that is looked at if no other is named.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).to_string_lossy().into_owned()
}

fn list(paths: &[PathBuf], walk: Walk, progress: &Progress, findings: &mut Findings) -> Vec<PathBuf> {
    let Some((first, others)) = paths.split_first() else { return Vec::new() };
    let mut builder = WalkBuilder::new(first);
    for path in others {
        builder.add(path);
    }
    // Ignore files count outside of repositories, too.
    builder.standard_filters(!walk.no_ignore).hidden(!walk.hidden).require_git(false).threads(walk.threads);
    let (sender, receiver) = mpsc::channel();
    builder.build_parallel().run(|| {
        let sender = sender.clone();
        Box::new(move |entry| {
            let told = match entry {
                // Links lead to files that are found where they are, or that belong to somebody else.
                Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                    progress.add(1);
                    sender.send(Ok(entry.into_path()))
                }
                Ok(_) => Ok(()),
                Err(error) => sender.send(Err(error.to_string())),
            };
            if told.is_ok() { WalkState::Continue } else { WalkState::Quit }
        })
    });
    drop(sender);
    let mut files = Vec::new();
    for entry in receiver {
        match entry {
            Ok(path) => files.push(path),
            Err(trouble) => findings.troubles.push(trouble),
        }
    }
    files
}
