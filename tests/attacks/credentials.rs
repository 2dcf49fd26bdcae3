//! Several credentials at once, bad ones beside good ones, and shapes that are nearly a credential.

use crate::people::ada;
use crate::table::{AMBIGUOUS, BAD_REQUEST, Case, Expected, Findings, INVALID, MISSING, OK, cases};
use crate::wire::{self, Ask};
use crate::world::{ACME, ADMIN, CHAT, CLIENT, FILED, Server, World, bearer, member_of};

pub(crate) const CASES: &[Case] = cases![
    no_value_is_picked_out_of_several,
    no_two_keys_are_sorted_out_by_luck,
    no_bad_key_gives_way_to_a_session,
    no_half_of_two_stands_for_both,
    nothing_that_is_nearly_a_key_is_one,
];

const BECAUSE: &str = "CVE-2026-31838: only the first of several values was checked";

/// A program that takes keys from two places, a good key, and another good one.
fn servers(world: &World) -> [(&Server, &str, String, String); 3] {
    [
        (&world.workspace, "/api/whoami", FILED.to_owned(), CLIENT.to_owned()),
        (&world.chat, "/api/whoami", CHAT.to_owned(), world.reader.key.clone()),
        (&world.platform, "/api/whoami", world.acme.key.clone(), world.globex.key.clone()),
    ]
}

/// The two places of a key, however they are written.
fn places(key: &str) -> Vec<(&'static str, String)> {
    vec![
        ("x-api-key", key.to_owned()),
        ("X-API-KEY", format!("  {key}\t")),
        ("authorization", format!("Bearer {key}")),
        ("Authorization", format!("bearer   {key}")),
        ("AUTHORIZATION", format!("BEARER {key}")),
    ]
}

fn no_value_is_picked_out_of_several(world: &World, findings: &mut Findings) {
    for (server, path, good, other) in servers(world) {
        let junk = "not-a-key-at-all-but-as-long-as-one-of-them";
        for (name, value) in places(&good) {
            findings.row("a key is good in every place", server, &Ask::get(path).field(name, &value), &[OK]);
            for second in [value.clone(), junk.to_owned(), format!("Bearer {junk}"), String::new(), other.clone()] {
                for [one, two] in [[&value, &second], [&second, &value]] {
                    let ask = Ask::get(path).field(name, one).field(name, two);
                    findings.row(BECAUSE, server, &ask, &[AMBIGUOUS]);
                    let apart = Ask::get(path).field(name, one).field("accept", "*/*").field(&name.to_lowercase(), two);
                    findings.row(BECAUSE, server, &apart, &[AMBIGUOUS]);
                }
            }
        }
        for value in [
            format!("{good},{junk}"),
            format!("{junk}, {good}"),
            format!("{good}, {good}"),
            format!("{good},"),
            format!(",{good}"),
            format!("{good} ,{other}"),
        ] {
            findings.row(BECAUSE, server, &Ask::get(path).field("x-api-key", &value), &[AMBIGUOUS]);
            let listed = Ask::get(path).field("authorization", format!("Bearer {value}"));
            findings.row(BECAUSE, server, &listed, &[AMBIGUOUS]);
        }
        for scheme in ["Basic eDp5", "Digest username=\"x\"", "Bearer", "Bearer ", "Negotiate x"] {
            for [one, two] in [[scheme, &format!("Bearer {good}")], [&format!("Bearer {good}"), scheme]] {
                let ask = Ask::get(path).field("authorization", one).field("authorization", two);
                findings.row(BECAUSE, server, &ask, &[AMBIGUOUS]);
            }
        }
    }
    findings.at_least(250);
}

fn no_two_keys_are_sorted_out_by_luck(world: &World, findings: &mut Findings) {
    for (server, path, good, other) in servers(world) {
        for (one, first) in places(&good) {
            for (two, second) in places(&other).into_iter().chain(places("x")).chain(places(&good[1..])) {
                if one.eq_ignore_ascii_case(two) {
                    continue;
                }
                for fields in [[(one, &*first), (two, &*second)], [(two, &*second), (one, &*first)]] {
                    findings.row("two different keys", server, &Ask::get(path).fields(&fields), &[AMBIGUOUS]);
                }
            }
            for (two, same) in places(&good).into_iter().filter(|(two, _)| !one.eq_ignore_ascii_case(two)) {
                let ask = Ask::get(path).field(one, &first).field(two, &same);
                findings.row("the same key twice is one", server, &ask, &[OK]);
            }
        }
    }
    findings.at_least(200);
}

fn no_bad_key_gives_way_to_a_session(world: &World, findings: &mut Findings) {
    let ada = ada();
    let bad = [World::unknown_key(), "x".repeat(48), "\u{fc}".to_owned(), "null".to_owned(), world.ann.key.clone()];
    for key in &bad {
        for [one, two] in [["cookie", "x-api-key"], ["x-api-key", "cookie"]] {
            let value = |name| if name == "cookie" { &ada } else { key };
            let ask = Ask::get("/api/whoami").field(one, value(one)).field(two, value(two));
            let because = "where keys come first, a bad one never becomes the session";
            findings.row(because, &world.platform, &ask, &[INVALID]);
            let run = Ask::get("/api/run/x").field(one, value(one)).field(two, value(two));
            findings.row(because, &world.platform, &run, &[INVALID]);
        }
        let ask = bearer(Ask::get("/api/whoami"), key).field("cookie", &ada);
        findings.row("where keys come first, a bad one never becomes the session", &world.platform, &ask, &[INVALID]);
        // One of them is good at the other program.
        if *key == world.ann.key {
            continue;
        }
        let none = Ask::get("/api/whoami").field("x-api-key", key).field("cookie", "authjs.session-token=x.x.x.x.x");
        findings.row("neither is good", &world.workspace, &none, &[INVALID]);
    }
    let session = world.ann_cookie();
    for second in [CLIENT, "x"] {
        let ask = bearer(Ask::get("/api/whoami"), second).field("x-api-key", FILED).field("cookie", &session);
        findings.row("two keys are two keys, also beside a good session", &world.workspace, &ask, &[AMBIGUOUS]);
    }
    let as_bearer = session.split_once('=').map_or("", |(_, value)| value);
    let ask = bearer(Ask::get("/api/whoami"), as_bearer);
    findings.row("a Bearer is never a session", &world.workspace, &ask, &[INVALID]);
    let key = Ask::get("/api/whoami").field("cookie", format!("x-api-key={FILED}; authorization=Bearer {FILED}"));
    findings.row("no key travels in a cookie here", &world.workspace, &key, &[MISSING]);
    for query in ["x-api-key", "api_key", "key", "token", "access_token", "authorization"] {
        let ask = Ask::get(format!("/api/whoami?{query}={CHAT}"));
        findings.row("no key travels in a URL here", &world.chat, &ask, &[MISSING]);
    }
}

fn no_half_of_two_stands_for_both(world: &World, findings: &mut Findings) {
    const KEY: &str = "x-organization-api-key";
    let token = member_of("acme");
    let (user_missing, user_bad): (Expected, Expected) = ((401, "MISSING_USER_TOKEN"), (401, "INVALID_USER_TOKEN"));
    let mismatch = (403, "ORGANIZATION_MISMATCH");
    let bad_token = format!("{}x", &token[..token.len() - 1]);
    let globex = member_of("globex");
    type Fields<'a> = Vec<(&'a str, &'a str)>;
    let rows: Vec<(&str, Fields<'_>, Expected)> = vec![
        ("neither half", vec![], MISSING),
        ("the key alone", vec![(KEY, ACME)], user_missing),
        ("the token alone", vec![("authorization", &token)], MISSING),
        ("a key where the token goes", vec![(KEY, ACME), ("authorization", ACME)], user_missing),
        (
            "a key as the token",
            vec![(KEY, ACME), ("authorization", "Bearer Acme567890123456789012345678901234567890")],
            user_bad,
        ),
        ("a token as the key", vec![(KEY, &token[7..]), ("authorization", &token)], INVALID),
        ("a bad token", vec![(KEY, ACME), ("authorization", &bad_token)], user_bad),
        ("a bad key", vec![(KEY, &ACME[1..]), ("authorization", &token)], INVALID),
        ("both bad: the key is named first", vec![(KEY, &ACME[1..]), ("authorization", &bad_token)], INVALID),
        ("of another organisation", vec![(KEY, ACME), ("authorization", &globex)], mismatch),
        ("the key twice", vec![(KEY, ACME), (KEY, ACME), ("authorization", &token)], AMBIGUOUS),
        ("a key in another header", vec![("x-api-key", ACME), ("authorization", &token)], MISSING),
        ("the token twice", vec![(KEY, ACME), ("authorization", &token), ("authorization", &token)], AMBIGUOUS),
        ("two tokens", vec![(KEY, ACME), ("authorization", &token), ("authorization", &globex)], AMBIGUOUS),
        (
            "two tokens, the other first",
            vec![(KEY, ACME), ("authorization", &globex), ("authorization", &token)],
            AMBIGUOUS,
        ),
    ];
    for (because, fields, expected) in &rows {
        for path in ["/api/projects", "/api/whoami"] {
            findings.row(because, &world.organization, &Ask::get(path).fields(fields), &[*expected]);
        }
    }
    let both = Ask::get("/api/projects").field(KEY, ACME).field("authorization", &token);
    findings.row("both halves", &world.organization, &both, &[OK]);
    findings.at_least(30);
}

fn nothing_that_is_nearly_a_key_is_one(world: &World, findings: &mut Findings) {
    let swapped = |text: &str| {
        text.chars()
            .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect::<String>()
    };
    for (server, path, good, _) in servers(world) {
        let nearly: Vec<Vec<u8>> = vec![
            good[..good.len() - 1].into(),
            good[1..].into(),
            format!("{good}{good}").into(),
            format!("{good}x").into(),
            format!("\"{good}\"").into(),
            format!("'{good}'").into(),
            format!("<{good}>").into(),
            format!("Bearer {good}").into(),
            format!("{good} {good}").into(),
            format!("{good}\t.").into(),
            format!("{good}%20").into(),
            format!("{good}%00").into(),
            format!("{good};").into(),
            format!("{good}\\").into(),
            swapped(&good).into(),
            good.to_uppercase().into(),
            good.bytes().rev().collect(),
            [good.as_bytes(), b"\xff"].concat(),
            [b"\xef\xbb\xbf", good.as_bytes()].concat(),
            [good.as_bytes(), b"\xc2\xa0"].concat(),
            good.replacen('a', "\u{430}", 1).replacen('k', "\u{3ba}", 1).into_bytes(),
            b"null".to_vec(),
            b"undefined".to_vec(),
            b"*".to_vec(),
            b"%".to_vec(),
            b"' OR '1'='1".to_vec(),
            b"{\"$ne\":null}".to_vec(),
            vec![b'k'; 513],
            vec![b'k'; 8_000],
        ];
        for value in &nearly {
            findings.row(
                "one character makes another key",
                server,
                &Ask::get(path).field("x-api-key", value),
                &[INVALID],
            );
            let value = [b"Bearer ", &value[..]].concat();
            findings.row(
                "one character makes another key",
                server,
                &Ask::get(path).field("authorization", value),
                &[INVALID],
            );
        }
        // Every character counts.
        for index in 0..good.len() {
            let mut changed = good.clone().into_bytes();
            changed[index] = if changed[index] == b'x' { b'y' } else { b'x' };
            findings.row(
                "one character makes another key",
                server,
                &Ask::get(path).field("x-api-key", changed),
                &[INVALID],
            );
        }
        for empty in ["", " ", "\t", "  \t "] {
            findings.row("nothing is nothing", server, &Ask::get(path).field("x-api-key", empty), &[MISSING]);
        }
        for none in ["Bearer", "bearer ", "Basic eDp5", "Bearerx y", "Token x", "ApiKey x", "Key x", &good] {
            findings.row("a scheme that is not ours", server, &Ask::get(path).field("authorization", none), &[MISSING]);
        }
        for separator in ["\t", "\u{b}", "\u{a0}", ":", "="] {
            let ask = Ask::get(path).field("authorization", format!("Bearer{separator}{good}"));
            let refused = [MISSING, INVALID, BAD_REQUEST];
            findings.row("only spaces stand after a scheme", server, &ask, &refused);
        }
    }
    let ask = bearer(Ask::get("/api/whoami"), ADMIN).field("x-api-key", "x");
    let answer = findings.row("a header that is not looked at", &world.generate, &ask, &[OK]);
    findings.holds("it says who is calling", answer.json()["method"] == "admin_key", || answer.body.clone());
    findings.holds(
        "the programs go on",
        wire::exchange(world.chat.address, &Ask::get("/api/system/env-status")).status == 200,
        || "chat",
    );
    findings.at_least(300);
}
