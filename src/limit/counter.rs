//! What is kept of one subject under one quota: [`Counter`], one kind an algorithm.
//!
//! All of it is plain state and pure functions: `look` says how a charge would fare, `take` is told only of charges
//! that `look` has admitted. A `now` before the latest one seen is taken for that one, so that no permit comes back.

mod fixed_window;
mod gcra;
mod sliding_window;

use std::time::Duration;

pub(crate) use self::fixed_window::FixedWindow;
pub(crate) use self::gcra::Gcra;
pub(crate) use self::sliding_window::SlidingWindow;
use super::{Algorithm, Charge, LimitState, Quota, Verdict};
use crate::clock::Timestamp;

/// What has been taken by one subject under one quota.
#[derive(Debug)]
pub(crate) enum Counter {
    FixedWindow(FixedWindow),
    SlidingWindow(Box<SlidingWindow>),
    Gcra(Gcra),
}

/// A quota in the numbers that counters work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Rule {
    /// Permits a period, at least 1.
    pub(crate) limit: u32,
    /// Permits at once, at least 1.
    pub(crate) capacity: u32,
    /// The period in microseconds, between 1 and 366 days.
    pub(crate) period: i64,
}

impl Counter {
    /// Nothing taken yet.
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::FixedWindow => Self::FixedWindow(FixedWindow::default()),
            Algorithm::SlidingWindow => Self::SlidingWindow(Box::default()),
            Algorithm::Gcra => Self::Gcra(Gcra::default()),
        }
    }

    /// How a charge of `cost` permits would fare.
    pub(crate) fn look(&self, rule: &Rule, cost: u64, now: Timestamp) -> LimitState {
        let now = now.unix_micros();
        match self {
            Self::FixedWindow(state) => state.look(rule, cost, now),
            Self::SlidingWindow(state) => state.look(rule, cost, now),
            Self::Gcra(state) => state.look(rule, cost, now),
        }
    }

    /// Whether [`Counter::look`] would admit the charge.
    pub(crate) fn admits(&self, rule: &Rule, cost: u64, now: Timestamp) -> bool {
        match self {
            Self::Gcra(state) => state.admits(rule, cost, now.unix_micros()),
            _ => self.look(rule, cost, now).verdict == Verdict::Admitted,
        }
    }

    /// Takes `cost` permits, which [`Counter::look`] has admitted at the same `now`.
    pub(crate) fn take(&mut self, rule: &Rule, cost: u32, now: Timestamp) -> LimitState {
        let now = now.unix_micros();
        match self {
            Self::FixedWindow(state) => state.take(rule, cost, now),
            Self::SlidingWindow(state) => state.take(rule, cost, now),
            Self::Gcra(state) => state.take(rule, cost, now),
        }
    }

    /// From this instant on the counter is as good as new, in microseconds.
    pub(crate) fn free_at(&self) -> i64 {
        match self {
            Self::FixedWindow(state) => state.free_at(),
            Self::SlidingWindow(state) => state.free_at(),
            Self::Gcra(state) => state.free_at(),
        }
    }
}

impl Rule {
    /// The numbers of a quota; none if it is unlimited, or if they make no sense.
    pub(crate) fn of(quota: &Quota) -> Option<Self> {
        if quota.is_unlimited() {
            return None;
        }
        quota.check_numbers().ok()?;
        let period = i64::try_from(quota.period_micros()).ok()?;
        Some(Self { limit: quota.limit(), capacity: quota.capacity(), period })
    }

    /// The state of a subject that nothing can be kept of until `room_at`.
    pub(crate) fn without_room(&self, room_at: Timestamp, now: Timestamp) -> LimitState {
        let reset = room_at.max(now);
        self.state(0, reset.unix_micros(), Verdict::Refused { wait: reset.since(now) })
    }

    /// The state of a sliding window that is kept elsewhere: `used` permits of it are gone, all are back at `reset`, and
    /// `cost` permits would be there at `free_at`.
    #[cfg(feature = "redis")]
    pub(crate) fn slid(&self, used: u32, reset: i64, free_at: i64, cost: u64, now: i64) -> LimitState {
        let remaining = u64::from(self.capacity.saturating_sub(used));
        let verdict = if cost <= remaining || cost == 0 {
            Verdict::Admitted
        } else {
            self.refused(cost, free_at.saturating_sub(now))
        };
        self.state(remaining, reset, verdict)
    }

    fn state(&self, remaining: u64, reset: i64, verdict: Verdict) -> LimitState {
        // Never cut: no counter has more than its capacity left.
        let remaining = u32::try_from(remaining).unwrap_or(self.capacity);
        LimitState { limit: self.capacity, remaining, reset: Timestamp::from_unix_micros(reset), verdict }
    }

    /// The verdict on a charge that can't be met until `wait` microseconds have passed.
    fn refused(&self, cost: u64, wait: i64) -> Verdict {
        if cost > u64::from(self.capacity) {
            let micros = u128::from(self.capacity) * u128::from(self.period.unsigned_abs()) / u128::from(self.limit);
            return Verdict::Never { window: Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)) };
        }
        Verdict::Refused { wait: Duration::from_micros(u64::try_from(wait).unwrap_or(0)) }
    }
}

/// The state of a quota that needs no counter: an unlimited one, or one whose numbers make no sense, under which
/// nothing is ever admitted, whatever was meant.
pub(crate) fn uncounted(charge: &Charge<'_>, now: Timestamp) -> LimitState {
    if charge.quota.is_unlimited() {
        return LimitState { limit: u32::MAX, remaining: u32::MAX, reset: now, verdict: Verdict::Admitted };
    }
    let window = charge.quota.period().min(Quota::MAX_PERIOD);
    LimitState { limit: 0, remaining: 0, reset: now.saturating_add(window), verdict: Verdict::Never { window } }
}

#[cfg(test)]
mod tests;
