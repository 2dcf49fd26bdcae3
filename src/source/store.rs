//! The writing half of a source of keys.

mod adoption;
mod change;
mod issuer;
mod life;
mod list;
mod new_key;
mod rotation;
mod series;
mod usage;

use std::future::Future;
use std::sync::Arc;

use super::KeySource;
use crate::clock::Timestamp;
use crate::key::{KeyId, KeyRecord, KeyRef};

pub use adoption::KeyAdoption;
pub use change::{KeyChange, KeyUpdate};
pub(super) use change::{enabled, revoked};
pub(super) use issuer::Issuer;
pub use life::{KeyLife, KeyLifeRefusal};
pub(super) use list::place;
pub use list::{InvalidCursor, KeyCursor, KeyFilter, KeyPage};
pub use new_key::{IssuedKey, NewKey};
pub use rotation::{KeyRotation, KeySuccession};
pub(super) use series::Series;
pub use series::{UsageBucket, UsagePoint, UsageRange};
pub use usage::{KeyRehash, KeyUsage};

/// A source that keys can be issued from and changed in.
///
/// Every call is one step: two that are made at once have the outcome of one after the other, and one that fails has
/// changed nothing. What a store has answered is what the next lookup finds, in the same process at once.
///
/// 1. Revoked is for good. No call lets a revoked key in again, and of a change and a revocation at once the revocation
///    stands.
/// 2. A key that has a successor never gains time.
/// 3. Revoked and expired keys are found, and listed, until they are purged.
/// 4. Changes count up [`version`](crate::key::KeyRecord::version); recording usage does not.
/// 5. A digest is replaced only while it is the old one, and the old one finds the record until the new one does.
///
/// No method but [`usage_series`](Self::usage_series) has a default, since a weak one would not be noticed. The suites of `tower_api_key::testing::conformance`
/// (feature `testing`) test all of this on a store of your own.
///
/// Who may call these is not its business: the management router (feature `management`) decides that.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no store of keys",
    note = "implement `tower_api_key::source::KeyStore`, or use `MemoryKeys` or `JsonFileKeys`"
)]
pub trait KeyStore: KeySource {
    /// How long new keys may live. [`issue`](Self::issue) keeps to it; callers ask to know before.
    fn life(&self) -> KeyLife;

    /// Makes a key. Its secret is in the answer, and nowhere else afterwards.
    ///
    /// # Errors
    /// When the store could not write, or [`life`](Self::life) refuses the end that the key is to have. Nothing was made
    /// then.
    fn issue(&self, key: NewKey) -> impl Future<Output = Result<IssuedKey, Self::Error>> + Send;

    /// Takes in a record that was made elsewhere, as it is: with its id, digest, state and usage. Only its source becomes
    /// this store. [`life`](Self::life) has no say in it.
    ///
    /// # Errors
    /// When the store could not write, or must not keep a digest of that algorithm. Nothing was taken in then.
    fn adopt(&self, record: KeyRecord) -> impl Future<Output = Result<KeyAdoption, Self::Error>> + Send;

    /// The record of a key, whatever its state.
    ///
    /// # Errors
    /// When the store could not tell.
    fn get(&self, id: &KeyId) -> impl Future<Output = Result<Option<KeyRef>, Self::Error>> + Send;

    /// The keys that match `filter`, newest first, a page at a time.
    ///
    /// # Errors
    /// When the store could not tell.
    fn list(&self, filter: &KeyFilter) -> impl Future<Output = Result<KeyPage, Self::Error>> + Send;

    /// Changes what may be changed of a key. Whether the record still has the version that the change expects, if it
    /// expects any, is looked at and the change made as one step.
    ///
    /// # Errors
    /// When the store could not write. Nothing was changed then.
    fn update(&self, id: &KeyId, change: KeyChange) -> impl Future<Output = Result<KeyUpdate, Self::Error>> + Send;

    /// Lets a key in again, or refuses it until it is enabled again. What it is already is no change.
    ///
    /// # Errors
    /// When the store could not write. Nothing was changed then.
    fn set_enabled(&self, id: &KeyId, enabled: bool) -> impl Future<Output = Result<KeyUpdate, Self::Error>> + Send;

    /// Refuses a key from now on, for good. Revoking again changes nothing and gives the same answer. `None`: there is
    /// no such key.
    ///
    /// # Errors
    /// When the store could not write. Nothing was changed then.
    fn revoke(
        &self,
        id: &KeyId,
        reason: Option<String>,
    ) -> impl Future<Output = Result<Option<KeyRef>, Self::Error>> + Send;

    /// Makes the successor of a key, and lets the key itself end after an overlap.
    ///
    /// Only a key that is [active](crate::key::KeyState::Active) is rotated, so that none has two successors.
    ///
    /// # Errors
    /// When the store could not write. No successor was made then, and the key is what it was.
    fn rotate(
        &self,
        id: &KeyId,
        rotation: KeyRotation,
    ) -> impl Future<Output = Result<KeySuccession, Self::Error>> + Send;

    /// Forgets the keys that were revoked or had expired before this instant, and says how many there were. Until then
    /// such a key is refused as what it is; afterwards it is as one that never was.
    ///
    /// # Errors
    /// When the store could not write. Nothing was forgotten then.
    fn purge(&self, before: Timestamp) -> impl Future<Output = Result<usize, Self::Error>> + Send;

    /// Adds what keys were used, as [`KeyUsage::add_to`] says, all of it or nothing. Keys that there are not are passed
    /// over, and so is a new [digest](KeyUsage::rehash) that another key has.
    ///
    /// # Errors
    /// When the store could not write. Nothing was added then.
    fn record_usage(&self, usage: &[KeyUsage]) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// How often a key was used, by the hour or by the day (UTC): the buckets of `range` in which it was, in their order.
    /// `None`, which is the default: this store keeps no such thing. How far it goes back, each store says.
    ///
    /// # Errors
    /// When the store could not tell.
    fn usage_series(
        &self,
        id: &KeyId,
        range: &UsageRange,
    ) -> impl Future<Output = Result<Option<Vec<UsagePoint>>, Self::Error>> + Send {
        let _ = (id, range);
        async { Ok(None) }
    }
}

impl<S: KeyStore> KeyStore for Arc<S> {
    fn life(&self) -> KeyLife {
        (**self).life()
    }

    fn issue(&self, key: NewKey) -> impl Future<Output = Result<IssuedKey, Self::Error>> + Send {
        (**self).issue(key)
    }

    fn adopt(&self, record: KeyRecord) -> impl Future<Output = Result<KeyAdoption, Self::Error>> + Send {
        (**self).adopt(record)
    }

    fn get(&self, id: &KeyId) -> impl Future<Output = Result<Option<KeyRef>, Self::Error>> + Send {
        (**self).get(id)
    }

    fn list(&self, filter: &KeyFilter) -> impl Future<Output = Result<KeyPage, Self::Error>> + Send {
        (**self).list(filter)
    }

    fn update(&self, id: &KeyId, change: KeyChange) -> impl Future<Output = Result<KeyUpdate, Self::Error>> + Send {
        (**self).update(id, change)
    }

    fn set_enabled(&self, id: &KeyId, enabled: bool) -> impl Future<Output = Result<KeyUpdate, Self::Error>> + Send {
        (**self).set_enabled(id, enabled)
    }

    fn revoke(
        &self,
        id: &KeyId,
        reason: Option<String>,
    ) -> impl Future<Output = Result<Option<KeyRef>, Self::Error>> + Send {
        (**self).revoke(id, reason)
    }

    fn rotate(
        &self,
        id: &KeyId,
        rotation: KeyRotation,
    ) -> impl Future<Output = Result<KeySuccession, Self::Error>> + Send {
        (**self).rotate(id, rotation)
    }

    fn purge(&self, before: Timestamp) -> impl Future<Output = Result<usize, Self::Error>> + Send {
        (**self).purge(before)
    }

    fn record_usage(&self, usage: &[KeyUsage]) -> impl Future<Output = Result<(), Self::Error>> + Send {
        (**self).record_usage(usage)
    }

    fn usage_series(
        &self,
        id: &KeyId,
        range: &UsageRange,
    ) -> impl Future<Output = Result<Option<Vec<UsagePoint>>, Self::Error>> + Send {
        (**self).usage_series(id, range)
    }
}
