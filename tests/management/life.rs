//! Keys that are changed, disabled, rotated and used.

use std::time::Duration;

use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tower_api_key::key::{KeyState, Scope};
use tower_api_key::management::{Management, StandardAuthority};
use tower_api_key::source::{KeyLife, KeyStore, KeyUsage, MemoryKeys, NewKey};

use super::support::{ADMIN, Answer, Api, App, READ, WRITE, get, guarded, maker, post, request, send, user};

async fn call(app: &App, key: Option<&str>, method: Method, path: &str, body: Value) -> Answer {
    send(app, request(&method, &format!("/v1/keys/{path}"), key, Some(body))).await
}

#[tokio::test]
async fn every_field_can_be_changed_and_taken_away() {
    let api = Api::new();
    let (admin, _) = api.issue(NewKey::named("admin").scopes([ADMIN, READ])).await;
    let (_, key) = api.issue(NewKey::named("k")).await;
    for (field, value, cleared) in [
        ("name", json!("new"), None),
        ("scopes", json!(["read"]), Some(json!([]))),
        ("allowedIps", json!(["10.0.0.0/8"]), Some(Value::Null)),
        ("allowedOrigins", json!(["https://a.example"]), Some(Value::Null)),
        ("rateLimits", json!([{"limit": 5, "windowSeconds": 60}]), Some(json!([]))),
        ("expiresAt", json!("2030-01-01T00:00:00.000Z"), Some(Value::Null)),
        ("metadata", json!({"team": "x"}), Some(json!({}))),
    ] {
        let before = get(&api.app, &admin, &format!("/v1/keys/{}", key.id)).await.body;
        let set = call(&api.app, Some(&admin), Method::PATCH, key.id.as_str(), json!({field: value})).await;
        assert_eq!(set.status, StatusCode::OK, "{field}: {set:?}");
        if field != "rateLimits" {
            assert_eq!(set.body[field], value);
        }
        assert_ne!(set.body[field], before[field]);
        let Some(cleared) = cleared else { continue };
        let clear = call(&api.app, Some(&admin), Method::PATCH, key.id.as_str(), json!({field: null})).await;
        assert_eq!((clear.status, &clear.body[field]), (StatusCode::OK, &cleared), "{field}");
        assert_eq!(clear.body, before, "nothing else has changed");
    }
}

#[tokio::test]
async fn a_disabled_key_is_refused_until_it_is_enabled_again() {
    let api = Api::new();
    let admin = api.admin().await;
    let (secret, key) = api.issue(NewKey::named("k").scopes([ADMIN])).await;
    for (call_name, state, status) in [("disable", "disabled", 401), ("enable", "active", 200)] {
        for _ in 0..2 {
            let path = format!("{}/{call_name}", key.id);
            let answer = call(&api.app, Some(&admin), Method::POST, &path, json!({})).await;
            assert_eq!((answer.status, &answer.body["state"]), (StatusCode::OK, &json!(state)));
        }
        assert_eq!(get(&api.app, &secret, "/v1/keys").await.status.as_u16(), status);
    }
    api.keys.revoke(&key.id, None).await.unwrap();
    let path = format!("{}/enable", key.id);
    let answer = call(&api.app, Some(&admin), Method::POST, &path, json!({})).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::CONFLICT, "CONFLICT"));
}

#[tokio::test]
async fn both_keys_work_until_the_overlap_is_over() {
    let api = Api::new();
    let admin = api.admin().await;
    let (old_secret, old) = api.issue(NewKey::named("k").scopes([ADMIN])).await;
    let rotated = call(&api.app, Some(&admin), Method::POST, &format!("{}/rotate", old.id), json!({})).await;
    assert_eq!((rotated.status, &rotated.body["replaces"]), (StatusCode::CREATED, &json!(old.id)));
    let location = rotated.headers[header::LOCATION].to_str().unwrap();
    assert_eq!(location, format!("/v1/keys/{}", rotated.body["id"].as_str().unwrap()));
    let secret = rotated.body["key"].as_str().unwrap();
    let read = get(&api.app, &admin, &format!("/v1/keys/{}", old.id)).await.body;
    assert_eq!((&read["state"], &read["replacedBy"]), (&json!("overlap"), &rotated.body["id"]));
    for path in ["rotate", "regenerate"] {
        let again = call(&api.app, Some(&admin), Method::POST, &format!("{}/{path}", old.id), json!({})).await;
        assert_eq!((again.status, again.code()), (StatusCode::CONFLICT, "CONFLICT"));
    }
    api.clock.advance(Duration::from_secs(86_399));
    assert_eq!(get(&api.app, &old_secret, location).await.status, StatusCode::OK);
    api.clock.advance(Duration::from_secs(1));
    assert_eq!(get(&api.app, &old_secret, location).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(get(&api.app, secret, location).await.status, StatusCode::OK);
}

#[tokio::test]
async fn regenerating_revokes_the_old_key_at_once() {
    let api = Api::new();
    let admin = api.admin().await;
    let (_, old) = api.issue(NewKey::named("k")).await;
    let made = send(&api.app, request(&Method::POST, &format!("/v1/keys/{}/regenerate", old.id), Some(&admin), None));
    assert_eq!(made.await.status, StatusCode::CREATED);
    let old = api.keys.get(&old.id).await.unwrap().unwrap();
    assert_eq!(old.state(old.created_at.unwrap()), KeyState::Revoked);
    for wrong in [json!({"overlapSeconds": -1}), json!({"overlapSeconds": 1.5}), json!({"overlapSeconds": "60"})] {
        let answer = call(&api.app, Some(&admin), Method::POST, &format!("{}/rotate", old.id), wrong).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (422, ["overlapSeconds"].into()));
    }
}

/// The successor's secret is handed to whoever rotates, so a weaker caller must not rotate a stronger key.
#[tokio::test]
async fn rotating_or_changing_a_key_gives_nobody_more_than_they_have() {
    let api = Api::new();
    let end = "2027-01-01T00:00:00Z".parse().unwrap();
    let weak = api.seen_by(maker(|record| {
        record.expires_at = Some(end);
        record.allowed_ips = Some("10.0.0.0/8".parse().unwrap());
    }));
    let own = || NewKey::named("k").scopes([ADMIN]).expires_at(end).allowed_ips("10.1.0.0/16".parse().unwrap());
    let rotate = async |key: NewKey, app: &App| {
        let (_, key) = api.issue(key).await;
        let answer = call(app, None, Method::POST, &format!("{}/rotate", key.id), json!({})).await;
        let kept = api.keys.get(&key.id).await.unwrap().unwrap();
        assert_eq!(kept.rotation.is_some(), answer.status == StatusCode::CREATED);
        answer.status.as_u16()
    };
    assert_eq!(rotate(own(), &weak).await, 201);
    let mut everywhere = own();
    everywhere.allowed_ips = None;
    let mut forever = own();
    forever.expires_at = None;
    for stronger in [own().scopes([ADMIN, WRITE]), everywhere, forever] {
        assert_eq!(rotate(stronger, &weak).await, 403);
    }
    let ann = api.seen_with(user("ann"), StandardAuthority::new().grantable([READ]));
    let anns = |scope: Scope| NewKey::named("k").scopes([scope]).owner(super::authority::owner("ann"));
    assert_eq!(rotate(anns(READ), &ann).await, 201);
    assert_eq!(rotate(anns(WRITE), &ann).await, 403);

    let (_, key) = api.issue(own()).await;
    for (field, value) in [
        ("scopes", json!(["write"])),
        ("expiresAt", json!("2027-01-01T00:00:01Z")),
        ("allowedIps", json!(["0.0.0.0/0"])),
    ] {
        let answer = call(&weak, None, Method::PATCH, key.id.as_str(), json!({field: value})).await;
        assert_eq!((answer.status, answer.fields()), (StatusCode::FORBIDDEN, [field].into()));
    }
    let cleared =
        call(&weak, None, Method::PATCH, key.id.as_str(), json!({"expiresAt": null, "allowedIps": null})).await;
    assert_eq!(cleared.body["expiresAt"], "2027-01-01T00:00:00.000Z", "no more than the caller's own");
    assert_eq!(cleared.body["allowedIps"], json!(["10.0.0.0/8"]));
}

#[tokio::test]
async fn usage_is_shown_in_totals_and_by_the_day_or_hour() {
    let api = Api::new();
    let admin = api.admin().await;
    let (_, key) = api.issue(NewKey::named("k")).await;
    let usage = KeyUsage::new(key.id.clone(), 3, key.created_at.unwrap()).last_used_ip("::1".parse().unwrap());
    api.keys.record_usage(&[usage]).await.unwrap();
    let shown = get(&api.app, &admin, &format!("/v1/keys/{}/usage", key.id)).await;
    let at = key.created_at.unwrap().to_string();
    let totals = json!({"useCount": 3, "lastUsedAt": at, "lastUsedIp": "::1"});
    assert_eq!(totals.as_object().unwrap().iter().find(|(name, value)| shown.body[name.as_str()] != **value), None);
    let series = |answer: &Answer| {
        let points = answer.body["series"].as_array().unwrap();
        let count = |point: &Value| (point["at"].as_str().unwrap().to_owned(), point["count"].as_u64().unwrap());
        points.iter().map(count).collect::<Vec<_>>()
    };
    let days = series(&shown);
    assert_eq!(
        (days.len(), &days[0], &days[29]),
        (30, &("2025-12-16T00:00:00.000Z".to_owned(), 0), &("2026-01-14T00:00:00.000Z".to_owned(), 3),)
    );
    assert_eq!(shown.body["bucket"], "day");
    assert_eq!((&shown.body["from"], &shown.body["to"]), (&json!("2025-12-16T00:00:00.000Z"), &json!(at)));
    let usage = async |query: &str| get(&api.app, &admin, &format!("/v1/keys/{}/usage?{query}", key.id)).await;
    api.clock.advance(Duration::from_secs(60));
    let hours = series(&usage("bucket=hour").await);
    assert_eq!((hours.len(), hours[47].1, hours[46].1), (48, 3, 0));
    assert_eq!(hours[0].0, "2026-01-12T19:00:00.000Z");
    let some = series(&usage("bucket=hour&from=2026-01-14T16:30:00%2B00:00&to=2026-01-14T19:00:00Z").await);
    let some: Vec<_> = some.iter().map(|(at, count)| (at.as_str(), *count)).collect();
    assert_eq!(
        some,
        [("2026-01-14T16:00:00.000Z", 0), ("2026-01-14T17:00:00.000Z", 0), ("2026-01-14T18:00:00.000Z", 3),]
    );
    for (query, field) in [
        ("bucket=week", "bucket"),
        ("from=yesterday", "from"),
        ("from=2026-01-14T00:00:00Z&to=2026-01-14T00:00:00Z", "to"),
        ("from=2020-01-01T00:00:00Z", "from"),
        ("from=2026-01-14T00:00:00Z&to=9999-12-31T00:00:00Z&bucket=hour", "from"),
        ("until=2026-01-14T00:00:00Z", "until"),
    ] {
        let refused = usage(query).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (422, "VALIDATION_FAILED"), "{query}");
        assert!(refused.fields().contains(field), "{query}: {refused:?}");
    }
    assert_eq!(usage("from=2023-04-21T00:00:00Z").await.status, 200, "a thousand buckets are not too many");
}

#[tokio::test]
async fn a_life_that_the_store_does_not_allow_is_named() {
    let api = Api::new();
    let admin = api.admin().await;
    let life = KeyLife::unlimited().greatest(Duration::from_secs(7 * 86_400));
    let keys = MemoryKeys::builder().clock(api.clock.clone()).life(life).build();
    let management = Management::new(keys).clock(api.clock.clone());
    let app = guarded(api.keys.clone(), &api.clock, management.router());
    for (days, status) in [(8, 422), (7, 201)] {
        let answer = post(&app, &admin, json!({"name": "k", "expiresInDays": days})).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        assert_eq!(answer.fields().contains("expiresAt"), status == 422);
    }
}
