//! Keys of another tenant, by every call of the management API.

use http::Method;
use serde_json::{Value, json};
use tower_api_key::management::{Action, Endpoint, ROUTES};

use crate::people::{ada, cookie};
use crate::table::{Case, Expected, FORBIDDEN, Findings, INVALID, MISSING, NO_KEY, NO_SCOPE, NO_SESSION, cases};
use crate::wire::{self, Answer, Ask};
use crate::world::{ACME, ADMIN, GLOBEX, Managed, World, admin_of, bearer, member_of};

pub(crate) const CASES: &[Case] = cases![
    no_call_is_answered_to_somebody_without_authority,
    no_key_of_another_tenant_can_be_told_from_one_that_does_not_exist,
    no_list_shows_a_key_of_another_tenant,
    no_member_without_the_role_manages_keys,
    no_key_of_one_environment_opens_another,
];

const BECAUSE: &str = "CVE-2025-61928: keys were minted without authority, and for others";

/// A body that the call would take.
fn body(endpoint: &Endpoint) -> Option<Value> {
    match (&endpoint.method, endpoint.action) {
        (_, Action::Issue) => Some(json!({ "name": "by nobody" })),
        (_, Action::Update) => Some(json!({ "name": "taken over" })),
        (&Method::POST, _) => Some(json!({})),
        _ => None,
    }
}

fn call(managed: &Managed<'_>, endpoint: &Endpoint, id: &str) -> Ask {
    let ask = Ask::new(endpoint.method.as_str(), managed.path(endpoint.path, id));
    match body(endpoint) {
        Some(body) => ask.json(body),
        None => ask,
    }
}

/// The key as whoever manages it sees it, with its version.
fn seen(managed: &Managed<'_>) -> (String, Value) {
    let answer =
        wire::exchange(managed.server.address, &managed.as_manager(Ask::get(managed.path("/{key_id}", &managed.id))));
    assert_eq!(answer.status, 200, "{}: {}", managed.server.name, answer.body);
    (answer.header("etag").to_owned(), answer.json()["state"].clone())
}

fn no_call_is_answered_to_somebody_without_authority(world: &World, findings: &mut Findings) {
    for managed in world.managed() {
        let before = seen(&managed);
        let count = keys(&managed);
        // Who is known and may not manage is 403, who is not known 401.
        let refused: [Expected; 8] = [
            MISSING,
            NO_SESSION,
            INVALID,
            FORBIDDEN,
            NO_SCOPE,
            (401, "MISSING_USER_TOKEN"),
            (401, "INVALID_USER_TOKEN"),
            (401, "REVOKED_API_KEY"),
        ];
        let keys_of_all =
            [&world.reader, &world.writer, &world.revoked, &world.acme, &world.globex, &world.ann, &world.bea];
        let mut callers: Vec<Vec<(&str, String)>> = vec![vec![]];
        for key in keys_of_all.map(|held| held.key.as_str()).into_iter().chain([ACME, GLOBEX, "x"]) {
            callers.push(vec![("authorization", format!("Bearer {key}"))]);
            callers.push(vec![("x-api-key", key.to_owned())]);
            callers.push(vec![("x-organization-api-key", key.to_owned())]);
        }
        callers.push(vec![(
            "cookie",
            "better-auth.session_token=x.y; authjs.session-token=x; next-auth.session-token=y".into(),
        )]);
        callers.push(vec![("cookie", cookie("nobody"))]);
        callers.push(vec![("authorization", "Basic YWRtaW46YWRtaW4=".into())]);
        for (index, fields) in callers.iter().enumerate() {
            for endpoint in ROUTES {
                for id in [managed.id.as_str(), "key_0000000000000000000000"] {
                    let ask =
                        fields.iter().fold(call(&managed, endpoint, id), |ask, (name, value)| ask.field(name, value));
                    // A person's own key of `workspace` is good there, and manages nothing all the same.
                    let answer = findings.row(BECAUSE, managed.server, &ask, &refused);
                    findings.holds("nothing is told", !answer.body.contains(&managed.id), || {
                        format!("{index}: {}", answer.body)
                    });
                }
            }
        }
        let after = seen(&managed);
        findings.holds(BECAUSE, before == after, || format!("{before:?} became {after:?}"));
        findings.holds(BECAUSE, keys(&managed) == count, || format!("{}: keys were made", managed.server.name));
    }
    findings.at_least(ROUTES.len() * 2 * 4 * 30);
}

/// How many keys of nobody's making there are.
fn keys(managed: &Managed<'_>) -> usize {
    let list = Ask::get(format!("{}?q=by%20nobody", managed.base));
    let answer = wire::exchange(managed.server.address, &managed.as_manager(list));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["items"].as_array().map_or(0, Vec::len)
}

/// What an answer says, without the id of the request.
fn told(answer: &Answer) -> (u16, Vec<&String>, Value) {
    let mut body = answer.json();
    if let Some(body) = body.as_object_mut() {
        body.remove("requestId");
    }
    if let Some(details) = body.pointer_mut("/error/details").and_then(Value::as_object_mut) {
        details.remove("request_id");
    }
    (answer.status, answer.headers.iter().map(|(name, _)| name).collect(), body)
}

fn no_key_of_another_tenant_can_be_told_from_one_that_does_not_exist(world: &World, findings: &mut Findings) {
    let globex = "/api/organizations/globex/api-keys";
    let [workspace, organization, platform, _] = world.managed();
    let crossings: [(&Managed<'_>, &'static str, (&'static str, String)); 3] = [
        (&workspace, workspace.base, ("cookie", world.bea_cookie())),
        (&organization, organization.base, ("authorization", admin_of("globex"))),
        (&platform, globex, ("cookie", cookie("eve"))),
    ];
    for (theirs, base, stranger) in crossings {
        let before = seen(theirs);
        let others = Managed { server: theirs.server, base, manager: stranger, id: theirs.id.clone() };
        for endpoint in ROUTES.iter().filter(|endpoint| endpoint.path.contains("{key_id}")) {
            let made_up = theirs.id.chars().rev().take(theirs.id.len() - 4).collect::<String>();
            let of_theirs = others.as_manager(call(&others, endpoint, &theirs.id));
            let of_nobody = others.as_manager(call(&others, endpoint, &format!("key_{made_up}")));
            let first = findings.row("another tenant's key", theirs.server, &of_theirs, &[NO_KEY]);
            let second = findings.row("no key", theirs.server, &of_nobody, &[NO_KEY]);
            findings.holds("they cannot be told apart", told(&first) == told(&second), || {
                format!("{:?} {:?}\n{first:?}\n{second:?}", endpoint.method, endpoint.path)
            });
            for field in [("if-match", before.0.as_str()), ("if-match", "*"), ("idempotency-key", "crossing")] {
                findings.row("another tenant's key", theirs.server, &of_theirs.clone().fields(&[field]), &[NO_KEY]);
            }
        }
        let after = seen(theirs);
        findings.holds("nothing has changed", before == after, || format!("{before:?} became {after:?}"));
    }
    // The organisation of the path is not the caller's.
    for endpoint in ROUTES {
        for (base, stranger, id) in [
            (platform.base, cookie("eve"), &world.acme.id),
            (globex, ada(), &world.globex.id),
            (globex, cookie("cyd"), &world.globex.id),
            (platform.base, cookie("dan"), &world.acme.id),
            ("/api/organizations/nowhere/api-keys", ada(), &world.acme.id),
            ("/api/organizations/acme%20/api-keys", cookie("eve"), &world.acme.id),
            ("/api/organizations/ACME/api-keys", cookie("eve"), &world.acme.id),
            ("/api/organizations/globex%2f..%2facme/api-keys", cookie("eve"), &world.acme.id),
            ("/api/organizations/globex%00acme/api-keys", cookie("eve"), &world.acme.id),
        ] {
            let others = Managed { server: platform.server, base, manager: ("cookie", stranger), id: id.clone() };
            let ask = others.as_manager(call(&others, endpoint, id));
            findings.row("a non-member", platform.server, &ask, &[FORBIDDEN, (400, "MALFORMED_REQUEST")]);
        }
    }
    findings.at_least(200);
}

fn no_list_shows_a_key_of_another_tenant(world: &World, findings: &mut Findings) {
    let lists = [
        (&world.workspace, "/account/api-keys", ("cookie", world.bea_cookie()), &world.bea.id, &world.ann.id),
        (
            &world.platform,
            "/api/organizations/globex/api-keys",
            ("cookie", cookie("eve")),
            &world.globex.id,
            &world.acme.id,
        ),
        (&world.platform, "/api/organizations/acme/api-keys", ("cookie", ada()), &world.acme.id, &world.globex.id),
    ];
    for (server, base, (name, value), own, others) in lists {
        for query in [
            String::new(),
            "?limit=100".into(),
            "?q=new".into(),
            format!("?q={others}"),
            "?state=active".into(),
            "?organization=acme".into(),
            "?user=*&owner=ann".into(),
            "?q=%25".into(),
            "?q='%20OR%201=1--".into(),
        ] {
            let answer = wire::exchange(server.address, &Ask::get(format!("{base}{query}")).field(name, &value));
            let because = "a list is of one's own keys, whatever it is narrowed by";
            findings.holds(because, !answer.body.contains(others.as_str()) || query.contains(others.as_str()), || {
                format!("{query}: {}", answer.body)
            });
            let ids = answer.json()["items"].as_array().map(|items| items.iter().any(|item| item["id"] == **others));
            findings.holds(because, ids != Some(true), || answer.body.clone());
            findings.holds(because, [200, 422].contains(&answer.status), || format!("{query}: {}", answer.body));
            if query.is_empty() {
                findings.holds("one's own is there", answer.body.contains(own.as_str()), || answer.body.clone());
            }
        }
        // A cursor of somebody else's list.
        let first = wire::exchange(world.generate.address, &bearer(Ask::get("/v1/keys?limit=1"), ADMIN)).json();
        let cursor = first["nextCursor"].as_str().expect("there are more").to_owned();
        let answer = wire::exchange(server.address, &Ask::get(format!("{base}?cursor={cursor}")).field(name, &value));
        findings.holds("a cursor gives no reach", !answer.body.contains(others.as_str()), || answer.body.clone());
        findings.holds("a cursor is answered", answer.status < 500, || answer.body.clone());
    }
}

fn no_member_without_the_role_manages_keys(world: &World, findings: &mut Findings) {
    let [_, organization, platform, _] = world.managed();
    for (managed, member) in
        [(&platform, ("cookie", cookie("bob"))), (&organization, ("authorization", member_of("acme")))]
    {
        let before = seen(managed);
        for endpoint in ROUTES {
            let reads = managed.server.name == "organization" && endpoint.method == Method::GET;
            if reads {
                continue;
            }
            let ask = call(managed, endpoint, &managed.id).field(member.0, &member.1);
            findings.row("a member is no manager", managed.server, &ask, &[FORBIDDEN]);
            let ask = ask.field("x-api-key", &world.acme.key);
            findings.row("nor is one with a key", managed.server, &ask, &[FORBIDDEN]);
        }
        findings.holds("nothing has changed", before == seen(managed), || "it has");
    }
    for (because, role) in [
        ("a role is a whole word", json!("administrator")),
        ("a role has its case", json!("ADMIN")),
        ("a role is no list in a text", json!("member admin")),
        ("a role is text", json!(true)),
        ("a role is text", json!({ "admin": true })),
        ("a role is text", json!(1)),
        ("none", Value::Null),
    ] {
        let token = crate::forged::token(json!({ "org_id": "acme", "role": role }));
        let ask = bearer(Ask::post(organization.base, json!({ "name": "x" })), &token);
        findings.row(because, organization.server, &ask, &[FORBIDDEN, (401, "INVALID_USER_TOKEN")]);
    }
}

fn no_key_of_one_environment_opens_another(world: &World, findings: &mut Findings) {
    let because = "a key of `test` never opens `live`, and the other way round";
    // Both programs have read both keys.
    for (server, id) in [(&world.generate, &world.tester.id), (&world.test, &world.reader.id)] {
        let ask = bearer(Ask::get(format!("/v1/keys/{id}")), ADMIN);
        let known = (0..1_000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            wire::exchange(server.address, &ask).status == 200
        });
        findings.holds("one store for both", known, || format!("{} does not know {id}", server.name));
    }
    for path in ["/api/whoami", "/v1/keys", "/v1/generate", "/v1/webhooks"] {
        for _ in 0..3 {
            findings.row(because, &world.generate, &bearer(Ask::get(path), &world.tester.key), &[INVALID]);
            findings.row(because, &world.test, &bearer(Ask::get(path), &world.manager.key), &[INVALID]);
        }
    }
    findings.row(
        "it is good where it belongs",
        &world.test,
        &bearer(Ask::get("/api/whoami"), &world.tester.key),
        &[(200, "")],
    );
    let renamed = world.tester.key.replacen("_test_", "_live_", 1);
    findings.row(
        "the name of an environment is no environment",
        &world.generate,
        &bearer(Ask::get("/api/whoami"), &renamed),
        &[INVALID],
    );
}
