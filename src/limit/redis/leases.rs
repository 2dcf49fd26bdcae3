//! Permits that a node takes by the batch and gives out by itself: [`Leases`].

mod held;
mod lease;

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use self::lease::Lease;
use super::super::counter::Rule;
use super::super::{Algorithm, Charge, Decision, Detail, LimitState, Verdict};
use super::request::{CounterKey, Item};
use crate::clock::Timestamp;

/// How many permits a node may hold in advance.
///
/// With leases, a node takes permits of fixed windows from Redis by the batch, and decides on most requests in its own
/// memory, at once. Charges under other algorithms go to Redis each time, as without leases.
///
/// # How exact that is
/// **Never is more admitted than the limit**, by all nodes together, in any window: a permit is counted in Redis before a
/// node holds it, and a node uses it before the window ends, by a bound on the clock of Redis that errs on the early side.
/// What holds without leases when Redis loses its data holds here as well: at most twice the limit in that window.
///
/// **Less can be admitted**, since permits that one node holds are missing at the others: those of each node that stopped
/// asking, or died, are lost until the window ends. A batch has at most [`max_permits`](Leases::max_permits), and at most an
/// eighth of what is left, so that batches become smaller towards the end and the last permits are given out one by one.
/// A node holds one of them, and a quarter of the one before.
///
/// # How large a batch is
/// The first request of a subject takes what it costs, and no more. From then on a batch is eight times as large as the one
/// before if that one was used up within 100 ms, and half as large if it lasted for more than a second. The next batch is
/// fetched in the background when a quarter is left. A subject that is used seldom so never holds more than a permit or two.
#[derive(Debug, Clone)]
#[must_use]
pub struct Leases {
    pub(super) max_permits: u32,
    pub(super) capacity: usize,
}

impl Leases {
    /// At most 10,000 permits at a time, for 100,000 issued subjects and as many addresses.
    pub const fn new() -> Self {
        Self { max_permits: 10_000, capacity: 100_000 }
    }

    /// The most permits that one batch has. Default: 10,000; more than 1,048,576 count as that.
    pub const fn max_permits(mut self, permits: u32) -> Self {
        self.max_permits = permits;
        self
    }

    /// How many counters leases are kept for at the same time, of those that [anyone can
    /// make up](crate::limit::SubjectKind::is_open) and of the others each. Further ones are decided by Redis. Default:
    /// 100,000, of about 100 bytes each.
    pub const fn capacity(mut self, counters: usize) -> Self {
        self.capacity = counters;
        self
    }
}

impl Default for Leases {
    fn default() -> Self {
        Self::new()
    }
}

/// The leases that this node holds.
#[derive(Debug)]
pub(super) struct LeaseBook {
    issued: Box<[Mutex<Shard>]>,
    open: Box<[Mutex<Shard>]>,
    capacity: usize,
    max_permits: u32,
}

#[derive(Debug)]
struct Shard {
    leases: HashMap<CounterKey, Lease, RandomState>,
    /// When to look again for leases that are over, if there is no room.
    swept_at: Option<Instant>,
}

/// A counter, and where its lease is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    open: bool,
    shard: usize,
}

const SHARDS: usize = 64;

/// How often at most a full shard is gone through.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// What is decided without asking, and the lease that should be filled up meanwhile.
pub(super) type DecidedNow = (Decision, SmallVec<[Item; 1]>);

impl LeaseBook {
    pub(super) fn new(settings: &Leases) -> Self {
        let shards = || {
            let shard = || Mutex::new(Shard { leases: HashMap::default(), swept_at: None });
            (0..SHARDS).map(|_| shard()).collect()
        };
        let capacity = settings.capacity.div_ceil(SHARDS);
        Self { issued: shards(), open: shards(), capacity, max_permits: settings.max_permits }
    }

    /// The decision, if the permits that this node holds are enough to tell: all there, or one known to be used up.
    pub(super) fn decide_now(
        &self,
        charges: &[Charge<'_>],
        detail: Detail,
        now: Timestamp,
        takes: bool,
    ) -> Option<DecidedNow> {
        let instant = Instant::now();
        if let [one] = charges {
            let (key, rule) = leasable(one)?;
            let mut shard = self.shard(Place::of(&key));
            let lease = shard.leases.get_mut(&key)?;
            let state = lease.look(&rule, one.cost, instant, now)?;
            let mut wanted = SmallVec::new();
            let state = match state.verdict {
                Verdict::Admitted if takes => {
                    wanted.extend(lease.take(one.cost, instant).map(|extra| refill(key, rule, extra)));
                    lease.look(&rule, 0, instant, now)?
                }
                _ => state,
            };
            return Some((Decision::from_states([state], detail), wanted));
        }
        self.decide_all_now(charges, detail, now, takes, instant)
    }

    /// [`LeaseBook::decide_now`] for several charges: with all their leases locked, always in the same order.
    fn decide_all_now(
        &self,
        charges: &[Charge<'_>],
        detail: Detail,
        now: Timestamp,
        takes: bool,
        instant: Instant,
    ) -> Option<DecidedNow> {
        let mut found: SmallVec<[(CounterKey, Rule, Place); 4]> = SmallVec::new();
        for charge in charges {
            let (key, rule) = leasable(charge)?;
            if found.iter().any(|(other, ..)| *other == key) {
                return None;
            }
            found.push((key, rule, Place::of(&key)));
        }
        let mut order: SmallVec<[Place; 4]> = found.iter().map(|(.., place)| *place).collect();
        order.sort_unstable();
        order.dedup();
        let mut guards: SmallVec<[MutexGuard<'_, Shard>; 4]> = order.iter().map(|place| self.shard(*place)).collect();
        let guard_of = |place: Place| order.binary_search(&place).unwrap_or(0);

        let mut states: SmallVec<[LimitState; 4]> = SmallVec::new();
        for ((key, rule, place), charge) in found.iter().zip(charges) {
            let lease = guards[guard_of(*place)].leases.get_mut(key)?;
            states.push(lease.look(rule, charge.cost, instant, now)?);
        }
        let mut wanted = SmallVec::new();
        if takes && states.iter().all(|state| state.verdict == Verdict::Admitted) {
            for (((key, rule, place), charge), state) in found.iter().zip(charges).zip(&mut states) {
                let lease = guards[guard_of(*place)].leases.get_mut(key)?;
                wanted.extend(lease.take(charge.cost, instant).map(|extra| refill(*key, *rule, extra)));
                *state = lease.look(rule, 0, instant, now)?;
            }
        }
        Some((Decision::from_states(states, detail), wanted))
    }

    fn shard(&self, place: Place) -> MutexGuard<'_, Shard> {
        let class = if place.open { &self.open } else { &self.issued };
        class[place.shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lease of a counter, new if there is none; none if there is no room.
    fn lease<'a>(&self, shard: &'a mut Shard, key: CounterKey, rule: &Rule, instant: Instant) -> Option<&'a mut Lease> {
        if !shard.leases.contains_key(&key) && shard.leases.len() >= self.capacity {
            if shard.swept_at.is_some_and(|swept| instant.saturating_duration_since(swept) < SWEEP_EVERY) {
                return None;
            }
            shard.swept_at = Some(instant);
            shard.leases.retain(|_, lease| !lease.is_over(instant));
            if shard.leases.len() >= self.capacity {
                return None;
            }
        }
        let lease = shard.leases.entry(key).or_insert_with(|| Lease::new(rule, instant, self.max_permits));
        lease.hold_to(rule, instant);
        Some(lease)
    }
}

/// What a lease is looked up by; none for a charge that leases are not for.
fn leasable(charge: &Charge<'_>) -> Option<(CounterKey, Rule)> {
    match charge.quota.counting() {
        Algorithm::FixedWindow => Some((CounterKey::of(charge), Rule::of(charge.quota)?)),
        _ => None,
    }
}

impl Place {
    fn of(key: &CounterKey) -> Self {
        Self { open: key.is_open(), shard: key.scattered() % SHARDS }
    }
}

/// Takes nothing but a batch.
fn refill(key: CounterKey, rule: Rule, extra: u32) -> Item {
    Item { key, algorithm: Algorithm::FixedWindow, rule, cost: 0, total: 0, extra }
}
