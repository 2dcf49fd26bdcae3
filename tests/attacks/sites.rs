//! Requests that another web site makes a browser send, with the cookies that it has.

use crate::people::{LISTED, ada};
use crate::table::{CROSS_SITE, Case, Expected, FORBIDDEN, Findings, cases};
use crate::wire::{self, Ask};
use crate::world::World;

pub(crate) const CASES: &[Case] = cases![
    no_cookie_counts_for_a_write_from_another_site,
    no_cookie_counts_for_a_socket_from_another_site,
    no_key_is_stopped_by_what_is_about_cookies,
];

type Fields = &'static [(&'static str, &'static str)];

const ELSEWHERE: [(&str, Fields); 17] = [
    ("another site", &[("origin", "https://evil.example")]),
    ("another site", &[("sec-fetch-site", "cross-site")]),
    ("a neighbour", &[("sec-fetch-site", "same-site")]),
    ("another site, both said", &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")]),
    ("an opaque origin", &[("origin", "null")]),
    ("an opaque origin", &[("origin", "null"), ("sec-fetch-site", "cross-site")]),
    ("another port", &[("origin", "http://localhost:1")]),
    ("a host that starts so", &[("origin", "http://localhost.evil.example")]),
    ("a host that ends so", &[("origin", "http://evil-localhost")]),
    ("a host in the user's name", &[("origin", "http://localhost@evil.example")]),
    ("no origin", &[("origin", "")]),
    ("no origin", &[("origin", "localhost")]),
    ("a word that nobody knows", &[("sec-fetch-site", "same-origin-ish")]),
    ("two words", &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]),
    ("two origins", &[("origin", "http://localhost"), ("origin", "https://evil.example")]),
    ("two origins", &[("origin", "https://evil.example"), ("origin", "http://localhost")]),
    ("a listed origin's neighbour", &[("origin", "https://app.example.com.evil.example")]),
];

fn no_cookie_counts_for_a_write_from_another_site(world: &World, findings: &mut Findings) {
    let one = |id: &str, base: &str| format!("{base}/{id}");
    let (ann, acme) =
        (one(&world.ann.id, "/account/api-keys"), one(&world.acme.id, "/api/organizations/acme/api-keys"));
    let targets = [
        (&world.workspace, world.ann_cookie(), "POST", "/account/api-keys".to_owned()),
        (&world.workspace, world.ann_cookie(), "POST", "/api/ask".to_owned()),
        (&world.workspace, world.bea_cookie(), "DELETE", ann.clone()),
        (&world.workspace, world.ann_cookie(), "DELETE", ann.clone()),
        (&world.workspace, world.ann_cookie(), "PATCH", ann.clone()),
        (&world.workspace, world.ann_cookie(), "POST", format!("{ann}/regenerate")),
        (&world.platform, ada(), "POST", "/api/organizations/acme/api-keys".to_owned()),
        (&world.platform, ada(), "DELETE", acme.clone()),
        (&world.platform, ada(), "POST", format!("{acme}/rotate")),
        (&world.platform, ada(), "POST", "/api/run/x".to_owned()),
        (&world.platform, ada(), "PUT", "/api/run/x".to_owned()),
        (&world.platform, ada(), "CUSTOM", "/api/run/x".to_owned()),
    ];
    for (server, session, method, path) in &targets {
        for (because, fields) in ELSEWHERE {
            let ask =
                Ask::new(method, path).json(r#"{"name":"by another site"}"#).field("cookie", session).fields(fields);
            findings.row(because, server, &ask, &[CROSS_SITE]);
            for (name, value) in
                [("x-http-method-override", "GET"), ("host", "evil.example"), ("x-forwarded-host", "evil.example")]
            {
                let ask = if name == "host" { ask.clone().host(Some(value)) } else { ask.clone().field(name, value) };
                // With its own name as the host, the site is nobody else; only a browser's word tells.
                if name == "host" && !fields.iter().any(|(name, _)| *name == "sec-fetch-site") {
                    continue;
                }
                findings.row(because, server, &ask, &[CROSS_SITE]);
            }
        }
    }
    for (base, server, session) in [
        ("/account/api-keys", &world.workspace, world.ann_cookie()),
        ("/api/organizations/acme/api-keys", &world.platform, ada()),
    ] {
        let list = Ask::get(format!("{base}?q=by%20another%20site")).field("cookie", session);
        let answer = wire::exchange(server.address, &list);
        findings.holds("nothing was made", answer.json()["items"] == serde_json::json!([]), || answer.body.clone());
    }
    findings.at_least(500);
}

fn no_cookie_counts_for_a_socket_from_another_site(world: &World, findings: &mut Findings) {
    let handshake: Fields = &[
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for (server, session, path) in [
        (&world.platform, ada(), "/api/run/x"),
        (&world.platform, ada(), "/api/whoami"),
        (&world.workspace, world.ann_cookie(), "/api/whoami"),
    ] {
        for (because, fields) in ELSEWHERE {
            for upgrade in ["websocket", "WebSocket", "websocket, h2c"] {
                let ask = Ask::get(path).fields(&handshake[..1]).field("upgrade", upgrade).fields(&handshake[2..]);
                let ask = ask.field("cookie", &session).fields(fields);
                findings.row(because, server, &ask, &[CROSS_SITE]);
            }
        }
    }
}

fn no_key_is_stopped_by_what_is_about_cookies(world: &World, findings: &mut Findings) {
    let because = "a key is sent by whoever has it, not by a browser on its own";
    for (_, fields) in ELSEWHERE {
        let ask = Ask::post("/api/run/x", "{}").field("x-api-key", &world.acme.key).fields(fields);
        findings.row(because, &world.platform, &ask, &[(207, "")]);
        let with_cookie = ask.field("cookie", ada());
        findings.row(because, &world.platform, &with_cookie, &[(207, "")]);
        let keys = Ask::post("/api/organizations/acme/api-keys", r#"{"name":"x"}"#).field("x-api-key", &world.acme.key);
        // The session beside it is not looked at where keys come first.
        let refused: [Expected; 2] = [FORBIDDEN, CROSS_SITE];
        findings.row("a key manages no keys", &world.platform, &keys.field("cookie", ada()).fields(fields), &refused);
    }
    for fields in [&[("origin", LISTED)][..], &[("origin", LISTED), ("sec-fetch-site", "cross-site")]] {
        let ask = Ask::post("/api/run/x", "{}").field("cookie", ada()).fields(fields);
        findings.row("a listed origin", &world.platform, &ask, &[(207, "")]);
    }
}
