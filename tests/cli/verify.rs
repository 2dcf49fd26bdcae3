//! What is told of a key.

use serde_json::json;

use crate::support::{Desk, made_up};

#[test]
fn a_key_is_good_or_it_is_said_why_not() {
    for desk in Desk::each() {
        let (id, secret) = desk.key("ci");
        let mut mistyped = secret.clone();
        let last = if mistyped.pop() == Some('0') { '1' } else { '0' };
        mistyped.push(last);
        let expired = desk.run(["new", "old", "--expires", "1s", "--json"]).json();
        let unknown = made_up();
        for (key, valid, well_formed, checksum, known) in [
            (secret.as_str(), true, true, json!(true), true),
            (&mistyped, false, false, json!(false), false),
            (&unknown, false, true, json!(true), false),
            (&secret[..40], false, false, json!(null), false),
            ("password", false, false, json!(null), false),
        ] {
            let said = desk.feed(&format!("{key}\n"), ["verify", "--json"]);
            let report = said.json();
            assert_eq!(said.code, i32::from(!valid), "{said:?}");
            assert_eq!(report["valid"], valid, "{report}");
            assert_eq!(report["wellFormed"], well_formed, "{report}");
            assert_eq!(report["checksum"], checksum, "{report}");
            assert_eq!(report["known"], known, "{report}");
            assert_eq!(report["key"]["id"].as_str(), known.then_some(id.as_str()), "{report}");
            let plain = desk.feed(key, ["verify"]);
            assert_eq!(plain.code, said.code);
            for shown in [said.out, said.err, plain.out, plain.err] {
                assert!(!shown.contains(key), "the key is not repeated: {shown}");
            }
        }
        let ended = |report: &serde_json::Value| report["key"]["state"] == "expired";
        let key = expired["key"].as_str().unwrap();
        let start = std::time::Instant::now();
        // The program reads the clock of the system.
        while !ended(&desk.feed(key, ["verify", "--json"]).json()) {
            assert!(start.elapsed().as_secs() < 20, "it never ended");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(desk.feed(key, ["verify"]).code, 1);
    }
}

#[test]
fn without_a_store_format_and_checksum_are_judged() {
    let desk = Desk::bare();
    let key = made_up();
    let said = desk.feed(&key, ["verify", "--offline", "--json"]);
    assert_eq!((said.code, said.json()["known"].is_null()), (0, true), "{said:?}");
    assert_eq!(desk.feed(&key[..47], ["verify", "--offline"]).code, 1);
    assert_eq!(desk.feed(&key, ["verify"]).code, 2, "a store is asked for");
}

#[test]
fn an_empty_input_is_no_key() {
    let desk = Desk::at("file:keys.json");
    for input in ["", "\n", "  \n"] {
        assert_eq!(desk.feed(input, ["verify"]).code, 2);
    }
    assert_eq!(desk.feed(&"k".repeat(1 << 20), ["verify"]).code, 1);
}
