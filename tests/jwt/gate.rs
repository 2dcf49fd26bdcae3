//! Tokens on their whole way: from the header of a request to the `AuthContext`, or to the refusal.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt};
use tower_api_key::clock::Timestamp;
use tower_api_key::credential::CredentialLocation;
use tower_api_key::route::{Callers, Route};
use tower_api_key::session::{JwtAlgorithm, JwtKeys, JwtSessions};
use tower_api_key::source::MemoryKeys;
use tower_api_key::testing::TestClock;
use tower_api_key::{ApiKeyLayer, AuthContext};

use crate::support::{AUDIENCE, ISSUER, Published, claims, now, signed_by, vectors};

/// Keys travel as Bearer, too: the hard case.
fn gate(sessions: JwtSessions, at: Timestamp) -> ApiKeyLayer {
    let credentials = [CredentialLocation::header("x-api-key"), CredentialLocation::bearer()];
    ApiKeyLayer::builder(MemoryKeys::new())
        .credentials(credentials)
        .sessions(sessions)
        .route(http::Method::GET, "/", Route::new().callers(Callers::User))
        .clock(TestClock::at(at))
        .build()
        .unwrap()
}

/// The id of the user who was let in, or status and code of the refusal.
async fn outcome(auth: &ApiKeyLayer, token: &str) -> Result<String, (StatusCode, String)> {
    let mut request = Request::get("/").body(()).unwrap();
    let Ok(value) = HeaderValue::try_from(format!("Bearer {token}")) else {
        // No server hands out such a field.
        return Err((StatusCode::UNAUTHORIZED, "INVALID_USER_TOKEN".to_owned()));
    };
    request.headers_mut().insert("authorization", value);
    let inner = tower::service_fn(|request: Request<()>| async move {
        assert!(!request.headers().contains_key("authorization"), "the token stays with the gate");
        let context: &AuthContext = request.extensions().get().unwrap();
        let id = context.user().expect("a user").id.to_string();
        Ok::<_, Infallible>(Response::new(Full::from(id)))
    });
    let response = auth.layer(inner).oneshot(request).await.unwrap();
    let status = response.status();
    let challenged = response.headers().contains_key("www-authenticate");
    let body: Bytes = response.into_body().collect().await.unwrap().to_bytes();
    if status == StatusCode::OK {
        return Ok(String::from_utf8(body.to_vec()).unwrap());
    }
    assert_eq!(challenged, status == StatusCode::UNAUTHORIZED);
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(token.len() < 20 || !text.contains(token), "{text}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    Err((status, json["code"].as_str().unwrap().to_owned()))
}

#[tokio::test]
async fn jwt_vectors_are_judged_alike_behind_the_gate() {
    let vectors = vectors();
    let mut failures = Vec::new();
    for case in vectors["cases"].as_array().unwrap() {
        let (id, token) = (case["id"].as_str().unwrap(), case["token"].as_str().unwrap());
        let at = Timestamp::from_unix_seconds(case["now"].as_i64().unwrap());
        let auth = gate(crate::vectors::sessions(&vectors, case), at);
        let outcome = outcome(&auth, token).await;
        // What stands around a header's value is no part of it (RFC 9110 §5.5).
        let trimmed = token.trim_end() != token;
        let agrees = match (&outcome, case["expect"]["valid"].as_bool()) {
            (Ok(user), Some(true)) => case["expect"]["claims"]["sub"] == user.as_str(),
            (Ok(_), Some(false)) => trimmed,
            (Err((status, code)), Some(false)) => {
                let codes = ["INVALID_USER_TOKEN", "MISSING_USER_TOKEN"];
                *status == StatusCode::UNAUTHORIZED && codes.contains(&&**code)
            }
            (Err((status, _)), Some(true)) => status.is_success(),
            (outcome, None) => outcome.as_ref().err().is_none_or(|(status, _)| *status == StatusCode::UNAUTHORIZED),
        };
        if !agrees {
            failures.push(format!("{id}: {outcome:?}"));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test]
async fn a_jwt_whose_keys_cannot_be_had_is_answered_503_and_never_401() {
    let issuer = Published::default();
    let builder = JwtSessions::builder(JwtKeys::jwks_from(issuer)).algorithms([JwtAlgorithm::EdDsa]);
    let auth = gate(builder.issuer(ISSUER).audience(AUDIENCE).build().unwrap(), now());
    let (status, code) = outcome(&auth, &signed_by(0, Some("key-0"), &claims())).await.unwrap_err();
    assert_eq!((status, code.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "AUTH_UNAVAILABLE"));
}
