//! Keys in the history of repositories.

use serde_json::Value;

use crate::support::{Desk, made_up};

/// Commit, path and line of each finding in an object.
fn objects(report: &Value) -> Vec<(Option<String>, Option<String>, u64)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let findings = report["findings"].as_array().unwrap().iter();
    let objects = findings.filter(|found| found["object"].is_string());
    objects.map(|found| (text(&found["commit"]), text(&found["path"]), found["line"].as_u64().unwrap())).collect()
}

fn commit(desk: &Desk, message: &str) -> String {
    desk.git(&["add", "--all"]);
    desk.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    desk.git(&["rev-parse", "HEAD"]).trim().to_owned()
}

#[test]
fn a_deleted_key_is_found_once_with_its_first_commit_and_path() {
    let desk = Desk::bare();
    desk.git(&["init", "--quiet", "--initial-branch", "main"]);
    commit(&desk, "begin");
    let key = made_up();
    desk.write("config/the key.env", format!("A=1\nKEY={key}\n"));
    let first = commit(&desk, "add a key");
    desk.write("copy.env", format!("A=1\nKEY={key}\n"));
    commit(&desk, "copy it");
    desk.git(&["mv", "copy.env", "moved.env"]);
    commit(&desk, "move it");
    desk.git(&["rm", "-r", "--quiet", "config", "moved.env"]);
    commit(&desk, "delete it");

    assert_eq!(desk.run(["scan"]).code, 0, "no file has it any more");
    let said = desk.run(["scan", "--history", "--json"]);
    assert_eq!(said.code, 1);
    let report = said.json();
    assert_eq!(objects(&report), [(Some(first.clone()), Some("config/the key.env".to_owned()), 2)]);
    assert!(report["objects"].as_u64().unwrap() >= 6);
    let plain = desk.run(["scan", "--history"]).out;
    assert!(plain.starts_with(&format!("{}:config/the key.env:2:5: ak_live_", &first[..12])), "{plain}");
    assert!(!plain.contains(&key));
}

#[test]
fn branches_merges_tags_stashes_messages_and_what_is_unreachable_are_looked_at() {
    let desk = Desk::bare();
    desk.git(&["init", "--quiet", "--initial-branch", "main"]);
    desk.write("shared", "one");
    commit(&desk, "begin");
    let keys: Vec<_> = (0..6).map(|_| made_up()).collect();

    desk.git(&["checkout", "--quiet", "-b", "side"]);
    desk.write("on a side", &keys[0]);
    commit(&desk, "side");
    desk.git(&["checkout", "--quiet", "main"]);
    commit(&desk, &format!("words with {}", keys[1]));
    desk.git(&["tag", "--annotate", "v1", "--message", &keys[2]]);
    desk.git(&["merge", "--quiet", "--no-commit", "--no-ff", "side"]);
    desk.write("only in the merge", &keys[3]);
    commit(&desk, "merge");
    desk.write("shared", &keys[4]);
    desk.git(&["stash"]);
    desk.write("staged", &keys[5]);
    desk.git(&["add", "staged"]);
    desk.git(&["reset", "--quiet", "--hard"]);

    let report = desk.run(["scan", "--history", "--json"]).json();
    let found = objects(&report);
    let mut paths: Vec<_> = found.iter().map(|(_, path, _)| path.as_deref().unwrap_or("-")).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["-", "-", "-", "on a side", "only in the merge", "shared"], "{report}");
    for key in &keys {
        let (start, end) = (&key[..12], &key[44..]);
        let masked = format!("{start}…{end}");
        assert!(report["findings"].as_array().unwrap().iter().any(|found| found["masked"] == *masked), "{masked}");
    }
}

#[test]
fn a_large_object_and_a_packed_one_are_looked_at_from_any_folder() {
    let desk = Desk::bare();
    desk.git(&["init", "--quiet"]);
    let key = made_up();
    let mut large = "x".repeat(3_000_000);
    large.push_str(&key);
    desk.write("deep/large", &large);
    for number in 0..50 {
        desk.write(&format!("small/{number}"), format!("{number}\n"));
    }
    commit(&desk, "add");
    desk.git(&["gc", "--quiet"]);
    desk.git(&["rm", "--quiet", "deep/large"]);
    commit(&desk, "delete");
    for path in [vec![], vec!["small"], vec!["small/1"], vec![".", "small"]] {
        let report = desk.run(["scan", "--history", "--json"].iter().chain(&path)).json();
        let found = objects(&report);
        assert_eq!(found.len(), 1, "{path:?}");
        assert_eq!(found[0].1.as_deref(), Some("deep/large"));
        assert_eq!(report["findings"][0]["byteOffset"], 3_000_000);
    }
    let mut command = desk.command("git");
    let bare = crate::support::finish(command.args(["clone", "--quiet", "--bare", ".", "bare.git"]), "");
    assert_eq!(bare.code, 0, "{bare:?}");
    desk.write("outside/nothing", "");
    let report = desk.run(["scan", "--history", "--json", "bare.git"]).json();
    assert_eq!(objects(&report).len(), 1, "{report}");
}

#[test]
fn the_repository_of_a_hook_does_not_stand_in_for_the_one_that_is_named() {
    let desk = Desk::bare();
    std::fs::create_dir(desk.path("one")).unwrap();
    std::fs::create_dir(desk.path("two")).unwrap();
    for name in ["one", "two"] {
        desk.git(&["-C", name, "init", "--quiet"]);
    }
    desk.write("two/key", made_up());
    desk.git(&["-C", "two", "add", "key"]);
    desk.git(&["-C", "two", "commit", "--quiet", "--message", "add"]);
    let mut command = desk.command(crate::support::PROGRAM);
    command.env("GIT_DIR", desk.path("two/.git")).args(["scan", "--history", "one"]);
    assert_eq!(crate::support::finish(&mut command, "").code, 0);
}
