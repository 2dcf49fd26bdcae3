//! SARIF as others read it. Runs when `TEST_SERVICES` is 1, and then needs Node with npm, Python 3 with venv, and both
//! package registries.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

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
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sarif");
    std::fs::create_dir_all(&folder).unwrap();
    let run = |program: &Path, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).current_dir(&folder).status().expect("the program starts");
        assert!(status.success(), "{} {arguments:?}", program.display());
    };
    run(
        Path::new("npm"),
        &["install", "--no-audit", "--no-fund", "--ignore-scripts", "@microsoft/jest-sarif@1.0.0-beta.0"],
    );
    if !folder.join("venv/bin/check-jsonschema").exists() {
        run(Path::new("python3"), &["-m", "venv", "venv"]);
        run(&folder.join("venv/bin/pip"), &["install", "--quiet", "check-jsonschema==0.39.0"]);
    }
    let (desk, _) = desk();
    let good = log(&desk);
    std::fs::write(folder.join("good.sarif"), good.to_string()).unwrap();
    let mut bad = good;
    bad["runs"][0]["results"][0]["level"] = "fatal".into();
    std::fs::write(folder.join("bad.sarif"), bad.to_string()).unwrap();
    let schema = "node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json";
    let checker = folder.join("venv/bin/check-jsonschema");
    // One of the schema's own expressions is none where Unicode is on.
    let check = ["--regex-variant", "nonunicode", "--schemafile", schema];
    run(&checker, &[&check[..], &["good.sarif"]].concat());
    let refused = Command::new(&checker).args(check).arg("bad.sarif").current_dir(&folder).output();
    assert!(!refused.unwrap().status.success(), "the checker checks");
}
