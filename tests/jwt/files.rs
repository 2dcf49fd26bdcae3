//! A key set in a file.

use std::time::{Duration, Instant};

use tower_api_key::session::{JwtAlgorithm, JwtKeys, JwtSessions, SessionProblem};

use crate::support::{AUDIENCE, ISSUER, claims, jwks, problem, signed_by};

/// Waits until a token is judged so, for as long as a busy machine may take.
fn until(sessions: &JwtSessions, token: &str, expected: Option<SessionProblem>) {
    let begun = Instant::now();
    while problem(sessions, token) != expected {
        assert!(begun.elapsed() < Duration::from_secs(20), "still {:?}", problem(sessions, token));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_jwt_key_file_is_read_again_and_a_broken_one_keeps_the_last_good_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, jwks(&[0])).unwrap();
    let builder = JwtSessions::builder(JwtKeys::jwks_file(&path)).algorithms([JwtAlgorithm::EdDsa]);
    let sessions = builder.issuer(ISSUER).audience(AUDIENCE).build().unwrap();
    let tokens = [0, 1].map(|number| signed_by(number, Some(&format!("key-{number}")), &claims()));
    assert_eq!(problem(&sessions, &tokens[0]), None);
    assert_eq!(problem(&sessions, &tokens[1]), Some(SessionProblem::Unknown));

    // Of the same length: what counts is the text.
    std::fs::write(&path, jwks(&[1])).unwrap();
    until(&sessions, &tokens[1], None);
    assert_eq!(problem(&sessions, &tokens[0]), Some(SessionProblem::Unknown), "what was verified is forgotten");

    std::fs::write(&path, "{").unwrap();
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(problem(&sessions, &tokens[1]), None);
    std::fs::remove_file(&path).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(problem(&sessions, &tokens[1]), None);

    std::fs::write(&path, jwks(&[0])).unwrap();
    until(&sessions, &tokens[0], None);
}
