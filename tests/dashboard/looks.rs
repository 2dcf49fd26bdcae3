//! How it looks with no, few and many keys, in both colour schemes, on a phone and on a desktop; and what axe says of it.

use serde_json::json;
use tower_api_key::dashboard::Texts;

use super::browser::Browser;
use super::page::{Served, dashboard, grace, wanted};

const LOOKS: [(u32, &str); 4] = [(1440, "light"), (1440, "dark"), (360, "light"), (360, "dark")];

#[tokio::test(flavor = "multi_thread")]
async fn no_few_and_many_keys_are_listed_in_both_schemes_on_a_phone_and_on_a_desktop() {
    if !wanted() {
        return;
    }
    let cookie = grace().cookie;
    let browser = Browser::start().await;
    for count in [0, 3, 5_000] {
        let served = Served::with(count, dashboard()).await;
        browser.open_as(&served.page(), &cookie).await;
        for (width, scheme) in LOOKS {
            browser.look(width, scheme).await;
            let place = format!("{count}-keys-{width}-{scheme}");
            browser.is_accessible(&place).await;
            browser.picture(&place).await;
        }
        assert_eq!(browser.names().await.len(), count.min(50));
        if count > 50 {
            many(&browser, count).await;
        }
        browser.kept_to_its_policy().await;
    }
    browser.end().await;
}

/// Pages, searches and filters of a long list.
async fn many(browser: &Browser, count: usize) {
    let rows = "document.querySelectorAll('#keys-table tbody tr').length";
    browser.click("#keys-more").await;
    browser.wait(&format!("return {rows} === 100")).await;
    browser.reads("#keys-count", "100").await;
    // The focus goes on where the new ones begin.
    let row =
        "return [...document.querySelectorAll('#keys-table tbody tr')].indexOf(document.activeElement.closest('tr'))";
    assert_eq!(browser.run(row, json!([])).await, 50);
    browser.enter("#key-filters [name=q]", "WORKER-4321").await;
    browser.wait(&format!("return {rows} === 1")).await;
    assert_eq!(browser.names().await, ["worker-4321"]);
    browser.enter("#key-filters [name=q]", "worker-43").await;
    browser.choose("#key-filters [name=scope]", "read").await;
    browser.wait("return document.querySelector('#keys-table [data-label=Scopes]')?.innerText === 'read'").await;
    browser.choose("#key-filters [name=state]", "revoked").await;
    browser.reads("#keys-blank", "No key matches").await;
    browser.click("#keys-blank button").await;
    browser.wait(&format!("return {rows} === 50")).await;
    if std::env::var_os("TEST_LONG").is_some_and(|value| value == "1") {
        for shown in (100..=count).step_by(50) {
            browser.click("#keys-more").await;
            browser.wait(&format!("return {rows} === {shown}")).await;
        }
        browser.wait("return document.getElementById('keys-more').hidden").await;
        let names = browser.names().await;
        let all: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(all.len(), count, "each once");
        assert_eq!((&*names[0], &*names[count - 1]), (&*format!("worker-{count}"), "worker-1"));
        browser.is_accessible("all keys").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dialogue_can_be_used_by_everybody_in_either_language() {
    if !wanted() {
        return;
    }
    let cookie = grace().cookie;
    let browser = Browser::start().await;
    for (texts, (width, scheme)) in [
        (Texts::english(), LOOKS[0]),
        (Texts::english(), LOOKS[3]),
        (Texts::german(), LOOKS[1]),
        (Texts::german(), LOOKS[2]),
    ] {
        let language = texts.language.clone();
        let served = Served::with(2, dashboard().texts(texts)).await;
        browser.look(width, scheme).await;
        browser.open_as(&served.page(), &cookie).await;
        let seen = async |name: &str| {
            let place = format!("{name}-{language}-{width}-{scheme}");
            browser.is_accessible(&place).await;
            browser.picture(&place).await;
        };
        browser.click("#create-open").await;
        browser.choose("#create [name=expires]", "date").await;
        browser.click("#create .primary").await;
        browser.wait("return document.querySelectorAll('#create [aria-invalid]').length === 2").await;
        seen("create").await;
        browser.enter("#create [name=name]", "new").await;
        browser.choose("#create [name=expires]", "never").await;
        browser.click("#create .primary").await;
        browser.is_open("secret", true).await;
        seen("secret").await;
        browser.click("#secret-copy").await;
        browser.wait("return !!document.querySelector('#secret .said').innerText").await;
        browser.click("#secret-done").await;
        browser.open_key("worker-1", 0).await;
        browser.wait("return document.querySelector('#usage .totals') !== null").await;
        seen("key").await;
        browser.click("#rotate-open").await;
        seen("rotate").await;
        browser.click("#rotate [data-close]").await;
        browser.click("#revoke-open").await;
        seen("revoke").await;
        browser.click("#revoke [data-close]").await;
        browser.kept_to_its_policy().await;
    }
    browser.end().await;
}
