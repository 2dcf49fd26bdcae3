//! Any bytes at any place: no panic, no 5xx, and nobody gets in.

use crate::table::{Case, Findings, OK, cases};
use crate::wire::{self, Ask};
use crate::world::{ADMIN, CHAT, Server, World, bearer, member_of};

pub(crate) const CASES: &[Case] = cases![
    no_byte_in_any_header_breaks_a_program,
    no_length_of_a_header_breaks_a_program,
    no_query_or_path_breaks_a_program,
    no_body_breaks_a_program,
];

/// Where credentials, addresses and ids are read.
const NAMES: [&str; 16] = [
    "x-api-key",
    "authorization",
    "cookie",
    "x-organization-api-key",
    "origin",
    "x-request-id",
    "x-forwarded-for",
    "forwarded",
    "host",
    "sec-fetch-site",
    "sec-websocket-protocol",
    "access-control-request-method",
    "content-type",
    "idempotency-key",
    "if-match",
    "upgrade",
];

/// Neither in, nor broken.
fn stays_out(findings: &mut Findings, server: &Server, ask: &Ask) {
    let answer = wire::exchange(server.address, ask);
    findings.holds("no bytes open a gate or break it", (400..500).contains(&answer.status), || {
        format!("{}\n{ask}\n    {}: {}", server.name, answer.status, answer.body)
    });
}

fn lives(findings: &mut Findings, world: &World) {
    for (server, ask) in [
        (&world.chat, Ask::get("/api/whoami").field("x-api-key", CHAT)),
        (&world.workspace, Ask::get("/api/whoami").field("x-api-key", ADMIN)),
        (&world.generate, bearer(Ask::get("/api/whoami"), ADMIN)),
        (&world.platform, Ask::get("/api/whoami").field("x-api-key", &world.acme.key)),
        (&world.organization, Ask::get("/api/organization/api-keys").field("authorization", member_of("acme"))),
    ] {
        findings.row("the program goes on", server, &ask, &[OK]);
    }
}

fn no_byte_in_any_header_breaks_a_program(world: &World, findings: &mut Findings) {
    for (server, path) in world.guarded() {
        for name in NAMES {
            for byte in (0..=u8::MAX).step_by(3).chain([0, 9, 10, 13, 32, 127, 255]) {
                // A line end would be the end of the field.
                if byte == b'\n' || byte == b'\r' {
                    continue;
                }
                let at = usize::from(byte) % 3;
                let value = [&b"Bearer "[..at * 3], &[byte; 2], b"key=", &[byte]].concat();
                stays_out(findings, server, &Ask::get(path).field(name, value));
            }
        }
    }
    lives(findings, world);
    findings.at_least(7_000);
}

fn no_length_of_a_header_breaks_a_program(world: &World, findings: &mut Findings) {
    let cookies: String = (0..10_000).map(|index| format!("c{index}=x; ")).collect();
    let chunks: String = (0..5_000)
        .map(|index| format!("authjs.session-token.{index}=x; next-auth.session-token.{index}=y; "))
        .collect();
    for (server, path) in world.guarded() {
        for name in NAMES {
            for piece in ["a", ",", "; ", "=", "\"", "Bearer ", "10.0.0.1, ", "a.b.c."] {
                let value = piece.repeat(64 * 1024 / piece.len());
                stays_out(findings, server, &Ask::get(path).field(name, &value));
            }
        }
        for value in [&cookies, &chunks, &"better-auth.session_token=x.y; ".repeat(5_000)] {
            stays_out(findings, server, &Ask::get(path).field("cookie", value));
        }
        let lines = (0..90).fold(Ask::get(path), |ask, index| ask.field("cookie", format!("c{index}=x")));
        stays_out(findings, server, &lines);
        let many = (0..10_000).fold(Ask::get(path), |ask, index| ask.field(&format!("x-{index}"), "y"));
        stays_out(findings, server, &many);
    }
    let good = Ask::get("/api/whoami").field("x-api-key", CHAT).field("cookie", &cookies);
    findings.row("cookies that are none of ours", &world.chat, &good, &[OK]);
    lives(findings, world);
}

fn no_query_or_path_breaks_a_program(world: &World, findings: &mut Findings) {
    let pieces = [
        "%",
        "%0",
        "%00",
        "%ff",
        "%c3%28",
        "%f0%9f",
        "\\",
        ";",
        "//",
        "/..",
        "/.",
        "%2f",
        "[",
        "]",
        "{",
        "}",
        "|",
        "^",
        "`",
        "<",
        ">",
        "\"",
        "'",
        "$",
        "*",
        "~",
        "\u{fc}",
        "\u{1f600}",
    ];
    for (server, _) in world.guarded() {
        for piece in pieces {
            for target in [
                format!("/api/{piece}"),
                format!("/api/whoami{piece}"),
                format!("/api/whoami?{piece}"),
                format!("/api/whoami?a={piece}&{piece}=b"),
                format!("/v1/keys/{piece}/rotate"),
                format!("/{}", piece.repeat(400)),
            ] {
                stays_out(findings, server, &Ask::get(&target));
            }
        }
        for size in [8_000, 60_000, 70_000] {
            stays_out(findings, server, &Ask::get(format!("/api/{}", "a".repeat(size))));
            stays_out(findings, server, &Ask::get(format!("/api/whoami?{}", "a=b&".repeat(size / 4))));
        }
    }
    // Behind the gate, too, where ids, cursors and words are read.
    for managed in world.managed() {
        for piece in pieces {
            for target in [
                format!("{}/{piece}", managed.base),
                format!("{}?cursor={piece}", managed.base),
                format!("{}?q={piece}", managed.base),
                format!("{}?limit={piece}", managed.base),
            ] {
                let answer = wire::exchange(managed.server.address, &managed.as_manager(Ask::get(&target)));
                findings.holds("no bytes break the management of keys", answer.status < 500, || {
                    format!("{target}: {answer:?}")
                });
            }
        }
    }
    lives(findings, world);
}

fn no_body_breaks_a_program(world: &World, findings: &mut Findings) {
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"\0".to_vec(),
        b"\xff\xfe{\0".to_vec(),
        b"{".to_vec(),
        b"[".repeat(30_000),
        b"{\"a\":".repeat(10_000),
        b"{\"name\":\"\\ud800\"}".to_vec(),
        b"{\"name\":\"\xff\"}".to_vec(),
        b"{\"name\":1e999}".to_vec(),
        format!("{{\"name\":{}}}", "9".repeat(5_000)).into_bytes(),
        format!("{{\"name\":\"{}\"}}", "n".repeat(60_000)).into_bytes(),
        format!("{{\"name\":\"x\",\"metadata\":{{\"a\":\"{}\"}}}}", "m".repeat(64 * 1024)).into_bytes(),
        vec![b' '; 200_000],
        b"name=x&scopes=admin".to_vec(),
        b"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>".to_vec(),
        (0..200).map(|index| format!("\"f{index}\":1")).collect::<Vec<_>>().join(",").into_bytes(),
    ];
    for managed in world.managed() {
        let one = managed.path("/{key_id}", &managed.id);
        for body in &bodies {
            for (method, target) in
                [("POST", managed.base.to_owned()), ("PATCH", one.clone()), ("POST", format!("{one}/rotate"))]
            {
                // A successor with no body at all is what was asked for.
                if body.is_empty() && target.ends_with("rotate") {
                    continue;
                }
                let ask = managed
                    .as_manager(Ask::new(method, &target).field("content-type", "application/json").body(body.clone()));
                stays_out(findings, managed.server, &ask);
                let nobody = Ask::new(method, &target).field("content-type", "application/json").body(body.clone());
                stays_out(findings, managed.server, &nobody);
            }
        }
        for kind in [
            "",
            "text/html",
            "application/json; charset=utf-16",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
            "\u{fc}",
        ] {
            let ask = Ask::new("POST", managed.base).field("content-type", kind).body(b"{}".to_vec());
            stays_out(findings, managed.server, &managed.as_manager(ask));
        }
        let answer = wire::exchange(managed.server.address, &managed.as_manager(Ask::get(&one)));
        findings.holds("nothing has changed", answer.json()["state"] == "active", || answer.body.clone());
    }
    lives(findings, world);
}
