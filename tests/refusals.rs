//! What refusals look like: statuses, codes, headers and bodies, in each style.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_api_key::clock::Timestamp;
use tower_api_key::credential::CredentialLocation;
use tower_api_key::ip::{IpBlocks, IpVerdict};
use tower_api_key::key::{KeyFormat, KeyHasher, KeyId, KeyRecord, Realm, Scope};
use tower_api_key::limit::{Limits, MemoryRateLimiter, Quota};
use tower_api_key::rejection::{Rejection, Style};
use tower_api_key::route::Route;
use tower_api_key::source::MemoryKeys;
use tower_api_key::{ApiKeyLayer, ApiKeyLayerBuilder, RequestId};

const WRITE: Scope = Scope::from_static("write");

fn keys() -> MemoryKeys {
    let keys = MemoryKeys::builder().format(KeyFormat::text()).build();
    let add = |name: &'static str, set: fn(&mut KeyRecord)| {
        let mut record = KeyRecord::new(KeyId::from_static(name), KeyHasher::sha256().digest(name));
        set(&mut record);
        keys.insert(record).unwrap();
    };
    add("good", |_| {});
    add("revoked", |record| record.revoked_at = Some(Timestamp::UNIX_EPOCH));
    add("disabled", |record| record.disabled = true);
    add("expired", |record| record.expires_at = Some(Timestamp::from_unix_seconds(1_768_413_600)));
    add("elsewhere", |record| record.realm = Some(Realm::from_static("other")));
    add("far", |record| record.allowed_ips = Some(IpBlocks::parse("192.0.2.1").unwrap()));
    add("site", |record| record.allowed_origins = Some(vec!["https://a.example".to_owned()]));
    keys
}

fn builder(style: Style) -> ApiKeyLayerBuilder {
    ApiKeyLayer::builder(keys()).route(Method::PUT, "/", Route::new().scopes(WRITE)).style(style)
}

async fn answer(auth: &ApiKeyLayer, request: http::request::Builder) -> Response<Bytes> {
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Full::from("ok"))) });
    let request = request.header("x-request-id", "r1").body(()).unwrap();
    let (parts, body) = auth.layer(inner).oneshot(request).await.unwrap().into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

async fn refused(style: Style, method: Method, key: &str) -> (StatusCode, Value) {
    let auth = builder(style).build().unwrap();
    let request = Request::builder().method(method).uri("/");
    let request = if key.is_empty() { request } else { request.header("x-api-key", key) };
    let response = answer(&auth, request).await;
    (response.status(), serde_json::from_slice(response.body()).unwrap())
}

#[tokio::test]
async fn each_reason_has_its_status_code_title_and_message() {
    for (method, key, status, code, title, message) in [
        (
            Method::GET,
            "",
            401,
            "MISSING_API_KEY",
            "Authentication required",
            "Provide API key via X-API-Key header or Authorization: Bearer token",
        ),
        (Method::GET, "unknown", 401, "INVALID_API_KEY", "Invalid API key", "The provided API key is invalid"),
        (Method::GET, "no key at all", 401, "INVALID_API_KEY", "Invalid API key", "The provided API key is invalid"),
        (Method::GET, "elsewhere", 401, "INVALID_API_KEY", "Invalid API key", "The provided API key is invalid"),
        (Method::GET, "a,b", 401, "AMBIGUOUS_CREDENTIALS", "Ambiguous credentials", "Send one API key, once"),
        (Method::GET, "revoked", 401, "REVOKED_API_KEY", "API key revoked", "The API key has been revoked"),
        (Method::GET, "disabled", 401, "DISABLED_API_KEY", "API key disabled", "The API key is disabled"),
        (Method::GET, "expired", 401, "EXPIRED_API_KEY", "API key expired", "The API key has expired"),
        (
            Method::GET,
            "far",
            403,
            "IP_NOT_ALLOWED",
            "Access denied from this IP address",
            "Requests from this address are not allowed",
        ),
        (
            Method::GET,
            "site",
            403,
            "ORIGIN_NOT_ALLOWED",
            "Access denied from this origin",
            "The API key may not be used from this origin",
        ),
        (Method::PUT, "good", 403, "INSUFFICIENT_SCOPE", "Insufficient scope", "This request needs the scope write"),
    ] {
        let (found, body) = refused(Style::flat(), method, key).await;
        assert_eq!(found.as_u16(), status, "{key}");
        assert_eq!(body["code"], code);
        assert_eq!(body["error"], title);
        assert_eq!(body["message"], message);
        assert_eq!(body["requestId"], "r1");
        assert_eq!(body.get("retryAfter"), None);
    }
}

#[tokio::test]
async fn details_are_what_the_reason_knows_and_nothing_of_unknown_keys() {
    for (method, key, details) in [
        (Method::GET, "", json!({ "header": "X-API-Key", "headers": ["X-API-Key", "Authorization"] })),
        (Method::GET, "unknown", Value::Null),
        (Method::GET, "elsewhere", Value::Null),
        (Method::GET, "revoked", json!({ "key_id": "revoked" })),
        (Method::GET, "disabled", json!({ "key_id": "disabled" })),
        (Method::GET, "expired", json!({ "expired_at": "2026-01-14T18:00:00.000Z" })),
        (Method::PUT, "good", json!({ "required": ["write"], "granted": [] })),
    ] {
        let (_, body) = refused(Style::flat(), method.clone(), key).await;
        assert_eq!(body["details"], details, "{key}");

        let (_, body) = refused(Style::envelope(), method, key).await;
        let mut expected = if details.is_null() { json!({}) } else { details };
        expected["request_id"] = json!("r1");
        assert_eq!(body["error"]["details"], expected, "{key}");
        assert_eq!(body["success"], false);
    }
}

#[tokio::test]
async fn without_code_the_body_has_exactly_its_named_keys() {
    let (_, body) = refused(Style::flat_without_code(), Method::GET, "expired").await;
    let expected = json!({ "error": "API key expired", "message": "The API key has expired", "requestId": "r1" });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn problems_are_as_rfc_9457_has_them() {
    let auth = builder(Style::problem()).build().unwrap();
    let response = answer(&auth, Request::get("/").header("x-api-key", "expired")).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json; charset=utf-8");
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(
        body,
        json!({
            "type": "urn:tower-api-key:expired-api-key",
            "title": "API key expired",
            "status": 401,
            "detail": "The API key has expired",
            "instance": "urn:request:r1",
            "code": "EXPIRED_API_KEY",
            "expired_at": "2026-01-14T18:00:00.000Z"
        })
    );
    let own = Style::problem_with_types("https://errors.example.com/");
    assert_eq!(refused(own, Method::GET, "").await.1["type"], "https://errors.example.com/missing-api-key");
}

#[tokio::test]
async fn a_limit_says_when_to_come_again_in_every_style() {
    for style in [Style::flat(), Style::flat_without_code(), Style::envelope(), Style::problem(), Style::lean()] {
        let limits = Limits::new(MemoryRateLimiter::with_capacity(10)).per_key(Quota::per_hour(1));
        let auth = builder(style.clone()).limits(limits).build().unwrap();
        let request = || Request::get("/").header("x-api-key", "good");
        assert_eq!(answer(&auth, request()).await.status(), StatusCode::OK);
        let response = answer(&auth, request()).await;
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        let wait: u64 = response.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!((3_599..=3_600).contains(&wait), "{wait}");
        let told = match format!("{style:?}").as_str() {
            "Style::flat" | "Style::flat_without_code" => &body["retryAfter"],
            "Style::envelope" => &body["error"]["details"]["retry_after"],
            "Style::problem" => {
                assert_eq!(body["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
                &body["retry_after"]
            }
            _ => {
                assert_eq!(body, json!({ "error": "RATE_LIMITED" }));
                continue;
            }
        };
        assert_eq!(*told, json!(wait), "{style:?}");
    }
}

#[tokio::test]
async fn every_refusal_can_not_be_stored_and_every_401_challenges() {
    for style in [Style::flat(), Style::envelope(), Style::problem(), Style::lean()] {
        let auth = builder(style).build().unwrap();
        for (key, error) in [("", None), ("unknown", Some("invalid_token")), ("a,b", Some("invalid_request"))] {
            let response = answer(&auth, Request::get("/").header("x-api-key", key)).await;
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            let challenges: Vec<_> = response.headers().get_all(WWW_AUTHENTICATE).into_iter().collect();
            assert_eq!(challenges.len(), 2);
            for challenge in challenges {
                let challenge = challenge.to_str().unwrap();
                match error {
                    None => assert!(!challenge.contains("error"), "{challenge}"),
                    Some(error) => assert!(challenge.ends_with(&format!("error=\"{error}\"")), "{challenge}"),
                }
            }
        }
    }
    let auth = builder(Style::flat()).build().unwrap();
    let scope = answer(&auth, Request::put("/").header("x-api-key", "good")).await;
    let expected = "Bearer realm=\"api\", error=\"insufficient_scope\", scope=\"write\"";
    assert!(scope.headers().get_all(WWW_AUTHENTICATE).into_iter().any(|challenge| challenge == expected));
}

#[tokio::test]
async fn head_gets_the_headers_of_get_and_no_body() {
    for style in [Style::flat(), Style::envelope(), Style::problem(), Style::lean()] {
        let auth = builder(style.clone()).build().unwrap();
        for key in ["", "unknown", "expired"] {
            let get = answer(&auth, Request::get("/").header("x-api-key", key)).await;
            let head = answer(&auth, Request::head("/").header("x-api-key", key)).await;
            assert_eq!(head.status(), get.status());
            assert!(head.body().is_empty());
            assert_eq!(head.headers()[CONTENT_LENGTH].to_str().unwrap(), get.body().len().to_string());
            let mut without_length = head.headers().clone();
            let mut of_get = get.headers().clone();
            without_length.remove(CONTENT_LENGTH);
            of_get.remove(CONTENT_LENGTH);
            assert_eq!(without_length, of_get, "{style:?}");
        }
    }
}

#[tokio::test]
async fn grpc_gets_a_status_of_its_own_in_every_style() {
    for style in [Style::flat(), Style::lean(), Style::problem()] {
        let auth = builder(style).build().unwrap();
        for (content_type, echoed) in [
            ("application/grpc", "application/grpc"),
            ("application/grpc+proto", "application/grpc"),
            ("application/grpc-web+proto", "application/grpc-web+proto"),
            ("application/grpc-web-text", "application/grpc-web-text+proto"),
        ] {
            for (method, key, status, message) in [
                (Method::POST, "unknown", "16", "The provided API key is invalid"),
                (Method::PUT, "good", "7", "This request needs the scope write"),
            ] {
                let request = Request::builder().method(method).header("content-type", content_type);
                let response = answer(&auth, request.header("x-api-key", key)).await;
                assert_eq!(response.status(), StatusCode::OK);
                assert_eq!(response.headers()["grpc-status"], status);
                assert_eq!(response.headers()["grpc-message"], message);
                assert_eq!(response.headers()[CONTENT_TYPE], echoed);
                assert!(response.body().is_empty());
            }
        }
        let not_grpc = answer(&auth, Request::post("/").header("content-type", "application/grpcs")).await;
        assert_eq!(not_grpc.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_style_of_the_users_own_sees_the_request_without_its_credentials() {
    let style = Style::custom(|rejection, request| {
        assert!(!request.headers.contains_key("x-api-key"));
        let id = request.extensions.get::<RequestId>().map(RequestId::as_str).unwrap_or_default();
        let text = format!("{} {} {id}", rejection.code(), request.uri.path());
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response
    });
    let auth = builder(style).build().unwrap();
    let response = answer(&auth, Request::get("/tea").header("x-api-key", "unknown")).await;
    assert_eq!((response.status(), &response.body()[..]), (StatusCode::IM_A_TEAPOT, &b"INVALID_API_KEY /tea r1"[..]));
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(response.headers()["x-request-id"], "r1");
}

#[tokio::test]
async fn outer_layers_find_the_rejection_in_the_extensions() {
    let auth = builder(Style::flat()).build().unwrap();
    let response = answer(&auth, Request::get("/").header("x-api-key", "revoked")).await;
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.code(), "REVOKED_API_KEY");
    assert_eq!(rejection.key_id().map(KeyId::as_str), Some("revoked"));
    let lean = builder(Style::lean()).build().unwrap();
    assert!(answer(&lean, Request::get("/")).await.extensions().get::<Rejection>().is_none());
}

#[tokio::test]
async fn an_address_that_may_not_call_is_not_echoed() {
    let auth = builder(Style::flat()).ip_policy(|_| IpVerdict::Deny).build().unwrap();
    let response =
        answer(&auth, Request::get("/").extension(tower_api_key::PeerAddr(([192, 0, 2, 7], 1).into()))).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(!format!("{response:?}").contains("192.0.2"), "{response:?}");
}

#[tokio::test]
async fn what_callers_are_told_comes_from_the_configuration() {
    let auth = ApiKeyLayer::builder(keys())
        .realm(Realm::from_static("billing"))
        .credentials([CredentialLocation::authorization("Api-Key"), CredentialLocation::cookie("key")])
        .build()
        .unwrap();
    let response = answer(&auth, Request::get("/")).await;
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["message"], "Provide API key via Authorization: Api-Key token or key cookie");
    let challenges: Vec<_> = response.headers().get_all(WWW_AUTHENTICATE).into_iter().collect();
    assert_eq!(challenges, ["Api-Key realm=\"billing\"", "ApiKey realm=\"billing\", cookie=\"key\""]);
}

#[test]
fn every_mistake_in_the_settings_is_named_at_once() {
    let error = ApiKeyLayer::builder(keys())
        .credentials([])
        .public(Method::GET, "no-slash")
        .allow_preflights_from(["nonsense"])
        .deadline(std::time::Duration::ZERO)
        .build()
        .unwrap_err();
    let settings: Vec<_> = error.problems().iter().map(|problem| problem.setting.as_str()).collect();
    assert_eq!(settings, ["credentials", "public", "allow_preflights_from", "deadline"]);
}

#[test]
fn two_peppers_with_one_id_are_an_error_of_configuration() {
    use tower_api_key::key::{Pepper, PepperId};
    use tower_api_key::source::KeySource;
    let store = |secret: u8| {
        let pepper = Pepper::new(PepperId(1), [secret; 32]).unwrap();
        MemoryKeys::builder().hasher(KeyHasher::hmac_sha256(&pepper)).build()
    };
    let error = ApiKeyLayer::builder(store(1).or(store(2))).build().unwrap_err().to_string();
    assert!(error.contains("two peppers have one id"), "{error}");
    assert!(ApiKeyLayer::builder(store(1).or(store(1))).build().is_ok());
    // The short form cannot say so, and does not panic either.
    let _ = ApiKeyLayer::new(store(1).or(store(2)));
}
