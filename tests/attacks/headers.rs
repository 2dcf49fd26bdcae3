//! A header that says that the request is another one, or by somebody else.

use crate::people::{ada, cookie};
use crate::table::{Case, Findings, MISSING, NO_SCOPE, NO_SESSION, OK, cases};
use crate::wire::Ask;
use crate::world::{ADMIN, CHAT, World, bearer};

pub(crate) const CASES: &[Case] = cases![
    no_header_that_looks_internal_opens_or_closes_anything,
    no_header_makes_a_request_another_one,
    no_header_says_to_the_service_behind_who_is_calling,
];

const BECAUSE: &str = "CVE-2025-29927: an internal-looking header switched the gate off";

const NAMES: [&str; 62] = [
    "x-original-url",
    "x-original-uri",
    "x-original-method",
    "x-original-host",
    "x-rewrite-url",
    "x-override-url",
    "x-forwarded",
    "x-forwarded-prefix",
    "x-forwarded-path",
    "x-forwarded-uri",
    "x-forwarded-host",
    "x-forwarded-server",
    "x-forwarded-scheme",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-method",
    "x-forwarded-for",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-client-cert",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-originating-ip",
    "x-remote-ip",
    "x-remote-addr",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-middleware-subrequest",
    "x-middleware-invoke",
    "x-middleware-rewrite",
    "x-internal",
    "x-internal-request",
    "x-envoy-internal",
    "x-envoy-original-path",
    "x-auth-request-user",
    "x-authenticated-user",
    "x-webauth-user",
    "x-remote-user",
    "remote-user",
    "x-user-id",
    "x-key-id",
    "x-consumer-id",
    "x-identity",
    "x-identity-signature",
    "x-organization",
    "x-scopes",
    "x-debug",
    "x-public",
    "x-preflight",
    "x-purpose",
    "purpose",
    "forwarded",
    "via",
    "true-client-ip",
    "cf-connecting-ip",
    "x_api_key",
];

const VALUES: [&str; 10] = [
    "/api/system/env-status",
    "http://localhost/api/system/env-status",
    "OPTIONS",
    "GET",
    "true",
    "admin",
    "127.0.0.1",
    "for=127.0.0.1;host=localhost;proto=https",
    "src/middleware:src/middleware:src/middleware:src/middleware:src/middleware",
    "",
];

fn no_header_that_looks_internal_opens_or_closes_anything(world: &World, findings: &mut Findings) {
    for (index, name) in NAMES.iter().enumerate() {
        for value in VALUES {
            // One value after the other for each program, all of them for all names.
            for (server, path) in [world.guarded()[index % 6], world.guarded()[(index + 2) % 6]] {
                findings.row(BECAUSE, server, &Ask::get(path).field(name, value), &[MISSING]);
            }
        }
        let all = VALUES.iter().fold(Ask::get("/api/whoami"), |ask, value| ask.field(name, value));
        findings.row(BECAUSE, &world.chat, &all, &[MISSING]);
        let upper = Ask::get("/api/whoami").field(&name.to_uppercase(), VALUES[0]);
        findings.row(BECAUSE, &world.chat, &upper, &[MISSING]);
        let good = Ask::get("/api/whoami").field("x-api-key", CHAT).field(name, VALUES[index % VALUES.len()]);
        let answer = findings.row("nor does one close what is open", &world.chat, &good, &[OK]);
        findings.holds("an address is the peer's", answer.json()["clientIp"] == "127.0.0.1", || answer.body.clone());
    }
    findings.at_least(1_200);
}

fn no_header_makes_a_request_another_one(world: &World, findings: &mut Findings) {
    for name in NAMES {
        for value in ["/v1/generate", "GET", "POST", "/api/whoami"] {
            let ask = bearer(Ask::post("/v1/keys", r#"{"name":"x"}"#), &world.reader.key).field(name, value);
            findings.row(BECAUSE, &world.generate, &ask, &[NO_SCOPE]);
        }
        let ask = Ask::new("OPTIONS", "/api/chat").field(name, "GET");
        findings.row("a method is not another one", &world.chat, &ask, &[MISSING]);
        let ask = Ask::post("/api/system/env-status", "{}").field(name, "GET");
        findings.row("a method is not another one", &world.chat, &ask, &[MISSING]);
    }
    for name in
        ["x_api_key", "x-api_key", "x-apikey", "api-key", "x-api-key-", "xapikey", "x.api.key", "http_x_api_key"]
    {
        let ask = Ask::get("/api/whoami").field(name, CHAT);
        findings.row("CVE-2025-64484: `_` for `-` is another name", &world.chat, &ask, &[MISSING]);
    }
    for name in ["X-API-KEY", "x-Api-Key"] {
        findings.row("names have no case", &world.chat, &Ask::get("/api/whoami").field(name, CHAT), &[OK]);
    }
    let ask = bearer(Ask::get("/v1/keys"), ADMIN).field("x-http-method-override", "DELETE");
    findings.row("a method is not another one", &world.generate, &ask, &[OK]);
    findings.at_least(350);
}

fn no_header_says_to_the_service_behind_who_is_calling(world: &World, findings: &mut Findings) {
    let because = "what a caller writes about itself goes no further";
    let forged = "eyJtZXRob2QiOiJhZG1pbl9rZXkifQ";
    let forgeries: [&[(&str, &str)]; 6] = [
        &[("x-identity", forged)],
        &[("X-IDENTITY", forged), ("X-Identity-Signature", "c2lnbmVk")],
        &[("x-identity", forged), ("x-identity", forged)],
        &[("x-identity-signature", "c2lnbmVk"), ("x-identity-signature", "c2lnbmVk")],
        &[("connection", "x-identity, x-identity-signature")],
        &[("connection", "x-identity"), ("x-identity", forged)],
    ];
    for fields in forgeries {
        for by_key in [true, false] {
            let ask = Ask::get("/api/run/x").fields(fields);
            let ask = if by_key { ask.field("x-api-key", &world.acme.key) } else { ask.field("cookie", ada()) };
            let answer = findings.row(because, &world.platform, &ask, &[(207, "")]);
            let said = answer.json();
            for name in ["x-identity", "x-identity-signature"] {
                let seen = crate::upstream::seen(&said, name);
                findings.holds(because, seen.len() == 1 && seen[0] != forged && seen[0] != "c2lnbmVk", || {
                    answer.body.clone()
                });
            }
            for name in ["x-api-key", "authorization"] {
                findings.holds("no credential goes on", crate::upstream::seen(&said, name).is_empty(), || {
                    answer.body.clone()
                });
            }
            let cookies = crate::upstream::seen(&said, "cookie");
            findings.holds("no session goes on", !cookies.concat().contains("session_token"), || answer.body.clone());
        }
    }
    let hop = Ask::get("/api/run/x").field("x-api-key", &world.acme.key).field("connection", "x-hop, te");
    let hop =
        hop.fields(&[("x-hop", "1"), ("te", "trailers"), ("upgrade", "h2c"), ("proxy-authorization", "Basic eDp5")]);
    let said = findings.row("what is of one connection", &world.platform, &hop, &[(207, "")]).json();
    for name in ["x-hop", "te", "upgrade", "proxy-authorization", "connection"] {
        let gone = crate::upstream::seen(&said, name).is_empty();
        findings.holds("what is of one connection goes no further", gone, || format!("{name}: {said}"));
    }
    let ask = Ask::get("/api/run/x").field("x-identity", forged).field("cookie", cookie("nobody"));
    findings.row("an identity is none without a credential", &world.platform, &ask, &[NO_SESSION]);
}
