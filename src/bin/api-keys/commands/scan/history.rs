//! Keys in the objects of Git repositories: in each blob once, wherever and however often it is or was a file, and in the
//! words of commits and tags. What no branch leads to any more is looked at as well, until Git throws it away.

mod origins;
mod process;

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

use tower_api_key::scan::KeyScanner;

use self::process::Git;
use super::finding::{Finding, Findings, Place};
use super::progress::Progress;
use crate::failure::Failure;

pub(super) fn scan(
    around: &[PathBuf],
    threads: usize,
    scanner: &KeyScanner,
    progress: &Progress,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    for path in around {
        let repository = Git::around(path)?;
        if seen.insert(repository.folder().to_owned()) {
            let name = prefix(path, &repository);
            findings.merge(repository_findings(&repository, &name, threads, scanner, progress)?);
        }
    }
    Ok(())
}

/// What paths in the repository begin with, as seen from where the command runs: nothing inside of it, as the paths of code
/// scanning begin at its root.
fn prefix(path: &Path, repository: &Git) -> PathBuf {
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    match (here, repository.root()) {
        (Ok(here), Some(root)) if here.starts_with(root) => PathBuf::new(),
        (Ok(here), Some(root)) => root.strip_prefix(&here).map_or_else(|_| root.to_owned(), Path::to_owned),
        _ => path.to_owned(),
    }
}

fn repository_findings(
    repository: &Git,
    prefix: &Path,
    threads: usize,
    scanner: &KeyScanner,
    progress: &Progress,
) -> Result<Findings, Failure> {
    progress.begin("Looking for objects");
    let objects = repository.objects(progress)?;
    progress.begin_all("Objects", objects.len() as u64);
    let size = objects.len().div_ceil(threads).max(1);
    let parts = thread::scope(|scope| {
        let work = |some| scope.spawn(move || part(repository, some, scanner.clone(), progress));
        let threads: Vec<_> = objects.chunks(size).map(work).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect::<Result<Vec<_>, _>>()
    })?;
    let mut findings = Findings::default();
    parts.into_iter().for_each(|part| findings.merge(part));
    origins::name(&mut findings.found, repository, prefix)?;
    findings.found.sort_by(|one, other| (&one.place, one.offset).cmp(&(&other.place, other.offset)));
    Ok(findings)
}

/// What is in some objects, read by one process of Git.
fn part(
    repository: &Git,
    objects: &[String],
    mut scanner: KeyScanner,
    progress: &Progress,
) -> Result<Findings, Failure> {
    let failed = |error: io::Error| Failure::unavailable("git cat-file", &error);
    let mut child = repository.start(&["cat-file", "--batch", "--buffer"])?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let (Some(mut input), Some(output)) = (input, output) else {
        return Err(Failure::Unavailable("git cat-file has no pipes".to_owned()));
    };
    let mut findings = Findings::default();
    let read = thread::scope(|scope| {
        // If Git goes away, its answers end, which is told below.
        scope.spawn(move || objects.iter().try_for_each(|id| writeln!(input, "{id}")));
        let mut output = BufReader::with_capacity(64 * 1024, output);
        objects.iter().try_for_each(|id| {
            progress.add(1);
            object(&mut output, id, &mut scanner, &mut findings)
        })
    });
    if read.is_err() {
        // It may wait for somebody to read.
        drop(child.kill());
    }
    let status = child.wait().map_err(failed)?;
    read.map_err(failed)?;
    if !status.success() {
        return Err(Failure::Unavailable("git cat-file failed".to_owned()));
    }
    Ok(findings)
}

/// One answer: `<id> <type> <size>`, the content, and a line feed.
fn object(output: &mut impl BufRead, id: &str, scanner: &mut KeyScanner, findings: &mut Findings) -> io::Result<()> {
    let mut header = String::new();
    output.read_line(&mut header)?;
    let mut words = header.split_whitespace();
    let (Some(_), Some(kind), Some(size)) =
        (words.next(), words.next(), words.next().and_then(|size| size.parse().ok()))
    else {
        if header.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        findings.troubles.push(format!("object {id}: {}", header.trim()));
        return Ok(());
    };
    let mut place = Place { object: Some(id.to_owned()), ..Place::default() };
    if kind == "commit" {
        place.commit = Some(id.to_owned());
    }
    let mut content = output.take(size);
    findings.bytes += scanner.scan(&mut content, |key| findings.found.push(Finding::new(place.clone(), key)))?;
    findings.objects += 1;
    output.read_exact(&mut [0])
}
