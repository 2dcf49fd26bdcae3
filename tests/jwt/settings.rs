//! Settings of which each mistake is named, and all at once.

use std::time::Duration;

use serde_json::json;
use tower_api_key::ConfigError;
use tower_api_key::session::{JwksRefresh, JwtAlgorithm, JwtKeys, JwtSessions, JwtSessionsBuilder, SessionProblem};

use crate::support::{AUDIENCE, ISSUER, Published, claims, jwk, jwks, problem, signed_by, signed_with, vectors};

fn named(keys: JwtKeys, algorithms: &[JwtAlgorithm]) -> JwtSessionsBuilder {
    JwtSessions::builder(keys).algorithms(algorithms.iter().copied()).issuer(ISSUER).audience(AUDIENCE)
}

fn settings_of(error: &ConfigError) -> Vec<&str> {
    error.problems().iter().map(|problem| problem.setting.as_str()).collect()
}

const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA";

#[test]
fn every_mistake_in_the_settings_of_jwt_is_named_at_once() {
    let error = JwtSessions::builder(JwtKeys::secret("")).leeway(Duration::from_secs(601)).build().unwrap_err();
    assert_eq!(settings_of(&error), ["algorithms", "issuer", "audience", "leeway"]);
    let error = named(JwtKeys::secret(""), &[JwtAlgorithm::Hs256]).token_types([""; 0]).build().unwrap_err();
    assert_eq!(settings_of(&error), ["token_types", "secret"]);
    let error = named(JwtKeys::secret("s"), &[JwtAlgorithm::Hs256]).insecure_any_issuer().build().unwrap_err();
    assert_eq!(settings_of(&error), ["issuer"]);
    let error = named(JwtKeys::secret("s"), &[JwtAlgorithm::Hs256]).audience("").build().unwrap_err();
    assert_eq!(settings_of(&error), ["audience"]);
}

#[test]
fn jwt_algorithms_that_would_make_a_public_key_a_secret_are_refused() {
    for (keys, algorithms) in [
        (JwtKeys::secret("s"), &[JwtAlgorithm::Hs256, JwtAlgorithm::Rs256][..]),
        (JwtKeys::secret("s"), &[JwtAlgorithm::Rs256]),
        (JwtKeys::jwks(jwks(&[0])), &[JwtAlgorithm::EdDsa, JwtAlgorithm::Hs256]),
        (JwtKeys::jwks(jwks(&[0])), &[]),
    ] {
        let error = named(keys, algorithms).build().unwrap_err();
        assert!(settings_of(&error).contains(&"algorithms"), "{error}");
    }
}

#[test]
fn jwt_keys_that_cannot_be_read_are_refused_without_being_shown() {
    let strong = &[JwtAlgorithm::EdDsa, JwtAlgorithm::Rs256, JwtAlgorithm::Es256];
    let mut weak = json!({"kty": "RSA", "e": "AQAB"});
    weak["n"] = "s".repeat(171).into();
    let long: Vec<_> = (0..65).map(|_| jwk(0)).collect();
    for (keys, setting) in [
        (JwtKeys::pem("no PEM"), "pem"),
        (JwtKeys::pem(format!("{RSA}\n-----END PUBLIC KEY-----")), "pem"),
        (JwtKeys::pem("-----BEGIN PRIVATE KEY-----\nMC4CAQ==\n-----END PRIVATE KEY-----"), "pem"),
        (JwtKeys::jwks(""), "jwks"),
        (JwtKeys::jwks("{}"), "jwks"),
        (JwtKeys::jwks(r#"{"keys":[]}"#), "jwks"),
        (JwtKeys::jwks(r#"{"keys":{}}"#), "jwks"),
        (JwtKeys::jwks(r#"{"keys":[7]}"#), "jwks"),
        (JwtKeys::jwks(r#"{"keys":[],"keys":[]}"#), "jwks"),
        (JwtKeys::jwks(json!({"keys": [weak]}).to_string()), "jwks"),
        (JwtKeys::jwks(json!({"keys": long}).to_string()), "jwks"),
        (JwtKeys::jwks_file("/there/is/no/such/file.json"), "jwks_file"),
    ] {
        let error = named(keys, strong).build().unwrap_err();
        assert_eq!(settings_of(&error), [setting], "{error}");
    }
    let es384 = JwtKeys::jwks(json!({"keys": [vectors()["jwks"]["keys"][1]]}).to_string());
    assert!(named(es384, &[JwtAlgorithm::Es384]).build().is_err(), "a set without a key for the algorithms");
}

#[test]
fn the_purpose_of_a_jwt_key_is_respected() {
    for (member, value) in [
        ("use", json!("enc")),
        ("use", json!(7)),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!([])),
        ("alg", json!("ES256")),
        ("alg", json!("none")),
        ("crv", json!("Ed448")),
        ("kty", json!("AKP")),
        ("x", json!("AA")),
        ("kid", json!(["key-0"])),
    ] {
        let mut marked = jwk(0);
        marked[member] = value.clone();
        let set = json!({"keys": [marked, jwk(1)]}).to_string();
        let sessions = named(JwtKeys::jwks(set), &[JwtAlgorithm::EdDsa, JwtAlgorithm::Es256]).build().unwrap();
        assert_eq!(
            problem(&sessions, &signed_by(0, Some("key-0"), &claims())),
            Some(SessionProblem::Unknown),
            "{member} {value}"
        );
        assert_eq!(problem(&sessions, &signed_by(1, Some("key-1"), &claims())), None, "{member} {value}");
    }
    let mut marked = jwk(0);
    marked["use"] = "sig".into();
    marked["key_ops"] = json!(["verify"]);
    let sessions = named(JwtKeys::jwks(marked.to_string()), &[JwtAlgorithm::EdDsa]).build().unwrap();
    assert_eq!(problem(&sessions, &signed_by(0, Some("key-0"), &claims())), None);
}

#[test]
fn a_jwt_by_either_of_two_secrets_is_good() {
    let sessions = named(JwtKeys::secrets(["the-new-secret-of-32-bytes-and-more", "old"]), &[JwtAlgorithm::Hs256]);
    let sessions = sessions.build().unwrap();
    let header = json!({"alg": "HS256"});
    assert_eq!(problem(&sessions, &signed_with(&claims(), &header, "the-new-secret-of-32-bytes-and-more")), None);
    assert_eq!(problem(&sessions, &signed_with(&claims(), &header, "old")), None);
    assert_eq!(problem(&sessions, &signed_with(&claims(), &header, "other")), Some(SessionProblem::Forged));
}

#[test]
fn a_jwt_by_the_public_key_of_a_pem_is_good() {
    // RFC 8410 §4: the fixed start of an Ed25519 public key, and the key.
    use base64::Engine;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
    let mut der = vec![0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
    der.extend(BASE64_URL_SAFE_NO_PAD.decode(jwk(0)["x"].as_str().unwrap()).unwrap());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(der));
    let sessions = named(JwtKeys::pem(pem.clone()), &[JwtAlgorithm::EdDsa]).build().unwrap();
    assert_eq!(problem(&sessions, &signed_by(0, Some("any"), &claims())), None);
    assert_eq!(problem(&sessions, &signed_by(1, None, &claims())), Some(SessionProblem::Forged));
    let error = named(JwtKeys::pem(pem), &[JwtAlgorithm::Rs256]).build().unwrap_err();
    assert_eq!(settings_of(&error), ["algorithms"]);
}

#[test]
fn a_jwt_key_set_is_fetched_by_https_alone() {
    for url in
        ["http://issuer.example.test/jwks", "ftp://127.0.0.1/jwks", "/jwks", "", "https://", "issuer.example.test"]
    {
        let error = named(JwtKeys::jwks_url(url), &[JwtAlgorithm::EdDsa]).build().unwrap_err();
        assert_eq!(settings_of(&error), ["jwks_url"], "{url}");
    }
    for url in ["https://issuer.example.test/jwks", "http://127.0.0.1:1/jwks", "http://[::1]/", "http://localhost/jwks"]
    {
        assert!(named(JwtKeys::jwks_url(url), &[JwtAlgorithm::EdDsa]).build().is_ok(), "{url}");
    }
    let never = JwksRefresh::new().deadline(Duration::ZERO);
    let keys = JwtKeys::jwks_from(Published::default()).refresh(never);
    assert_eq!(settings_of(&named(keys, &[JwtAlgorithm::EdDsa]).build().unwrap_err()), ["jwks_from"]);
}
