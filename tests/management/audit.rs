//! What is told of acts, and who may read it.

use axum::Router;
use http::{Method, header};
use serde_json::{Value, json};
use tower_api_key::audit::{AuditEvent, AuditTrail, MemoryAudit};
use tower_api_key::key::{KeyOwner, OrganizationId, UserId};
use tower_api_key::management::{Action, Management, OrganizationAuthority, ROUTES, StandardAuthority};
use tower_api_key::source::NewKey;
use tower_api_key::{AuthContext, testing};

use super::support::{ADMIN, Answer, Api, App, READ, body, boxed, get, guarded, path, post, request, send, user};

const ACME: OrganizationId = OrganizationId::from_static("acme");

/// What the trail has of acts, the latest first. Each was told as JSON that holds no secret.
async fn acts(api: &Api) -> Vec<AuditEvent> {
    api.trail.flush().await.unwrap();
    let all = api.events.all();
    all.into_iter().rev().filter(|event| event.action.as_str() != "authenticate").collect()
}

async fn last(api: &Api) -> Value {
    serde_json::to_value(acts(api).await.first().expect("an act was told")).unwrap()
}

async fn read(app: &App, query: &str) -> Answer {
    send(app, request(&Method::GET, &format!("/v1/keys/audit{query}"), None, None)).await
}

fn items(answer: &Answer) -> Vec<&Value> {
    answer.body["items"].as_array().unwrap_or_else(|| panic!("{answer:?}")).iter().collect()
}

#[tokio::test]
async fn every_act_is_told_with_who_did_it_and_what_changed() {
    let api = Api::new();
    let (admin, maker) = api.issue(NewKey::named("admin").scopes([ADMIN])).await;
    let mut made =
        request(&Method::POST, "/v1/keys", Some(&admin), Some(json!({"name": "ci", "metadata": {"team": "a"}})));
    made.headers_mut().insert("x-request-id", "r-1".parse().unwrap());
    let made = send(&api.app, made).await;
    let id = made.body["id"].as_str().unwrap().to_owned();
    let told = last(&api).await;
    assert_eq!(told["action"], "key.create");
    assert_eq!((&told["outcome"], &told["reason"]), (&json!("accepted"), &json!("api_key")));
    assert_eq!(told["actor"], json!({"method": "api_key", "user": null, "keyId": maker.id}));
    assert_eq!((&told["keyId"], &told["method"], &told["path"]), (&json!(id), &json!("POST"), &json!("/v1/keys")));
    assert_eq!((&told["requestId"], &told["at"]), (&json!("r-1"), &json!("2026-01-14T18:00:00.000Z")));
    assert_eq!(told["changes"]["name"], json!({"before": null, "after": "ci"}));
    assert_eq!(told["changes"]["state"], json!({"before": null, "after": "active"}));
    assert_eq!(told["changes"]["metadata"], json!({"before": null, "after": {"team": "a"}}));
    assert_eq!(told["changes"].get("allowedIps"), None, "what is nothing has not changed");

    let one = |action: Action| ROUTES.iter().find(|endpoint| endpoint.action == action).unwrap();
    let expected = [
        (Action::Update, "key.update", json!({"name": {"before": "ci", "after": "changed"}})),
        (Action::Disable, "key.disable", json!({"state": {"before": "active", "after": "disabled"}})),
        (Action::Enable, "key.enable", json!({"state": {"before": "disabled", "after": "active"}})),
    ];
    for (action, name, changes) in expected {
        let answer =
            send(&api.app, request(&one(action).method, &path(one(action), &id), Some(&admin), body(action))).await;
        assert!(answer.status.is_success(), "{answer:?}");
        let told = last(&api).await;
        assert_eq!((&told["action"], &told["keyId"], &told["changes"]), (&json!(name), &json!(id), &changes));
    }
    for (action, name, state) in
        [(Action::Rotate, "key.rotate", "overlap"), (Action::Regenerate, "key.regenerate", "revoked")]
    {
        let (_, target) = api.issue(NewKey::named("target")).await;
        let asked = if action == Action::Rotate { body(action) } else { None };
        let path = path(one(action), target.id.as_str());
        let made = send(&api.app, request(&Method::POST, &path, Some(&admin), asked)).await;
        let told = last(&api).await;
        assert_eq!((&told["action"], &told["keyId"]), (&json!(name), &json!(target.id)));
        assert_eq!(told["changes"]["replacedBy"], json!({"before": null, "after": made.body["id"]}));
        assert_eq!(told["changes"]["state"], json!({"before": "active", "after": state}));
        let text = told.to_string();
        assert!(!text.contains(made.body["key"].as_str().unwrap()) && !text.contains("sha256"), "{text}");
    }
    for (method, path) in [(Method::DELETE, format!("/v1/keys/{id}")), (Method::POST, format!("/v1/keys/{id}/revoke"))]
    {
        send(&api.app, request(&method, &path, Some(&admin), Some(json!({"reason": "lost"})))).await;
        assert_eq!(last(&api).await["action"], "key.revoke");
    }
    let revoked = &acts(&api).await[1];
    let changes = serde_json::to_value(&revoked.changes).unwrap();
    assert_eq!(changes["state"], json!({"before": "active", "after": "revoked"}));
    assert_eq!(changes["revokedReason"], json!({"before": null, "after": "lost"}));
    assert_eq!(acts(&api).await[0].changes, Some([].into()), "what is revoked already does not change");
}

#[tokio::test]
async fn acts_that_are_refused_are_told_with_the_reason() {
    let api = Api::new();
    let admin = api.admin().await;
    let (ordinary, target) = api.issue(NewKey::named("ordinary").owner(KeyOwner::organization(ACME))).await;
    let anns = api.seen_by(user("ann"));
    let patch = |key: Option<&str>, body: Value, tag: Option<&str>| {
        let mut request = request(&Method::PATCH, &format!("/v1/keys/{}", target.id), key, Some(body));
        tag.map(|tag| request.headers_mut().insert(header::IF_MATCH, tag.parse().unwrap()));
        request
    };
    let forbidden = (&api.app, patch(Some(&ordinary), json!({"name": "x"}), None), "FORBIDDEN", false);
    let invalid = (&api.app, patch(Some(&admin), json!({"unknown": 1}), None), "VALIDATION_FAILED", false);
    let outdated = (&api.app, patch(Some(&admin), json!({"name": "x"}), Some("\"9\"")), "PRECONDITION_FAILED", true);
    let elsewhere = (&anns, patch(None, json!({"name": "x"}), None), "KEY_NOT_FOUND", false);
    for (app, request, code, owner_is_told) in [forbidden, invalid, outdated, elsewhere] {
        assert_eq!(send(app, request).await.code(), code);
        let told = last(&api).await;
        assert_eq!((&told["action"], &told["outcome"]), (&json!("key.update"), &json!("refused")), "{code}");
        assert_eq!((&told["reason"], &told["changes"]), (&json!(code), &Value::Null));
        assert_eq!(told["keyId"], json!(target.id));
        assert_eq!(told["owner"]["organization"], if owner_is_told { json!("acme") } else { Value::Null }, "{code}");
    }
    let large = json!({"name": "x".repeat(70_000)});
    assert_eq!(post(&api.app, &admin, large).await.code(), "PAYLOAD_TOO_LARGE");
    assert_eq!(last(&api).await["reason"], "PAYLOAD_TOO_LARGE");
    let before = acts(&api).await.len();
    let again = || {
        let mut made = request(&Method::POST, "/v1/keys", Some(&admin), Some(json!({"name": "once"})));
        made.headers_mut().insert("idempotency-key", "a".parse().unwrap());
        made
    };
    assert_eq!(
        (send(&api.app, again()).await.status, send(&api.app, again()).await.status.as_u16()),
        (201.try_into().unwrap(), 200)
    );
    assert_eq!(acts(&api).await.len(), before + 1, "a repeat makes nothing, and is no act");
}

#[tokio::test]
async fn long_values_are_told_by_their_length() {
    let api = Api::new();
    let admin = api.admin().await;
    let made = post(&api.app, &admin, json!({"name": "k", "metadata": {"text": "x".repeat(5_000)}})).await;
    assert_eq!(made.status, 201);
    assert_eq!(last(&api).await["changes"]["metadata"]["after"], "(5011 bytes)");
}

#[tokio::test]
async fn attempts_are_in_the_trail_with_the_owner_of_their_key() {
    let api = Api::new();
    let admin = api.admin().await;
    let (lost, key) = api.issue(NewKey::named("k").owner(KeyOwner::organization(ACME))).await;
    get(&api.app, &lost, "/v1/keys").await;
    send(&api.app, request(&Method::DELETE, &format!("/v1/keys/{}", key.id), Some(&admin), None)).await;
    get(&api.app, &lost, "/v1/keys?secret=1").await;
    get(&api.app, "ak_live_made_up", "/v1/keys").await;
    api.trail.flush().await.unwrap();
    let tell = |event: &Value| {
        let of = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        (
            of("outcome"),
            of("reason"),
            of("keyId"),
            event["owner"]["organization"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let answer = get(&api.app, &admin, "/v1/keys/audit?action=authenticate").await;
    let told: Vec<_> = items(&answer).into_iter().map(tell).collect();
    let text = |outcome: &str, reason: &str, id: &str, org: &str| {
        (outcome.to_owned(), reason.to_owned(), id.to_owned(), org.to_owned())
    };
    let id = key.id.as_str();
    assert_eq!(told[0], text("refused", "INVALID_API_KEY", "", ""));
    assert_eq!(told[1], text("refused", "REVOKED_API_KEY", id, "acme"));
    assert!(told[2].0 == "accepted" && told[2].2 != id, "the administrator's: {told:?}");
    assert_eq!(told[3], text("refused", "FORBIDDEN", id, "acme"), "by the service");
    assert_eq!(told[4], text("accepted", "api_key", id, "acme"));
    assert_eq!(items(&answer)[1]["path"], "/v1/keys", "without the query");
    assert!(!answer.body.to_string().contains(&lost));
}

/// The router as a member of an organisation has it.
fn members(api: &Api, session: AuthContext) -> App {
    let authority = OrganizationAuthority::named_by("org");
    let keys = Management::new(api.keys.clone()).authority(authority).audit(api.trail.clone());
    boxed(Router::new().nest("/orgs/{org}/keys", keys.router()).layer(axum::Extension(session)))
}

fn admin_of(organization: OrganizationId) -> AuthContext {
    use tower_api_key::session::{Membership, Session};
    let mut session = Session::of(tower_api_key::User::new(UserId::from_static("boss")));
    session.memberships = vec![Membership::new(organization, ["admin"])];
    testing::context().session(session).build()
}

#[tokio::test]
async fn nobody_reads_what_is_about_the_keys_of_others() {
    let api = Api::new();
    let globex = OrganizationId::from_static("globex");
    let owners = [
        ("ann", KeyOwner::user(UserId::from_static("ann"))),
        ("bob", KeyOwner::user(UserId::from_static("bob"))),
        ("acme", KeyOwner::organization(ACME)),
        ("globex", KeyOwner::organization(globex.clone())),
        ("user acme", KeyOwner::user(UserId::from_static("acme"))),
        ("nobody", KeyOwner::default()),
    ];
    let admin = api.admin().await;
    let mut ids = Vec::new();
    for (name, owner) in owners {
        let (secret, record) = api.issue(NewKey::named(name).owner(owner)).await;
        get(&api.app, &secret, "/v1/keys").await;
        send(&api.app, request(&Method::DELETE, &format!("/v1/keys/{}", record.id), Some(&admin), None)).await;
        ids.push((name, record.id.to_string()));
    }
    get(&api.app, "unknown", "/v1/keys").await;
    api.trail.flush().await.unwrap();
    let all = items(&get(&api.app, &admin, "/v1/keys/audit?limit=100").await).len();
    assert!(all > 18, "who reaches all keys reads everything: {all}");
    let organization = async |reader: OrganizationId, of: &str, query: &str| {
        let app = members(&api, admin_of(reader));
        send(&app, request(&Method::GET, &format!("/orgs/{of}/keys/audit{query}"), None, None)).await
    };
    let hostile = ["", "?limit=100", "?q=key", "?q=globex", "?outcome=refused", "?action=key.revoke", "?keyId="];
    for (reader, of, own) in [("ann", None, "ann"), ("acme", None, "user acme"), ("", Some(ACME), "acme")] {
        for query in hostile {
            for (name, id) in &ids {
                let query = if query == "?keyId=" { format!("{query}{id}") } else { query.to_owned() };
                let answer = match &of {
                    Some(acme) => organization(acme.clone(), "acme", &query).await,
                    None => {
                        read(&api.seen_by(testing::context().user(UserId::new(reader).unwrap()).build()), &query).await
                    }
                };
                let about: Vec<_> = items(&answer).into_iter().map(|event| event["keyId"].clone()).collect();
                let expected = ids.iter().find(|(name, _)| *name == own).map(|(_, id)| json!(id));
                assert!(about.iter().all(|id| Some(id) == expected.as_ref()), "{own} {query} {name}: {about:?}");
                if matches!(&*query, "" | "?q=key") {
                    assert_eq!(items(&answer).len(), 3, "{own} {query}: {answer:?}");
                }
            }
        }
    }
    for (reader, of) in [(ACME, "globex"), (globex, "acme")] {
        assert_eq!(organization(reader, of, "").await.code(), "FORBIDDEN");
    }
}

#[tokio::test]
async fn pages_are_turned_and_filters_are_checked() {
    let api = Api::new();
    let admin = api.admin().await;
    for number in 0..7 {
        post(&api.app, &admin, json!({"name": format!("k{number}")})).await;
    }
    api.trail.flush().await.unwrap();
    let page = async |query: &str| get(&api.app, &admin, &format!("/v1/keys/audit?action=key.create{query}")).await;
    let (mut cursor, mut names) = (String::new(), Vec::new());
    loop {
        let answer = page(&format!("&limit=3{cursor}")).await;
        names.extend(items(&answer).iter().map(|event| event["changes"]["name"]["after"].as_str().unwrap().to_owned()));
        post(&api.app, &admin, json!({"name": "meanwhile"})).await;
        api.trail.flush().await.unwrap();
        let Some(next) = answer.body["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(names, ["k6", "k5", "k4", "k3", "k2", "k1", "k0"]);
    for query in ["&limit=0", "&limit=101", "&cursor=x", "&outcome=maybe", "&keyId=", "&user=ann", "&limit=1&limit=2"] {
        let refused = page(query).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (422, "VALIDATION_FAILED"), "{query}");
    }
    assert_eq!(get(&api.app, &admin, "/v1/keys/audit?action=key.delete").await.fields(), ["action"].into());
}

#[tokio::test]
async fn without_a_trail_there_is_nothing_to_read_and_only_callers_with_a_mandate_learn_it() {
    let api = Api::new();
    let admin = api.admin().await;
    let (ordinary, _) = api.issue(NewKey::named("ordinary")).await;
    let app = guarded(api.keys.clone(), &api.clock, Management::new(api.keys.clone()).router());
    let answers = [(Some(admin.as_str()), "NOT_FOUND"), (Some(&ordinary), "FORBIDDEN"), (None, "MISSING_API_KEY")];
    for (key, code) in answers {
        assert_eq!(send(&app, request(&Method::GET, "/v1/keys/audit", key, None)).await.code(), code);
    }
}

/// A caller who hangs up keeps nothing out of the trail.
#[tokio::test]
async fn an_act_is_told_even_if_its_caller_is_gone() {
    use super::faults::{Fault, Faulty};
    let api = Api::new();
    let (_, target) = api.issue(NewKey::named("k")).await;
    let events = MemoryAudit::new();
    let trail = AuditTrail::new(events.clone());
    let management = Management::new(Faulty::new(&api, Fault::Yields)).audit(trail.clone());
    let management = management.authority(StandardAuthority::new().grantable([READ]));
    let operator = super::support::maker(|_| {});
    let app = boxed(Router::new().nest("/v1/keys", management.router()).layer(axum::Extension(operator)));
    let delete = request(&Method::DELETE, &format!("/v1/keys/{}", target.id), None, None);
    let mut call = Box::pin(send(&app, delete));
    // Begun, and then dropped while the store has not answered yet.
    assert!(futures_poll(&mut call).await.is_none());
    drop(call);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    trail.flush().await.unwrap();
    let told: Vec<_> = events.all().into_iter().map(|event| (event.action.as_str(), event.outcome.as_str())).collect();
    assert_eq!(told, [("key.revoke", "accepted")]);
}

/// Polls once.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}
