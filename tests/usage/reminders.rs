//! Old keys.

use std::time::Duration;

use tower_api_key::ApiKeyLayer;
use tower_api_key::source::{KeyRotation, KeyStore, MemoryKeys, NewKey};
use tower_api_key::testing::TestClock;
use tower_api_key::usage::Usage;
use tracing::Level;

use crate::support::{Log, call};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn an_old_key_in_use_is_named_once_a_day() {
    let (log, _listening) = Log::listen(Level::INFO);
    let clock = TestClock::default();
    let keys = MemoryKeys::builder().clock(clock.clone()).build();
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    let usage = Usage::new(keys.clone()).remind_after(90 * DAY);
    let auth = ApiKeyLayer::builder(keys.clone()).clock(clock.clone()).usage(usage).build().unwrap();
    let reminders = async || {
        for _ in 0..3 {
            call(&auth, issued.secret.expose_secret()).await;
            auth.flush().await.unwrap();
        }
        log.new_lines("tower_api_key::keys")
    };
    clock.advance(90 * DAY);
    assert!(reminders().await.is_empty(), "90 days are not more than 90 days");
    for age in [91, 92] {
        clock.advance(DAY);
        let lines = reminders().await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(&format!("age_days={age}")), "{lines:?}");
        assert!(lines[0].contains(&format!("key_id=\"{}\"", issued.record.id)), "{lines:?}");
        assert!(reminders().await.is_empty());
    }
    // Who has made a successor needs no reminder.
    clock.advance(DAY);
    let _ = keys.rotate(&issued.record.id, KeyRotation::overlap(DAY)).await.unwrap();
    assert!(reminders().await.is_empty());
}

#[tokio::test]
async fn many_old_keys_do_not_flood_the_log() {
    let (log, _listening) = Log::listen(Level::INFO);
    let clock = TestClock::default();
    let keys = MemoryKeys::builder().clock(clock.clone()).build();
    let mut issued = Vec::new();
    for number in 0..50 {
        issued.push(keys.issue(NewKey::named(number.to_string())).await.unwrap());
    }
    clock.advance(100 * DAY);
    let usage = Usage::new(keys.clone()).remind_after(90 * DAY).batch(7);
    let auth = ApiKeyLayer::builder(keys)
        .clock(clock)
        .usage(usage)
        .audit(|_: tower_api_key::audit::AuthEvent<'_>| {})
        .build()
        .unwrap();
    for key in &issued {
        call(&auth, key.secret.expose_secret()).await;
    }
    auth.flush().await.unwrap();
    let lines = log.new_lines("tower_api_key::keys");
    assert_eq!(lines.len(), 21);
    assert!(lines[20].contains("keys=30"), "{}", lines[20]);
}
