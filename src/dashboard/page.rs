//! The page itself: a shell without data.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use serde::Serialize;

use super::assets::{self, FOLDER};
use super::{Dashboard, Texts};
use crate::key::Scope;

/// What the page may do: run its own script, and call its own origin.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// What the page is made of.
#[derive(Debug)]
pub(super) struct Shell {
    texts: Texts,
    /// As JSON.
    settings: String,
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    texts: &'a Texts,
    direction: &'a str,
    settings: &'a str,
    assets: &'a str,
    modules: &'a [&'static str],
}

impl Shell {
    pub(super) fn new(dashboard: Dashboard) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Settings<'a> {
            keys: &'a str,
            organizations: Option<&'a str>,
            sign_in: Option<&'a str>,
            scopes: &'a [Scope],
            days: &'a [u32],
            texts: &'a Texts,
        }
        let settings = Settings {
            keys: dashboard.keys.trim_end_matches('/'),
            organizations: dashboard.organizations.as_deref(),
            sign_in: dashboard.sign_in.as_deref(),
            scopes: &dashboard.scopes,
            days: &dashboard.days,
            texts: &dashboard.texts,
        };
        // Texts and numbers always go into JSON.
        let settings = serde_json::to_string(&settings).unwrap_or_default();
        Self { texts: dashboard.texts, settings }
    }

    /// `uri`: where the page was asked for.
    pub(super) fn answer(&self, uri: &Uri) -> Response {
        let html = match self.html(uri.path()) {
            Ok(html) => html,
            Err(error) => {
                tracing::error!(target: "tower_api_key::dashboard", %error, "the page could not be written");
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
        };
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        ];
        (headers, html).into_response()
    }

    /// Its parts are named relative to the page, so that a proxy may have put the program below any path.
    fn html(&self, path: &str) -> Result<String, askama::Error> {
        let last = path.rsplit('/').next().unwrap_or_default();
        let assets = if last.is_empty() { format!("./{}/", *FOLDER) } else { format!("./{last}/{}/", *FOLDER) };
        let direction = self.texts.direction();
        let modules = assets::modules();
        Page { texts: &self.texts, direction, settings: &self.settings, assets: &assets, modules: &modules }.render()
    }
}

#[cfg(test)]
mod tests {
    use super::super::assets::ASSETS;
    use super::*;

    fn html(dashboard: Dashboard, path: &str) -> String {
        Shell::new(dashboard).html(path).unwrap()
    }

    #[test]
    fn no_setting_and_no_path_can_write_html() {
        let mut texts = Texts::english();
        texts.title = "</title><script>alert(1)</script>\"'&".into();
        let dashboard = Dashboard::new("/a'b\"<keys>").sign_in("https://x/\"><img src=x>").texts(texts);
        let html = html(dashboard, "/a/\"><script>alert(1)</script>");
        assert_eq!(html.matches("<script").count(), 1, "{html}");
        assert!(!html.contains("alert(1)</script>\"") && !html.contains("<img"), "{html}");
        assert!(html.contains("<title>&#60;/title&#62;&#60;script&#62;alert(1)"), "{html}");
    }

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        let html = html(Dashboard::new("/v1/keys"), "/dashboard");
        assert!(!html.contains("<style") && !html.contains(" style="), "no style is inline");
        let handler = |word: &str| word.starts_with("on") && word.contains('=');
        assert!(!html.split_ascii_whitespace().any(handler), "no script is inline");
        for tag in html.split("<script").skip(1) {
            assert!(tag.starts_with(" type=\"module\" src=\"./dashboard/"), "{tag}");
        }
        for (name, text) in ASSETS.iter().map(|asset| (asset.name, asset.text)).chain([("page.html", &*html)]) {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for never in [
                "http:",
                "https:",
                "@import",
                "innerHTML",
                "outerHTML",
                "insertAdjacent",
                "document.write",
                "eval(",
                "localStorage",
                "sessionStorage",
                "document.cookie",
                "setAttribute(\"style",
            ] {
                assert!(!text.contains(never), "{name} has {never}");
            }
        }
    }

    #[test]
    fn every_part_is_loaded_and_every_text_is_shown() {
        let html = html(Dashboard::new("/v1/keys"), "/dashboard");
        let folder = format!("\"./dashboard/{}/", *FOLDER);
        for asset in &ASSETS {
            assert!(html.contains(&format!("{folder}{}\"", asset.name)), "{} is not loaded", asset.name);
            for module in asset.text.split("from \"./").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(ASSETS.iter().any(|asset| asset.name == module), "{} imports {module}", asset.name);
            }
        }
        let template = include_str!("page.html");
        let script: String =
            ASSETS.iter().filter(|asset| asset.name.ends_with(".js")).map(|asset| asset.text).collect();
        let texts = serde_json::to_value(Texts::english()).unwrap();
        for name in texts.as_object().unwrap().keys() {
            // `state_active` is also made of a state's name.
            let used = template.contains(&format!("texts.{name} ")) || script.contains(&format!("\"{name}\""));
            assert!(used || script.contains(&format!("texts.{name}")), "{name} is shown nowhere");
        }
        for name in script.split("text(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(texts.get(name).is_some(), "there is no text {name}");
        }
    }
}
