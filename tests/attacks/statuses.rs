//! What is told to somebody who has no secret.

use std::collections::BTreeSet;

use crate::table::{Case, Findings, INVALID, cases};
use crate::wire::{self, Answer, Ask};
use crate::world::{CHAT, FILED, World, bearer};

pub(crate) const CASES: &[Case] = cases![
    no_status_is_told_without_the_secret,
    no_bad_key_can_be_told_from_another,
    no_refusal_tells_what_is_behind_it,
];

fn no_status_is_told_without_the_secret(world: &World, findings: &mut Findings) {
    for (held, code) in [(&world.revoked, "REVOKED_API_KEY"), (&world.disabled, "DISABLED_API_KEY")] {
        let answer = findings.row(
            "whoever has it is told",
            &world.generate,
            &bearer(Ask::get("/api/whoami"), &held.key),
            &[(401, code)],
        );
        findings.holds("with its id", answer.body.contains(&held.id), || answer.body.clone());
        let mut nearly: Vec<String> =
            vec![held.id.clone(), held.key[..12].to_owned(), format!("{}x", held.key), held.key[1..].to_owned()];
        for index in 8..held.key.len() {
            let mut changed = held.key.clone().into_bytes();
            changed[index] = if changed[index] == b'0' { b'1' } else { b'0' };
            nearly.push(String::from_utf8(changed).expect("it is ASCII"));
        }
        for key in nearly {
            let answer = findings.row(
                "status before secret",
                &world.generate,
                &bearer(Ask::get("/api/whoami"), &key),
                &[INVALID],
            );
            findings.holds("status before secret", !answer.body.contains(&held.id), || answer.body.clone());
        }
    }
}

/// Everything of an answer that does not change from one request to the next.
fn shape(answer: &Answer) -> (u16, BTreeSet<(String, String)>, String) {
    let id = answer.header("x-request-id").to_owned();
    let changes = ["date", "x-request-id", "x-ratelimit-remaining", "x-ratelimit-reset"];
    let fields = answer.headers.iter().filter(|(name, _)| !changes.contains(&name.as_str())).cloned();
    (answer.status, fields.collect(), answer.body.replace(&id, "ID"))
}

fn no_bad_key_can_be_told_from_another(world: &World, findings: &mut Findings) {
    let unknown = World::unknown_key();
    let mut checksum = unknown.clone();
    checksum.replace_range(47.., if unknown.ends_with('0') { "1" } else { "0" });
    let mut wrong = world.reader.key.clone();
    wrong.replace_range(8..9, if wrong[8..].starts_with('0') { "1" } else { "0" });
    let bad = [
        ("malformed", "x".to_owned()),
        ("malformed, and long", "y".repeat(48)),
        ("a bad checksum", checksum),
        ("unknown", unknown),
        ("a known one with a wrong character", wrong),
        ("of another environment", world.tester.key.clone()),
        ("of another program", CHAT.to_owned()),
        ("no text", "\u{fc}\u{fc}".to_owned()),
        ("of another program's file", FILED.to_owned() + "x"),
    ];
    for (server, place) in [
        (&world.workspace, "x-api-key"),
        (&world.chat, "x-api-key"),
        (&world.platform, "x-api-key"),
        (&world.generate, "authorization"),
    ] {
        for path in ["/api/whoami", "/api/nowhere"] {
            let ask = |key: &str| {
                Ask::get(path)
                    .field(place, if place == "authorization" { format!("Bearer {key}") } else { key.to_owned() })
                    .field("x-request-id", "same")
            };
            let first = wire::exchange(server.address, &ask(&bad[0].1));
            for (because, key) in &bad {
                if server.name == "chat" && key == CHAT {
                    continue;
                }
                let answer = findings.row(because, server, &ask(key), &[INVALID]);
                findings.holds("one answer for all of them", shape(&answer) == shape(&first), || {
                    format!("{because}: {answer:?}\n{first:?}")
                });
            }
        }
    }
}

fn no_refusal_tells_what_is_behind_it(world: &World, findings: &mut Findings) {
    let known = [
        ("/api/whoami", "/api/nowhere"),
        ("/v1/keys", "/v1/nokeys"),
        ("/account/api-keys/key_file", "/account/api-keys/key_none"),
    ];
    for (server, _) in world.guarded() {
        for (there, nowhere) in known {
            for method in ["GET", "POST", "DELETE"] {
                let ask = |path: &str| Ask::new(method, path).field("x-request-id", "same");
                let (one, two) =
                    (wire::exchange(server.address, &ask(there)), wire::exchange(server.address, &ask(nowhere)));
                // Outside of its prefix `chat` has no gate, and routes of `organization` ask for other halves.
                findings.holds("who is not known is not told what there is", shape(&one) == shape(&two), || {
                    format!("{}: {there}\n{one:?}\n{two:?}", server.name)
                });
            }
        }
    }
    for (server, path) in world.guarded() {
        for ask in [
            Ask::get(path),
            Ask::get(path).field("x-api-key", "x"),
            Ask::get(path).field("x-api-key", "x").field("x-api-key", "y"),
        ] {
            let answer = wire::exchange(server.address, &ask);
            for name in ["x-request-id", "www-authenticate"] {
                findings
                    .holds("every refusal has it", !answer.header(name).is_empty(), || format!("{name}: {answer:?}"));
            }
            findings.holds("no cache keeps a refusal", answer.header("cache-control").contains("no-store"), || {
                format!("{answer:?}")
            });
            for word in ["sqlite", "json-file", "panicked", "src/", ".rs", "/tmp", "127.0.0.1"] {
                findings.holds("nothing of the inside is told", !answer.body.contains(word), || answer.body.clone());
            }
        }
    }
}
