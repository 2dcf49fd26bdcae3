//! Where a request comes from, and what it says about that.
//!
//! `fenced` lets in 10.0.0.0/8 and 2001:db8::/32. It believes what 127.0.0.2 and 127.0.0.3 say in `X-Forwarded-For`, else in
//! `X-Real-IP`, and nobody else.

use serde_json::{Value, json};

use crate::table::{Case, Expected, Findings, OK, cases};
use crate::wire::{self, Ask};
use crate::world::{ADMIN, CHAT, NOWHERE, World, bearer, mint};

pub(crate) const CASES: &[Case] = cases![
    no_forged_header_of_a_stranger_is_believed,
    no_forged_header_gets_past_a_proxy,
    no_spelling_of_an_address_slips_past_a_rule,
    no_empty_list_of_addresses_is_everybody,
];

const DENIED: Expected = (403, "IP_NOT_ALLOWED");

const NAMES: [&str; 22] = [
    "x-forwarded-for",
    "X-Forwarded-For",
    "x-real-ip",
    "forwarded",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "x-cluster-client-ip",
    "x-originating-ip",
    "x-remote-ip",
    "x-remote-addr",
    "client-ip",
    "x-azure-clientip",
    "fastly-client-ip",
    "x-envoy-external-address",
    "x-appengine-user-ip",
    "x-forwarded",
    "forwarded-for",
    "x_forwarded_for",
    "via",
];

const VALUES: [&str; 12] = [
    "10.0.0.1",
    "10.0.0.1, 10.0.0.2",
    "127.0.0.2",
    "127.0.0.1, 10.0.0.1",
    "::ffff:10.0.0.1",
    "for=10.0.0.1",
    "for=\"[2001:db8::1]\"",
    "2001:db8::1",
    "[2001:db8::1]:80",
    "10.0.0.1:80",
    "\"10.0.0.1\"",
    "10.0.0.1, 127.0.0.2, 127.0.0.3",
];

fn no_forged_header_of_a_stranger_is_believed(world: &World, findings: &mut Findings) {
    let because = "CVE-2026-39409 and its like: an untrusted peer says where it comes from";
    for peer in ["127.0.0.1", "127.0.0.4", "127.0.0.10"] {
        for name in NAMES {
            for value in VALUES {
                let ask = Ask::get("/api/whoami").field("x-api-key", ADMIN).field(name, value).from(peer);
                findings.row(because, &world.fenced, &ask, &[DENIED]);
            }
        }
    }
    for name in NAMES {
        let ask = Ask::get("/api/whoami").field("x-api-key", CHAT).field(name, "10.0.0.1");
        let answer = findings.row(because, &world.chat, &ask, &[OK]);
        findings.holds(because, answer.json()["clientIp"] == "127.0.0.1", || answer.body.clone());
    }
    findings.at_least(700);
}

fn no_forged_header_gets_past_a_proxy(world: &World, findings: &mut Findings) {
    type Fields = &'static [(&'static str, &'static str)];
    const FOR: &str = "x-forwarded-for";
    const REAL: &str = "x-real-ip";
    let rows: [(&str, Fields, Option<&str>); 36] = [
        ("the proxy's word", &[(FOR, "10.0.0.1")], Some("10.0.0.1")),
        ("the rightmost that is no proxy", &[(FOR, "192.0.2.1, 10.0.0.1")], Some("10.0.0.1")),
        ("the leftmost is not believed", &[(FOR, "10.0.0.1, 192.0.2.1")], None),
        ("the leftmost is not believed", &[(FOR, "10.0.0.1,10.0.0.2,192.0.2.1")], None),
        ("a line for each hop", &[(FOR, "10.0.0.1"), (FOR, "192.0.2.1")], None),
        ("a line for each hop", &[(FOR, "192.0.2.1"), (FOR, "10.0.0.1")], Some("10.0.0.1")),
        ("trusted hops are skipped", &[(FOR, "10.0.0.1, 127.0.0.3")], Some("10.0.0.1")),
        ("trusted hops are skipped, and no more", &[(FOR, "10.0.0.1, 192.0.2.1, 127.0.0.3")], None),
        ("a stranger of the same net is none", &[(FOR, "10.0.0.1, 127.0.0.1")], None),
        ("all are proxies", &[(FOR, "127.0.0.2, 127.0.0.3")], None),
        ("nothing said", &[], None),
        ("nothing said", &[(FOR, "")], None),
        ("nothing said", &[(FOR, ", ,")], None),
        ("nonsense is nobody", &[(FOR, "10.0.0.1, unknown")], None),
        ("nonsense is nobody", &[(FOR, "10.0.0.1, _hidden")], None),
        ("nonsense is nobody", &[(FOR, "10.0.0.1, 10.0.0.1.evil.example")], None),
        ("nonsense is nobody", &[(FOR, "10.0.0.1, <script>")], None),
        ("nonsense is nobody", &[(FOR, "10.0.0.1, 10.0.0")], None),
        ("nonsense is nobody", &[(FOR, "10.0.0.1, 167772161")], None),
        ("nonsense is nobody", &[(FOR, "10.0.0.1, 0x0a000001")], None),
        ("nonsense is nobody", &[(FOR, "10.0.0.1, 012.0.0.1")], None),
        ("nonsense is nobody", &[(FOR, "10.0.0.1, 10.0.0.1%eth0")], None),
        ("nonsense is nobody", &[(FOR, "10.0.0.1, fe80::1%10.0.0.1")], None),
        ("nonsense is nobody", &[(FOR, "10.0.0.1, 10.0.0.1/8")], None),
        ("nonsense is nobody", &[(FOR, "10.0.0.1\t10.0.0.1")], None),
        ("IPv4 in IPv6 is IPv4", &[(FOR, "::ffff:10.0.0.1")], Some("10.0.0.1")),
        ("IPv4 in IPv6 is IPv4", &[(FOR, "::ffff:c000:201")], None),
        ("IPv4-compatible is not IPv4", &[(FOR, "::10.0.0.1")], None),
        ("translated is not IPv4", &[(FOR, "64:ff9b::10.0.0.1")], None),
        ("IPv6", &[(FOR, "2001:DB8::1")], Some("2001:db8::1")),
        ("the next IPv6", &[(FOR, "2001:db9::1")], None),
        ("the other header, without the first", &[(REAL, "10.0.0.1")], Some("10.0.0.1")),
        ("the first header decides", &[(FOR, "192.0.2.1"), (REAL, "10.0.0.1")], None),
        ("the other header twice", &[(REAL, "10.0.0.1"), (REAL, "10.0.0.1")], None),
        ("the other header is no list", &[(REAL, "10.0.0.1, 10.0.0.2")], None),
        ("headers that are not read", &[("forwarded", "for=10.0.0.1"), ("cf-connecting-ip", "10.0.0.1")], None),
    ];
    for (because, fields, client) in rows {
        for peer in ["127.0.0.2", "127.0.0.3"] {
            let ask = Ask::get("/api/whoami").field("x-api-key", ADMIN).fields(fields).from(peer);
            let answer = findings.row(because, &world.fenced, &ask, &[if client.is_some() { OK } else { DENIED }]);
            if let Some(client) = client {
                findings.holds(because, answer.json()["clientIp"] == client, || answer.body.clone());
            }
        }
    }
    let long = ["10.0.0.1"; 2_000].join(", ");
    let hops = ", 127.0.0.3".repeat(2_000);
    for (value, expected) in [
        (format!("{long}, 192.0.2.1"), DENIED),
        (format!("{long}, x"), DENIED),
        (format!("10.0.0.1, 192.0.2.1{hops}"), DENIED),
        (format!("10.0.0.1{hops}"), OK),
    ] {
        let ask = Ask::get("/api/whoami").field("x-api-key", ADMIN).field("x-forwarded-for", value).from("127.0.0.2");
        findings.row("a chain without an end", &world.fenced, &ask, &[expected]);
    }
}

fn no_spelling_of_an_address_slips_past_a_rule(world: &World, findings: &mut Findings) {
    // A key of its own, for one address.
    let keys = [
        ("127.0.0.5", "127.0.0.5", OK),
        ("127.0.0.5", "127.0.0.6", DENIED),
        ("127.0.0.4/31", "127.0.0.5", OK),
        ("127.0.0.4/31", "127.0.0.6", DENIED),
        ("::ffff:127.0.0.5", "127.0.0.5", OK),
        ("::ffff:127.0.0.5", "127.0.0.6", DENIED),
        ("::/0", "127.0.0.5", DENIED),
        ("::1", "127.0.0.1", DENIED),
        ("0.0.0.0/0", "127.0.0.9", OK),
    ];
    for (allowed, peer, expected) in keys {
        let body = json!({ "name": "bound", "scopes": ["read"], "allowedIps": [allowed] });
        let ask = bearer(Ask::post("/v1/keys", body), ADMIN);
        let held = mint(&world.generate, &ask);
        for forged in ["127.0.0.5", "::ffff:127.0.0.5", "10.0.0.1"] {
            let ask = bearer(Ask::get("/api/whoami"), &held.key).field("x-forwarded-for", forged).from(peer);
            findings.row("CVE-2026-39409: an address in another spelling", &world.generate, &ask, &[expected]);
        }
    }
}

fn no_empty_list_of_addresses_is_everybody(world: &World, findings: &mut Findings) {
    let because = "CVE-2026-33032: an empty list of addresses was read as everybody";
    for peer in ["127.0.0.1", "127.0.0.2"] {
        let ask = Ask::get("/api/whoami").field("x-api-key", NOWHERE).from(peer);
        findings.row(because, &world.workspace, &ask, &[DENIED]);
    }
    let of = |id: &str| Ask::new("PATCH", format!("/v1/keys/{id}"));
    let held = world.of_operator(&json!({ "name": "none", "scopes": ["read"], "allowedIps": ["127.0.0.9"] }));
    let empty = wire::exchange(world.generate.address, &bearer(of(&held.id).json(json!({ "allowedIps": [] })), ADMIN));
    for peer in ["127.0.0.1", "127.0.0.2"] {
        let ask = bearer(Ask::get("/api/whoami"), &held.key).from(peer);
        findings.row(because, &world.generate, &ask, &[DENIED]);
    }
    findings.holds(because, [200, 422].contains(&empty.status), || empty.body.clone());
    findings.holds(because, empty.status == 422 || empty.json()["allowedIps"] == Value::Array(Vec::new()), || {
        empty.body.clone()
    });
}
