//! What a session costs: `cargo bench --bench sessions --all-features`. Prints nanoseconds a call.

use std::hint::black_box;
use std::time::Instant;

use serde_json::Value;
use tower_api_key::clock::Timestamp;
use tower_api_key::session::{
    AuthJsSessions, BetterAuthCookieCache, BetterAuthSessions, PresentedSession, SessionAnswer, SessionResolver,
};

fn main() {
    println!("{:<46} {:>6} {:>10} {:>10}", "session", "bytes", "remembered", "verified");
    for (file, id) in [
        ("nextauth_v4.json", "plain/valid"),
        ("authjs_v5.json", "plain/valid"),
        ("authjs_v5.json", "plain/a256gcm-kid"),
        ("better_auth_cookie_cache.json", "compact/valid"),
        ("better_auth_cookie_cache.json", "jwt/valid"),
        ("better_auth_cookie_cache.json", "jwe/valid"),
    ] {
        let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
        let vectors: Value =
            serde_json::from_str(&std::fs::read_to_string(path).expect("the vectors are there")).unwrap();
        let case =
            vectors["cases"].as_array().unwrap().iter().find(|case| case["id"] == id).expect("the case is there");
        let (presented, now) = (presented(case), Timestamp::from_unix_seconds(case["now"].as_i64().unwrap()));
        let secret = case["secret"].as_str().unwrap();
        let [remembered, verified] = [1_024, 0].map(|room| match file {
            "better_auth_cookie_cache.json" => {
                let cache = match id.split('/').next() {
                    Some("compact") => BetterAuthCookieCache::compact(),
                    Some("jwt") => BetterAuthCookieCache::jwt(),
                    _ => BetterAuthCookieCache::jwe(),
                };
                time(
                    &BetterAuthSessions::builder(secret).cookie_cache(cache).remembered(room).build().unwrap(),
                    &presented,
                    now,
                )
            }
            _ => time(&AuthJsSessions::builder(secret).remembered(room).build().unwrap(), &presented, now),
        });
        let bytes = presented.expose_secret().len();
        println!("{:<46} {bytes:>6} {remembered:>10} {verified:>10}", format!("{file} {id}"));
    }
}

fn presented(case: &Value) -> PresentedSession {
    let name = case["cookie_name"].as_str().unwrap();
    let mut pairs = case["cookie_header"].as_str().unwrap().split("; ").filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(found, _)| *found == name).expect("the cookie is there");
    PresentedSession::cookie(name, value)
}

/// Nanoseconds a call: the median of many rounds.
fn time(sessions: &impl SessionResolver, presented: &PresentedSession, now: Timestamp) -> u128 {
    const CALLS: u32 = 2_000;
    let mut rounds: Vec<u128> = (0..31)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..CALLS {
                let answer = black_box(sessions).resolve_now(black_box(presented), now);
                assert!(matches!(answer, Some(SessionAnswer::Valid(_))));
            }
            start.elapsed().as_nanos() / u128::from(CALLS)
        })
        .collect();
    rounds.sort_unstable();
    rounds[rounds.len() / 2]
}
