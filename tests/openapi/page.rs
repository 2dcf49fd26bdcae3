//! The page: what it sends, and that it works in a browser that reaches nothing but this machine. The browser runs when
//! `TEST_SERVICES` is 1, and then needs Chromium and its driver.

use axum::body::{Body, to_bytes};
use http::Request;
use serde_json::json;
use tower::ServiceExt;
use tower_api_key::management::openapi;
use tower_api_key::rejection::Style;
use utoipa::openapi::OpenApi;

use super::browser::Browser;
use super::support::{serve, wanted};

#[tokio::test]
async fn the_page_and_its_parts_stand_under_any_path() {
    let page = || openapi::docs_page(&OpenApi::default());
    let apps = [
        (axum::Router::new().nest("/docs", page()), "/docs"),
        (axum::Router::new().nest("/a/b", page()), "/a/b"),
        (axum::Router::new().nest_service("/docs", page()), "/docs/"),
        (page(), "/"),
    ];
    for (app, path) in apps {
        let get = async |path: &str| {
            let answer = app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            assert!(answer.headers().contains_key("cache-control"), "{path}");
            let headers = answer.headers().clone();
            let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            (headers, String::from_utf8(body.to_vec()).unwrap())
        };
        let (headers, html) = get(path).await;
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe-eval"));
        let links = html.split('"').filter(|part| part.starts_with("./"));
        let folder = &path[..=path.rfind('/').unwrap()];
        let mut parts = 0;
        for link in links {
            let (_, text) = get(&format!("{folder}{}", &link[2..])).await;
            assert!(text.len() > 50, "{link}");
            parts += 1;
        }
        assert_eq!(parts, 4, "{html}");
        assert!(!html.contains("http:") && !html.contains("https:"), "nothing comes from elsewhere");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_enters_a_key_and_makes_a_call_without_the_network() {
    if !wanted() {
        return;
    }
    let (url, admin) = serve(Style::flat()).await;
    let browser = Browser::start().await;
    browser.open(&format!("{url}/docs")).await;
    let calls = tower_api_key::management::ROUTES.len();
    browser.wait(&format!("return document.querySelectorAll('.opblock').length === {calls}")).await;

    // Without a key the call is refused, in the words of the layer.
    browser.click("#operations-API_keys-listApiKeys .opblock-summary-control").await;
    browser.click("#operations-API_keys-listApiKeys .try-out__btn").await;
    browser.click("#operations-API_keys-listApiKeys .execute").await;
    let status = "return document.querySelector('#operations-API_keys-listApiKeys .live-responses-table .response .response-col_status')?.innerText";
    assert!(browser.wait(status).await.as_str().unwrap().starts_with("401"));

    // The key is entered for one of the two schemes, and the call made again.
    browser.click(".auth-wrapper .authorize").await;
    browser
        .enter("#api_key_value, .auth-container input[type=text], .auth-container input[type=password]", &admin)
        .await;
    browser.click(".auth-container .auth-btn-wrapper .authorize").await;
    browser.click(".auth-container .btn-done").await;
    browser.click("#operations-API_keys-listApiKeys .execute").await;
    browser.wait(&format!("{status}?.startsWith('200')")).await;
    let body = "return document.querySelector('#operations-API_keys-listApiKeys .live-responses-table .response .highlight-code')?.innerText";
    assert!(browser.wait(body).await.as_str().unwrap().contains("\"items\""));

    // What was entered is nowhere but in the page's memory, and goes to no other address.
    let kept = "return localStorage.length + sessionStorage.length + document.cookie.length";
    assert_eq!(browser.run(kept, json!([])).await, json!(0));
    assert!(!browser.run("return location.href", json!([])).await.as_str().unwrap().contains("ak_"));
    let fetched = "return performance.getEntriesByType('resource').map(it => it.name)
        .filter(name => !name.startsWith(location.origin + '/') && !name.startsWith('data:'))";
    assert_eq!(browser.run(fetched, json!([])).await, json!([]));
    let (other, _) = serve(Style::flat()).await;
    let elsewhere = "const call = new XMLHttpRequest(); call.open('GET', arguments[0], false);
        try { call.send(); return 'sent' } catch { return 'refused' }";
    let elsewhere = browser.run(elsewhere, json!([format!("{other}/openapi.json")])).await;
    assert_eq!(elsewhere, "refused");
    let log: Vec<_> = browser.log().await.into_iter().map(|entry| entry["message"].to_string()).collect();
    let (of_other, own): (Vec<_>, Vec<_>) = log.iter().partition(|text| text.contains(&other));
    assert!(of_other.iter().any(|text| text.contains("Content Security Policy")), "{log:?}");
    let own: Vec<_> = own.into_iter().filter(|text| !text.contains("status of 401")).collect();
    assert_eq!(own, Vec::<&String>::new(), "the page keeps to its policy");
    browser.end().await;
}
