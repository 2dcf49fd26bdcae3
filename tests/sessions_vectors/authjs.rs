//! NextAuth 4 and Auth.js 5.

use serde_json::Value;
use tower_api_key::ConfigError;
use tower_api_key::clock::Timestamp;
use tower_api_key::session::{AuthJsCookie, AuthJsSessions, PresentedSession, Session, SessionAnswer, SessionResolver};

use crate::vectors::{case, cases, judge, now, presented, report, text};

#[tokio::test]
async fn nextauth_sessions_are_read_as_every_vector_expects() {
    judge_all("nextauth_v4.json", AuthJsCookie::next_auth).await;
}

#[tokio::test]
async fn authjs_sessions_are_read_as_every_vector_expects() {
    judge_all("authjs_v5.json", AuthJsCookie::authjs).await;
}

async fn judge_all(file: &str, cookie: fn(String) -> AuthJsCookie) {
    let (cases, mut failures) = (cases(file), Vec::new());
    for case in &cases {
        match sessions(case, cookie) {
            Ok(sessions) => failures.extend(judge(case, sessions, |session| says(session, case)).await),
            // Without a secret there is nothing to read by.
            Err(error) => assert_eq!(case["secrets"], Value::Array(Vec::new()), "{}: {error}", case["id"]),
        }
    }
    report(file, cases.len(), &failures);
}

fn sessions(case: &Value, cookie: fn(String) -> AuthJsCookie) -> Result<AuthJsSessions, ConfigError> {
    let secrets: Vec<&str> = match case["secrets"].as_array() {
        Some(secrets) => secrets.iter().filter_map(Value::as_str).collect(),
        None => text(case, "secret").into_iter().collect(),
    };
    let mut secrets = secrets.into_iter();
    let mut builder = AuthJsSessions::builder(secrets.next().unwrap_or_default()).bearer(true);
    for secret in secrets {
        builder = builder.add_secret(secret);
    }
    let mut cookie = cookie(text(case, "cookie_name").unwrap().to_owned());
    if let Some(salt) = text(case, "salt") {
        cookie = cookie.salt(salt);
    }
    builder.with_cookies([cookie]).build()
}

fn says(session: &Session, case: &Value) -> bool {
    let claims = &case["expect"]["claims"];
    let same = |said: Option<&str>, claim: &str| said == claims[claim].as_str();
    Value::Object(session.claims.clone()) == *claims
        && same(Some(session.user.id.as_str()), "sub")
        && same(session.user.name.as_deref(), "name")
        && same(session.user.email.as_deref(), "email")
        && session.expires_at.map(Timestamp::unix_seconds) == claims["exp"].as_f64().map(|exp| exp as i64)
        && session.source == "authjs"
}

/// Without a setting, each is known by its name.
#[test]
fn a_session_is_known_by_the_usual_name_of_its_cookie() {
    for file in ["nextauth_v4.json", "authjs_v5.json"] {
        for id in ["plain/valid", "secure/valid"] {
            let case = case(file, id);
            let sessions = AuthJsSessions::new(text(&case, "secret").unwrap()).unwrap();
            let answer = sessions.resolve_now(&presented(&case), now(&case));
            assert!(matches!(answer, Some(SessionAnswer::Valid(_))), "{file} {id}: {answer:?}");
        }
    }
}

#[test]
fn a_session_of_another_name_or_place_is_none_of_these() {
    let case = case("nextauth_v4.json", "plain/valid");
    let sessions = AuthJsSessions::new(text(&case, "secret").unwrap()).unwrap();
    let token = presented(&case);
    let elsewhere = [
        PresentedSession::cookie("next-auth.csrf-token", token.expose_secret()),
        PresentedSession::bearer(token.expose_secret()),
    ];
    for presented in elsewhere {
        let answer = sessions.resolve_now(&presented, now(&case));
        assert!(matches!(answer, Some(SessionAnswer::Absent)), "{answer:?}");
    }
    // Under the name of Auth.js 5, the key is another: also when the token was verified lately.
    assert!(matches!(sessions.resolve_now(&token, now(&case)), Some(SessionAnswer::Valid(_))));
    let moved = PresentedSession::cookie("authjs.session-token", token.expose_secret());
    assert!(matches!(sessions.resolve_now(&moved, now(&case)), Some(SessionAnswer::Invalid(_))));
}

#[test]
fn a_bearer_counts_only_if_that_is_switched_on() {
    for file in ["nextauth_v4.json", "authjs_v5.json"] {
        let case = case(file, "plain/valid");
        let token = PresentedSession::bearer(presented(&case).expose_secret());
        let sessions = AuthJsSessions::builder(text(&case, "secret").unwrap()).bearer(true).build().unwrap();
        let answer = sessions.resolve_now(&token, now(&case));
        assert!(matches!(answer, Some(SessionAnswer::Valid(_))), "{file}: {answer:?}");
    }
}

/// A session that is remembered ends at its time all the same.
#[test]
fn a_remembered_session_ends_in_time() {
    let case = case("nextauth_v4.json", "plain/exp-1s");
    let sessions = AuthJsSessions::new(text(&case, "secret").unwrap()).unwrap();
    let presented = presented(&case);
    let valid_at = |seconds: i64| {
        let now = Timestamp::from_unix_seconds(case["exp"].as_i64().unwrap() + seconds);
        matches!(sessions.resolve_now(&presented, now), Some(SessionAnswer::Valid(_)))
    };
    assert!(valid_at(-1) && valid_at(14));
    assert!(!valid_at(15));
    assert!(!valid_at(86_400));
}
