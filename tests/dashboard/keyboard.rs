//! A key's life with nothing but a keyboard.

use serde_json::json;

use super::browser::Browser;
use super::page::{Served, dashboard, grace, wanted};

const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";
const ESCAPE: &str = "\u{E00C}";

/// Goes on to an element, and sees at each step where it is.
async fn go_to(browser: &Browser, selector: &str) {
    let there = format!("return !!document.activeElement?.matches({})", json!(selector));
    for _ in 0..40 {
        if browser.run(&there, json!([])).await == true {
            return;
        }
        browser.press(TAB).await;
        let seen = "const it = document.activeElement; if (it === document.body) return true;
            const ring = getComputedStyle(it.matches('.switch input') ? it.nextElementSibling : it);
            return ring.outlineStyle !== 'none' && ring.outlineWidth !== '0px' ? true : it.outerHTML";
        assert_eq!(browser.run(seen, json!([])).await, true, "nobody sees where the focus is");
    }
    panic!("{selector} is not reached: {}", browser.run("return document.activeElement.outerHTML", json!([])).await);
}

async fn focused(browser: &Browser, selector: &str) {
    browser.wait(&format!("return !!document.activeElement?.matches({})", json!(selector))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_reached_by_the_keyboard_and_the_focus_comes_back() {
    if !wanted() {
        return;
    }
    let served = Served::with(1, dashboard()).await;
    let browser = Browser::start().await;
    browser.look(1440, "light").await;
    browser.open_as(&served.page(), &grace().cookie).await;

    browser.press(TAB).await;
    focused(&browser, ".skip").await;
    go_to(&browser, "#create-open").await;
    browser.press(ENTER).await;
    focused(&browser, "#create [name=name]").await;
    browser.press(ESCAPE).await;
    focused(&browser, "#create-open").await;
    browser.press(ENTER).await;
    browser.press("by-keyboard").await;
    go_to(&browser, "#create [value=write]").await;
    browser.press(" ").await;
    go_to(&browser, "#create .primary").await;
    browser.press(ENTER).await;
    browser.is_open("secret", true).await;
    focused(&browser, "#secret-copy").await;
    let key = browser.read("#secret-value").await;
    browser.press(ENTER).await;
    focused(&browser, "#secret-done").await;
    browser.press(ENTER).await;
    browser.is_open("secret", false).await;
    browser.knows_nothing_of(&key).await;
    browser.wait("return document.querySelectorAll('#keys-table tbody tr').length === 2").await;

    go_to(&browser, "#keys-table .name").await;
    browser.press(ENTER).await;
    browser.is_open("sheet", true).await;
    browser.reads("#facts", "write").await;
    go_to(&browser, "#rename-open").await;
    browser.press(ENTER).await;
    focused(&browser, "#rename [name=name]").await;
    browser.press("2").await;
    browser.press(ENTER).await;
    browser.is_open("rename", false).await;
    focused(&browser, "#rename-open").await;
    go_to(&browser, "#disable").await;
    browser.press(ENTER).await;
    browser.reads("#sheet-state", "Disabled").await;
    // Its button is gone, and the focus is not lost with it.
    focused(&browser, "#sheet *").await;
    go_to(&browser, "#revoke-open").await;
    browser.press(ENTER).await;
    focused(&browser, "#revoke [name=confirmation]").await;
    let name = browser.run("return document.querySelector('#revoke-ask code').innerText", json!([])).await;
    assert!(["by-keyboard2", "2", "2by-keyboard"].contains(&name.as_str().unwrap()), "{name}");
    browser.press(name.as_str().unwrap()).await;
    browser.press(ENTER).await;
    browser.is_open("revoke", false).await;
    browser.reads("#sheet-state", "Revoked").await;
    browser.press(ESCAPE).await;
    browser.is_open("sheet", false).await;
    focused(&browser, "#keys-table .name").await;
    browser.kept_to_its_policy().await;
    browser.end().await;
}
