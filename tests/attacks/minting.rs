//! Keys that are made with more than their maker may give.

use serde_json::{Value, json};

use crate::people::ada;
use crate::table::{Case, Expected, FORBIDDEN, Findings, NO_SCOPE, OK, cases};
use crate::wire::{self, Ask};
use crate::world::{ADMIN, World, bearer, mint};

pub(crate) const CASES: &[Case] = cases![
    no_field_of_the_server_is_taken_from_a_body,
    no_limited_key_mints_a_stronger_one,
    no_person_mints_a_key_with_scopes,
    no_change_gives_a_key_more_than_its_maker_has,
];

const INVALID_FIELDS: Expected = (422, "VALIDATION_FAILED");
const MALFORMED: Expected = (400, "MALFORMED_REQUEST");

/// What only the server says of a key, by all names that it could have.
const FIELDS: [&str; 44] = [
    "id",
    "keyId",
    "key_id",
    "key",
    "secret",
    "digest",
    "hash",
    "prefix",
    "start",
    "end",
    "masked",
    "class",
    "kind",
    "type",
    "role",
    "admin",
    "isAdmin",
    "is_admin",
    "owner",
    "user",
    "userId",
    "user_id",
    "organization",
    "organizationId",
    "organization_id",
    "realm",
    "plan",
    "credits",
    "remaining",
    "refill",
    "state",
    "enabled",
    "disabled",
    "createdAt",
    "created_at",
    "revokedAt",
    "lastUsedAt",
    "useCount",
    "replaces",
    "replacedBy",
    "version",
    "permissions",
    "__proto__",
    "constructor",
];

fn no_field_of_the_server_is_taken_from_a_body(world: &World, findings: &mut Findings) {
    let because = "CVE-2025-61928: a body could set whose key it is, and what it may do";
    for managed in world.managed() {
        let one = managed.path("/{key_id}", &managed.id);
        let look = || wire::exchange(managed.server.address, &managed.as_manager(Ask::get(&one)));
        let before = look();
        for field in FIELDS {
            for value in [json!("acme"), json!({ "user": "ann" }), json!(true), Value::Null] {
                let body = json!({ "name": "server-only", field: value });
                let ask = managed.as_manager(Ask::post(managed.base, &body));
                findings.row(because, managed.server, &ask, &[INVALID_FIELDS]);
            }
            let patch = managed.as_manager(Ask::new("PATCH", &one).json(json!({ field: "acme" })));
            findings.row(because, managed.server, &patch, &[INVALID_FIELDS]);
            for call in ["rotate", "regenerate", "revoke"] {
                let body = json!({ field: "acme" });
                let ask = managed.as_manager(Ask::post(format!("{one}/{call}"), &body));
                findings.row(because, managed.server, &ask, &[INVALID_FIELDS]);
            }
        }
        for (reason, body) in [
            ("a member twice: which one counts?", r#"{"name":"server-only","name":"x"}"#),
            ("a member twice, once escaped", r#"{"name":"server-only","n\u0061me":"x"}"#),
            ("no object", r#"["server-only"]"#),
            ("no object", "null"),
            ("no object", "\"server-only\""),
            ("two objects", r#"{"name":"server-only"}{"scopes":["admin"]}"#),
            ("a comment", "{\"name\":\"server-only\"/*,*/}"),
            ("a byte order mark", "\u{feff}{\"name\":\"server-only\"}"),
            ("cut", r#"{"name":"server-only""#),
            ("no number", r#"{"name":"server-only","expiresInDays":NaN}"#),
        ] {
            let ask = managed.as_manager(Ask::post(managed.base, body));
            findings.row(reason, managed.server, &ask, &[MALFORMED, INVALID_FIELDS]);
        }
        for days in [json!(0), json!(-1), json!(1e300), json!("30"), json!(30.5), json!(u64::MAX), json!([30])] {
            let ask =
                managed.as_manager(Ask::post(managed.base, json!({ "name": "server-only", "expiresInDays": days })));
            findings.row("no life", managed.server, &ask, &[INVALID_FIELDS]);
        }
        for addresses in [json!([""]), json!(["*"]), json!(["10.0.0.0/33"]), json!("10.0.0.1"), json!([{}])] {
            let ask =
                managed.as_manager(Ask::post(managed.base, json!({ "name": "server-only", "allowedIps": addresses })));
            findings.row("no addresses", managed.server, &ask, &[INVALID_FIELDS]);
        }
        let typed = Ask::new("POST", managed.base)
            .field("content-type", "text/plain")
            .body(br#"{"name":"server-only"}"#.to_vec());
        findings.row(
            "what a form of another site can send",
            managed.server,
            &managed.as_manager(typed),
            &[(415, "UNSUPPORTED_MEDIA_TYPE")],
        );
        let after = look();
        findings.holds("nothing has changed", before.header("etag") == after.header("etag"), || after.body);
        let list = managed.as_manager(Ask::get(format!("{}?q=server-only", managed.base)));
        let made = wire::exchange(managed.server.address, &list);
        findings.holds("no key was made", made.json()["items"] == json!([]), || made.body);
    }
    findings.at_least(1_200);
}

fn no_limited_key_mints_a_stronger_one(world: &World, findings: &mut Findings) {
    let server = &world.generate;
    let because = "CVE-2026-56216: a limited key minted a stronger one";
    for key in [&world.reader, &world.writer] {
        for scopes in [json!(["read"]), json!([]), json!(["admin"]), json!(["*"])] {
            let ask = bearer(Ask::post("/v1/keys", json!({ "name": "x", "scopes": scopes })), &key.key);
            findings.row(because, server, &ask, &[NO_SCOPE]);
        }
    }
    let empty = world.of_operator(&json!({ "name": "no scopes", "scopes": [] }));
    for (method, path) in
        [("POST", "/v1/keys"), ("POST", "/v1/generate"), ("PUT", "/v1/resources/1"), ("GET", "/v1/webhooks")]
    {
        let ask = bearer(Ask::new(method, path).json(json!({ "name": "x" })), &empty.key);
        findings.row("CVE-2026-56216: no scopes are not all scopes", server, &ask, &[NO_SCOPE]);
    }
    let limits = json!({ "name": "limited", "scopes": ["admin"], "expiresInDays": 2,
        "allowedIps": ["127.0.0.0/8"], "rateLimits": [{ "limit": 500_000, "windowSeconds": 3600 }] });
    let limited = world.of_operator(&limits);
    let end = wire::exchange(server.address, &bearer(Ask::get(format!("/v1/keys/{}", limited.id)), ADMIN)).json();
    for (reason, more) in [
        ("more addresses", json!({ "allowedIps": ["0.0.0.0/0"] })),
        ("more addresses", json!({ "allowedIps": ["127.0.0.1", "::/0"] })),
        ("a longer life", json!({ "expiresInDays": 3 })),
        ("a longer life", json!({ "expiresAt": "2100-01-01T00:00:00.000Z" })),
        ("another environment", json!({ "environment": "test" })),
        ("more requests", json!({ "rateLimits": [{ "limit": 500_001, "windowSeconds": 3600 }] })),
        ("a scope that its own do not imply", json!({ "scopes": ["billing"] })),
        ("every scope", json!({ "scopes": ["*"] })),
    ] {
        let mut body = json!({ "name": "stronger" });
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        let refused = [FORBIDDEN, INVALID_FIELDS];
        findings.row(reason, server, &bearer(Ask::post("/v1/keys", &body), &limited.key), &refused);
    }
    // What is left out comes from the maker, too, and so on for the keys that it makes.
    let mut maker = limited;
    for _ in 0..3 {
        let made =
            mint(server, &bearer(Ask::post("/v1/keys", json!({ "name": "next", "scopes": ["admin"] })), &maker.key));
        let seen = wire::exchange(server.address, &bearer(Ask::get(format!("/v1/keys/{}", made.id)), ADMIN)).json();
        for field in ["expiresAt", "allowedIps", "environment", "rateLimits"] {
            findings.holds("what is left out is the maker's", seen[field] == end[field], || format!("{field}: {seen}"));
        }
        maker = made;
    }
}

fn no_person_mints_a_key_with_scopes(world: &World, findings: &mut Findings) {
    let because = "people give no scopes but those that they may give";
    for scopes in [json!(["admin"]), json!(["read"]), json!(["*"]), json!(["key:admin"])] {
        for (server, base, session) in [
            (&world.workspace, "/account/api-keys", world.ann_cookie()),
            (&world.platform, "/api/organizations/acme/api-keys", ada()),
        ] {
            for more in [json!({ "scopes": scopes }), json!({ "scopes": scopes, "environment": "test" })] {
                let mut body = json!({ "name": "scoped" });
                for (name, value) in more.as_object().expect("an object") {
                    body[name] = value.clone();
                }
                let ask = Ask::post(base, &body).field("cookie", &session);
                findings.row(because, server, &ask, &[FORBIDDEN, INVALID_FIELDS]);
            }
        }
    }
    let days = Ask::post("/api/organizations/acme/api-keys", json!({ "name": "x", "expiresInDays": 8 }))
        .field("cookie", ada());
    findings.row("a choice of days is one", &world.platform, &days, &[INVALID_FIELDS]);
}

fn no_change_gives_a_key_more_than_its_maker_has(world: &World, findings: &mut Findings) {
    let server = &world.generate;
    let limited = world.of_operator(
        &json!({ "name": "limited", "scopes": ["admin"], "expiresInDays": 2, "allowedIps": ["127.0.0.1"] }),
    );
    let weak =
        mint(server, &bearer(Ask::post("/v1/keys", json!({ "name": "weak", "scopes": ["read"] })), &limited.key));
    let strong = world.of_operator(&json!({ "name": "strong", "scopes": ["read"] }));
    for key in [&weak.id, &limited.id] {
        for body in [
            json!({ "expiresAt": "2100-01-01T00:00:00.000Z" }),
            json!({ "allowedIps": ["0.0.0.0/0"] }),
            json!({ "scopes": ["billing"] }),
        ] {
            let ask = bearer(Ask::new("PATCH", format!("/v1/keys/{key}")).json(&body), &limited.key);
            findings.row("not even its own restrictions", server, &ask, &[FORBIDDEN]);
        }
    }
    // No end and no restriction are those of its own.
    for key in [&weak.id, &limited.id] {
        for field in ["expiresAt", "allowedIps"] {
            let path = format!("/v1/keys/{key}");
            let own = wire::exchange(server.address, &bearer(Ask::get(&path), ADMIN)).json()[field].clone();
            let ask = bearer(Ask::new("PATCH", path).json(json!({ field: null })), &limited.key);
            let answer = findings.row("not even its own restrictions", server, &ask, &[OK, FORBIDDEN]);
            let kept = answer.status == 403 || (answer.json()[field] == own && !own.is_null());
            findings.holds("not even its own restrictions", kept, || answer.body.clone());
        }
    }
    // Taking over a stronger key would be minting one.
    for call in ["rotate", "regenerate"] {
        let ask = bearer(Ask::post(format!("/v1/keys/{}/{call}", strong.id), "{}"), &limited.key);
        findings.row("a stronger key's successor", server, &ask, &[FORBIDDEN]);
    }
    for call in ["enable", "rotate", "regenerate"] {
        let ask = bearer(Ask::post(format!("/v1/keys/{}/{call}", world.revoked.id), "{}"), ADMIN);
        findings.row("revoked is for good", server, &ask, &[(409, "CONFLICT")]);
    }
}
