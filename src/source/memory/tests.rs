use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::key::KeyHasher;

#[tokio::test]
async fn a_change_that_expects_another_version_changes_nothing() {
    let keys = MemoryKeys::new();
    let id = keys.issue(NewKey::named("old")).await.unwrap().record.id.clone();
    let rename = |name: &str| KeyChange::rename(name).expected_version(0);
    assert!(matches!(keys.update(&id, rename("new")).await, Ok(KeyUpdate::Changed(record)) if record.version == 1));
    assert!(matches!(keys.update(&id, rename("newer")).await, Ok(KeyUpdate::Outdated)));
    let kept = keys.get(&id).await.unwrap().unwrap();
    assert_eq!((kept.name.as_str(), kept.version), ("new", 1));
    let unknown = keys.update(&KeyId::from_static("key_0"), KeyChange::rename("x")).await;
    assert!(matches!(unknown, Ok(KeyUpdate::Absent)));
}

#[test]
fn a_revocation_stands_whatever_is_changed_at_once() {
    let mut rotated = 0;
    for round in 0..300 {
        let keys = MemoryKeys::new();
        let issued = keys.issue_now(NewKey::named("k")).unwrap();
        let (id, digest) = (&issued.record.id, issued.record.digest);
        let usage = [KeyUsage::new(id.clone(), 1, Timestamp::UNIX_EPOCH)];
        let changes: [&(dyn Fn() + Sync); 4] = [
            &|| drop(keys.update_now(id, KeyChange::rename("x"))),
            &|| drop(keys.set_enabled_now(id, true)),
            &|| drop(keys.rotate_now(id, &KeyRotation::overlap(Duration::from_secs(60)))),
            &|| keys.record_usage_now(&usage),
        ];
        let start = Barrier::new(changes.len() + 1);
        thread::scope(|scope| {
            for change in changes {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    (0..50).for_each(|_| change());
                });
            }
            start.wait();
            (0..round % 50).for_each(|_| thread::yield_now());
            keys.revoke_now(id, None);
            let seen = keys.lookup(&digest).unwrap();
            assert!(seen.revoked_at.is_some(), "what was answered is what the next lookup finds");
        });
        let record = keys.get_now(id).unwrap();
        assert!(record.revoked_at.is_some() && record.use_count == 50, "{record:?}");
        rotated += keys.len() - 1;
    }
    assert!(rotated > 0, "some rotations came before the revocation");
}

#[test]
fn of_rotations_at_once_one_makes_a_successor() {
    let keys = MemoryKeys::new();
    let id = keys.issue_now(NewKey::named("k")).unwrap().record.id.clone();
    let rotate = || keys.rotate_now(&id, &KeyRotation::overlap(Duration::from_secs(60))).unwrap();
    let rotated = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(rotate)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let made = rotated.iter().filter(|answer| matches!(answer, KeySuccession::Rotated { .. })).count();
    assert_eq!((made, keys.len()), (1, 2));
}

#[test]
fn a_fork_changes_apart_and_counts_its_changes() {
    let keys = MemoryKeys::new();
    let id = keys.issue_now(NewKey::named("k")).unwrap().record.id.clone();
    let fork = keys.fork();
    assert_eq!(fork.changes(), 0);
    fork.revoke_now(&id, None);
    assert_eq!(fork.changes(), 1);
    fork.revoke_now(&id, None);
    assert_eq!(fork.changes(), 1);
    assert!(keys.get_now(&id).unwrap().revoked_at.is_none());
}

#[tokio::test]
async fn no_key_lives_shorter_or_longer_than_it_may() {
    const DAY: Duration = Duration::from_secs(86_400);
    let now = Timestamp::from_unix_seconds(1_768_413_600);
    struct Still(Timestamp);
    impl Clock for Still {
        fn now(&self) -> Timestamp {
            self.0
        }
    }
    let life = KeyLife::unlimited().least(DAY).default_life(7 * DAY).greatest(90 * DAY);
    let keys = MemoryKeys::builder().clock(Still(now)).life(life).build();
    let after = |days: u32| now.saturating_add(days * DAY);
    for days in [0, 91] {
        let refused = keys.issue(NewKey::named("k").expires_at(after(days))).await;
        assert!(matches!(refused, Err(MemoryKeysError::Life(_))), "{days}");
    }
    assert!(keys.is_empty());
    let key = keys.issue(NewKey::named("k")).await.unwrap().record;
    assert_eq!(key.expires_at, Some(after(7)));
    for end in [Some(after(0)), Some(after(91))] {
        let refused = keys.update(&key.id, KeyChange::new().expires_at(end)).await.unwrap();
        assert!(matches!(refused, KeyUpdate::Refused(_)), "{refused:?}");
    }
    // A key from elsewhere that never ends has a successor that does.
    let mut record = KeyRecord::clone(&key);
    (record.id, record.expires_at) = (KeyId::from_static("key_elsewhere"), None);
    record.digest = KeyHasher::sha256().digest("elsewhere");
    keys.insert(record).unwrap();
    let rotated = keys.rotate_now(&KeyId::from_static("key_elsewhere"), &KeyRotation::at_once()).unwrap();
    let KeySuccession::Rotated { successor, .. } = rotated else { panic!("{rotated:?}") };
    assert_eq!(successor.record.expires_at, Some(after(90)));
}
