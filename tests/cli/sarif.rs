//! SARIF as others read it. Runs when `TEST_SERVICES` is 1, and then needs Node with npm, Python 3 with venv, and both
//! package registries.

use std::process::Command;

use serde_json::{Value, json};

use crate::packages;
use crate::support::{Desk, PROGRAM, finish, made_up, wanted};

fn log(desk: &Desk) -> Value {
    desk.run(["scan", "--history", "--format", "sarif", "missing", "tree"]).json()
}

fn desk() -> (Desk, String) {
    let desk = Desk::bare();
    let key = made_up();
    desk.write("tree/a b#ü.txt", format!("ä: {key}\n"));
    desk.git(&["init", "--quiet"]);
    desk.git(&["add", "--all"]);
    desk.git(&["commit", "--quiet", "--message", "add"]);
    (desk, key)
}

#[test]
fn a_result_has_place_and_fingerprint_and_not_the_key() {
    let (desk, key) = desk();
    let log = log(&desk);
    let run = &log["runs"][0];
    assert_eq!(run["invocations"][0]["executionSuccessful"], false, "a path is missing");
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2, "the file, and the blob");
    for result in results {
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "tree/a%20b%23%C3%BC.txt");
        let region = json!({"startLine": 1, "startColumn": 4, "endColumn": 52, "byteOffset": 4, "byteLength": 48});
        assert_eq!(place["region"], region);
        assert_eq!(result["ruleId"], run["tool"]["driver"]["rules"][0]["id"]);
        assert_eq!(result["partialFingerprints"]["apiKey/v1"].as_str().unwrap().len(), 32);
    }
    assert!(!log.to_string().contains(&key));
    let mut command = desk.command(PROGRAM);
    assert_eq!(finish(command.args(["scan", "--json", "--format", "sarif"]), "").code, 2);
}

#[test]
fn it_is_valid_by_the_schema_of_oasis() {
    if !wanted() {
        return;
    }
    let schema = packages::installed("jest-sarif.npm")
        .join("node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json");
    let checker = packages::installed("check-jsonschema.pip").join("bin/check-jsonschema");
    let (desk, _) = desk();
    let good = log(&desk);
    desk.write("good.sarif", good.to_string());
    let mut bad = good;
    bad["runs"][0]["results"][0]["level"] = "fatal".into();
    desk.write("bad.sarif", bad.to_string());
    let check = |file: &str| {
        // One of the schema's own expressions is none where Unicode is on.
        let mut command = Command::new(&checker);
        command.args(["--regex-variant", "nonunicode", "--schemafile"]).arg(&schema).arg(desk.path(file));
        command.output().expect("the checker starts")
    };
    let output = check("good.sarif");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(!check("bad.sarif").status.success(), "the checker checks");
}
