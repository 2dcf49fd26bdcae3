//! How a key was used over time, and what was done to it.

use std::time::{Duration, SystemTime};

use serde_json::json;
use tower_api_key::clock::Timestamp;
use tower_api_key::source::{KeyFilter, KeyStore, KeyUsage};

use super::browser::Browser;
use super::page::{Served, dashboard, grace, wanted};
use super::support::{get, send};

const HOUR: Duration = Duration::from_secs(3600);

/// Uses of the newest key in the last ten days: as many in each hour as the hour has on the clock.
async fn used(served: &Served) -> u64 {
    let now = Timestamp::from(SystemTime::now());
    let newest = served.keys.list(&KeyFilter::default()).await.unwrap().items[0].clone();
    let hours: Vec<_> = (1..=240).rev().map(|ago| (now.saturating_sub(HOUR * ago), u64::from(ago % 24))).collect();
    let count = hours.iter().map(|(_, count)| count).sum::<u64>() + 5;
    let usage = KeyUsage::new(newest.id.clone(), count, now).last_used_ip("203.0.113.9".parse().unwrap());
    served.keys.record_usage(&[usage.earlier(hours)]).await.unwrap();
    count
}

/// The text of all cells of a column.
async fn column(browser: &Browser, label: &str) -> Vec<String> {
    let cells = "return [...document.querySelectorAll(`#activity-table [data-label='${arguments[0]}']`)].map(it => it.innerText)";
    serde_json::from_value(browser.run(cells, json!([label])).await).unwrap()
}

/// Waits until the activity has an event of which a cell has this text in it.
async fn told(browser: &Browser, text: &str) {
    let script = "document.querySelector('#activity-refresh').click();
        return document.querySelector('#activity-table').innerText.includes(";
    browser.wait(&format!("{script}{})", json!(text))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_uses_of_a_key_are_drawn_and_written_by_the_day_and_by_the_hour() {
    if !wanted() {
        return;
    }
    let served = Served::with(2, dashboard()).await;
    let count = used(&served).await;
    let browser = Browser::start().await;
    browser.look(1440, "light").await;
    browser.open_as(&served.page(), &grace().cookie).await;
    browser.open_key("worker-2", 0).await;
    let bars = "return document.querySelectorAll('#usage svg rect').length";
    browser.wait(&format!("{bars} === 30")).await;
    let written = "document.querySelector('#usage details').open = true;
        const cells = [...document.querySelectorAll('#usage td')].map(it => Number(it.innerText.replaceAll(',', '')));
        return cells.reduce((sum, count) => sum + count, 0)";
    assert_eq!(browser.run(written, json!([])).await, json!(count), "the table has what the picture shows");
    let label = browser.run("return document.querySelector('#usage svg').getAttribute('aria-label')", json!([])).await;
    assert!(label.as_str().unwrap().contains("calls from"), "{label}");
    browser.is_accessible("usage").await;
    browser.picture("usage-1440-light").await;
    browser.look(360, "dark").await;
    browser.picture("usage-360-dark").await;
    browser.click("#usage-range [value=hour]").await;
    browser.wait(&format!("{bars} === 48")).await;
    let hours = browser.run(written, json!([])).await.as_u64().unwrap();
    assert!((2..count).contains(&hours), "{hours}");
    browser.click("#sheet [data-close]").await;
    browser.open_key("worker-1", 0).await;
    browser.reads("#usage", "No calls in this period").await;
    browser.kept_to_its_policy().await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_by_whom_is_told_and_can_be_searched() {
    if !wanted() {
        return;
    }
    let (served, cookie) = (Served::with(2, dashboard()).await, grace().cookie);
    let keys = format!("{}/account/api-keys", served.url);
    let person = [("cookie", &*cookie)];
    let made = send("POST", &keys, &person, r#"{"name":"ci"}"#).await;
    let made: serde_json::Value = serde_json::from_str(made.body()).unwrap();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let one = format!("{keys}/{id}");
    assert!(send("PATCH", &one, &person, r#"{"name":"release"}"#).await.status().is_success());
    assert!(send("DELETE", &one, &person, "").await.status().is_success());
    assert_eq!(get(&keys, &[("x-api-key", key)]).await.status().as_u16(), 401);

    let browser = Browser::start().await;
    browser.look(1440, "light").await;
    browser.open_as(&served.page(), &cookie).await;
    browser.wait("return !document.getElementById('views').hidden").await;
    browser.click("#views [href='#activity']").await;
    told(&browser, "REVOKED_API_KEY").await;
    let events = column(&browser, "Event").await;
    let begins = |text: &str| events.iter().any(|event| event.starts_with(text));
    assert!(begins("Created") && begins("Revoked") && begins("Call"), "{events:?}");
    assert!(events.iter().any(|event| event.contains("Name: ci → release")), "{events:?}");
    assert!(events.iter().any(|event| event.contains("State: Active → Revoked")), "{events:?}");
    let by = column(&browser, "By").await;
    assert!(by.iter().any(|who| who.contains(grace().id.as_str())), "{by:?}");
    browser.is_accessible("activity").await;
    browser.picture("activity-1440-light").await;
    browser.look(360, "dark").await;
    browser.is_accessible("activity on a phone").await;
    browser.picture("activity-360-dark").await;
    browser.look(1440, "dark").await;
    browser.picture("activity-1440-dark").await;

    browser.choose("#activity-filters [name=action]", "key.update").await;
    browser.wait("return document.querySelectorAll('#activity-table tbody tr').length === 1").await;
    browser.choose("#activity-filters [name=outcome]", "refused").await;
    browser.reads("#activity-blank", "Nothing here yet").await;
    browser.choose("#activity-filters [name=action]", "").await;
    browser.enter("#activity-filters [name=q]", "revoked_api").await;
    browser.wait("return document.querySelectorAll('#activity-table tbody tr').length === 1").await;
    assert_eq!(column(&browser, "Outcome").await.len(), 1);

    // What concerns one key, from the key.
    browser.click("#views [href='#keys']").await;
    browser.open_key("worker-1", 0).await;
    browser.click("#disable").await;
    browser.reads("#sheet-state", "Disabled").await;
    browser.click("#sheet-activity").await;
    browser.is_open("sheet", false).await;
    browser.reads("#activity-key", "Key: worker-1").await;
    told(&browser, "worker-1").await;
    assert!(column(&browser, "Key").await.iter().all(|name| name == "worker-1"));
    browser.click("#activity-key button").await;
    browser.wait("return document.querySelectorAll('#activity-table tbody tr').length > 3").await;
    browser.kept_to_its_policy().await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_audit_trail_there_is_no_such_view() {
    if !wanted() {
        return;
    }
    let served = Served::serve(1, dashboard(), None).await;
    let browser = Browser::start().await;
    browser.open_as(&format!("{}#activity", served.page()), &grace().cookie).await;
    browser.wait("return document.querySelectorAll('#keys-table tbody tr').length === 1").await;
    // What says that there is none has been heard by now.
    browser.click("#refresh").await;
    browser.reads("#notice", "Up to date").await;
    let hidden = "return ['views', 'activity', 'sheet-activity'].every(id => document.getElementById(id).hidden)";
    assert_eq!(browser.run(hidden, json!([])).await, true);
    browser.kept_to_its_policy().await;
    browser.end().await;
}
