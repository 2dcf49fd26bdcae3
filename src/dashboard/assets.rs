//! The parts of the page: its script, its style and its icon.

use std::sync::LazyLock;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, header};
use sha2::{Digest, Sha256};

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A part by its name.
pub(super) struct Asset {
    pub(super) name: &'static str,
    kind: &'static str,
    pub(super) text: &'static str,
}

macro_rules! assets {
    ($($name:literal: $kind:expr,)*) => {
        [$(Asset { name: $name, kind: $kind, text: include_str!(concat!("assets/", $name)) },)*]
    };
}

/// Every part that is served.
pub(super) static ASSETS: [Asset; 14] = assets![
    "page.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "page.js": SCRIPT,
    "activity.js": SCRIPT,
    "api.js": SCRIPT,
    "clipboard.js": SCRIPT,
    "create.js": SCRIPT,
    "dialog.js": SCRIPT,
    "dom.js": SCRIPT,
    "keys.js": SCRIPT,
    "secret.js": SCRIPT,
    "sheet.js": SCRIPT,
    "texts.js": SCRIPT,
    "usage.js": SCRIPT,
];

/// The folder of the parts, named by what is in them. They name each other relative to it.
pub(super) static FOLDER: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = Sha256::new();
    for asset in &ASSETS {
        hasher.update(asset.name);
        hasher.update(asset.text.len().to_be_bytes());
        hasher.update(asset.text);
    }
    hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
});

/// The modules of the script that the page begins with load.
pub(super) fn modules() -> Vec<&'static str> {
    ASSETS.iter().filter(|asset| asset.kind == SCRIPT && asset.name != "page.js").map(|asset| asset.name).collect()
}

pub(super) fn routes(router: Router) -> Router {
    ASSETS
        .iter()
        .fold(router, |router, asset| router.route(&format!("/{}/{}", *FOLDER, asset.name), get(async || serve(asset))))
}

fn serve(asset: &'static Asset) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // A picture opened by itself is a document, too.
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    ];
    (headers, asset.text).into_response()
}
