//! A path judged by one spelling and routed by another, and everything else that says which path it is.

use serde_json::Value;

use crate::table::{BAD_REQUEST, Case, Findings, MISSING, NO_SCOPE, NOTHING, OK, cases};
use crate::wire::{self, Ask};
use crate::world::{ADMIN, CHAT, Server, World, bearer};

pub(crate) const CASES: &[Case] = cases![
    no_spelling_of_a_guarded_path_is_open_to_any_method,
    no_spelling_of_a_restricted_path_needs_less_than_its_scope,
    no_spelling_of_a_public_path_but_its_own_is_public,
    no_way_to_write_a_target_or_a_host_opens_a_path,
    no_spelling_of_a_forwarded_path_leads_out_of_it,
];

const BECAUSE: &str =
    "CVE-2021-43557, CVE-2021-29492, CVE-2019-9901, CVE-2026-48746: judged by one spelling, routed by another";

const METHODS: [&str; 12] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "get", "GETS"];

/// Spellings that one server or another takes for `path`.
fn spellings(path: &str) -> Vec<String> {
    let (head, last) = path.rsplit_once('/').expect("a path");
    let (first, rest) = last.split_at(1);
    let byte = first.as_bytes()[0];
    let second = |with: &str| path.replacen('/', "\0", 1).replacen('/', with, 1).replace('\0', "/");
    let mut all = vec![
        format!("/{path}"),
        format!("//{path}"),
        format!("/.{path}"),
        format!("/..{path}"),
        format!("/%2e{path}"),
        format!("/%2E%2e{path}"),
        format!("/x/..{path}"),
        format!("/x/%2e%2e{path}"),
        format!("/x/.%2e{path}"),
        format!("/x%2f..{path}"),
        format!("/x;a=b/..{path}"),
        format!("/..;{path}"),
        format!("/;{path}"),
        format!("/%00{path}"),
        format!("{path}/"),
        format!("{path}//"),
        format!("{path}/."),
        format!("{path}/./"),
        format!("{path}/x/.."),
        format!("{path}/%2e"),
        format!("{path}/..;/{last}"),
        format!("{path}/%2e%2e/{last}"),
        format!("{path};"),
        format!("{path};a=b"),
        format!("{path};/"),
        format!("{path}%3ba=b"),
        format!("{path}%2f"),
        format!("{path}%252f"),
        format!("{path}\\"),
        format!("{path}%5c"),
        format!("{path}%00"),
        format!("{path}%20"),
        format!("{path}%09"),
        format!("{path}%0a"),
        format!("{path}%23"),
        format!("{path}%3f"),
        format!("{path}.json"),
        format!("{path}?"),
        format!("{path}?x={path}"),
        path.to_uppercase(),
        path.replace('/', "//"),
        second("\\"),
        second("%2f"),
        second("%2F"),
        second("%5c"),
        second("%252f"),
        second("%c0%af"),
        second("%ef%bc%8f"),
        second("//"),
        second("/./"),
        second("/;/"),
        second("/y/../"),
        second("/y/%2e%2e/"),
        second("/y/..;/"),
        second(";v=1/"),
        format!("{head}/%{byte:02x}{rest}"),
        format!("{head}/%{byte:02X}{rest}"),
        format!("{head}/%25{byte:02x}{rest}"),
        format!("{head}/{}{rest}", first.to_uppercase()),
    ];
    all.retain(|spelling| spelling != path);
    all
}

fn no_spelling_of_a_guarded_path_is_open_to_any_method(world: &World, findings: &mut Findings) {
    let refused = [MISSING, BAD_REQUEST];
    let targets: [(&Server, &[&str]); 4] = [
        (&world.generate, &["/v1/keys", "/v1/keys/key_1/rotate", "/v1/generate", "/api/whoami"]),
        (&world.workspace, &["/account/api-keys", "/api/ask"]),
        (&world.organization, &["/api/organization/api-keys", "/api/projects"]),
        (&world.platform, &["/api/organizations/acme/api-keys", "/api/run/anything"]),
    ];
    for (server, paths) in targets {
        for path in paths {
            for spelling in spellings(path).iter().map(String::as_str).chain([*path]) {
                // Each of them with some methods, all of them with all.
                let at = spelling.len() % 3;
                for method in METHODS.iter().skip(at).step_by(3) {
                    // Nobody can be a member of an organisation for a caller who has not said who they are.
                    let token = (401, "MISSING_USER_TOKEN");
                    let user = [refused[0], refused[1], token];
                    findings.row(BECAUSE, server, &Ask::new(method, spelling), &user);
                }
            }
        }
    }
    findings.at_least(2_000);
}

fn no_spelling_of_a_restricted_path_needs_less_than_its_scope(world: &World, findings: &mut Findings) {
    let server = &world.generate;
    let victim = world.of_operator(&serde_json::json!({ "name": "victim", "scopes": ["read"] }));
    let look = || {
        let seen = wire::exchange(server.address, &bearer(Ask::get(format!("/v1/keys/{}", victim.id)), ADMIN));
        (seen.header("etag").to_owned(), seen.json()["state"].clone())
    };
    let before = look();
    let of_victim = format!("/v1/keys/{}", victim.id);
    let rotate = format!("{of_victim}/rotate");
    let revoke = format!("{of_victim}/revoke");
    let paths = [
        ("POST", "/v1/keys"),
        ("GET", "/v1/keys"),
        ("HEAD", "/v1/keys"),
        ("GET", &of_victim),
        ("PATCH", &of_victim),
        ("DELETE", &of_victim),
        ("POST", &rotate),
        ("POST", &revoke),
        ("GET", "/v1/webhooks"),
        ("PUT", "/v1/resources/1"),
    ];
    // A path that is restricted in no reading of it is one that there is nothing at.
    let refused = [NO_SCOPE, NOTHING, (405, ""), BAD_REQUEST];
    for (method, path) in paths {
        for spelling in spellings(path).into_iter().chain([path.to_owned()]) {
            let ask = bearer(Ask::new(method, spelling), &world.reader.key);
            let ask = if ["GET", "HEAD"].contains(&method) { ask } else { ask.json(r#"{"name":"minted by a path"}"#) };
            findings.row(BECAUSE, server, &ask, &refused);
        }
    }
    let after = look();
    findings.holds(BECAUSE, before == after, || format!("{before:?} became {after:?}"));
    let minted = wire::exchange(server.address, &bearer(Ask::get("/v1/keys?q=minted%20by%20a%20path"), ADMIN)).json();
    findings.holds(BECAUSE, minted["items"] == Value::Array(Vec::new()), || minted.to_string());
    findings.at_least(500);
}

fn no_spelling_of_a_public_path_but_its_own_is_public(world: &World, findings: &mut Findings) {
    const PUBLIC: &str = "/api/system/env-status";
    let refused = [MISSING, BAD_REQUEST];
    for method in METHODS {
        let exact = Ask::new(method, PUBLIC);
        let expected = if ["GET", "HEAD"].contains(&method) { OK } else { MISSING };
        findings.row("a permission is for its method", &world.chat, &exact, &[expected]);
        for spelling in spellings(PUBLIC).iter().filter(|spelling| !spelling.contains('?')) {
            // All that is under the prefix is guarded, be it there or not; what is elsewhere is not there.
            let expected = if spelling.starts_with("/api/") { MISSING } else { NOTHING };
            findings.row(BECAUSE, &world.chat, &Ask::new(method, spelling), &[expected, BAD_REQUEST]);
        }
    }
    // Under the gate, whether there is something or not.
    for path in ["/api", "/api/", "/api/x", "/api/system", "/api/system/", "/api/system/env-status/x", "/api/whoami"] {
        for method in METHODS {
            findings.row("all under /api needs the key", &world.chat, &Ask::new(method, path), &[MISSING]);
        }
    }
    for public in ["/docs", "/docs/", "/openapi.json"] {
        for beyond in
            ["/../api/whoami", "/..;/api/whoami", "/%2e%2e/api/whoami", "%2f..%2fapi%2fwhoami", "/./../x", "//x"]
        {
            let ask = Ask::get(format!("{public}{beyond}"));
            findings.row("a public prefix leads nowhere else", &world.platform, &ask, &refused);
        }
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            findings.row("a permission is for its method", &world.platform, &Ask::new(method, public), &[MISSING]);
        }
    }
    findings.at_least(600);
}

fn no_way_to_write_a_target_or_a_host_opens_a_path(world: &World, findings: &mut Findings) {
    let refused = [MISSING, BAD_REQUEST, NOTHING];
    let targets = [
        "http://localhost/api/whoami",
        "http://evil.example/api/whoami",
        "https://localhost/api/whoami",
        "HTTP://LOCALHOST/api/whoami",
        "http://localhost/api/system/env-status@/api/whoami",
        "http://user:password@localhost/api/whoami",
        "http://localhost:80/api/whoami?/api/system/env-status",
        "http:///api/whoami",
        "http:/api/whoami",
        "//localhost/api/whoami",
        "/api/whoami#/api/system/env-status",
        "/api/whoami?/api/system/env-status",
        "/api/whoami;/api/system/env-status",
        "api/whoami",
        "*",
        "localhost:80",
        "?",
        "",
        "/",
    ];
    for target in targets {
        for method in ["GET", "POST", "CONNECT", "OPTIONS"] {
            for server in [&world.chat, &world.generate] {
                let ask = Ask::new(method, target);
                let because = "RFC 9112 §3.2: absolute-form, authority-form and asterisk-form name a path, too";
                // The server ends CONNECT to a path with 400 itself.
                findings.row(because, server, &ask, &refused);
            }
        }
    }
    let because = "what `Host` says is not where a request goes";
    for host in ["localhost/api/system/env-status", "internal", "127.0.0.1", "admin.localhost", "", "a b", "x@y"] {
        for server in [&world.chat, &world.generate] {
            findings.row(because, server, &Ask::get("/api/whoami").host(Some(host)), &refused);
        }
    }
    for server in [&world.chat, &world.generate] {
        findings.row(because, server, &Ask::get("/api/whoami").host(None), &refused);
        findings.row(because, server, &Ask::get("/api/whoami").field("host", "other"), &refused);
    }
    let whole = Ask::get("http://localhost/api/system/env-status");
    findings.row("the path of an absolute target is its path", &world.chat, &whole, &[OK]);
    findings.at_least(150);
}

fn no_spelling_of_a_forwarded_path_leads_out_of_it(world: &World, findings: &mut Findings) {
    let climbs = [
        "/api/run/../whoami",
        "/api/run/..",
        "/api/run/%2e%2e/admin",
        "/api/run/.%2e/admin",
        "/api/run/%2E%2E%2Fadmin",
        "/api/run/..%2fadmin",
        "/api/run/..%5cadmin",
        "/api/run/..\\admin",
        "/api/run/x/..;/..;/admin",
        "/api/run/..;a=b/admin",
        "/api/run/x%2f..%2f..%2fadmin",
        "/api/run/%2e%2e;/admin",
        "/api/run/..%3b/admin",
        "/api/run/a/b/../../../admin",
    ];
    let refused = [(400, "MALFORMED_REQUEST"), BAD_REQUEST, NOTHING];
    for path in climbs {
        for method in ["GET", "POST", "DELETE"] {
            let ask = Ask::new(method, path).field("x-api-key", &world.acme.key);
            findings.row("CVE-2021-29492: the service behind reads `..` otherwise", &world.platform, &ask, &refused);
        }
    }
    for (path, seen) in [("/api/run/a//b?c=%2e%2e", "/api/run/a//b?c=%2e%2e"), ("/api/run/%61", "/api/run/%61")] {
        let ask = Ask::get(path).field("x-api-key", &world.acme.key);
        let answer = findings.row("a path goes on as it was judged", &world.platform, &ask, &[(207, "")]);
        findings.holds("a path goes on as it was judged", answer.json()["uri"] == seen, || answer.body.clone());
    }
    let ask = Ask::get("/api/whoami").field("x-api-key", CHAT);
    findings.row("the key itself is good", &world.chat, &ask, &[OK]);
}
