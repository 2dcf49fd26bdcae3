//! A folder to work in, a store, and the program.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use tower_api_key::key::{Environment, KeyFormat};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_api-keys");

/// Whether tests that need servers and other programs are to run. With it set, what is missing is a failure.
pub(crate) fn wanted() -> bool {
    std::env::var("TEST_SERVICES").is_ok_and(|value| value == "1")
}

/// A folder that commands run in, with a store.
pub(crate) struct Desk {
    pub(crate) folder: TempDir,
    pub(crate) store: Option<String>,
    _database: Option<Database>,
}

/// What a command has said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// The standard output of a command that was carried out.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Desk {
    /// Without a store.
    pub(crate) fn bare() -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self { folder: folder.unwrap(), store: None, _database: None }
    }

    /// With an empty store of each kind there is.
    pub(crate) fn each() -> Vec<Self> {
        let mut desks = vec![Self::at("file:keys.json"), Self::at("sqlite://keys.db")];
        if wanted() {
            let database = Database::new();
            let mut desk = Self::at(&database.url());
            desk._database = Some(database);
            desks.push(desk);
        }
        desks
    }

    pub(crate) fn at(store: &str) -> Self {
        let mut desk = Self::bare();
        desk.store = Some(store.to_owned());
        if store.starts_with("file:") {
            desk.write("keys.json", r#"{"version": 1, "keys": []}"#);
        }
        assert_eq!(desk.run(["migrate"]).code, 0);
        desk
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The program, with nothing of the environment of whoever runs the tests.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("API_KEYS_")
                || name.starts_with("GIT_")
                || name.starts_with("CLICOLOR")
                || name == "NO_COLOR"
            {
                command.env_remove(name);
            }
        }
        command.current_dir(self.folder.path()).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        if let Some(store) = &self.store {
            command.env("API_KEYS_STORE", store);
        }
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Said {
        self.feed("", arguments)
    }

    /// With something on the standard input.
    pub(crate) fn feed<A: AsRef<OsStr>>(&self, input: &str, arguments: impl IntoIterator<Item = A>) -> Said {
        finish(self.command(PROGRAM).args(arguments), input)
    }

    /// Makes a key, and gives its id and its secret.
    pub(crate) fn key(&self, name: &str) -> (String, String) {
        let made = self.run(["new", name, "--json"]).json();
        (made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned())
    }

    /// Runs Git.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let mut command = self.command("git");
        command.args(["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]);
        finish(command.args(arguments), "").ok()
    }
}

pub(crate) fn finish(command: &mut Command, input: &str) -> Said {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A command that reads nothing may have closed its input.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}

/// A key that no store knows.
pub(crate) fn made_up() -> String {
    KeyFormat::default().generate(&Environment::LIVE).unwrap().expose_secret().to_owned()
}

/// A digest as stores write it. Maps of digests go by their first bytes, which must not be alike.
pub(crate) fn digest(number: usize) -> String {
    let bytes = Sha256::digest(number.to_string());
    bytes.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// A database of Postgres that is dropped with this value.
pub(crate) struct Database(String);

impl Database {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        let name = format!("tower_api_key_cli_{}_{number}", std::process::id());
        administer(format!("CREATE DATABASE {name}"));
        Self(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:5432/{}", self.0)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        administer(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.0));
    }
}

fn administer(sql: String) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(5432);
        let options = options.username("postgres").database("postgres");
        let mut connection = PgConnection::connect_with(&options).await.expect("Postgres answers");
        connection.execute(AssertSqlSafe(sql)).await.unwrap();
    });
}
