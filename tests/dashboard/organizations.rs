//! The page of the example `platform`: members of several organisations, and people who may see nothing.

use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use super::browser::Browser;
use super::page::wanted;
use super::people::{ADA, Platform, ada, cookie};
use super::support::{get, json, send};

/// Ada is an admin of Acme, a mere member of Globex, and a developer at Initech.
async fn more_memberships(platform: &Platform) {
    let path = platform.folder().join("auth.db");
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(path)).await.unwrap();
    let at = "2025-10-09T08:53:20.000Z";
    for statement in [
        "UPDATE organization SET name = 'Acme Corporation' WHERE id = 'acme'".to_owned(),
        "UPDATE organization SET name = 'Globex' WHERE id = 'globex'".to_owned(),
        format!("INSERT INTO organization VALUES ('initech', 'Initech', 'initech', NULL, '{at}', NULL)"),
        format!("INSERT INTO member VALUES ('m1', 'globex', '{ADA}', 'member', '{at}')"),
        format!("INSERT INTO member VALUES ('m2', 'initech', '{ADA}', 'developer', '{at}')"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&pool).await.unwrap();
    }
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switching_the_organisation_shows_its_keys_and_no_trace_of_the_others() {
    if !wanted() {
        return;
    }
    let platform = Platform::before("http://127.0.0.1:9", &[("API_RATE_LIMIT", "100000")]).await;
    more_memberships(&platform).await;
    let page = platform.url("/settings/api-keys");
    let browser = Browser::start().await;
    browser.look(1440, "light").await;
    browser.open_as(&page, &ada()).await;
    browser.let_paste().await;

    assert_eq!(browser.read("#organization-id").await, "acme");
    let offered = "return [...document.querySelectorAll('#organization-choice option')].map(it => it.innerText)";
    assert_eq!(browser.run(offered, json!([])).await, json!(["Acme Corporation", "Globex", "Initech"]));
    browser.click("#organization-copy").await;
    browser.reads("#notice", "Copied").await;
    assert_eq!(browser.run("return navigator.clipboard.readText()", json!([])).await, "acme");

    browser.click("#create-open").await;
    let lives = "return [...document.querySelectorAll('#create [name=expires] option')].map(it => it.value)";
    assert_eq!(browser.run(lives, json!([])).await, json!(["7", "30", "90", "365", "date", "never"]));
    browser.enter("#create [name=name]", "of acme").await;
    browser.choose("#create [name=expires]", "date").await;
    browser.choose("#create [name=date]", "2031-05-01").await;
    browser.click("#create .primary").await;
    browser.take_key().await;
    assert_eq!(browser.read("#keys-table [data-label=Expires]").await, "May 1, 2031");
    assert_eq!(browser.read("#keys-table [data-label=Owner]").await, "Acme Corporation");
    browser.picture("organization").await;

    // With a key of Acme's open, away to where she is a member only, and on to where she is a developer.
    browser.open_key("of acme", 0).await;
    browser.choose("#organization-choice", "globex").await;
    browser.reads("#gate", "You have no access to these keys").await;
    browser.reads("#gate", "Your role there: member").await;
    browser.is_open("sheet", false).await;
    assert_eq!(browser.names().await, Vec::<String>::new());
    assert_eq!(browser.read("#organization-id").await, "globex");
    let shown = "return document.getElementById('keys').hidden && document.getElementById('activity').hidden";
    assert_eq!(browser.run(shown, json!([])).await, true);
    browser.is_accessible("no access").await;
    browser.picture("no-access").await;
    browser.choose("#organization-choice", "initech").await;
    browser.reads("#keys-blank", "No keys yet").await;
    assert!(!browser.read("body").await.contains("of acme"));
    assert!(browser.run("return location.search", json!([])).await == "?organization=initech");
    browser.run("location.reload()", json!([])).await;
    browser.reads("#keys-blank", "No keys yet").await;
    assert_eq!(browser.read("#organization-id").await, "initech");
    browser.choose("#organization-choice", "acme").await;
    browser.wait("return document.querySelectorAll('#keys-table tbody tr').length === 1").await;
    assert_eq!(browser.names().await, ["of acme"]);

    // The same for what was done.
    browser.click("#views [href='#activity']").await;
    let created = "document.querySelector('#activity-refresh').click();
        return document.querySelector('#activity-table').innerText.includes('of acme')";
    browser.wait(created).await;
    browser.choose("#organization-choice", "initech").await;
    browser.reads("#activity-blank", "Nothing here yet").await;
    browser.wait("return document.querySelector('#activity-table').hidden").await;
    assert!(!browser.read("body").await.contains("of acme"));
    browser.kept_to_its_policy().await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_belongs_to_no_organisation_is_told_so() {
    let platform = Platform::before("http://127.0.0.1:9", &[]).await;
    let organizations = platform.url("/api/organizations");
    let of = async |name: &str| json(&get(&organizations, &[("cookie", &cookie(name))]).await);
    assert_eq!(of("dan").await, json!({"items": [], "current": null}));
    let cyd = json!({"id": "acme", "name": "acme", "roles": ["member", "developer"]});
    assert_eq!(of("cyd").await["items"], json!([cyd]));
    assert_eq!(get(&organizations, &[]).await.status().as_u16(), 401);
    let (_, key) = platform.key().await;
    assert_eq!(get(&organizations, &[("x-api-key", &key)]).await.status().as_u16(), 403);
    let shell = get(&platform.url("/settings/api-keys"), &[]).await;
    assert!(shell.status().is_success() && !shell.body().contains("acme"), "a shell without data");
    if !wanted() {
        return;
    }
    let browser = Browser::start().await;
    browser.look(360, "dark").await;
    browser.open_as(&platform.url("/settings/api-keys"), &cookie("dan")).await;
    browser.reads("#gate", "You belong to no organization").await;
    browser.picture("no-organization").await;

    // Signed out elsewhere, with the page open.
    browser.cookie("better-auth.session_token", cookie("cyd").split_once('=').unwrap().1).await;
    browser.open(&platform.url("/settings/api-keys")).await;
    browser.wait("return document.getElementById('gate').hidden").await;
    let keys = platform.url("/api/organizations/acme/api-keys");
    assert_eq!(send("POST", &keys, &[("cookie", &cookie("cyd"))], r#"{"name":"x"}"#).await.status().as_u16(), 201);
    browser.cookie("better-auth.session_token", "none").await;
    browser.click("#refresh").await;
    browser.reads("#keys-problem", "You are no longer signed in").await;
    browser.kept_to_its_policy().await;
    browser.end().await;
}
