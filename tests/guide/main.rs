//! The guide, SECURITY.md and the README: whether what they say is there, and whether every recipe runs when its blocks
//! are copied. The latter runs when `TEST_SERVICES` is 1, and then needs bash, curl, Node and Python 3.

mod codes;
mod links;
mod page;
mod pattern;
mod promises;
mod recipes;
mod server;
mod terminal;
mod workspace;

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the crate.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of the guide, by name.
fn guide() -> Vec<PathBuf> {
    files_below(&root().join("docs/guide"), "md")
}

/// All files below a folder whose names end so, in order.
fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}
