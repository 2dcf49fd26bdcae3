//! The same paths through axum's routers, nested and rewritten in every way that axum has.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::OriginalUri;
use axum::response::Response;
use axum::routing::any;
use http::{Method, Request, StatusCode, Uri};
use tower::util::MapRequestLayer;
use tower::{Layer, Service, ServiceExt};
use tower_api_key::ApiKeyLayer;
use tower_api_key::credential::CredentialLocation;
use tower_api_key::key::{Scope, ScopeSet};
use tower_api_key::route::{Methods, Route};

use crate::support::{key_of, memory, now, record};

const ADMIN: Scope = Scope::from_static("admin");

fn auth(key: &str) -> ApiKeyLayer {
    let mut reader = record("key_reader", key);
    reader.scopes = ScopeSet::from(Scope::from_static("read"));
    ApiKeyLayer::builder(memory([reader]))
        .credentials([CredentialLocation::header("X-API-Key"), CredentialLocation::insecure_query_parameter("key")])
        .public(Method::GET, "/api/status")
        .public(Method::GET, "/api/files/{name}")
        .route(Methods::ANY, "/api/keys", Route::new().scopes(ADMIN))
        .route(Methods::ANY, "/api/keys/{id}", Route::new().scopes(ADMIN))
        .build()
        .unwrap()
}

/// What answered, in a header.
fn named(name: &'static str) -> axum::routing::MethodRouter {
    any(async move |request: Request<Body>| {
        let uri = request.uri().to_string();
        let original = request.extensions().get::<OriginalUri>().map(|uri| uri.0.to_string());
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert("x-handler", name.parse().unwrap());
        response.headers_mut().insert("x-seen", format!("{uri} {original:?}").parse().unwrap());
        response
    })
}

fn below() -> Router {
    Router::new()
        .route("/status", named("status"))
        .route("/files/{name}", named("file"))
        .route("/keys", named("admin"))
        .route("/keys/{id}", named("admin"))
        .route("/secret", named("secret"))
        .fallback_service(named("fallback"))
}

fn flat() -> Router {
    Router::new()
        .route("/api/status", named("status"))
        .route("/api/files/{name}", named("file"))
        .route("/api/keys", named("admin"))
        .route("/api/keys/{id}", named("admin"))
        .route("/api/secret", named("secret"))
        .route("/status", named("secret"))
        .fallback_service(named("fallback"))
}

/// Decodes, merges slashes, takes dots and parameters away, and puts everything in lower case.
fn normalise(mut request: Request<Body>) -> Request<Body> {
    let decoded = percent_encoding::percent_decode_str(request.uri().path()).decode_utf8_lossy().to_lowercase();
    let mut kept: Vec<&str> = Vec::new();
    for segment in decoded.split(['/', '\\']).map(|segment| segment.split(';').next().unwrap_or_default()) {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    if let Ok(uri) = format!("/{}", kept.join("/")).parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    request
}

/// Every path becomes the public one.
fn to_status(mut request: Request<Body>) -> Request<Body> {
    *request.uri_mut() = Uri::from_static("/api/status");
    request
}

fn ask<S>(service: S, request: Request<Body>) -> (StatusCode, String, String)
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
{
    let response = now(service.oneshot(request)).unwrap();
    let header = |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    (response.status(), header("x-handler"), header("x-seen"))
}

/// The ways to put a gate around the routes of [`flat`], each as a function from a request to an answer.
type Way = Box<dyn Fn(Request<Body>) -> (StatusCode, String, String)>;

fn ways(auth: &ApiKeyLayer) -> Vec<(&'static str, Way)> {
    macro_rules! way {
        ($name:literal, $service:expr) => {{
            let service = $service;
            let way: Way = Box::new(move |request| ask(service.clone(), request));
            ($name, way)
        }};
    }
    vec![
        way!("protect", auth.protect(flat())),
        way!("Router::layer", flat().layer(auth.clone())),
        way!("protect a nest", auth.protect(Router::new().nest("/api", below()))),
        way!("layer a nest", Router::new().nest("/api", below()).layer(auth.clone())),
        way!("nest a layer", Router::new().nest("/api", below().layer(auth.clone()))),
        way!("nest_service a layer", Router::new().nest_service("/api", below().layer(auth.clone()))),
        way!("nest_service protected", Router::new().nest_service("/api", auth.protect(below()))),
        way!("protect a nest_service", auth.protect(Router::new().nest_service("/api", below()))),
        way!("fallback_service", Router::new().fallback_service(auth.protect(flat()))),
        way!("rewriting inside protect", auth.protect(MapRequestLayer::new(normalise).layer(flat()))),
        way!(
            "rewriting inside a nest",
            Router::new().nest_service("/api", auth.protect(MapRequestLayer::new(normalise).layer(below())))
        ),
        way!(
            "rewriting between",
            Router::new().fallback_service(
                Router::new().fallback_service(flat()).layer(auth.clone()).layer(MapRequestLayer::new(normalise))
            )
        ),
        way!("twice", auth.protect(flat().layer(auth.clone().layer_clone()))),
    ]
}

trait LayerClone {
    fn layer_clone(self) -> Self;
}

impl LayerClone for ApiKeyLayer {
    fn layer_clone(self) -> Self {
        self
    }
}

const PATHS: [&str; 44] = [
    "/api/status",
    "/api/status/",
    "/api//status",
    "//api/status",
    "/api/./status",
    "/api/../api/status",
    "/api/%73tatus",
    "/api%2fstatus",
    "/API/status",
    "/api/STATUS",
    "/api/status;a=b",
    "/api;a=b/status",
    "/api/status%00",
    "/api/status%20",
    "/api/status/x/..",
    "/api/status/%2e",
    "/api/files/..",
    "/api/files/%2e%2e",
    "/api/files/..%2fsecret",
    "/api/files/..%2Fkeys",
    "/api/files/..;/secret",
    "/api/files/..%5csecret",
    "/api/files/../secret",
    "/api/files/%2e%2e/secret",
    "/api/files/..%3b%2fsecret",
    "/api/files/../keys/1",
    "/api/secret",
    "/api/Secret",
    "/api//secret",
    "/status",
    "/secret",
    "/api/keys",
    "/api/keys/",
    "/api//keys",
    "/api/Keys",
    "/api/%6beys",
    "/api/keys;a=b",
    "/api/keys/1",
    "/api/keys/1/",
    "/api/x/../keys",
    "/api/keys%2f1",
    "/",
    "/api",
    "/api/",
];

/// CVE-2021-43557, CVE-2026-48746: routers that take prefixes off, and layers that rewrite.
#[test]
fn no_nesting_and_no_rewriting_opens_another_route() {
    let key = key_of("live");
    let auth = auth(&key);
    let methods = ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "get"];
    let mut count = 0;
    for (way, ask) in ways(&auth) {
        for path in PATHS {
            for uri in [path.to_owned(), format!("http://localhost{path}"), format!("{path}?x=/api/status")] {
                let Ok(uri) = uri.parse::<Uri>() else { continue };
                for method in methods {
                    let request = || Request::builder().method(method).uri(uri.clone());
                    let what = format!("{way}: {method} {uri}");
                    let (status, handler, _) = ask(request().body(Body::empty()).unwrap());
                    let read = method == "GET" || method == "HEAD";
                    let is_status = path == "/api/status" && read;
                    // Nothing is behind the gate of a nested router but what is nested.
                    let outside = handler.is_empty() && status == StatusCode::NOT_FOUND;
                    assert_eq!(handler == "status", is_status, "{what}: {status} {handler}");
                    assert!(handler == "status" || outside || status == 401, "{what}: {status} {handler}");
                    let (_, handler, _) = ask(request().header("x-api-key", &key).body(Body::empty()).unwrap());
                    assert_ne!(handler, "admin", "{what}");
                    count += 1;
                }
            }
        }
    }
    assert!(count > 5_000, "{count}");
}

#[test]
fn a_request_that_was_rewritten_on_its_way_to_a_public_path_is_not_public() {
    let key = key_of("live");
    let auth = auth(&key);
    let inner = Router::new().fallback_service(flat()).layer(auth.clone()).layer(MapRequestLayer::new(to_status));
    for path in ["/api/secret", "/api/keys", "/", "/status", "/x/api/status/", "/api/status2"] {
        let (status, handler, _) = ask(inner.clone(), Request::get(path).body(Body::empty()).unwrap());
        assert_eq!((status, handler.as_str()), (StatusCode::UNAUTHORIZED, ""), "{path}");
    }
    // One that names a restricted path keeps its restriction, whatever it is rewritten to.
    let request = Request::get("/api/keys").header("x-api-key", &key).body(Body::empty()).unwrap();
    assert_eq!(ask(inner.clone(), request).0, StatusCode::FORBIDDEN);
    // Rewriting before any router is what a proxy would have done: the gate judges what it gets.
    let outer = MapRequestLayer::new(to_status).layer(auth.protect(flat()));
    assert_eq!(ask(outer, Request::get("/api/secret").body(Body::empty()).unwrap()).1, "status");
}

#[test]
fn a_key_in_the_query_is_in_no_uri_that_the_handler_can_see() {
    let key = key_of("live");
    let auth = auth(&key);
    for (way, ask) in ways(&auth) {
        if way.contains("rewriting") || way == "twice" {
            continue;
        }
        let uri = format!("/api/secret?a=1&key={key}&b=2");
        let (_, handler, seen) = ask(Request::get(uri).body(Body::empty()).unwrap());
        assert_eq!(handler, "secret", "{way}");
        assert!(!seen.contains(&key[8..]) && seen.contains("a=1&b=2"), "{way}: {seen}");
    }
}
