//! A program of a recipe that runs while its commands are entered.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::pattern;

const PATIENCE: Duration = Duration::from_secs(30);

/// Ended when dropped.
pub(crate) struct Server {
    child: Child,
    printed: Arc<Mutex<String>>,
}

impl Server {
    /// Runs commands of which the last is the program, and waits until it accepts connections and has printed what is
    /// `expected`.
    pub(crate) fn start(commands: &str, folder: &Path, port: u16, expected: Option<&str>) -> Result<Self, String> {
        let mut command = Command::new("bash");
        command.args(["-c", commands]).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("bash: {error}"));
        let mut output = child.stdout.take().expect("its output is piped");
        let printed = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&printed);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                written.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        let mut server = Self { child, printed };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        server.wait_for("listens", |_| TcpStream::connect(address).is_ok())?;
        if let Some(expected) = expected {
            server.wait_for(&format!("prints\n{expected}"), |printed| pattern::matches(expected, printed))?;
        }
        Ok(server)
    }

    fn wait_for(&mut self, what: &str, is_so: impl Fn(&str) -> bool) -> Result<(), String> {
        let start = Instant::now();
        while !is_so(&self.printed()) {
            let ended = self.child.try_wait().expect("it can be asked for its end").is_some();
            if ended || start.elapsed() > PATIENCE {
                return Err(format!("expected is a program that {what}\nand it printed\n{}", self.printed()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// All that it has printed up to now.
    pub(crate) fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        self.child.wait().expect("it ends");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
