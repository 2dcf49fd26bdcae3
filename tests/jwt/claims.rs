//! What becomes of the claims of a token.

use serde_json::{Value, json};
use tower_api_key::clock::Timestamp;
use tower_api_key::session::{JwtSessions, Session, SessionAnswer, SessionProblem, SessionResolver};

use crate::support::{NOW, bearer, builder, claims, now, problem, signed};

fn session(sessions: &JwtSessions, more: Value) -> Session {
    let mut claims = claims();
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    match sessions.resolve_now(&bearer(&signed(&claims)), now()) {
        Some(SessionAnswer::Valid(session)) => (*session).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_claims_of_a_jwt_say_who_is_signed_in() {
    let sessions = builder().build().unwrap();
    let more = json!({"name": "Ada", "email": "ada@example.test", "scope": "read write", "org_id": "org_1",
        "role": "admin", "department": {"id": 7}});
    let session = session(&sessions, more);
    assert_eq!(session.user.id.as_str(), "user_01");
    assert_eq!(session.user.name.as_deref(), Some("Ada"));
    assert_eq!(session.user.email.as_deref(), Some("ada@example.test"));
    assert_eq!(session.scopes.to_string(), "read write");
    assert_eq!(session.organization.as_ref().unwrap().as_str(), "org_1");
    assert!(session.has_role("admin"));
    assert!(session.memberships[0].has_role("admin"));
    assert_eq!(session.expires_at, Some(Timestamp::from_unix_seconds(NOW + 60)));
    assert_eq!(session.claims["department"]["id"], 7);
    assert_eq!(session.source, "jwt");
}

#[test]
fn the_organisations_and_roles_of_a_jwt_may_be_lists_under_other_names() {
    let sessions = builder().organization_claim("orgs").role_claim("https://example.test/roles").build().unwrap();
    let more = json!({"orgs": ["a", "b", 7, ""], "https://example.test/roles": ["viewer", "editor"], "org_id": "c"});
    let session = session(&sessions, more);
    let organizations: Vec<_> = session.memberships.iter().map(|one| one.organization.as_str()).collect();
    assert_eq!(organizations, ["a", "b"]);
    assert_eq!(session.organization, None, "which of two is not said");
    assert_eq!(session.roles, ["viewer", "editor"]);
    assert!(session.memberships.iter().all(|membership| membership.has_role("editor")));
}

#[test]
fn a_jwt_that_names_nobody_is_nobodys() {
    let sessions = builder().build().unwrap();
    for subject in [Value::Null, json!(""), json!(7), json!("a\u{0}b"), json!("x".repeat(256))] {
        let mut claims = claims();
        claims["sub"] = subject;
        assert_eq!(problem(&sessions, &signed(&claims)), Some(SessionProblem::Nameless));
    }
}
