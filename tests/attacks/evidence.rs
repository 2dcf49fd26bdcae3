//! What was sent as a secret, and all that came back: answers, and the logs of the programs.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("there is a place for evidence"));
static SECRETS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static ANSWERS: LazyLock<Mutex<File>> = LazyLock::new(|| Mutex::new(file("answers")));

/// What is no secret although it is sent as one: ids of keys, paths, and what the log is told to forge.
const SHOWN: [&str; 3] = ["key_", "/api/", "FORGED"];

/// Shorter texts than this are found by chance.
const LEAST: usize = 24;

fn file(name: &str) -> File {
    File::create(path(name)).expect("a file can be made")
}

/// Where the log of a program is, or all answers are.
pub(crate) fn path(name: &str) -> PathBuf {
    FOLDER.path().join(name)
}

/// Where a program logs to.
pub(crate) fn log(name: &str) -> Stdio {
    file(&format!("{name}.log")).into()
}

/// A secret of the programs or of their callers, from now on: the text, and its digest in hexadecimal and base64.
pub(crate) fn secret(text: &str) {
    let digest = Sha256::digest(text);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let forms = [text.to_owned(), hex, BASE64_STANDARD_NO_PAD.encode(digest), BASE64_URL_SAFE_NO_PAD.encode(digest)];
    forms.into_iter().for_each(note);
}

fn note(text: String) {
    if text.len() >= LEAST && !text.contains('\n') {
        SECRETS.lock().expect("nobody panics here").insert(text);
    }
}

/// Every part of a header field that could be a credential.
pub(crate) fn secrets_of(value: &[u8]) {
    let parts = value.split(|byte| !byte.is_ascii_graphic() || b";=,\"".contains(byte));
    for part in parts.filter(|part| part.len() >= LEAST && part.len() < 8_192) {
        let part = String::from_utf8_lossy(part);
        if !SHOWN.iter().any(|shown| part.contains(shown)) {
            note(part.into_owned());
        }
    }
}

/// Something that came back, but for the one answer that shows a new key.
pub(crate) fn answer(bytes: &[u8]) {
    ANSWERS.lock().expect("nobody panics here").write_all(bytes).expect("the file takes it");
}

/// How many secrets were sent.
pub(crate) fn secrets() -> usize {
    SECRETS.lock().expect("nobody panics here").len()
}

/// The lines with a secret in them: a few for each file.
pub(crate) fn leaks() -> Vec<String> {
    let secrets = SECRETS.lock().expect("nobody panics here");
    let list: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let patterns = path("patterns");
    std::fs::write(&patterns, list.join("\n")).expect("the file takes it");
    let files =
        std::fs::read_dir(FOLDER.path()).expect("the folder is there").filter_map(|entry| Some(entry.ok()?.path()));
    files.filter(|file| *file != patterns).flat_map(|file| search(&patterns, &file)).collect()
}

/// Nothing of it is needed any longer.
pub(crate) fn discard() {
    let _ = std::fs::remove_dir_all(FOLDER.path());
}

fn search(patterns: &Path, file: &Path) -> Vec<String> {
    let found =
        Command::new("grep").env("LC_ALL", "C").args(["-a", "-F", "-m", "5", "-f"]).arg(patterns).arg(file).output();
    let found = found.expect("grep runs");
    assert!(found.status.code().is_some_and(|code| code < 2), "{}", String::from_utf8_lossy(&found.stderr));
    let name = file.file_name().unwrap_or_default().display();
    String::from_utf8_lossy(&found.stdout).lines().map(|line| format!("{name}: {line}")).collect()
}
