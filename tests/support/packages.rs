//! Programs and libraries of other languages, as the tests need them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The folder in which a list of `tests/packages` is installed: once for each folder that cargo builds into, since that can
/// take minutes.
pub(crate) fn installed(list: &str) -> PathBuf {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one = INSTALLING.lock().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packages/install");
    let status = Command::new(program).arg(&folder).arg(list).status();
    assert!(status.expect("the installer starts").success(), "{list} could not be installed");
    folder.join(list)
}
