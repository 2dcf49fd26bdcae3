//! Uses that are lost, and keys that are about to expire.

use std::time::{Duration, SystemTime};

use metrics::set_default_local_recorder;
use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
use tower_api_key::testing::TestClock;
use tower_api_key::usage::Usage;
use tower_api_key::{ApiKeyLayer, clock::Clock, metrics as names};

use crate::page::{Page, call, exporter};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn keys_in_use_are_counted_by_how_soon_they_expire() {
    let exporter = exporter();
    let _guard = set_default_local_recorder(&exporter);
    let (keys, clock) = (MemoryKeys::new(), TestClock::at(SystemTime::now().into()));
    let usage = Usage::new(keys.clone());
    let auth = ApiKeyLayer::builder(keys.clone()).clock(clock.clone()).usage(usage).build().unwrap();
    let lives =
        [Some(HOUR), Some(HOUR * 24 * 6), Some(HOUR * 24 * 6), Some(HOUR * 24 * 29), Some(HOUR * 24 * 31), None];
    for life in lives {
        let mut new = NewKey::named("k");
        new.expires_at = life.map(|life| clock.now().saturating_add(life));
        let issued = keys.issue(new).await.unwrap();
        assert_eq!(call(&auth, "/", Some(issued.secret.expose_secret())).await, 200);
    }
    let mut unused = NewKey::named("unused");
    unused.expires_at = Some(clock.now().saturating_add(HOUR));
    let _ = keys.issue(unused).await.unwrap();
    let expiring = || {
        let page = Page::of(&exporter);
        ["1d", "7d", "30d"].map(|within| page.sum(names::EXPIRING_KEYS, &[("within", within)]))
    };
    auth.refresh_gauges();
    assert_eq!(expiring(), [1.0, 3.0, 4.0]);
    // What has been written is still known, and what has expired does not count.
    auth.flush().await.unwrap();
    clock.advance(HOUR * 2);
    auth.refresh_gauges();
    assert_eq!(expiring(), [0.0, 2.0, 3.0]);
    // Nobody has used them for a day.
    clock.advance(HOUR * 24);
    auth.refresh_gauges();
    assert_eq!(expiring(), [0.0, 0.0, 0.0]);
}

#[tokio::test]
async fn uses_that_the_book_has_no_room_for_are_counted_as_lost() {
    let exporter = exporter();
    let _guard = set_default_local_recorder(&exporter);
    let keys = MemoryKeys::new();
    let usage = Usage::new(keys.clone()).capacity(1);
    let auth = ApiKeyLayer::builder(keys.clone()).usage(usage).build().unwrap();
    let lost = || Page::of(&exporter).sum(names::DROPPED, &[("what", "usage")]);
    for expected in [0.0, 1.0, 2.0] {
        let issued = keys.issue(NewKey::named("k")).await.unwrap();
        assert_eq!(call(&auth, "/", Some(issued.secret.expose_secret())).await, 200);
        assert_eq!(lost(), expected);
    }
    auth.flush().await.unwrap();
    let batches = format!("{}_count", names::STAGE_DURATION);
    assert_eq!(Page::of(&exporter).sum(&batches, &[("stage", "usage")]), 1.0);
}
