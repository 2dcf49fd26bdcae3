//! Keys in files.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use serde_json::Value;
use tower_api_key::key::{Environment, KeyFormat};

use crate::support::{Desk, Said, made_up};

/// Path, line and column of each finding.
fn places(said: &Said) -> BTreeSet<(String, u64, u64)> {
    let report = said.json();
    let place = |found: &Value| {
        let number = |field: &str| found[field].as_u64().unwrap();
        (found["path"].as_str().unwrap().to_owned(), number("line"), number("column"))
    };
    let findings = report["findings"].as_array().unwrap();
    let places: BTreeSet<_> = findings.iter().map(place).collect();
    assert_eq!(places.len(), findings.len(), "each finding is told once");
    places
}

fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(order).collect()
}

/// A text that looks like a key and is none: of each kind in turn.
fn near_miss(number: usize) -> String {
    let key = made_up();
    match number % 7 {
        0 => key[..47].to_owned(),
        1 => format!("ak_live_{}", "0123456789abcdefghijABCDEFGHIJ0123456789"),
        2 => KeyFormat::prefixed("sk").unwrap().generate(&Environment::LIVE).unwrap().expose_secret().to_owned(),
        3 => format!("{}\n{}", &key[..20], &key[20..]),
        4 => key.replacen("live", "LIVE", 1),
        5 => {
            let other = if key.ends_with('0') { "1" } else { "0" };
            format!("{}{other}", &key[..47])
        }
        _ => key.replacen('_', "-", 1),
    }
}

#[test]
fn every_planted_key_and_nothing_else_is_found_in_a_large_tree() {
    const FILES: usize = 50_000;
    let desk = Desk::bare();
    let mut planted = BTreeSet::new();
    for folder in 0..FILES / 100 {
        let name = format!("tree/{:02}/{folder:03}", folder % 40);
        fs::create_dir_all(desk.path(&name)).unwrap();
        for number in 0..100 {
            let mut text = format!("# file {number}\nkey = ");
            if (folder + number) % 3 == 0 {
                writeln!(text, "\"{}\"", near_miss(folder + number)).unwrap();
            }
            let path = format!("{name}/{number:02}.txt");
            if (folder * 100 + number) % 997 == 0 {
                writeln!(text, "\r\ntoken: {}\r", made_up()).unwrap();
                let line = text.lines().count() as u64;
                planted.insert((path.clone(), line, 8));
            }
            fs::write(desk.path(&path), text).unwrap();
        }
    }
    let mut plant = |path: &str, content: &[u8], line: u64, column: u64| {
        desk.write(path, content);
        planted.insert((path.to_owned(), line, column));
    };
    let key = made_up();
    plant("tree/only", key.as_bytes(), 1, 1);
    plant("tree/last line", format!("one\ntwo {key}").as_bytes(), 2, 5);
    plant("tree/glued", format!("xx{key}yy").as_bytes(), 1, 3);
    plant("tree/ümläut é.txt", format!("ä{key}").as_bytes(), 1, 2);
    plant("tree/binary", &[&[0, 159, 146, 150, 0, b'\n'], key.as_bytes(), &[0, 255]].concat(), 2, 1);
    plant("tree/utf16le", &utf16(&format!("\u{feff}a\nb {key}\n"), u16::to_le_bytes), 2, 3);
    plant("tree/utf16be", &utf16(&format!("\u{feff}a\nb {key}\n"), u16::to_be_bytes), 2, 3);
    // Around what is held in memory at once, at every place a border can cut a key.
    for cut in 0..=key.len() {
        let mut text = "-\n".repeat(128 * 1024).into_bytes();
        text.truncate(256 * 1024 - cut);
        let line = text.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        let column = if text.ends_with(b"\n") { 1 } else { 2 };
        text.extend(key.as_bytes());
        text.extend(b"\n-".repeat(1_000));
        plant(&format!("tree/border {cut}"), &text, line, column);
    }
    let said = desk.run(["scan", "tree", "--json"]);
    assert_eq!(said.code, 1);
    let found = places(&said);
    let missed: Vec<_> = planted.difference(&found).collect();
    let wrong: Vec<_> = found.difference(&planted).collect();
    assert!(missed.is_empty() && wrong.is_empty(), "missed {missed:?}, wrong {wrong:?}");
    let report = said.json();
    assert!(report["files"].as_u64().unwrap() >= 50_000, "{}", report["files"]);
    assert!(said.err.contains("files, ") && said.err.contains("MB/s"), "{}", said.err);
    assert!(!said.out.contains(&key), "a key is shown masked");
    println!("{}", said.err.trim());
    let one = desk.run(["scan", "tree", "--json", "--threads", "1"]);
    assert_eq!(places(&one), found);
}

#[test]
fn a_tree_without_a_key_is_a_yes() {
    let desk = Desk::bare();
    for number in 0..100 {
        desk.write(&format!("{number}"), near_miss(number));
    }
    let said = desk.run(["scan"]);
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{said:?}");
    assert!(said.err.contains("Scanned 100 files") && said.err.contains("0 keys"), "{said:?}");
}

#[test]
fn findings_are_told_as_places_with_the_key_masked() {
    let desk = Desk::bare();
    let key = made_up();
    desk.write("src/settings.py", format!("\nKEY = '{key}'\n"));
    let masked = format!("{}…{}", &key[..12], &key[44..]);
    for path in [vec![], vec!["."], vec!["src"], vec!["src/settings.py"]] {
        let said = desk.run(["scan"].iter().chain(&path));
        assert_eq!(said.code, 1);
        assert_eq!(said.out, format!("src/settings.py:2:8: {masked}\n"), "{path:?}");
    }
    let input = desk.feed(&format!("+key: {key}"), ["scan", "-"]);
    assert_eq!((input.code, input.out), (1, format!("-:1:7: {masked}\n")));
    assert_eq!(desk.feed("nothing", ["scan", "-"]).code, 0);
}

#[test]
fn ignore_files_and_hidden_files_are_honoured_unless_asked_for() {
    let desk = Desk::bare();
    let key = made_up();
    desk.write(".gitignore", "ignored\n");
    desk.write("ignored/a", &key);
    desk.write(".hidden/b", &key);
    desk.write("plain", &key);
    for (options, count) in
        [(vec![], 1), (vec!["--hidden"], 2), (vec!["--no-ignore"], 2), (vec!["--hidden", "--no-ignore"], 3)]
    {
        let said = desk.run(["scan", "--json"].iter().chain(&options));
        assert_eq!(places(&said).len(), count, "{options:?}");
    }
    assert_eq!(places(&desk.run(["scan", "--json", "ignored/a", ".hidden"])).len(), 2, "what is named is looked at");
}

#[test]
fn what_could_not_be_read_is_never_taken_for_clean() {
    let desk = Desk::bare();
    desk.write("plain", "nothing");
    let said = desk.run(["scan", "plain", "missing"]);
    assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
    assert!(said.err.contains("missing"), "{said:?}");
    assert_eq!(desk.run(["scan", "--history"]).code, 3, "no repository");
    assert_eq!(desk.run(["scan", "--allow", "missing"]).code, 3);
    desk.write("plain", made_up());
    let said = desk.run(["scan", "plain", "missing", "--json"]);
    assert_eq!((said.code, said.json()["errors"].as_array().unwrap().len()), (1, 1), "{said:?}");
}

#[cfg(unix)]
#[test]
fn links_and_pipes_are_not_followed() {
    let desk = Desk::bare();
    desk.write("out/key", made_up());
    fs::create_dir(desk.path("tree")).unwrap();
    std::os::unix::fs::symlink(desk.path("out/key"), desk.path("tree/link")).unwrap();
    std::os::unix::fs::symlink(desk.path("out"), desk.path("tree/folder")).unwrap();
    std::os::unix::fs::symlink(desk.path("tree"), desk.path("tree/circle")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(desk.path("tree/pipe")).status();
    assert!(made.is_ok_and(|status| status.success()));
    assert_eq!(desk.run(["scan", "tree"]).code, 0);
}

#[test]
fn a_store_tells_whether_what_was_found_is_live() {
    for desk in Desk::each() {
        let (live, live_key) = desk.key("live one");
        let (revoked, revoked_key) = desk.key("revoked one");
        desk.run(["revoke", &revoked, "--yes"]).ok();
        desk.write("tree/keys", format!("{live_key}\n{revoked_key}\n{}\n", made_up()));
        let said = desk.run(["scan", "tree", "--json"]);
        let told: Vec<_> = said.json()["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|found| (found["live"].clone(), found["keyId"].clone(), found["state"].clone()))
            .collect();
        let state = |live: bool, id: Option<&str>, state: Option<&str>| (live.into(), id.into(), state.into());
        let expected = [
            state(true, Some(&live), Some("active")),
            state(false, Some(&revoked), Some("revoked")),
            state(false, None, None),
        ];
        assert_eq!(told, expected);
        let plain = desk.run(["scan", "tree"]);
        assert!(plain.out.contains(&format!("active {live} (live one)")), "{plain:?}");
        assert!(plain.out.contains("unknown to the store"), "{plain:?}");
        let levels = desk.run(["scan", "tree", "--format", "sarif"]).json();
        let results = levels["runs"][0]["results"].as_array().unwrap();
        let levels: Vec<_> = results.iter().map(|result| result["level"].as_str().unwrap()).collect();
        assert_eq!(levels, ["error", "note", "warning"]);
    }
}

#[test]
fn fingerprints_that_are_allowed_are_not_reported() {
    let desk = Desk::bare();
    let (known, fresh) = (made_up(), made_up());
    desk.write("tree/a", format!("{known} {fresh} {known}"));
    let report = desk.run(["scan", "tree", "--json"]).json();
    let fingerprint = |index: usize| report["findings"][index]["fingerprint"].as_str().unwrap().to_owned();
    assert_eq!(fingerprint(0), fingerprint(2));
    assert_ne!(fingerprint(0), fingerprint(1));
    desk.write("allowed", format!("# old ones\n{} # of the tests\n", fingerprint(0)));
    let said = desk.run(["scan", "tree", "--allow", "allowed"]);
    assert_eq!((said.code, said.out.lines().count()), (1, 1), "{said:?}");
    desk.write("allowed", format!("{}\n{}\n", fingerprint(0), fingerprint(1)));
    assert_eq!(desk.run(["scan", "tree", "--allow", "allowed"]).code, 0);
    desk.write("allowed", "not a fingerprint\n");
    assert_eq!(desk.run(["scan", "tree", "--allow", "allowed"]).code, 2);
}

#[test]
fn keys_of_each_prefix_that_is_named_are_found() {
    let desk = Desk::bare();
    let other = KeyFormat::prefixed("acme_sk").unwrap().generate(&Environment::TEST).unwrap();
    desk.write("tree/a", format!("{}\n{}", made_up(), other.expose_secret()));
    for (prefix, count) in [("ak", 1), ("acme_sk", 1), ("ak,acme_sk", 2), ("sk", 0)] {
        assert_eq!(desk.run(["scan", "tree", "--prefix", prefix]).out.lines().count(), count, "{prefix}");
    }
}
