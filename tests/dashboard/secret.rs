//! A new key is on the page as long as its dialogue is open, and no longer, however it ends.

use serde_json::json;

use super::browser::Browser;
use super::page::{Served, dashboard, grace, wanted};

const ESCAPE: &str = "\u{E00C}";

async fn make(browser: &Browser, name: &str) -> String {
    browser.click("#create-open").await;
    browser.enter("#create [name=name]", name).await;
    browser.click("#create [value=read]").await;
    browser.click("#create .primary").await;
    browser.is_open("secret", true).await;
    browser.read("#secret-value").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_not_copied_is_warned_about_and_gone_when_the_dialogue_is() {
    if !wanted() {
        return;
    }
    let served = Served::with(0, dashboard()).await;
    let browser = Browser::start().await;
    browser.look(1440, "light").await;
    browser.open_as(&served.page(), &grace().cookie).await;

    let first = make(&browser, "first").await;
    for _ in 0..3 {
        browser.press(ESCAPE).await;
        browser.is_open("secret", true).await;
        browser.reads("#secret-warning", "You have not copied the key yet").await;
    }
    browser.picture("secret-warning").await;
    browser.click("#secret-back").await;
    assert_eq!(browser.read("#secret-value").await, first);
    browser.click("#secret-done").await;
    browser.reads("#secret-warning", "You have not copied the key yet").await;
    browser.click("#secret-drop").await;
    browser.is_open("secret", false).await;
    browser.knows_nothing_of(&first).await;

    // Whoever may not use the clipboard copies what the button has marked.
    let second = make(&browser, "second").await;
    let no_clipboard = "navigator.clipboard.writeText = () => Promise.reject(new Error('forbidden'))";
    browser.run(no_clipboard, json!([])).await;
    browser.click("#secret-copy").await;
    browser.wait("return !!document.querySelector('#secret .said').innerText").await;
    browser.press(ESCAPE).await;
    browser.is_open("secret", false).await;
    browser.knows_nothing_of(&second).await;

    // Leaving takes it away, and coming back does not bring it.
    let third = make(&browser, "third").await;
    browser.run("document.getElementById('secret-value').dispatchEvent(new Event('copy'))", json!([])).await;
    browser.open(&format!("{}/keys?elsewhere", served.url)).await;
    browser.run("history.back()", json!([])).await;
    browser.wait("return !location.search && document.getElementById('gate').hidden").await;
    browser.is_open("secret", false).await;
    browser.knows_nothing_of(&third).await;
    assert_eq!(browser.names().await, ["third", "second", "first"]);
    assert_eq!(browser.read("#keys-table [data-label='Scopes']").await, "read");
    browser.kept_to_its_policy().await;
    browser.end().await;
}
