//! People who manage the keys of their organisations, through the gate.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tower_api_key::clock::Timestamp;
use tower_api_key::key::{KeyClass, KeyOwner, OrganizationId, UserId};
use tower_api_key::limit::Quota;
use tower_api_key::management::{Action, Authority, Management, OrganizationAuthority, ROUTES};
use tower_api_key::session::{
    Membership, PresentedSession, Session, SessionAnswer, SessionLocation, SessionProblem, SessionResolver,
};
use tower_api_key::source::{KeyStore, NewKey};
use tower_api_key::{ApiKeyLayer, AuthContext, Order, User, testing};

use super::support::{ADMIN, Answer, Api, App, READ, WRITE, body, boxed, face, maker, request, send, user};

const ACME: OrganizationId = OrganizationId::from_static("acme");
const GLOBEX: OrganizationId = OrganizationId::from_static("globex");

/// People by their cookie `sid`, which is their name.
struct People;

impl SessionResolver for People {
    type Error = Infallible;

    fn name(&self) -> &'static str {
        "people"
    }

    fn locations(&self) -> Vec<SessionLocation> {
        vec![SessionLocation::cookie("sid")]
    }

    async fn resolve(&self, presented: &PresentedSession, _: Timestamp) -> Result<SessionAnswer, Infallible> {
        Ok(person(presented.expose_secret()).map_or(SessionProblem::Unknown.into(), SessionAnswer::from))
    }
}

fn person(name: &str) -> Option<Session> {
    let member = |id: &'static str, memberships: &[(OrganizationId, &str)]| {
        let mut session = Session::of(User::new(UserId::from_static(id)));
        session.memberships = memberships.iter().map(|(org, role)| Membership::new(org.clone(), [*role])).collect();
        session
    };
    Some(match name {
        "boss" => member("boss", &[(ACME, "admin")]),
        "dev" => member("dev", &[(ACME, "viewer"), (ACME, "developer")]),
        "viewer" => member("viewer", &[(ACME, "viewer")]),
        "stranger" => member("stranger", &[(GLOBEX, "admin")]),
        "nobody" => member("nobody", &[]),
        "both" => member("both", &[(ACME, "admin"), (GLOBEX, "viewer")]),
        "root" => {
            let mut root = member("root", &[(ACME, "viewer")]);
            root.roles = vec!["admin".to_owned()];
            root
        }
        "homeless-root" => {
            let mut root = member("root", &[]);
            root.roles = vec!["admin".to_owned()];
            root.organization = Some(ACME);
            root
        }
        _ => return None,
    })
}

fn by_path() -> OrganizationAuthority {
    OrganizationAuthority::named_by("org").managers(["admin", "developer"]).grantable([READ])
}

/// The API as a platform has it: behind the gate, with people who come by cookies.
fn platform(api: &Api, authority: impl Authority) -> App {
    let auth = ApiKeyLayer::builder(api.keys.clone()).sessions(People).order(Order::SessionFirst);
    let auth = auth.clock(api.clock.clone()).build().unwrap();
    let keys = Management::new(api.keys.clone()).authority(authority).clock(api.clock.clone());
    let keys = keys.audit(api.trail.clone()).router();
    boxed(auth.protect(Router::new().nest("/orgs/{org}/keys", keys)))
}

/// The same as seen by a person, with the organisation told by the session.
fn own(api: &Api, session: Session, authority: OrganizationAuthority) -> App {
    own_with(api, session, |management| management.authority(authority))
}

fn own_with(api: &Api, session: Session, set: impl FnOnce(Management) -> Management) -> App {
    let management = set(Management::new(api.keys.clone()).clock(api.clock.clone()).audit(api.trail.clone()));
    let context: AuthContext = testing::context().session(session).build();
    boxed(Router::new().nest("/v1/keys", management.router()).layer(axum::Extension(context)))
}

fn as_person(mut request: Request<Body>, person: &str) -> Request<Body> {
    request.headers_mut().insert(header::COOKIE, format!("sid={person}").parse().unwrap());
    request
}

/// Every call there is about the key `id` of `org`, made by `person`.
async fn every_call(app: &App, person: &str, org: &str, id: &str, site: Option<&str>) -> Vec<(Action, Answer)> {
    let mut answers = Vec::new();
    for endpoint in ROUTES {
        let path = format!("/orgs/{org}/keys{}", endpoint.path.replace("{key_id}", id));
        let mut request = request(&endpoint.method, path.trim_end_matches('/'), None, body(endpoint.action));
        if let Some(site) = site {
            request.headers_mut().insert("sec-fetch-site", site.parse().unwrap());
        }
        answers.push((endpoint.action, send(app, as_person(request, person)).await));
    }
    answers
}

#[tokio::test]
async fn only_members_with_the_role_make_any_call() {
    let api = Api::new();
    let app = platform(&api, by_path());
    let (_, acmes) = api.issue(NewKey::named("acme's").owner(KeyOwner::organization(ACME))).await;
    for person in ["viewer", "stranger", "nobody", "homeless-root", "forged"] {
        for (action, answer) in every_call(&app, person, "acme", acmes.id.as_str(), None).await {
            let expected = if person == "forged" { (401, "MISSING_API_KEY") } else { (403, "FORBIDDEN") };
            assert_eq!((answer.status.as_u16(), answer.code()), expected, "{person} {action:?}");
        }
        assert_eq!(face(&api.keys.get(&acmes.id).await.unwrap().unwrap()), face(&acmes));
    }
    for org in ["", "%20", "unknown", "ACME", "globex"] {
        for (action, answer) in every_call(&app, "boss", org, acmes.id.as_str(), None).await {
            assert!([403, 404].contains(&answer.status.as_u16()), "{org:?} {action:?}");
            assert_ne!(answer.code(), "KEY_NOT_FOUND", "who is no member learns of no key");
        }
    }
    for person in ["boss", "dev", "both", "root"] {
        for endpoint in ROUTES {
            let (_, target) = api.issue(NewKey::named("target").owner(KeyOwner::organization(ACME))).await;
            let path = format!("/orgs/acme/keys{}", endpoint.path.replace("{key_id}", target.id.as_str()));
            let path = path.trim_end_matches('/');
            let call = as_person(request(&endpoint.method, path, None, body(endpoint.action)), person);
            let answer = send(&app, call).await;
            assert!(answer.status.is_success(), "{person} {endpoint:?}: {answer:?}");
            if endpoint.action == Action::Issue {
                assert_eq!(answer.body["owner"], json!({"user": null, "organization": "acme"}));
            }
        }
    }
}

#[tokio::test]
async fn a_key_of_another_organisation_is_as_one_that_there_is_not() {
    let api = Api::new();
    let app = platform(&api, by_path());
    let targets = [
        NewKey::named("globex's").owner(KeyOwner::organization(GLOBEX)),
        NewKey::named("boss's").owner(KeyOwner::user(UserId::from_static("boss"))),
        NewKey::named("nobody's"),
    ];
    for target in targets {
        let (_, target) = api.issue(target).await;
        let theirs = every_call(&app, "boss", "acme", target.id.as_str(), None).await;
        let missing = every_call(&app, "boss", "acme", "key_doesnotexist12345678", None).await;
        for ((endpoint, (_, theirs)), (_, missing)) in ROUTES.iter().zip(theirs).zip(missing) {
            if endpoint.path.contains("{key_id}") {
                assert_eq!((theirs.status.as_u16(), theirs.code()), (404, "KEY_NOT_FOUND"), "{endpoint:?}");
                assert_eq!(theirs.without_request_id(), missing.without_request_id(), "{endpoint:?}");
            } else {
                assert!(!theirs.body["items"].to_string().contains(target.id.as_str()));
            }
        }
        assert_eq!(face(&api.keys.get(&target.id).await.unwrap().unwrap()), face(&target));
    }
}

#[tokio::test]
async fn another_site_changes_nothing_with_the_cookie_of_a_member() {
    let api = Api::new();
    let app = platform(&api, by_path());
    let (_, acmes) = api.issue(NewKey::named("acme's").owner(KeyOwner::organization(ACME))).await;
    for site in ["cross-site", "same-site"] {
        for (endpoint, (action, answer)) in
            ROUTES.iter().zip(every_call(&app, "boss", "acme", acmes.id.as_str(), Some(site)).await)
        {
            if endpoint.method == Method::GET {
                assert_eq!(answer.status, StatusCode::OK, "{action:?}");
            } else {
                assert_eq!((answer.status.as_u16(), answer.code()), (403, "CROSS_SITE_REQUEST"), "{action:?}");
            }
        }
    }
    assert_eq!(api.all().await.len(), 1);
    assert_eq!(face(&api.all().await[0]), face(&acmes));
    let same = every_call(&app, "boss", "acme", acmes.id.as_str(), Some("same-origin")).await;
    assert_eq!(same[0].1.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_bad_key_beside_the_cookie_of_a_member_is_refused() {
    let api = Api::new();
    let (_, acmes) = api.issue(NewKey::named("acme's").owner(KeyOwner::organization(ACME))).await;
    let (lost, record) = api.issue(NewKey::named("lost")).await;
    assert!(api.keys.revoke(&record.id, None).await.unwrap().is_some());
    let auth = ApiKeyLayer::builder(api.keys.clone()).sessions(People).clock(api.clock.clone()).build().unwrap();
    let keys = Management::new(api.keys.clone()).authority(by_path()).router();
    let app = boxed(auth.protect(Router::new().nest("/orgs/{org}/keys", keys)));
    for (key, code) in [("ak_live_made_up", "INVALID_API_KEY"), (&lost, "REVOKED_API_KEY")] {
        for endpoint in ROUTES {
            let path = format!("/orgs/acme/keys{}", endpoint.path.replace("{key_id}", acmes.id.as_str()));
            let call = request(&endpoint.method, path.trim_end_matches('/'), Some(key), body(endpoint.action));
            let answer = send(&app, as_person(call, "boss")).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (401, code), "{endpoint:?}");
        }
    }
    assert_eq!(face(&api.keys.get(&acmes.id).await.unwrap().unwrap()), face(&acmes));
    assert_eq!(every_call(&app, "boss", "acme", acmes.id.as_str(), None).await[0].1.status, StatusCode::CREATED);
}

#[tokio::test]
async fn no_key_manages_the_keys_of_an_organisation() {
    let api = Api::new();
    let owner = || KeyOwner::organization(ACME);
    let (secret, record) = api.issue(NewKey::named("strong").scopes([ADMIN]).owner(owner())).await;
    let app = platform(&api, by_path());
    for endpoint in ROUTES {
        let path = format!("/orgs/acme/keys{}", endpoint.path.replace("{key_id}", record.id.as_str()));
        let call = request(&endpoint.method, path.trim_end_matches('/'), Some(&secret), body(endpoint.action));
        let answer = send(&app, call).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (403, "FORBIDDEN"), "{endpoint:?}");
    }
    let operator = maker(|record| record.class = KeyClass::Admin);
    let through_a_key = testing::context().key("k").scopes([ADMIN]).session(person("boss").unwrap()).build();
    for context in [operator, through_a_key, user("boss")] {
        let keys = Management::new(api.keys.clone()).authority(by_path()).router();
        let app = boxed(Router::new().nest("/orgs/{org}/keys", keys).layer(axum::Extension(context)));
        for (action, answer) in every_call(&app, "", "acme", record.id.as_str(), None).await {
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{action:?}");
        }
    }
    assert_eq!(face(&api.all().await[0]), face(&record));
}

#[tokio::test]
async fn the_session_tells_the_organisation_if_the_path_does_not() {
    let api = Api::new();
    let made = async |session: Session| {
        let app = own(&api, session, OrganizationAuthority::of_session());
        let answer = send(&app, request(&Method::POST, "/v1/keys", None, Some(json!({"name": "new"})))).await;
        (answer.status.as_u16(), answer.body["owner"]["organization"].clone())
    };
    let working_for = |name: &str, organization: OrganizationId| {
        let mut session = person(name).unwrap();
        session.organization = Some(organization);
        session
    };
    assert_eq!(made(person("boss").unwrap()).await, (201, json!("acme")));
    assert_eq!(made(person("both").unwrap()).await.0, 403, "nobody guesses which");
    assert_eq!(made(working_for("both", ACME)).await, (201, json!("acme")));
    assert_eq!(made(working_for("both", GLOBEX)).await.0, 403, "an administrator elsewhere");
    assert_eq!(made(working_for("boss", GLOBEX)).await.0, 403, "the one that the session names is not theirs");
    assert_eq!(made(person("homeless-root").unwrap()).await.0, 403);
    assert_eq!(made(person("nobody").unwrap()).await.0, 403);
}

#[tokio::test]
async fn every_member_may_see_the_masked_key_and_do_no_more() {
    let api = Api::new();
    let (secret, acmes) = api.issue(NewKey::named("acme's").owner(KeyOwner::organization(ACME))).await;
    let readers = OrganizationAuthority::of_session().members_may_read();
    let app = own(&api, person("viewer").unwrap(), readers.clone());
    for endpoint in ROUTES {
        let path = super::support::path(endpoint, acmes.id.as_str());
        let answer = send(&app, request(&endpoint.method, &path, None, body(endpoint.action))).await;
        let reads = matches!(endpoint.action, Action::List | Action::Read);
        assert_eq!(answer.status, if reads { StatusCode::OK } else { StatusCode::FORBIDDEN }, "{endpoint:?}");
        assert!(!answer.body.to_string().contains(&secret[14..]));
    }
    let listed = send(&app, request(&Method::GET, "/v1/keys", None, None)).await;
    assert_eq!(listed.body["items"][0]["masked"], json!(acmes.masked()));
    let stranger = own(&api, person("nobody").unwrap(), readers);
    assert_eq!(send(&stranger, request(&Method::GET, "/v1/keys", None, None)).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn members_give_only_what_may_be_given() {
    let api = Api::new();
    let make = async |authority: OrganizationAuthority, body: Value| {
        let app = own(&api, person("boss").unwrap(), authority);
        send(&app, request(&Method::POST, "/v1/keys", None, Some(body))).await
    };
    let none = OrganizationAuthority::of_session;
    let with = |field: &str, value: Value| json!({"name": "new", field: value});
    assert_eq!(make(none(), with("scopes", json!(["read"]))).await.fields(), ["scopes"].into());
    assert_eq!(make(none().grantable([READ]), with("scopes", json!([WRITE]))).await.fields(), ["scopes"].into());
    assert_eq!(make(none(), with("environment", json!("test"))).await.fields(), ["environment"].into());
    assert_eq!(make(none(), with("rateLimits", json!([{"unlimited": true}]))).await.fields(), ["rateLimits"].into());
    assert_eq!(make(none().grantable([READ]), with("scopes", json!(["read"]))).await.status, StatusCode::CREATED);
    let bound = none().grantable_quotas([Quota::per_hour(10)]);
    assert_eq!(make(bound, json!({"name": "new"})).await.body["rateLimits"][0]["limit"], 10);
    assert_eq!(make(none().managers([""; 0]), json!({"name": "new"})).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_named_request_is_of_one_member_and_about_one_organisation() {
    let api = Api::new();
    let authority = OrganizationAuthority::named_by("org").managers(["admin", "developer", "viewer"]);
    let app = platform(&api, authority);
    let make = async |person: &str, org: &str| {
        let path = format!("/orgs/{org}/keys");
        let mut call = as_person(request(&Method::POST, &path, None, Some(json!({"name": "new"}))), person);
        call.headers_mut().insert("idempotency-key", "one".parse().unwrap());
        send(&app, call).await.status.as_u16()
    };
    for (person, org) in [("boss", "acme"), ("dev", "acme"), ("both", "acme"), ("both", "globex")] {
        assert_eq!((make(person, org).await, make(person, org).await), (201, 200), "{person} {org}");
    }
    assert_eq!(api.all().await.len(), 4);
}

#[tokio::test]
async fn an_organisation_has_one_current_key() {
    let api = Api::new();
    let single = |management: Management| management.authority(OrganizationAuthority::of_session()).single_key();
    let app = own_with(&api, person("boss").unwrap(), single);
    let make = || send(&app, request(&Method::POST, "/v1/keys", None, Some(json!({"name": "new"}))));
    let call = async |id: &Value, what: &str, body: Value| {
        let path = format!("/v1/keys/{}{what}", id.as_str().unwrap());
        let method = if what.is_empty() { Method::PATCH } else { Method::POST };
        send(&app, request(&method, &path, None, Some(body))).await
    };
    // A member's own key, and that of another organisation, are not the organisation's.
    let both = KeyOwner { user: Some(UserId::from_static("boss")), organization: Some(ACME) };
    for owner in [both, KeyOwner::organization(GLOBEX), KeyOwner::user(UserId::from_static("acme"))] {
        api.issue(NewKey::named("other").owner(owner)).await;
    }
    let first = make().await;
    assert_eq!(first.status, StatusCode::CREATED);
    let refused = make().await;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "CONFLICT"));
    assert_eq!(call(&first.body["id"], "/disable", json!({})).await.status, StatusCode::OK);
    assert_eq!(make().await.status, StatusCode::CONFLICT, "one that is disabled can be enabled again");
    assert_eq!(call(&first.body["id"], "/enable", json!({})).await.status, StatusCode::OK);

    let next = call(&first.body["id"], "/regenerate", json!({"overlapSeconds": 60})).await;
    assert_eq!(next.status, StatusCode::CREATED, "this is how to get another");
    assert_eq!(make().await.status, StatusCode::CONFLICT);
    assert_eq!(call(&next.body["id"], "/revoke", json!({})).await.status, StatusCode::OK);
    let third = make().await;
    assert_eq!(third.status, StatusCode::CREATED, "a lost key can be replaced");

    let end = json!({"expiresAt": "2026-01-15T00:00:00Z"});
    assert_eq!(call(&third.body["id"], "", end).await.status, StatusCode::OK);
    api.clock.advance(Duration::from_secs(86_400));
    let fourth = make().await;
    assert_eq!(fourth.status, StatusCode::CREATED, "one that has expired is not current");
    let revived = call(&third.body["id"], "", json!({"expiresAt": null})).await;
    assert_eq!((revived.status.as_u16(), revived.code()), (409, "CONFLICT"));
    let renamed = call(&third.body["id"], "", json!({"name": "old"})).await;
    assert_eq!(renamed.status, StatusCode::OK);
    assert_eq!(call(&fourth.body["id"], "/revoke", json!({})).await.status, StatusCode::OK);
    assert_eq!(call(&third.body["id"], "", json!({"expiresAt": null})).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_choice_of_days_is_kept_to_and_dates_stay_free() {
    let api = Api::new();
    let make = async |choice: &[u32], body: Value| {
        let set = |management: Management| {
            management.authority(OrganizationAuthority::of_session()).choice_of_days(choice.iter().copied())
        };
        send(&own_with(&api, person("boss").unwrap(), set), request(&Method::POST, "/v1/keys", None, Some(body))).await
    };
    const DAYS: &[u32] = &[7, 30, 90, 365];
    for days in DAYS {
        let answer = make(DAYS, json!({"name": "new", "expiresInDays": days})).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let end: Timestamp = answer.body["expiresAt"].as_str().unwrap().parse().unwrap();
        let made: Timestamp = answer.body["createdAt"].as_str().unwrap().parse().unwrap();
        assert_eq!(end.since(made).as_secs(), u64::from(*days) * 86_400);
    }
    for days in [json!(1), json!(8), json!(0), json!(366), json!("7"), json!(4_294_967_303_u64)] {
        let answer = make(DAYS, json!({"name": "new", "expiresInDays": days})).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (422, ["expiresInDays"].into()), "{days}");
        assert_eq!(answer.body["details"]["fields"]["expiresInDays"], "must be one of 7, 30, 90, 365");
    }
    let date = json!({"name": "new", "expiresAt": "2026-02-01T00:00:00Z"});
    assert_eq!(make(DAYS, date.clone()).await.status, StatusCode::CREATED);
    assert_eq!(make(DAYS, json!({"name": "new"})).await.body["expiresAt"], Value::Null);
    assert_eq!(make(&[], json!({"name": "new", "expiresInDays": 7})).await.fields(), ["expiresInDays"].into());
    assert_eq!(make(&[], date).await.status, StatusCode::CREATED);
}
