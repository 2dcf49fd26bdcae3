//! Windows of one period, the first of which is opened by the first request.

use super::{LimitState, Rule, Verdict};

/// The latest window, and what has been taken in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FixedWindow {
    end: i64,
    used: u32,
}

impl Default for FixedWindow {
    fn default() -> Self {
        Self { end: i64::MIN, used: 0 }
    }
}

impl FixedWindow {
    /// As it is kept elsewhere.
    #[cfg(feature = "redis")]
    pub(crate) const fn with(end: i64, used: u32) -> Self {
        Self { end, used }
    }

    pub(crate) fn look(&self, rule: &Rule, cost: u64, now: i64) -> LimitState {
        let (end, used) = self.window(rule, now);
        // The limit may have been lowered since.
        let remaining = rule.capacity.saturating_sub(used);
        let verdict = if cost <= u64::from(remaining) || cost == 0 {
            Verdict::Admitted
        } else {
            rule.refused(cost, end.saturating_sub(now))
        };
        rule.state(u64::from(remaining), end, verdict)
    }

    pub(crate) fn take(&mut self, rule: &Rule, cost: u32, now: i64) -> LimitState {
        let (end, used) = self.window(rule, now);
        *self = Self { end, used: used.saturating_add(cost) };
        rule.state(u64::from(rule.capacity.saturating_sub(self.used)), end, Verdict::Admitted)
    }

    pub(crate) fn free_at(&self) -> i64 {
        self.end
    }

    /// The window that `now` falls into: the latest until it ends, then one that begins now.
    fn window(&self, rule: &Rule, now: i64) -> (i64, u32) {
        if now < self.end { (self.end, self.used) } else { (now.saturating_add(rule.period), 0) }
    }
}
