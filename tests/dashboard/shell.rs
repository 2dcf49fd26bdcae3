//! What is sent of the page, without a browser.

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::json;
use tower::ServiceExt;
use tower_api_key::dashboard::{self, Dashboard, Texts};
use tower_api_key::key::OrganizationId;
use tower_api_key::session::{Membership, Session};
use tower_api_key::source::MemoryKeys;
use tower_api_key::{ApiKeyLayer, testing};

async fn get(app: &Router, path: &str) -> (StatusCode, HeaderMap, String) {
    let answer = app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_page_and_its_parts_stand_under_any_path() {
    let page = || Dashboard::new("/account/api-keys").router().unwrap();
    let inner = Router::new().nest("/security", page());
    let apps = [
        (Router::new().nest("/settings/api-keys", page()), "/settings/api-keys"),
        (Router::new().nest("/a", Router::new().nest("/b", inner)), "/a/b/security"),
        (Router::new().nest_service("/keys", page()), "/keys/"),
        (page(), "/"),
    ];
    for (app, path) in apps {
        let (status, headers, html) = get(&app, path).await;
        assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap()));
        let folder = &path[..=path.rfind('/').unwrap()];
        let mut parts = 0;
        for link in html.split('"').filter_map(|text| text.strip_prefix("./")) {
            let (status, headers, text) = get(&app, &format!("{folder}{link}")).await;
            assert_eq!(status, StatusCode::OK, "{path}: {link}");
            assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
            assert_eq!(headers["x-content-type-options"], "nosniff");
            assert!(headers["content-type"].to_str().unwrap().starts_with(match link.rsplit('.').next() {
                Some("js") => "text/javascript",
                Some("css") => "text/css",
                _ => "image/svg+xml",
            }));
            assert!(text.len() > 50, "{link}");
            parts += 1;
        }
        assert_eq!(parts, 14, "{html}");
    }
}

#[tokio::test]
async fn the_page_tells_the_browser_to_run_nothing_else_and_to_keep_nothing() {
    let app = Dashboard::new("/account/api-keys").router().unwrap();
    let (_, headers, html) = get(&app, "/").await;
    let policy = headers["content-security-policy"].to_str().unwrap();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ] {
        assert!(policy.split("; ").any(|known| known == directive), "{directive}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["cache-control"], "no-cache");
    assert!(html.contains("<html lang=\"en\" dir=\"ltr\">") && html.contains("<title>API keys</title>"));
}

#[tokio::test]
async fn the_page_is_in_the_language_that_is_set() {
    let app = Dashboard::new("/account/api-keys").texts(Texts::german()).router().unwrap();
    let (_, _, html) = get(&app, "/").await;
    assert!(html.contains("<html lang=\"de\" dir=\"ltr\">") && html.contains("<title>API-Schlüssel</title>"));
    assert!(!html.contains(">Cancel<") && html.contains(">Abbrechen<"));
}

#[tokio::test]
async fn the_shell_needs_no_credential_and_the_organisations_need_a_person() {
    let auth = ApiKeyLayer::builder(MemoryKeys::new())
        .public(Method::GET, "/settings/api-keys")
        .public(Method::GET, "/settings/api-keys/{*rest}")
        .build()
        .unwrap();
    let page = Dashboard::new("/api/organizations/{org}/api-keys").organizations("/api/organizations");
    let app = Router::new()
        .nest("/settings/api-keys", page.router().unwrap())
        .route("/api/organizations", axum::routing::get(dashboard::organizations));
    let guarded = Router::new().fallback_service(auth.protect(app.clone()));
    let (status, _, html) = get(&guarded, "/settings/api-keys").await;
    assert_eq!(status, StatusCode::OK);
    let script = html.split('"').find(|text| text.ends_with("page.js")).unwrap().trim_start_matches("./");
    assert_eq!(get(&guarded, &format!("/settings/{script}")).await.0, StatusCode::OK);
    assert_eq!(get(&guarded, "/api/organizations").await.0, StatusCode::UNAUTHORIZED);

    let asked = |context| {
        let mut request = Request::get("/api/organizations").body(Body::empty()).unwrap();
        request.extensions_mut().insert(context);
        app.clone().oneshot(request)
    };
    let by_key = asked(testing::context().key("ci").build()).await.unwrap();
    assert_eq!(by_key.status(), StatusCode::FORBIDDEN);
    let mut session = Session::of(tower_api_key::User::new(tower_api_key::key::UserId::from_static("ada")));
    session.memberships = vec![Membership::new(OrganizationId::from_static("org_1"), ["admin"]).name("Acme")];
    let answer = asked(testing::context().session(session).build()).await.unwrap();
    assert_eq!((answer.status(), &answer.headers()["cache-control"]), (StatusCode::OK, &"no-store".parse().unwrap()));
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let acme = json!({"id": "org_1", "name": "Acme", "roles": ["admin"]});
    assert_eq!(said, json!({"items": [acme], "current": null}));
}
