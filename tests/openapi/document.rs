//! What the document says.

use std::collections::BTreeSet;
use std::convert::Infallible;

use axum::body::{Body, to_bytes};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_api_key::clock::Timestamp;
use tower_api_key::credential::CredentialLocation;
use tower_api_key::key::Scope;
use tower_api_key::management::{Management, ROUTES, openapi};
use tower_api_key::rejection::Style;
use tower_api_key::route::{Callers, Methods, Route};
use tower_api_key::session::{PresentedSession, SessionAnswer, SessionLocation, SessionResolver};
use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use utoipa::openapi::{OpenApi, PathItem};

use super::support::{document, layer};

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

fn names(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Every call of a document: method, path, operation.
fn calls(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let calls = paths.iter().flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().iter().filter(|(name, _)| METHODS.contains(&name.as_str()));
        operations.map(move |(method, operation)| (method.clone(), path.clone(), operation))
    });
    calls.collect()
}

#[test]
fn it_has_the_calls_of_the_router_and_no_other() {
    let document = document(Style::flat());
    assert_eq!(document["openapi"], "3.1.0");
    let described: BTreeSet<_> = calls(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
    let routed = ROUTES.iter().map(|endpoint| {
        let path = format!("/v1/keys{}", endpoint.path).trim_end_matches('/').to_owned();
        (endpoint.method.as_str().to_lowercase(), path)
    });
    assert_eq!(described, routed.collect());
    let ids: BTreeSet<_> = calls(&document).iter().map(|(_, _, call)| call["operationId"].to_string()).collect();
    assert_eq!(ids.len(), ROUTES.len(), "each has a name of its own");
}

#[test]
fn every_parameter_of_the_path_is_described() {
    let keys = MemoryKeys::new();
    let auth = layer(&keys, |builder| builder);
    let base = "/api/organizations/{org}/api-keys/";
    let document = serde_json::to_value(Management::new(keys).openapi(&auth, base)).unwrap();
    for (method, path, call) in calls(&document) {
        let named: BTreeSet<_> = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let described = call["parameters"].as_array().unwrap().iter().filter(|one| one["in"] == "path");
        let described: BTreeSet<_> = described.map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(described, named, "{method} {path}");
        assert!(path.starts_with("/api/organizations/{org}/api-keys") && !path.ends_with('/'), "{path}");
    }
}

#[tokio::test]
async fn its_key_object_has_the_fields_of_a_true_one() {
    let document = document(Style::flat());
    let keys = MemoryKeys::new();
    let admin = keys.issue(NewKey::named("a").scopes([Scope::from_static("admin")])).await.unwrap();
    let auth = layer(&keys, |builder| builder);
    let app = auth.protect(axum::Router::new().nest("/v1/keys", Management::new(keys).router()));
    let call = async |method: Method, path: &str, body: Value| {
        let request = Request::builder().method(method).uri(path).header("x-api-key", admin.secret.expose_secret());
        let request = request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
        let answer = app.clone().oneshot(request).await.unwrap();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let schema = &document["components"]["schemas"];
    let required = |name: &str| {
        let required = schema[name]["required"].as_array().unwrap();
        required.iter().map(|name| name.as_str().unwrap()).collect::<BTreeSet<_>>()
    };
    let listed = call(Method::GET, "/v1/keys", json!({})).await;
    let read = &listed["items"][0];
    assert_eq!((names(read), names(read)), (names(&schema["ApiKey"]["properties"]), required("ApiKey")));
    assert_eq!(names(&read["owner"]), names(&schema["ApiKey"]["properties"]["owner"]["properties"]));
    assert_eq!((names(&listed), names(&listed)), (names(&schema["ApiKeyPage"]["properties"]), required("ApiKeyPage")));
    let usage = call(Method::GET, &format!("/v1/keys/{}/usage", admin.record.id), json!({})).await;
    assert_eq!((names(&usage), names(&usage)), (names(&schema["ApiKeyUsage"]["properties"]), required("ApiKeyUsage")));
    let issued = call(Method::POST, "/v1/keys", json!({"name": "new"})).await;
    let example = |path: &str, method: &str, status: &str| {
        &document["paths"][path][method]["responses"][status]["content"]["application/json"]["examples"]["answer"]["value"]
    };
    assert_eq!(names(example("/v1/keys", "post", "201")), names(&issued));
    assert_eq!(names(example("/v1/keys", "get", "200")), names(&listed));
    assert_eq!(names(example("/v1/keys/{key_id}", "get", "200")), names(read));
    assert_eq!(names(example("/v1/keys/{key_id}/usage", "get", "200")), names(&usage));
    let own = names(&schema["IssuedApiKey"]["allOf"][1]["properties"]);
    assert_eq!(names(&issued).difference(&names(read)).copied().collect::<Vec<_>>(), ["key"]);
    assert_eq!(own, ["key", "keyNote"].into());

    // Whatever a body may have by the schema is known to the call: what is wrong is the value, and not that it is there.
    let id = admin.record.id.as_str();
    for (name, method, path) in [
        ("NewApiKey", Method::POST, "/v1/keys".to_owned()),
        ("ApiKeyChange", Method::PATCH, format!("/v1/keys/{id}")),
        ("ApiKeyRevocation", Method::DELETE, format!("/v1/keys/{id}")),
        ("ApiKeyRotation", Method::POST, format!("/v1/keys/{id}/rotate")),
    ] {
        let known = names(&schema[name]["properties"]);
        let body: Value =
            known.iter().map(|field| (*field, json!({"wrong": [true]}))).chain([("other", json!(1))]).collect();
        let answer = call(method, &path, body).await;
        let problems = answer["details"]["fields"].as_object().unwrap();
        for (field, problem) in problems {
            let unknown = problem.as_str().unwrap().contains("unknown");
            assert_eq!(unknown, field == "other", "{name} {field}: {problem}");
        }
    }
}

#[tokio::test]
async fn its_examples_are_what_the_layer_answers() {
    let custom = Style::custom(|rejection, _| {
        let mut response = http::Response::new(bytes::Bytes::from(format!("no: {}", rejection.code())));
        *response.status_mut() = rejection.status();
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/plain; charset=utf-8"));
        response
    });
    for style in [Style::flat(), Style::flat_without_code(), Style::envelope(), Style::problem(), Style::lean(), custom]
    {
        let described = document(style.clone());
        let keys = MemoryKeys::new();
        let auth = layer(&keys, |builder| builder.style(style.clone()));
        let app = auth.protect(axum::Router::new().nest("/v1/keys", Management::new(keys).router()));
        let request = Request::get("/v1/keys").header("x-request-id", "5f2b8c0e9d3a4671b8e2c4d6f0a1937b");
        let answer = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let kind = answer.headers()["content-type"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let text = || json!(String::from_utf8_lossy(&body));
        let told = serde_json::from_slice::<Value>(&body).unwrap_or_else(|_| text());
        let response = &described["paths"]["/v1/keys"]["get"]["responses"]["401"];
        assert_eq!(response["content"][&kind]["examples"]["MISSING_API_KEY"]["value"], told, "{style:?}");
        assert!(response["headers"]["www-authenticate"].is_object());
        for (method, path, call) in calls(&described) {
            for (status, response) in call["responses"].as_object().unwrap() {
                for (kind, content) in response["content"].as_object().unwrap() {
                    let examples = content["examples"].as_object().map_or(0, serde_json::Map::len);
                    assert!(examples > 0, "{method} {path} {status} {kind}");
                }
            }
        }
    }
}

struct People;

impl SessionResolver for People {
    type Error = Infallible;

    fn name(&self) -> &'static str {
        "people"
    }

    fn locations(&self) -> Vec<SessionLocation> {
        vec![SessionLocation::cookie("better-auth.session_token"), SessionLocation::bearer()]
    }

    async fn resolve(&self, _: &PresentedSession, _: Timestamp) -> Result<SessionAnswer, Infallible> {
        Ok(SessionAnswer::Absent)
    }
}

#[test]
fn its_security_is_that_of_the_layer() {
    let keys = MemoryKeys::new();
    let admin = Scope::from_static("admin");
    let auth = layer(&keys, |builder| {
        let builder = builder.credentials([
            CredentialLocation::header("X-Service-Key"),
            CredentialLocation::authorization("Api-Key"),
            CredentialLocation::cookie("key"),
        ]);
        let builder = builder.sessions(People).public(Method::GET, "/health").optional(Method::GET, "/open");
        let builder = builder.public(Method::GET, "/files/{name}");
        let builder = builder.route(Methods::ANY, "/v1/keys", Route::new().scopes(admin).callers(Callers::Key));
        let both = Route::new().callers(Callers::KeyAndUser);
        builder.route(Method::GET, "/both", both).route(Method::GET, "/people", Route::new().callers(Callers::User))
    });
    let mut document = OpenApi::default();
    for path in ["/health", "/files/{file}", "/open", "/both", "/people", "/other"] {
        let item = PathItem::new(HttpMethod::Get, OperationBuilder::new().build());
        document.paths.paths.insert(path.to_owned(), item);
    }
    openapi::guard(&mut document, &auth);
    document.merge(Management::new(keys).openapi(&auth, "/v1/keys"));
    let document = serde_json::to_value(document).unwrap();
    let schemes = &document["components"]["securitySchemes"];
    let header = |name: &str| json!({"type": "apiKey", "in": "header", "name": name});
    assert_eq!(schemes["key-x-service-key"], header("x-service-key"));
    assert_eq!(
        (&schemes["key-api-key"]["in"], &schemes["key-api-key"]["name"]),
        (&json!("header"), &json!("Authorization"))
    );
    assert_eq!(
        (&schemes["key-cookie-key"]["in"], &schemes["key-cookie-key"]["name"]),
        (&json!("cookie"), &json!("key"))
    );
    let session = &schemes["session-better-auth.session_token"];
    assert_eq!((&session["in"], &session["name"]), (&json!("cookie"), &json!("better-auth.session_token")));
    assert_eq!((&schemes["token"]["type"], &schemes["token"]["scheme"]), (&json!("http"), &json!("bearer")));
    assert_eq!(names(schemes).len(), 5);

    let needed = |path: &str, method: &str| {
        let needed = document["paths"][path][method]["security"].as_array().cloned().unwrap_or_default();
        needed.iter().map(|one| names(one).into_iter().collect::<Vec<_>>().join("+")).collect::<BTreeSet<_>>()
    };
    let keys = ["key-api-key", "key-cookie-key", "key-x-service-key"].map(str::to_owned);
    let people = ["session-better-auth.session_token", "token"].map(str::to_owned);
    assert!(needed("/health", "get").is_empty() && needed("/files/{file}", "get").is_empty());
    assert!(document["paths"]["/health"]["get"]["responses"].get("401").is_none(), "a public route refuses nobody");
    assert_eq!(needed("/people", "get"), people.clone().into());
    assert_eq!(needed("/other", "get"), keys.iter().chain(&people).cloned().collect());
    assert_eq!(needed("/open", "get"), keys.iter().chain(&people).cloned().chain([String::new()]).collect());
    let pairs = keys.iter().flat_map(|key| people.iter().map(move |person| format!("{key}+{person}")));
    assert_eq!(needed("/both", "get"), pairs.collect());
    assert_eq!(needed("/v1/keys", "post"), keys.into());
    assert_eq!(document["paths"]["/v1/keys"]["post"]["security"][0]["key-api-key"], json!(["admin"]));
    for status in ["401", "403", "429", "503"] {
        assert!(document["paths"]["/other"]["get"]["responses"][status].is_object());
    }
}

#[test]
fn the_choice_of_days_stands_in_it() {
    let keys = MemoryKeys::new();
    let auth = layer(&keys, |builder| builder);
    let management = Management::new(keys).choice_of_days([7, 30]);
    let document = serde_json::to_value(management.openapi(&auth, "/v1/keys")).unwrap();
    let days = &document["components"]["schemas"]["NewApiKey"]["properties"]["expiresInDays"];
    assert_eq!(days["enum"], json!([7, 30, null]));
}
