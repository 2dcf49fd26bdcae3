//! The page as the tests see it: who is signed in, what can be read on it, and what must never be.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use http::Method;
use serde_json::{Value, json};
use tower_api_key::audit::{AuditTrail, MemoryAudit};
use tower_api_key::dashboard::Dashboard;
use tower_api_key::key::{KeyOwner, Scope, UserId};
use tower_api_key::management::{Management, StandardAuthority};
use tower_api_key::session::AuthJsSessions;
use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
use tower_api_key::{ApiKeyLayer, ApiKeyLayerBuilder};

use super::browser::Browser;
use super::packages;

pub(crate) const SCOPES: [Scope; 2] = [Scope::from_static("read"), Scope::from_static("write")];

/// A session of Auth.js that its own code made, and that is good until 2100.
pub(crate) struct Grace {
    pub(crate) secret: String,
    pub(crate) cookie: String,
    pub(crate) id: UserId,
}

pub(crate) fn grace() -> Grace {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/authjs_v5.json");
    let cases: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut cases = cases["cases"].as_array().unwrap().iter();
    let case = cases.find(|case| case["id"] == "plain/valid").unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let id = UserId::new(text(&case["expect"]["claims"]["sub"])).unwrap();
    Grace { secret: text(&case["secret"]), cookie: text(&case["cookie_header"]), id }
}

/// A server with the page at `/keys`, and keys of Grace's.
pub(crate) struct Served {
    pub(crate) url: String,
    pub(crate) keys: MemoryKeys,
}

impl Served {
    /// `count` keys, the newest of the highest number, and an audit trail.
    pub(crate) async fn with(count: usize, dashboard: Dashboard) -> Self {
        let trail = AuditTrail::builder(MemoryAudit::new()).flush_every(Duration::from_millis(20)).build().unwrap();
        Self::serve(count, dashboard, Some(trail)).await
    }

    /// The same with this audit trail, or with none.
    pub(crate) async fn serve(count: usize, dashboard: Dashboard, trail: Option<AuditTrail>) -> Self {
        let Grace { secret, id, .. } = grace();
        let keys = MemoryKeys::new();
        for number in 1..=count {
            let key = NewKey::named(format!("worker-{number}")).owner(KeyOwner::user(id.clone()));
            drop(keys.issue(key.scopes([SCOPES[number % 2].clone()])).await.unwrap());
        }
        let auth = ApiKeyLayer::builder(keys.clone())
            .sessions(AuthJsSessions::new(secret).unwrap())
            .public(Method::GET, "/keys")
            .public(Method::GET, "/keys/{*rest}");
        let auth = trail.iter().cloned().fold(auth, ApiKeyLayerBuilder::audit_trail).build().unwrap();
        tokio::spawn(auth.background());
        let management = Management::new(keys.clone()).authority(StandardAuthority::new().grantable(SCOPES));
        let management = trail.into_iter().fold(management, Management::audit);
        let app =
            Router::new().nest("/keys", dashboard.router().unwrap()).nest("/account/api-keys", management.router());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, auth.protect(app)).await });
        Self { url, keys }
    }

    pub(crate) fn page(&self) -> String {
        format!("{}/keys", self.url)
    }
}

pub(crate) fn dashboard() -> Dashboard {
    Dashboard::new("/account/api-keys").scopes(SCOPES)
}

pub(crate) fn wanted() -> bool {
    std::env::var_os("TEST_SERVICES").is_some_and(|value| value == "1")
}

impl Browser {
    /// Opens a page as somebody with this cookie.
    pub(crate) async fn open_as(&self, url: &str, cookie: &str) {
        // Cookies can only be set for a page that is open.
        self.open(url).await;
        let (name, value) = cookie.split_once('=').unwrap();
        self.cookie(name, value).await;
        // To the same address with a fragment a browser would not go.
        self.open("about:blank").await;
        self.open(url).await;
        self.wait("return document.getElementById('gate').hidden || !!document.querySelector('#gate h2')").await;
    }

    /// The text of the first element that matches, once it has one.
    pub(crate) async fn read(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({})?.innerText?.trim() || null", json!(selector));
        self.wait(&script).await.as_str().unwrap().to_owned()
    }

    /// Waits until the first element that matches has this text in it.
    pub(crate) async fn reads(&self, selector: &str, text: &str) {
        let (selector, text) = (json!(selector), json!(text));
        self.wait(&format!("return !!document.querySelector({selector})?.innerText.includes({text})")).await;
    }

    /// Waits until a dialogue is open, or is not.
    pub(crate) async fn is_open(&self, dialog: &str, open: bool) {
        self.wait(&format!("return document.getElementById({}).open === {open}", json!(dialog))).await;
    }

    /// Chooses an option as a person does, so that the page notices.
    pub(crate) async fn choose(&self, selector: &str, value: &str) {
        let script = "const [selector, value] = arguments; const field = document.querySelector(selector);
            field.value = value; field.dispatchEvent(new Event('change', { bubbles: true })); return field.value";
        assert_eq!(self.run(script, json!([selector, value])).await, value, "{selector} offers {value}");
    }

    /// Opens a key by the name that its row has.
    pub(crate) async fn open_key(&self, name: &str, row: usize) {
        let buttons = format!(
            "[...document.querySelectorAll('#keys-table .name')].filter(it => it.innerText === {})",
            json!(name)
        );
        self.wait(&format!("const it = {buttons}[{row}]; it?.click(); return !!it")).await;
        self.is_open("sheet", true).await;
    }

    /// The names of the keys that are listed.
    pub(crate) async fn names(&self) -> Vec<String> {
        let names = "return [...document.querySelectorAll('#keys-table .name')].map(it => it.innerText)";
        serde_json::from_value(self.run(names, json!([])).await).unwrap()
    }

    /// Takes the new key out of the dialogue that shows it, by its button and the clipboard, and closes it. From then on the
    /// key is nowhere on the page.
    pub(crate) async fn take_key(&self) -> String {
        self.is_open("secret", true).await;
        let shown = self.read("#secret-value").await;
        self.click("#secret-copy").await;
        self.reads("#secret .said", "Copied").await;
        let pasted = self.run("return navigator.clipboard.readText()", json!([])).await;
        assert_eq!(pasted, shown, "what was copied is the key");
        self.click("#secret-done").await;
        self.is_open("secret", false).await;
        self.knows_nothing_of(&shown).await;
        shown
    }

    /// A key is neither in the document, nor in the address, nor in anything that the browser keeps.
    pub(crate) async fn knows_nothing_of(&self, key: &str) {
        let script =
            "const [key] = arguments; const fields = [...document.querySelectorAll('input, output, textarea')];
            const places = [document.documentElement.outerHTML, location.href, JSON.stringify(history.state),
                document.title, document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage),
                ...fields.map(field => field.value), getSelection().toString()];
            return places.filter(place => place?.includes(key)).length + localStorage.length + sessionStorage.length";
        assert_eq!(self.run(script, json!([key])).await, 0, "the key is still on the page");
    }

    /// Nothing came from elsewhere, and nothing was against the policy of the page.
    pub(crate) async fn kept_to_its_policy(&self) {
        let elsewhere = "return performance.getEntriesByType('resource').map(it => it.name)
            .filter(name => !name.startsWith(location.origin + '/'))";
        assert_eq!(self.run(elsewhere, json!([])).await, json!([]));
        let log: Vec<_> = self.log().await.iter().map(|entry| entry["message"].to_string()).collect();
        // Refusals of the API are what some of the tests are about.
        let complaints: Vec<_> = log.iter().filter(|text| !text.contains("Failed to load resource")).collect();
        assert_eq!(complaints, Vec::<&String>::new());
    }

    /// What axe finds wrong that is serious, and nothing stands beside the window.
    pub(crate) async fn is_accessible(&self, place: &str) {
        static AXE: LazyLock<String> = LazyLock::new(|| {
            let folder = packages::installed("axe-core.npm");
            std::fs::read_to_string(folder.join("node_modules/axe-core/axe.min.js")).unwrap()
        });
        if self.run("return typeof axe", json!([])).await == "undefined" {
            self.run(&AXE, json!([])).await;
        }
        let script =
            "return axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(
            ({ id, impact, nodes }) => ({ id, impact, nodes: nodes.map(it => it.html + ' ' + it.failureSummary) })))";
        let found = self.run(script, json!([])).await;
        let found = found.as_array().unwrap_or_else(|| panic!("{place}: axe ran: {found}"));
        assert!(found.is_empty(), "{place}: {found:#?}");
        let over = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(self.run(over, json!([])).await, 0, "{place}: something is wider than the window");
    }

    /// A picture of the page for a person to look at.
    pub(crate) async fn picture(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("dashboard");
        self.shoot(&folder.join(format!("{name}.png"))).await;
    }
}
