//! Records that were made elsewhere.

use super::{Stand, by_digest, must};
use crate::key::{KeyDigest, KeyHasher, KeyId, KeyOwner, KeyRecord, KeyState, Scope, UserId};
use crate::limit::Quota;
use crate::limit::credits::Credits;
use crate::source::{KeyAdoption, KeySource, KeyStore, NewKey};
use crate::testing::TestClock;

/// A record is taken in as it is, found at once by its digest, and changed like any other.
///
/// # Panics
/// When the rule is broken.
pub async fn a_record_is_adopted_as_it_is<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let record = foreign(&stand, "27", 1);
    let KeyAdoption::Adopted(adopted) = must(stand.keys.adopt(record.clone()).await) else {
        panic!("an id and a digest that nobody has are taken");
    };
    let got = stand.get(&record.id).await;
    let found = by_digest(&stand.keys, &record.digest).await;
    let found = found.unwrap_or_else(|| panic!("an adopted record is not found by its digest"));
    for kept in [&adopted, &got, &found] {
        assert!(kept.digest == record.digest);
        assert_eq!((&kept.id, &kept.name, &kept.scopes), (&record.id, &record.name, &record.scopes));
        assert_eq!((&kept.owner, &kept.start, &kept.metadata), (&record.owner, &record.start, &record.metadata));
        assert_eq!((&kept.rate_limits, kept.credits), (&record.rate_limits, record.credits));
        assert_eq!((kept.created_at, kept.last_used_at), (record.created_at, record.last_used_at));
        assert_eq!((kept.use_count, kept.expires_at), (record.use_count, record.expires_at));
    }
    let revoked = stand.revoke(&record.id, "lost").await;
    assert_eq!(revoked.state(stand.now()), KeyState::Revoked);
}

/// A record that was over stays over.
///
/// # Panics
/// When the rule is broken.
pub async fn what_was_over_is_adopted_as_over<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let (mut revoked, mut expired, mut disabled) =
        (foreign(&stand, "1", 1), foreign(&stand, "2", 2), foreign(&stand, "3", 3));
    revoked.revoked_at = Some(stand.now());
    expired.expires_at = Some(stand.now());
    disabled.disabled = true;
    for record in [&revoked, &expired, &disabled] {
        assert!(matches!(must(stand.keys.adopt(record.clone()).await), KeyAdoption::Adopted(_)));
        assert_eq!(stand.state(&record.id).await, record.state(stand.now()));
    }
}

/// Neither an id nor a digest is taken twice, and a refusal changes nothing.
///
/// # Panics
/// When the rule is broken.
pub async fn an_id_or_a_digest_is_adopted_once<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let first = foreign(&stand, "27", 1);
    let issued = stand.issue(NewKey::named("here")).await;
    assert!(matches!(must(stand.keys.adopt(first.clone()).await), KeyAdoption::Adopted(_)));
    let mut same_digest = foreign(&stand, "28", 1);
    same_digest.name = "another".to_owned();
    let mut of_issued = foreign(&stand, "29", 3);
    of_issued.digest = issued.record.digest;
    let mut id_of_issued = foreign(&stand, "30", 4);
    id_of_issued.id = issued.record.id.clone();
    for taken in [first.clone(), foreign(&stand, "27", 2), same_digest, of_issued, id_of_issued] {
        assert!(matches!(must(stand.keys.adopt(taken).await), KeyAdoption::Taken));
    }
    for id in ["28", "29", "30"] {
        assert!(must(stand.keys.get(&must(KeyId::new(id))).await).is_none(), "{id} was refused, and is there");
    }
    assert_eq!(stand.get(&first.id).await.name, first.name);
    assert!(by_digest(&stand.keys, &foreign(&stand, "0", 2).digest).await.is_none(), "the digest of a refused record");
    assert_eq!(stand.get(&issued.record.id).await.name, "here");
}

/// A record of another system, with a digest that the store looks for.
fn foreign<S: KeySource>(stand: &Stand<S>, id: &str, number: u8) -> KeyRecord {
    let Some(scheme) = stand.keys.schemes().into_iter().next() else { panic!("the store states no scheme") };
    let bytes = *KeyHasher::sha256().digest(&format!("secret {number}")).as_bytes();
    let mut record = KeyRecord::new(must(KeyId::new(id)), KeyDigest::new(scheme.algorithm(), bytes));
    record.name = "from elsewhere".to_owned();
    record.start = Some("old_1".to_owned());
    record.scopes = Scope::from_static("read").into();
    record.owner = KeyOwner::user(UserId::from_static("ann"));
    record.created_at = Some(crate::clock::Timestamp::from_unix_seconds(1_700_000_000));
    record.last_used_at = Some(crate::clock::Timestamp::from_unix_seconds(1_700_000_007));
    record.use_count = 7;
    record.rate_limits = vec![Quota::per_hour(7)];
    record.credits = Some(Credits::new(3).starting(crate::clock::Timestamp::from_unix_seconds(1_700_000_000)));
    record.metadata.insert("n".to_owned(), serde_json::json!([1, null]));
    record
}
