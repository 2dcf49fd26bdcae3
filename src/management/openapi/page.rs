//! A page to read the document and try its calls by.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::OriginalUri;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderName, HeaderValue, Uri, header};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::Config;

use super::text;

/// The page, with `{base}` where the way from it to its parts stands.
const PAGE: &str = include_str!("page/index.html");
/// What sets Swagger UI up.
const SCRIPT: &str = include_str!("page/page.js");
/// The parts of Swagger UI that the page is made of.
const BUNDLE: [(&str, &str); 2] =
    [("swagger-ui-bundle.js", "text/javascript; charset=utf-8"), ("swagger-ui.css", "text/css; charset=utf-8")];

/// An interactive page about `document`, to be nested anywhere: `Router::nest("/docs", docs_page(&document))`.
///
/// It is Swagger UI, bundled with the program: nothing is fetched from elsewhere, neither by the page nor when the program
/// is built. The document stands beside it, as `openapi.json`. To be of use to those who have no credential yet, both have
/// to be public: `.public(Method::GET, "/docs").public(Method::GET, "/docs/{*rest}")`.
///
/// What a caller enters there stays in the memory of the page, and goes with calls of this document alone: to its servers,
/// or where it names none, to the page's own, and only to its paths. The browser is told the same by a
/// `Content-Security-Policy`, under which no script but the page's own runs, no other site is called, and none may frame
/// it.
pub fn docs_page(document: &OpenApi) -> Router {
    let policy = policy(document);
    let page = get(async move |OriginalUri(uri): OriginalUri| index(&uri, policy));
    let document = text(document);
    let router = Router::new()
        .route("/", page)
        .route("/openapi.json", get(async move || document))
        .route("/page.js", get(async || part("text/javascript; charset=utf-8", SCRIPT)));
    // Nothing of its settings is in the parts that are served.
    let settings = Arc::new(Config::from("openapi.json"));
    BUNDLE.into_iter().fold(router, |router, (name, kind)| {
        let file = utoipa_swagger_ui::serve(name, Arc::clone(&settings)).ok().flatten();
        let bytes = file.map(|file| axum::body::Bytes::from(file.bytes.into_owned())).unwrap_or_default();
        router.route(&format!("/{name}"), get(async move || part(kind, bytes)))
    })
}

fn index(uri: &Uri, policy: HeaderValue) -> Response {
    // Relative to the page, so that a proxy may have put the program below any path.
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    let base = if last.is_empty() { "./".to_owned() } else { format!("./{}/", escaped(last)) };
    let html = PAGE.replace("{base}", &base).replace("{version}", env!("CARGO_PKG_VERSION"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ];
    (headers, html).into_response()
}

fn part(kind: &'static str, content: impl IntoResponse) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        // The page names them with the version of this crate.
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, content).into_response()
}

/// What the page may do: run its own script, and call the servers of the document.
fn policy(document: &OpenApi) -> HeaderValue {
    let servers = document.servers.iter().flatten().filter_map(|server| server.url.parse::<Uri>().ok());
    let origins = servers.filter_map(|uri| Some(format!(" {}://{}", uri.scheme_str()?, uri.authority()?)));
    let origins: String = origins.collect();
    let text = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'{origins}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// A segment of a path, for an attribute of HTML.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, letter| {
        if letter.is_ascii_alphanumeric() || "-._~%".contains(letter) {
            escaped.push(letter);
        } else {
            // Writing to a text cannot fail.
            let _ = write!(escaped, "&#{};", u32::from(letter));
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_write_html() {
        assert_eq!(escaped("docs-1.0_~%20"), "docs-1.0_~%20");
        assert_eq!(escaped("a\"'<>&"), "a&#34;&#39;&#60;&#62;&#38;");
    }

    #[test]
    fn the_policy_names_the_servers_of_the_document_alone() {
        let mut document = OpenApi::default();
        assert!(policy(&document).to_str().unwrap().contains("connect-src 'self';"));
        document.servers =
            Some(vec![utoipa::openapi::Server::new("/v1"), utoipa::openapi::Server::new("https://api.example.com/v1")]);
        assert!(policy(&document).to_str().unwrap().contains("connect-src 'self' https://api.example.com;"));
    }
}
