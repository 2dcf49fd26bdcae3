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

#[cfg(feature = "management")]
mod managed {
    use super::*;

    const ADMIN: &str = "an-admin-key-of-at-least-32-characters";

    #[tokio::test]
    async fn generate_makes_keys_with_scopes_and_answers_in_envelopes() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_str().unwrap();
        let settings = [("ADMIN_API_KEY", ADMIN), ("API_RATE_LIMIT", "50"), ("DATA_DIR", data)];
        let program = Program::start("generate", &settings);
        let url = |path: &str| format!("{}{path}", program.url);
        let admin = format!("Bearer {ADMIN}");
        let body = r#"{"name":"ci","scopes":["read"]}"#;
        let made = send("POST", &url("/v1/keys"), &[("authorization", &admin)], body).await;
        assert_eq!(made.status(), StatusCode::CREATED);
        let key = json(&made)["key"].as_str().unwrap().to_owned();
        assert!(key.starts_with("ak_live_") && key.len() == 48);
        let key = format!("Bearer {key}");
        let generated = send("POST", &url("/v1/generate"), &[("authorization", &key)], "{}").await;
        assert_eq!(generated.status(), StatusCode::OK);
        assert_eq!(generated.headers()["x-ratelimit-limit"], "50");

        let forbidden = send("PUT", &url("/v1/resources/7"), &[("authorization", &key)], "{}").await;
        let error = &json(&forbidden)["error"];
        assert_eq!((forbidden.status(), &error["code"]), (StatusCode::FORBIDDEN, &json!("INSUFFICIENT_SCOPE")));
        assert_eq!(
            (&error["details"]["required"], &error["details"]["granted"]),
            (&json!(["write"]), &json!(["read"]))
        );
        for path in ["/v1/keys", "/v1/keys/x", "/V1/keys", "/v1/webhooks", "/v1/%6beys"] {
            assert_eq!(get(&url(path), &[("authorization", &key)]).await.status(), StatusCode::FORBIDDEN, "{path}");
        }
        // The administrator's scope includes the others.
        let updated = send("PUT", &url("/v1/resources/7"), &[("authorization", &admin)], "{}").await;
        assert_eq!(updated.status(), StatusCode::OK);

        let missing = json(&get(&url("/api/whoami"), &[("x-request-id", "r1"), ("x-api-key", ADMIN)]).await);
        assert_eq!(
            missing,
            json!({ "success": false, "error": {
                "code": "MISSING_API_KEY",
                "message": "API key is required",
                "details": { "header": "Authorization", "request_id": "r1" }
            }})
        );
        let id = json(&made)["id"].as_str().unwrap().to_owned();
        let revoked = send("DELETE", &url(&format!("/v1/keys/{id}")), &[("authorization", &admin)], "").await;
        assert_eq!((revoked.status(), &json(&revoked)["state"]), (StatusCode::OK, &json!("revoked")));
        let refused = json(&get(&url("/api/whoami"), &[("authorization", &key)]).await);
        assert_eq!(refused["error"]["code"], "REVOKED_API_KEY");
        assert_eq!(refused["error"]["details"]["key_id"], id);
    }

    #[cfg(feature = "docs-page")]
    #[tokio::test]
    async fn openapi_writes_its_document_into_a_file_and_serves_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openapi.json");
        let status = support::command("openapi", &[]).arg(&path).status().unwrap();
        assert!(status.success());
        let text = std::fs::read_to_string(path).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        assert!(document["paths"]["/v1/keys/{key_id}"]["patch"].is_object());
        let program = Program::start("openapi", &[("ADMIN_API_KEY", ADMIN)]);
        let served = get(&format!("{}/openapi.json", program.url), &[]).await;
        assert_eq!((served.status(), served.body()), (StatusCode::OK, &text));
        let page = get(&format!("{}/docs", program.url), &[]).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    }

    #[tokio::test]
    async fn generate_rotates_with_overlap_and_keeps_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let settings = [("ADMIN_API_KEY", ADMIN), ("DATA_DIR", folder.path().to_str().unwrap())];
        let program = Program::start("generate", &settings);
        let admin = format!("Bearer {ADMIN}");
        let url = |path: &str| format!("{}{path}", program.url);
        let made = json(&send("POST", &url("/v1/keys"), &[("authorization", &admin)], r#"{"name":"ci"}"#).await);
        let rotate = url(&format!("/v1/keys/{}/rotate", made["id"].as_str().unwrap()));
        let next = send("POST", &rotate, &[("authorization", &admin)], r#"{"overlapSeconds":3600}"#).await;
        assert_eq!(next.status(), StatusCode::CREATED);
        let bearer = |made: &serde_json::Value| format!("Bearer {}", made["key"].as_str().unwrap());
        let (old, new) = (bearer(&made), bearer(&json(&next)));
        let with_old = get(&url("/api/whoami"), &[("authorization", &old)]).await;
        assert_eq!(with_old.status(), StatusCode::OK);
        assert!(with_old.headers()["deprecation"].to_str().unwrap().starts_with('@'));
        assert!(with_old.headers()["sunset"].to_str().unwrap().ends_with(" GMT"));
        let with_new = get(&url("/api/whoami"), &[("authorization", &new)]).await;
        assert_eq!(with_new.status(), StatusCode::OK);
        assert!(!with_new.headers().contains_key("deprecation"));

        assert_eq!(program.terminate().code(), Some(0));
        let again = Program::start("generate", &settings);
        for key in [&old, &new] {
            let whoami = get(&format!("{}/api/whoami", again.url), &[("authorization", key)]).await;
            assert_eq!(json(&whoami)["source"], "json-file");
        }
    }

    /// What was used is in the file once the program has ended, and what is under way then is served to its end.
    #[tokio::test]
    async fn what_keys_were_used_outlives_the_program() {
        for (example, folder_name, base, path, admin_header) in [
            ("generate", "DATA_DIR", "/v1/keys", "/v1/generate", ("authorization", format!("Bearer {ADMIN}"))),
            ("workspace", "WORKSPACES_DIR", "/account/api-keys", "/api/ask", ("x-api-key", ADMIN.to_owned())),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let settings = [("ADMIN_API_KEY", ADMIN), (folder_name, folder.path().to_str().unwrap())];
            let admin = [(admin_header.0, admin_header.1.as_str())];
            let program = Program::start(example, &settings);
            let body = r#"{"name":"ci","scopes":["read"]}"#;
            let made = json(&send("POST", &format!("{}{base}", program.url), &admin, body).await);
            let (key, id) = (format!("Bearer {}", made["key"].as_str().unwrap()), made["id"].as_str().unwrap());
            let mut running = Some(program);
            for _ in 0..2 {
                let program = running.take().unwrap_or_else(|| Program::start(example, &settings));
                for _ in 0..4 {
                    let answer = get(&format!("{}/api/whoami", program.url), &[("authorization", &key)]).await;
                    assert_eq!(answer.status(), StatusCode::OK);
                }
                let body = r#"{"workspaceId":"w","question":"?"}"#;
                let mut under_way = Underway::begin(&program.url, path, &key, body);
                program.ask_to_end();
                assert_eq!(under_way.finish(), "HTTP/1.1 200 OK");
                assert_eq!(program.ended().code(), Some(0));
            }
            let program = Program::start(example, &settings);
            for path in [format!("{base}/{id}/usage"), format!("{base}/{id}")] {
                let shown = json(&get(&format!("{}{path}", program.url), &admin).await);
                assert_eq!((&shown["useCount"], &shown["lastUsedIp"]), (&json!(10), &json!("127.0.0.1")), "{shown}");
                let last: tower_api_key::clock::Timestamp = shown["lastUsedAt"].as_str().unwrap().parse().unwrap();
                let age = std::time::SystemTime::now().duration_since(last.into()).unwrap();
                assert!(age < std::time::Duration::from_secs(60), "{shown}");
            }
            let shown = json(&get(&format!("{}{base}/{id}/usage", program.url), &admin).await);
            let series = shown["series"].as_array().unwrap();
            let counts: u64 = series.iter().map(|point| point["count"].as_u64().unwrap()).sum();
            assert_eq!((series.len(), counts), (30, 10), "every use is in its day: {shown}");
            let told = json(&get(&format!("{}{base}/audit?limit=100&keyId={id}", program.url), &admin).await);
            let told = told["items"].as_array().unwrap();
            let of = |action: &str, outcome: &str| {
                told.iter().filter(|event| event["action"] == action && event["outcome"] == outcome).count()
            };
            assert_eq!(
                (of("key.create", "accepted"), of("authenticate", "accepted"), told.len()),
                (1, 10, 11),
                "{told:?}"
            );
            assert_eq!(told[10]["actor"]["method"], "admin_key", "{told:?}");
            let lines = std::fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
            assert!(!lines.contains(made["key"].as_str().unwrap()) && !lines.contains(ADMIN));
        }
    }

    /// A request whose body has not all been sent.
    struct Underway {
        connection: std::net::TcpStream,
        rest: String,
    }

    impl Underway {
        fn begin(url: &str, path: &str, key: &str, body: &str) -> Self {
            use std::io::{Read, Write};
            let mut connection = std::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
            connection.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
            // The server asks for the body: then the request is under way.
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: {key}\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\nexpect: 100-continue\r\n\r\n",
                body.len()
            );
            connection.write_all(head.as_bytes()).unwrap();
            let mut asked = [0; 25];
            connection.read_exact(&mut asked).unwrap();
            assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
            Self { connection, rest: body.to_owned() }
        }

        /// The first line of the answer.
        fn finish(&mut self) -> String {
            use std::io::{BufRead, BufReader, Write};
            self.connection.write_all(self.rest.as_bytes()).unwrap();
            let mut line = String::new();
            BufReader::new(&self.connection).read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        }
    }

    #[tokio::test]
    async fn generate_reminds_of_old_keys_and_knows_an_ended_one() {
        let folder = tempfile::tempdir().unwrap();
        let key = |text: &str, more: serde_json::Value| {
            let digest = tower_api_key::key::KeyHasher::sha256().digest(text).to_stored();
            let mut key = json!({ "id": format!("key_{text}"), "digest": digest, "createdAt": "2020-01-01T00:00:00Z" });
            key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            key
        };
        let rotation = json!({ "rotatedAt": "2026-01-01T00:00:00Z", "replacedBy": "key_old" });
        let ended = json!({ "expiresAt": "2026-01-02T00:00:00Z", "rotation": rotation });
        let file = json!({ "version": 1, "keys": [key("old", json!({})), key("ended", ended)] });
        std::fs::write(folder.path().join("keys.json"), file.to_string()).unwrap();
        let log = folder.path().join("log");
        let mut command = support::command("generate", &[("DATA_DIR", folder.path().to_str().unwrap())]);
        command.stderr(std::fs::File::create(&log).unwrap());
        let program = Program::run(command);
        let url = format!("{}/api/whoami", program.url);
        for _ in 0..3 {
            assert_eq!(get(&url, &[("authorization", "Bearer old")]).await.status(), StatusCode::OK);
        }
        let refused = get(&url, &[("authorization", "Bearer ended")]).await;
        let error = &json(&refused)["error"];
        assert_eq!((refused.status(), &error["code"]), (StatusCode::UNAUTHORIZED, &json!("EXPIRED_API_KEY")));
        assert_eq!(error["details"]["expired_at"], "2026-01-02T00:00:00.000Z");
        assert_eq!(program.terminate().code(), Some(0));
        let log = std::fs::read_to_string(log).unwrap();
        let reminders: Vec<_> = log.lines().filter(|line| line.contains("tower_api_key::keys")).collect();
        assert_eq!(reminders.len(), 1, "{log}");
        assert!(reminders[0].contains("key_old") && reminders[0].contains("age_days"), "{log}");
    }

    #[tokio::test]
    async fn generate_takes_keys_of_its_own_environment_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_str().unwrap();
        let settings = [("ADMIN_API_KEY", ADMIN), ("API_ENVIRONMENT", "test"), ("DATA_DIR", data)];
        let program = Program::start("generate", &settings);
        let url = format!("{}/v1/keys", program.url);
        let admin = format!("Bearer {ADMIN}");
        let own = json(&send("POST", &url, &[("authorization", &admin)], r#"{"name":"a"}"#).await);
        assert!(own["key"].as_str().unwrap().starts_with("ak_test_"), "{own}");
        let body = r#"{"name":"b","environment":"live"}"#;
        let other = json(&send("POST", &url, &[("authorization", &admin)], body).await);
        for (made, status) in [(&own, StatusCode::OK), (&other, StatusCode::UNAUTHORIZED)] {
            let key = format!("Bearer {}", made["key"].as_str().unwrap());
            let whoami = get(&format!("{}/api/whoami", program.url), &[("authorization", &key)]).await;
            assert_eq!(whoami.status(), status);
        }
    }

    #[tokio::test]
    async fn workspace_asks_its_sources_in_order_and_believes_its_proxies_alone() {
        let folder = tempfile::tempdir().unwrap();
        let digest = tower_api_key::key::KeyHasher::sha256().digest("a-key-of-the-file-of-32-characters").to_stored();
        let file = json!({ "version": 1, "keys": [{ "id": "key_file", "name": "filed", "digest": digest }] });
        std::fs::write(folder.path().join("api-keys.json"), file.to_string()).unwrap();
        let program = Program::start(
            "workspace",
            &[
                ("WORKSPACES_DIR", folder.path().to_str().unwrap()),
                ("ADMIN_API_KEY", ADMIN),
                ("VALID_API_KEYS", "client-key-of-at-least-32-characters ,, an-admin-key-of-at-least-32-characters"),
                ("ALLOWED_IPS", "127.0.0.1, 203.0.113.0/24, 2001:db8::/32"),
                ("TRUSTED_PROXIES", "127.0.0.0/8"),
            ],
        );
        let url = format!("{}/api/whoami", program.url);
        for (key, method, source) in [
            ("a-key-of-the-file-of-32-characters", "api_key", "json-file"),
            (ADMIN, "admin_key", "environment"),
            ("client-key-of-at-least-32-characters", "client_key", "environment"),
        ] {
            let whoami = json(&get(&url, &[("x-api-key", key)]).await);
            assert_eq!((&whoami["method"], &whoami["source"]), (&json!(method), &json!(source)));
        }
        // What is made over the API is in the file, and opens the next program that reads it.
        let keys = format!("{}/account/api-keys", program.url);
        let made = json(&send("POST", &keys, &[("x-api-key", ADMIN)], r#"{"name":"made"}"#).await);
        let whoami = json(&get(&url, &[("x-api-key", made["key"].as_str().unwrap())]).await);
        assert_eq!((&whoami["keyName"], &whoami["source"]), (&json!("made"), &json!("json-file")));
        let reopened = tower_api_key::source::JsonFileKeys::open(folder.path().join("api-keys.json")).unwrap();
        assert_eq!(reopened.len(), 2);
        for (header, value, address) in [
            ("x-forwarded-for", "203.0.113.9", Some("203.0.113.9")),
            ("x-forwarded-for", "198.51.100.1, 203.0.113.9, 127.0.0.2", Some("203.0.113.9")),
            ("x-forwarded-for", "[2001:db8::7]:443", Some("2001:db8::7")),
            ("x-real-ip", "203.0.113.8", Some("203.0.113.8")),
            ("forwarded", "for=198.51.100.1", Some("127.0.0.1")),
            ("x-forwarded-for", "198.51.100.1", None),
            ("x-forwarded-for", "unknown", None),
        ] {
            let answer = get(&url, &[("x-api-key", ADMIN), (header, value)]).await;
            match address {
                Some(address) => assert_eq!(json(&answer)["clientIp"], address, "{header}: {value}"),
                None => {
                    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{header}: {value}");
                    assert_eq!(json(&answer)["error"], "Access denied from this IP address");
                }
            }
        }
    }

    #[test]
    fn workspace_does_not_start_with_a_broken_file_and_leaves_it_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api-keys.json");
        std::fs::write(&path, "{").unwrap();
        let settings = [("WORKSPACES_DIR", folder.path().to_str().unwrap())];
        let output = support::command("workspace", &settings).output().unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{line}");
        assert!(line.starts_with("WORKSPACES_DIR: ") && line.contains("api-keys.json"), "{line}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{");
    }

    #[test]
    fn wrong_settings_end_the_program_with_2_and_are_all_named() {
        for (example, settings, named) in [
            (
                "generate",
                &[("API_ENVIRONMENT", "prod"), ("API_RATE_LIMIT", "0")][..],
                &["API_ENVIRONMENT", "API_RATE_LIMIT"][..],
            ),
            (
                "workspace",
                &[("ALLOWED_IPS", "10.0.0.0/33"), ("TRUSTED_PROXIES", "proxy")],
                &["ALLOWED_IPS", "TRUSTED_PROXIES"],
            ),
            ("workspace", &[("ALLOWED_IPS", ","), ("API_RATE_LIMIT", "many")], &["ALLOWED_IPS", "API_RATE_LIMIT"]),
            ("chat", &[("NEXTELEVEN_API_KEY", KEY), ("API_RATE_LIMIT", "-1")], &["API_RATE_LIMIT"]),
        ] {
            let output = support::command(example, settings).output().unwrap();
            let line = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{line}");
            assert!(named.iter().all(|name| line.contains(name)), "{line}");
        }
    }
}
