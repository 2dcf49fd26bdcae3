//! The life of a key on the page of the example `workspace`, by a person whom Auth.js has signed in.

use serde_json::json;

use super::browser::Browser;
use super::page::{Grace, grace, wanted};
use super::support::{Program, get, json, send};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_makes_uses_rotates_and_revokes_a_key() {
    if !wanted() {
        return;
    }
    let Grace { secret, cookie, .. } = grace();
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("WORKSPACES_DIR", folder.path().to_str().unwrap()),
        ("ADMIN_API_KEY", "an-admin-key-of-at-least-32-characters"),
        ("API_RATE_LIMIT", "100000"),
        ("NEXTAUTH_SECRET", &secret),
        ("SIGN_IN_URL", "/api/auth/signin"),
        ("RUST_LOG", "off"),
    ];
    let program = Program::start("workspace", &settings);
    let page = format!("{}/dashboard/security", program.url);
    let whoami = format!("{}/api/whoami", program.url);
    let status = async |key: &str| get(&whoami, &[("x-api-key", key)]).await.status().as_u16();
    let browser = Browser::start().await;
    browser.look(1440, "light").await;

    browser.open(&page).await;
    browser.reads("#gate", "Sign in to see your keys").await;
    let link = browser.run("return document.querySelector('#gate a').getAttribute('href')", json!([])).await;
    assert_eq!(link, "/api/auth/signin");
    browser.picture("signed-out").await;

    browser.open_as(&page, &cookie).await;
    browser.let_paste().await;
    browser.reads("#keys-blank", "No keys yet").await;
    browser.click("#create-open").await;
    browser.click("#create .primary").await;
    browser.reads("#create-name-error", "Enter a name").await;
    browser.enter("#create [name=name]", "  deploy  ").await;
    browser.choose("#create [name=expires]", "30").await;
    browser.click("#create .primary").await;
    let key = browser.take_key().await;
    assert!(key.starts_with("ak_live_") && key.len() == 48, "{key}");
    assert_eq!(browser.names().await, ["deploy"], "trimmed");
    assert_eq!(browser.read("#keys-table [data-label='Last used']").await, "Never");
    assert_eq!(status(&key).await, 200);

    // The use is written with the next batch, and seen when the page is asked to look again.
    let used = "document.querySelector('#refresh').click();
        return document.querySelector(\"#keys-table [data-label='Last used']\").innerText.match(/now|seconds? ago/)";
    browser.wait(used).await;

    browser.open_key("deploy", 0).await;
    browser.reads("#usage .totals", "1").await;
    browser.reads("#facts", "127.0.0.1").await;
    browser.click("#rename-open").await;
    browser.enter("#rename [name=name]", "deploy-production").await;
    browser.click("#rename .primary").await;
    browser.is_open("rename", false).await;
    browser.reads("#sheet-title", "deploy-production").await;
    assert_eq!(browser.names().await, ["deploy-production"]);

    // Disabled it is refused, and enabled it is not.
    browser.click("#disable").await;
    browser.reads("#sheet-state", "Disabled").await;
    assert_eq!(status(&key).await, 401);
    browser.click("#enable").await;
    browser.reads("#sheet-state", "Active").await;
    assert_eq!(status(&key).await, 200);

    browser.click("#rotate-open").await;
    browser.reads("#rotate-hint", "Both keys work until").await;
    browser.click("#rotate .primary").await;
    let successor = browser.take_key().await;
    assert_ne!(successor, key);
    browser.wait("return document.querySelectorAll('#keys-table tbody tr').length === 2").await;
    let left = browser.read("#keys-table .countdown").await;
    assert!(left.starts_with("Stops in 23:59:") || left.starts_with("Stops in 1 day 00:00:00"), "{left}");
    browser
        .wait(&format!("return document.querySelector('#keys-table .countdown').innerText !== {}", json!(left)))
        .await;
    assert_eq!((status(&key).await, status(&successor).await), (200, 200), "both work during the overlap");
    browser.picture("rotated").await;

    browser.open_key("deploy-production", 0).await;
    browser.click("#revoke-open").await;
    let locked = "return document.querySelector('#revoke footer .danger').disabled";
    assert_eq!(browser.run(locked, json!([])).await, true);
    browser.enter("#revoke [name=confirmation]", "deploy-productio").await;
    assert_eq!(browser.run(locked, json!([])).await, true);
    browser.enter("#revoke [name=confirmation]", "deploy-production").await;
    browser.enter("#revoke [name=reason]", "lost at the airport").await;
    browser.picture("revoke").await;
    browser.click("#revoke footer .danger").await;
    browser.is_open("revoke", false).await;
    browser.reads("#sheet-state", "Revoked").await;
    browser.reads("#facts", "lost at the airport").await;
    let refused = get(&whoami, &[("x-api-key", &successor)]).await;
    assert_eq!(json(&refused)["code"], "REVOKED_API_KEY");
    assert_eq!(status(&key).await, 200, "the other one goes on until its overlap ends");
    browser.click("#sheet [data-close]").await;

    browser.choose("#key-filters [name=state]", "revoked").await;
    browser.wait("return document.querySelectorAll('#keys-table tbody tr').length === 1").await;
    browser.enter("#key-filters [name=q]", "nothing like it").await;
    browser.reads("#keys-blank", "No key matches").await;
    browser.click("#keys-blank button").await;
    browser.wait("return document.querySelectorAll('#keys-table tbody tr').length === 2").await;
    browser.kept_to_its_policy().await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_has_changed_meanwhile_is_not_overwritten() {
    if !wanted() {
        return;
    }
    let Grace { secret, cookie, .. } = grace();
    let folder = tempfile::tempdir().unwrap();
    let settings =
        [("WORKSPACES_DIR", folder.path().to_str().unwrap()), ("NEXTAUTH_SECRET", &secret), ("RUST_LOG", "off")];
    let program = Program::start("workspace", &[&settings[..], &[("ADMIN_API_KEY", &"a".repeat(40))]].concat());
    let keys = format!("{}/account/api-keys", program.url);
    let person = [("cookie", &*cookie)];
    let made = json(&send("POST", &keys, &person, r#"{"name":"ci"}"#).await);
    let key = format!("{keys}/{}", made["id"].as_str().unwrap());

    let browser = Browser::start().await;
    browser.open_as(&format!("{}/dashboard/security", program.url), &cookie).await;
    browser.open_key("ci", 0).await;
    browser.reads("#facts", made["id"].as_str().unwrap()).await;
    browser.wait("return document.querySelector('#usage .totals') !== null").await;
    browser.click("#rename-open").await;
    let theirs = send("PATCH", &key, &person, r#"{"name":"theirs"}"#).await;
    assert_eq!(theirs.status().as_u16(), 200);
    browser.enter("#rename [name=name]", "mine").await;
    browser.click("#rename .primary").await;
    browser.reads("#rename .problem", "Somebody has changed this key").await;
    browser.reads("#sheet-title", "theirs").await;
    assert_eq!(json(&get(&key, &person).await)["name"], "theirs");
    // Whoever has seen that can do it all the same.
    browser.click("#rename .primary").await;
    browser.reads("#sheet-title", "mine").await;
    assert_eq!(json(&get(&key, &person).await)["name"], "mine");
    drop(program);
    browser.click("#disable").await;
    browser.reads("#sheet > .problem", "could not be reached").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_too_often_is_told_when_to_ask_again() {
    if !wanted() {
        return;
    }
    let Grace { secret, cookie, .. } = grace();
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("WORKSPACES_DIR", folder.path().to_str().unwrap()),
        ("ADMIN_API_KEY", "an-admin-key-of-at-least-32-characters"),
        // The list, and the audit trail, and once more.
        ("API_RATE_LIMIT", "3"),
        ("NEXTAUTH_SECRET", &secret),
        ("RUST_LOG", "off"),
    ];
    let program = Program::start("workspace", &settings);
    let browser = Browser::start().await;
    browser.open_as(&format!("{}/dashboard/security", program.url), &cookie).await;
    browser.click("#refresh").await;
    browser.reads("#notice", "Up to date").await;
    browser.click("#refresh").await;
    browser.reads("#keys-problem", "Too many requests").await;
    browser.reads("#keys-problem button", "Try again in").await;
    browser.reads("#keys-problem", "Reference: ").await;
    let waits = "return document.querySelector('#keys-problem button').disabled";
    assert_eq!(browser.run(waits, json!([])).await, true);
    assert!(browser.read("#keys-blank").await.contains("No keys yet"), "what was known stays");
    browser.kept_to_its_policy().await;
    browser.end().await;
}
