//! Git itself, which knows best how to read its objects.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::commands::scan::progress::Progress;
use crate::failure::Failure;

/// A repository.
#[derive(Debug)]
pub(in crate::commands::scan) struct Git {
    /// Where its objects are.
    folder: PathBuf,
    /// Where its files are; `None` if it has none.
    root: Option<PathBuf>,
}

impl Git {
    /// The repository that `path` is in.
    pub(in crate::commands::scan) fn around(path: &Path) -> Result<Self, Failure> {
        let inside = if path.is_dir() {
            path
        } else {
            path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
        };
        let ask = |what: &str| {
            let mut command = command();
            command.arg("-C").arg(inside).args(["rev-parse", "--path-format=absolute", what]);
            run(command)
        };
        let folder =
            ask("--git-common-dir").map_err(|failure| Failure::Unavailable(format!("--history: {failure}")))?;
        Ok(Self { folder: path_of(&folder), root: ask("--show-toplevel").ok().map(|root| path_of(&root)) })
    }

    pub(in crate::commands::scan) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(in crate::commands::scan) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The ids of all blobs, commits and tags that there are.
    pub(in crate::commands::scan) fn objects(&self, progress: &Progress) -> Result<Vec<String>, Failure> {
        let mut objects = Vec::new();
        let format = "--batch-check=%(objecttype) %(objectname)";
        self.lines(&["cat-file", "--batch-all-objects", "--unordered", format], b'\n', |line| {
            let object = std::str::from_utf8(line).ok().and_then(|line| line.trim().split_once(' '));
            if let Some((_, id)) = object.filter(|(kind, _)| *kind != "tree") {
                objects.push(id.to_owned());
                progress.add(1);
            }
        })?;
        Ok(objects)
    }

    /// Calls `each` with what Git answers, part by part, each up to the byte `end` and without it.
    pub(in crate::commands::scan) fn lines(
        &self,
        arguments: &[&str],
        end: u8,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::unavailable("git", &error);
        let mut child = self.start(arguments)?;
        drop(child.stdin.take());
        if let Some(output) = child.stdout.take() {
            let mut output = BufReader::with_capacity(64 * 1024, output);
            let mut line = Vec::new();
            while output.read_until(end, &mut line).map_err(failed)? > 0 {
                each(line.strip_suffix(&[end]).unwrap_or(&line));
                line.clear();
            }
        }
        match child.wait().map_err(failed)?.success() {
            true => Ok(()),
            false => Err(Failure::Unavailable(format!("git {} failed", arguments.first().unwrap_or(&"")))),
        }
    }

    pub(in crate::commands::scan) fn start(&self, arguments: &[&str]) -> Result<Child, Failure> {
        let mut command = command();
        command.arg("--git-dir").arg(&self.folder).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| missing(&error))
    }
}

/// Git, which fetches nothing, locks nothing, and signs nothing.
fn command() -> Command {
    let mut command = Command::new("git");
    command.args(["-c", "log.showSignature=false", "--no-pager"]);
    command.env("GIT_NO_LAZY_FETCH", "1").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_NO_REPLACE_OBJECTS", "1");
    // A hook is told which repository it is of; the paths say which one is meant here.
    command.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE");
    command
}

fn run(mut command: Command) -> Result<Vec<u8>, Failure> {
    let Output { status, stdout, stderr } = command.output().map_err(|error| missing(&error))?;
    match status.success() {
        true => Ok(stdout),
        false => Err(Failure::Unavailable(
            String::from_utf8_lossy(&stderr).lines().next().unwrap_or("git failed").to_owned(),
        )),
    }
}

fn missing(error: &std::io::Error) -> Failure {
    Failure::unavailable("git could not be started", error)
}

#[cfg(unix)]
fn path_of(answer: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(answer.strip_suffix(b"\n").unwrap_or(answer)))
}

#[cfg(not(unix))]
fn path_of(answer: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(answer).trim_end())
}
