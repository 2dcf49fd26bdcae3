//! The commands of the runbooks, run in their order against the example `generate`. Runs when `TEST_SERVICES` is 1, and then
//! needs `curl`, `jq` and bash.

mod support;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Program, json, send};

const ADMIN: &str = "an-admin-key-of-at-least-32-characters";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks")
}

/// The lines of a runbook's `sh` blocks, each with what it is to print, if that is said.
fn commands(runbook: &str) -> Vec<(String, Option<String>)> {
    let text = fs::read_to_string(folder().join(runbook)).unwrap();
    let blocks = text.split("\n```sh\n").skip(1).map(|block| block.split("\n```").next().unwrap());
    let lines = blocks.flat_map(str::lines).filter(|line| !line.trim().is_empty());
    let said = |line: &str| match line.rsplit_once(" # ") {
        Some((command, output)) => (command.to_owned(), Some(output.trim().to_owned())),
        None => (line.to_owned(), None),
    };
    lines.map(said).collect()
}

/// A script that ends at the first command that fails, or prints something else.
fn script(commands: &[(String, Option<String>)]) -> String {
    let mut script = "set -euo pipefail\n".to_owned();
    for (number, (command, output)) in commands.iter().enumerate() {
        let _ = match output {
            None => writeln!(script, "echo 'command {number}' >&2\n{command}"),
            Some(output) => writeln!(
                script,
                "echo 'command {number}' >&2\nprinted=$({command})\n\
                 [ \"$printed\" = '{output}' ] || {{ echo \"prints $printed\" >&2; exit 1; }}"
            ),
        };
    }
    script
}

async fn try_out(runbook: &str) {
    if std::env::var("TEST_SERVICES").is_ok_and(|value| value == "1") {
        let data = tempfile::tempdir().unwrap();
        let settings = [
            ("ADMIN_API_KEY", ADMIN),
            ("API_RATE_LIMIT", "10000"),
            ("METRICS_PORT", "0"),
            ("DATA_DIR", data.path().to_str().unwrap()),
        ];
        let (program, metrics) = Program::with_metrics("generate", &settings);
        let admin = [("authorization", &*format!("Bearer {ADMIN}"))];
        let new = r#"{"name":"ci","scopes":["read"],"expiresAt":"2999-01-01T00:00:00Z"}"#;
        let made = json(&send("POST", &format!("{}/v1/keys", program.url), &admin, new).await);
        let (key, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());

        let commands = commands(runbook);
        assert!(commands.iter().any(|(command, _)| command.contains("curl ")), "{runbook} has no command");
        let mut bash = Command::new("bash");
        bash.args(["-c", &script(&commands)]).envs([("API", program.url.as_str()), ("METRICS", &metrics)]);
        bash.envs([("ADMIN_API_KEY", ADMIN), ("KEY", key), ("LEAKED_KEY", key), ("KEY_ID", id)]);
        let output = bash.output().expect("bash runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{runbook}: {errors}\n{commands:#?}");
    }
}

#[tokio::test]
async fn the_runbook_for_a_leaked_key_works() {
    try_out("leaked-key.md").await;
}

#[tokio::test]
async fn the_runbook_for_rotation_works() {
    try_out("rotation.md").await;
}

#[tokio::test]
async fn the_runbook_for_an_outage_of_the_store_works() {
    try_out("store-outage.md").await;
}

#[tokio::test]
async fn the_runbook_for_an_outage_of_the_limiter_works() {
    try_out("limiter-outage.md").await;
}

#[tokio::test]
async fn the_runbook_for_the_first_keys_works() {
    try_out("first-keys.md").await;
}

#[test]
fn every_curl_line_stands_in_a_block_that_is_tried() {
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let there = text.lines().filter(|line| line.contains("curl ")).count();
        let tried = commands(name).iter().filter(|(command, _)| command.contains("curl ")).count();
        assert_eq!(tried, there, "{name}");
    }
}

#[test]
fn a_command_that_fails_or_prints_something_else_is_noticed() {
    let ends = |commands: &[(&str, Option<&str>)]| {
        let owned = |(command, output): &(&str, Option<&str>)| ((*command).to_owned(), output.map(str::to_owned));
        let commands: Vec<_> = commands.iter().map(owned).collect();
        Command::new("bash").args(["-c", &script(&commands)]).output().unwrap().status.success()
    };
    assert!(ends(&[("export A=1", None), ("echo $A", Some("1"))]));
    assert!(!ends(&[("echo 200", Some("401"))]));
    assert!(!ends(&[("false | cat", None)]));
}
