//! Sessions that other layers have read: those of tower-sessions, and axum-login's.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_api_key::session::{ExtensionSessions, Session, TowerSessions};
use tower_api_key::source::MemoryKeys;
use tower_api_key::{ApiKeyLayer, AuthContext, User};
use tower_sessions::cookie::Cookie;
use tower_sessions::session::{Id, Record};
use tower_sessions::{MemoryStore, SessionManagerLayer, SessionStore, session_store};

async fn whoami(auth: AuthContext) -> String {
    let user = auth.user().map(|user| user.id.to_string());
    format!("{} {}", auth.source().unwrap_or_default(), user.unwrap_or_default())
}

/// Signs in as whatever the query says, and shows who is signed in.
fn app<S: SessionStore + Clone>(store: S, people: TowerSessions) -> Router {
    let gate = ApiKeyLayer::builder(MemoryKeys::new()).sessions(people).build().unwrap();
    let guarded = Router::new().route("/whoami", get(whoami).post(whoami)).layer(gate);
    let sign_in = |session: tower_sessions::Session, uri: http::Uri| async move {
        let value: Value = serde_json::from_str(&uri.query().unwrap().replace("%22", "\"")).unwrap();
        session.insert("user_id", value).await.unwrap();
    };
    let layer = SessionManagerLayer::new(store).with_secure(false);
    Router::new().route("/sign-in", get(sign_in)).merge(guarded).layer(layer)
}

async fn answer(app: &Router, method: &str, path: &str, cookie: &str) -> (StatusCode, String, Option<String>) {
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    if !cookie.is_empty() {
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
    }
    if method != "GET" {
        request.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
    }
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let set = response.headers().get("set-cookie").map(|value| Cookie::parse(value.to_str().unwrap()).unwrap());
    let set = set.map(|cookie| format!("{}={}", cookie.name(), cookie.value()));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    match serde_json::from_str::<Value>(&body) {
        Ok(refusal) => (status, refusal["code"].as_str().unwrap_or_default().to_owned(), set),
        Err(_) => (status, body, set),
    }
}

async fn signed_in(app: &Router, user: &str) -> String {
    answer(app, "GET", &format!("/sign-in?{}", user.replace('"', "%22")), "").await.2.expect("a cookie")
}

#[tokio::test]
async fn who_is_signed_in_by_tower_sessions_is_let_in() {
    let app = app(MemoryStore::default(), TowerSessions::new("user_id"));
    for (stored, expected) in [("\"ada\"", "ada"), ("42", "42")] {
        let cookie = signed_in(&app, stored).await;
        let (status, body, _) = answer(&app, "GET", "/whoami", &cookie).await;
        assert_eq!((status, body), (StatusCode::OK, format!("tower-sessions {expected}")));
    }
}

#[tokio::test]
async fn a_session_of_tower_sessions_without_a_user_is_none() {
    let app = app(MemoryStore::default(), TowerSessions::new("other"));
    let cookie = signed_in(&app, "\"ada\"").await;
    for cookie in ["", &cookie, "id=AAAAAAAAAAAAAAAAAAAAAA", "id=%00", "other=1"] {
        let (status, code, _) = answer(&app, "GET", "/whoami", cookie).await;
        assert_eq!((status, code.as_str()), (StatusCode::UNAUTHORIZED, "MISSING_API_KEY"), "{cookie}");
    }
}

#[tokio::test]
async fn what_names_no_user_in_tower_sessions_is_an_invalid_session() {
    let app = app(MemoryStore::default(), TowerSessions::new("user_id"));
    for stored in ["\"\"", "1.5", "[]", "null", "true"] {
        let cookie = signed_in(&app, stored).await;
        let (status, code, _) = answer(&app, "GET", "/whoami", &cookie).await;
        assert_eq!((status, code.as_str()), (StatusCode::UNAUTHORIZED, "INVALID_SESSION"), "{stored}");
    }
}

#[tokio::test]
async fn a_session_of_tower_sessions_writes_from_its_own_site_alone() {
    let app = app(MemoryStore::default(), TowerSessions::new("user_id"));
    let cookie = signed_in(&app, "\"ada\"").await;
    let (status, code, _) = answer(&app, "POST", "/whoami", &cookie).await;
    assert_eq!((status, code.as_str()), (StatusCode::FORBIDDEN, "CROSS_SITE_REQUEST"));
}

#[tokio::test]
async fn facts_of_tower_sessions_can_be_read_by_a_closure() {
    let people = TowerSessions::with("user_id", |user| {
        let id = user["id"].as_str()?.parse().ok()?;
        Some(Session::of(User::new(id)))
    });
    let app = app(MemoryStore::default(), people);
    let cookie = signed_in(&app, &json!({"id": "ada"}).to_string()).await;
    assert_eq!(answer(&app, "GET", "/whoami", &cookie).await.1, "tower-sessions ada");
}

/// Knows every session, and loads none.
#[derive(Debug, Clone)]
struct Away;

#[async_trait::async_trait]
impl SessionStore for Away {
    async fn save(&self, _: &Record) -> session_store::Result<()> {
        Ok(())
    }

    async fn load(&self, _: &Id) -> session_store::Result<Option<Record>> {
        Err(session_store::Error::Backend("connection refused".to_owned()))
    }

    async fn delete(&self, _: &Id) -> session_store::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_store_of_tower_sessions_that_is_away_is_answered_503() {
    let app = app(Away, TowerSessions::new("user_id"));
    let cookie = format!("id={}", Id::default());
    let (status, code, _) = answer(&app, "GET", "/whoami", &cookie).await;
    assert_eq!((status, code.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "AUTH_UNAVAILABLE"));
}

#[derive(Debug, Clone)]
struct Member(i64);

impl AuthUser for Member {
    type Id = i64;

    fn id(&self) -> i64 {
        self.0
    }

    fn session_auth_hash(&self) -> &[u8] {
        b"of the password"
    }
}

#[derive(Debug, Clone)]
struct Members;

impl AuthnBackend for Members {
    type User = Member;
    type Credentials = i64;
    type Error = Infallible;

    async fn authenticate(&self, id: i64) -> Result<Option<Member>, Infallible> {
        Ok(Some(Member(id)))
    }

    async fn get_user(&self, id: &i64) -> Result<Option<Member>, Infallible> {
        Ok(Some(Member(*id)))
    }
}

#[tokio::test]
async fn who_is_signed_in_by_axum_login_is_let_in() {
    let people = ExtensionSessions::new("axum-login", |auth: &AuthSession<Members>| {
        let user = auth.user.as_ref()?;
        Some(Session::of(User::new(user.id().to_string().parse().ok()?)))
    });
    let gate = ApiKeyLayer::builder(MemoryKeys::new()).sessions(people).build().unwrap();
    let sign_in = async |mut auth: AuthSession<Members>| auth.login(&Member(7)).await.unwrap();
    let sessions = tower_sessions_0_14::SessionManagerLayer::new(tower_sessions_0_14::MemoryStore::default());
    let app = Router::new()
        .route("/whoami", get(whoami))
        .layer(gate)
        .merge(Router::new().route("/sign-in", get(sign_in)))
        .layer(AuthManagerLayerBuilder::new(Members, sessions.with_secure(false)).build());
    assert_eq!(answer(&app, "GET", "/whoami", "").await.1, "MISSING_API_KEY");
    let cookie = answer(&app, "GET", "/sign-in", "").await.2.expect("a cookie");
    assert_eq!(answer(&app, "GET", "/whoami", &cookie).await.1, "axum-login 7");
}
