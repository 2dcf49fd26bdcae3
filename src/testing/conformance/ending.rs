//! How keys end.

use std::time::Duration;

use super::{Stand, changed, face, must};
use crate::key::{KeyId, KeyState, Scope};
use crate::source::{KeyChange, KeyFilter, KeyRotation, KeyStore, KeySuccession, KeyUpdate, KeyUsage, NewKey};
use crate::testing::TestClock;

/// To its owner it is expired, not unknown.
///
/// # Panics
/// When the rule is broken.
pub async fn a_key_ends_at_its_end_and_is_still_found<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let end = stand.now().saturating_add(Duration::from_secs(60));
    let issued = stand.issue(NewKey::named("k").expires_at(end)).await;
    assert_eq!(stand.state(&issued.record.id).await, KeyState::Active);
    stand.clock.set(end);
    for record in [stand.found(&issued).await, Some(stand.get(&issued.record.id).await)] {
        assert_eq!(record.map(|record| record.state(end)), Some(KeyState::Expired), "the end itself is past it");
    }
}

/// No call lets it in again, and revoking again gives the first answer.
///
/// # Panics
/// When the rule is broken.
pub async fn a_revoked_key_stays_revoked<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let issued = stand.issue(NewKey::named("k")).await;
    let id = &issued.record.id;
    changed(must(stand.keys.set_enabled(id, false).await));
    let first = stand.revoke(id, "lost").await;
    assert_eq!((first.revoked_at, first.revoked_reason.as_deref()), (Some(stand.now()), Some("lost")));
    assert!(stand.found(&issued).await.is_some_and(|record| record.revoked_at.is_some()), "the next lookup sees it");
    stand.advance(60);
    assert_eq!(face(&*stand.revoke(id, "found").await), face(&first));
    for enabled in [true, false] {
        let update = must(stand.keys.set_enabled(id, enabled).await);
        assert!(matches!(update, KeyUpdate::Conflict(_)), "{update:?}");
    }
    for change in [KeyChange::new().expires_at(None), KeyChange::new().scopes([Scope::from_static("admin")])] {
        let update = must(stand.keys.update(id, change).await);
        assert!(matches!(update, KeyUpdate::Conflict(_)), "{update:?}");
    }
    let rotated = must(stand.keys.rotate(id, KeyRotation::overlap(Duration::from_secs(60))).await);
    assert!(matches!(rotated, KeySuccession::Conflict(_)), "{rotated:?}");
    assert_eq!(face(&*stand.get(id).await), face(&first));
    // Notes may be made of it.
    let noted = changed(must(stand.keys.update(id, KeyChange::rename("lost")).await));
    assert_eq!((noted.revoked_at, noted.state(stand.now())), (first.revoked_at, KeyState::Revoked));
}

/// Only what was over before that instant goes, and then it is as if it had never been.
///
/// # Panics
/// When the rule is broken.
pub async fn what_is_over_is_kept_until_it_is_purged<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let soon = stand.now().saturating_add(Duration::from_secs(10));
    let expired = stand.issue(NewKey::named("expired").expires_at(soon)).await;
    let revoked = stand.issue(NewKey::named("revoked")).await;
    let disabled = stand.issue(NewKey::named("disabled")).await;
    let active = stand.issue(NewKey::named("active").expires_at(soon.saturating_add(Duration::from_secs(3_600)))).await;
    stand.advance(10);
    stand.revoke(&revoked.record.id, "lost").await;
    changed(must(stand.keys.set_enabled(&disabled.record.id, false).await));
    assert_eq!(must(stand.keys.purge(stand.now()).await), 0, "what ends at that instant was not over before");
    stand.advance(1);
    let late = stand.issue(NewKey::named("late")).await;
    let over = stand.now();
    stand.advance(1);
    stand.revoke(&late.record.id, "lost").await;
    assert_eq!(must(stand.keys.purge(over).await), 2);
    assert_eq!(must(stand.keys.purge(over).await), 0);
    for gone in [&expired, &revoked] {
        assert!(stand.found(gone).await.is_none());
        assert!(must(stand.keys.get(&gone.record.id).await).is_none());
    }
    for kept in [&disabled, &active, &late] {
        assert!(stand.found(kept).await.is_some(), "{}", kept.record.name);
    }
    assert_eq!(must(stand.keys.list(&KeyFilter::default()).await).items.len(), 3);
    stand.advance(1);
    // However far in the future the instant is, what works now stays.
    assert_eq!(must(stand.keys.purge(crate::clock::Timestamp::MAX).await), 1);
    assert_eq!(stand.state(&active.record.id).await, KeyState::Active);
}

/// Every call says so of an id that no key has.
///
/// # Panics
/// When the rule is broken.
pub async fn a_key_that_there_is_not_is_absent<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let id = KeyId::from_static("key_that_there_is_not");
    assert!(must(stand.keys.get(&id).await).is_none());
    assert!(must(stand.keys.revoke(&id, None).await).is_none());
    let change = KeyChange::rename("x").expected_version(0);
    assert!(matches!(must(stand.keys.update(&id, change).await), KeyUpdate::Absent));
    assert!(matches!(must(stand.keys.set_enabled(&id, true).await), KeyUpdate::Absent));
    assert!(matches!(must(stand.keys.rotate(&id, KeyRotation::at_once()).await), KeySuccession::Absent));
    must(stand.keys.record_usage(&[KeyUsage::new(id, 1, stand.now())]).await);
    assert!(must(stand.keys.list(&KeyFilter::default()).await).items.is_empty());
}
