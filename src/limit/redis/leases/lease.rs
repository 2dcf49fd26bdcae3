//! What a node holds of one counter.

use std::time::{Duration, Instant};

use crate::clock::Timestamp;
use crate::limit::LimitState;
use crate::limit::Verdict;
use crate::limit::counter::Rule;
use crate::limit::redis::wire::LEASED_PART;

/// Permits that are counted in Redis already, of one window.
#[derive(Debug)]
pub(super) struct Lease {
    permits: u32,
    /// How many are left in Redis, at most.
    shared: u32,
    capacity: u32,
    /// The end of the window by the clock of Redis, in microseconds, and what it is here: at the earliest, and at the
    /// latest. Permits are used until the one, and known to be used up until the other.
    window: i64,
    usable_until: Instant,
    over_at: Instant,
    /// How many permits the next batch shall have, how many one may have, and since when the last one is used.
    batch: u32,
    max_permits: u32,
    begun: Instant,
    /// How many permits are left when it is time for the next batch: a quarter of the last one.
    low: u32,
    /// Whether a batch is on its way.
    is_refilling: bool,
    /// Until when none is asked for, after one did not come.
    resting_until: Instant,
}

/// A batch that is used up sooner than this was too small, and one that lasts longer than that was too large.
const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(1);
const GROWTH: u32 = 8;

/// What Redis has said of a window, and when: before, and after.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) window: i64,
    pub(super) used: u32,
    /// By the clock of Redis.
    pub(super) now: Timestamp,
    pub(super) asked: Instant,
    pub(super) heard: Instant,
}

impl Lease {
    /// Holds nothing, and knows nothing.
    pub(super) fn new(rule: &Rule, now: Instant, max_permits: u32) -> Self {
        Self {
            permits: 0,
            shared: 0,
            capacity: rule.capacity,
            window: i64::MIN,
            usable_until: now,
            over_at: now,
            batch: 0,
            max_permits,
            begun: now,
            low: 0,
            is_refilling: false,
            resting_until: now,
        }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.over_at <= now && !self.is_refilling
    }

    /// Gives up what is held and known under another limit.
    pub(super) fn hold_to(&mut self, rule: &Rule, now: Instant) {
        if self.capacity != rule.capacity {
            (self.capacity, self.window, self.permits, self.shared) = (rule.capacity, i64::MIN, 0, 0);
            (self.usable_until, self.over_at) = (now, now);
        }
    }

    /// How a charge fares, if that can be told here: there are enough permits, or not enough anywhere.
    pub(super) fn look(&self, rule: &Rule, cost: u32, instant: Instant, now: Timestamp) -> Option<LimitState> {
        // Another thread may have made the lease after this `instant`: nothing is known of its window then.
        let is_known = self.window != i64::MIN && self.capacity == rule.capacity;
        if !is_known || instant >= self.over_at {
            return None;
        }
        let left = self.left();
        let wait = self.over_at.saturating_duration_since(instant);
        let verdict = if cost == 0 || (cost <= self.permits && instant < self.usable_until) {
            Verdict::Admitted
        } else if cost > self.capacity {
            Verdict::Never { window: Duration::from_micros(rule.period.unsigned_abs()) }
        } else if cost > left {
            Verdict::Refused { wait }
        } else {
            return None;
        };
        Some(LimitState { limit: self.capacity, remaining: left, reset: now.saturating_add(wait), verdict })
    }

    /// Takes permits that [`Lease::look`] has found here. Returns how many to fetch, if it is time to.
    pub(super) fn take(&mut self, cost: u32, instant: Instant) -> Option<u32> {
        self.permits = self.permits.saturating_sub(cost);
        let runs_low = self.permits < self.low && self.shared >= LEASED_PART;
        if runs_low { self.next_batch(instant) } else { None }
    }

    /// What there is of `cost` permits.
    pub(super) fn take_some(&mut self, cost: u32, instant: Instant) -> u32 {
        if instant >= self.usable_until {
            return 0;
        }
        let taken = self.permits.min(cost);
        self.permits -= taken;
        taken
    }

    pub(super) const fn window(&self) -> i64 {
        self.window
    }

    /// How many permits are left, here and in Redis, as far as is known. Within a window it never rises.
    pub(super) fn left(&self) -> u32 {
        self.permits.saturating_add(self.shared).min(self.capacity)
    }

    pub(super) const fn permits(&self) -> u32 {
        self.permits
    }

    /// The size of the next batch, if none is on its way.
    pub(super) fn next_batch(&mut self, now: Instant) -> Option<u32> {
        if self.is_refilling || now < self.resting_until {
            return None;
        }
        let lasted = now.saturating_duration_since(self.begun);
        // The first call of a subject finds a lease that has just been made, and takes no batch.
        if self.window != i64::MIN {
            if lasted < SHORT {
                self.batch = self.batch.max(1).saturating_mul(GROWTH).min(self.max_permits);
            } else if lasted > LONG {
                self.batch /= 2;
            }
        }
        self.is_refilling = true;
        Some(self.batch)
    }

    /// The batch has come, and is so large.
    pub(super) fn end_refill(&mut self, granted: u32, now: Instant) {
        (self.is_refilling, self.begun, self.low) = (false, now, granted / 4);
    }

    /// The batch did not come.
    pub(super) fn fail_refill(&mut self, now: Instant) {
        (self.is_refilling, self.resting_until) = (false, now + SHORT);
    }

    /// Takes note of the window, and adds permits that were taken in it or are given back to it.
    pub(super) fn told(&mut self, told: &Told, granted: u32) {
        let left = u64::try_from(told.window.saturating_sub(told.now.unix_micros())).unwrap_or(0);
        let left = Duration::from_micros(left);
        let (usable_until, over_at) = (told.asked + left, told.heard + left);
        let shared = self.capacity.saturating_sub(told.used);
        if told.window > self.window {
            (self.window, self.permits, self.shared) = (told.window, granted, shared);
            (self.usable_until, self.over_at) = (usable_until, over_at);
        } else if told.window == self.window {
            self.permits = self.permits.saturating_add(granted);
            // Answers may come in another order than they were given in.
            self.shared = self.shared.min(shared);
            self.usable_until = self.usable_until.max(usable_until);
            self.over_at = self.over_at.min(over_at);
        }
    }

    /// Gives back permits of this window.
    pub(super) fn give_back(&mut self, permits: u32, window: i64) {
        if window == self.window {
            self.permits = self.permits.saturating_add(permits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { limit: 10, capacity: 10, period: 3_600_000_000 };

    #[test]
    fn a_lease_that_another_thread_has_just_made_refuses_nobody() {
        let (earlier, now) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let later = earlier + Duration::from_micros(1);
        let mut lease = Lease::new(&RULE, later, 100);
        assert_eq!(lease.look(&RULE, 1, earlier, now), None);
        let lowered = Rule { capacity: 5, ..RULE };
        lease.hold_to(&lowered, later);
        assert_eq!(lease.look(&lowered, 1, earlier, now), None);
    }

    #[test]
    fn a_lease_refuses_what_is_neither_here_nor_in_redis() {
        let instant = Instant::now();
        let now = Timestamp::UNIX_EPOCH;
        let mut lease = Lease::new(&RULE, instant, 100);
        lease.told(&Told { window: 1_000_000, used: 10, now, asked: instant, heard: instant }, 2);
        let verdict = |lease: &Lease, cost| lease.look(&RULE, cost, instant, now).map(|state| state.verdict);
        assert_eq!(verdict(&lease, 2), Some(Verdict::Admitted));
        assert_eq!(verdict(&lease, 3), Some(Verdict::Refused { wait: Duration::from_secs(1) }));
    }
}
