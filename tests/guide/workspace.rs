//! The recipes as packages of one workspace, so that what they need is compiled once: with the lock file, the features and
//! the target directory of the crate itself, out of which most is built already.

use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::page::Page;

/// Ports that the recipes get in place of 3000, from here on, unless they are taken.
const FIRST_PORT: u16 = 38_400;

/// The recipes, written and built.
pub(crate) struct Workspace {
    folder: PathBuf,
    target: PathBuf,
    tests: HashMap<String, PathBuf>,
}

/// A recipe in its folder.
pub(crate) struct Recipe<'p> {
    pub(crate) page: &'p Page,
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
}

impl Workspace {
    pub(crate) fn new() -> Self {
        // What tests are given to write to is a folder of the target directory.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is inside").to_owned();
        Self { folder: target.join("guide"), target, tests: HashMap::new() }
    }

    /// Writes the files of a page, and takes away what an earlier run has left there. What is unchanged is not written, so
    /// that nothing is compiled again for it.
    pub(crate) fn write<'p>(&self, page: &'p Page, number: u16) -> Recipe<'p> {
        let folder = self.folder.join(&page.name);
        fs::create_dir_all(&folder).unwrap();
        let port = free_port(FIRST_PORT + number);
        let files: Vec<_> =
            page.files.iter().map(|(name, text)| (folder.join(name), adapted(page, name, text, port))).collect();
        for left in all_files(&folder) {
            if files.iter().all(|(path, _)| *path != left) {
                fs::remove_file(left).unwrap();
            }
        }
        for (path, text) in files {
            if fs::read_to_string(&path).ok().as_deref() != Some(&text) {
                fs::create_dir_all(path.parent().expect("files are in folders")).unwrap();
                fs::write(path, text).unwrap();
            }
        }
        Recipe { page, folder, port }
    }

    /// Builds all recipes at once. `apart` checks each by itself, with the features that it names and no others.
    pub(crate) fn build(&mut self, recipes: &[Recipe<'_>], apart: bool) {
        let mut members: Vec<_> = recipes.iter().map(|recipe| format!("{:?}", recipe.page.name)).collect();
        members.push("\"same-features\"".to_owned());
        let manifest = format!("[workspace]\nresolver = \"3\"\nmembers = [{}]\n", members.join(", "));
        fs::write(self.folder.join("Cargo.toml"), manifest).unwrap();
        fs::copy(super::root().join("Cargo.lock"), self.folder.join("Cargo.lock")).unwrap();
        self.write_same_features();
        for recipe in recipes.iter().filter(|_| apart) {
            // Tests may have features that the program has to do without.
            let _ = self.cargo(&["check", "--package", &recipe.page.name]);
            let _ = self.cargo(&["check", "--package", &recipe.page.name, "--all-targets"]);
        }
        let _ = self.cargo(&["build", "--workspace", "--bins", "--examples"]);
        let tests = self.cargo(&["test", "--no-run", "--workspace", "--test", "*", "--message-format", "json"]);
        for line in String::from_utf8(tests.stdout).unwrap().lines() {
            let built: serde_json::Value = serde_json::from_str(line).unwrap();
            let (program, source) = (built["executable"].as_str(), built["target"]["src_path"].as_str());
            if let (Some(program), Some(source), Some(true)) = (program, source, built["profile"]["test"].as_bool()) {
                self.tests.insert(source.to_owned(), program.into());
            }
        }
    }

    /// A package that asks for the features that the crate's own tests have: without it, the recipes would want other
    /// builds of the same crates.
    fn write_same_features(&self) {
        let manifest = super::read(super::root().join("Cargo.toml"));
        let (_, rest) = manifest.split_once("[dev-dependencies]\n").expect("the crate has some");
        let others = rest.split_once("\n[").map_or(rest, |(table, _)| table);
        let folder = self.folder.join("same-features");
        fs::create_dir_all(folder.join("src")).unwrap();
        let path = super::root().display();
        let package = "[package]\nname = \"same-features\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]";
        let crate_itself = format!("tower-api-key = {{ path = \"{path}\", features = [\"full\"] }}");
        fs::write(folder.join("Cargo.toml"), format!("{package}\n{crate_itself}\n{others}\n")).unwrap();
        fs::write(folder.join("src/lib.rs"), "").unwrap();
    }

    /// The program that `cargo run` starts.
    pub(crate) fn program(&self, recipe: &Recipe<'_>) -> PathBuf {
        self.target.join("debug").join(&recipe.page.name)
    }

    /// The folder of what `cargo run --example` starts.
    pub(crate) fn examples(&self) -> PathBuf {
        self.target.join("debug/examples")
    }

    /// The programs that `cargo test` starts.
    pub(crate) fn test_programs(&self, recipe: &Recipe<'_>) -> Vec<&Path> {
        let of_recipe = |path: &&String| Path::new(path).starts_with(&recipe.folder);
        let mut sources: Vec<_> = self.tests.keys().filter(of_recipe).collect();
        sources.sort();
        sources.into_iter().map(|path| self.tests[path].as_path()).collect()
    }

    /// Runs cargo without the network if it can.
    fn cargo(&self, arguments: &[&str]) -> Output {
        let run = |offline: &[&str]| {
            let mut command = Command::new(env!("CARGO"));
            // What cargo told this test about its own package is not about the recipes.
            for (name, _) in std::env::vars().filter(|(name, _)| is_of_a_package(name)) {
                command.env_remove(name);
            }
            command.args(arguments).args(offline).current_dir(&self.folder).env("CARGO_TARGET_DIR", &self.target);
            command.output().unwrap_or_else(|error| panic!("cargo: {error}"))
        };
        let mut output = run(&["--offline"]);
        if !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("--offline") {
            output = run(&[]);
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo {}:\n{errors}", arguments.join(" "));
        assert!(!errors.contains(") generated "), "cargo {}:\n{errors}", arguments.join(" "));
        output
    }
}

fn is_of_a_package(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_TARGET_TMPDIR"]
        .iter()
        .any(|start| name.starts_with(start))
}

/// A file of a page as it is tried: the crate is this one, and the port is free.
fn adapted(page: &Page, name: &str, text: &str, port: u16) -> String {
    if name != "Cargo.toml" {
        return at_port(text, port);
    }
    let path = format!("path = \"{}\"", super::root().display());
    let own = |line: &str| match line.starts_with("tower-api-key = ") {
        true if line.contains("version = \"0.1\"") => line.replace("version = \"0.1\"", &path),
        true => line.replace("\"0.1\"", &format!("{{ {path} }}")),
        false => line.to_owned(),
    };
    let lines: Vec<_> = text.lines().map(own).collect();
    // As `cargo new` writes it.
    let package = format!("[package]\nname = \"{}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n", page.name);
    format!("{package}\n{}\n", lines.join("\n"))
}

/// The same with this port in place of 3000.
pub(crate) fn at_port(text: &str, port: u16) -> String {
    text.replace(":3000", &format!(":{port}"))
}

fn free_port(wanted: u16) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", wanted)).or_else(|_| TcpListener::bind(("127.0.0.1", 0))).unwrap();
    listener.local_addr().unwrap().port()
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect()
}
