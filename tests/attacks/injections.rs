//! What callers write, in logs and in other people's answers.

use serde_json::json;

use crate::evidence;
use crate::table::{BAD_REQUEST, Case, Findings, MISSING, cases};
use crate::wire::{self, Ask};
use crate::world::{ADMIN, CHAT, World, bearer};

pub(crate) const CASES: &[Case] =
    cases![no_request_writes_a_line_of_the_log, no_id_of_a_request_is_taken_as_it_comes, no_name_of_a_key_breaks_out];

/// What a forged line would start with, or what a terminal would take for a command.
const FORGED: &str = "FORGED-LINE-OF-A-LOG";

fn no_request_writes_a_line_of_the_log(world: &World, findings: &mut Findings) {
    let writings = [
        format!("\u{1b}[2J{FORGED}"),
        format!("\u{9b}2J{FORGED}"),
        format!("%0a{FORGED}"),
        format!("%0d%0a{FORGED}"),
        format!("\\n{FORGED}"),
        format!("\u{2028}{FORGED}"),
        format!("\u{85}{FORGED}"),
        format!("\u{202e}{FORGED}"),
        format!("\t{FORGED}"),
        format!("\u{7f}{FORGED}"),
        format!("\u{1}{FORGED}"),
    ];
    for (server, _) in world.guarded() {
        for text in &writings {
            for name in [
                "user-agent",
                "x-request-id",
                "x-forwarded-for",
                "origin",
                "host",
                "referer",
                "x-api-key",
                "cookie",
                "accept",
                "traceparent",
            ] {
                wire::exchange(server.address, &Ask::get("/api/whoami").field(name, text));
            }
            for target in [format!("/api/{text}"), format!("/api/whoami?{text}")] {
                wire::exchange(server.address, &Ask::get(target));
            }
            wire::exchange(server.address, &Ask::new("X\u{1b}[31m", "/api/whoami"));
            let session = world.next_auth_cookie(
                &json!({ "sub": format!("u\n{text}"), "name": format!("n\n{text}"), "exp": crate::forged::FAR }),
            );
            wire::exchange(server.address, &Ask::get("/api/whoami").field("cookie", session));
            let token = crate::forged::token(
                json!({ "sub": format!("u\n{text}"), "name": format!("n\n{text}"), "role": text }),
            );
            wire::exchange(server.address, &bearer(Ask::get("/api/organization/api-keys"), &token));
        }
    }
    for name in ["workspace", "organization", "chat", "platform", "generate"] {
        let log = std::fs::read(evidence::path(&format!("{name}.log"))).expect("there is a log");
        let forged = log.split(|byte| *byte == b'\n').filter(|line| {
            let starts = line.starts_with(FORGED.as_bytes());
            // Colours of the log itself end in `m`.
            let commands = line.windows(4).any(|part| part.starts_with(b"\x1b[2J"));
            starts || commands || line.contains(&b'\r')
        });
        let forged: Vec<_> = forged.map(|line| line.escape_ascii().to_string()).collect();
        findings.holds("a line of the log is one of the program's", forged.is_empty(), || {
            format!("{name}: {}", forged.join("\n"))
        });
        findings.holds("the log is there", log.len() > 1_000, || name);
    }
}

fn no_id_of_a_request_is_taken_as_it_comes(world: &World, findings: &mut Findings) {
    let long = "i".repeat(129);
    let ids: [&[u8]; 12] = [
        b"",
        b" ",
        b"a b",
        b"a\tb",
        b"\x1b[31m",
        b"\xff",
        "\u{fc}".as_bytes(),
        long.as_bytes(),
        b"a\x7f",
        b"a\x01",
        b"\x80abc",
        b"a  b",
    ];
    for (server, path) in world.guarded() {
        for id in ids {
            let ask = Ask::get(path).field("x-request-id", id);
            let answer = findings.row(
                "an id of 1 to 128 visible characters, or a fresh one",
                server,
                &ask,
                &[MISSING, BAD_REQUEST],
            );
            if answer.status == 401 {
                let own = answer.header("x-request-id");
                let fresh = !own.is_empty() && own.as_bytes() != id && own.bytes().all(|byte| byte.is_ascii_graphic());
                findings.holds("a fresh id", fresh, || own.to_owned());
            }
        }
        for two in [["one", "two"], ["same", "same"]] {
            let ask = Ask::get(path).field("x-request-id", two[0]).field("x-request-id", two[1]);
            let answer = findings.row("two ids", server, &ask, &[MISSING]);
            let ids = answer.headers.iter().filter(|(name, _)| name == "x-request-id").count();
            findings.holds("one id", ids == 1, || format!("{answer:?}"));
        }
        for id in
            ["<script>alert(1)</script>", "\"},{\"error\":\"x", "a\\u0022", "';DROP--", "${jndi:ldap://x}", "{{7*7}}"]
        {
            let answer = findings.row("an id is text", server, &Ask::get(path).field("x-request-id", id), &[MISSING]);
            findings.holds("a body stays JSON", answer.json().is_object(), || answer.body.clone());
            findings.holds(
                "a body is JSON by its type",
                answer.header("content-type").starts_with("application/json"),
                || format!("{answer:?}"),
            );
        }
    }
}

fn no_name_of_a_key_breaks_out(world: &World, findings: &mut Findings) {
    let server = &world.generate;
    for name in ["a\nb", "a\r\nx: y", "a\u{0}b", "\u{1b}[31m", "a\tb", "\u{7f}", "\u{85}", "", "   ", "\u{a0}"] {
        let ask = bearer(Ask::post("/v1/keys", json!({ "name": name })), ADMIN);
        findings.row("a name has no control characters", server, &ask, &[(422, "VALIDATION_FAILED")]);
        let ask =
            bearer(Ask::new("PATCH", format!("/v1/keys/{}", world.writer.id)).json(json!({ "name": name })), ADMIN);
        findings.row("a name has no control characters", server, &ask, &[(422, "VALIDATION_FAILED")]);
    }
    for reason in ["a\nb", "\u{1b}[31m", "a\u{0}", &"r".repeat(5_000)] {
        let ask =
            bearer(Ask::post(format!("/v1/keys/{}/revoke", world.revoked.id), json!({ "reason": reason })), ADMIN);
        findings.row("a reason is a short text", server, &ask, &[(422, "VALIDATION_FAILED")]);
    }
    for query in [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=x",
        "cursor=%00",
        "cursor=x",
        "cursor=%ff",
        "state=x",
        "state=",
        "q=%ff",
        "scope=%00",
        "limit=1&limit=2",
    ] {
        let answer = wire::exchange(server.address, &bearer(Ask::get(format!("/v1/keys?{query}")), ADMIN));
        findings.holds("a query is read or refused", [200, 422, 400].contains(&answer.status), || {
            format!("{query}: {answer:?}")
        });
    }
    let ask = Ask::get("/api/whoami").field("x-api-key", CHAT).field("x-request-id", "a-good-one");
    let answer = findings.row("an id of one's own", &world.chat, &ask, &[(200, "")]);
    findings.holds("an id of one's own", answer.header("x-request-id") == "a-good-one", || format!("{answer:?}"));
}
