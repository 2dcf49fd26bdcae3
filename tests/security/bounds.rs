//! Requests of a size that nobody sends by accident.

use std::fmt::Write;

use http::{Method, Request};
use tower_api_key::ApiKeyLayer;
use tower_api_key::credential::CredentialLocation;
use tower_api_key::key::{KeyFormat, Scope};
use tower_api_key::route::{Methods, Route};
use tower_api_key::source::MemoryKeys;

use crate::support::{key_of, one_key, send};

fn everywhere(keys: MemoryKeys) -> ApiKeyLayer {
    ApiKeyLayer::builder(keys)
        .credentials([
            CredentialLocation::header("X-API-Key"),
            CredentialLocation::bearer(),
            CredentialLocation::cookie("key"),
            CredentialLocation::websocket_subprotocol(),
            CredentialLocation::insecure_query_parameter("key"),
        ])
        .route(Methods::ANY, "/v1/{a}/{b}/x/{*rest}", Route::new().scopes(Scope::from_static("write")))
        .allow_preflights()
        .build()
        .unwrap()
}

const NAMES: [&str; 10] = [
    "x-api-key",
    "authorization",
    "cookie",
    "sec-websocket-protocol",
    "origin",
    "x-request-id",
    "content-type",
    "access-control-request-method",
    "x-forwarded-for",
    "host",
];

#[test]
fn headers_of_64_kib_are_answered() {
    let (keys, key) = one_key();
    let auth = everywhere(keys);
    for name in NAMES {
        for piece in ["a", ",", ";", "=", " ", "\t", "\"", "api-key.", "key=", "key=;", "Bearer ", "\u{fc}", "1.2.3.4,"]
        {
            let value = http::HeaderValue::from_bytes(piece.repeat(64 * 1024 / piece.len()).as_bytes()).unwrap();
            for method in [Method::GET, Method::OPTIONS] {
                let request = Request::builder().method(method).uri("/").header(name, &value);
                let outcome = send(&auth, request);
                assert!(!outcome.was_let_in(), "{name} {piece}");
                assert!(!outcome.status.is_server_error());
                assert!(outcome.headers["x-request-id"].len() <= 128);
            }
            let also = send(&auth, Request::get("/").header("x-api-key", &key).header(name, &value));
            assert!(!also.status.is_server_error(), "{name} {piece}");
        }
    }
}

#[test]
fn ten_thousand_cookies_are_answered() {
    let (keys, key) = one_key();
    let auth = everywhere(keys);
    let mut line = String::new();
    for index in 0..10_000 {
        write!(line, "c{index}={index}; ").unwrap();
    }
    send(&auth, Request::get("/").header("cookie", &line)).assert_refused("MISSING_API_KEY", "none of ours");
    let good = send(&auth, Request::get("/").header("cookie", format!("{line}key={key}")));
    let left = good.reached.unwrap().headers["cookie"].to_str().unwrap().to_owned();
    assert_eq!(left.split("; ").count(), 10_000);
    assert!(!left.contains(&key));
    let ours = "key=x; ".repeat(10_000);
    send(&auth, Request::get("/").header("cookie", ours)).assert_refused("AMBIGUOUS_CREDENTIALS", "ours");
    let lines = (0..10_000).fold(Request::get("/"), |request, index| request.header("cookie", format!("c{index}=x")));
    assert!(send(&auth, lines.header("x-api-key", &key)).was_let_in());
}

#[test]
fn ten_thousand_subprotocols_are_answered() {
    let (keys, key) = one_key();
    let auth = everywhere(keys);
    let real = "chat, ".repeat(10_000);
    send(&auth, Request::get("/").header("sec-websocket-protocol", &real)).assert_refused("MISSING_API_KEY", "real");
    let good = send(&auth, Request::get("/").header("sec-websocket-protocol", format!("{real}api-key.{key}")));
    assert!(!good.reached.unwrap().headers["sec-websocket-protocol"].to_str().unwrap().contains(&key));
    let ours = "api-key.x,".repeat(10_000);
    send(&auth, Request::get("/").header("sec-websocket-protocol", ours))
        .assert_refused("AMBIGUOUS_CREDENTIALS", "ours");
}

#[test]
fn paths_and_queries_of_60_kib_are_answered() {
    let (keys, key) = one_key();
    let auth = everywhere(keys);
    for piece in ["/", "/..", "/.", "/a", "%2f", "%25", "%", "/v1", ";", ";a=b/", "\\", "/v1/a/b/x", "%00", "/%2e%2e"] {
        let path = format!("/{}", piece.repeat(60_000 / piece.len()));
        let Ok(uri) = path.parse::<http::Uri>() else { continue };
        send(&auth, Request::get(uri.clone())).assert_refused("MISSING_API_KEY", piece);
        let outcome = send(&auth, Request::get(uri).header("x-api-key", &key));
        assert!(!outcome.status.is_server_error(), "{piece}");
    }
    for piece in ["&", "key=&", "a=b&", "%6bey=&", "=", "%", "key"] {
        let uri = format!("/?{}", piece.repeat(60_000 / piece.len()));
        send(&auth, Request::get(&uri)).assert_refused("MISSING_API_KEY", piece);
        let good = send(&auth, Request::get(format!("{uri}&key={key}")));
        assert!(!good.reached.unwrap().uri.to_string().contains(&key), "{piece}");
    }
}

#[test]
fn made_up_keys_do_not_grow_the_store() {
    let keys = MemoryKeys::builder().add_format(KeyFormat::text()).build();
    let auth = ApiKeyLayer::new(keys.clone());
    for index in 0..100_000 {
        let request = Request::get("/").header("x-api-key", format!("made-up-{index}-by-somebody-who-guesses"));
        assert_eq!(send(&auth, request).status, 401);
    }
    for _ in 0..1_000 {
        send(&auth, Request::get("/").header("x-api-key", key_of("live"))).assert_refused("INVALID_API_KEY", "unknown");
    }
    assert!(keys.is_empty());
}
