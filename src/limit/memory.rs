//! Limits within one process: [`MemoryRateLimiter`].

mod key;
mod shard;
mod sync;
mod table;

use std::convert::Infallible;
use std::fmt;

use smallvec::SmallVec;

use self::key::{Key, Seed};
use self::shard::{Place, Shard};
use self::sync::{Mutex, MutexGuard, lock};
use super::counter::{Rule, uncounted};
use super::{Charge, Decision, Detail, LimitState, Occupancy, RateLimiter, SubjectKind, Verdict};
use crate::clock::Timestamp;

/// Counts in the memory of this process.
///
/// Exact: however many threads ask at once, never is more admitted than a quota allows, and several charges are taken
/// together or not at all. It has no thread and no timer of its own; what is over is cleared away as new subjects come.
///
/// # How much memory
/// Two classes of subjects are kept apart, each up to a capacity: those that somebody issued (keys, users, owners,
/// organizations, routes) and those that [anyone can make up](SubjectKind::is_open) (addresses). A flood of addresses
/// therefore takes nothing from the keys. A counter takes 40 bytes, with the free room of its table 50 to 65, and under
/// a sliding window up to 1 KiB more. [`MemoryRateLimiter::max_entries`] is the bound on their number.
///
/// # When a class is full
/// First, counters that are as good as new are dropped. If that is not enough, the subjects that are there keep their
/// counters, and newcomers share counters by groups until those have run out. So nobody, by whatever flood of
/// addresses, gets more than a quota allows, and nobody who was counted before the flood is affected by it. Newcomers
/// during the flood can be refused early, since they share, and a shared window runs from the group's first request. A
/// newcomer for whom not even a shared counter is left is refused.
///
/// # Clock
/// The `now` of one caller may lie slightly before that of another; such a call counts as made at the later instant
/// where otherwise a permit would come back.
pub struct MemoryRateLimiter {
    seed: Seed,
    issued: Box<[Mutex<Shard>]>,
    open: Box<[Mutex<Shard>]>,
}

/// One charge, looked up.
struct Located<'a> {
    charge: &'a Charge<'a>,
    rule: Option<Rule>,
    key: Key,
    /// Which of the locked shards it is in.
    lock: usize,
}

/// Charges up to this number need no allocation here. More would cost more to hand around than the allocation.
const INLINE: usize = 6;

type Found = SmallVec<[(Place, LimitState); INLINE]>;
type Guards<'a> = SmallVec<[MutexGuard<'a, Shard>; INLINE]>;

impl MemoryRateLimiter {
    /// Room for sixteen million issued subjects and one million open ones. Memory is taken as they come.
    pub fn new() -> Self {
        Self::with_capacities(1 << 24, 1 << 20)
    }

    /// Room for `max_subjects` of each class, times the quotas that each has.
    pub fn with_capacity(max_subjects: usize) -> Self {
        Self::with_capacities(max_subjects, max_subjects)
    }

    /// Room for so many issued and so many open subjects, times the quotas that each has.
    pub fn with_capacities(issued: usize, open: usize) -> Self {
        Self { seed: Seed::random(), issued: shards(issued), open: shards(open) }
    }

    /// How many counters there are, those that are over and not yet cleared away included.
    pub fn entries(&self) -> usize {
        self.shards().map(|shard| lock(shard).entries()).sum()
    }

    /// How many counters there can be: the capacities, rounded up, and a quarter of them for shared counters.
    ///
    /// Calls with several charges that run at the same moment can exceed it by those charges.
    pub fn max_entries(&self) -> usize {
        self.shards().map(|shard| lock(shard).max_entries()).sum()
    }

    fn shards(&self) -> impl Iterator<Item = &Mutex<Shard>> {
        self.issued.iter().chain(&self.open)
    }

    fn class(&self, kind: SubjectKind) -> &[Mutex<Shard>] {
        if kind.is_open() { &self.open } else { &self.issued }
    }

    fn shard(&self, kind: SubjectKind, key: Key) -> (usize, &Mutex<Shard>) {
        let class = self.class(kind);
        let index = key.shard(class.len());
        (index, &class[index])
    }

    fn take_at_once(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Decision {
        match charges {
            [] => Decision::UNLIMITED,
            [one] => Decision::from_states([self.take_one(one, now)], detail),
            all => self.take_all(all, detail, now),
        }
    }

    fn take_one(&self, charge: &Charge<'_>, now: Timestamp) -> LimitState {
        let Some(rule) = Rule::of(charge.quota) else {
            return uncounted(charge, now);
        };
        let key = self.seed.key(charge);
        let mut shard = lock(self.shard(charge.subject.kind(), key).1);
        if charge.cost > 0
            && let Some(state) = shard.take_known(key, charge.cost, &rule, now)
        {
            return state;
        }
        let (place, state) = shard.look(key, charge, &rule, u64::from(charge.cost), now);
        match state.verdict {
            Verdict::Admitted if charge.cost > 0 => shard.take(place, key, charge, &rule, now),
            _ => state,
        }
    }

    fn take_all(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Decision {
        let (located, mut guards) = self.locate(charges);
        let found = look_all(&located, &mut guards, now);
        if found.iter().any(|(_, state)| state.verdict != Verdict::Admitted) {
            return Decision::from_states(found.into_iter().map(|(_, state)| state), detail);
        }
        if is_settled(&located, &found) {
            let take = |(one, (place, state)): (&Located<'_>, &(Place, LimitState))| match &one.rule {
                Some(rule) if one.charge.cost > 0 => guards[one.lock].take(*place, one.key, one.charge, rule, now),
                _ => *state,
            };
            return Decision::from_states(located.iter().zip(&found).map(take), detail);
        }
        for one in &located {
            if let (Some(rule), 1..) = (&one.rule, one.charge.cost) {
                let (place, _) = guards[one.lock].look(one.key, one.charge, rule, 0, now);
                let _ = guards[one.lock].take(place, one.key, one.charge, rule, now);
            }
        }
        Decision::from_states(located.iter().map(|one| look(one, &mut guards, 0, now).1), detail)
    }

    fn peek_all(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Decision {
        let (located, mut guards) = self.locate(charges);
        let found = look_all(&located, &mut guards, now);
        Decision::from_states(found.into_iter().map(|(_, state)| state), detail)
    }

    /// Locks every shard that the charges need, each once and always in the same order, so that no two callers can wait
    /// for each other.
    #[inline]
    fn locate<'a>(&'a self, charges: &'a [Charge<'a>]) -> (SmallVec<[Located<'a>; INLINE]>, Guards<'a>) {
        let mut located: SmallVec<[Located<'a>; INLINE]> = SmallVec::with_capacity(charges.len());
        let mut wanted: SmallVec<[(bool, usize); INLINE]> = SmallVec::with_capacity(charges.len());
        for charge in charges {
            let key = self.seed.key(charge);
            let kind = charge.subject.kind();
            wanted.push((kind.is_open(), self.shard(kind, key).0));
            located.push(Located { charge, rule: Rule::of(charge.quota), key, lock: 0 });
        }
        let mut order = wanted.clone();
        order.sort_unstable();
        order.dedup();
        for (one, wanted) in located.iter_mut().zip(&wanted) {
            one.lock = order.binary_search(wanted).unwrap_or(0);
        }
        let class = |open: bool| if open { &self.open } else { &self.issued };
        let guards = order.iter().map(|(open, index)| lock(&class(*open)[*index])).collect();
        (located, guards)
    }
}

impl Default for MemoryRateLimiter {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRateLimiter").finish_non_exhaustive()
    }
}

impl RateLimiter for MemoryRateLimiter {
    type Error = Infallible;

    async fn take(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Result<Decision, Infallible> {
        Ok(self.take_at_once(charges, detail, now))
    }

    async fn peek(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Result<Decision, Infallible> {
        Ok(self.peek_all(charges, detail, now))
    }

    fn take_now(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Option<Decision> {
        Some(self.take_at_once(charges, detail, now))
    }

    fn peek_now(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Option<Decision> {
        Some(self.peek_all(charges, detail, now))
    }

    fn occupancy(&self) -> Option<Occupancy> {
        Some(Occupancy { entries: self.entries(), capacity: self.max_entries() })
    }
}

/// How all charges would fare. Of several on one counter, each also has to leave room for those before it.
fn look_all(located: &[Located<'_>], guards: &mut Guards<'_>, now: Timestamp) -> Found {
    let cost_until = |index: usize| {
        let key = located[index].key;
        let same = located[..=index].iter().filter(|other| other.key == key);
        same.map(|other| u64::from(other.charge.cost)).sum()
    };
    located.iter().enumerate().map(|(index, one)| look(one, guards, cost_until(index), now)).collect()
}

fn look(one: &Located<'_>, guards: &mut Guards<'_>, cost: u64, now: Timestamp) -> (Place, LimitState) {
    match &one.rule {
        Some(rule) => guards[one.lock].look(one.key, one.charge, rule, cost, now),
        None => (Place::Nowhere, uncounted(one.charge, now)),
    }
}

/// Whether every charge has a counter of its own already, and no two have the same. Then taking one moves none of the
/// others, and changes nothing for them; else each has to be looked up again.
fn is_settled(located: &[Located<'_>], found: &Found) -> bool {
    let alone = |index: usize| located[..index].iter().all(|other| other.key != located[index].key);
    let in_place = |index: usize| located[index].rule.is_none() || matches!(found[index].0, Place::Own(_));
    (0..located.len()).all(|index| in_place(index) && alone(index))
}

/// So many that threads seldom meet, and that each stays so small that it is laid out anew within a millisecond.
fn shards(capacity: usize) -> Box<[Mutex<Shard>]> {
    let apart = (capacity / 64).next_power_of_two().min(1_024);
    let small = (capacity / 4_096).next_power_of_two().min(4_096);
    let count = apart.max(small);
    (0..count).map(|_| Mutex::new(Shard::new(capacity.div_ceil(count)))).collect()
}

#[cfg(test)]
mod tests;
