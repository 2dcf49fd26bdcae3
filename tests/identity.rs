//! Who a gateway says is calling, and who cannot say so in its place.
#![cfg(feature = "testing")]

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tower_api_key::clock::Timestamp;
use tower_api_key::identity::{
    IdentityError, IdentitySigner, IdentityVerifier, X_IDENTITY, X_IDENTITY_SIGNATURE, remove,
};
use tower_api_key::key::{OrganizationId, Scope, UserId};
use tower_api_key::{AuthMethod, testing};

const SECRET: &str = "the gateway and the service share it";
const OTHER: &str = "a secret that somebody else has chosen";
const NOW: Timestamp = Timestamp::from_unix_seconds(1_768_413_600);

fn signed(secret: &str) -> HeaderMap {
    let context = testing::context()
        .key("ci")
        .scopes([Scope::from_static("read")])
        .organization(OrganizationId::from_static("acme"))
        .user(UserId::from_static("ann"))
        .build();
    let mut headers = HeaderMap::new();
    IdentitySigner::new(secret).unwrap().write(&context, NOW, &mut headers);
    headers
}

#[test]
fn what_the_gateway_signs_is_what_the_service_reads() {
    let headers = signed(SECRET);
    let identity = IdentityVerifier::new(SECRET).unwrap().verify(&headers, NOW).unwrap();
    assert_eq!((identity.method, identity.issued_at), (AuthMethod::ApiKeyAndUser, 1_768_413_600));
    let json = serde_json::to_value(&identity).unwrap();
    assert_eq!((&json["keyId"], &json["user"]["id"]), (&"key_ci".into(), &"ann".into()));
    assert_eq!((&json["organization"], &json["iat"]), (&serde_json::json!({ "id": "acme" }), &1_768_413_600.into()));
    assert_eq!((&json["scopes"], &json["method"]), (&serde_json::json!(["read"]), &"api_key_and_user".into()));
}

/// Worked out with Python's `hmac`, so that a service in another language can rely on it.
#[test]
fn the_signature_is_over_the_text_of_the_identity() {
    let context = testing::context().build();
    let mut headers = HeaderMap::new();
    IdentitySigner::new(SECRET).unwrap().write(&context, NOW, &mut headers);
    let text = headers[X_IDENTITY].to_str().unwrap();
    let program = "import base64,hashlib,hmac,sys;\
                   print(base64.urlsafe_b64encode(hmac.new(sys.argv[1].encode(),sys.argv[2].encode(),hashlib.sha256)\
                   .digest()).decode().rstrip('='))";
    if !std::env::var("TEST_SERVICES").is_ok_and(|value| value == "1") {
        return;
    }
    let output = std::process::Command::new("python3").args(["-c", program, SECRET, text]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), headers[X_IDENTITY_SIGNATURE].to_str().unwrap());
}

#[test]
fn nobody_else_can_say_who_is_calling() {
    let verifier = IdentityVerifier::new(SECRET).unwrap();
    let verify = |headers: &HeaderMap| verifier.verify(headers, NOW).unwrap_err();
    assert_eq!(verify(&HeaderMap::new()), IdentityError::Missing);
    assert_eq!(verify(&signed(OTHER)), IdentityError::Forged);
    for name in [X_IDENTITY, X_IDENTITY_SIGNATURE] {
        let mut headers = signed(SECRET);
        headers.remove(&name);
        assert_eq!(verify(&headers), IdentityError::Missing, "{name}");
        let mut headers = signed(SECRET);
        headers.append(&name, headers[&name].clone());
        assert_eq!(verify(&headers), IdentityError::Ambiguous, "{name}");
        for wrong in ["", "e30", "=", "é"] {
            let mut headers = signed(SECRET);
            headers.insert(&name, HeaderValue::from_bytes(wrong.as_bytes()).unwrap());
            assert_eq!(verify(&headers), IdentityError::Forged, "{name}: {wrong:?}");
        }
    }
    let mut headers = signed(SECRET);
    let forged = signed(OTHER);
    headers.insert(X_IDENTITY, forged[X_IDENTITY].clone());
    assert_eq!(verify(&headers), IdentityError::Forged, "an identity under the signature of another");
    headers.insert(X_IDENTITY_SIGNATURE, forged[X_IDENTITY_SIGNATURE].clone());
    assert_eq!(verify(&headers), IdentityError::Forged);
}

#[test]
fn an_identity_is_good_for_a_minute_and_a_secret_can_be_replaced() {
    let headers = signed(SECRET);
    let verifier = IdentityVerifier::new(OTHER).unwrap().add_secret(SECRET).unwrap();
    for (distance, good) in [(60, true), (-60, true), (61, false), (-61, false), (86_400, false)] {
        let now = Timestamp::from_unix_seconds(NOW.unix_seconds() + distance);
        let verdict = verifier.verify(&headers, now).map(|_| ());
        assert_eq!(verdict, if good { Ok(()) } else { Err(IdentityError::Outdated) }, "{distance}");
    }
    let patient = verifier.tolerance(Duration::from_secs(86_400));
    assert!(patient.verify(&headers, NOW.saturating_add(Duration::from_secs(86_400))).is_ok());
}

#[test]
fn what_a_caller_sends_under_these_names_is_gone() {
    let mut headers = signed(OTHER);
    headers.append(X_IDENTITY, HeaderValue::from_static("forged"));
    let context = testing::context().build();
    IdentitySigner::new(SECRET).unwrap().write(&context, NOW, &mut headers);
    let identity = IdentityVerifier::new(SECRET).unwrap().verify(&headers, NOW).unwrap();
    assert_eq!((identity.method, identity.key_id), (AuthMethod::Anonymous, None));
    remove(&mut headers);
    assert!(headers.is_empty());
}

#[test]
fn a_short_secret_is_refused_and_no_secret_is_shown() {
    let error = IdentitySigner::new("too short").unwrap_err().to_string();
    assert_eq!(error, "identity secret: it needs at least 32 characters");
    let shown = format!("{:?} {:?}", IdentitySigner::new(SECRET).unwrap(), IdentityVerifier::new(SECRET).unwrap());
    assert!(!shown.contains(SECRET), "{shown}");
}
