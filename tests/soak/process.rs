//! Processes of the examples, and of Redis; and a database of one's own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// An example that runs. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) url: String,
    /// A node ends when nobody holds this any more.
    _leash: Option<ChildStdin>,
    _output: BufReader<ChildStdout>,
    started: Instant,
    /// Memory and files, once it has warmed up, and how many keys had been made by then.
    warm: Option<(Figures, u64)>,
}

/// What a process has of the system's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) kibibytes: u64,
    pub(crate) files: usize,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the example starts");
        let leash = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("its first line can be read");
        let url = line.trim().strip_prefix("listening on ").expect("it says where it listens").to_owned();
        Self { child, url, _leash: leash, _output: output, started: Instant::now(), warm: None }
    }

    pub(crate) fn signal(&self, signal: &str) {
        kill(self.child.id(), signal);
    }

    /// Waits until it has ended, and says how.
    pub(crate) async fn ended(mut self, within: Duration) -> Option<ExitStatus> {
        let since = Instant::now();
        while since.elapsed() < within {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    pub(crate) fn figures(&self) -> Figures {
        let id = self.child.id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        let kibibytes = line.trim().trim_end_matches(" kB").parse().expect("it is a number");
        Figures { kibibytes, files: fs::read_dir(format!("/proc/{id}/fd")).expect("it runs").count() }
    }

    /// Looks at it once it is warm.
    pub(crate) fn warm_up(&mut self, after: Duration, keys: u64) {
        if self.warm.is_none() && self.started.elapsed() > after {
            self.warm = Some((self.figures(), keys));
        }
    }

    pub(crate) fn warm(&self) -> Option<(Figures, u64)> {
        self.warm
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kill(process: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &process.to_string()]).status().expect("kill runs");
    assert!(status.success());
}

/// An example that is to be started: no setting of this machine's reaches it.
pub(crate) fn example(name: &str) -> Command {
    let tests = std::env::current_exe().expect("a test knows its own path");
    let profile = tests.parent().and_then(|deps| deps.parent()).expect("tests are built into a folder of the profile");
    let program: PathBuf = profile.join("examples").join(name);
    assert!(program.exists(), "{} is not built: run `cargo build --examples`", program.display());
    let mut command = Command::new(program);
    command.env_clear().current_dir(std::env::temp_dir()).env("PORT", "0").env("RUST_LOG", "off");
    command.env("ADMIN_API_KEY", crate::site::ADMIN);
    command
}

/// A Redis of one's own that keeps nothing on the disk.
pub(crate) struct Redis {
    child: Child,
    pub(crate) port: u16,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { child: redis_server(port), port }
    }

    pub(crate) fn signal(&self, signal: &str) {
        kill(self.child.id(), signal);
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, without any data.
    pub(crate) fn start_again(&mut self) {
        self.kill();
        self.child = redis_server(self.port);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn redis_server(port: u16) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server can be started")
}

/// A database of one's own in the Postgres of this machine. Dropped with this value.
pub(crate) struct Database(String);

impl Database {
    pub(crate) async fn create() -> Self {
        let name = format!("tower_api_key_soak_{}", std::process::id());
        administer(format!("CREATE DATABASE {name}")).await;
        Self(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:5432/{}", self.0)
    }

    pub(crate) async fn allow_connections(&self, allowed: bool) {
        administer(format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allowed}", self.0)).await;
    }

    /// Ends every connection to it.
    pub(crate) async fn end_connections(&self) {
        let of = &self.0;
        let end = format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{of}'");
        administer(end).await;
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.0);
        std::thread::spawn(move || tokio::runtime::Runtime::new().unwrap().block_on(administer(drop))).join().unwrap();
    }
}

async fn administer(sql: String) {
    let mut administrator = PgConnection::connect("postgres://postgres@127.0.0.1:5432/postgres").await.unwrap();
    administrator.execute(AssertSqlSafe(sql)).await.unwrap();
}
