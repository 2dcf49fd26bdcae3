//! Balances in memory: [`CreditBook`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{CreditState, Exhausted, spend};
use crate::clock::Timestamp;
use crate::limit::Subject;

/// The balances that this process spends from.
///
/// Exact within the process: no credit is spent twice, however many threads ask at once, and a refusal spends none. It
/// is seeded from the state on a record, and what has been spent is reported by [`CreditBook::changes`], to be stored
/// in batches.
///
/// # How much memory
/// At most the capacity, rounded up to shards. When a shard is full, accounts are dropped that are stored, whose stored
/// state has been seen again on a record, and that have not been used for an hour. If there are none, a further account
/// is [refused](CreditRefusal::Full). A record must therefore not be kept and shown for more than an hour after its
/// balance was stored.
///
/// # Several processes
/// Each has a book of its own, and between two reports none knows what the others spend.
pub struct CreditBook {
    shards: Box<[Mutex<Shard>]>,
    random: RandomState,
    capacity: usize,
}

/// Why credits were not spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CreditRefusal {
    /// Not enough are left.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// The book is full of balances that have not been stored yet, or are in use: it could not tell.
    #[error("the credit book is full")]
    Full,
}

/// A balance that has changed since it was last stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreditChange {
    /// Whose it is.
    pub subject: Subject,
    /// What it is now.
    pub state: CreditState,
    /// How many were spent since it was last reported. A store that others write to as well takes this many away from
    /// `remaining`, and adds them to `spent`, instead of writing `state`.
    pub spent: u64,
}

#[derive(Default)]
struct Shard {
    accounts: HashMap<Subject, Account>,
    changed: Vec<Subject>,
}

struct Account {
    state: CreditState,
    /// What has been spent and not been reported, and what has been reported and not been answered.
    unreported: u64,
    in_flight: u64,
    /// What `spent` was in the newest state seen on a record.
    seen: u64,
    used_at: Timestamp,
    queued: bool,
}

const SHARDS: usize = 64;

/// How long an account that could be dropped is kept.
const IDLE: Duration = Duration::from_secs(3_600);

impl CreditBook {
    /// Room for a million accounts. Memory is taken as they come.
    pub fn new() -> Self {
        Self::with_capacity(1 << 20)
    }

    /// Room for so many accounts.
    pub fn with_capacity(accounts: usize) -> Self {
        let shards = SHARDS.min(accounts.max(1));
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            random: RandomState::new(),
            capacity: accounts.div_ceil(shards),
        }
    }

    /// Spends `cost` credits. `record` is the state on the subject's record, which counts if the book does not know the
    /// subject yet, or if somebody has set the balance since.
    ///
    /// # Errors
    /// When not enough are left, or when there is no room for the account. Nothing has been spent then.
    pub fn spend(
        &self,
        subject: Subject,
        record: &CreditState,
        cost: u64,
        now: Timestamp,
    ) -> Result<CreditState, CreditRefusal> {
        let mut shard = self.shard(subject);
        if !shard.accounts.contains_key(&subject) && shard.accounts.len() >= self.capacity {
            shard.accounts.retain(|_, account| !account.can_go(now));
            if shard.accounts.len() >= self.capacity {
                return Err(CreditRefusal::Full);
            }
        }
        let Shard { accounts, changed } = &mut *shard;
        let account = match accounts.entry(subject) {
            Entry::Occupied(known) => {
                let account = known.into_mut();
                account.see(record);
                account
            }
            // A refusal leaves no account behind.
            Entry::Vacant(new) => {
                let _ = spend(record, cost, now)?;
                new.insert(Account::new(record, now))
            }
        };
        account.state = spend(&account.state, cost, now)?;
        account.used_at = account.used_at.max(now);
        account.unreported = account.unreported.saturating_add(cost);
        if cost > 0 && !std::mem::replace(&mut account.queued, true) {
            changed.push(subject);
        }
        Ok(account.state)
    }

    /// The balance as this process knows it, with the refills that are due; `record` if it does not know the subject.
    pub fn balance(&self, subject: Subject, record: &CreditState, now: Timestamp) -> CreditState {
        let mut shard = self.shard(subject);
        let known = shard.accounts.get_mut(&subject).map(|account| {
            account.see(record);
            account.state
        });
        known.unwrap_or(*record).refilled(now)
    }

    /// Takes up to `max` changed balances. Each has to be answered by [`CreditBook::stored`] or [`CreditBook::failed`].
    #[must_use]
    pub fn changes(&self, max: usize) -> Vec<CreditChange> {
        let mut changes = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            let Shard { accounts, changed } = &mut *shard;
            while changes.len() < max
                && let Some(subject) = changed.pop()
            {
                if let Some(account) = accounts.get_mut(&subject) {
                    changes.push(account.report(subject));
                }
            }
        }
        changes
    }

    /// The change has been stored.
    pub fn stored(&self, change: &CreditChange) {
        if let Some(account) = self.shard(change.subject).accounts.get_mut(&change.subject) {
            account.in_flight = account.in_flight.saturating_sub(change.spent);
        }
    }

    /// The change could not be stored, and will be reported again.
    pub fn failed(&self, change: &CreditChange) {
        let mut shard = self.shard(change.subject);
        let Shard { accounts, changed } = &mut *shard;
        if let Some(account) = accounts.get_mut(&change.subject) {
            account.in_flight = account.in_flight.saturating_sub(change.spent);
            account.unreported = account.unreported.saturating_add(change.spent);
            if !std::mem::replace(&mut account.queued, true) {
                changed.push(change.subject);
            }
        }
    }

    /// Drops the account of a subject that is gone for good.
    pub fn forget(&self, subject: Subject) {
        self.shard(subject).accounts.remove(&subject);
    }

    /// How many accounts there are.
    pub fn accounts(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).accounts.len()).sum()
    }

    fn shard(&self, subject: Subject) -> MutexGuard<'_, Shard> {
        let hash = self.random.hash_one(subject) as usize;
        lock(&self.shards[hash % self.shards.len()])
    }
}

impl Default for CreditBook {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CreditBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreditBook").finish_non_exhaustive()
    }
}

impl Account {
    fn new(record: &CreditState, now: Timestamp) -> Self {
        Self { state: *record, unreported: 0, in_flight: 0, seen: record.spent, used_at: now, queued: false }
    }

    /// Takes note of the state on a record: of how new it is, and of a balance that somebody has set. What has been
    /// spent here and is not stored yet is spent from that, too.
    fn see(&mut self, record: &CreditState) {
        self.seen = self.seen.max(record.spent);
        if record.generation > self.state.generation {
            let spent = self.state.spent.max(record.spent.saturating_add(self.pending()));
            let remaining = record.remaining.saturating_sub(self.pending());
            self.state = CreditState { remaining, spent, ..*record };
        }
    }

    fn report(&mut self, subject: Subject) -> CreditChange {
        let spent = std::mem::take(&mut self.unreported);
        self.in_flight = self.in_flight.saturating_add(spent);
        self.queued = false;
        CreditChange { subject, state: self.state, spent }
    }

    fn pending(&self) -> u64 {
        self.unreported.saturating_add(self.in_flight)
    }

    fn can_go(&self, now: Timestamp) -> bool {
        self.pending() == 0 && self.seen >= self.state.spent && now.since(self.used_at) >= IDLE
    }
}

/// Locks. A poisoned lock is as good as any: nothing that runs under it leaves an account half-changed.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
