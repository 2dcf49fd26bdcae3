//! Every example of the help, run as it stands there.

use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::{Desk, PROGRAM, Said, finish, made_up};

/// The id and the start of a key that the examples are about.
const ID: &str = "key_3fX9aB7cD2eF5gH8iJ1k";
const START: &str = "ak_live_3fX9";

/// The lines under `Examples:`.
fn examples(help: &str) -> Vec<String> {
    let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("no examples: {help}"));
    examples.lines().map_while(|line| line.strip_prefix("  ")).map(str::to_owned).collect()
}

/// Runs a script as a person would, with this program at hand, and in place of other people's databases what they would
/// print.
fn shell(desk: &Desk, script: &str, key: &str) -> Said {
    let tools = desk.path("tools");
    let row = json!({"id": 7, "token": format!("{:064x}", 7), "prefix": "awGOhJfO", "hashed_key": format!("sha512$${:0128x}", 7)});
    for tool in ["psql", "sqlite3"] {
        desk.write(&format!("tools/{tool}"), format!("#!/bin/sh\ncat <<'ROW'\n{row}\nROW\n"));
        finish(desk.command("chmod").arg("+x").arg(tools.join(tool)), "").ok();
    }
    let folder = Path::new(PROGRAM).parent().unwrap().display();
    let path = format!("{}:{folder}:{}", tools.display(), std::env::var("PATH").unwrap());
    let mut command = desk.command("sh");
    if desk.store.as_deref().is_some_and(|store| store.starts_with("file:")) {
        // A store in a file has no table of events.
        command.env("API_KEYS_TRAIL", "trail.jsonl");
    }
    finish(command.args(["-c", script]).env("PATH", path).env("KEY", key).env("HOME", desk.folder.path()), "")
}

/// What an example comes to where nobody can be asked.
fn code(example: &str) -> i32 {
    let asks = example.contains(" revoke ") || example.contains(" purge ");
    let finds = example == "api-keys scan" || example.contains("scan --history") || example.contains("> keys.sarif");
    match () {
        () if asks && !example.contains("--yes") => 2,
        () if finds => 1,
        () => 0,
    }
}

fn furnished(desk: &Desk) -> String {
    let key = made_up();
    let digest: String = Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect();
    let row = json!([{"id": ID, "digest": digest, "name": "ci", "start": START}]);
    let imported = desk.feed(&row.to_string(), ["import", "--from", "sha256", "-"]);
    assert_eq!(imported.code, 0, "{imported:?}");
    desk.write("key.txt", &key);
    desk.write("src/main.rs", "fn main() {}");
    desk.write("config/app.toml", "");
    desk.write("keys.json", json!({"id": "unkey_1", "hash": format!("{:064x}", 1)}).to_string());
    desk.git(&["init", "--quiet"]);
    for folder in [".zfunc", ".config/fish/completions"] {
        std::fs::create_dir_all(desk.path(folder)).unwrap();
    }
    key
}

#[test]
fn every_example_of_a_command_does_what_it_says() {
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
        "manual",
    ];
    let mut run = 0;
    for command in commands {
        let help = Desk::bare().run([command, "--help"]).ok();
        for example in examples(&help) {
            assert!(example.len() < 78, "it would be broken in two: {example}");
            for mut desk in Desk::each() {
                // An example reads a file of that name.
                if desk.store.as_deref() == Some("file:keys.json") {
                    std::fs::remove_file(desk.path("keys.json")).unwrap();
                    desk.store = Some("file:store.json".to_owned());
                }
                let key = furnished(&desk);
                if example.starts_with("api-keys enable") {
                    desk.run(["disable", ID]).ok();
                }
                let said = shell(&desk, &example, &key);
                assert_eq!(said.code, code(&example), "{example} ({:?}): {said:?}", desk.store);
                run += 1;
            }
        }
    }
    assert!(run > 60, "{run} examples");
}

#[test]
fn the_examples_of_the_whole_program_work_one_after_the_other() {
    let desk = Desk::bare();
    let help = desk.run(["--help"]).ok();
    let (last, first) = examples(&help).split_last().map(|(last, first)| (last.clone(), first.join("\n"))).unwrap();
    let said = shell(&desk, &format!("set -e\n{first}"), "");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.starts_with("ak_live_") && said.out.contains("\tci\t"), "{said:?}");
    desk.git(&["init", "--quiet"]);
    assert_eq!(shell(&desk, &last, "").code, 0, "a store holds no keys");
}

#[test]
fn the_page_of_the_command_line_names_every_command_and_exit_code() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/command-line.md")).unwrap();
    let help = Desk::bare().run(["--help"]).ok();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    for line in commands.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   ")) {
        let command = line.split_whitespace().next().unwrap();
        assert!(command == "help" || page.contains(&format!("| `{command}")), "{command}");
    }
    for code in ["0", "1", "2", "3", "141"] {
        assert!(page.contains(&format!("| {code} |")), "{code}");
    }
}
