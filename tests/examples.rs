//! The example programs, started and called as their first lines say.
#![cfg(feature = "axum")]

mod support;

use http::StatusCode;
use serde_json::json;
use support::{Program, call, get, json, send};

const KEY: &str = "a-secret-of-at-least-32-characters";

/// Whether the tests that need more than cargo are to run. There, what is missing is a failure.
fn with_services() -> bool {
    std::env::var("TEST_SERVICES").is_ok_and(|value| value == "1")
}

#[tokio::test]
async fn quickstart_prints_a_key_that_opens_it() {
    let mut program = Program::start("quickstart", &[]);
    let line = program.line();
    let key = line.split('\'').nth(1).and_then(|header| header.strip_prefix("X-API-Key: ")).unwrap();
    let allowed = get(&program.url, &[("x-api-key", key)]).await;
    assert_eq!((allowed.status(), allowed.body().as_str()), (StatusCode::OK, "hello, quickstart\n"));
    let refused = get(&program.url, &[]).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(json(&refused)["code"], "MISSING_API_KEY");
    let whoami = get(&format!("{}/api/whoami", program.url), &[("authorization", &format!("Bearer {key}"))]).await;
    let whoami = json(&whoami);
    assert_eq!((&whoami["method"], &whoami["clientIp"]), (&json!("api_key"), &json!("127.0.0.1")));
    assert!(!whoami.to_string().contains(key));
}

#[test]
fn the_curl_line_of_quickstart_answers_200() {
    if !with_services() {
        return;
    }
    let mut program = Program::start("quickstart", &[]);
    let line = format!("{} -s -o /dev/null -w '%{{http_code}}'", program.line());
    let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200", "{line}");
}

#[tokio::test]
async fn chat_guards_everything_under_api_but_its_public_route() {
    let program = Program::start("chat", &[("NEXTELEVEN_API_KEY", KEY)]);
    let url = |path: &str| format!("{}{path}", program.url);
    assert_eq!(get(&url("/api/system/env-status"), &[]).await.status(), StatusCode::OK);
    for path in ["/api", "/api/", "/api/whoami", "/api/unknown", "/api/system/env-status/", "/api/system/ENV-status"] {
        assert_eq!(get(&url(path), &[]).await.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/", "/nothing", "/API/whoami"] {
        assert_eq!(get(&url(path), &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let answer = send("POST", &url("/api/chat"), &[("x-api-key", KEY)], r#"{"message":"hello"}"#).await;
    assert_eq!(json(&answer), json!({ "method": "client_key", "reply": "You said: hello" }));
    assert_eq!(program.terminate().code(), Some(0));
}

#[tokio::test]
async fn chat_refuses_with_exactly_the_keys_of_its_bodies() {
    let program = Program::start("chat", &[("NEXTELEVEN_API_KEY", KEY)]);
    let url = format!("{}/api/whoami", program.url);
    let missing = get(&url, &[("x-request-id", "my-own")]).await;
    assert_eq!(
        json(&missing),
        json!({
            "error": "Authentication required",
            "message": "Provide API key via X-API-Key header or Authorization: Bearer token",
            "requestId": "my-own"
        })
    );
    assert_eq!(missing.headers()["x-request-id"], "my-own");
    let challenges: Vec<_> = missing.headers().get_all("www-authenticate").into_iter().collect();
    assert_eq!(challenges, ["ApiKey realm=\"api\", header=\"X-API-Key\"", "Bearer realm=\"api\""]);

    let wrong = get(&url, &[("x-api-key", "wrong"), ("x-request-id", "my-own")]).await;
    let body =
        json!({ "error": "Invalid API key", "message": "The provided API key is invalid", "requestId": "my-own" });
    assert_eq!((wrong.status(), json(&wrong)), (StatusCode::UNAUTHORIZED, body));
}

#[tokio::test]
async fn chat_in_development_without_a_key_lets_everybody_through() {
    let program = Program::start("chat", &[("APP_ENV", "development")]);
    for headers in [&[][..], &[("x-api-key", "anything")], &[("x-api-key", "a,b")]] {
        let whoami = get(&format!("{}/api/whoami", program.url), headers).await;
        assert_eq!(json(&whoami)["method"], "anonymous");
    }
}

#[test]
fn chat_does_not_start_with_wrong_settings() {
    for (settings, named) in [
        (&[][..], "NEXTELEVEN_API_KEY"),
        (&[("APP_ENV", "production")], "NEXTELEVEN_API_KEY"),
        (&[("APP_ENV", "Development")], "NEXTELEVEN_API_KEY"),
        (&[("NEXTELEVEN_API_KEY", "  ")], "NEXTELEVEN_API_KEY"),
        (&[("NEXTELEVEN_API_KEY", "two keys of-more-than-32-characters")], "NEXTELEVEN_API_KEY"),
        (&[("NEXTELEVEN_API_KEY", KEY), ("PORT", "65536")], "PORT"),
    ] {
        let output = support::command("chat", settings).output().unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{settings:?}");
        assert!(line.starts_with(named) && line.lines().count() == 1, "{line}");
        assert!(!line.contains("two keys"), "{line}");
    }
}

#[tokio::test]
async fn custom_source_finds_the_key_in_its_table() {
    let program = Program::start("custom_source", &[]);
    let known = get(&program.url, &[("x-api-key", "legacy-key-of-the-billing-team-0001")]).await;
    assert_eq!(known.body(), "hello, billing (row 7)\n");
    let unknown = get(&program.url, &[("x-api-key", "legacy-key-of-the-billing-team-0002")]).await;
    assert_eq!(unknown.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn hyper_serves_without_axum() {
    let mut program = Program::start("hyper", &[]);
    let line = program.line();
    let key = line.split('\'').nth(1).and_then(|header| header.strip_prefix("X-API-Key: ")).unwrap().to_owned();
    assert_eq!(get(&program.url, &[("x-api-key", &key)]).await.body(), "hello, hyper\n");
    assert_eq!(get(&program.url, &[]).await.status(), StatusCode::UNAUTHORIZED);
    let head = http::Request::head(&program.url).body(http_body_util::Full::default()).unwrap();
    let head = call(head).await;
    assert_eq!((head.status(), head.body().as_str()), (StatusCode::UNAUTHORIZED, ""));
}

#[cfg(feature = "tonic")]
#[test]
fn tonic_answers_a_real_client_in_its_own_way() {
    let mut program = Program::start("tonic", &[]);
    let lines: Vec<_> = (0..4).map(|_| program.line()).collect();
    assert_eq!(
        lines,
        [
            "Unauthenticated: Provide API key via X-API-Key header or Authorization: Bearer token",
            "Unauthenticated: The provided API key is invalid",
            "a call by Some(\"tonic\") from 127.0.0.1",
            "Serving",
        ]
    );
}

#[tokio::test]
async fn chat_limits_the_key_and_guesses_apart_from_each_other() {
    let program = Program::start("chat", &[("NEXTELEVEN_API_KEY", KEY), ("API_RATE_LIMIT", "3")]);
    let url = format!("{}/api/whoami", program.url);
    let number = |response: &http::Response<String>, name: &str| {
        response.headers()[name].to_str().unwrap().parse::<u64>().unwrap()
    };
    // A missing key shows the limit of the address and uses none of it.
    for _ in 0..5 {
        let missing = get(&url, &[]).await;
        assert_eq!(missing.status(), StatusCode::UNAUTHORIZED);
        assert_eq!((number(&missing, "x-ratelimit-limit"), number(&missing, "x-ratelimit-remaining")), (3, 3));
    }
    // Wrong keys and ambiguous requests use it up.
    let guesses: [&[(&str, &str)]; 3] = [&[("x-api-key", "wrong")], &[("x-api-key", "a,b")], &[("x-api-key", "wrong")]];
    for (count, guess) in guesses.iter().enumerate() {
        let refused = get(&url, guess).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(number(&refused, "x-ratelimit-remaining"), 2 - count as u64);
    }
    let limited = get(&url, &[("x-api-key", "wrong")]).await;
    assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(json(&limited)["error"], "Too many failed attempts");
    assert_eq!(json(&limited)["retryAfter"], number(&limited, "retry-after"));
    // The good key from the same address still works, up to its own limit.
    for remaining in [2, 1, 0] {
        let accepted = get(&url, &[("x-api-key", KEY)]).await;
        assert_eq!(accepted.status(), StatusCode::OK);
        assert_eq!(number(&accepted, "x-ratelimit-remaining"), remaining);
        assert_eq!(json(&accepted)["rateLimit"]["remaining"], remaining);
        assert_eq!(json(&accepted)["rateLimit"]["resetAt"], accepted.headers()["x-ratelimit-reset"].to_str().unwrap());
    }
    let limited = get(&url, &[("x-api-key", KEY), ("x-request-id", "my-own")]).await;
    let wait = number(&limited, "retry-after");
    assert!((3_598..=3_600).contains(&wait), "{wait}");
    assert_eq!(
        json(&limited),
        json!({
            "error": "Rate limit exceeded",
            "message": format!("Too many requests. Limit: 3 requests per hour. Try again in {wait} seconds."),
            "requestId": "my-own",
            "retryAfter": wait
        })
    );
}
