//! A page on which people manage their keys, over the [`management`](crate::management) API.
//!
//! It lists keys, makes them and shows each once, renames, disables, rotates and revokes them, and shows how they are used
//! and who has done what. The page is a shell without data: all it shows comes from the API, by the session of whoever
//! looks at it, and so under the same rules as every other call.
//!
//! ```no_run
//! # #[cfg(all(feature = "dashboard", feature = "sessions-authjs"))]
//! # fn run(secret: &str) -> Result<(), tower_api_key::BoxError> {
//! use axum::Router;
//! use http::Method;
//! use tower_api_key::dashboard::Dashboard;
//! use tower_api_key::session::AuthJsSessions;
//! use tower_api_key::source::JsonFileKeys;
//! use tower_api_key::{ApiKeyLayer, management};
//!
//! let keys = JsonFileKeys::open("api-keys.json")?;
//! let auth = ApiKeyLayer::builder(keys.clone())
//!     .sessions(AuthJsSessions::new(secret)?)
//!     .public(Method::GET, "/dashboard/security")
//!     .public(Method::GET, "/dashboard/security/{*rest}")
//!     .build()?;
//! let page = Dashboard::new("/account/api-keys").sign_in("/api/auth/signin").router()?;
//! let app = Router::new()
//!     .nest("/dashboard/security", page)
//!     .nest("/account/api-keys", management::router(keys));
//! let app = auth.protect(app);
//! # let _ = app;
//! # Ok(()) }
//! ```
//!
//! # Where it stands
//!
//! Under any path, also behind a proxy that takes a part of it away: the page names its parts relative to itself. They have
//! to be public, as above, since a browser asks for them before anybody is signed in. Their names change with their
//! content, so that browsers keep them for a year, and ask for the page itself each time.
//!
//! The API is on the page's own origin, and is called with its cookies. To the layer these are requests from the same
//! site, which its rule about [other sites](crate::ApiKeyLayerBuilder::allow_cookies_from) lets through.
//!
//! # Organisations
//!
//! Where organisations have keys, the base of the API has `{org}` in it, and the page asks [`organizations`] which ones the
//! person belongs to:
//!
//! ```
//! # #[cfg(feature = "dashboard")]
//! # fn run() -> Result<(), tower_api_key::ConfigError> {
//! use axum::{Router, routing::get};
//! use tower_api_key::dashboard::{self, Dashboard};
//! use tower_api_key::management::{Management, OrganizationAuthority};
//! use tower_api_key::source::MemoryKeys;
//!
//! let members = OrganizationAuthority::named_by("org").managers(["admin", "developer"]);
//! let management = Management::new(MemoryKeys::new()).authority(members).choice_of_days([7, 30, 90, 365]);
//! let page = Dashboard::new("/api/organizations/{org}/api-keys")
//!     .organizations("/api/organizations")
//!     .choice_of_days([7, 30, 90, 365]);
//! let app: Router = Router::new()
//!     .nest("/settings/api-keys", page.router()?)
//!     .route("/api/organizations", get(dashboard::organizations))
//!     .nest("/api/organizations/{org}/api-keys", management.router());
//! # let _ = app;
//! # Ok(()) }
//! # #[cfg(feature = "dashboard")]
//! # run().unwrap();
//! ```
//!
//! # What the browser is told
//!
//! The page is sent with
//!
//! ```text
//! Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';
//!   base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'
//! Referrer-Policy: no-referrer
//! X-Content-Type-Options: nosniff
//! ```
//!
//! so that nothing runs but its own script, nothing is asked of another origin, no other site frames it, and no text
//! becomes markup. A new key is in the page while its dialogue is open, and nowhere else: neither in the address nor in
//! anything that the browser keeps.
//!
//! # Languages
//!
//! English and German are here, and [`Texts`] is the table to write another one in. Dates and numbers follow its language.

mod assets;
mod organizations;
mod page;
mod texts;

use std::sync::Arc;

use axum::Router;
use axum::extract::OriginalUri;
use axum::routing::get;

pub use self::organizations::organizations;
pub use self::texts::Texts;

use self::page::Shell;
use crate::error::ConfigError;
use crate::key::Scope;

/// Where the path of the API names an organisation.
const ORGANIZATION: &str = "{org}";

/// The settings of the page.
#[derive(Debug, Clone)]
#[must_use]
pub struct Dashboard {
    keys: String,
    organizations: Option<String>,
    sign_in: Option<String>,
    scopes: Vec<Scope>,
    days: Vec<u32>,
    texts: Texts,
}

impl Dashboard {
    /// Over the management API at `keys`, as a browser sees it: a path such as `/account/api-keys`, with `{org}` where it
    /// names an organisation.
    pub fn new(keys: impl Into<String>) -> Self {
        Self {
            keys: keys.into(),
            organizations: None,
            sign_in: None,
            scopes: Vec::new(),
            days: vec![7, 30, 90, 365],
            texts: Texts::english(),
        }
    }

    /// The path where [`organizations`] answers, or a handler of your own that answers the same. Needed if the path of the
    /// API has `{org}` in it.
    pub fn organizations(mut self, path: impl Into<String>) -> Self {
        self.organizations = Some(path.into());
        self
    }

    /// Where people sign in: a path, or an address that begins with `https://`. Whoever is not signed in is shown a link
    /// there; none, unless set.
    pub fn sign_in(mut self, address: impl Into<String>) -> Self {
        self.sign_in = Some(address.into());
        self
    }

    /// The scopes to choose from when a key is made, and to filter by; none, unless set. What may be given is decided by
    /// the API: [`StandardAuthority::grantable`](crate::management::StandardAuthority::grantable).
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.scopes = scopes.into_iter().collect();
        self
    }

    /// The lives in days to choose from when a key is made; 7, 30, 90 and 365, unless set. A date, and no end at all, can
    /// always be chosen. [`Management::choice_of_days`](crate::management::Management::choice_of_days) has to allow them.
    pub fn choice_of_days(mut self, days: impl IntoIterator<Item = u32>) -> Self {
        self.days = days.into_iter().collect();
        self
    }

    /// The texts of the page; [`Texts::english`], unless set.
    pub fn texts(mut self, texts: Texts) -> Self {
        self.texts = texts;
        self
    }

    /// The page and its parts, to be nested anywhere: `Router::nest("/dashboard/security", …)`.
    ///
    /// # Errors
    /// When a path is none, `{org}` stands in the path of the API and nobody says which organisations there are (or the
    /// other way round), a life has no days, or a text is empty or lacks what the page fills in.
    pub fn router(self) -> Result<Router, ConfigError> {
        self.check()?;
        let shell = Arc::new(Shell::new(self));
        let page = get(async move |OriginalUri(uri): OriginalUri| shell.answer(&uri));
        Ok(assets::routes(Router::new().route("/", page)))
    }

    fn check(&self) -> Result<(), ConfigError> {
        let mut errors = Vec::new();
        let mut refuse = |setting, problem: &str| errors.push(ConfigError::new(setting, problem));
        if !is_path(&self.keys) {
            refuse("keys", "expected the path of the management API, such as /account/api-keys");
        }
        if self.organizations.as_deref().is_some_and(|path| !is_path(path) || path.contains(ORGANIZATION)) {
            refuse("organizations", "expected a path such as /api/organizations");
        }
        match (self.keys.contains(ORGANIZATION), &self.organizations) {
            (true, None) => refuse("organizations", "the path of the API names {org}, and nobody says which there are"),
            (false, Some(_)) => refuse("keys", "the path of the API does not name {org}"),
            _ => {}
        }
        if self.sign_in.as_deref().is_some_and(|address| !is_path(address) && !address.starts_with("https://")) {
            refuse("sign_in", "expected a path, or an address that begins with https://");
        }
        if self.days.contains(&0) {
            refuse("choice_of_days", "0 days are no life");
        }
        errors.extend(self.texts.check().err());
        ConfigError::all(errors)
    }
}

/// A path on the page's own origin, which `//` in front would leave.
fn is_path(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"<>#?".contains(&byte));
    text.starts_with('/') && !text.starts_with("//") && plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_in_the_settings_is_named() {
        let error = Dashboard::new("//elsewhere.example/keys")
            .organizations("api/{org}")
            .sign_in("javascript:alert(1)")
            .choice_of_days([7, 0])
            .router()
            .unwrap_err();
        let settings: Vec<_> = error.problems().iter().map(|problem| &*problem.setting).collect();
        assert_eq!(settings, ["keys", "organizations", "keys", "sign_in", "choice_of_days"], "{error}");
        let nobody = Dashboard::new("/api/organizations/{org}/api-keys").router().unwrap_err();
        assert_eq!(nobody.problems()[0].setting, "organizations");
        for path in ["", "keys", "/a?b", "/a#b", "/a b", "/\\evil.example", "https://api.example.com/keys"] {
            assert!(Dashboard::new(path).router().is_err(), "{path}");
        }
        assert!(Dashboard::new("/v1/keys").sign_in("/sign-in").router().is_ok());
        assert!(Dashboard::new("/v1/keys").sign_in("https://accounts.example.com/").router().is_ok());
    }
}
