//! A person at a terminal: tmux is the terminal, and what it shows is what they see. Runs when `TEST_SERVICES` is 1.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Desk, PROGRAM, finish, made_up, wanted};

/// A terminal with a shell, which ends with this value.
struct Terminal<'d> {
    desk: &'d Desk,
    socket: String,
}

impl<'d> Terminal<'d> {
    fn new(desk: &'d Desk) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        let terminal = Self { desk, socket: format!("api-keys-{}-{number}", std::process::id()) };
        let mut command = terminal.tmux();
        finish(command.args(["-f", "/dev/null", "new-session", "-d", "-x", "180", "-y", "50", "sh"]), "").ok();
        let folder = Path::new(PROGRAM).parent().unwrap();
        terminal.enter(&format!("PATH={}:$PATH", folder.display()));
        terminal.enter("clear; echo ready");
        terminal.wait_for("\nready");
        terminal
    }

    fn tmux(&self) -> Command {
        let mut command = self.desk.command("tmux");
        command.args(["-L", &self.socket]).env_remove("TMUX").env("LC_ALL", "C.UTF-8");
        command
    }

    /// Types a line.
    fn enter(&self, text: &str) {
        finish(self.tmux().args(["send-keys", "-l", text]), "").ok();
        finish(self.tmux().args(["send-keys", "Enter"]), "").ok();
    }

    /// Runs a command on a cleared screen, and gives what is seen when it has ended.
    fn run(&self, command: &str) -> String {
        finish(self.tmux().args(["send-keys", "-R"]), "").ok();
        finish(self.tmux().args(["clear-history"]), "").ok();
        self.enter(&format!("clear; {command}; echo \"ended: $?\""));
        self.wait_for("\nended: ")
    }

    /// What is seen as soon as it has this text in it.
    fn wait_for(&self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let seen = format!("\n{}", finish(self.tmux().args(["capture-pane", "-p", "-J"]), "").ok());
            if seen.contains(text) {
                return seen;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{text:?} is never seen: {seen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What is seen, with the codes of colours.
    fn colours(&self) -> String {
        finish(self.tmux().args(["capture-pane", "-p", "-e"]), "").ok()
    }

    /// Writes down all that is sent to the terminal from now on.
    fn record(&self, file: &str) {
        finish(self.tmux().args(["pipe-pane", "-o", &format!("cat > {}", self.desk.path(file).display())]), "").ok();
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        drop(finish(self.tmux().arg("kill-server"), ""));
    }
}

#[test]
fn a_terminal_shows_tables_with_headers_and_colours() {
    for desk in wanted().then(Desk::each).into_iter().flatten() {
        let terminal = Terminal::new(&desk);
        let empty = terminal.run("api-keys list");
        assert!(empty.contains("No keys.") && !empty.contains("NAME"), "{empty}");
        let made = terminal.run("api-keys new ci --scope read --expires 30d");
        assert!(made.contains("\nak_live_") && made.contains("is shown this once"), "{made}");
        let listed = terminal.run("api-keys list");
        let header = listed.lines().find(|line| line.starts_with("ID ")).expect("a header");
        let row = listed.lines().find(|line| line.starts_with("key_")).expect("a row");
        for (name, value) in [("NAME", "ci"), ("KEY", "ak_live_"), ("STATE", "active"), ("SCOPES", "read")] {
            let column = header.find(name).unwrap();
            let cell: String = row.chars().skip(column).collect();
            assert!(cell.starts_with(value), "{name}: {listed}");
        }
        let coloured = |text: &str| text.contains("\u{1b}[32m") && text.contains("\u{1b}[1m");
        assert!(coloured(&terminal.colours()), "{:?}", terminal.colours());
        terminal.run("NO_COLOR=1 api-keys list");
        assert!(!terminal.colours().contains('\u{1b}'), "{:?}", terminal.colours());
        terminal.run("NO_COLOR=1 api-keys --color always list");
        assert!(coloured(&terminal.colours()), "what is asked for beats a variable");
        let shown = terminal.run("api-keys show $(api-keys list | cut -f 1)");
        assert!(shown.contains("\nName:") && shown.contains("\nOwner:        -"), "{shown}");

        let piped = terminal.run("api-keys list | cat");
        assert!(!piped.contains("NAME") && !terminal.colours().contains('\u{1b}'), "{piped}");
        let json = terminal.run("api-keys list --json");
        assert!(json.contains("\n  \"items\": ["), "indented for people: {json}");
        let json = terminal.run("api-keys list --json | wc -l");
        assert!(json.contains("\n1\n"), "on one line for programs: {json}");
    }
}

#[test]
fn what_cannot_be_undone_is_asked_for() {
    for desk in wanted().then(Desk::each).into_iter().flatten() {
        let (id, _) = desk.key("ci");
        let terminal = Terminal::new(&desk);
        for (answer, seen, state) in [
            ("", "Nothing was changed", "active"),
            ("n", "Nothing was changed", "active"),
            ("y", "is revoked", "revoked"),
        ] {
            terminal.enter(&format!("clear; api-keys revoke {id}; echo \"ended: $?\""));
            terminal.wait_for(&format!("Revoke {id} (ci) for good? [y/N]"));
            terminal.enter(answer);
            let said = terminal.wait_for("\nended: ");
            assert!(said.contains(seen), "{said}");
            assert!(said.contains(if state == "active" { "ended: 1" } else { "ended: 0" }), "{said}");
            assert_eq!(desk.run(["show", &id, "--json"]).json()["state"], state);
        }
        terminal.enter("clear; api-keys purge --older-than 0s; echo \"ended: $?\"");
        terminal.wait_for("[y/N]");
        terminal.enter("yes");
        assert!(terminal.wait_for("\nended: 0").contains("Forgot 1 key."));
        let (id, _) = desk.key("other");
        assert!(terminal.run(&format!("api-keys revoke {id} --yes")).contains("is revoked"));
    }
}

#[test]
fn a_key_is_asked_for_and_not_shown() {
    for desk in wanted().then(Desk::each).into_iter().flatten() {
        let (_, key) = desk.key("ci");
        let terminal = Terminal::new(&desk);
        terminal.record("recorded");
        for (typed, valid, code) in [(key.as_str(), "yes", 0), (&made_up(), "no", 1)] {
            terminal.enter("clear; api-keys verify; echo \"ended: $?\"");
            terminal.wait_for("Key: ");
            terminal.enter(typed);
            let seen = terminal.wait_for(&format!("\nended: {code}"));
            assert!(seen.contains(&format!("Valid:        {valid}")), "{seen}");
        }
        let recorded = std::fs::read_to_string(desk.path("recorded")).unwrap();
        assert!(recorded.contains("Valid") && !recorded.contains(&key), "the key is not shown for a moment");
    }
}

#[test]
fn a_scan_shows_how_far_it_is_on_a_terminal_alone() {
    if !wanted() {
        return;
    }
    let desk = Desk::bare();
    for number in 0..3_000 {
        desk.write(&format!("tree/{}/{number}", number % 50), "nothing\n".repeat(100));
    }
    desk.write("tree/key", made_up());
    desk.git(&["init", "--quiet"]);
    desk.git(&["add", "--all"]);
    desk.git(&["commit", "--quiet", "--message", "add"]);
    let terminal = Terminal::new(&desk);
    terminal.record("recorded");
    let seen = terminal.run("api-keys scan tree --history");
    assert!(seen.contains("\ntree/key:1:1: ak_live_") && seen.contains("\nended: 1"), "{seen}");
    assert!(seen.contains("Scanned 3001 files and ") && !seen.contains("Files ["), "the bar goes away: {seen}");
    let recorded = std::fs::read_to_string(desk.path("recorded")).unwrap();
    assert!(recorded.contains("Files [") && recorded.contains("/3,001"), "{recorded:?}");
    assert!(recorded.contains("Objects ["), "{recorded:?}");
    terminal.run("api-keys scan tree --history 2> errors");
    let errors = std::fs::read_to_string(desk.path("errors")).unwrap();
    assert!(errors.starts_with("Scanned 3001 files") && errors.lines().count() == 1, "{errors:?}");
}
