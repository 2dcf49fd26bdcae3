//! What is taken, and what is refused by which name.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body::Frame;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tower_api_key::management::ROUTES;
use tower_api_key::source::NewKey;

use super::support::{Answer, Api, get, path, post, request, send};

#[tokio::test]
async fn a_field_that_is_wrong_is_named() {
    let api = Api::new();
    let admin = api.admin().await;
    let long = |length| "x".repeat(length);
    let many = |entry: &str| json!(vec![entry; 101]);
    for (field, wrong) in [
        ("name", vec![json!(null), json!(""), json!(" \t "), json!(long(101)), json!("a\u{0}b"), json!(1), json!([])]),
        ("scopes", vec![json!("read"), json!([""]), json!(["a b"]), json!([1]), json!({}), many("read")]),
        ("environment", vec![json!(""), json!("Live"), json!("li ve"), json!(1), json!(long(17))]),
        ("expiresInDays", vec![json!(0), json!(-1), json!(36_501), json!(1.5), json!("7"), json!(1e30), json!(true)]),
        (
            "expiresAt",
            vec![json!("2026-01-14T18:00:00Z"), json!("2020-01-01T00:00:00Z"), json!("tomorrow"), json!(1), json!("")],
        ),
        (
            "allowedIps",
            vec![
                json!([]),
                json!("10.0.0.1"),
                json!(["10.0.0.256"]),
                json!(["*"]),
                json!(["10.0.0.1, ::1"]),
                many("::1"),
            ],
        ),
        ("allowedOrigins", vec![json!([]), json!(["*"]), json!(["https://a.example/"]), json!("https://a.example")]),
        ("rateLimits", vec![json!([{"limit": 0, "windowSeconds": 60}]), json!([{}]), json!({}), json!([null])]),
        ("metadata", vec![json!([]), json!("x"), json!({"x": long(8_192)})]),
        ("unknown", vec![json!(null), json!(1)]),
        ("Name", vec![json!("x")]),
    ] {
        for value in wrong {
            let mut body = Map::from_iter([("name".to_owned(), json!("good"))]);
            body.insert(field.to_owned(), value.clone());
            let answer = post(&api.app, &admin, Value::Object(body)).await;
            let named = (answer.status.as_u16(), answer.code(), answer.fields());
            assert_eq!(named, (422, "VALIDATION_FAILED", [field].into()), "{field}: {value} {answer:?}");
        }
    }
    assert_eq!(api.all().await.len(), 1, "nothing was made");
}

#[tokio::test]
async fn all_that_is_wrong_is_named_at_once() {
    let api = Api::new();
    let admin = api.admin().await;
    let body = json!({
        "scopes": 1, "environment": "X", "expiresInDays": 7, "expiresAt": "2027-01-01T00:00:00Z", "allowedIps": [],
        "allowedOrigins": [], "rateLimits": [1], "metadata": 1, "owner": {}, "\u{1b}[31m": 1,
    });
    let answer = post(&api.app, &admin, body).await;
    let expected = [
        "name",
        "scopes",
        "environment",
        "expiresInDays",
        "expiresAt",
        "allowedIps",
        "allowedOrigins",
        "rateLimits",
        "metadata",
        "owner",
        "\u{1b}[31m",
    ];
    assert_eq!(answer.fields(), expected.into());
}

#[tokio::test]
async fn what_is_null_is_as_what_is_left_out() {
    let api = Api::new();
    let admin = api.admin().await;
    let body = json!({
        "name": "new", "scopes": null, "environment": null, "expiresInDays": null, "expiresAt": null,
        "allowedIps": null, "allowedOrigins": null, "rateLimits": null, "metadata": null,
    });
    let answer = post(&api.app, &admin, body).await;
    assert_eq!((answer.status, &answer.body["scopes"]), (StatusCode::CREATED, &json!([])));
}

#[tokio::test]
async fn a_change_or_a_reason_that_is_wrong_is_named() {
    let api = Api::new();
    let admin = api.admin().await;
    let (_, key) = api.issue(NewKey::named("k")).await;
    let path = format!("/v1/keys/{}", key.id);
    for (method, body, field) in [
        (Method::PATCH, json!({"name": null}), "name"),
        (Method::PATCH, json!({"name": " "}), "name"),
        (Method::PATCH, json!({"scopes": "admin"}), "scopes"),
        (Method::PATCH, json!({"expiresAt": "2020-01-01T00:00:00Z"}), "expiresAt"),
        (Method::PATCH, json!({"allowedIps": []}), "allowedIps"),
        (Method::PATCH, json!({"environment": "test"}), "environment"),
        (Method::PATCH, json!({"owner": {"user": "x"}, "name": "good"}), "owner"),
        (Method::DELETE, json!({"reason": "x".repeat(201)}), "reason"),
        (Method::DELETE, json!({"reason": "a\nb"}), "reason"),
        (Method::DELETE, json!({"reason": 1}), "reason"),
        (Method::DELETE, json!({"reson": "x"}), "reson"),
    ] {
        let answer = send(&api.app, request(&method, &path, Some(&admin), Some(body.clone()))).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (422, [field].into()), "{method} {body}");
    }
    let untouched = get(&api.app, &admin, &path).await;
    assert_eq!(untouched.headers[header::ETAG], "\"0\"");
    let nothing = send(&api.app, request(&Method::PATCH, &path, Some(&admin), Some(json!({})))).await;
    assert_eq!((nothing.status, nothing.body), (StatusCode::OK, untouched.body));
}

#[tokio::test]
async fn a_parameter_that_is_wrong_is_named() {
    let api = Api::new();
    let admin = api.admin().await;
    let long = format!("q={}", "x".repeat(101));
    for (query, fields) in [
        ("limit=0", &["limit"][..]),
        ("limit=101", &["limit"]),
        ("limit=-1", &["limit"]),
        ("limit=%2B5", &["limit"]),
        ("limit=", &["limit"]),
        ("limit=5&limit=5", &["limit"]),
        ("limit=99999999999999999999999", &["limit"]),
        ("cursor=", &["cursor"]),
        ("cursor=abc", &["cursor"]),
        ("state=gone", &["state"]),
        ("state=Active", &["state"]),
        ("scope=", &["scope"]),
        ("scope=a%20b", &["scope"]),
        (&long, &["q"]),
        ("owner=x", &["owner"]),
        ("limit=0&state=x&user=1", &["limit", "state", "user"]),
    ] {
        let answer = get(&api.app, &admin, &format!("/v1/keys?{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (422, "VALIDATION_FAILED"), "{query}");
        assert_eq!(answer.fields(), fields.iter().copied().collect(), "{query}");
    }
    for query in ["limit=1", "limit=100", "q=%ff%00", "state=overlap", "&&"] {
        assert_eq!(get(&api.app, &admin, &format!("/v1/keys?{query}")).await.status, StatusCode::OK, "{query}");
    }
}

async fn send_raw(api: &Api, key: &str, kind: Option<&str>, body: impl Into<Body>) -> Answer {
    let mut request = Request::post("/v1/keys").header("x-api-key", key);
    if let Some(kind) = kind {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    send(&api.app, request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn what_is_no_json_object_is_refused() {
    let api = Api::new();
    let admin = api.admin().await;
    let deep = "[".repeat(1_000);
    for body in
        ["{", "[]", "null", "\"name\"", "{\"name\":\"a\"} x", "{\"name\":\"a\",\"name\":\"b\"}", "\u{feff}{}", &deep]
    {
        let answer = send_raw(&api, &admin, Some("application/json"), body.to_owned()).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, "MALFORMED_REQUEST"), "{body}");
    }
    for bytes in [&b""[..], b"\xff\xfe", b"{\"name\":\"\xff\"}"] {
        let answer = send_raw(&api, &admin, Some("application/json"), bytes).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, "MALFORMED_REQUEST"), "{bytes:?}");
    }
    let good = "{\"name\":\"a\"}";
    for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("multipart/form-data")] {
        let answer = send_raw(&api, &admin, kind, good).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (415, "UNSUPPORTED_MEDIA_TYPE"), "{kind:?}");
    }
    assert_eq!(send_raw(&api, &admin, Some("Application/JSON;charset=UTF-8"), good).await.status, StatusCode::CREATED);
    assert_eq!(api.all().await.len(), 2);
}

#[tokio::test]
async fn a_body_has_at_most_64_kib() {
    let api = Api::new();
    let admin = api.admin().await;
    let body = |length: usize| format!("{{\"name\":\"a\"{}}}", " ".repeat(length - 12));
    for (length, status) in [(65_536, 201), (65_537, 413), (10_000_000, 413)] {
        let answer = send_raw(&api, &admin, Some("application/json"), body(length)).await;
        assert_eq!(answer.status.as_u16(), status, "{length}");
        // Without a length in front, too.
        let pieces = body(length).into_bytes().chunks(1_000).map(Bytes::copy_from_slice).map(Ok).collect();
        let answer = send_raw(&api, &admin, Some("application/json"), Body::new(Pieces(pieces))).await;
        assert_eq!(answer.status.as_u16(), status, "{length}");
    }
    let failing = Pieces([Ok(Bytes::from_static(b"{")), Err(io::Error::other("reset"))].into());
    assert_eq!(
        send_raw(&api, &admin, Some("application/json"), Body::new(failing)).await.status,
        StatusCode::BAD_REQUEST
    );
}

/// A body that comes in pieces, and says nothing of its length.
struct Pieces(VecDeque<io::Result<Bytes>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.0.pop_front().map(|piece| piece.map(Frame::data)))
    }
}

/// JSON of any shape, with the names of true fields among its own.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop::sample::select(vec!["live", "read", "10.0.0.0/8", "https://a.example", "9999-12-31T23:59:59Z", "-1"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let names = prop_oneof![
            prop::sample::select(vec!["limit", "windowSeconds", "burst", "algorithm", "name", "unlimited"])
                .prop_map(str::to_owned),
            ".{0,8}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_body() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "name",
        "scopes",
        "environment",
        "expiresInDays",
        "expiresAt",
        "allowedIps",
        "allowedOrigins",
        "rateLimits",
        "metadata",
        "reason",
        "owner",
        "",
    ]);
    let fields = prop::collection::btree_map(names.prop_map(str::to_owned), any_json(), 0..8);
    prop_oneof![
        1 => any_json(),
        4 => fields.prop_map(|map| Value::Object(map.into_iter().collect())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_request_whatever_breaks_the_server(
        body in any_body(), bytes in prop::collection::vec(any::<u8>(), 0..200), query in "[ -~&&[^#<>\"`{}]]{0,60}",
        id in "[a-zA-Z0-9%_.~-]{1,40}", tag in "[ -~]{0,20}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let api = Api::new();
            let admin = api.admin().await;
            let (_, key) = api.issue(NewKey::named("k")).await;
            for endpoint in ROUTES {
                for id in [key.id.as_str(), &id] {
                    let texts = [body.to_string().into_bytes(), bytes.clone()];
                    for text in texts {
                        let Ok(uri) = format!("{}?{}", path(endpoint, id), query.replace(' ', "+")).parse::<http::Uri>() else {
                            continue;
                        };
                        let mut request = request(&endpoint.method, "/", Some(&admin), None);
                        *request.uri_mut() = uri;
                        *request.body_mut() = Body::from(text);
                        let headers = request.headers_mut();
                        headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
                        headers.insert(header::IF_MATCH, tag.parse().unwrap());
                        let answer = send(&api.app, request).await;
                        assert!(answer.status.as_u16() < 500, "{endpoint:?} {answer:?}");
                    }
                }
            }
        });
    }
}
