//! Keys of other systems.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};

use crate::support::Desk;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const KEY: &str = "awGOhJfO.0123456789abcdefghijABCDEFGHIJ01";
const SANCTUM: &str = "7|0123456789abcdefghijABCDEFGHIJ0123456789";

/// What a row of each system looks like, and the key that it is of.
fn rows() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let sha256 = |text: &str| Sha256::digest(text);
    let token = SANCTUM.split_once('|').unwrap().1;
    vec![
        ("unkey", json!({"id": "key_1", "hash": BASE64_STANDARD.encode(sha256(KEY)), "name": "ci"}), KEY, "text"),
        ("sanctum", json!({"id": 7, "token": hex(&sha256(token)), "name": "ci"}), SANCTUM, "sanctum"),
        (
            "drf",
            json!({"prefix": "awGOhJfO", "hashed_key": format!("sha512$${}", hex(&Sha512::digest(KEY))), "name": "ci"}),
            KEY,
            "drf",
        ),
        (
            "better-auth",
            json!({"id": "k1", "key": BASE64_URL_SAFE_NO_PAD.encode(sha256(KEY)), "userId": "u_1", "name": "ci"}),
            KEY,
            "text",
        ),
        ("sha256", json!({"id": "k1", "digest": hex(&sha256(KEY)), "name": "ci"}), KEY, "text"),
    ]
}

#[test]
fn keys_of_other_systems_go_on_working() {
    for desk in Desk::each() {
        for (system, row, key, shape) in rows() {
            // Each system has ids of its own kind; those of two may meet.
            let mut row = row;
            if row.get("id").is_some_and(Value::is_string) {
                row["id"] = json!(format!("{system}_1"));
            }
            desk.write("rows.json", json!([row]).to_string());
            let said = desk.run(["import", "--from", system, "rows.json"]);
            let taken = said.err.contains("already");
            assert!(said.code == 0 || taken, "{system}: {said:?}");
            assert_eq!(desk.feed(key, ["verify", "--accept", shape]).code, 0, "{system}");
            let again = desk.run(["import", "--from", system, "rows.json", "--json"]);
            assert_eq!(again.code, 1);
            assert_eq!(again.json()["refused"][0]["field"], "id", "{again:?}");
        }
        assert_eq!(
            desk.feed(&SANCTUM.replacen('7', "8", 1), ["verify", "--accept", "sanctum"]).code,
            1,
            "another row's"
        );
    }
}

#[test]
fn each_refused_row_is_named_and_the_others_are_imported() {
    for desk in Desk::each() {
        let rows: Vec<_> =
            rows().into_iter().filter(|(system, ..)| *system == "unkey").map(|(_, row, ..)| row).collect();
        let wrong = json!({"id": "key_2", "hash": "$2b$10$abcdefghijklmnopqrstuv", "name": "salted"});
        let lines = format!("{}\n{wrong}\n[1]\n", rows[0]);
        let said = desk.feed(&lines, ["import", "--from", "unkey", "-"]);
        assert_eq!(said.code, 1);
        for part in ["row 1 (key_2), hash: ", "bcrypt", "row 2, row: ", "Imported 1 key, refused 2 keys"] {
            assert!(said.err.contains(part), "{part}: {said:?}");
        }
        assert!(!said.err.contains("$2b$10$"), "{said:?}");
        assert_eq!(desk.run(["list"]).ok().lines().count(), 1);
        desk.write("broken.json", "[{\"id\": \"hunter2\"");
        let broken = desk.run(["import", "--from", "unkey", "broken.json"]);
        assert_eq!(broken.code, 3);
        assert!(broken.err.contains("broken.json") && !broken.err.contains("hunter2"), "{broken:?}");
    }
}
