//! In which hours keys were used.

use std::sync::Arc;
use std::time::Duration;

use tower_api_key::ApiKeyLayer;
use tower_api_key::clock::Timestamp;
use tower_api_key::source::{JsonFileKeys, KeyStore, MemoryKeys, NewKey, UsageBucket, UsageRange};
use tower_api_key::testing::TestClock;
use tower_api_key::usage::Usage;

use super::support::{Fault, Moody, call};

async fn hours<S: KeyStore>(keys: &S, id: &tower_api_key::key::KeyId) -> Vec<(String, u64)> {
    let range = UsageRange::new(Timestamp::UNIX_EPOCH, Timestamp::MAX, UsageBucket::Hour);
    let points = keys.usage_series(id, &range).await.ok().flatten().expect("a series is kept");
    points.into_iter().map(|point| (point.at.to_string()[11..16].to_owned(), point.count)).collect()
}

/// A batch that spans the end of an hour, and one that waits in the book because the store refuses it.
#[tokio::test]
async fn uses_are_written_to_the_hours_they_were_in_however_late() {
    let clock = TestClock::default();
    let keys = MemoryKeys::builder().clock(clock.clone()).build();
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    let store = Moody::new(keys.clone(), Fault::None);
    let usage = Usage::new(store.clone());
    let auth = ApiKeyLayer::builder(keys.clone()).usage(usage).clock(clock.clone()).build().unwrap();
    let used = async |times: u64, after: u64| {
        for _ in 0..times {
            assert_eq!(call(&auth, issued.secret.expose_secret()).await, 200);
        }
        clock.advance(Duration::from_secs(after));
    };
    used(2, 3_599).await;
    used(1, 1).await;
    used(3, 3_600).await;
    store.set(Fault::After(0));
    assert!(auth.flush().await.is_err());
    used(4, 3_600).await;
    store.set(Fault::None);
    auth.flush().await.unwrap();
    let of = |counts: [(&str, u64); 3]| counts.map(|(hour, count)| (hour.to_owned(), count));
    assert_eq!(hours(&store.keys, &issued.record.id).await, of([("18:00", 3), ("19:00", 3), ("20:00", 4)]));
    used(5, 0).await;
    auth.flush().await.unwrap();
    assert_eq!(hours(&store.keys, &issued.record.id).await[3..], [("21:00".to_owned(), 5)]);
    assert_eq!(keys.get(&issued.record.id).await.unwrap().unwrap().use_count, 15);
}

#[tokio::test]
async fn a_file_of_keys_has_a_file_of_uses_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, clock) = (folder.path().join("api-keys.json"), TestClock::default());
    let keys = JsonFileKeys::builder(&path).clock(clock.clone()).open().unwrap();
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    let id = &issued.record.id;
    let before = std::fs::read_to_string(&path).unwrap();
    let auth = ApiKeyLayer::builder(keys.clone()).usage(Usage::new(keys.clone())).clock(clock).build().unwrap();
    for _ in 0..3 {
        call(&auth, issued.secret.expose_secret()).await;
        auth.flush().await.unwrap();
    }
    let expected = [("18:00".to_owned(), 3)];
    assert_eq!(hours(&keys, id).await, expected);
    assert_eq!(hours(&JsonFileKeys::open(&path).unwrap(), id).await, expected, "another process reads it");
    let after = std::fs::read_to_string(&path).unwrap();
    assert!(after.lines().count() <= before.lines().count() + 3, "the file of keys stays short: {after}");
    let uses = folder.path().join("api-keys.json.usage");
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&uses).unwrap().permissions()) & 0o777,
        0o600
    );
    // What cannot be read is not overwritten, and the keys go on.
    std::fs::write(&uses, "{").unwrap();
    call(&auth, issued.secret.expose_secret()).await;
    auth.flush().await.unwrap();
    assert_eq!(std::fs::read_to_string(&uses).unwrap(), "{");
    assert_eq!(keys.get(id).await.unwrap().unwrap().use_count, 4);
    let range = UsageRange::new(Timestamp::UNIX_EPOCH, Timestamp::MAX, UsageBucket::Hour);
    assert!(keys.usage_series(id, &range).await.is_err(), "that it could not be told is not told as none");
}

#[cfg(feature = "cache")]
#[tokio::test]
async fn a_cache_gives_the_series_of_its_store() {
    let keys = Arc::new(MemoryKeys::new());
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    let usage = tower_api_key::source::KeyUsage::new(issued.record.id.clone(), 2, Timestamp::from_unix_seconds(3_600));
    let cached = tower_api_key::source::Cached::new(Arc::clone(&keys));
    cached.record_usage(&[usage]).await.unwrap();
    assert_eq!(hours(&cached, &issued.record.id).await, [("01:00".to_owned(), 2)]);
}
