//! New digests in place of old ones.

use super::{Stand, by_digest, changed, face, must};
use crate::key::{KeyDigest, KeyRecord, KeyState};
use crate::source::{IssuedKey, KeyChange, KeyFilter, KeyRehash, KeyStore, KeyUsage, NewKey};
use crate::testing::TestClock;

/// By the algorithm of the store's own keys, so that every store can keep it.
fn another(issued: &IssuedKey, byte: u8) -> KeyDigest {
    KeyDigest::new(issued.record.digest.algorithm(), [byte; 32])
}

/// The new digest finds the record, the old one finds nothing, and nothing else has changed. A record that has another
/// digest than the one that was to be replaced keeps it, and so does one whose new digest another key has.
///
/// # Panics
/// When the rule is broken.
pub async fn a_digest_is_replaced_only_while_it_is_the_old_one<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let (one, two) = (stand.issue(NewKey::named("1")).await, stand.issue(NewKey::named("2")).await);
    let (id, old, new) = (&one.record.id, one.record.digest, another(&one, 7));
    let used = |from, to| KeyUsage::new(id.clone(), 1, stand.now()).rehash(KeyRehash { from, to });
    let mut expected = KeyRecord::clone(&one.record);
    (expected.use_count, expected.last_used_at) = (2, Some(stand.now()));
    for (from, to, what) in [(new, another(&one, 8), "it has another digest"), (old, two.record.digest, "taken")] {
        must(stand.keys.record_usage(&[used(from, to)]).await);
        assert!(by_digest(&stand.keys, &to).await.is_none_or(|record| record.id == two.record.id), "{what}");
    }
    assert_eq!(face(&*stand.get(id).await), face(&expected), "the uses are counted all the same");
    must(stand.keys.record_usage(&[used(old, new), used(old, another(&one, 9))]).await);
    (expected.use_count, expected.digest) = (4, new);
    for found in [Some(stand.get(id).await), by_digest(&stand.keys, &new).await] {
        assert_eq!(found.as_deref().map(face), Some(face(&expected)));
    }
    for gone in [old, another(&one, 9)] {
        assert!(by_digest(&stand.keys, &gone).await.is_none(), "the old digest is gone");
    }
    // The record can be listed and changed as before.
    assert_eq!(must(stand.keys.list(&KeyFilter::default()).await).items.len(), 2);
    changed(must(stand.keys.update(id, KeyChange::rename("renamed")).await));
    assert_eq!(by_digest(&stand.keys, &new).await.map(|record| record.name.clone()).as_deref(), Some("renamed"));
    assert_eq!(stand.found(&two).await.map(|record| record.id.clone()), Some(two.record.id.clone()));
}

/// A revoked key stays revoked, and a disabled one disabled.
///
/// # Panics
/// When the rule is broken.
pub async fn a_new_digest_lets_nothing_in_again<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    for (byte, state) in [(7, KeyState::Revoked), (8, KeyState::Disabled)] {
        let issued = stand.issue(NewKey::named("k")).await;
        let (id, to) = (&issued.record.id, another(&issued, byte));
        match state {
            KeyState::Revoked => drop(stand.revoke(id, "lost").await),
            _ => drop(changed(must(stand.keys.set_enabled(id, false).await))),
        }
        let rehash = KeyRehash { from: issued.record.digest, to };
        must(stand.keys.record_usage(&[KeyUsage::new(id.clone(), 1, stand.now()).rehash(rehash)]).await);
        assert_eq!(stand.state(id).await, state);
        for digest in [rehash.from, to] {
            let found = by_digest(&stand.keys, &digest).await;
            assert!(found.is_none_or(|record| record.state(stand.now()) == state));
        }
    }
}
