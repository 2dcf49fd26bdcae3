//! Who gets in, what is out of reach, and what keys are given.

use axum::Router;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tower_api_key::key::{Environment, KeyClass, KeyOwner, OrganizationId, Realm, ScopeHierarchy, UserId};
use tower_api_key::limit::Quota;
use tower_api_key::management::{Action, Call, Grant, Management, Mandate, ROUTES, Reach, StandardAuthority};
use tower_api_key::rejection::Rejection;
use tower_api_key::source::NewKey;
use tower_api_key::{ApiKeyLayer, testing};

use super::support::{ADMIN, Answer, Api, App, READ, WRITE, body, boxed, face, maker, path, post, request, send, user};

/// Makes every call there is, about the key `id`.
async fn every_call(app: &App, key: Option<&str>, id: &str) -> Vec<(Action, Answer)> {
    let mut answers = Vec::new();
    for endpoint in ROUTES {
        let request = request(&endpoint.method, &path(endpoint, id), key, body(endpoint.action));
        answers.push((endpoint.action, send(app, request).await));
    }
    assert!(answers.len() >= 6);
    answers
}

#[tokio::test]
async fn every_call_is_refused_without_a_credential() {
    let api = Api::new();
    let (_, target) = api.issue(NewKey::named("target")).await;
    for (action, answer) in every_call(&api.app, None, target.id.as_str()).await {
        assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, "MISSING_API_KEY"), "{action:?}");
        assert!(answer.headers.contains_key(header::WWW_AUTHENTICATE), "{action:?}");
    }
    for (method, path) in [(Method::GET, "/v1/keys/a/b/c"), (Method::PUT, "/v1/keys"), (Method::PUT, "/v1/keys/a")] {
        let answer = send(&api.app, request(&method, path, None, None)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
    }
    assert_eq!(api.all().await.len(), 1);
    assert_eq!(face(&api.all().await[0]), face(&target));
}

#[tokio::test]
async fn an_ordinary_key_manages_no_key_not_even_itself() {
    let api = Api::new();
    let ordinary = NewKey::named("ordinary").scopes([READ, WRITE]).owner(KeyOwner::user(UserId::from_static("ann")));
    let (secret, record) = api.issue(ordinary).await;
    for (action, answer) in every_call(&api.app, Some(&secret), record.id.as_str()).await {
        assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "FORBIDDEN"), "{action:?}");
    }
    let with_user = testing::context().key("k").scopes([READ]).user(UserId::from_static("ann")).build();
    let client = maker(|record| (record.class, record.scopes) = (KeyClass::Client, [READ].into()));
    for context in [with_user, client] {
        for (action, answer) in every_call(&api.seen_by(context.clone()), None, record.id.as_str()).await {
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{action:?}");
        }
    }
    assert_eq!(api.all().await.len(), 1);
    assert_eq!(face(&api.all().await[0]), face(&record));
}

#[tokio::test]
async fn the_router_is_closed_without_a_layer_and_on_open_routes() {
    let api = Api::new();
    let (secret, target) = api.issue(NewKey::named("target").scopes([ADMIN])).await;
    let routes = || Router::new().nest("/v1/keys", tower_api_key::management::router(api.keys.clone()));
    let everything = [Method::GET, Method::POST, Method::PATCH, Method::DELETE];
    let mut public = ApiKeyLayer::builder(api.keys.clone());
    let mut optional = ApiKeyLayer::builder(api.keys.clone());
    for method in everything {
        for pattern in ["/v1/keys", "/v1/keys/{*rest}"] {
            public = public.public(method.clone(), pattern);
            optional = optional.optional(method.clone(), pattern);
        }
    }
    let closed = [
        (boxed(routes()), 500, "AUTH_NOT_CONFIGURED"),
        (boxed(public.build().unwrap().protect(routes())), 500, "AUTH_NOT_CONFIGURED"),
        (boxed(optional.build().unwrap().protect(routes())), 401, "MISSING_API_KEY"),
    ];
    for (app, status, code) in closed {
        for (action, answer) in every_call(&app, None, target.id.as_str()).await {
            assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{action:?}");
        }
        let unknown = send(&app, request(&Method::GET, "/v1/keys/a/b/c", None, None)).await;
        assert_eq!(unknown.status.as_u16(), status);
    }
    let unguarded = ApiKeyLayer::builder(api.keys.clone()).insecure_anonymous().build().unwrap();
    for (action, answer) in every_call(&boxed(unguarded.protect(routes())), Some(&secret), target.id.as_str()).await {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{action:?}");
    }
    assert_eq!(face(&api.all().await[0]), face(&target));
}

#[tokio::test]
async fn an_admin_makes_every_call() {
    let api = Api::new();
    let operator = maker(|record| (record.class, record.scopes) = (KeyClass::Admin, [READ; 0].into()));
    let implied = maker(|record| record.scopes = [WRITE].into());
    assert!(every_call(&api.seen_by(implied), None, "key_1").await.iter().all(|(_, a)| a.status == 403));
    for (app, key) in [(api.app.clone(), Some(api.admin().await)), (api.seen_by(operator), None)] {
        for endpoint in ROUTES {
            let (_, target) = api.issue(NewKey::named("target")).await;
            let path = path(endpoint, target.id.as_str());
            let request = request(&endpoint.method, &path, key.as_deref(), body(endpoint.action));
            let answer = send(&app, request).await;
            assert!(answer.status.is_success(), "{endpoint:?}: {answer:?}");
        }
    }
}

/// For every call about a key: the same, but about one that there is not.
async fn assert_indistinguishable(app: &App, key: Option<&str>, id: &str) {
    for endpoint in ROUTES.iter().filter(|endpoint| endpoint.path.contains("{key_id}")) {
        for body in [body(endpoint.action), Some(json!({"unknown": 1})), Some(json!([]))] {
            for tag in [None, Some("\"0\""), Some("\"7\""), Some("*")] {
                let mut answers = Vec::new();
                for id in [id, "key_doesnotexist12345678", "%20", "%ff"] {
                    let mut request = request(&endpoint.method, &path(endpoint, id), key, body.clone());
                    if let Some(tag) = tag {
                        request.headers_mut().insert(header::IF_MATCH, tag.parse().unwrap());
                    }
                    answers.push(send(app, request).await.without_request_id());
                }
                assert!(answers[0].status.is_client_error());
                assert!(answers.windows(2).all(|two| two[0] == two[1]), "{endpoint:?} {body:?} {tag:?}: {answers:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_key_of_another_tenant_is_as_one_that_there_is_not() {
    let api = Api::new();
    let (ann, acme) = (UserId::from_static("ann"), OrganizationId::from_static("acme"));
    let globex = KeyOwner::organization(OrganizationId::from_static("globex"));
    let targets = [
        NewKey::named("ann's").owner(KeyOwner::user(ann.clone())),
        NewKey::named("acme's").owner(KeyOwner::organization(acme)),
        NewKey::named("nobody's"),
    ];
    let (secret, _) = api.issue(NewKey::named("admin of globex").scopes([ADMIN]).owner(globex)).await;
    let strangers = [(api.seen_by(user("acme")), None), (api.app.clone(), Some(secret.as_str()))];
    for target in targets {
        let (_, target) = api.issue(target).await;
        for (app, key) in &strangers {
            assert_indistinguishable(app, *key, target.id.as_str()).await;
            let listed = send(app, request(&Method::GET, "/v1/keys?q=key", *key, None)).await;
            assert!(!listed.body.to_string().contains(target.id.as_str()), "{listed:?}");
            let missing = send(app, request(&Method::GET, &format!("/v1/keys/{}", target.id), *key, None)).await;
            assert_eq!((missing.status, missing.code()), (StatusCode::NOT_FOUND, "KEY_NOT_FOUND"));
        }
        let now = api.all().await.into_iter().find(|record| record.id == target.id).unwrap();
        assert_eq!(face(&now), face(&target));
    }
    let own = send(&api.seen_by(user("ann")), request(&Method::GET, "/v1/keys?limit=1", None, None)).await;
    assert_eq!(own.body["items"].as_array().map(Vec::len), Some(1), "a page is not filled with what is out of reach");
    assert_eq!(own.body["nextCursor"], Value::Null);
}

#[tokio::test]
async fn a_key_is_made_for_its_maker_and_for_nobody_else() {
    let api = Api::new();
    let made = |context| {
        let app = api.seen_by(context);
        async move { post(&app, "", json!({"name": "new"})).await.body["owner"].clone() }
    };
    assert_eq!(made(user("ann")).await, json!({"user": "ann", "organization": null}));
    assert_eq!(made(maker(|_| {})).await, json!({"user": null, "organization": null}));
    let acmes = maker(|record| record.owner = KeyOwner::organization(OrganizationId::from_static("acme")));
    assert_eq!(made(acmes).await, json!({"user": null, "organization": "acme"}));
}

#[tokio::test]
async fn fields_that_only_the_server_sets_are_refused_and_nothing_is_made() {
    let api = Api::new();
    let admin = api.admin().await;
    for field in [
        "id",
        "key",
        "secret",
        "hash",
        "start",
        "prefix",
        "realm",
        "owner",
        "user",
        "userId",
        "organization",
        "class",
        "plan",
        "credits",
        "state",
        "disabled",
        "revokedAt",
        "createdAt",
        "useCount",
        "version",
        "replaces",
    ] {
        let answer = post(&api.app, &admin, json!({"name": "new", field: "x"})).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (422, "VALIDATION_FAILED"), "{field}");
        assert_eq!(answer.fields(), [field].into(), "{answer:?}");
    }
    assert_eq!(api.all().await.len(), 1);
}

#[tokio::test]
async fn what_is_minted_never_exceeds_its_maker() {
    let api = Api::new();
    let until = "2026-01-20T00:00:00Z".parse().unwrap();
    let bound = || {
        maker(|record| {
            record.scopes = [ADMIN, READ].into();
            record.environment = Some(Environment::TEST);
            record.realm = Some(Realm::from_static("a"));
            record.expires_at = Some(until);
            record.allowed_ips = Some("10.0.0.0/8".parse().unwrap());
            record.allowed_origins = Some(vec!["https://a.example".to_owned(), "https://b.example".to_owned()]);
            record.rate_limits = vec![Quota::per_hour(100)];
            record.plan = Some("free".to_owned());
        })
    };
    for (field, beyond) in [
        ("scopes", json!(["write"])),
        ("scopes", json!(["read", "*"])),
        ("environment", json!("live")),
        ("expiresAt", json!("2026-01-20T00:00:00.001Z")),
        ("expiresInDays", json!(36_500)),
        ("allowedIps", json!(["10.0.0.0/7"])),
        ("allowedIps", json!(["10.0.0.1", "::/0"])),
        ("allowedOrigins", json!(["https://a.example", "https://c.example"])),
        ("rateLimits", json!([{"unlimited": true}])),
        ("rateLimits", json!([{"limit": 101, "windowSeconds": 3600}])),
    ] {
        let answer = post(&api.seen_by(bound()), "", json!({"name": "new", field: beyond})).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (403, "FORBIDDEN"), "{field} {beyond}");
        let named = if field == "expiresInDays" { "expiresAt" } else { field };
        assert_eq!(answer.fields(), [named].into(), "{answer:?}");
    }
    assert!(api.all().await.is_empty());

    let within = json!({
        "name": "new", "scopes": ["read"], "environment": "test", "expiresInDays": 1, "allowedIps": ["10.1.0.0/16"],
        "allowedOrigins": ["https://b.example"], "rateLimits": [{"limit": 5, "windowSeconds": 3600}],
    });
    assert_eq!(post(&api.seen_by(bound()), "", within).await.status, StatusCode::CREATED);
    // What is left out, or null, is the maker's own, and never more.
    for body in [json!({"name": "bare"}), json!({"name": "bare", "allowedIps": null, "expiresAt": null})] {
        let bare = post(&api.seen_by(bound()), "", body).await;
        assert_eq!(bare.body["scopes"], json!([]), "an empty set means nothing, never all");
        assert_eq!(bare.body["environment"], "test");
        assert_eq!(bare.body["expiresAt"], "2026-01-20T00:00:00.000Z");
        assert_eq!(bare.body["allowedIps"], json!(["10.0.0.0/8"]));
        assert_eq!(bare.body["allowedOrigins"], json!(["https://a.example", "https://b.example"]));
        assert_eq!(bare.body["rateLimits"][0]["limit"], 100);
    }
    for record in api.all().await {
        assert_eq!((record.realm.as_ref().map(Realm::as_str), record.plan.as_deref()), (Some("a"), Some("free")));
    }
}

#[tokio::test]
async fn a_maker_without_bounds_gives_what_it_has_and_no_scope_more() {
    let api = Api::new();
    let free = json!({
        "name": "new", "environment": "test", "expiresInDays": 36_500, "allowedIps": ["::/0"],
        "allowedOrigins": ["https://c.example"], "rateLimits": [{"unlimited": true}], "scopes": ["admin"],
    });
    assert_eq!(post(&api.seen_by(maker(|_| {})), "", free).await.status, StatusCode::CREATED);
    let write = json!({"name": "new", "scopes": ["write"]});
    assert_eq!(post(&api.seen_by(maker(|_| {})), "", write.clone()).await.fields(), ["scopes"].into());

    let hierarchy = ScopeHierarchy::new().implies(ADMIN, [WRITE]);
    let implied = testing::context().key("k").scopes([ADMIN]).scope_hierarchy(hierarchy).build();
    assert_eq!(post(&api.seen_by(implied), "", write.clone()).await.status, StatusCode::CREATED);
    let operator = maker(|record| (record.class, record.scopes) = (KeyClass::Admin, [READ; 0].into()));
    assert_eq!(post(&api.seen_by(operator), "", write).await.status, StatusCode::CREATED);

    let planned = || maker(|record| record.plan = Some("free".to_owned()));
    let unlimited = json!({"name": "new", "rateLimits": [{"unlimited": true}]});
    assert_eq!(post(&api.seen_by(planned()), "", unlimited).await.fields(), ["rateLimits"].into());
    let at = "2026-01-14T00:00:00Z";
    let credits = json!({"remaining": 3, "refill": null, "since": at, "refilledAt": at, "spent": 0, "generation": 0});
    let counted = maker(|record| record.credits = Some(serde_json::from_value(credits).unwrap()));
    assert_eq!(post(&api.seen_by(counted), "", json!({"name": "new"})).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_user_gives_only_what_users_may_give() {
    let api = Api::new();
    let ann = || api.seen_by(user("ann"));
    for (field, beyond) in [
        ("scopes", json!(["write"])),
        ("scopes", json!(["admin"])),
        ("environment", json!("test")),
        ("rateLimits", json!([{"unlimited": true}])),
        ("rateLimits", json!([{"limit": 1, "windowSeconds": 60}])),
    ] {
        let answer = post(&ann(), "", json!({"name": "new", field: beyond})).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (403, [field].into()), "{answer:?}");
    }
    let nothing = api.seen_with(user("ann"), StandardAuthority::new());
    assert_eq!(post(&nothing, "", json!({"name": "new", "scopes": ["read"]})).await.status, StatusCode::FORBIDDEN);
    assert!(api.all().await.is_empty());
    let answer = post(&ann(), "", json!({"name": "new", "scopes": ["read"], "environment": "live"})).await;
    assert_eq!((answer.status, &answer.body["scopes"]), (StatusCode::CREATED, &json!(["read"])));

    let quotas = StandardAuthority::new().grantable_quotas([Quota::per_hour(10)]);
    let bound = api.seen_with(user("ann"), quotas);
    assert_eq!(post(&bound, "", json!({"name": "new"})).await.body["rateLimits"][0]["limit"], 10);
    let less = json!({"name": "new", "rateLimits": [{"limit": 9, "windowSeconds": 3600}]});
    assert_eq!(post(&bound, "", less).await.status, StatusCode::CREATED);
    let more = json!({"name": "new", "rateLimits": [{"limit": 11, "windowSeconds": 3600}]});
    assert_eq!(post(&bound, "", more).await.fields(), ["rateLimits"].into());
}

#[tokio::test]
async fn the_environment_of_new_keys_is_the_servers_own() {
    let api = Api::new();
    let management = Management::new(api.keys.clone()).environment(Environment::TEST);
    let app = boxed(Router::new().nest("/v1/keys", management.router()).layer(axum::Extension(user("ann"))));
    let answer = post(&app, "", json!({"name": "new"})).await;
    assert_eq!(answer.body["environment"], "test");
    assert!(answer.body["key"].as_str().is_some_and(|key| key.starts_with("ak_test_")));
    assert_eq!(post(&app, "", json!({"name": "new", "environment": "live"})).await.fields(), ["environment"].into());
}

#[tokio::test]
async fn an_authority_of_ones_own_sees_the_path_and_the_action() {
    let api = Api::new();
    let authority = |call: &Call<'_>| {
        let named =
            call.parameter("org").and_then(|id| OrganizationId::new(id).ok()).ok_or_else(Rejection::forbidden)?;
        if call.action() == Action::Issue && call.caller().user().is_none_or(|user| user.id.as_str() != "boss") {
            return Err(Rejection::forbidden());
        }
        Ok(Mandate::new(Reach::Organization(named), Grant::scopes([READ])))
    };
    let seen_by = |id| {
        let management = Management::new(api.keys.clone()).authority(authority).router();
        boxed(Router::new().nest("/orgs/{org}/keys", management).layer(axum::Extension(user(id))))
    };
    let issue = || request(&Method::POST, "/orgs/acme/keys", None, Some(json!({"name": "new"})));
    let answer = send(&seen_by("boss"), issue()).await;
    assert_eq!(answer.body["owner"], json!({"user": null, "organization": "acme"}));
    let location = answer.headers[header::LOCATION].to_str().unwrap().to_owned();
    assert!(location.starts_with("/orgs/acme/keys/key_"), "{location}");
    let read = |path: &str| request(&Method::GET, path, None, None);
    assert_eq!(send(&seen_by("ann"), read(&location)).await.status, StatusCode::OK);
    assert_eq!(send(&seen_by("ann"), read(&location.replace("acme", "globex"))).await.status, StatusCode::NOT_FOUND);
    assert_eq!(send(&seen_by("ann"), issue()).await.status, StatusCode::FORBIDDEN);
    assert_eq!(send(&seen_by("ann"), read("/orgs/globex/keys")).await.body["items"], Value::Array(Vec::new()));
}

pub(crate) fn owner(user: &'static str) -> KeyOwner {
    KeyOwner::user(UserId::from_static(user))
}
