//! A key set that is fetched: seldom, once for all who wait, and used while no newer one can be had.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tower_api_key::clock::Timestamp;
use tower_api_key::session::{
    JwksRefresh, JwtAlgorithm, JwtKeys, JwtSessions, SessionAnswer, SessionProblem, SessionResolver,
};

use crate::support::{
    AUDIENCE, ISSUER, Published, bearer, claims, jwk, jwks, now, problem_of, resolve, signed_by, try_resolve,
};

fn sessions(keys: JwtKeys) -> JwtSessions {
    let builder = JwtSessions::builder(keys).algorithms([JwtAlgorithm::EdDsa]).issuer(ISSUER).audience(AUDIENCE);
    builder.insecure_without_expiry().build().unwrap()
}

fn published(published: &Published, refresh: JwksRefresh) -> JwtSessions {
    sessions(JwtKeys::jwks_from(published.clone()).refresh(refresh))
}

/// A token that holds for ever, by a key that it names.
fn token(number: usize) -> String {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove("exp");
    signed_by(number, Some(&format!("key-{number}")), &claims)
}

fn after(seconds: u64) -> Timestamp {
    now().saturating_add(Duration::from_secs(seconds))
}

#[tokio::test]
async fn a_jwt_key_set_is_asked_for_with_the_first_token_and_then_kept() {
    let issuer = Published::new(jwks(&[0]));
    let sessions = published(&issuer, JwksRefresh::new());
    assert_eq!(issuer.asked(), 0);
    assert!(sessions.resolve_now(&bearer(&token(0)), now()).is_none());
    assert_eq!(problem_of(&resolve(&sessions, &token(0), now()).await), None);
    for second in 1..800 {
        let at_once = sessions.resolve_now(&bearer(&token(0)), after(second)).expect("in memory");
        assert_eq!(problem_of(&at_once), None);
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn made_up_kids_of_a_jwt_cost_at_most_one_request_in_the_interval() {
    let issuer = Published::new(jwks(&[0]));
    let sessions = published(&issuer, JwksRefresh::new().interval(Duration::from_secs(30)));
    assert_eq!(problem_of(&resolve(&sessions, &token(0), now()).await), None);
    for number in 0..10_000_u64 {
        let made_up = signed_by(1, Some(&format!("made-up-{number}")), &claims());
        // All within one interval, which begins with the 30th second.
        let answer = resolve(&sessions, &made_up, after(30 + number / 400)).await;
        assert_eq!(problem_of(&answer), Some(SessionProblem::Unknown));
    }
    assert_eq!(issuer.asked(), 2, "one at the start, and one in the interval");
    assert_eq!(problem_of(&resolve(&sessions, &token(0), after(55)).await), None, "others are served on");
}

#[tokio::test]
async fn many_jwts_at_once_cost_one_request() {
    let issuer = Published::new(jwks(&[0]));
    let gate = issuer.hold();
    let sessions = Arc::new(published(&issuer, JwksRefresh::new()));
    let waiting: Vec<_> = (0..200)
        .map(|number| {
            let sessions = Arc::clone(&sessions);
            tokio::spawn(async move { resolve(&sessions, &token(number % 2), now()).await })
        })
        .collect();
    while issuer.asked() == 0 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1_000);
    for (number, answer) in waiting.into_iter().enumerate() {
        let expected = (number % 2 == 1).then_some(SessionProblem::Unknown);
        assert_eq!(problem_of(&answer.await.unwrap()), expected);
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a_new_jwt_key_is_found_by_its_kid_and_a_withdrawn_one_is_refused() {
    let issuer = Published::new(jwks(&[0]));
    let sessions = published(&issuer, JwksRefresh::new().interval(Duration::from_secs(30)));
    assert_eq!(problem_of(&resolve(&sessions, &token(0), now()).await), None);
    issuer.publish(jwks(&[1]));
    assert_eq!(problem_of(&resolve(&sessions, &token(1), after(29)).await), Some(SessionProblem::Unknown));
    assert_eq!(problem_of(&resolve(&sessions, &token(1), after(30)).await), None);
    assert_eq!(problem_of(&resolve(&sessions, &token(0), after(31)).await), Some(SessionProblem::Unknown));
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn a_jwt_key_set_is_refreshed_without_anybody_waiting() {
    let issuer = Published::new(jwks(&[0]));
    let sessions = published(&issuer, JwksRefresh::new().refresh_after(Duration::from_secs(900)));
    assert_eq!(problem_of(&resolve(&sessions, &token(0), now()).await), None);
    issuer.publish(jwks(&[1]));
    let gate = issuer.hold();
    let at_once = sessions.resolve_now(&bearer(&token(0)), after(900)).expect("the old set is used meanwhile");
    assert_eq!(problem_of(&at_once), None);
    gate.add_permits(1);
    while sessions.resolve_now(&bearer(&token(1)), after(901)).as_ref().and_then(problem_of).is_some()
        || sessions.resolve_now(&bearer(&token(1)), after(901)).is_none()
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(problem_of(&resolve(&sessions, &token(0), after(902)).await), Some(SessionProblem::Unknown));
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn without_any_jwt_key_set_nobody_can_tell() {
    let issuer = Published::default();
    let sessions = published(&issuer, JwksRefresh::new());
    for _ in 0..1_000 {
        let error = try_resolve(&sessions, &token(0), now()).await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap();
        assert_eq!(cause.to_string(), "the key set could not be fetched");
        assert_eq!(cause.source().unwrap().to_string(), "away");
    }
    assert_eq!(issuer.asked(), 1);
    issuer.publish(jwks(&[0]));
    assert_eq!(problem_of(&resolve(&sessions, &token(0), after(1)).await), None, "a second later it is asked again");
}

#[tokio::test]
async fn the_last_good_jwt_key_set_is_used_until_it_is_too_old() {
    let issuer = Published::new(jwks(&[0]));
    let refresh = JwksRefresh::new().refresh_after(Duration::from_secs(60)).max_age(Duration::from_secs(3_600));
    let sessions = published(&issuer, refresh);
    assert_eq!(problem_of(&resolve(&sessions, &token(0), now()).await), None);
    for broken in [None, Some("<html>"), Some(r#"{"keys":[]}"#), Some(r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#)] {
        match broken {
            Some(text) => issuer.publish(text),
            None => issuer.fail(),
        }
        for seconds in [600, 1_200, 3_599] {
            assert_eq!(problem_of(&resolve(&sessions, &token(0), after(seconds)).await), None);
        }
    }
    let stranger = try_resolve(&sessions, &token(1), after(3_599)).await;
    assert!(stranger.is_err(), "its key may be a new one: {stranger:?}");
    assert!(try_resolve(&sessions, &token(0), after(3_600)).await.is_err());
    issuer.publish(jwks(&[0]));
    assert_eq!(problem_of(&resolve(&sessions, &token(0), after(3_700)).await), None);
}

#[tokio::test(start_paused = true)]
async fn a_jwt_key_set_that_does_not_come_has_a_deadline() {
    let issuer = Published::new(jwks(&[0]));
    issuer.hold();
    let sessions = published(&issuer, JwksRefresh::new().deadline(Duration::from_secs(5)));
    let begun = tokio::time::Instant::now();
    let error = try_resolve(&sessions, &token(0), now()).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the key set did not come within 5s");
}

#[tokio::test]
async fn who_hangs_up_does_not_keep_new_jwt_keys_away() {
    let issuer = Published::new(jwks(&[0]));
    let gate = issuer.hold();
    let sessions = Arc::new(published(&issuer, JwksRefresh::new()));
    let first = tokio::spawn({
        let sessions = Arc::clone(&sessions);
        async move { resolve(&sessions, &token(0), now()).await }
    });
    while issuer.asked() == 0 {
        tokio::task::yield_now().await;
    }
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.add_permits(1);
    assert_eq!(problem_of(&resolve(&sessions, &token(0), now()).await), None);
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a_secret_in_a_fetched_jwt_key_set_is_passed_over() {
    let mut secret = serde_json::json!({"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "kid": "s"});
    secret["alg"] = "HS256".into();
    let issuer = Published::new(serde_json::json!({"keys": [secret, jwk(0)]}).to_string());
    let builder = JwtSessions::builder(JwtKeys::jwks_from(issuer)).algorithms([JwtAlgorithm::Hs256]);
    let sessions = builder.issuer(ISSUER).audience(AUDIENCE).build().unwrap();
    assert!(try_resolve(&sessions, &token(0), now()).await.is_err(), "no key of the set can be used");
}

#[tokio::test]
async fn a_jwt_key_set_comes_over_http() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let app = axum::Router::new()
        .route(
            "/jwks",
            axum::routing::get(move || {
                counter.fetch_add(1, Ordering::SeqCst);
                async { ([("content-type", "application/json")], jwks(&[0])) }
            }),
        )
        .route("/long", axum::routing::get(async || " ".repeat(JwksRefresh::MAX_LENGTH + 1)))
        .route("/moved", axum::routing::get(async || axum::response::Redirect::temporary("/jwks")));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let good = sessions(JwtKeys::jwks_url(&format!("http://{address}/jwks")));
    for _ in 0..3 {
        assert_eq!(problem_of(&resolve(&good, &token(0), now()).await), None);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    for (path, expected) in [
        ("long", "the body could not be read"),
        ("moved", "the server answered 307 Temporary Redirect"),
        ("absent", "the server answered 404 Not Found"),
    ] {
        let sessions = sessions(JwtKeys::jwks_url(&format!("http://{address}/{path}")));
        let error = try_resolve(&sessions, &token(0), now()).await.unwrap_err();
        let fetch = std::error::Error::source(&error).unwrap();
        assert_eq!(fetch.source().unwrap().to_string(), expected);
    }
    server.abort();
    let _ = server.await;
    let away = sessions(JwtKeys::jwks_url(&format!("http://{address}/jwks")));
    assert!(try_resolve(&away, &token(0), now()).await.is_err());
    assert!(matches!(resolve(&good, &token(0), after(60)).await, SessionAnswer::Valid(_)));
}
