//! Better Auth: the signed token with its tables, and the cookie cache.

use std::time::Duration;

use serde_json::Value;
use tower_api_key::session::{
    BetterAuthCookieCache, BetterAuthError, BetterAuthSessions, BetterAuthSessionsBuilder, PresentedSession, Session,
    SessionAnswer, SessionProblem, SessionResolver,
};

use crate::vectors::{case, cases, judge, now, own, path, presented, report, text};

const SESSIONS: &str = "better_auth_session.json";
const CACHE: &str = "better_auth_cookie_cache.json";

fn url() -> String {
    format!("sqlite:{}?immutable=true", own("better_auth_session.sqlite").display())
}

#[tokio::test]
async fn better_auth_sessions_are_read_as_every_vector_expects() {
    let (cases, mut failures) = (cases(SESSIONS), Vec::new());
    let url = format!("sqlite:{}?immutable=true", path("better_auth_session.sqlite").display());
    for case in &cases {
        let builder = BetterAuthSessions::builder(text(case, "secret").unwrap());
        let builder = builder.with_cookies([text(case, "cookie_name").unwrap()]);
        let sessions = builder.connect(&url).await.unwrap();
        failures.extend(judge(case, sessions, |session| says(session, &case["expect"])).await);
    }
    report(SESSIONS, cases.len(), &failures);
}

#[tokio::test]
async fn cookie_cache_sessions_are_read_as_every_vector_expects() {
    let (cases, mut failures) = (cases(CACHE), Vec::new());
    for case in &cases {
        let cache = cache(case).with_cookies([text(case, "cookie_name").unwrap()]);
        let sessions = BetterAuthSessions::builder(text(case, "secret").unwrap()).cookie_cache(cache).build().unwrap();
        failures.extend(judge(case, sessions, |session| says(session, &case["expect"]["payload"])).await);
    }
    report(CACHE, cases.len(), &failures);
}

fn cache(case: &Value) -> BetterAuthCookieCache {
    let cache = match text(case, "strategy") {
        Some("compact") => BetterAuthCookieCache::compact(),
        Some("jwt") => BetterAuthCookieCache::jwt(),
        Some("jwe") => BetterAuthCookieCache::jwe(),
        strategy => panic!("{}: unheard-of strategy {strategy:?}", case["id"]),
    };
    match text(case, "want_version") {
        Some(version) => cache.version(version),
        None => cache,
    }
}

fn says(session: &Session, expected: &Value) -> bool {
    let (row, user) = (&expected["session"], &expected["user"]);
    let claims = &session.claims;
    Some(session.user.id.as_str()) == text(user, "id")
        && session.user.name.as_deref() == text(user, "name")
        && session.user.email.as_deref() == text(user, "email")
        && session.expires_at.map(|at| at.to_string()).as_deref() == text(row, "expiresAt")
        && claims["session"]["id"] == row["id"]
        && claims["session"]["userId"] == row["userId"]
        && claims["user"]["emailVerified"] == user["emailVerified"]
        && claims["session"].get("token").is_none()
        && session.source == "better-auth"
}

/// By the usual names, and by a prefix.
#[tokio::test]
async fn a_session_is_known_by_the_prefix_of_its_cookie() {
    for (id, prefix) in
        [("plain/valid", "better-auth"), ("secure/valid", "better-auth"), ("custom-prefix/valid", "my-app")]
    {
        let case = case(SESSIONS, id);
        let builder = BetterAuthSessions::builder(text(&case, "secret").unwrap()).cookie_prefix(prefix);
        let sessions = builder.connect(url()).await.unwrap();
        let answer = sessions.resolve(&presented(&case), now(&case)).await.unwrap();
        assert!(matches!(answer, SessionAnswer::Valid(_)), "{id}: {answer:?}");
    }
}

#[tokio::test]
async fn an_older_secret_counts_if_it_is_named() {
    let case = case(SESSIONS, "plain/valid");
    let secret = text(&case, "secret").unwrap();
    let sessions = BetterAuthSessions::builder("a-newer-secret").add_secret(secret).connect(url()).await.unwrap();
    let answer = sessions.resolve(&presented(&case), now(&case)).await.unwrap();
    assert!(matches!(answer, SessionAnswer::Valid(_)), "{answer:?}");
}

/// A database of Better Auth's that a test may change.
async fn database(statements: &[&str]) -> (tempfile::TempDir, sqlx::SqlitePool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth.db");
    std::fs::copy(path("better_auth_session.sqlite"), &file).unwrap();
    let url = format!("sqlite:{}", file.display());
    let mut permissions = std::fs::metadata(&file).unwrap().permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "a copy in a folder of its own")]
    permissions.set_readonly(false);
    std::fs::set_permissions(&file, permissions).unwrap();
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    for statement in statements {
        run(&pool, statement).await;
    }
    (folder, pool, url)
}

async fn run(pool: &sqlx::SqlitePool, statement: &str) {
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(pool).await.unwrap();
}

fn builder(case: &Value) -> BetterAuthSessionsBuilder {
    BetterAuthSessions::builder(text(case, "secret").unwrap())
}

async fn answer(sessions: &BetterAuthSessions, case: &Value, seconds: u64) -> SessionAnswer {
    let now = now(case).saturating_add(Duration::from_secs(seconds));
    match sessions.resolve_now(&presented(case), now) {
        Some(answer) => answer,
        None => sessions.resolve(&presented(case), now).await.unwrap(),
    }
}

const ORGANIZATIONS: &[&str] = &[
    r#"CREATE TABLE "organization" ("id" text, "name" text)"#,
    r#"INSERT INTO "organization" VALUES ('acme', 'Acme Corporation')"#,
    r#"CREATE TABLE "member" ("id" text, "organizationId" text, "userId" text, "role" text, "createdAt" date)"#,
    r#"ALTER TABLE "session" ADD COLUMN "activeOrganizationId" text"#,
    r#"ALTER TABLE "user" ADD COLUMN "role" text"#,
    r#"INSERT INTO "member" SELECT 'm1', 'acme', "id", 'owner, admin', '' FROM "user" WHERE "name" = 'Ada Lovelace'"#,
    r#"INSERT INTO "member" SELECT 'm2', 'globex', "id", 'member', '' FROM "user""#,
    r#"UPDATE "session" SET "activeOrganizationId" = 'acme'"#,
    r#"UPDATE "user" SET "role" = 'admin,user' WHERE "name" = 'Ada Lovelace'"#,
];

#[tokio::test]
async fn roles_and_memberships_come_out_of_the_tables_of_plugins() {
    let (_folder, pool, url) = database(ORGANIZATIONS).await;
    let case = case(SESSIONS, "plain/valid");
    let sessions = builder(&case).connect(url).await.unwrap();
    let SessionAnswer::Valid(session) = answer(&sessions, &case, 0).await else { panic!("it is good") };
    let memberships: Vec<_> =
        session.memberships.iter().map(|held| (held.organization.as_str(), &held.roles)).collect();
    let roles = |roles: &[&str]| roles.iter().map(|role| (*role).to_owned()).collect::<Vec<_>>();
    assert_eq!(memberships, [("acme", &roles(&["owner", "admin"])), ("globex", &roles(&["member"]))]);
    let names: Vec<_> = session.memberships.iter().map(|held| held.name.as_deref()).collect();
    assert_eq!(names, [Some("Acme Corporation"), None]);
    assert_eq!(session.roles, ["admin", "user"]);
    assert_eq!(session.organization.as_ref().map(tower_api_key::key::OrganizationId::as_str), Some("acme"));

    // Removed from the organisation that is still open: it is no longer theirs.
    run(&pool, r#"DELETE FROM "member" WHERE "id" = 'm1'"#).await;
    let SessionAnswer::Valid(session) = answer(&sessions, &case, 0).await else { panic!("it is good") };
    assert_eq!(session.organization, None);
    assert_eq!(session.memberships.len(), 1);
}

#[tokio::test]
async fn tables_and_columns_of_other_names_are_read() {
    let (_folder, pool, url) = database(ORGANIZATIONS).await;
    for table in ["session", "user", "member", "organization"] {
        run(&pool, &format!(r#"ALTER TABLE "{table}" RENAME TO "{table}s""#)).await;
    }
    let columns = [
        ("sessions", "userId", "user_id"),
        ("sessions", "expiresAt", "expires_at"),
        ("sessions", "activeOrganizationId", "active_organization_id"),
        ("members", "userId", "user_id"),
        ("members", "organizationId", "organization_id"),
    ];
    for (table, from, to) in columns {
        run(&pool, &format!(r#"ALTER TABLE "{table}" RENAME COLUMN "{from}" TO "{to}""#)).await;
    }
    // As an ORM has it that writes integers for points in time.
    run(&pool, r#"UPDATE "sessions" SET "expires_at" = CAST(unixepoch("expires_at") AS INTEGER) * 1000"#).await;
    let case = case(SESSIONS, "plain/valid");
    let sessions = builder(&case).plural_tables().snake_case_columns().connect(&url).await.unwrap();
    let SessionAnswer::Valid(session) = answer(&sessions, &case, 0).await else { panic!("it is good") };
    assert_eq!(session.organization.as_ref().map(tower_api_key::key::OrganizationId::as_str), Some("acme"));
    assert_eq!(session.expires_at.unwrap().to_string(), "2100-01-01T00:00:00.000Z");

    let error = builder(&case).connect(&url).await.unwrap_err();
    assert_eq!(error.to_string(), "the table session has no column token");
}

#[tokio::test]
async fn signing_out_ends_a_session_at_once_or_after_the_time_of_the_cache() {
    let (_folder, pool, url) = database(&[]).await;
    let case = case(SESSIONS, "plain/valid");
    let at_once = builder(&case).connect(&url).await.unwrap();
    let cached = builder(&case).cache_ttl(Duration::from_secs(30)).connect(&url).await.unwrap();
    for sessions in [&at_once, &cached] {
        assert!(matches!(answer(sessions, &case, 0).await, SessionAnswer::Valid(_)));
    }
    run(&pool, r#"DELETE FROM "session""#).await;
    let gone = |answer| matches!(answer, SessionAnswer::Invalid(SessionProblem::Unknown));
    assert!(gone(answer(&at_once, &case, 0).await));
    assert!(matches!(answer(&cached, &case, 29).await, SessionAnswer::Valid(_)));
    assert!(gone(answer(&cached, &case, 30).await));
}

#[tokio::test]
async fn a_cached_session_ends_in_time() {
    let (_folder, pool, url) = database(&[]).await;
    let case = case(SESSIONS, "plain/valid");
    let end = now(&case).saturating_add(Duration::from_secs(10)).to_string();
    run(&pool, &format!(r#"UPDATE "session" SET "expiresAt" = '{end}'"#)).await;
    let sessions = builder(&case).cache_ttl(Duration::from_secs(30)).connect(&url).await.unwrap();
    assert!(matches!(answer(&sessions, &case, 9).await, SessionAnswer::Valid(_)));
    assert!(matches!(answer(&sessions, &case, 10).await, SessionAnswer::Invalid(SessionProblem::Expired)));
}

#[tokio::test]
async fn a_database_that_cannot_answer_is_an_error_and_no_verdict() {
    let (_folder, pool, url) = database(&[]).await;
    let case = case(SESSIONS, "plain/valid");
    let sessions = builder(&case).connect(&url).await.unwrap();
    run(&pool, r#"UPDATE "session" SET "expiresAt" = 'soon'"#).await;
    let error = sessions.resolve(&presented(&case), now(&case)).await.unwrap_err();
    assert!(matches!(error, BetterAuthError::Unreadable { column: "expiresAt" }), "{error:?}");
    run(&pool, r#"ALTER TABLE "session" RENAME TO "elsewhere""#).await;
    let error = sessions.resolve(&presented(&case), now(&case)).await.unwrap_err();
    assert!(matches!(error, BetterAuthError::Database(_)), "{error:?}");
    // What is not signed is refused all the same.
    let forged = PresentedSession::cookie("better-auth.session_token", "a.b");
    assert!(matches!(sessions.resolve_now(&forged, now(&case)), Some(SessionAnswer::Invalid(_))));
}

/// Reading holds no lock that Better Auth would have to wait for, in either of SQLite's modes.
#[tokio::test]
async fn reading_blocks_no_writer_and_writes_nothing() {
    for mode in ["DELETE", "WAL"] {
        let (_folder, pool, url) =
            database(&[&format!("PRAGMA journal_mode = {mode}"), "PRAGMA busy_timeout = 0"]).await;
        let case = case(SESSIONS, "plain/valid");
        let sessions = builder(&case).connect(&url).await.unwrap();
        for round in 0..50 {
            assert!(matches!(answer(&sessions, &case, 0).await, SessionAnswer::Valid(_)), "{mode}");
            let mut connection = pool.acquire().await.unwrap();
            sqlx::query("PRAGMA busy_timeout = 0").execute(&mut *connection).await.unwrap();
            let written = sqlx::query(r#"UPDATE "session" SET "userAgent" = $1"#).bind(round);
            written.execute(&mut *connection).await.unwrap_or_else(|error| panic!("{mode}, {round}: {error}"));
        }
    }
}

#[tokio::test]
async fn a_stale_cookie_cache_gives_way_to_the_tables() {
    let fresh = case(CACHE, "compact/valid");
    let expired = case(CACHE, "compact/expired");
    let signed = case(SESSIONS, "plain/valid");
    assert_eq!(fresh["secret"], signed["secret"]);
    let sessions = builder(&fresh).cookie_cache(BetterAuthCookieCache::compact()).connect(url()).await.unwrap();
    let mut both = signed.clone();
    let token = text(&signed, "cookie_header").unwrap();
    let data = text(&expired, "cookie_header").unwrap().split("; ").last().unwrap();
    both["cookie_header"] = format!("{data}; {token}").into();
    assert_eq!(judge(&both, sessions.clone(), |session| says(session, &both["expect"])).await, None);
    let SessionAnswer::Valid(session) = answer(&sessions, &fresh, 0).await else { panic!("it is good") };
    assert_eq!(session.organization, None);
}

#[tokio::test]
async fn a_url_and_a_secret_are_checked_and_not_printed() {
    let url = "mysql://root:hunter2@127.0.0.1/auth";
    let error = BetterAuthSessions::connect("secret", url).await.unwrap_err();
    let shown = format!("{error:?} {error}");
    assert!(matches!(error, BetterAuthError::Config(_)) && !shown.contains("hunter2"), "{shown}");
    assert!(BetterAuthSessions::connect("", self::url()).await.is_err());
    assert!(BetterAuthSessions::builder("secret").build().is_err());
    let missing = BetterAuthSessions::connect("secret", "sqlite:/no/such/folder/auth.db").await.unwrap_err();
    assert!(matches!(missing, BetterAuthError::Database(_)), "{missing:?}");
    assert!(!format!("{:?}", BetterAuthSessions::builder("hunter2")).contains("hunter2"));
}
