//! What a token costs that was verified lately, and one that was not: `cargo bench --bench jwt --features jwks`.

use std::hint::black_box;
use std::time::Instant;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use tower_api_key::clock::Timestamp;
use tower_api_key::session::{JwtAlgorithm, JwtKeys, JwtSessions, PresentedSession, SessionAnswer, SessionResolver};

const SECRET: &[u8] = b"a-secret-of-thirty-two-bytes-and-more";
const ROUNDS: usize = 15;

fn sessions(verified: usize) -> JwtSessions {
    let builder = JwtSessions::builder(JwtKeys::secret(SECRET)).algorithms([JwtAlgorithm::Hs256]);
    let built = builder.issuer("issuer").audience("audience").verified_tokens(verified).build();
    built.unwrap_or_else(|error| panic!("{error}"))
}

fn token(length: usize) -> String {
    let claims = json!({"iss": "issuer", "aud": "audience", "sub": "user", "exp": 4_102_444_800_i64,
        "pad": "x".repeat(length)});
    let signed = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET));
    signed.unwrap_or_else(|error| panic!("{error}"))
}

/// The median over rounds, in nanoseconds a call.
fn measure(sessions: &JwtSessions, token: &str, calls: usize) -> f64 {
    let presented = PresentedSession::bearer(token);
    let now = Timestamp::from_unix_seconds(1_795_000_000);
    assert!(matches!(sessions.resolve_now(&presented, now), Some(SessionAnswer::Valid(_))));
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..calls {
                black_box(sessions.resolve_now(black_box(&presented), now));
            }
            begun.elapsed().as_nanos() as f64 / calls as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn main() {
    let (cached, uncached) = (sessions(4096), sessions(0));
    for length in [0, 120, 350, 700] {
        let token = token(length);
        let lately = measure(&cached, &token, 200_000);
        let first = measure(&uncached, &token, 5_000);
        println!(
            "HS256, {:4} characters: verified lately {lately:6.0} ns, for the first time {first:6.0} ns",
            token.len()
        );
    }
}
