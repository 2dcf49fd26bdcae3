//! A real Better Auth server, on SQLite and on Postgres: whoever it signs in is let in here, until it signs them out. Runs
//! when `TEST_SERVICES` is 1, and then needs Node with npm, its registry, and a Postgres on 127.0.0.1:5432 that trusts the
//! user `postgres`.

#[path = "support/packages.rs"]
mod packages;
mod support;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use support::Program;
use tower::{Layer, ServiceExt};
use tower_api_key::session::{BetterAuthCookieCache, BetterAuthSessions, Session, SessionResolver};
use tower_api_key::source::MemoryKeys;
use tower_api_key::{ApiKeyLayer, AuthContext};

const SECRET: &str = "a-secret-that-protects-nothing-but-this-test";
fn wanted() -> bool {
    std::env::var_os("TEST_SERVICES").is_some_and(|value| value == "1")
}

#[tokio::test]
async fn whoever_better_auth_signs_in_on_sqlite_is_let_in_until_they_sign_out() {
    if !wanted() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("auth.db").display());
    scenario(&url, "compact", BetterAuthCookieCache::compact()).await;
}

#[tokio::test]
async fn whoever_better_auth_signs_in_on_postgres_is_let_in_until_they_sign_out() {
    if !wanted() {
        return;
    }
    let server = "postgres://postgres@127.0.0.1:5432";
    let name = format!("tower_api_key_better_auth_{}", std::process::id());
    let pool = sqlx::PgPool::connect(&format!("{server}/postgres")).await.unwrap();
    let create = format!("CREATE DATABASE {name}");
    sqlx::query(sqlx::AssertSqlSafe(create)).execute(&pool).await.unwrap();
    let url = format!("{server}/{name}");
    let outcome = tokio::spawn(async move { scenario(&url, "jwe", BetterAuthCookieCache::jwe()).await }).await;
    let drop = format!("DROP DATABASE {name} WITH (FORCE)");
    sqlx::query(sqlx::AssertSqlSafe(drop)).execute(&pool).await.unwrap();
    outcome.unwrap();
}

async fn scenario(url: &str, strategy: &str, cache: BetterAuthCookieCache) {
    let server = Server::start(url, strategy);
    let auth = layer(BetterAuthSessions::connect(SECRET, url).await.unwrap());
    let cached = layer(BetterAuthSessions::builder(SECRET).cookie_cache(cache).build().unwrap());

    let mut ada = Browser::default();
    let signed_up = ada.post(&server, "/api/auth/sign-up/email", sign_up("Ada Lovelace", "ada@example.test")).await;
    let session = signed_in(&auth, &ada).await.expect("she is signed in");
    assert_eq!(session.user.id.as_str(), signed_up["user"]["id"]);
    assert_eq!(session.user.name.as_deref(), Some("Ada Lovelace"));
    assert_eq!(session.user.email.as_deref(), Some("ada@example.test"));
    assert_eq!(session.claims["user"]["emailVerified"], false);
    assert_eq!((session.roles.as_slice(), session.memberships.len()), (&["user".to_owned()][..], 0));
    let left = session.expires_at.unwrap().since(std::time::SystemTime::now().into()).as_secs();
    assert!((6 * 86_400..=7 * 86_400).contains(&left), "{left} seconds are left of a week");
    let copy = signed_in(&cached, &ada).await.expect("the cookie cache says so, too");
    assert_eq!((&copy.user, copy.expires_at), (&session.user, session.expires_at));

    let acme = ada.post(&server, "/api/auth/organization/create", json!({"name": "Acme", "slug": "acme"})).await;
    let session = signed_in(&auth, &ada).await.unwrap();
    assert_eq!(session.organization.as_ref().map(tower_api_key::key::OrganizationId::as_str), acme["id"].as_str());
    assert!(session.memberships[0].has_role("owner"), "{:?}", session.memberships);
    assert_eq!(session.memberships[0].name.as_deref(), Some("Acme"));

    let mut bob = Browser::default();
    let signed_up = bob.post(&server, "/api/auth/sign-up/email", sign_up("Bob", "bob@example.test")).await;
    let member = json!({"userId": signed_up["user"]["id"], "organizationId": acme["id"], "role": ["admin", "member"]});
    Browser::default().post(&server, "/member", member).await;
    let session = signed_in(&auth, &bob).await.unwrap();
    assert_eq!(session.memberships.len(), 1);
    assert_eq!(session.memberships[0].organization.as_str(), acme["id"]);
    assert_eq!(session.memberships[0].roles, ["admin", "member"]);
    assert_eq!(session.organization, None, "he has no organisation open");

    let folder = tempfile::tempdir().unwrap();
    let program = platform(url, folder.path());
    let mut dan = Browser::default();
    dan.post(&server, "/api/auth/sign-up/email", sign_up("Dan", "dan@example.test")).await;
    the_platform_lets_in(&program, &acme, &ada, &bob, &dan).await;

    let kept = bob.clone();
    bob.post(&server, "/api/auth/sign-out", json!({})).await;
    let (whoami, keys) = (program.url.clone() + "/api/whoami", keys_of(&program, &acme));
    for url in [&whoami, &keys] {
        let refused = support::get(url, &[("cookie", &kept.cookies())]).await;
        let said = (refused.status(), support::json(&refused)["code"].clone());
        assert_eq!(said, (StatusCode::UNAUTHORIZED, json!("INVALID_SESSION")), "{url}");
        assert!(!support::get(url, &[("cookie", &ada.cookies())]).await.status().is_server_error());
    }
    assert_eq!(program.terminate().code(), Some(0));
    assert!(signed_in(&auth, &kept).await.is_none(), "he kept the cookies, but has signed out");
    assert!(signed_in(&auth, &bob).await.is_none());
    assert!(signed_in(&auth, &ada).await.is_some());
}

/// The example `platform` over the same database.
fn platform(database: &str, folder: &Path) -> Program {
    let settings = [
        ("UPSTREAM_URL", "http://127.0.0.1:9"),
        ("IDENTITY_SECRET", "a-secret-of-at-least-32-characters"),
        ("BETTER_AUTH_SECRET", SECRET),
        ("BETTER_AUTH_DATABASE", database),
        ("DATA_DIR", folder.to_str().unwrap()),
    ];
    Program::start("platform", &settings)
}

fn keys_of(program: &Program, organization: &Value) -> String {
    format!("{}/api/organizations/{}/api-keys", program.url, organization["id"].as_str().unwrap())
}

/// Ada owns the organisation and has it open, Bob is an admin of it, and Dan belongs to none. Of these Bob alone has one of
/// the roles that manage keys.
async fn the_platform_lets_in(program: &Program, acme: &Value, ada: &Browser, bob: &Browser, dan: &Browser) {
    let (whoami, keys) = (program.url.clone() + "/api/whoami", keys_of(program, acme));
    for (browser, name, organization) in
        [(ada, "Ada Lovelace", json!({"id": acme["id"]})), (bob, "Bob", Value::Null), (dan, "Dan", Value::Null)]
    {
        let who = support::json(&support::get(&whoami, &[("cookie", &browser.cookies())]).await);
        assert_eq!((&who["method"], &who["user"]["name"]), (&json!("session"), &json!(name)), "{who}");
        assert_eq!(who["organization"], organization, "{name}");
    }
    for (browser, status) in [(ada, StatusCode::FORBIDDEN), (dan, StatusCode::FORBIDDEN), (bob, StatusCode::CREATED)] {
        let cookies = browser.cookies();
        let made = support::send("POST", &keys, &[("cookie", &cookies)], r#"{"name":"ci","expiresInDays":7}"#).await;
        assert_eq!(made.status(), status, "{}", made.body());
        if status == StatusCode::CREATED {
            let key = support::json(&made)["key"].as_str().unwrap().to_owned();
            let who = support::json(&support::get(&whoami, &[("x-api-key", &key)]).await);
            assert_eq!((&who["method"], &who["organization"]["id"]), (&json!("api_key"), &acme["id"]));
        }
    }
}

fn sign_up(name: &str, email: &str) -> Value {
    json!({"name": name, "email": email, "password": "correct horse battery staple"})
}

fn layer(sessions: impl SessionResolver) -> ApiKeyLayer {
    ApiKeyLayer::builder(MemoryKeys::new()).sessions(sessions).build().unwrap()
}

/// Who is signed in, as a route behind the layer learns it; `None` if it is not reached.
async fn signed_in(auth: &ApiKeyLayer, browser: &Browser) -> Option<Session> {
    let request = Request::get("/").header(COOKIE, browser.cookies()).body(()).unwrap();
    let inner = tower::service_fn(async |request: Request<()>| {
        let mut response = Response::new(Full::<Bytes>::default());
        response.extensions_mut().insert(request.extensions().get::<AuthContext>().cloned().unwrap());
        Ok::<_, Infallible>(response)
    });
    let response = auth.layer(inner).oneshot(request).await.unwrap();
    let reached = response.extensions().get::<AuthContext>();
    assert!(reached.is_some() || response.status() == StatusCode::UNAUTHORIZED, "{response:?}");
    reached.and_then(AuthContext::session).cloned()
}

/// Keeps cookies, as a browser does.
#[derive(Clone, Default)]
struct Browser(BTreeMap<String, String>);

impl Browser {
    fn cookies(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    async fn post(&mut self, server: &Server, path: &str, body: Value) -> Value {
        let request = Request::post(format!("{}{path}", server.url))
            .header(CONTENT_TYPE, "application/json")
            .header(ORIGIN, &server.url)
            .header(COOKIE, self.cookies())
            .body(Full::<Bytes>::from(body.to_string()))
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let response = client.request(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&body));
        for cookie in headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
        serde_json::from_slice(&body).unwrap()
    }
}

/// The server. Ended when dropped.
struct Server {
    child: Child,
    url: String,
    /// Kept, so that what it prints later has somewhere to go.
    _output: BufReader<ChildStdout>,
}

impl Server {
    fn start(database: &str, strategy: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/better_auth.mjs");
        let mut command = Command::new("node");
        command
            .arg(script)
            .args([database, strategy])
            .env("BETTER_AUTH_SECRET", SECRET)
            .current_dir(packages::installed("better-auth.npm"));
        let mut child = command.stdout(Stdio::piped()).spawn().expect("node starts");
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut lines = output.by_ref().lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        Self { child, url: url.expect("it says where it listens"), _output: output }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
