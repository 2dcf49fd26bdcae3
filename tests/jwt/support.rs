//! Keys, tokens and a key set that counts who asks for it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tower_api_key::clock::Timestamp;
use tower_api_key::session::{
    JwksSource, JwtAlgorithm, JwtKeys, JwtSessions, JwtSessionsBuilder, PresentedSession, SessionAnswer,
    SessionProblem, SessionResolver,
};

pub(crate) const SECRET: &str = "a-secret-of-thirty-two-bytes-and-more";
pub(crate) const ISSUER: &str = "https://issuer.example.test/";
pub(crate) const AUDIENCE: &str = "https://api.example.test";
pub(crate) const NOW: i64 = 1_795_000_000;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_seconds(NOW)
}

pub(crate) fn vectors() -> Value {
    let folder = std::env::var_os("TEST_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"), PathBuf::from);
    let file = folder.join("jwt.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).expect("jwt.json is JSON")
}

/// A resolver of tokens under [`SECRET`].
pub(crate) fn builder() -> JwtSessionsBuilder {
    JwtSessions::builder(JwtKeys::secret(SECRET)).algorithms([JwtAlgorithm::Hs256]).issuer(ISSUER).audience(AUDIENCE)
}

/// What a good token claims.
pub(crate) fn claims() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "user_01", "exp": NOW + 60})
}

/// Claims under [`SECRET`].
pub(crate) fn signed(claims: &Value) -> String {
    signed_with(claims, &json!({"alg": "HS256"}), SECRET)
}

/// Claims and header, both as they are, by HMAC-SHA-256.
pub(crate) fn signed_with(claims: &Value, header: &Value, secret: &str) -> String {
    signed_text(&claims.to_string(), &header.to_string(), secret)
}

pub(crate) fn signed_text(claims: &str, header: &str, secret: &str) -> String {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
    use hmac::{Hmac, KeyInit, Mac};
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", BASE64.encode(mac.finalize().into_bytes()))
}

/// Claims by one of three Ed25519 keys, which [`jwks`] publishes as `key-0` to `key-2`.
pub(crate) fn signed_by(number: usize, kid: Option<&str>, claims: &Value) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(&private_key(number))).unwrap()
}

/// PKCS #8 (RFC 8410 §7) around 32 bytes that are the same.
fn private_key(number: usize) -> Vec<u8> {
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend([number as u8 + 1; 32]);
    der
}

/// The text of a set with the keys of these numbers.
pub(crate) fn jwks(numbers: &[usize]) -> String {
    let keys: Vec<Value> = numbers.iter().map(|number| jwk(*number)).collect();
    json!({ "keys": keys }).to_string()
}

pub(crate) fn jwk(number: usize) -> Value {
    let key = EncodingKey::from_ed_der(&private_key(number));
    let public = jsonwebtoken::jwk::Jwk::from_encoding_key(&key, Algorithm::EdDSA).unwrap();
    let mut jwk = serde_json::to_value(public).unwrap();
    jwk["kid"] = format!("key-{number}").into();
    jwk
}

pub(crate) fn bearer(token: &str) -> PresentedSession {
    PresentedSession::bearer(token)
}

/// As the gate asks: at once if it can be told at once.
pub(crate) async fn resolve(sessions: &JwtSessions, token: &str, now: Timestamp) -> SessionAnswer {
    try_resolve(sessions, token, now).await.unwrap()
}

pub(crate) async fn try_resolve(
    sessions: &JwtSessions,
    token: &str,
    now: Timestamp,
) -> Result<SessionAnswer, tower_api_key::session::JwtSessionsError> {
    let presented = bearer(token);
    match sessions.resolve_now(&presented, now) {
        Some(answer) => Ok(answer),
        None => sessions.resolve(&presented, now).await,
    }
}

/// What stands in the way of a token, if anything does.
pub(crate) fn problem_of(answer: &SessionAnswer) -> Option<SessionProblem> {
    match answer {
        SessionAnswer::Valid(_) => None,
        SessionAnswer::Invalid(problem) => Some(*problem),
        other => panic!("{other:?}"),
    }
}

/// At [`now`], without waiting.
pub(crate) fn problem(sessions: &JwtSessions, token: &str) -> Option<SessionProblem> {
    problem_of(&sessions.resolve_now(&bearer(token), now()).expect("told at once"))
}

/// A set that a test changes, and that counts who asks for it.
#[derive(Clone, Default)]
pub(crate) struct Published(Arc<Inner>);

#[derive(Default)]
struct Inner {
    text: Mutex<Option<String>>,
    asked: AtomicUsize,
    gate: Mutex<Option<Arc<tokio::sync::Semaphore>>>,
}

impl Published {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        let published = Self::default();
        published.publish(text);
        published
    }

    pub(crate) fn publish(&self, text: impl Into<String>) {
        *self.0.text.lock().unwrap() = Some(text.into());
    }

    /// From now on there is no answer but an error.
    pub(crate) fn fail(&self) {
        *self.0.text.lock().unwrap() = None;
    }

    /// From now on every answer waits for a permit.
    pub(crate) fn hold(&self) -> Arc<tokio::sync::Semaphore> {
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        *self.0.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    pub(crate) fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }
}

impl JwksSource for Published {
    type Error = std::io::Error;

    async fn fetch(&self) -> Result<Vec<u8>, std::io::Error> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let gate = self.0.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        let text = self.0.text.lock().unwrap().clone();
        text.map(String::into_bytes).ok_or_else(|| std::io::Error::other("away"))
    }
}
