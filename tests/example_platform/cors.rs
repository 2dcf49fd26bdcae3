//! Which pages may read what.

use http::{Response, StatusCode};
use serde_json::json;

use super::people::{LISTED, Platform, ada};
use super::support::{get, json, send};
use super::upstream::Upstream;

fn cors_headers(answer: &Response<String>) -> Vec<&str> {
    let names = answer.headers().keys().map(http::HeaderName::as_str);
    names.filter(|name| name.starts_with("access-control-")).collect()
}

fn varies(answer: &Response<String>) -> bool {
    let values = answer.headers().get_all("vary").iter();
    values.flat_map(|value| value.to_str().unwrap().split(',')).any(|name| name.trim() == "origin")
}

#[tokio::test]
async fn a_listed_origin_may_read_every_answer_and_others_get_no_header_at_all() {
    let upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[]).await;
    let (_, key) = platform.key().await;
    let ada = ada();
    for (path, credential, status) in [
        ("/api/run/x", ("x-api-key", &*key), 207),
        ("/api/run/x", ("cookie", &*ada), 207),
        ("/api/run/x", ("x-api-key", "wrong"), 401),
        ("/api/run/x", ("x-nothing", "1"), 401),
        ("/nowhere", ("x-api-key", &*key), 404),
        ("/api/organizations/globex/api-keys", ("cookie", &*ada), 403),
        ("/openapi.json", ("x-nothing", "1"), 200),
    ] {
        let answer = get(&platform.url(path), &[credential, ("origin", LISTED)]).await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
        assert_eq!(answer.headers().get_all("access-control-allow-origin").iter().collect::<Vec<_>>(), [LISTED]);
        assert_eq!(answer.headers()["access-control-allow-credentials"], "true", "{path}");
        let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap();
        assert!(exposed.contains("x-request-id") && exposed.contains("retry-after"), "{exposed}");
        assert!(varies(&answer), "{path}");

        let near = [LISTED.to_owned() + ".evil.example", LISTED.to_uppercase(), LISTED.replace("https", "http")];
        for origin in near.iter().map(String::as_str).chain(["https://evil.example", "null", "*", ""]) {
            let answer = get(&platform.url(path), &[credential, ("origin", origin)]).await;
            assert_eq!(answer.status().as_u16(), status, "{path} {origin}");
            assert!(cors_headers(&answer).is_empty() && varies(&answer), "{path} {origin}: {:?}", answer.headers());
        }
        let twice = get(&platform.url(path), &[credential, ("origin", LISTED), ("origin", LISTED)]).await;
        assert!(cors_headers(&twice).is_empty());
        assert!(cors_headers(&get(&platform.url(path), &[credential]).await).is_empty());
    }
}

#[tokio::test]
async fn a_true_preflight_needs_no_key_and_any_other_options_does() {
    let mut upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[]).await;
    let (origin, asked) = (("origin", LISTED), ("access-control-request-method", "PUT"));
    let wanted = ("access-control-request-headers", "x-api-key,content-type");
    for path in ["/api/run/x", "/api/organizations/acme/api-keys", "/nowhere"] {
        let answer = send("OPTIONS", &platform.url(path), &[origin, asked, wanted], "").await;
        assert_eq!((answer.status(), answer.body().as_str()), (StatusCode::NO_CONTENT, ""), "{path}");
        let headers = answer.headers();
        assert_eq!(headers["access-control-allow-origin"], LISTED);
        assert_eq!(headers["access-control-allow-credentials"], "true");
        assert!(headers["access-control-allow-methods"].to_str().unwrap().contains("PUT"));
        assert_eq!(headers["access-control-allow-headers"], wanted.1);
        assert!(varies(&answer) && headers.contains_key("x-request-id"), "{headers:?}");

        let evil = ("origin", "https://evil.example");
        for other in
            [&[][..], &[origin], &[asked], &[evil, asked], &[origin, origin, asked], &[("origin", "null"), asked]]
        {
            let answer = send("OPTIONS", &platform.url(path), other, "").await;
            let said = (answer.status(), json(&answer)["code"].clone());
            assert_eq!(said, (StatusCode::UNAUTHORIZED, json!("MISSING_API_KEY")), "{path} {other:?}");
        }
        let content = send("OPTIONS", &platform.url(path), &[origin, asked], "content").await;
        assert_eq!(content.status(), StatusCode::UNAUTHORIZED, "{path}");
        for method in ["GET", "POST"] {
            let answer = send(method, &platform.url(path), &[origin, asked], "").await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
    assert!(upstream.is_quiet());
    let (_, key) = platform.key().await;
    let answer = send("OPTIONS", &platform.url("/api/run/x"), &[("x-api-key", &key)], "").await;
    assert_eq!(json(&answer)["method"], "OPTIONS");
}

#[tokio::test]
async fn without_listed_origins_nobody_gets_cors_headers() {
    let upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[("ALLOWED_ORIGINS", "")]).await;
    let asked = [("origin", LISTED), ("access-control-request-method", "PUT")];
    let answer = send("OPTIONS", &platform.url("/api/run/x"), &asked, "").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(cors_headers(&answer).is_empty());
}
