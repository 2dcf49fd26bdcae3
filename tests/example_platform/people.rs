//! A database as Better Auth and its organization plugin write it, who is signed in there, and the program that reads it.

use std::path::Path;
use std::process::Stdio;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use serde_json::Value;
use sha2::Sha256;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tempfile::TempDir;

use super::support::{Program, command, json, send};
use super::upstream::Upstream;

pub(crate) const IDENTITY_SECRET: &str = "a-secret-of-at-least-32-characters";
pub(crate) const LISTED: &str = "https://app.example.com";

/// The id of Ada, whom Better Auth itself signed up.
pub(crate) const ADA: &str = "qYEx73oE0TBH3ZeW050q4aihrLTScSVB";

fn vectors() -> std::path::PathBuf {
    std::env::var_os("TEST_VECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"), Into::into)
}

fn vector() -> Value {
    serde_json::from_slice(&std::fs::read(vectors().join("better_auth_session.json")).unwrap()).unwrap()
}

fn secret() -> String {
    vector()["cases"][0]["secret"].as_str().unwrap().to_owned()
}

/// Ada is an admin of `acme`, her session made and signed by Better Auth.
pub(crate) fn ada() -> String {
    vector()["cases"][0]["cookie_header"].as_str().unwrap().to_owned()
}

/// The cookie of one of the others: `bob` is a member of `acme`, `cyd` a developer there, `dan` belongs nowhere, and `eve`
/// is an admin of `globex`.
pub(crate) fn cookie(name: &str) -> String {
    let token = format!("the-token-of-{name}-is-not-a-secret");
    let signature = Hmac::<Sha256>::new_from_slice(secret().as_bytes()).unwrap().chain_update(&token).finalize();
    let signature = BASE64_STANDARD.encode(signature.into_bytes());
    let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    format!("better-auth.session_token={token}.{signature}")
}

async fn database(path: &Path) {
    std::fs::copy(vectors().join("better_auth_session.sqlite"), path).unwrap();
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(path)).await.unwrap();
    let run = async |statement: &str| {
        sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&pool).await.unwrap();
    };
    // As the migrations of the plugin have them.
    run("CREATE TABLE organization (id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, slug TEXT NOT NULL UNIQUE, \
         logo TEXT, createdAt DATE NOT NULL, metadata TEXT)")
    .await;
    run(
        "CREATE TABLE member (id TEXT NOT NULL PRIMARY KEY, organizationId TEXT NOT NULL REFERENCES organization (id) \
         ON DELETE CASCADE, userId TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE, role TEXT NOT NULL, \
         createdAt DATE NOT NULL)",
    )
    .await;
    run("ALTER TABLE session ADD COLUMN activeOrganizationId TEXT").await;
    let at = "2025-10-09T08:53:20.000Z";
    for id in ["acme", "globex"] {
        run(&format!("INSERT INTO organization VALUES ('{id}', '{id}', '{id}', NULL, '{at}', NULL)")).await;
    }
    run(&format!("UPDATE session SET activeOrganizationId = 'acme' WHERE userId = '{ADA}'")).await;
    let member = async |organization: &str, user: &str, role: &str| {
        let id = format!("{organization}-{user}");
        run(&format!("INSERT INTO member VALUES ('{id}', '{organization}', '{user}', '{role}', '{at}')")).await;
    };
    for name in ["bob", "cyd", "dan", "eve"] {
        let id = format!("user-{name}");
        run(&format!("INSERT INTO user VALUES ('{id}', '{name}', '{name}@people.test', 0, NULL, '{at}', '{at}')"))
            .await;
        run(&format!(
            "INSERT INTO session (id, expiresAt, token, createdAt, updatedAt, userId) VALUES \
             ('{id}', '2100-01-01T00:00:00.000Z', 'the-token-of-{name}-is-not-a-secret', '{at}', '{at}', '{id}')"
        ))
        .await;
    }
    member("acme", ADA, "admin").await;
    member("acme", "user-bob", "member").await;
    member("acme", "user-cyd", "member,developer").await;
    member("globex", "user-eve", "admin").await;
    pool.close().await;
}

/// The program, with its databases in a folder of its own.
pub(crate) struct Platform {
    pub(crate) program: Program,
    pub(crate) folder: TempDir,
}

impl Platform {
    pub(crate) async fn start(upstream: &Upstream, more: &[(&str, &str)]) -> Self {
        Self::before(&upstream.url, more).await
    }

    /// In front of whatever is, or is not, at this URL.
    pub(crate) async fn before(upstream: &str, more: &[(&str, &str)]) -> Self {
        Self::logging(upstream, more, Stdio::inherit()).await
    }

    /// As [`before`](Self::before), with its log going there.
    pub(crate) async fn logging(upstream: &str, more: &[(&str, &str)], log: Stdio) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth.db");
        database(&path).await;
        let (url, secret) = (format!("sqlite:{}", path.display()), secret());
        let mut settings = vec![
            ("UPSTREAM_URL", upstream),
            ("IDENTITY_SECRET", IDENTITY_SECRET),
            ("BETTER_AUTH_SECRET", &secret),
            ("BETTER_AUTH_DATABASE", &url),
            ("ALLOWED_ORIGINS", LISTED),
            ("RUST_LOG", "off"),
            ("DATA_DIR", folder.path().to_str().unwrap()),
        ];
        settings.extend_from_slice(more);
        let mut command = command("platform", &settings);
        command.stderr(log);
        Self { program: Program::run(command), folder }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.program.url)
    }

    /// `127.0.0.1:<port>`.
    pub(crate) fn address(&self) -> &str {
        self.program.url.trim_start_matches("http://")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A new key of the organisation `acme`: its id, and itself.
    pub(crate) async fn key(&self) -> (String, String) {
        let keys = self.url("/api/organizations/acme/api-keys");
        let made = send("POST", &keys, &[("cookie", &ada())], r#"{"name":"ci"}"#).await;
        assert_eq!(made.status(), StatusCode::CREATED, "{}", made.body());
        let made = json(&made);
        (made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned())
    }
}

pub(crate) fn wanted() -> bool {
    std::env::var_os("TEST_SERVICES").is_some_and(|value| value == "1")
}
