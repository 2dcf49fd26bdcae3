//! Keys and their successors.

use std::time::Duration;

use super::{Stand, changed, face, must};
use crate::clock::Timestamp;
use crate::key::{KeyId, KeyOwner, KeyRef, KeyState, Scope, UserId};
use crate::limit::Quota;
use crate::source::{IssuedKey, KeyChange, KeyFilter, KeyRotation, KeyStore, KeySuccession, KeyUpdate, NewKey};
use crate::testing::TestClock;

const HOUR: Duration = Duration::from_secs(3_600);

async fn rotated<S: KeyStore>(stand: &Stand<S>, id: &KeyId, rotation: KeyRotation) -> (IssuedKey, KeyRef) {
    match must(stand.keys.rotate(id, rotation).await) {
        KeySuccession::Rotated { successor, predecessor } => (successor, predecessor),
        other => panic!("not rotated, but {other:?}"),
    }
}

/// All but secret, id and the two links; also its end, unless another is named.
///
/// # Panics
/// When the rule is broken.
pub async fn a_successor_is_what_the_key_was<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let end = stand.now().saturating_add(9 * HOUR);
    let new = NewKey::named("k").scopes([Scope::from_static("read")]).owner(KeyOwner::user(UserId::from_static("ann")));
    let mut new = new.expires_at(end).allowed_origins(["https://a.example"]).allowed_ips(must("10.0.0.0/8".parse()));
    new.rate_limits = vec![Quota::per_hour(7)];
    new.plan = Some("gold".to_owned());
    new.metadata.insert("n".to_owned(), 1.into());
    let old = stand.issue(new).await;
    stand.advance(60);
    let (successor, predecessor) = rotated(&stand, &old.record.id, KeyRotation::overlap(HOUR)).await;
    let (was, is) = (&old.record, &successor.record);
    assert_ne!(successor.secret.expose_secret(), old.secret.expose_secret());
    assert_ne!(is.id, was.id);
    assert_eq!((&is.name, &is.scopes, &is.owner), (&was.name, &was.scopes, &was.owner));
    assert_eq!((&is.environment, &is.realm, is.class), (&was.environment, &was.realm, was.class));
    assert_eq!((&is.prefix, &is.plan, &is.metadata), (&was.prefix, &was.plan, &was.metadata));
    assert_eq!((&is.allowed_origins, &is.rate_limits), (&was.allowed_origins, &was.rate_limits));
    assert_eq!(format!("{:?}", is.allowed_ips), format!("{:?}", was.allowed_ips));
    assert_eq!((is.expires_at, is.created_at), (Some(end), Some(stand.now())), "it does not outlive the key");
    assert_eq!((is.use_count, &is.rotation), (0, &None));
    assert_eq!(is.replaces.as_ref(), Some(&was.id));
    let rotation = predecessor.rotation.as_ref();
    assert_eq!(rotation.map(|r| (r.rotated_at, &r.replaced_by)), Some((stand.now(), &is.id)));
    assert!(predecessor.version > was.version);
    for record in [is, &predecessor] {
        assert_eq!(face(&*stand.get(&record.id).await), face(record));
    }
    let later = end.saturating_add(HOUR);
    let (named, _) = rotated(&stand, &is.id, KeyRotation::overlap(HOUR).expires_at(later)).await;
    assert_eq!(named.record.expires_at, Some(later));
}

/// The old one ends with the overlap or at its own end, whichever is first, and no change puts that off.
///
/// # Panics
/// When the rule is broken.
pub async fn both_keys_work_during_the_overlap_and_the_old_one_gains_no_time<S: KeyStore>(
    make: impl AsyncFn(TestClock) -> S,
) {
    let stand = Stand::new(&make).await;
    let end = stand.now().saturating_add(HOUR);
    let short = stand.issue(NewKey::named("short").expires_at(end)).await;
    let (_, old) = rotated(&stand, &short.record.id, KeyRotation::overlap(2 * HOUR)).await;
    assert_eq!(old.expires_at, Some(end), "the overlap lengthens nothing");
    let forever = stand.issue(NewKey::named("forever")).await;
    let id = &forever.record.id;
    let (successor, old) = rotated(&stand, id, KeyRotation::overlap(HOUR)).await;
    assert_eq!((old.expires_at, successor.record.expires_at), (Some(end), None));
    for (key, state) in [(&forever, KeyState::Overlap), (&successor, KeyState::Active)] {
        assert_eq!(stand.found(key).await.map(|record| record.state(stand.now())), Some(state));
    }
    for later in [None, Some(end.saturating_add(HOUR)), Some(Timestamp::MAX)] {
        let update = must(stand.keys.update(id, KeyChange::new().expires_at(later)).await);
        assert!(matches!(update, KeyUpdate::Conflict(_)), "{update:?}");
    }
    changed(must(stand.keys.update(id, KeyChange::rename("still forever")).await));
    stand.clock.set(end);
    for (key, state) in [(&forever, KeyState::Expired), (&successor, KeyState::Active)] {
        assert_eq!(stand.found(key).await.map(|record| record.state(stand.now())), Some(state));
    }
}

/// And revoked is for good.
///
/// # Panics
/// When the rule is broken.
pub async fn without_an_overlap_the_old_key_is_revoked_at_once<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let old = stand.issue(NewKey::named("k")).await;
    let (successor, predecessor) = rotated(&stand, &old.record.id, KeyRotation::at_once()).await;
    assert_eq!((predecessor.revoked_at, predecessor.state(stand.now())), (Some(stand.now()), KeyState::Revoked));
    assert_eq!(stand.found(&old).await.map(|record| record.state(stand.now())), Some(KeyState::Revoked));
    assert_eq!(stand.found(&successor).await.map(|record| record.state(stand.now())), Some(KeyState::Active));
}

/// One that is disabled, expired, revoked or in its overlap, and one that has changed since: an answer, and no second key.
///
/// # Panics
/// When the rule is broken.
pub async fn a_key_that_is_not_active_has_no_successor<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let end = stand.now().saturating_add(HOUR);
    let keys = [NewKey::named("disabled"), NewKey::named("expired").expires_at(end), NewKey::named("revoked")];
    let mut ids = Vec::new();
    for key in keys.into_iter().chain([NewKey::named("rotated")]) {
        ids.push(stand.issue(key).await.record.id.clone());
    }
    changed(must(stand.keys.set_enabled(&ids[0], false).await));
    stand.revoke(&ids[2], "lost").await;
    let (successor, _) = rotated(&stand, &ids[3], KeyRotation::overlap(2 * HOUR)).await;
    stand.clock.set(end);
    let count = async || must(stand.keys.list(&KeyFilter::default()).await).items.len();
    let before = count().await;
    for id in &ids {
        for rotation in [KeyRotation::overlap(HOUR), KeyRotation::at_once()] {
            let record = face(&*stand.get(id).await);
            let answer = must(stand.keys.rotate(id, rotation).await);
            assert!(matches!(&answer, KeySuccession::Conflict(now) if face(now) == record), "{answer:?}");
            assert_eq!(face(&*stand.get(id).await), record);
        }
    }
    let stale = KeyRotation::at_once().expected_version(successor.record.version + 1);
    let answer = must(stand.keys.rotate(&successor.record.id, stale).await);
    assert!(matches!(answer, KeySuccession::Outdated), "{answer:?}");
    assert_eq!(count().await, before);
}
