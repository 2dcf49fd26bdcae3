//! Sessions and tokens, good ones and others, as those who know the secret could make them.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::Sha256;

/// What `organization` checks tokens with.
pub(crate) const JWT_SECRET: &str = "the-secret-of-tokens-of-32-bytes-and-more";
pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "https://api.example";

/// 2100.
pub(crate) const FAR: i64 = 4_102_444_800;

/// A case of the vectors that Auth.js, NextAuth and Better Auth have made themselves.
pub(crate) fn vectors(file: &str) -> Vec<Value> {
    let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).expect("it is there")).expect("it is JSON");
    vectors["cases"].as_array().expect("cases").clone()
}

pub(crate) fn vector(file: &str, id: &str) -> Value {
    vectors(file).into_iter().find(|case| case["id"] == id).expect("the case is there")
}

/// The value of a cookie of NextAuth 4: a JWE by a key that is derived from the secret, under this info.
pub(crate) fn next_auth(secret: &str, info: &str, claims: &Value) -> String {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(b""), secret.as_bytes()).expand(info.as_bytes(), &mut key).expect("32 bytes");
    let header = BASE64.encode(r#"{"alg":"dir","enc":"A256GCM"}"#);
    let nonce = [7; 12];
    let text = claims.to_string();
    let payload = Payload { msg: text.as_bytes(), aad: header.as_bytes() };
    let sealed = Aes256Gcm::new(&key.into()).encrypt(&nonce.into(), payload).expect("it is short");
    let (text, tag) = sealed.split_at(sealed.len() - 16);
    format!("{header}..{}.{}.{}", BASE64.encode(nonce), BASE64.encode(text), BASE64.encode(tag))
}

/// What NextAuth 4 derives its key under.
pub(crate) const NEXT_AUTH_INFO: &str = "NextAuth.js Generated Encryption Key";

/// The claims of a good token, and these.
pub(crate) fn claims(more: Value) -> Value {
    let mut all = json!({ "iss": ISSUER, "aud": AUDIENCE, "exp": FAR, "sub": "ann", "org_id": "acme" });
    let Value::Object(more) = more else { return all };
    for (name, value) in more {
        match value {
            // JSON has no `undefined`.
            Value::String(text) if text == "absent" => drop(all.as_object_mut().expect("an object").remove(&name)),
            value => all[name] = value,
        }
    }
    all
}

/// A token by HMAC-SHA-256, header and claims as they are.
pub(crate) fn hmac(header: &str, claims: &str, secret: &[u8]) -> String {
    let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length").chain_update(&signed).finalize();
    format!("{signed}.{}", BASE64.encode(mac.into_bytes()))
}

/// A good token of `organization`, with these claims.
pub(crate) fn token(more: Value) -> String {
    hmac(r#"{"alg":"HS256","typ":"JWT"}"#, &claims(more).to_string(), JWT_SECRET.as_bytes())
}

/// PKCS #8 (RFC 8410 §7) around 32 bytes that are the same.
fn private_key(number: u8) -> EncodingKey {
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend([number; 32]);
    EncodingKey::from_ed_der(&der)
}

/// A token by one of the Ed25519 keys, under this header.
pub(crate) fn signed_by(number: u8, header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let key = private_key(number);
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::EdDSA).expect("it signs");
    format!("{signed}.{signature}")
}

/// The public half of such a key.
pub(crate) fn jwk(number: u8) -> Value {
    let key = jsonwebtoken::jwk::Jwk::from_encoding_key(&private_key(number), Header::new(Algorithm::EdDSA).alg);
    let mut key = serde_json::to_value(key.expect("it is a key")).expect("it is JSON");
    key["kid"] = format!("key-{number}").into();
    key
}
