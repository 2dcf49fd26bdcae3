//! Requests that look like CORS preflights.

use http::request::Builder;
use http::{Method, Request};
use tower_api_key::ApiKeyLayer;

use crate::support::{one_key, send};

const APP: &str = "https://app.example.com";

fn preflight() -> Builder {
    Request::options("/v1/keys").header("origin", APP).header("access-control-request-method", "POST")
}

fn gates() -> (ApiKeyLayer, ApiKeyLayer, ApiKeyLayer) {
    let (keys, _) = one_key();
    (
        ApiKeyLayer::new(keys.clone()),
        ApiKeyLayer::builder(keys.clone()).allow_preflights_from([APP]).build().unwrap(),
        ApiKeyLayer::builder(keys).allow_preflights().build().unwrap(),
    )
}

#[test]
fn no_preflight_is_let_through_unless_that_is_switched_on() {
    let (none, listed, all) = gates();
    send(&none, preflight()).assert_refused("MISSING_API_KEY", "off");
    assert!(send(&listed, preflight()).was_let_in());
    assert!(send(&all, preflight()).was_let_in());
}

#[test]
fn nothing_that_only_looks_like_a_preflight_is_let_through() {
    let look_alikes: [(&str, Builder); 21] = [
        ("a bare OPTIONS", Request::options("/v1/keys")),
        ("no method", Request::options("/").header("origin", APP)),
        ("no origin", Request::options("/").header("access-control-request-method", "GET")),
        ("GET", preflight().method(Method::GET)),
        ("HEAD", preflight().method(Method::HEAD)),
        ("POST", preflight().method(Method::POST)),
        ("DELETE", preflight().method(Method::DELETE)),
        ("options", preflight().method("options")),
        ("Options", preflight().method("Options")),
        ("OPTIONSX", preflight().method("OPTIONSX")),
        ("an override", preflight().method(Method::POST).header("x-http-method-override", "OPTIONS")),
        ("two origins", preflight().header("origin", APP)),
        ("two methods", preflight().header("access-control-request-method", "GET")),
        ("an empty method", Request::options("/").header("origin", APP).header("access-control-request-method", "")),
        (
            "a list of methods",
            Request::options("/").header("origin", APP).header("access-control-request-method", "GET, POST"),
        ),
        (
            "a method that is none",
            Request::options("/").header("origin", APP).header("access-control-request-method", "a b"),
        ),
        ("an empty origin", Request::options("/").header("origin", "").header("access-control-request-method", "GET")),
        ("content", preflight().header("content-length", "1")),
        ("two lengths", preflight().header("content-length", "0").header("content-length", "5")),
        ("an odd length", preflight().header("content-length", "00")),
        ("chunks", preflight().header("transfer-encoding", "chunked")),
    ];
    let (_, listed, all) = gates();
    for (what, request) in look_alikes {
        let request = request.body(()).unwrap();
        for auth in [&listed, &all] {
            let outcome = crate::support::send_request(auth, request.clone());
            assert!(!outcome.was_let_in() && outcome.status == 401, "{what}");
        }
    }
}

#[test]
fn a_preflight_from_an_origin_that_is_not_listed_is_not_let_through() {
    let (_, listed, _) = gates();
    for origin in [
        "https://evil.example",
        "https://app.example.com.evil.example",
        "https://evil-app.example.com",
        "https://app.example.com:8443",
        "http://app.example.com",
        "https://app.example.com/",
        "HTTPS://APP.EXAMPLE.COM",
        "null",
        "*",
        "https://app.example.com, https://evil.example",
    ] {
        let request = Request::options("/").header("origin", origin).header("access-control-request-method", "GET");
        send(&listed, request).assert_refused("MISSING_API_KEY", origin);
    }
}

#[test]
fn a_preflight_gives_no_identity() {
    let (_, _, all) = gates();
    let outcome = send(&all, preflight());
    assert!(outcome.reached.unwrap().extensions.get::<tower_api_key::AuthContext>().is_none());
}
