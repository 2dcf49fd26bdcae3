//! Stores, prefixes and peppers, and what is said of wrong ones.

use crate::support::Desk;

const PEPPER_1: &str = "1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const PEPPER_2: &str = "2:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

#[test]
fn a_wrong_setting_is_named_on_one_line_without_its_value() {
    let desk = Desk::bare();
    for (arguments, code, part) in [
        (vec!["list"], 2, "API_KEYS_STORE"),
        (vec!["--store", "mysql://user:hunter2@host/db", "list"], 2, "--store"),
        (vec!["--store", "hunter2", "list"], 2, "--store"),
        (vec!["--store", "file:", "list"], 2, "--store"),
        (vec!["--store", "file://host/hunter2", "list"], 2, "--store"),
        (vec!["--store", "file:missing.json", "list"], 3, "missing.json"),
        (vec!["--store", "sqlite://missing.db", "list"], 3, "missing.db"),
        (vec!["--store", "postgres://user:hunter2@127.0.0.1:1/db", "list"], 3, "store"),
        (vec!["--store", "postgres://user:hunter2@[", "list"], 2, "--store"),
        (vec!["--store", "file:no/such/folder.json", "new", "ci"], 3, "folder"),
        (vec!["--store", "file:keys.json", "--prefix", "AK", "list"], 2, "--prefix"),
        (vec!["--store", "file:keys.json", "--random-characters", "5", "list"], 2, "--random-characters"),
        (vec!["--store", "file:keys.json", "--pepper-file", "missing", "list"], 3, "--pepper-file"),
        (vec!["--store", "file:broken.json", "list"], 3, "broken.json"),
        (vec!["--store", "file:keys.json", "new", "ci", "--expires", "2001-01-01"], 2, "--expires"),
    ] {
        desk.write("broken.json", r#"{"version": 1, "keys": [{"hunter2": 1}]}"#);
        let said = desk.run(&arguments);
        assert_eq!(said.code, code, "{arguments:?}: {said:?}");
        assert!(said.err.starts_with("error: ") && said.err.contains(part), "{arguments:?}: {said:?}");
        assert_eq!(said.err.lines().count(), 1, "{said:?}");
        assert!(!said.err.contains("hunter2") && said.out.is_empty(), "{said:?}");
    }
    for arguments in [
        vec!["new"],
        vec!["new", ""],
        vec!["new", "a\nb"],
        vec!["new", "ci", "--allow-ip", "example.com"],
        vec!["new", "ci", "--allow-origin", "https://app.example.com/"],
        vec!["new", "ci", "--rate-limit", "0/hour"],
        vec!["new", "ci", "--scope", "a b"],
        vec!["list", "--state", "odd"],
        vec!["list", "--limit", "0"],
        vec!["rotate", "key", "--overlap=-1d"],
        vec!["--accept", "nonsense", "list"],
        vec!["frobnicate"],
    ] {
        let said = desk.run(["--store", "file:keys.json"].iter().chain(&arguments));
        assert_eq!(said.code, 2, "{arguments:?}: {said:?}");
    }
    assert!(!desk.path("keys.json").exists(), "nothing was made");
}

#[test]
fn a_file_is_named_by_a_path_or_by_a_url() {
    let desk = Desk::bare();
    let whole = format!("file://{}", desk.path("a%20b.json").display());
    for (store, file) in [("file:plain.json", "plain.json"), ("file:./dot.json", "dot.json"), (&whole, "a b.json")] {
        desk.run(["--store", store, "new", "ci"]).ok();
        assert!(desk.path(file).exists(), "{store}");
    }
}

#[test]
fn keys_are_digested_under_the_pepper_and_older_ones_are_accepted() {
    for desk in Desk::each() {
        let with = |pepper: &str, input: &str, arguments: &[&str]| {
            let mut command = desk.command(crate::support::PROGRAM);
            crate::support::finish(command.env("API_KEYS_PEPPER", pepper).args(arguments), input)
        };
        let plain = desk.key("plain").1;
        let first = with(PEPPER_1, "", &["new", "first"]).ok();
        assert_eq!(with(PEPPER_1, &first, &["verify"]).code, 0);
        assert_eq!(with(PEPPER_2, &first, &["verify"]).code, 1, "another pepper");
        assert_eq!(desk.feed(&first, ["verify"]).code, 1, "no pepper");
        assert_eq!(with(PEPPER_1, &plain, &["verify"]).code, 1, "with a pepper, digests without one open nothing");
        let both = format!("{PEPPER_2},{PEPPER_1},none");
        let second = with(&both, "", &["new", "second"]).ok();
        for key in [&plain, &first, &second] {
            assert_eq!(with(&both, key, &["verify"]).code, 0);
        }
        assert_eq!(with(PEPPER_2, &second, &["verify"]).code, 0, "new keys have the first");
        desk.write("peppers", format!("{PEPPER_2}\n{PEPPER_1}\n"));
        assert_eq!(desk.feed(&first, ["verify", "--pepper-file", "peppers"]).code, 0);
        let both = with(PEPPER_1, "", &["list", "--pepper-file", "peppers"]);
        assert_eq!(both.code, 2);
        for wrong in ["", "AQEB", "x:AQEB", "1:hunter2", "1:AQEB", "1:"] {
            let said = with(wrong, "", &["list"]);
            assert_eq!(said.code, 2, "{said:?}");
            assert!(said.err.contains("API_KEYS_PEPPER") && !said.err.contains("hunter2"), "{said:?}");
        }
    }
}

#[test]
fn keys_have_the_prefix_that_is_set() {
    let desk = Desk::at("file:keys.json");
    let key = desk.run(["--prefix", "acme_sk,ak", "--random-characters", "22", "new", "ci"]).ok();
    assert!(key.starts_with("acme_sk_live_") && key.trim().len() == "acme_sk_live_".len() + 28, "{key}");
    assert_eq!(desk.feed(&key, ["verify", "--prefix", "ak,acme_sk", "--random-characters", "22"]).code, 0);
    assert_eq!(desk.feed(&key, ["verify"]).code, 1);
    assert_eq!(desk.feed(&key, ["verify", "--accept", "text"]).code, 0);
}
