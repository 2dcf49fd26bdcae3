//! A shell in which the commands of a recipe are entered, one block after another.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// What is printed after each block, with the status of its last command.
const END: &str = "--- end of the block ---";

const PATIENCE: Duration = Duration::from_secs(120);

/// Ended when dropped.
pub(crate) struct Terminal {
    shell: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Terminal {
    pub(crate) fn open(folder: &Path) -> Self {
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).current_dir(folder);
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash runs");
        let input = shell.stdin.take().expect("its input is piped");
        let output = BufReader::new(shell.stdout.take().expect("its output is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        let mut terminal = Self { shell, input, lines };
        // Whoever sits at a terminal sees the bar that curl draws, and no recipe means that.
        terminal.enter("exec 2>&1; curl() { command curl --silent --max-time 30 \"$@\"; }");
        terminal
    }

    /// Enters a block of commands, and returns what it prints and the status of its last command.
    pub(crate) fn enter(&mut self, commands: &str) -> (String, i32) {
        writeln!(self.input, "{commands}\nprintf '\\n%s %s\\n' '{END}' $?").expect("the shell takes commands");
        let mut printed = String::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no end of this:\n{commands}\nprinted:\n{printed}"));
            if let Some(status) = line.strip_prefix(END) {
                return (printed, status.trim().parse().expect("a status is a number"));
            }
            printed.push_str(line.trim_end_matches('\r'));
            printed.push('\n');
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
