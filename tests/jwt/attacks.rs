//! What must never be taken for a good token, each a hole that other verifiers have had.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tower_api_key::session::{JwtAlgorithm, JwtKeys, JwtSessions, SessionProblem, SessionResolver};

use crate::support::{
    AUDIENCE, ISSUER, NOW, SECRET, bearer, builder, claims, jwk, jwks, problem, signed, signed_by, signed_text,
    signed_with,
};

fn by_jwks(text: String) -> JwtSessions {
    let builder = JwtSessions::builder(JwtKeys::jwks(text)).algorithms([JwtAlgorithm::EdDsa]);
    builder.issuer(ISSUER).audience(AUDIENCE).build().unwrap()
}

#[test]
fn a_jwt_without_a_signature_is_never_taken() {
    let sessions = builder().build().unwrap();
    for algorithm in ["none", "None", "NONE", "nOnE", "", "HS256 ", "hs256"] {
        let token = signed_with(&claims(), &json!({"alg": algorithm}), SECRET);
        let (message, _) = token.rsplit_once('.').unwrap();
        assert!(problem(&sessions, &token).is_some(), "{algorithm}");
        assert!(problem(&sessions, &format!("{message}.")).is_some(), "{algorithm}");
        assert!(problem(&sessions, message).is_some(), "{algorithm}");
    }
    let good = signed(&claims());
    assert_eq!(problem(&sessions, &good), None);
    let (message, _) = good.rsplit_once('.').unwrap();
    assert_eq!(problem(&sessions, &format!("{message}.")), Some(SessionProblem::Forged));
}

#[test]
fn a_public_key_is_never_a_jwt_secret() {
    let public = jwk(0);
    let sessions = by_jwks(jwks(&[0]));
    let x = public["x"].as_str().unwrap();
    let raw = BASE64_URL_SAFE_NO_PAD.decode(x).unwrap();
    for secret in [public.to_string(), x.to_owned(), BASE64_STANDARD.encode(&raw), jwks(&[0])] {
        for header in [json!({"alg": "HS256"}), json!({"alg": "HS256", "kid": "key-0"})] {
            let token = signed_with(&claims(), &header, &secret);
            assert_eq!(problem(&sessions, &token), Some(SessionProblem::Forged));
        }
    }
    assert_eq!(problem(&sessions, &signed_by(0, Some("key-0"), &claims())), None);
}

#[test]
fn a_jwt_is_never_signed_by_a_key_that_it_brings_along() {
    let sessions = by_jwks(jwks(&[0]));
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
    let mut with_jwk = serde_json::to_value(&header).unwrap();
    with_jwk["jwk"] = jwk(1);
    let token = signed_by(1, None, &claims());
    let (_, rest) = token.split_once('.').unwrap();
    let forged = format!("{}.{rest}", BASE64_URL_SAFE_NO_PAD.encode(with_jwk.to_string()));
    assert!(problem(&sessions, &forged).is_some());
    assert!(problem(&sessions, &token).is_some());
}

#[test]
fn a_jwt_by_another_key_than_the_one_it_names_is_forged() {
    let sessions = by_jwks(jwks(&[0, 1]));
    assert_eq!(problem(&sessions, &signed_by(1, Some("key-1"), &claims())), None);
    assert_eq!(problem(&sessions, &signed_by(1, Some("key-0"), &claims())), Some(SessionProblem::Forged));
    assert_eq!(problem(&sessions, &signed_by(1, Some("key-2"), &claims())), Some(SessionProblem::Unknown));
    assert_eq!(problem(&sessions, &signed_by(1, None, &claims())), None, "no name: tried with all");
    assert_eq!(problem(&sessions, &signed_by(2, None, &claims())), Some(SessionProblem::Forged));
}

#[test]
fn a_jwt_that_has_to_be_understood_is_refused() {
    let sessions = builder().build().unwrap();
    for header in [
        json!({"alg": "HS256", "crit": ["exp"]}),
        json!({"alg": "HS256", "crit": []}),
        json!({"alg": "HS256", "crit": null}),
        json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
        json!({"alg": "HS256", "b64": false}),
        json!({"alg": "HS256", "kid": 7}),
        json!({"alg": "HS256", "typ": null}),
        json!({"alg": ["HS256"]}),
        json!({}),
    ] {
        let token = signed_with(&claims(), &header, SECRET);
        assert_eq!(problem(&sessions, &token), Some(SessionProblem::Malformed), "{header}");
    }
}

#[test]
fn a_jwt_with_a_member_twice_is_refused() {
    let sessions = builder().build().unwrap();
    let once = claims().to_string();
    let twice = format!("{},\"sub\":\"admin\"}}", once.strip_suffix('}').unwrap());
    assert_eq!(problem(&sessions, &signed_text(&once, r#"{"alg":"HS256"}"#, SECRET)), None);
    for (claims, header) in [
        (twice.as_str(), r#"{"alg":"HS256"}"#),
        (&once, r#"{"alg":"HS256","alg":"HS256"}"#),
        (&once, r#"{"alg":"none","alg":"HS256"}"#),
        (&once, r#"{"alg":"HS256","kid":"a","k\u0069d":"b"}"#),
    ] {
        assert_eq!(problem(&sessions, &signed_text(claims, header, SECRET)), Some(SessionProblem::Malformed));
    }
}

#[test]
fn a_jwt_holds_before_exp_and_from_nbf_on_and_the_leeway_is_exact() {
    for leeway in [0, 30] {
        let sessions = builder().leeway(std::time::Duration::from_secs(leeway as u64)).build().unwrap();
        for (member, at, expected) in [
            ("exp", NOW - leeway + 1, None),
            ("exp", NOW - leeway, Some(SessionProblem::Expired)),
            ("nbf", NOW + leeway, None),
            ("nbf", NOW + leeway + 1, Some(SessionProblem::NotYetValid)),
        ] {
            let mut claims = claims();
            claims[member] = at.into();
            assert_eq!(problem(&sessions, &signed(&claims)), expected, "{member} {at} {leeway}");
        }
    }
}

#[test]
fn a_jwt_without_exp_is_refused_unless_said_otherwise() {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove("exp");
    let token = signed(&claims);
    assert_eq!(problem(&builder().build().unwrap(), &token), Some(SessionProblem::Malformed));
    assert_eq!(problem(&builder().insecure_without_expiry().build().unwrap(), &token), None);
}

#[test]
fn a_jwt_for_someone_else_or_by_someone_else_is_refused() {
    let sessions = builder().build().unwrap();
    for (member, value) in [
        ("iss", json!("https://issuer.example.test")),
        ("iss", json!([ISSUER])),
        ("iss", Value::Null),
        ("aud", json!("https://api.example.test/")),
        ("aud", json!(["https://other.example.test"])),
        ("aud", json!([])),
        ("aud", json!({"0": AUDIENCE})),
        ("aud", Value::Null),
    ] {
        let mut claims = claims();
        claims[member] = value.clone();
        assert_eq!(problem(&sessions, &signed(&claims)), Some(SessionProblem::Misdirected), "{member} {value}");
    }
    let logout = signed_with(&claims(), &json!({"alg": "HS256", "typ": "logout+jwt"}), SECRET);
    assert_eq!(problem(&sessions, &logout), Some(SessionProblem::Misdirected));
    let only_access = builder().token_types(["at+jwt"]).build().unwrap();
    assert_eq!(problem(&only_access, &signed(&claims())), Some(SessionProblem::Misdirected));
    let access = signed_with(&claims(), &json!({"alg": "HS256", "typ": "application/AT+JWT"}), SECRET);
    assert_eq!(problem(&only_access, &access), None);
}

#[test]
fn a_jwt_that_was_verified_is_still_refused_once_it_has_expired() {
    let sessions = builder().build().unwrap();
    let token = signed(&claims());
    assert_eq!(problem(&sessions, &token), None);
    let end = tower_api_key::clock::Timestamp::from_unix_seconds(NOW + 60);
    let later = sessions.resolve_now(&bearer(&token), end).unwrap();
    assert_eq!(crate::support::problem_of(&later), Some(SessionProblem::Expired));
}

#[test]
fn a_changed_character_anywhere_in_a_jwt_is_refused_also_after_the_good_one() {
    let sessions = builder().build().unwrap();
    let token = signed(&claims());
    assert_eq!(problem(&sessions, &token), None);
    for index in 0..token.len() {
        for replacement in ['A', 'B', '.', '=', ' ', '+', '/', '-', '_'] {
            let mut changed: Vec<char> = token.chars().collect();
            if changed[index] != replacement {
                changed[index] = replacement;
                let changed: String = changed.into_iter().collect();
                assert!(problem(&sessions, &changed).is_some(), "{index} {replacement}");
            }
        }
    }
    for appended in ["=", ".", " ", "\n", "A", "%20", "\0"] {
        assert!(problem(&sessions, &format!("{token}{appended}")).is_some(), "{appended:?}");
        assert!(problem(&sessions, &format!("{appended}{token}")).is_some(), "{appended:?}");
    }
}

#[test]
fn a_jwt_of_any_bytes_is_answered() {
    let sessions = builder().build().unwrap();
    let deep = signed_text(&format!("{{\"sub\":{}", "[".repeat(20_000)), r#"{"alg":"HS256"}"#, SECRET);
    for text in ["", ".", "..", "...", "a.b.c", "é.é.é", &".".repeat(100_000), &"e30.".repeat(9_000), &deep] {
        assert!(problem(&sessions, text).is_some());
    }
}

#[test]
fn neither_secret_nor_token_of_a_jwt_is_printed() {
    let shown = format!("{:?} {:?} {:?}", builder(), builder().build().unwrap(), JwtKeys::secret(SECRET));
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(!shown.contains("thirty-two"), "{shown}");
}
