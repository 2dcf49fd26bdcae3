//! A request as the script sees it, and what it answers.

use smallvec::SmallVec;

use super::super::counter::{FixedWindow, Gcra, Rule, uncounted};
use super::super::{Algorithm, Charge, Decision, Detail, LimitState, SubjectKind, Verdict};
use super::error::RedisLimiterError;
use super::wire::Kind;
use crate::clock::Timestamp;
use crate::redis_link::RedisLinkError;

/// The charges of one request, or those of them that Redis has to be asked about.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) items: SmallVec<[Item; 1]>,
    /// Whether to take the permits if all are there.
    pub(super) takes: bool,
}

/// One charge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) key: CounterKey,
    pub(super) algorithm: Algorithm,
    pub(super) rule: Rule,
    pub(super) cost: u32,
    /// The cost of this charge and of those before it that have the same counter.
    pub(super) total: u64,
    /// How many permits more are welcome, for a lease. Under a fixed window only.
    pub(super) extra: u32,
}

/// Names a counter, apart from the limiter's prefix: kind of subject, fingerprint, identity of the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CounterKey {
    kind: SubjectKind,
    fingerprint: [u64; 2],
    identity: u64,
}

/// What counters have in common that are kept together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupKey {
    /// By the numbers that the scripts know.
    pub(super) algorithm: u8,
    /// So long after a counter was last changed it is as good as new, at the latest: in microseconds.
    pub(super) span: u64,
}

/// What the script says of a request.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// The time of the decision, by the clock of Redis.
    pub(super) now: Timestamp,
    pub(super) taken: bool,
    pub(super) numbers: SmallVec<[[f64; 3]; 1]>,
}

/// What becomes of a list of charges: some have no counter, and the rest are asked about.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) request: Request,
    /// For each charge, which item of the request it is.
    pub(super) places: SmallVec<[Option<usize>; 4]>,
}

impl Request {
    /// Faster than a clone, which goes through the items one by one.
    pub(super) fn copy(&self) -> Self {
        Self { items: SmallVec::from_slice(&self.items), takes: self.takes }
    }

    pub(super) fn kind(&self) -> Kind {
        match &self.items[..] {
            [one] if self.takes && one.algorithm == Algorithm::FixedWindow => Kind::Windows,
            _ => Kind::Mixed,
        }
    }
}

impl CounterKey {
    pub(super) fn of(charge: &Charge<'_>) -> Self {
        let (subject, identity) = (charge.subject, charge.quota.identity());
        Self { kind: subject.kind(), fingerprint: subject.halves(), identity }
    }

    /// Whether [anyone can make up](SubjectKind::is_open) as many as they like.
    pub(super) fn is_open(&self) -> bool {
        self.kind.is_open()
    }

    /// Bits that differ between counters. Whoever chooses addresses can choose them, too.
    pub(super) fn scattered(&self) -> usize {
        let bits = self.fingerprint[0] ^ self.fingerprint[1].rotate_left(32) ^ self.identity;
        (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
    }

    pub(super) const LENGTH: usize = 1 + 16 + 8;

    /// Kind, fingerprint and quota.
    pub(super) fn bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [self.kind.tag(); Self::LENGTH];
        let [first, second] = self.fingerprint;
        let (parts, _) = bytes[1..].as_chunks_mut();
        parts.iter_mut().zip([first, second, self.identity]).for_each(|(part, number)| *part = number.to_be_bytes());
        bytes
    }
}

impl Plan {
    pub(super) fn new(charges: &[Charge<'_>], takes: bool) -> Self {
        let mut plan = Self { request: Request { items: SmallVec::new(), takes }, places: SmallVec::new() };
        let Request { items, takes } = &mut plan.request;
        for charge in charges {
            let Some(rule) = Rule::of(charge.quota) else {
                // Nothing is taken for a quota whose numbers make no sense.
                *takes &= charge.quota.is_unlimited();
                plan.places.push(None);
                continue;
            };
            let key = CounterKey::of(charge);
            let before: u64 = items.iter().filter(|item| item.key == key).map(|item| u64::from(item.cost)).sum();
            let total = before + u64::from(charge.cost);
            // What can never be met needs no asking, but how the limits stand does.
            *takes &= total <= u64::from(rule.capacity);
            plan.places.push(Some(items.len()));
            let algorithm = charge.quota.counting();
            items.push(Item { key, algorithm, rule, cost: charge.cost, total, extra: 0 });
        }
        plan
    }

    /// The decision on the charges that the plan was made of. Its times are told by the clock of the caller. `left` is how
    /// many permits are left of each item, where that is known better than the answer says.
    ///
    /// # Errors
    /// When the answer does not fit the question, or contradicts itself.
    pub(super) fn decide(
        &self,
        charges: &[Charge<'_>],
        answer: Option<&Answer>,
        left: &[Option<u32>],
        detail: Detail,
        now: Timestamp,
    ) -> Result<Decision, RedisLimiterError> {
        let taken = answer.is_some_and(|answer| answer.taken);
        let mut states: SmallVec<[LimitState; 4]> = SmallVec::new();
        for (charge, place) in charges.iter().zip(&self.places) {
            let state = match (place, answer) {
                (None, _) => uncounted(charge, now),
                (Some(index), Some(answer)) => {
                    let item = &self.request.items[*index];
                    let numbers = answer.numbers.get(*index).ok_or(RedisLinkError::Answer)?;
                    let state = item.state(*numbers, answer);
                    let remaining = left.get(*index).copied().flatten().unwrap_or(state.remaining);
                    LimitState { remaining, reset: now.saturating_add(state.reset.since(answer.now)), ..state }
                }
                (Some(_), None) => return Err(RedisLinkError::Answer.into()),
            };
            states.push(state);
        }
        let is_refused = states.iter().any(|state| state.verdict != Verdict::Admitted);
        let asked = !self.request.items.is_empty();
        if asked && self.request.takes && is_refused == taken {
            return Err(RedisLinkError::Answer.into());
        }
        Ok(Decision::from_states(states, detail))
    }
}

impl Item {
    /// How the charge fared, or how its limit stands now that its permits have been taken.
    fn state(&self, [first, second, third]: [f64; 3], answer: &Answer) -> LimitState {
        let total = if answer.taken { 0 } else { self.total };
        let now = answer.now.unix_micros();
        match self.algorithm {
            Algorithm::FixedWindow => FixedWindow::with(whole(first), permits(second)).look(&self.rule, total, now),
            Algorithm::SlidingWindow => self.rule.slid(permits(second), whole(first), whole(third), total, now),
            Algorithm::Gcra => Gcra::with(whole(first), permits(second), permits(third)).look(&self.rule, total, now),
        }
    }

    /// Which counters are kept together with that of this charge.
    pub(super) fn group(&self) -> GroupKey {
        let period = self.rule.period.unsigned_abs();
        match self.algorithm {
            Algorithm::FixedWindow => GroupKey { algorithm: 1, span: period },
            Algorithm::Gcra => {
                // Powers of two: a counter stays the same when limit and burst change a little.
                let periods = self.rule.capacity.div_ceil(self.rule.limit).next_power_of_two();
                GroupKey { algorithm: 2, span: period.saturating_mul(u64::from(periods)) }
            }
            Algorithm::SlidingWindow => GroupKey { algorithm: 3, span: period },
        }
    }

    /// How long so many permits take to come back, in microseconds, and the rest in parts of the
    /// [algorithm](super::super::counter::Gcra).
    pub(super) fn micros_for(&self, permits: u64) -> (u64, u64) {
        let parts = u128::from(permits) * u128::from(self.rule.period.unsigned_abs());
        let limit = u128::from(self.rule.limit);
        (u64::try_from(parts / limit).unwrap_or(u64::MAX), u64::try_from(parts % limit).unwrap_or(0))
    }
}

/// An instant that the script has computed: a whole number below 2^53.
fn whole(number: f64) -> i64 {
    number as i64
}

fn permits(number: f64) -> u32 {
    number as u32
}
