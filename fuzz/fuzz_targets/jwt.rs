//! Tokens out of any text: unsigned ones never hold, and signed ones only if they say all that a token has to.

#![no_main]

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower_api_key::clock::Timestamp;
use tower_api_key::session::{JwtAlgorithm, JwtKeys, JwtSessions, PresentedSession, SessionAnswer, SessionResolver};

const SECRET: &str = "a-secret-of-thirty-two-bytes-and-more";
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://api.example";
const NOW: i64 = 1_795_000_000;
const GOOD: (&str, &str) = (
    r#"{"alg":"HS256","typ":"JWT"}"#,
    r#"{"iss":"https://issuer.example","aud":"https://api.example","exp":4102444800,"sub":"ann"}"#,
);

static SESSIONS: LazyLock<JwtSessions> = LazyLock::new(|| {
    let builder = JwtSessions::builder(JwtKeys::secret(SECRET)).algorithms([JwtAlgorithm::Hs256]);
    builder.issuer(ISSUER).audience(AUDIENCE).build().unwrap()
});

static TOKEN: LazyLock<String> = LazyLock::new(|| signed(GOOD.0, GOOD.1));

fn signed(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(&message).finalize();
    format!("{message}.{}", BASE64.encode(mac.into_bytes()))
}

fn user(token: &str) -> Option<String> {
    let now = Timestamp::from_unix_seconds(NOW);
    match SESSIONS.resolve_now(&PresentedSession::bearer(token), now) {
        Some(SessionAnswer::Valid(session)) => Some(session.user.id.as_str().to_owned()),
        Some(_) => None,
        None => panic!("a secret needs no waiting"),
    }
}

/// All that has to be there, read by another reader, which takes the last of two members.
fn says_all(header: &Value, claims: &Value) -> bool {
    let audience = &claims["aud"];
    let meant = audience == AUDIENCE || audience.as_array().is_some_and(|all| all.iter().any(|one| one == AUDIENCE));
    header["alg"] == "HS256"
        && header.get("crit").is_none()
        && claims["iss"] == ISSUER
        && meant
        && claims["exp"].as_f64().is_some_and(|end| end > (NOW - 120) as f64)
        && claims.get("nbf").is_none_or(|start| start.as_f64().is_some_and(|start| start <= (NOW + 120) as f64))
        && claims["sub"].as_str().is_some_and(|user| !user.is_empty())
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert_eq!(user(&TOKEN).as_deref(), Some("ann"));
    assert!(user(text).is_none() || text == *TOKEN, "nobody has signed it");
    let (header, claims) = text.split_once('\n').unwrap_or((GOOD.0, text));
    for (header, claims) in [(header, claims), (GOOD.0, claims), (header, GOOD.1)] {
        let token = signed(header, claims);
        if let Some(user) = user(&token) {
            let read = serde_json::from_str(header).ok().zip(serde_json::from_str::<Value>(claims).ok());
            let (header, claims) = read.expect("what holds is JSON");
            assert!(says_all(&header, &claims), "{header} {claims}");
            assert_eq!(claims["sub"], *user);
        }
    }
});
