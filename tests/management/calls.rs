//! What each call does.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tower_api_key::ApiKeyLayer;
use tower_api_key::rejection::Style;
use tower_api_key::source::NewKey;

use super::support::{Api, READ, accepts, boxed, get, post, request, send, user};

#[tokio::test]
async fn a_minted_key_works_at_once_and_a_revoked_one_no_more() {
    let api = Api::new();
    let admin = api.admin().await;
    for (method, suffix) in [(Method::POST, "/revoke"), (Method::DELETE, "")] {
        let made = post(&api.app, &admin, json!({"name": "second", "scopes": ["admin"]})).await;
        assert_eq!(made.status, StatusCode::CREATED);
        let (secret, id) = (made.body["key"].as_str().unwrap(), made.body["id"].as_str().unwrap());
        assert!(accepts(secret), "{secret}");
        assert_eq!(get(&api.app, secret, "/v1/keys").await.status, StatusCode::OK);

        let path = format!("/v1/keys/{id}{suffix}");
        let revoked = send(&api.app, request(&method, &path, Some(&admin), None)).await;
        assert_eq!((revoked.status, &revoked.body["state"]), (StatusCode::OK, &json!("revoked")));
        let refused = get(&api.app, secret, "/v1/keys").await;
        assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "REVOKED_API_KEY"));
    }
}

#[tokio::test]
async fn a_secret_is_shown_once() {
    let api = Api::new();
    let admin = api.admin().await;
    let made = post(&api.app, &admin, json!({"name": "new"})).await;
    let (secret, id) = (made.body["key"].as_str().unwrap().to_owned(), made.body["id"].as_str().unwrap());
    assert!(made.headers.values().all(|value| !value.to_str().unwrap().contains(&secret)));
    let path = format!("/v1/keys/{id}");
    let later = [
        request(&Method::GET, &path, Some(&admin), None),
        request(&Method::GET, "/v1/keys", Some(&admin), None),
        request(&Method::GET, &format!("/v1/keys?q={secret}"), Some(&admin), None),
        request(&Method::PATCH, &path, Some(&admin), Some(json!({"name": "changed"}))),
        request(&Method::DELETE, &path, Some(&admin), None),
    ];
    for request in later {
        let answer = send(&api.app, request).await;
        assert_eq!(answer.status, StatusCode::OK);
        let (text, random) = (answer.body.to_string(), &secret[12..secret.len() - 4]);
        assert!(!text.contains(random) && answer.body.get("key").is_none(), "{text}");
    }
}

#[tokio::test]
async fn a_key_object_has_every_field_and_no_other() {
    let api = Api::new();
    let admin = api.admin().await;
    let made = post(&api.app, &admin, json!({"name": " ci ", "metadata": {"team": 7}})).await;
    let read = get(&api.app, &admin, made.headers[header::LOCATION].to_str().unwrap()).await;
    let fields: BTreeSet<_> = read.body.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = "id name start masked prefix environment scopes owner state createdAt expiresAt revokedAt \
        revokedReason lastUsedAt lastUsedIp useCount allowedIps allowedOrigins rateLimits metadata replaces replacedBy";
    assert_eq!(fields, expected.split_ascii_whitespace().collect());
    for (field, value) in [
        ("name", json!("ci")),
        ("prefix", json!("ak")),
        ("environment", json!("live")),
        ("scopes", json!([])),
        ("owner", json!({"user": null, "organization": null})),
        ("state", json!("active")),
        ("createdAt", json!("2026-01-14T18:00:00.000Z")),
        ("expiresAt", Value::Null),
        ("useCount", json!(0)),
        ("allowedIps", Value::Null),
        ("rateLimits", json!([])),
        ("metadata", json!({"team": 7})),
    ] {
        assert_eq!(read.body[field], value, "{field}");
    }
    let mut object = made.body.as_object().unwrap().clone();
    let key = object.remove("key");
    let (key, start) = (key.as_ref().and_then(Value::as_str).unwrap(), read.body["start"].as_str().unwrap());
    assert!(key.starts_with(start) && start.len() == "ak_live_".len() + 4, "{start}");
    assert_eq!(Value::Object(object), read.body);
}

#[tokio::test]
async fn an_expiry_is_a_number_of_days_or_an_instant() {
    let api = Api::new();
    let admin = api.admin().await;
    let days = post(&api.app, &admin, json!({"name": "a", "expiresInDays": 7})).await;
    assert_eq!(days.body["expiresAt"], "2026-01-21T18:00:00.000Z");
    let instant = post(&api.app, &admin, json!({"name": "b", "expiresAt": "2026-01-14T20:00:00.5+01:00"})).await;
    assert_eq!(instant.body["expiresAt"], "2026-01-14T19:00:00.500Z");
    api.clock.advance(Duration::from_secs(7_200));
    let listed = get(&api.app, &admin, "/v1/keys?state=expired").await;
    assert_eq!(listed.body["items"][0]["name"], "b");
    assert_eq!(listed.body["items"][0]["state"], "expired");
}

#[tokio::test]
async fn a_new_key_is_where_the_answer_says() {
    let api = Api::new();
    let router = || tower_api_key::management::router(api.keys.clone());
    let nested = || Router::new().nest("/v1/keys", router());
    let service = || Router::new().nest_service("/v1/keys", router());
    let deeper = Router::new().nest("/api", nested());
    let operator = super::support::maker(|_| {});
    for (routes, called, base) in [
        (nested(), "/v1/keys", "/v1/keys"),
        (nested(), "/v1/keys?x=/a/", "/v1/keys"),
        (service(), "/v1/keys", "/v1/keys"),
        (service(), "/v1/keys/", "/v1/keys"),
        (service(), "http://evil.example/v1/keys/?x", "/v1/keys"),
        (Router::new().nest("/v1/keys/", router()), "/v1/keys/", "/v1/keys"),
        (deeper, "/api/v1/keys", "/api/v1/keys"),
        (router(), "/", ""),
    ] {
        let app = boxed(routes.layer(axum::Extension(operator.clone())));
        let made = send(&app, request(&Method::POST, called, None, Some(json!({"name": "new"})))).await;
        assert_eq!(made.status, StatusCode::CREATED, "{called}");
        let location = made.headers[header::LOCATION].to_str().unwrap();
        assert_eq!(location, format!("{base}/{}", made.body["id"].as_str().unwrap()), "{called}");
        assert_eq!(send(&app, request(&Method::GET, location, None, None)).await.status, StatusCode::OK, "{location}");
    }
}

#[tokio::test]
async fn a_list_comes_newest_first_page_by_page() {
    let api = Api::new();
    let admin = api.admin().await;
    for index in 0..7 {
        api.clock.advance(Duration::from_millis(1));
        api.issue(NewKey::named(format!("key {index}"))).await;
    }
    let (mut names, mut path) = (Vec::new(), "/v1/keys?limit=3".to_owned());
    loop {
        let page = get(&api.app, &admin, &path).await;
        let items = page.body["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        names.extend(items.iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        match page.body["nextCursor"].as_str() {
            Some(cursor) => path = format!("/v1/keys?limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(names, ["key 6", "key 5", "key 4", "key 3", "key 2", "key 1", "key 0", "admin"]);
    let whole = get(&api.app, &admin, "/v1/keys").await;
    assert_eq!((whole.body["items"].as_array().unwrap().len(), &whole.body["nextCursor"]), (8, &Value::Null));
}

#[tokio::test]
async fn a_list_is_narrowed_by_text_state_and_scope() {
    let api = Api::new();
    let admin = api.admin().await;
    let (_, revoked) = api.issue(NewKey::named("Old CI").scopes([READ])).await;
    api.issue(NewKey::named("new ci").scopes([READ])).await;
    send(&api.app, request(&Method::DELETE, &format!("/v1/keys/{}", revoked.id), Some(&admin), None)).await;
    for (query, expected) in [
        ("q=cI", &["new ci", "Old CI"][..]),
        ("q=c%C4%B1", &[]),
        ("q=", &["new ci", "Old CI", "admin"]),
        ("state=revoked", &["Old CI"]),
        ("state=active&scope=read", &["new ci"]),
        ("scope=admin", &["admin"]),
        ("scope=write", &[]),
        ("q=ci&limit=1", &["new ci"]),
    ] {
        let listed = get(&api.app, &admin, &format!("/v1/keys?{query}")).await;
        let names: BTreeSet<_> =
            listed.body["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
        if query.contains("limit") {
            assert_eq!(names.len(), 1);
        } else {
            assert_eq!(names, expected.iter().copied().collect(), "{query}");
        }
    }
}

#[tokio::test]
async fn revoking_again_gives_the_same_answer() {
    let api = Api::new();
    let admin = api.admin().await;
    let (_, key) = api.issue(NewKey::named("k")).await;
    let path = format!("/v1/keys/{}/revoke", key.id);
    let revoke = |body| request(&Method::POST, &path, Some(&admin), body);
    let first = send(&api.app, revoke(Some(json!({"reason": " lost "})))).await;
    assert_eq!((&first.body["revokedReason"], &first.body["state"]), (&json!("lost"), &json!("revoked")));
    api.clock.advance(Duration::from_secs(60));
    for body in [None, Some(json!({})), Some(json!({"reason": "found"})), Some(json!({"reason": null}))] {
        let again = send(&api.app, revoke(body)).await;
        assert_eq!((again.status, again.body), (StatusCode::OK, first.body.clone()));
    }
}

#[tokio::test]
async fn a_rename_that_has_lost_the_race_changes_nothing() {
    let api = Api::new();
    let admin = api.admin().await;
    let (_, key) = api.issue(NewKey::named("old")).await;
    let path = format!("/v1/keys/{}", key.id);
    let read = get(&api.app, &admin, &path).await;
    let tag = read.headers[header::ETAG].clone();
    assert_eq!(tag, "\"0\"");
    let rename = |name: &str, tag: Option<&http::HeaderValue>| {
        let mut request = request(&Method::PATCH, &path, Some(&admin), Some(json!({"name": name})));
        request.headers_mut().extend(tag.map(|tag| (header::IF_MATCH, tag.clone())));
        request
    };
    let won = send(&api.app, rename("won", Some(&tag))).await;
    assert_eq!((won.status, &won.body["name"]), (StatusCode::OK, &json!("won")));
    assert_ne!(won.headers[header::ETAG], tag);
    let lost = send(&api.app, rename("lost", Some(&tag))).await;
    assert_eq!((lost.status, lost.code()), (StatusCode::PRECONDITION_FAILED, "PRECONDITION_FAILED"));
    assert_eq!(get(&api.app, &admin, &path).await.body["name"], "won");
    assert_eq!(send(&api.app, rename("free", None)).await.body["name"], "free");
    assert_eq!(send(&api.app, rename("any", Some(&"*".parse().unwrap()))).await.body["name"], "any");

    let stale = |method: Method| {
        let mut request = request(&method, &path, Some(&admin), Some(json!({})));
        request.headers_mut().insert(header::IF_MATCH, tag.clone());
        request
    };
    for method in [Method::PATCH, Method::DELETE] {
        assert_eq!(send(&api.app, stale(method)).await.status, StatusCode::PRECONDITION_FAILED);
    }
    assert_eq!(get(&api.app, &admin, &path).await.body["state"], "active");
}

#[tokio::test]
async fn what_is_no_call_is_refused_in_json() {
    let api = Api::new();
    let admin = api.admin().await;
    for (method, path, status, code, allow) in [
        (Method::PUT, "/v1/keys", 405, "METHOD_NOT_ALLOWED", "POST,GET,HEAD"),
        (Method::POST, "/v1/keys/key_1", 405, "METHOD_NOT_ALLOWED", "GET,HEAD,PATCH,DELETE"),
        (Method::GET, "/v1/keys/key_1/revoke", 405, "METHOD_NOT_ALLOWED", "POST"),
        (Method::GET, "/v1/keys/key_1/unknown", 404, "NOT_FOUND", ""),
        (Method::GET, "/v1/keys/a/b/c", 404, "NOT_FOUND", ""),
        (Method::GET, "/v1/keys//", 404, "NOT_FOUND", ""),
    ] {
        let answer = send(&api.app, request(&method, path, Some(&admin), None)).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{method} {path}");
        let allowed = answer.headers.get(header::ALLOW).map_or("", |value| value.to_str().unwrap());
        let sorted = |list: &str| list.split(',').map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(sorted(allowed), sorted(allow), "{method} {path}");
    }
    let head = send(&api.app, request(&Method::HEAD, "/v1/keys", Some(&admin), None)).await;
    assert_eq!(head.status, StatusCode::OK);
}

#[tokio::test]
async fn refusals_are_written_in_the_style_of_the_layer() {
    let api = Api::new();
    let admin = api.admin().await;
    let auth = ApiKeyLayer::builder(api.keys.clone()).style(Style::envelope()).build().unwrap();
    let router = tower_api_key::management::router(api.keys.clone());
    let app = boxed(auth.protect(Router::new().nest("/v1/keys", router)));
    let answer = post(&app, &admin, json!({"name": "", "x": 1})).await;
    assert_eq!(answer.status.as_u16(), 422);
    let error = &answer.body["error"];
    assert_eq!((&answer.body["success"], &error["code"]), (&json!(false), &json!("VALIDATION_FAILED")));
    assert_eq!(error["details"]["fields"]["name"], "must not be empty");
    assert_eq!(error["details"]["request_id"], answer.headers["x-request-id"].to_str().unwrap());
}

#[tokio::test]
async fn a_users_own_keys_are_theirs_to_manage() {
    let api = Api::new();
    let ann = api.seen_by(user("ann"));
    let made = post(&ann, "", json!({"name": "mine", "scopes": ["read"]})).await;
    let path = made.headers[header::LOCATION].to_str().unwrap().to_owned();
    let renamed = send(&ann, request(&Method::PATCH, &path, None, Some(json!({"name": "still mine"})))).await;
    assert_eq!(renamed.body["name"], "still mine");
    let revoked = send(&ann, request(&Method::DELETE, &path, None, None)).await;
    assert_eq!(revoked.body["state"], "revoked");
}
