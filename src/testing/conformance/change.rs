//! Changing keys and recording their use.

use std::time::Duration;

use super::{Stand, changed, face, must};
use crate::key::{KeyId, KeyRecord, KeyState, Scope};
use crate::limit::Quota;
use crate::source::{KeyChange, KeyStore, KeyUpdate, KeyUsage, NewKey};
use crate::testing::TestClock;

type Step<'a> = (KeyChange, &'a dyn Fn(&mut KeyRecord));

/// Each field alone, then all of them cleared; every change counts the version up.
///
/// # Panics
/// When the rule is broken.
pub async fn a_change_changes_what_it_names_and_nothing_else<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let issued = stand.issue(NewKey::named("old")).await;
    let id = &issued.record.id;
    let end = stand.now().saturating_add(Duration::from_secs(60));
    let (write, origins) = (Scope::from_static("write"), vec!["https://a.example".to_owned()]);
    let metadata = serde_json::Map::from_iter([("team".to_owned(), "x".into())]);
    let mut expected = KeyRecord::clone(&issued.record);
    let steps: [Step<'_>; 12] = [
        (KeyChange::rename("new"), &|record| record.name = "new".to_owned()),
        (KeyChange::new().scopes([write.clone()]), &|record| record.scopes = [write.clone()].into()),
        (KeyChange::new().allowed_ips(Some(must("::1".parse()))), &|record| {
            record.allowed_ips = Some(must("::1".parse()));
        }),
        (KeyChange::new().allowed_origins(Some(origins.clone())), &|record| {
            record.allowed_origins = Some(origins.clone());
        }),
        (KeyChange::new().rate_limits([Quota::per_hour(3)]), &|record| record.rate_limits = vec![Quota::per_hour(3)]),
        (KeyChange::new().expires_at(Some(end)), &|record| record.expires_at = Some(end)),
        (KeyChange::new().metadata(metadata.clone()), &|record| record.metadata = metadata.clone()),
        (KeyChange::new().allowed_ips(None), &|record| record.allowed_ips = None),
        (KeyChange::new().allowed_origins(None), &|record| record.allowed_origins = None),
        (KeyChange::new().expires_at(None), &|record| record.expires_at = None),
        (KeyChange::new().rate_limits([]).scopes([]), &|record| {
            record.rate_limits.clear();
            record.scopes = [].into();
        }),
        (KeyChange::new().metadata(serde_json::Map::new()), &|record| record.metadata.clear()),
    ];
    for (change, step) in steps {
        step(&mut expected);
        let answer = changed(must(stand.keys.update(id, change.clone()).await));
        assert!(answer.version > expected.version, "{change:?} counts the version up");
        expected.version = answer.version;
        assert_eq!(face(&answer), face(&expected), "{change:?}");
        assert_eq!(face(&*stand.get(id).await), face(&expected), "{change:?}");
        assert_eq!(stand.found(&issued).await.map(|record| face(&record)), Some(face(&expected)), "{change:?}");
    }
}

/// The version is looked at and the change made as one step.
///
/// # Panics
/// When the rule is broken.
pub async fn a_change_that_expects_another_version_changes_nothing<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let record = stand.issue(NewKey::named("old")).await.record;
    let rename = |name: &str, version| KeyChange::rename(name).expected_version(version);
    let new = changed(must(stand.keys.update(&record.id, rename("new", record.version)).await));
    for stale in [record.version, new.version + 1] {
        let update = must(stand.keys.update(&record.id, rename("newer", stale)).await);
        assert!(matches!(update, KeyUpdate::Outdated), "{update:?}");
        assert_eq!(face(&*stand.get(&record.id).await), face(&new));
    }
}

/// A disabled key is found as that, and works again once it is enabled.
///
/// # Panics
/// When the rule is broken.
pub async fn a_key_is_disabled_and_enabled_again<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let issued = stand.issue(NewKey::named("k")).await;
    let id = &issued.record.id;
    for (enabled, state) in [(true, KeyState::Active), (false, KeyState::Disabled), (true, KeyState::Active)] {
        let first = changed(must(stand.keys.set_enabled(id, enabled).await));
        assert_eq!(first.state(stand.now()), state);
        let found = stand.found(&issued).await.map(|record| record.state(stand.now()));
        assert_eq!(found, Some(state), "the next lookup sees it");
        let again = changed(must(stand.keys.set_enabled(id, enabled).await));
        assert_eq!(face(&again), face(&first), "what it is already is no change");
    }
}

/// Counts are added, times only go forward, and nothing else changes: neither the version, nor what is over.
///
/// # Panics
/// When the rule is broken.
pub async fn usage_is_added_up_and_the_latest_use_stays<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let (one, two) = (stand.issue(NewKey::named("1")).await.record, stand.issue(NewKey::named("2")).await.record);
    stand.revoke(&two.id, "lost").await;
    let at = |seconds| stand.now().saturating_add(Duration::from_secs(seconds));
    let (near, far) = (must("10.0.0.1".parse()), must("2001:db8::1".parse()));
    let unknown = KeyUsage::new(KeyId::from_static("key_that_there_is_not"), 5, at(5));
    let late = [KeyUsage::new(one.id.clone(), 2, at(20)).last_used_ip(far), unknown];
    let early = [
        KeyUsage::new(one.id.clone(), 3, at(10)).last_used_ip(near),
        KeyUsage::new(two.id.clone(), 1, at(10)),
        KeyUsage::new(one.id.clone(), u64::from(u32::MAX), at(11)),
    ];
    for batch in [&late[..], &[], &early] {
        must(stand.keys.record_usage(batch).await);
    }
    let mut expected = KeyRecord::clone(&one);
    expected.use_count = 5 + u64::from(u32::MAX);
    (expected.last_used_at, expected.last_used_ip) = (Some(at(20)), Some(far));
    assert_eq!(face(&*stand.get(&one.id).await), face(&expected));
    let two = stand.get(&two.id).await;
    assert_eq!((two.use_count, two.state(stand.now())), (1, KeyState::Revoked), "usage lets nothing in again");
}
