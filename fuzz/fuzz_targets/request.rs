//! A request out of any bytes: lines of method, target and headers.

#![no_main]

use std::convert::Infallible;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::Empty;
use libfuzzer_sys::fuzz_target;
use tower::{Layer, Service};
use tower_api_key::ApiKeyLayer;
use tower_api_key::credential::CredentialLocation;
use tower_api_key::key::{KeyFormat, KeyHasher, KeyId, KeyRecord, Scope};
use tower_api_key::route::{Methods, Route};
use tower_api_key::source::MemoryKeys;

const KEY: &str = "a-key-that-only-its-holder-knows-0000";

static AUTH: LazyLock<ApiKeyLayer> = LazyLock::new(|| {
    let keys = MemoryKeys::builder().format(KeyFormat::text()).add_format(KeyFormat::default()).build();
    keys.insert(KeyRecord::new(KeyId::from_static("key_1"), KeyHasher::sha256().digest(KEY))).unwrap();
    ApiKeyLayer::builder(keys)
        .credentials([
            CredentialLocation::header("X-API-Key"),
            CredentialLocation::bearer(),
            CredentialLocation::cookie("key"),
            CredentialLocation::websocket_subprotocol(),
            CredentialLocation::insecure_query_parameter("key"),
        ])
        .public(Method::GET, "/public")
        .route(Methods::ANY, "/v1/admin/{*rest}", Route::new().scopes(Scope::from_static("admin")))
        .allow_preflights_from(["https://app.example.com"])
        .build()
        .unwrap()
});

fn request(data: &[u8]) -> Option<Request<()>> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(lines.next()?).ok()?;
    *request.uri_mut() = Uri::try_from(lines.next()?).ok()?;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        request.headers_mut().try_append(name, value).ok()?;
    }
    Some(request)
}

fuzz_target!(|data: &[u8]| {
    let Some(request) = request(data) else { return };
    let decoded: Vec<u8> = percent_encoding::percent_decode(data).collect();
    let has_key = [data, &decoded].iter().any(|text| text.windows(KEY.len()).any(|part| part == KEY.as_bytes()));
    let read = request.method() == Method::GET || request.method() == Method::HEAD;
    let public = read && request.uri().path() == "/public";
    let preflight = request.method() == Method::OPTIONS
        && request.headers().get("origin").is_some_and(|origin| origin == "https://app.example.com")
        && request.headers().contains_key("access-control-request-method");
    let admin = request.uri().path().to_ascii_lowercase().starts_with("/v1/admin/a");
    let mut service = AUTH.layer(tower::service_fn(async |request: Request<()>| {
        let seen = if request.headers().contains_key("x-api-key") { "the credential" } else { "none" };
        let mut response = Response::new(Empty::<Bytes>::new());
        response.headers_mut().insert("x-reached", HeaderValue::from_static(seen));
        Ok::<_, Infallible>(response)
    }));
    let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the source is in memory");
    };
    assert!(!response.status().is_server_error(), "{response:?}");
    let seen = response.headers().get("x-reached");
    assert!(seen.is_none() || has_key || public || preflight, "somebody got in");
    assert!(seen.is_none() || !admin || preflight, "somebody got in without the scope");
    assert!(seen.is_none_or(|seen| seen == "none") || public || preflight, "the credential got in");
});
