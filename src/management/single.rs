//! One current key an owner.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use super::desk::Desk;
use super::refusal;
use crate::key::{KeyId, KeyOwner, KeyRef, KeyState};
use crate::rejection::Rejection;
use crate::source::{IssuedKey, KeyChange, KeyFilter, KeyUpdate, NewKey};

/// Sees to it that an owner has one current key at most: one that is neither revoked nor expired, and has no successor.
///
/// In this process, calls about the keys of one owner wait for each other. Two nodes do not; so whoever has made a key
/// looks again, and revokes it if there is another one. Of two that are made at once on two nodes, the one that was
/// written last always sees the other, and at most one stays; it may be that neither does, and both callers have to try
/// again. That needs a store whose lists show what it has written, as all of this crate's do.
#[derive(Debug, Default)]
pub(super) struct SingleKey {
    turns: Arc<Mutex<Turns>>,
}

/// Whose calls are under way. An owner without one has no entry.
type Turns = HashMap<KeyOwner, Arc<Turn<()>>>;

/// What a second key is revoked with.
const REASON: &str = "another key was made at the same time";

impl SingleKey {
    /// Makes `key`, if its owner has no current one.
    pub(super) async fn issue(&self, desk: &Desk, key: NewKey) -> Result<IssuedKey, Rejection> {
        let owner = key.owner.clone();
        let _turn = self.turn(&owner).await;
        admit(desk, &owner, None).await?;
        let issued = desk.ask(desk.store.issue(key)).await?;
        if let Err(refused) = admit(desk, &owner, Some(&issued.record.id)).await {
            desk.ask(desk.store.revoke(&issued.record.id, Some(REASON.to_owned()))).await?;
            return Err(refused);
        }
        Ok(issued)
    }

    /// Changes `key`, if it does not become a second current one by that: an expired key can be given more time.
    pub(super) async fn update(&self, desk: &Desk, key: &KeyRef, change: KeyChange) -> Result<KeyUpdate, Rejection> {
        let _turn = self.turn(&key.owner).await;
        if change.expires_at.is_some() {
            // Read again: it may have expired, and been replaced, while this call waited for its turn.
            let found = desk.ask(desk.store.get(&key.id)).await?.ok_or_else(refusal::no_such_key)?;
            if found.state(desk.clock.now()) == KeyState::Expired {
                admit(desk, &key.owner, Some(&key.id)).await?;
            }
        }
        desk.ask(desk.store.update(&key.id, change)).await
    }

    async fn turn(&self, owner: &KeyOwner) -> Held {
        // There before the wait, so that whoever stops waiting is forgotten as well.
        let mut held = Held { turns: Arc::clone(&self.turns), owner: owner.clone(), guard: None };
        let turn = Arc::clone(lock(&self.turns).entry(owner.clone()).or_default());
        held.guard = Some(turn.lock_owned().await);
        held
    }
}

/// The turn of an owner, until it is dropped.
struct Held {
    turns: Arc<Mutex<Turns>>,
    owner: KeyOwner,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut turns = lock(&self.turns);
        self.guard = None;
        // Nobody but the table has it: nobody waits.
        if turns.get(&self.owner).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            turns.remove(&self.owner);
        }
    }
}

fn lock(turns: &Mutex<Turns>) -> std::sync::MutexGuard<'_, Turns> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

/// # Errors
/// 409 when the owner has a current key other than `own`.
async fn admit(desk: &Desk, owner: &KeyOwner, own: Option<&KeyId>) -> Result<(), Rejection> {
    let mut filter = KeyFilter::default();
    filter.user.clone_from(&owner.user);
    filter.organization.clone_from(&owner.organization);
    filter.limit = 100;
    // One that is disabled can be enabled again.
    for state in [KeyState::Active, KeyState::Disabled] {
        filter.state = Some(state);
        filter.cursor = None;
        loop {
            let page = desk.ask(desk.store.list(&filter)).await?;
            let mut others =
                page.items.iter().filter(|key| key.owner == *owner && own.is_none_or(|own| *own != key.id));
            if others.any(|key| key.rotation.is_none()) {
                return Err(refusal::conflict("There is a current API key; regenerate it, or revoke it first"));
            }
            filter.cursor = page.next_cursor;
            if filter.cursor.is_none() {
                break;
            }
        }
    }
    Ok(())
}
