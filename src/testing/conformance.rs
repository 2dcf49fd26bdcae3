//! What every source and store of keys and every rate limiter has to keep to, as tests that your own can run in one line.
//!
//! ```
//! # tokio_test::block_on(async {
//! use tower_api_key::source::MemoryKeys;
//! use tower_api_key::testing::conformance;
//!
//! conformance::key_store(async |clock| MemoryKeys::builder().clock(clock).build()).await;
//! # });
//! ```
//!
//! Each rule is a function of its own, named after what it says, for a test of its own. All of them panic when the rule is
//! broken.

mod adopt;
mod audit;
mod change;
mod ending;
mod issue;
mod limiter;
mod rehash;
mod rotation;
mod series;
mod session;

use crate::error::BoxError;
use crate::key::{DigestAlgorithm, KeyDigest, KeyId, KeyRecord, KeyRef, KeyState, PepperId};
use crate::source::{IssuedKey, KeySource, KeyStore, KeyUpdate, Lookup, NewKey};
use crate::testing::TestClock;

pub use adopt::*;
pub use audit::*;
pub use change::*;
pub use ending::*;
pub use issue::*;
pub use limiter::*;
pub use rehash::*;
pub use rotation::*;
pub use series::*;
pub use session::*;

/// All rules for a source, which knows the key `secret` by a record of the id `id`.
///
/// # Panics
/// When a rule is broken.
pub async fn key_source<S: KeySource>(source: &S, secret: &str, id: &KeyId) {
    let found = found(source, secret).await;
    assert_eq!(found.as_ref().map(|record| &record.id), Some(id), "a key is found by the digest of its secret");
    let (last, rest) = (secret.chars().last(), &secret[..secret.len() - 1]);
    let other = format!("{rest}{}", if last == Some('0') { '1' } else { '0' });
    assert!(self::found(source, &other).await.is_none(), "another secret finds nothing");
    for digest in digests(source, secret) {
        for algorithm in [DigestAlgorithm::Sha512, DigestAlgorithm::HmacSha256(PepperId(u32::MAX))] {
            let other = KeyDigest::new(algorithm, *digest.as_bytes());
            assert!(by_digest(source, &other).await.is_none(), "a digest by another algorithm finds nothing");
        }
    }
}

/// All rules for a store. `make` makes an empty one each time, which takes the time from the clock and lets keys live as
/// long as they like.
///
/// # Panics
/// When a rule is broken.
pub async fn key_store<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let make = &make;
    a_key_that_is_issued_is_found_by_its_secret(make).await;
    a_record_has_what_the_key_was_issued_with(make).await;
    a_record_is_adopted_as_it_is(make).await;
    what_was_over_is_adopted_as_over(make).await;
    an_id_or_a_digest_is_adopted_once(make).await;
    keys_are_listed_newest_first_page_by_page(make).await;
    a_list_is_narrowed_by_what_is_asked_for(make).await;
    a_change_changes_what_it_names_and_nothing_else(make).await;
    a_change_that_expects_another_version_changes_nothing(make).await;
    a_key_is_disabled_and_enabled_again(make).await;
    usage_is_added_up_and_the_latest_use_stays(make).await;
    uses_are_counted_by_the_hour_and_by_the_day(make).await;
    a_digest_is_replaced_only_while_it_is_the_old_one(make).await;
    a_new_digest_lets_nothing_in_again(make).await;
    a_key_ends_at_its_end_and_is_still_found(make).await;
    a_revoked_key_stays_revoked(make).await;
    what_is_over_is_kept_until_it_is_purged(make).await;
    a_key_that_there_is_not_is_absent(make).await;
    a_successor_is_what_the_key_was(make).await;
    both_keys_work_during_the_overlap_and_the_old_one_gains_no_time(make).await;
    without_an_overlap_the_old_key_is_revoked_at_once(make).await;
    a_key_that_is_not_active_has_no_successor(make).await;
}

/// A store under test, and its clock.
struct Stand<S> {
    keys: S,
    clock: TestClock,
}

impl<S: KeyStore> Stand<S> {
    async fn new(make: &impl AsyncFn(TestClock) -> S) -> Self {
        let clock = TestClock::default();
        let keys = make(clock.clone()).await;
        assert_eq!(keys.life().validate(), Ok(()), "the store's settings of life contradict each other");
        Self { keys, clock }
    }

    async fn issue(&self, key: NewKey) -> IssuedKey {
        must(self.keys.issue(key).await)
    }

    async fn get(&self, id: &KeyId) -> KeyRef {
        let record = must(self.keys.get(id).await);
        record.unwrap_or_else(|| panic!("{id} is gone"))
    }

    async fn state(&self, id: &KeyId) -> KeyState {
        self.get(id).await.state(self.now())
    }

    async fn revoke(&self, id: &KeyId, reason: &str) -> KeyRef {
        let record = must(self.keys.revoke(id, Some(reason.to_owned())).await);
        record.unwrap_or_else(|| panic!("{id} is gone"))
    }

    async fn found(&self, issued: &IssuedKey) -> Option<KeyRef> {
        found(&self.keys, issued.secret.expose_secret()).await
    }

    fn now(&self) -> crate::clock::Timestamp {
        crate::clock::Clock::now(&self.clock)
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(std::time::Duration::from_secs(seconds));
    }
}

/// The digests that the layer would look for; none for a text that has no shape of the source's keys.
fn digests<S: KeySource>(source: &S, secret: &str) -> Vec<KeyDigest> {
    source.schemes().iter().filter_map(|scheme| scheme.digest(secret)).collect()
}

/// The record that a secret finds, as the layer looks for it.
async fn found<S: KeySource>(source: &S, secret: &str) -> Option<KeyRef> {
    let mut found = None;
    for digest in digests(source, secret) {
        found = found.or(by_digest(source, &digest).await);
    }
    found
}

async fn by_digest<S: KeySource>(source: &S, digest: &KeyDigest) -> Option<KeyRef> {
    let now = source.find_now(digest);
    let found = must(source.find(digest).await);
    if let Some(found) = &found {
        assert!(found.digest == *digest, "a record is found by another digest than its own");
    }
    match (now, &found) {
        (Lookup::Ask, _) | (Lookup::Absent, None) => {}
        (Lookup::Found(now), Some(found)) => assert_eq!(face(&now), face(found), "find_now and find differ"),
        (now, found) => panic!("find_now says {now:?}, and find {found:?}"),
    }
    found
}

fn must<T, E: Into<BoxError>>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("the store failed: {}", error.into()))
}

fn changed(update: KeyUpdate) -> KeyRef {
    match update {
        KeyUpdate::Changed(record) => record,
        other => panic!("not changed, but {other:?}"),
    }
}

/// All that a record says, to compare two. Sources name themselves in records or leave that to the layer.
fn face(record: &KeyRecord) -> String {
    let mut record = record.clone();
    record.source = None;
    format!("{record:?} {:?}", record.digest.to_stored())
}
