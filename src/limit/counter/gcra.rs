//! The generic cell rate algorithm, in whole numbers.
//!
//! Permits are counted in parts so small that both a permit and a microsecond are a whole number of them: a permit has
//! as many parts as the period has microseconds, and every microsecond brings back as many parts as the limit says. So
//! no division rounds anything away, whatever the limit and the period.

use super::{LimitState, Rule, Verdict};

/// When all permits are back: the "theoretical arrival time" of the literature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gcra {
    /// In microseconds, rounded up.
    full_at: i64,
    /// By how many parts it was rounded up.
    early: u32,
    /// The limit that `early` was computed under. Under another it is taken for 0, which is less than a microsecond
    /// off, to the client's disadvantage.
    limit: u32,
}

impl Default for Gcra {
    fn default() -> Self {
        Self { full_at: i64::MIN, early: 0, limit: 0 }
    }
}

impl Gcra {
    /// As it is kept elsewhere.
    #[cfg(feature = "redis")]
    pub(crate) const fn with(full_at: i64, early: u32, limit: u32) -> Self {
        Self { full_at, early, limit }
    }

    pub(crate) fn look(&self, rule: &Rule, cost: u64, now: i64) -> LimitState {
        let (taken, capacity) = (self.taken(rule, now), rule.parts(u64::from(rule.capacity)));
        let remaining = remaining(rule, taken);
        let wanted = taken.saturating_add(rule.parts(cost));
        let verdict = match wanted.checked_sub(capacity) {
            Some(missing) if missing > 0 && cost > 0 => rule.refused(cost, rule.micros_for(missing)),
            _ => Verdict::Admitted,
        };
        rule.state(remaining, now.saturating_add(rule.micros_for(taken)), verdict)
    }

    /// Whether a look would admit the charge: known without a division.
    pub(crate) fn admits(&self, rule: &Rule, cost: u64, now: i64) -> bool {
        let wanted = self.taken(rule, now).saturating_add(rule.parts(cost));
        cost == 0 || wanted <= rule.parts(u64::from(rule.capacity))
    }

    pub(crate) fn take(&mut self, rule: &Rule, cost: u32, now: i64) -> LimitState {
        let taken = self.taken(rule, now).saturating_add(rule.parts(u64::from(cost)));
        let micros = rule.micros_for(taken);
        let early = u128::from(micros.unsigned_abs()) * u128::from(rule.limit) - taken;
        *self = Self {
            full_at: now.saturating_add(micros),
            // Rounding up to a microsecond adds less parts than a microsecond has.
            early: u32::try_from(early).unwrap_or(0),
            limit: rule.limit,
        };
        rule.state(remaining(rule, taken), self.full_at, Verdict::Admitted)
    }

    pub(crate) fn free_at(&self) -> i64 {
        self.full_at
    }

    /// How many parts are not back yet.
    fn taken(&self, rule: &Rule, now: i64) -> u128 {
        if now >= self.full_at {
            return 0;
        }
        let early = if self.limit == rule.limit { self.early } else { 0 };
        u128::from(self.full_at.abs_diff(now)) * u128::from(rule.limit) - u128::from(early)
    }
}

fn remaining(rule: &Rule, taken: u128) -> u64 {
    let left = rule.parts(u64::from(rule.capacity)).saturating_sub(taken);
    u64::try_from(divide(left, rule.period.unsigned_abs())).unwrap_or(0)
}

impl Rule {
    fn parts(&self, permits: u64) -> u128 {
        u128::from(permits) * u128::from(self.period.unsigned_abs())
    }

    /// How long these parts take to come back, in microseconds, rounded up.
    fn micros_for(&self, parts: u128) -> i64 {
        let limit = u64::from(self.limit);
        i64::try_from(divide(parts + u128::from(limit - 1), limit)).unwrap_or(i64::MAX)
    }
}

/// Division in 64 bits where that is enough, which is several times faster.
fn divide(dividend: u128, divisor: u64) -> u128 {
    match u64::try_from(dividend) {
        Ok(dividend) => u128::from(dividend / divisor),
        Err(_) => dividend / u128::from(divisor),
    }
}
