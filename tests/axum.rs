//! The layer at home in axum: extractors, refusals out of handlers, `protect`, and where requests come from.
#![cfg(feature = "axum")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::connect_info::{ConnectInfo, MockConnectInfo};
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::{any, get, put};
use axum::{Extension, Json, Router};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{Service, ServiceExt};
use tower_api_key::audit::AuthEvent;
use tower_api_key::credential::CredentialLocation;
use tower_api_key::key::{Scope, ScopeHierarchy};
use tower_api_key::rejection::{Rejection, Style};
use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
use tower_api_key::{ApiKeyLayer, ApiKeyLayerBuilder, AuthContext, RequireScopes};

const READ: Scope = Scope::from_static("read");
const WRITE: Scope = Scope::from_static("write");
const ADMIN: Scope = Scope::from_static("admin");

/// A layer that notes what becomes of each attempt, and the key that opens it.
async fn layer(scope: Scope) -> (ApiKeyLayerBuilder, String, Arc<Mutex<Vec<String>>>) {
    let keys = MemoryKeys::new();
    let key = keys.issue(NewKey::named("ci").scopes([scope])).await.unwrap().secret;
    let events = Arc::new(Mutex::new(Vec::new()));
    let noted = events.clone();
    let builder = ApiKeyLayer::builder(keys).audit(move |event: AuthEvent<'_>| {
        let known = event.key_id.is_some();
        noted.lock().unwrap().push(format!("{} {} {} {known}", event.outcome(), event.reason(), event.path));
    });
    (builder, key.expose_secret().to_owned(), events)
}

async fn call<S>(service: S, method: Method, path: &str, key: &str) -> (StatusCode, String, Response<()>)
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone,
    S::Error: std::fmt::Debug,
{
    let request = Request::builder().method(method).uri(path).header("x-request-id", "r1");
    let request = if key.is_empty() { request } else { request.header("x-api-key", key) };
    let response = service.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    (parts.status, text, Response::from_parts(parts, ()))
}

fn code(text: &str) -> Value {
    serde_json::from_str::<Value>(text).unwrap()["error"]["code"].clone()
}

async fn whoami(auth: AuthContext) -> Json<AuthContext> {
    Json(auth)
}

async fn perhaps(auth: Option<AuthContext>) -> String {
    auth.map_or("none".to_owned(), |auth| auth.method().as_str().to_owned())
}

#[tokio::test]
async fn the_extractors_tell_no_layer_public_anonymous_and_a_key_apart() {
    let (builder, key, _) = layer(READ).await;
    let auth = builder.style(Style::envelope()).public(Method::GET, "/public").public(Method::GET, "/broken");
    let auth = auth.optional(Method::GET, "/optional").build().unwrap();
    let app = Router::new()
        .route("/public", get(perhaps))
        .route("/optional", get(perhaps))
        .route("/key", get(perhaps))
        .route("/broken", get(whoami));
    let guarded = auth.protect(app.clone());
    for (path, key, expected) in [
        ("/public", "", "none"),
        ("/public", &*key, "none"),
        ("/optional", "", "anonymous"),
        ("/optional", &*key, "api_key"),
        ("/key", &*key, "api_key"),
    ] {
        assert_eq!(call(guarded.clone(), Method::GET, path, key).await.1, expected, "{path}");
    }
    assert_eq!(call(guarded.clone(), Method::GET, "/optional", "wrong").await.0, StatusCode::UNAUTHORIZED);
    // A handler that needs a context is loud about having none.
    let (status, body, _) = call(guarded, Method::GET, "/broken", "").await;
    assert_eq!((status, code(&body)), (StatusCode::INTERNAL_SERVER_ERROR, json!("AUTH_NOT_CONFIGURED")));
    let (status, body, _) = call(app, Method::GET, "/broken", "").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["code"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!("AUTH_NOT_CONFIGURED")));
}

#[tokio::test]
async fn a_refusal_out_of_a_handler_gets_the_layers_face_and_an_event() {
    let (builder, key, events) = layer(READ).await;
    let auth = builder.style(Style::envelope()).build().unwrap();
    let app = Router::new()
        .route("/require", get(async |auth: AuthContext| auth.require(WRITE).map(|()| "written")))
        .route(
            "/own",
            get(async || -> Result<(), Rejection> {
                let own = Rejection::new(StatusCode::CONFLICT, "TAKEN", "Name taken", "Choose another name");
                Err(own.detail("name", "ci"))
            }),
        )
        .route("/layer", put(async || "written").route_layer(RequireScopes::new([READ, WRITE])));
    let guarded = auth.protect(Router::new().nest("/v1", app));
    for (method, path, status, expected) in [
        (Method::GET, "/v1/require", 403, "INSUFFICIENT_SCOPE"),
        (Method::PUT, "/v1/layer", 403, "INSUFFICIENT_SCOPE"),
        (Method::GET, "/v1/own", 409, "TAKEN"),
    ] {
        events.lock().unwrap().clear();
        let (found, body, response) = call(guarded.clone(), method, path, &key).await;
        assert_eq!((found.as_u16(), code(&body)), (status, json!(expected)));
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["error"]["details"]["request_id"], "r1");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.extensions().get::<Rejection>().map(Rejection::code), Some(expected));
        let refused = format!("refused {expected} {path} true");
        assert_eq!(*events.lock().unwrap(), [format!("accepted api_key {path} true"), refused]);
    }
    let (_, body, response) = call(guarded, Method::GET, "/v1/require", &key).await;
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["error"]["details"]["required"], json!(["write"]));
    assert!(response.headers()["www-authenticate"].to_str().unwrap().contains("insufficient_scope"));
}

#[tokio::test]
async fn a_hierarchy_holds_for_the_table_the_route_layer_and_the_handler() {
    let (builder, key, _) = layer(ADMIN).await;
    let hierarchy = ScopeHierarchy::new().implies(ADMIN, [READ, WRITE]);
    let auth = builder.scope_hierarchy(hierarchy).build().unwrap();
    let app = Router::new()
        .route("/handler", get(async |auth: AuthContext| auth.require([READ, WRITE]).map(|()| "ok")))
        .route("/layer", get(async || "ok").route_layer(RequireScopes::new(WRITE)));
    for path in ["/handler", "/layer"] {
        assert_eq!(call(auth.protect(app.clone()), Method::GET, path, &key).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_route_layer_without_the_gate_lets_nobody_through() {
    let app = Router::new().route("/", get(async || "ok")).route_layer(RequireScopes::new(READ));
    assert_eq!(call(app, Method::GET, "/", "any").await.0, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_layer_on_a_nested_router_reads_the_whole_path() {
    let (builder, key, events) = layer(READ).await;
    let auth = builder.public(Method::GET, "/api/status").build().unwrap();
    let inner = || Router::new().route("/status", get(async || "up")).route("/work", get(async || "done"));
    let nested = Router::new().nest("/api", inner().layer(auth.clone()));
    let service = Router::new().nest_service("/api", auth.protect(inner()));
    let whole = auth.protect(Router::new().nest("/api", inner()));
    for app in [nested, service] {
        assert_eq!(call(app.clone(), Method::GET, "/api/status", "").await.1, "up");
        assert_eq!(call(app.clone(), Method::GET, "/api/work", "").await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(call(app, Method::GET, "/api/work", &key).await.1, "done");
    }
    assert_eq!(call(whole.clone(), Method::GET, "/api/status", "").await.1, "up");
    assert_eq!(call(whole, Method::GET, "/status", "").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(events.lock().unwrap()[0], "refused MISSING_API_KEY /api/work false");
}

#[tokio::test]
async fn the_address_comes_from_the_server_or_its_mock() {
    let (builder, key, _) = layer(READ).await;
    let auth = builder.build().unwrap();
    let app = Router::new().route("/", get(whoami));
    let address = SocketAddr::from(([192, 0, 2, 7], 1));
    let with_info = app.clone().layer(auth.clone()).layer(Extension(ConnectInfo(address)));
    let with_mock = app.clone().layer(auth.clone()).layer(MockConnectInfo(address));
    for (app, expected) in
        [(with_info, json!("192.0.2.7")), (with_mock, json!("192.0.2.7")), (app.layer(auth), Value::Null)]
    {
        let body = call(app, Method::GET, "/", &key).await.1;
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["clientIp"], expected);
    }
}

/// Sends bytes over a real connection, and reads until the other side says no more.
async fn exchange(address: SocketAddr, request: String) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4_096];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

async fn serve(auth: ApiKeyLayer, app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, auth.protect(app)).await });
    address
}

#[tokio::test]
async fn protect_serves_connections_and_knows_where_they_come_from() {
    let (builder, key, _) = layer(READ).await;
    let address = serve(builder.build().unwrap(), Router::new().route("/", get(whoami))).await;
    let answer = exchange(address, format!("GET / HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"clientIp\":\"127.0.0.1\""), "{answer}");
    let unknown = exchange(address, "GET /unknown HTTP/1.1\r\nhost: a\r\n\r\n".to_owned()).await;
    assert!(unknown.starts_with("HTTP/1.1 401"), "what no route has is guarded too: {unknown}");
}

#[tokio::test]
async fn a_websocket_brings_its_key_beside_a_subprotocol_that_is_echoed() {
    let (builder, key, _) = layer(READ).await;
    let auth = builder.credentials([CredentialLocation::websocket_subprotocol()]).build().unwrap();
    let upgrade = |protocols: &'static [&'static str]| {
        any(async move |upgrade: WebSocketUpgrade| {
            upgrade.protocols(protocols.iter().copied()).on_upgrade(async |_| {})
        })
    };
    let app = Router::new().route("/chooses", upgrade(&["chat"])).route("/does-not", upgrade(&[]));
    let address = serve(auth, app).await;
    let handshake = |path: &str, protocols: String| {
        let fixed = "host: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        exchange(address, format!("GET {path} HTTP/1.1\r\n{fixed}sec-websocket-protocol: {protocols}\r\n\r\n"))
    };
    for path in ["/chooses", "/does-not"] {
        for protocols in [format!("chat, api-key.{key}"), format!("api-key.{key}, chat")] {
            let answer = handshake(path, protocols).await.to_lowercase();
            assert!(answer.starts_with("http/1.1 101"), "{answer}");
            assert!(answer.contains("sec-websocket-protocol: chat\r\n"), "{answer}");
            assert!(!answer.contains("api-key."), "{answer}");
        }
    }
    assert!(handshake("/chooses", "chat".to_owned()).await.starts_with("HTTP/1.1 401"));
}
