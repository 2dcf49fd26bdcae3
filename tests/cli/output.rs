//! Pipes, JSON, and readers that go away.

use std::io::Read;
use std::process::Stdio;

use serde_json::json;

use crate::support::{Desk, PROGRAM, digest};

#[test]
fn in_a_pipe_there_are_columns_with_tabs_and_neither_colours_nor_headers() {
    let desk = Desk::at("file:keys.json");
    let (id, secret) = desk.key("ci");
    for arguments in [vec!["list"], vec!["show", &id], vec!["list", "--color", "never"]] {
        let said = desk.run(&arguments);
        assert!(!said.out.contains('\u{1b}') && !said.err.contains('\u{1b}'), "{said:?}");
    }
    let listed = desk.run(["list"]).ok();
    let cells: Vec<_> = listed.trim_end_matches('\n').split('\t').collect();
    assert_eq!(cells[..4], [&id, "ci", &format!("{}…{}", &secret[..12], &secret[44..]), "active"]);
    assert_eq!(cells.len(), 8);
}

#[test]
fn names_cannot_write_on_the_terminal() {
    let desk = Desk::bare();
    let name = "evil\u{1b}[31m\ttab\nline\u{202e}";
    let row = json!({"id": "key_1", "digest": digest(1), "name": name});
    desk.write("keys.json", json!({"version": 1, "keys": [row]}).to_string());
    for arguments in [vec!["list"], vec!["show", "key_1"]] {
        let said = desk.run(["--store", "file:keys.json"].iter().chain(&arguments)).ok();
        assert!(said.contains("evil\\u{1b}[31m\\ttab\\nline\\u{202e}"), "{said:?}");
        assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
    }
    let said = desk.run(["--store", "file:keys.json", "list", "--json"]).json();
    assert_eq!(said["items"][0]["name"], name, "programs get it as it is");
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let desk = Desk::bare();
    let row = |number: usize| json!({"id": format!("key_{number}"), "digest": digest(number)});
    let keys: Vec<_> = (0..5_000).map(row).collect();
    desk.write("keys.json", json!({"version": 1, "keys": keys}).to_string());
    for arguments in [vec!["list"], vec!["list", "--json"], vec!["completions", "bash"], vec!["manual"]] {
        let mut command = desk.command(PROGRAM);
        command.args(["--store", "file:keys.json"]).args(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(141), "{arguments:?}: {errors}");
        assert_eq!(errors, "", "{arguments:?}");
    }
}

#[test]
fn a_key_that_could_not_be_printed_is_named_so_that_it_can_be_revoked() {
    let desk = Desk::at("file:keys.json");
    let mut child =
        desk.command(PROGRAM).args(["new", "ci"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3), "{errors}");
    let id = desk.run(["list"]).ok().split('\t').next().unwrap().to_owned();
    assert!(errors.contains(&id), "{errors}");
}

#[test]
fn completions_and_manuals_name_every_command() {
    let desk = Desk::bare();
    let commands = [
        "new",
        "list",
        "show",
        "rename",
        "disable",
        "enable",
        "revoke",
        "rotate",
        "import",
        "verify",
        "scan",
        "migrate",
        "purge",
        "audit",
        "completions",
    ];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = desk.run(["completions", shell]).ok();
        for command in commands {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    assert!(desk.run(["manual"]).ok().contains(".TH api-keys 1"));
    desk.run(["manual", "--pages", "man1"]).ok();
    for command in commands {
        assert!(desk.path(&format!("man1/api-keys-{command}.1")).exists(), "{command}");
        let help = desk.run([command, "--help"]).ok();
        assert!(help.contains("Examples:") && help.contains(&format!("api-keys {command}")), "{help}");
    }
}
