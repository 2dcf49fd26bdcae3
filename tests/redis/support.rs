//! A Redis of one's own, and other processes.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tower_api_key::limit::redis::{RedisRateLimiter, RedisRateLimiterBuilder};

/// Whether servers are there to test with. With `TEST_SERVICES=1`, one that is missing is a failure.
pub(crate) fn services() -> bool {
    std::env::var("TEST_SERVICES").is_ok_and(|on| on == "1")
}

/// A Redis that keeps nothing on the disk. Ended when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    folder: TempDir,
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further settings.
    pub(crate) fn start_with(settings: &[&str]) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        Self { child: spawn(port, &folder, settings), port, folder }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn limiter(&self) -> RedisRateLimiterBuilder {
        // Far above what is needed, for machines that are busy: who tests deadlines sets one.
        RedisRateLimiter::builder(self.url()).deadline(Duration::from_secs(5))
    }

    /// Sends a signal to this very process.
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
        self.child = spawn(self.port, &self.folder, &[]);
    }

    /// A command by a connection of its own.
    pub(crate) fn command(&self, words: &[impl AsRef<[u8]>]) -> redis::Value {
        let mut connection = redis::Client::open(self.url()).unwrap().get_connection().unwrap();
        let mut command = redis::Cmd::new();
        words.iter().for_each(|word| {
            command.arg(word.as_ref());
        });
        command.query(&mut connection).unwrap()
    }
}

impl Server {
    /// Troubles Redis for a moment while it is being asked; in each round in another way.
    pub(crate) fn trouble(&self, round: u32) {
        let moment = Duration::from_millis(20);
        match round % 5 {
            0 => drop(self.command(&["SCRIPT", "FLUSH"])),
            1 => {
                self.signal("-STOP");
                std::thread::sleep(moment);
                self.signal("-CONT");
            }
            2 => drop(self.command(&["CLIENT", "PAUSE", "20"])),
            3 => (0..10).for_each(|_| drop(self.command(&["DEBUG", "SLEEP", "0.003"]))),
            _ => {}
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that is stopped would not hear anything else.
        self.kill();
    }
}

fn spawn(port: u16, folder: &TempDir, settings: &[&str]) -> Child {
    let child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--enable-debug-command", "local"])
        .arg("--dir")
        .arg(PathBuf::from(folder.path()))
        .args(settings)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server can be started");
    let started = Instant::now();
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    while client
        .get_connection()
        .and_then(|mut connection| redis::cmd("PING").query::<String>(&mut connection))
        .is_err()
    {
        assert!(started.elapsed() < Duration::from_secs(10), "Redis does not answer");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

pub(crate) fn kill(process: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &process.to_string()]).status().unwrap();
    assert!(status.success());
}

/// This program in a process of its own, playing a part: it answers each line that it is told with a line.
pub(crate) struct Node {
    pub(crate) child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Says what a process that this program starts of itself is to do, and with which Redis.
pub(crate) const PART: &str = "REDIS_TEST_PART";
pub(crate) const URL: &str = "REDIS_TEST_URL";

impl Node {
    pub(crate) fn start(part: &str, url: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["exact::a_part_in_another_process", "--exact", "--nocapture", "--test-threads=1"])
            .env(PART, part)
            .env(URL, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut node = Self { child, input, output };
        assert_eq!(node.hear(), "ready");
        node
    }

    pub(crate) fn tell(&mut self, words: &str) {
        writeln!(self.input, "{words}").unwrap();
        self.input.flush().unwrap();
    }

    /// The next line that is meant for whoever started it.
    pub(crate) fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the node has ended");
            if let Some(words) = line.trim_end().strip_prefix("say ") {
                return words.to_owned();
            }
        }
    }

    pub(crate) fn hear_number(&mut self) -> u32 {
        self.hear().parse().unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a node says to whoever started it.
pub(crate) fn say(words: impl std::fmt::Display) {
    // One write, so that nothing else gets in between.
    std::io::stdout().write_all(format!("say {words}\n").as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}
