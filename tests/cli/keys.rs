//! The life of a key, on every store.

use serde_json::{Value, json};

use crate::support::{Database, Desk, digest, made_up};

fn strings<'a>(value: &'a Value, field: &str) -> Vec<&'a str> {
    value["items"].as_array().unwrap().iter().map(|item| item[field].as_str().unwrap()).collect()
}

#[test]
fn a_key_is_made_as_it_was_asked_for_and_is_shown_once() {
    for desk in Desk::each() {
        let said = desk.run([
            "new",
            "  partner  ",
            "--scope",
            "deploy:write,deploy:read",
            "--scope",
            "admin",
            "--environment",
            "test",
            "--user",
            "u_42",
            "--organization",
            "org_1",
            "--expires",
            "2099-01-01",
            "--allow-ip",
            "10.0.0.0/8,::1",
            "--allow-origin",
            "https://app.example.com",
            "--rate-limit",
            "100/hour",
            "--rate-limit",
            "smooth=10/s:gcra:20",
            "--plan",
            "pro",
            "--realm",
            "api",
            "--metadata",
            "team=infra",
            "--metadata-json",
            r#"{"level": 3}"#,
        ]);
        let secret = said.out.trim_end_matches('\n');
        assert!(
            secret.starts_with("ak_test_") && secret.len() == 48,
            "only the key is on the standard output: {said:?}"
        );
        assert!(!said.err.contains(secret) && said.err.contains("partner"), "{said:?}");

        let listed = desk.run(["list", "--json"]).json();
        let key = &listed["items"][0];
        assert_eq!(key["name"], "partner");
        assert_eq!(key["scopes"], json!(["admin", "deploy:read", "deploy:write"]));
        assert_eq!(key["environment"], "test");
        assert_eq!(key["owner"], json!({"user": "u_42", "organization": "org_1"}));
        assert_eq!(key["expiresAt"], "2099-01-01T00:00:00.000Z");
        assert_eq!(key["allowedIps"], json!(["10.0.0.0/8", "::1"]));
        assert_eq!(key["allowedOrigins"], json!(["https://app.example.com"]));
        assert_eq!(key["rateLimits"][0]["windowSeconds"], 3600);
        assert_eq!(
            key["rateLimits"][1],
            json!({"name": "smooth", "limit": 10, "windowSeconds": 1, "burst": 20, "algorithm": "gcra"})
        );
        assert_eq!(key["metadata"], json!({"level": 3, "team": "infra"}));
        assert_eq!(key["state"], "active");

        let shown = desk.run(["show", key["id"].as_str().unwrap()]).ok();
        for part in ["partner", "u_42", "org_1", "pro", "api", &secret[..12], &secret[44..]] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        for said in [shown, listed.to_string(), desk.run(["list"]).ok()] {
            assert!(!said.contains(secret), "a secret is shown once");
        }
    }
}

#[test]
fn a_key_lives_as_the_commands_say() {
    for desk in Desk::each() {
        let (id, secret) = desk.key("ci");
        let start = &secret[..12];
        assert_eq!(desk.run(["rename", start, "deploy", "--json"]).json()["name"], "deploy");
        assert_eq!(desk.run(["disable", &id, "--json"]).json()["state"], "disabled");
        assert_eq!(desk.feed(&secret, ["verify"]).code, 1);
        assert_eq!(desk.run(["rotate", &id]).code, 1, "a disabled key has no successor");
        assert_eq!(desk.run(["enable", &id]).code, 0);
        assert_eq!(desk.feed(&secret, ["verify"]).code, 0);

        let rotated = desk.run(["rotate", &id, "--overlap", "7d", "--json"]).json();
        let (heir, heirs) = (rotated["id"].as_str().unwrap(), rotated["key"].as_str().unwrap());
        assert_eq!((rotated["replaces"].as_str(), rotated["name"].as_str()), (Some(id.as_str()), Some("deploy")));
        let old = desk.run(["show", &id, "--json"]).json();
        assert_eq!((old["state"].as_str(), old["replacedBy"].as_str()), (Some("overlap"), Some(heir)));
        assert_eq!(desk.feed(&secret, ["verify"]).code, 0);
        assert_eq!(desk.feed(heirs, ["verify"]).code, 0);

        let revoked = desk.run(["revoke", heir, "--reason", "leaked", "--yes", "--json"]).json();
        assert_eq!((revoked["state"].as_str(), revoked["revokedReason"].as_str()), (Some("revoked"), Some("leaked")));
        assert_eq!(desk.feed(heirs, ["verify"]).code, 1);
        let refused = desk.run(["enable", heir]);
        assert_eq!(refused.code, 1);
        assert!(refused.err.contains("is revoked"), "{refused:?}");
        assert_eq!(desk.run(["revoke", heir, "--yes"]).code, 0, "to revoke again changes nothing");

        let (other, _) = desk.key("short");
        let plain = desk.run(["rotate", &other, "--overlap", "0s"]);
        assert_eq!(plain.out.trim().len(), 48, "{plain:?}");
        assert_eq!(desk.run(["show", &other, "--json"]).json()["state"], "revoked");
        assert_eq!(desk.run(["purge", "--older-than", "1h", "--yes", "--json"]).json()["purged"], 0);
        assert_eq!(desk.run(["purge", "--older-than", "0s", "--yes", "--json"]).json()["purged"], 2);
        assert_eq!(desk.run(["show", heir]).code, 1);
    }
}

#[test]
fn what_cannot_be_asked_has_to_be_said() {
    for desk in Desk::each() {
        let (id, _) = desk.key("ci");
        for arguments in [vec!["revoke", &id], vec!["purge", "--older-than", "0s"]] {
            let said = desk.run(&arguments);
            assert_eq!(said.code, 2, "{said:?}");
            assert!(said.err.contains("--yes"), "{said:?}");
        }
        assert_eq!(desk.run(["show", &id, "--json"]).json()["state"], "active");
    }
}

#[test]
fn a_list_is_narrowed_and_goes_on_where_it_ended() {
    for desk in Desk::each() {
        for number in 0..7 {
            let scope = if number % 2 == 0 { "even" } else { "odd" };
            desk.run(["new", &format!("key {number}"), "--scope", scope, "--user", &format!("u_{}", number % 3)]).ok();
        }
        let all = desk.run(["list", "--json"]).json();
        assert_eq!((all["items"].as_array().unwrap().len(), &all["nextCursor"]), (7, &Value::Null));
        assert_eq!(desk.run(["list"]).ok().lines().count(), 7);
        for (filter, count) in [
            (["--scope", "even"], 4),
            (["--user", "u_0"], 3),
            (["--search", "KEY 3"], 1),
            (["--state", "active"], 7),
            (["--state", "revoked"], 0),
            (["--organization", "org"], 0),
            (["--limit", "7"], 7),
        ] {
            assert_eq!(desk.run(["list"].iter().chain(&filter)).ok().lines().count(), count, "{filter:?}");
        }
        let (mut ids, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut arguments = vec!["list".to_owned(), "--limit=3".to_owned(), "--json".to_owned()];
            arguments.extend(cursor.map(|cursor| format!("--cursor={cursor}")));
            let page = desk.run(&arguments).json();
            ids.extend(strings(&page, "id").into_iter().map(str::to_owned));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(ids, strings(&all, "id"));
    }
}

#[test]
fn more_keys_than_a_page_has_are_all_listed() {
    let desk = Desk::bare();
    let row = |number: usize| json!({"id": format!("key_{number}"), "digest": digest(number)});
    let keys: Vec<_> = (0..1_234).map(row).collect();
    desk.write("many.json", json!({"version": 1, "keys": keys}).to_string());
    assert_eq!(desk.run(["list", "--store", "file:many.json"]).ok().lines().count(), 1_234);
    assert_eq!(desk.run(["list", "--store", "file:many.json", "--limit", "250"]).ok().lines().count(), 250);
}

#[test]
fn a_key_in_an_argument_is_refused_and_not_repeated() {
    for desk in Desk::each() {
        let (_, secret) = desk.key("ci");
        for command in ["show", "disable", "enable", "revoke", "rotate"] {
            for key in [&secret, &made_up()] {
                let said = desk.run([command, key]);
                assert_eq!(said.code, 2, "{said:?}");
                assert!(!said.err.contains(key) && said.out.is_empty(), "{said:?}");
            }
        }
        assert_eq!(desk.feed(&secret, ["verify"]).code, 0, "nothing was changed");
    }
}

#[test]
fn a_start_that_several_keys_have_names_none() {
    let desk = Desk::bare();
    let row = |number: usize| json!({"id": format!("key_{number}"), "digest": digest(number), "start": "ak_live_same"});
    desk.write("keys.json", json!({"version": 1, "keys": [row(1), row(2)]}).to_string());
    let said = desk.run(["--store", "file:keys.json", "revoke", "ak_live_same", "--yes"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("key_1") && said.err.contains("key_2"), "{said:?}");
    assert_eq!(desk.run(["--store", "file:keys.json", "list", "--state", "revoked"]).ok(), "");
    assert_eq!(desk.run(["--store", "file:keys.json", "show", "ak_live_sam"]).code, 1, "a part of a start names none");
}

#[test]
fn migrate_shows_what_it_would_run_and_then_runs_it() {
    for database in crate::support::wanted().then(crate::support::Database::new).into_iter().map(Some).chain([None]) {
        let mut desk = Desk::bare();
        desk.store = Some(database.as_ref().map_or_else(|| "sqlite://new.db".to_owned(), Database::url));
        assert_eq!(desk.run(["new", "ci"]).code, 3, "no command but this makes tables");
        let dry = desk.run(["migrate", "--dry-run"]).ok();
        assert!(dry.contains("CREATE TABLE api_keys ("), "{dry}");
        assert!(!desk.path("new.db").exists());
        assert_eq!(desk.run(["list"]).code, 3);
        let report = desk.run(["migrate", "--json"]).json();
        assert_eq!((report["found"].as_i64(), report["migrated"].as_bool()), (Some(0), Some(true)));
        assert_eq!(desk.run(["migrate", "--dry-run"]).ok(), "");
        assert_eq!(desk.run(["migrate", "--json"]).json()["migrated"], false);
        assert_eq!(desk.run(["new", "ci"]).code, 0);
        let other = desk.run(["--table", "other", "list"]);
        assert_eq!(other.code, 3);
        assert!(other.err.contains("api-keys migrate"), "{other:?}");
    }
}
