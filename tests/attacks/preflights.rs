//! Requests that look like CORS preflights.

use crate::people::LISTED;
use crate::table::{BAD_REQUEST, Case, Findings, MISSING, cases};
use crate::wire::Ask;
use crate::world::World;

pub(crate) const CASES: &[Case] =
    cases![no_other_options_goes_through_as_a_preflight, no_program_lets_preflights_through_unasked];

const METHOD: &str = "access-control-request-method";

fn no_other_options_goes_through_as_a_preflight(world: &World, findings: &mut Findings) {
    type Fields = Vec<(&'static str, &'static str)>;
    let preflight: Fields = vec![("origin", LISTED), (METHOD, "POST")];
    let with = |more: Fields| [preflight.clone(), more].concat();
    let rows: Vec<(&str, &str, Fields)> = vec![
        ("a bare OPTIONS", "OPTIONS", vec![]),
        ("no origin", "OPTIONS", vec![(METHOD, "GET")]),
        ("no method", "OPTIONS", vec![("origin", LISTED)]),
        ("an origin that is not listed", "OPTIONS", vec![("origin", "https://evil.example"), (METHOD, "GET")]),
        (
            "a listed origin's neighbour",
            "OPTIONS",
            vec![("origin", "https://app.example.com.evil.example"), (METHOD, "GET")],
        ),
        ("a listed origin's neighbour", "OPTIONS", vec![("origin", "https://evil-app.example.com"), (METHOD, "GET")]),
        ("another port", "OPTIONS", vec![("origin", "https://app.example.com:8443"), (METHOD, "GET")]),
        ("the scheme's own port", "OPTIONS", vec![("origin", "https://app.example.com:443"), (METHOD, "GET")]),
        ("another scheme", "OPTIONS", vec![("origin", "http://app.example.com"), (METHOD, "GET")]),
        ("a path", "OPTIONS", vec![("origin", "https://app.example.com/"), (METHOD, "GET")]),
        ("another case", "OPTIONS", vec![("origin", "https://APP.example.com"), (METHOD, "GET")]),
        ("null", "OPTIONS", vec![("origin", "null"), (METHOD, "GET")]),
        ("a star", "OPTIONS", vec![("origin", "*"), (METHOD, "GET")]),
        ("an empty origin", "OPTIONS", vec![("origin", ""), (METHOD, "GET")]),
        (
            "a list of origins",
            "OPTIONS",
            vec![("origin", "https://app.example.com, https://evil.example"), (METHOD, "GET")],
        ),
        (
            "a list of origins",
            "OPTIONS",
            vec![("origin", "https://app.example.com https://evil.example"), (METHOD, "GET")],
        ),
        ("the origin twice", "OPTIONS", with(vec![("origin", LISTED)])),
        ("another origin, too", "OPTIONS", with(vec![("origin", "https://evil.example")])),
        ("the method twice", "OPTIONS", with(vec![(METHOD, "POST")])),
        ("an empty method", "OPTIONS", vec![("origin", LISTED), (METHOD, "")]),
        ("a list of methods", "OPTIONS", vec![("origin", LISTED), (METHOD, "GET, POST")]),
        ("no method at all", "OPTIONS", vec![("origin", LISTED), (METHOD, "a b")]),
        ("no method at all", "OPTIONS", vec![("origin", LISTED), (METHOD, "\u{fc}")]),
        ("another name", "OPTIONS", vec![("origin", LISTED), ("access-control-request-methods", "GET")]),
        ("another name", "OPTIONS", vec![("origin", LISTED), ("access_control_request_method", "GET")]),
        ("GET", "GET", preflight.clone()),
        ("HEAD", "HEAD", preflight.clone()),
        ("POST", "POST", preflight.clone()),
        ("DELETE", "DELETE", preflight.clone()),
        ("PUT", "PUT", preflight.clone()),
        ("methods have a case", "options", preflight.clone()),
        ("methods have a case", "Options", preflight.clone()),
        ("more than it", "OPTIONSX", preflight.clone()),
        ("an override", "POST", with(vec![("x-http-method-override", "OPTIONS")])),
        ("an override", "GET", with(vec![("x-http-method", "OPTIONS"), ("x-method-override", "OPTIONS")])),
    ];
    let paths = ["/api/run/x", "/api/whoami", "/api/organizations/acme/api-keys", "/nowhere", "/API/run/x"];
    for (because, method, fields) in &rows {
        for path in paths {
            let ask = Ask::new(method, path).fields(fields);
            findings.row(because, &world.platform, &ask, &[MISSING]);
        }
    }
    for body in ["x", "{\"name\":\"x\"}"] {
        let ask = Ask::new("OPTIONS", "/api/run/x").fields(&preflight).body(body.into());
        findings.row("a preflight has no body", &world.platform, &ask, &[MISSING]);
        let ask = Ask::new("OPTIONS", "/api/run/x").fields(&preflight).field("transfer-encoding", "chunked");
        findings.row("a preflight has no body", &world.platform, &ask, &[MISSING, BAD_REQUEST]);
    }
    for path in paths {
        let ask = Ask::new("OPTIONS", path).fields(&preflight);
        let answer = findings.row("a true preflight", &world.platform, &ask, &[(204, "")]);
        findings.holds("it gets nowhere", answer.body.is_empty(), || answer.body.clone());
        let allowed = answer.header("access-control-allow-origin") == LISTED;
        findings.holds("it is told to its origin", allowed, || format!("{answer:?}"));
    }
    let evil = Ask::new("OPTIONS", "/api/run/x").field("origin", "https://evil.example").field(METHOD, "GET");
    let answer = findings.row("an origin that is not listed", &world.platform, &evil, &[MISSING]);
    let silent = !answer.headers.iter().any(|(name, _)| name.starts_with("access-control-"));
    findings.holds("it is told nothing", silent, || format!("{answer:?}"));
    findings.at_least(180);
}

fn no_program_lets_preflights_through_unasked(world: &World, findings: &mut Findings) {
    for server in [&world.workspace, &world.organization, &world.chat, &world.generate] {
        for origin in [LISTED, "http://localhost", "null"] {
            for method in ["GET", "POST", "DELETE"] {
                let ask = Ask::new("OPTIONS", "/api/whoami").field("origin", origin).field(METHOD, method);
                findings.row("preflights are not exempt unless switched on", server, &ask, &[MISSING]);
            }
        }
    }
}
