//! Tokens as real signers and attackers write them: every case of `jwt.json`.
//!
//! The folder is `tests/vectors`, unless the environment variable `TEST_VECTORS` names another.

use std::time::Duration;

use serde_json::Value;
use tower_api_key::clock::Timestamp;
use tower_api_key::session::{JwtKeys, JwtSessions, SessionAnswer, SessionProblem};

use crate::support::{resolve, vectors};

/// The resolver that a case asks for.
pub(crate) fn sessions(vectors: &Value, case: &Value) -> JwtSessions {
    let keys = match case["key"].as_str().expect("a case names its key") {
        "jwks" => JwtKeys::jwks(vectors["jwks"].to_string()),
        "secret" => JwtKeys::secret(vectors["hs256_secret"].as_str().expect("a secret")),
        other => panic!("unknown key {other}"),
    };
    let verify = &case["verify"];
    let algorithms = verify["algorithms"].as_array().expect("algorithms").iter();
    let algorithms = algorithms.map(|name| name.as_str().expect("a name").parse().expect("a supported algorithm"));
    let builder = JwtSessions::builder(keys)
        .algorithms(algorithms)
        .issuer(verify["issuer"].as_str().expect("an issuer"))
        .audience(verify["audience"].as_str().expect("an audience"))
        .leeway(Duration::from_secs(verify["leeway_seconds"].as_u64().unwrap_or(0)));
    builder.build().expect("settings of a case")
}

#[tokio::test]
async fn jwt_tokens_are_judged_as_every_vector_expects() {
    let vectors = vectors();
    let cases = vectors["cases"].as_array().expect("`cases` is a list");
    assert!(cases.len() >= 100, "jwt.json holds {} cases", cases.len());
    let mut failures = Vec::new();
    for case in cases {
        let id = case["id"].as_str().expect("a case has an `id`");
        let now = Timestamp::from_unix_seconds(case["now"].as_i64().expect("a time"));
        let sessions = sessions(&vectors, case);
        // Twice: the second answer may come from what was verified lately.
        for turn in 1..=2 {
            let answer = resolve(&sessions, case["token"].as_str().expect("a token"), now).await;
            if let Some(problem) = disagreement(&answer, &case["expect"]) {
                failures.push(format!("{id} (turn {turn}): {problem}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

fn disagreement(answer: &SessionAnswer, expect: &Value) -> Option<String> {
    let agrees = match (answer, expect["valid"].as_bool()) {
        (_, None) => true,
        (SessionAnswer::Valid(session), Some(true)) => {
            let claims = Value::Object(session.claims.clone());
            claims == expect["claims"] && expect["claims"]["sub"] == session.user.id.as_str()
        }
        (SessionAnswer::Invalid(problem), Some(false)) => match expect["reason"].as_str() {
            Some("expired") => *problem == SessionProblem::Expired,
            Some("not_yet_valid") => *problem == SessionProblem::NotYetValid,
            Some("wrong_audience" | "wrong_issuer") => *problem == SessionProblem::Misdirected,
            Some("unknown_kid") => *problem == SessionProblem::Unknown,
            _ => true,
        },
        _ => false,
    };
    (!agrees).then(|| format!("{answer:?}, expected {expect}"))
}
