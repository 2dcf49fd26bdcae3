//! Packages of npm, as the tests need them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The folder in which these packages are installed: once, since that can take a minute.
pub(crate) fn installed(name: &str, packages: &[&str]) -> PathBuf {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one = INSTALLING.lock().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let installed = folder.join("installed");
    if fs::read_to_string(&installed).is_ok_and(|known| known == packages.join(" ")) {
        return folder;
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("package.json"), "{}").unwrap();
    let mut npm = Command::new("npm");
    let npm = npm.args(["install", "--no-audit", "--no-fund"]).args(packages).current_dir(&folder);
    assert!(npm.status().expect("npm runs").success(), "npm could not install {packages:?}");
    fs::write(installed, packages.join(" ")).unwrap();
    folder
}
