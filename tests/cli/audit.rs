//! The audit trail.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Desk, PROGRAM};

fn actions(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|event| event["action"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_done_here_is_told_with_what_has_changed() {
    for desk in Desk::each() {
        let trail: &[&str] = match desk.store.as_deref() {
            Some(store) if store.starts_with("file:") => &["--trail", "audit.jsonl"],
            _ => &[],
        };
        let run = |arguments: &[&str]| {
            let said = desk.run(trail.iter().chain(arguments));
            assert_eq!(said.code, 0, "{said:?}");
            said
        };
        let made = run(&["new", "ci", "--user", "u_1", "--json"]).json();
        let (id, secret) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
        run(&["rename", id, "deploy"]);
        run(&["disable", id]);
        run(&["enable", id]);
        run(&["rotate", id, "--overlap", "1h"]);
        run(&["revoke", id, "--reason", "leaked", "--yes"]);
        run(&["revoke", id, "--yes"]);

        let all = run(&["audit", "--json"]);
        let page = all.json();
        let order = ["key.revoke", "key.rotate", "key.enable", "key.disable", "key.update", "key.create"];
        assert_eq!(actions(&page), order, "{page}");
        assert!(!all.out.contains(secret) && !all.out.contains("digest"), "{page}");
        let event = &page["items"][4];
        assert_eq!(event["changes"], json!({"name": {"before": "ci", "after": "deploy"}}));
        assert_eq!((event["keyId"].as_str(), event["reason"].as_str()), (Some(id), Some("command_line")));
        assert_eq!(event["owner"]["user"], "u_1");
        assert_eq!(page["items"][0]["changes"]["revokedReason"]["after"], "leaked");

        for (filter, count) in [
            (["--action", "key.update"], 1),
            (["--key", id], 6),
            (["--key", "key_other"], 0),
            (["--user", "u_1"], 6),
            (["--outcome", "refused"], 0),
            (["--search", "command"], 6),
            (["--limit", "4"], 4),
        ] {
            assert_eq!(run(&[&["audit"][..], &filter].concat()).out.lines().count(), count, "{filter:?}");
        }
        let first = run(&["audit", "--limit", "4", "--json"]).json();
        let rest = run(&["audit", "--json", "--cursor", first["nextCursor"].as_str().unwrap()]).json();
        assert_eq!([actions(&first), actions(&rest)].concat(), order);
        assert_eq!(desk.run(["audit", "--action", "key.borrow"]).code, 2);
    }
}

#[test]
fn a_store_in_a_file_has_a_trail_if_it_is_named() {
    let desk = Desk::at("file:keys.json");
    desk.key("untold");
    let said = desk.run(["audit"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("--trail"), "{said:?}");
    assert_eq!(desk.run(["--trail", "no/such/folder.jsonl", "audit"]).code, 3);
    let made = desk.run(["--trail", "no/such/folder.jsonl", "new", "ci"]);
    assert_eq!((made.code, made.out.len()), (3, 49), "the key is printed all the same: {made:?}");
    assert!(made.err.contains("--trail"), "{made:?}");
}

#[test]
fn a_trail_is_followed_as_it_grows() {
    for desk in Desk::each() {
        let trail = match desk.store.as_deref() {
            Some(store) if store.starts_with("file:") => vec!["--trail", "audit.jsonl"],
            _ => vec![],
        };
        let make = |name: &str| desk.run(trail.iter().chain(&["new", name])).ok();
        make("one");
        make("two");
        let mut command = desk.command(PROGRAM);
        command.args(&trail).args(["audit", "--follow", "--json"]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = || {
            let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            event["changes"]["name"]["after"].as_str().unwrap().to_owned()
        };
        assert_eq!([next(), next()], ["one", "two"]);
        make("three");
        make("four");
        assert_eq!([next(), next()], ["three", "four"]);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
