//! Requests that are repeated, and requests that are made at once.

use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tower_api_key::clock::Clock;
use tower_api_key::key::{KeyOwner, OrganizationId, UserId};
use tower_api_key::management::{Call, Grant, Management, Mandate, ROUTES, Reach, StandardAuthority};
use tower_api_key::source::{KeyStore, NewKey};
use tower_api_key::testing;

use super::faults::{Fault, Faulty};
use super::support::{Answer, Api, App, body, boxed, maker, path, request, send, user};

fn named(name: &str, path: &str, body: Value) -> Request<Body> {
    let mut request = request(&Method::POST, path, None, Some(body));
    request.headers_mut().insert("idempotency-key", name.parse().unwrap());
    request
}

async fn make(app: &App, name: &str, body: Value) -> Answer {
    send(app, named(name, "/v1/keys", body)).await
}

#[tokio::test]
async fn a_repeat_answers_with_the_same_key_and_makes_no_other() {
    let api = Api::new();
    let app = api.seen_by(maker(|_| {}));
    let first = make(&app, "one", json!({"name": "new"})).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let secret = first.body["key"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        let again = make(&app, "\"one\"", json!({"name": "new"})).await;
        assert_eq!((again.status, &again.body["key"]), (StatusCode::OK, &Value::Null));
        assert!(again.body["keyNote"].is_string() && again.headers["idempotent-replayed"] == "true");
        assert_eq!(again.headers[header::LOCATION], first.headers[header::LOCATION]);
        assert_eq!(again.headers[header::ETAG], first.headers[header::ETAG]);
        let without = |answer: &Answer| {
            let mut body = answer.body.clone();
            body.as_object_mut().unwrap().retain(|name, _| name != "key" && name != "keyNote");
            body
        };
        assert_eq!(without(&again), without(&first));
        assert!(!again.body.to_string().contains(&secret));
    }
    assert!(first.body.get("keyNote").is_none() && !first.headers.contains_key("idempotent-replayed"));
    assert_eq!(api.all().await.len(), 1);
}

#[tokio::test]
async fn every_call_that_makes_a_key_can_be_repeated() {
    let api = Api::new();
    let app = api.seen_by(maker(|_| {}));
    let mut makers = 0;
    for endpoint in ROUTES {
        let (_, target) = api.issue(NewKey::named("target")).await;
        let call = || {
            let mut request =
                request(&endpoint.method, &path(endpoint, target.id.as_str()), None, body(endpoint.action));
            request.headers_mut().insert("idempotency-key", "same".parse().unwrap());
            request
        };
        let first = send(&app, call()).await;
        if !first.body["key"].is_string() {
            continue;
        }
        makers += 1;
        let keys = api.all().await.len();
        let again = send(&app, call()).await;
        assert_eq!((again.status, &again.body["id"]), (StatusCode::OK, &first.body["id"]), "{endpoint:?}");
        assert_eq!((&again.body["replaces"], &again.body["key"]), (&first.body["replaces"], &Value::Null));
        assert_eq!(again.headers[header::LOCATION], first.headers[header::LOCATION]);
        assert_eq!(api.all().await.len(), keys, "{endpoint:?}");
    }
    assert_eq!(makers, 3);
}

#[tokio::test]
async fn the_same_name_with_another_body_is_refused() {
    let api = Api::new();
    let app = api.seen_by(maker(|_| {}));
    assert_eq!(make(&app, "one", json!({"name": "new"})).await.status, StatusCode::CREATED);
    for body in [json!({"name": "other"}), json!({}), json!({"name": "new", "scopes": []})] {
        let answer = make(&app, "one", body).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (422, "VALIDATION_FAILED"));
        assert_eq!(answer.fields(), ["Idempotency-Key"].into());
    }
    assert_eq!(api.all().await.len(), 1);
}

#[tokio::test]
async fn a_request_that_made_nothing_can_be_sent_anew_under_its_name() {
    let api = Api::new();
    let app = api.seen_by(maker(|_| {}));
    assert_eq!(make(&app, "one", json!({"name": ""})).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(make(&app, "one", json!({"name": "new"})).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_name_is_its_callers_and_its_calls_own() {
    let api = Api::new();
    let body = || json!({"name": "new"});
    let contexts = [
        user("ann"),
        user("bob"),
        maker(|_| {}),
        maker(|record| record.id = tower_api_key::key::KeyId::from_static("ann")),
        maker(|record| record.owner = KeyOwner::organization(OrganizationId::from_static("acme"))),
        maker(|record| record.owner = KeyOwner::user(UserId::from_static("acme"))),
    ];
    // One router for all of them, as there is in a program.
    let router = Management::new(api.keys.clone()).authority(StandardAuthority::new()).router();
    for (number, context) in contexts.into_iter().enumerate() {
        let app = boxed(Router::new().nest("/v1/keys", router.clone()).layer(axum::Extension(context)));
        assert_eq!(make(&app, "one", body()).await.status, StatusCode::CREATED);
        assert_eq!(make(&app, "one", body()).await.status, StatusCode::OK);
        assert_eq!(api.all().await.len(), number + 1);
    }
    let (_, target) = api.issue(NewKey::named("one")).await;
    let (_, other) = api.issue(NewKey::named("two")).await;
    let app = boxed(Router::new().nest("/v1/keys", router).layer(axum::Extension(maker(|_| {}))));
    for id in [&target.id, &other.id] {
        let rotate = named("one", &format!("/v1/keys/{id}/rotate"), json!({}));
        assert_eq!(send(&app, rotate).await.status, StatusCode::CREATED);
    }
    let regenerate = named("one", &format!("/v1/keys/{}/regenerate", target.id), json!({}));
    assert_eq!(send(&app, regenerate).await.status, StatusCode::CONFLICT, "another call, which has a say of its own");
}

#[tokio::test]
async fn a_repeat_is_refused_to_whoever_may_not_call_any_more() {
    let api = Api::new();
    let router = Management::new(api.keys.clone()).router();
    let seen_by = |context| boxed(Router::new().nest("/v1/keys", router.clone()).layer(axum::Extension(context)));
    assert_eq!(make(&seen_by(maker(|_| {})), "one", json!({"name": "new"})).await.status, StatusCode::CREATED);
    let weaker = maker(|record| record.scopes = [super::support::READ].into());
    assert_eq!(make(&seen_by(weaker), "one", json!({"name": "new"})).await.status, StatusCode::FORBIDDEN);
    let anonymous = testing::context().build();
    assert_eq!(make(&seen_by(anonymous), "one", json!({"name": "new"})).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_repeat_shows_no_key_that_is_gone_or_out_of_reach() {
    let api = Api::new();
    let app = api.seen_by(maker(|_| {}));
    let made = make(&app, "one", json!({"name": "new"})).await;
    let id = made.body["id"].as_str().unwrap().parse().unwrap();
    assert!(api.keys.revoke(&id, None).await.unwrap().is_some());
    let again = make(&app, "one", json!({"name": "new"})).await;
    assert_eq!((again.status, &again.body["state"]), (StatusCode::OK, &json!("revoked")), "as it is now");
    api.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(api.keys.purge(api.clock.now()).await.unwrap(), 1);
    let again = make(&app, "one", json!({"name": "new"})).await;
    assert_eq!((again.status.as_u16(), again.code()), (409, "CONFLICT"));

    let elsewhere = |_: &Call<'_>| {
        let acme = KeyOwner::organization(OrganizationId::from_static("acme"));
        Ok(Mandate::new(Reach::User(UserId::from_static("ann")), Grant::scopes([])).owner(acme))
    };
    let router = Management::new(api.keys.clone()).authority(elsewhere).router();
    let app = boxed(Router::new().nest("/v1/keys", router).layer(axum::Extension(user("ann"))));
    assert_eq!(make(&app, "one", json!({"name": "new"})).await.status, StatusCode::CREATED);
    let again = make(&app, "one", json!({"name": "new"})).await;
    assert_eq!((again.status.as_u16(), again.code()), (409, "CONFLICT"));
}

#[tokio::test]
async fn a_name_that_is_none_is_refused_and_other_calls_do_not_read_it() {
    let api = Api::new();
    let app = api.seen_by(maker(|_| {}));
    for wrong in ["", "\"\"", "a b", "a\"b", "a\\b", &"x".repeat(256)] {
        let answer = make(&app, wrong, json!({"name": "new"})).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, "MALFORMED_REQUEST"), "{wrong}");
    }
    let mut twice = named("one", "/v1/keys", json!({"name": "new"}));
    twice.headers_mut().append("idempotency-key", "one".parse().unwrap());
    assert_eq!(send(&app, twice).await.status, StatusCode::BAD_REQUEST);
    let mut list = request(&Method::GET, "/v1/keys", None, None);
    list.headers_mut().insert("idempotency-key", "a b".parse().unwrap());
    assert_eq!(send(&app, list).await.status, StatusCode::OK);
    assert!(api.all().await.is_empty());
}

#[tokio::test]
async fn one_of_many_at_once_makes_the_key() {
    let api = Api::new();
    let slow = Management::new(Faulty::new(&api, Fault::Yields)).router();
    let app = boxed(Router::new().nest("/v1/keys", slow).layer(axum::Extension(maker(|_| {}))));
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { make(&app, "one", json!({"name": "new"})).await })
        })
        .collect();
    let (mut made, mut under_way) = (0, 0);
    for call in calls {
        match call.await.unwrap().status.as_u16() {
            201 => made += 1,
            409 => under_way += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!((made, under_way), (1, 7));
    assert_eq!(make(&app, "one", json!({"name": "new"})).await.status, StatusCode::OK);
    assert_eq!(api.all().await.len(), 1);
}

#[tokio::test]
async fn what_a_caller_began_who_hung_up_is_there_for_the_repeat() {
    let api = Api::new();
    let slow = Management::new(Faulty::new(&api, Fault::Yields)).router();
    let app = boxed(Router::new().nest("/v1/keys", slow).layer(axum::Extension(maker(|_| {}))));
    let begun = tokio::spawn({
        let app = app.clone();
        async move { make(&app, "one", json!({"name": "new"})).await }
    });
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    begun.abort();
    assert!(begun.await.unwrap_err().is_cancelled(), "it was under way");
    let mut again = make(&app, "one", json!({"name": "new"})).await;
    while again.status == StatusCode::CONFLICT {
        tokio::task::yield_now().await;
        again = make(&app, "one", json!({"name": "new"})).await;
    }
    assert_eq!((again.status, &again.body["key"]), (StatusCode::OK, &Value::Null));
    assert_eq!(api.all().await.len(), 1);
}

#[tokio::test]
async fn of_two_keys_that_are_made_at_once_one_is_current() {
    for nodes in [1, 2] {
        let api = Api::new();
        let node = || Management::new(Faulty::new(&api, Fault::Yields)).single_key().router();
        let routers: Vec<_> = (0..nodes).map(|_| node()).collect();
        let calls: Vec<_> = (0..8)
            .map(|number| {
                let keys = routers[number % nodes].clone();
                let app = boxed(Router::new().nest("/v1/keys", keys).layer(axum::Extension(user("ann"))));
                tokio::spawn(async move {
                    send(&app, request(&Method::POST, "/v1/keys", None, Some(json!({"name": "n"})))).await
                })
            })
            .collect();
        let mut made = 0;
        for call in calls {
            let answer = call.await.unwrap();
            made += usize::from(answer.status == StatusCode::CREATED);
            assert!([201, 409].contains(&answer.status.as_u16()), "{answer:?}");
        }
        let current = api.all().await.iter().filter(|key| key.revoked_at.is_none()).count();
        assert_eq!(current, made, "who was refused has left no key behind");
        assert!(if nodes == 1 { made == 1 } else { made <= 1 }, "{nodes} nodes, {made} keys");
    }
}

#[tokio::test]
async fn a_second_key_of_another_node_is_noticed_afterwards() {
    let api = Api::new();
    let router = Management::new(Faulty::new(&api, Fault::Rivals)).single_key().router();
    let app = boxed(Router::new().nest("/v1/keys", router).layer(axum::Extension(user("ann"))));
    let answer = send(&app, request(&Method::POST, "/v1/keys", None, Some(json!({"name": "mine"})))).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (409, "CONFLICT"));
    let current: Vec<_> = api.all().await.into_iter().filter(|key| key.revoked_at.is_none()).collect();
    assert_eq!((current.len(), current[0].name.as_str()), (1, "rival"));
    let mine = api.all().await.into_iter().find(|key| key.name == "mine").unwrap();
    let reason = api.keys.get(&mine.id).await.unwrap().unwrap().revoked_reason.clone();
    assert_eq!(reason.as_deref(), Some("another key was made at the same time"));
}
