//! Schemathesis, as the tests run it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program, installed once for each folder that cargo builds into.
pub(crate) fn program() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis-4.32.5");
    let program = folder.join("bin/schemathesis");
    if !program.exists() {
        let run = |program: &Path, arguments: &[&str]| {
            let status = Command::new(program).args(arguments).status();
            assert!(status.unwrap().success(), "{} {arguments:?}", program.display());
        };
        run(Path::new("python3"), &["-m", "venv", folder.to_str().unwrap()]);
        let quiet = ["install", "--quiet", "--disable-pip-version-check", "schemathesis==4.32.5"];
        run(&folder.join("bin/pip"), &quiet);
    }
    program
}
