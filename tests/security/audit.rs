//! What callers write into the log.

use std::sync::{Arc, Mutex};

use http::{HeaderValue, Method, Request};
use tower_api_key::ApiKeyLayer;
use tower_api_key::audit::AuthEvent;

use crate::leaks::Log;
use crate::support::{one_key, send};

/// One event for each attempt that the gate judged, so that nobody gets in, or is refused, unseen.
#[test]
fn no_attempt_goes_unrecorded() {
    let (keys, key) = one_key();
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = {
        let events = Arc::clone(&events);
        move |event: AuthEvent<'_>| {
            let key = event.key_id.map(ToString::to_string);
            events.lock().unwrap().push((event.outcome(), event.reason(), key, event.path.to_owned()));
        }
    };
    let auth = ApiKeyLayer::builder(keys)
        .public(Method::GET, "/open")
        .optional(Method::GET, "/feed")
        .audit(sink)
        .build()
        .unwrap();
    let expected: [(_, &'static str, &'static str, Option<&str>); 6] = [
        (Request::get("/a?key=x"), "refused", "MISSING_API_KEY", None),
        (Request::get("/a").header("x-api-key", "x"), "refused", "INVALID_API_KEY", None),
        (Request::get("/a").header("x-api-key", "x,y"), "refused", "AMBIGUOUS_CREDENTIALS", None),
        (Request::get("/a").header("x-api-key", &key), "accepted", "api_key", Some("key_good")),
        (Request::get("/feed"), "accepted", "anonymous", None),
        (Request::get("/feed").header("x-api-key", "x"), "refused", "INVALID_API_KEY", None),
    ];
    for (request, outcome, reason, id) in expected {
        let path = request.uri_ref().unwrap().path().to_owned();
        send(&auth, request);
        let events = std::mem::take(&mut *events.lock().unwrap());
        assert_eq!(events, [(outcome, reason, id.map(ToOwned::to_owned), path)]);
    }
    send(&auth, Request::get("/open"));
    assert!(events.lock().unwrap().is_empty());
}

/// Whatever stands in the path, the id of the request or the method: one attempt, one line.
#[test]
fn nobody_writes_lines_or_control_characters_into_the_log() {
    let (keys, key) = one_key();
    let auth = ApiKeyLayer::new(keys);
    let forged = "\n2026-01-01T00:00:00Z INFO tower_api_key::audit: outcome=\"accepted\"";
    let mut attempts = Vec::new();
    for text in [
        forged,
        "\r\n",
        "\u{1b}[2J\u{1b}[31m",
        "\u{202e}txt",
        "\u{85}\u{2028}",
        "\0",
        "\u{7f}",
        "\"",
        " outcome=\"accepted\"",
    ] {
        // As far as the types let such a thing through.
        if let Ok(uri) = format!("/{text}").parse::<http::Uri>() {
            attempts.push(Request::get(uri));
        }
        if let Ok(method) = Method::from_bytes(text.as_bytes()) {
            attempts.push(Request::builder().method(method));
        }
        for name in ["x-request-id", "x-api-key", "x-forwarded-for", "user-agent", "origin", "host", "cookie"] {
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                attempts.push(Request::get("/").header(name, value));
            }
        }
    }
    attempts.push(Request::get(format!("/{}", "a".repeat(60_000))));
    attempts.push(Request::builder().method(Method::from_bytes(&[b'M'; 5_000]).unwrap()));
    attempts.push(Request::get("/").header("x-request-id", "i".repeat(129)));
    attempts.push(Request::get("/").header("x-request-id", "a").header("x-request-id", "b"));
    assert!(attempts.len() > 30, "{}", attempts.len());
    for attempt in attempts {
        for attempt in [attempt.body(()).unwrap()].into_iter().flat_map(|a| {
            let mut with_key = a.clone();
            with_key.headers_mut().insert("x-api-key", key.parse().unwrap());
            [a, with_key]
        }) {
            let what = format!("{attempt:?}");
            let (_, log) = Log::of(|| crate::support::send_request(&auth, attempt));
            assert_eq!(log.lines().count(), 1, "{what}: {log}");
            assert!(log.trim_end().chars().all(|c| (' '..='~').contains(&c) || c == '…'), "{what}: {log:?}");
            assert_eq!(log.matches(" outcome=").count(), 1, "{what}: {log}");
            assert!(log.len() < 2_000, "{}", log.len());
        }
    }
}
